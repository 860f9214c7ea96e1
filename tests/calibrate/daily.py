"""A shop that is watched every night for half a year: does it ever ring for nothing, and how soon when something slips?

The world is that of tests/calibrate/world.py (types, mixes, log-normal first answers, shocks common to a day; 3 % never answered),
with so many cases a day on average.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from recovery.parity import sequential
from recovery.parity.sequential import Waits
from tests.calibrate import world

NIGHTS = 182
SLIPS_ON = 91
A_DAY = (10, 60, 250)
SLIPPED: tuple[tuple[str, float], ...] = (
    ("social", 1.25), ("social", 1.5), ("social", 2.0), ("phone", 1.5), ("letter", 2.0)
)  # fmt: skip
HORIZON = 28 * 24.0
WEEK = 7
RIPE = 7 * 24.0
TWO_SIDED = {"naive": 1.959964, "naive, corrected for channels": 2.638257}


def shop(a_day: int, seed: int, *, channel: str = "", size: float = 1.0) -> Waits:
    """First answers of half a year, in hours. size: waits on `channel` are so many times as long from day 91 on."""
    random = np.random.default_rng(seed)
    mixes, medians = world._types()
    count = int(random.poisson(a_day * NIGHTS))
    code = random.choice(len(world.CHANNELS), count, p=list(world.CHANNELS.values()))
    kind = np.minimum((random.random(count)[:, None] > mixes[code]).sum(axis=1), world.TYPES - 1)
    opened = random.random(count) * NIGHTS * 24.0
    shock = random.normal(0.0, 0.25, NIGHTS)[(opened // 24).astype(int)]
    wait = 3.0 * medians[kind] * np.exp(shock + random.normal(0, 0.9, count))
    if channel:
        hit = (code == list(world.CHANNELS).index(channel)) & (opened >= SLIPS_ON * 24.0)
        wait = np.where(hit, wait * size, wait)
    answered = random.random(count) < 0.97
    return Waits(
        stratum=kind.astype(np.int64), channel=code.astype(np.int64), opened=opened,
        wait=np.where(answered, wait, 1e6), seen=answered,
    )  # fmt: skip


def watched(a_day: int, seed: int) -> Counter[str]:
    """Nobody is treated differently: does anything ever ring in 182 nights?"""
    waits = shop(a_day, seed)
    z, logs = _nights(waits)
    found = Counter({name: int((np.abs(z) >= limit).any()) for name, limit in TWO_SIDED.items()})
    found["ever"] = bool((sequential.averaged(logs.T) >= sequential.limit(1)).any())
    found["ever, of four"] = bool((sequential.averaged(logs.T) >= sequential.limit(4)).any())
    changes = _changes(waits)
    found["any change"] = bool(changes)
    found["changes"] = len(changes)
    return found


def slipped(channel: str, size: float, a_day: int, seed: int) -> Counter[str]:
    """One channel slows down on day 91: is it that channel that rings from then on, and after how many days?"""
    waits = shop(a_day, seed, channel=channel, size=size)
    code = list(world.CHANNELS).index(channel)
    change = [night for night, which in _changes(waits) if which == code and night > SLIPS_ON]
    _z, logs = _nights(waits)
    ever = np.flatnonzero(sequential.averaged(logs.T) >= sequential.limit(1))
    ever = ever[ever > SLIPS_ON]
    found = Counter({"change": int(bool(change)), "ever": int(bool(len(ever)))})
    if change:
        found[f"change after {change[0] - SLIPS_ON}"] = 1
    if len(ever):
        found[f"ever after {int(ever[0]) + 1 - SLIPS_ON}"] = 1
    return found


def _nights(waits: Waits) -> tuple[np.ndarray, np.ndarray]:
    """z and log E of every night: (nights, channels) each; between the ends of slices they stay."""
    channels = len(world.CHANNELS)
    order = np.argsort(waits.opened)
    waits = Waits(**{name: getattr(waits, name)[order] for name in Waits.__dataclass_fields__})
    u, v = np.zeros(channels), np.zeros(channels)
    z, logs = np.zeros((NIGHTS, channels)), np.zeros((NIGHTS, channels))
    since = 0
    for night in range(NIGHTS):
        first, begun, last = np.searchsorted(waits.opened, [since * 24.0 - HORIZON, since * 24.0, (night + 1) * 24.0])
        if night + 1 - since >= WEEK or sequential.enough(waits.stratum[begun:last]):
            near = Waits(**{name: getattr(waits, name)[first:last] for name in Waits.__dataclass_fields__})
            ties = sequential.calendar(
                near, since=since * 24.0, until=(night + 1) * 24.0, channels=channels, horizon=HORIZON
            )
            added = ties.sums()
            u, v, since = u + added.u, v + added.v, night + 1
        z[night] = u / np.sqrt(np.maximum(v, 1e-9))
        logs[night] = sequential.log_e(u, v)
    return z, logs


def _changes(waits: Waits) -> list[tuple[int, int]]:
    """The nights after which a change rang, and for which channel; a sum that rang begins anew."""
    channels = len(world.CHANNELS)
    limit = sequential.change_limit(channels)
    log_r = np.full((len(sequential.SLOWER), channels), -np.inf)
    rung = []
    for night in range(2 * WEEK, NIGHTS + 1, WEEK):
        since, until = (night - 2 * WEEK) * 24.0, (night - WEEK) * 24.0
        week = waits.part((waits.opened >= since) & (waits.opened < until))
        ties = sequential.cohort(week, channels=channels, horizon=RIPE)
        log_r = sequential.further(log_r, ties, ratios=sequential.SLOWER)
        for code in np.flatnonzero(sequential.averaged(log_r) >= limit):
            rung.append((night, int(code)))
            log_r[:, code] = -np.inf
    return rung
