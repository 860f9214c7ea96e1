"""Days at a help desk: who speaks when, on which channel, how much is at stake, and how long it takes to help them.

20 colleagues; a day has 8 business hours. People come at random (Poisson), with a wave over the day: the rate swings by
60 % around its mean. Six channels, each with its own mix of four severities, and each severity with its promise of a
first answer: 1, 4, 8 and 24 business hours. Helping somebody takes 14 minutes on average, log-normal with sigma 0.8,
the same on every channel. `load` is the work that comes divided by the work that can be done.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

AGENTS = 20
DAY = 480.0  # business minutes
WAVE = 0.6
HANDLING, SIGMA = 14.0, 0.8  # minutes; of its logarithm
PROMISED = (60.0, 240.0, 480.0, 1440.0)  # minutes, by severity: critical, high, medium, low
CRITICAL = 0
SHARES = {"phone": 0.30, "email": 0.25, "web form": 0.15, "social": 0.15, "chat": 0.10, "letter": 0.05}
MIXES = (  # of severities, one line per channel; 5 % of everything is critical
    (0.06, 0.22, 0.40, 0.32),
    (0.05, 0.20, 0.40, 0.35),
    (0.04, 0.19, 0.40, 0.37),
    (0.04, 0.16, 0.40, 0.40),
    (0.04, 0.18, 0.40, 0.38),
    (0.06, 0.24, 0.40, 0.30),
)
CHANNELS = tuple(SHARES)
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scenario:
    """So many days at a load; on the days of `surge` (first, after the last) the load is `times` as high.

    lag: business minutes until a channel's messages reach us.
    """

    name: str
    load: float
    days: int
    surge: tuple[int, int] = (0, 0)
    times: float = 1.0
    lag: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Cases:
    """One run, in the order in which the cases reach us; all times in business minutes since the first morning."""

    channel: npt.NDArray[np.int64]
    severity: npt.NDArray[np.int64]
    spoke: Floats
    ingested: Floats
    handling: Floats

    @property
    def due(self) -> Floats:
        return np.asarray(self.spoke + np.asarray(PROMISED)[self.severity])


def simulate(scenario: Scenario, seed: int) -> Cases:
    """Make one run; the same seed is the same run, whatever discipline then serves it."""
    random = np.random.default_rng(seed)
    mean = AGENTS * scenario.load / HANDLING
    highest = mean * (1 + WAVE) * max(1.0, scenario.times)
    spoke = np.sort(random.random(random.poisson(highest * scenario.days * DAY)) * scenario.days * DAY)
    rate = mean * (1 + WAVE * np.sin(2 * np.pi * spoke / DAY))
    day = spoke // DAY
    rate = np.where((day >= scenario.surge[0]) & (day < scenario.surge[1]), rate * scenario.times, rate)
    spoke = spoke[random.random(len(spoke)) * highest < rate]
    n = len(spoke)
    channel = random.choice(len(CHANNELS), n, p=list(SHARES.values()))
    severity = (random.random(n)[:, None] > np.asarray(MIXES).cumsum(axis=1)[channel][:, :-1]).sum(axis=1)
    handling = random.lognormal(np.log(HANDLING) - SIGMA**2 / 2, SIGMA, n)
    lag = np.asarray([dict(scenario.lag).get(name, 0.0) for name in CHANNELS])
    ingested = spoke + lag[channel]
    order = np.argsort(ingested, kind="stable")
    return Cases(channel[order], severity[order], spoke[order], ingested[order], handling[order])
