"""A house that tells agreed test pairs and weighs them every night: does it ever ring for nothing, and what does it find?

Six channels of those that pairs may be told on. Each pair is one matter on two of them: how long it takes has a part that both
sides share (sigma 0.7) and one of each side's own (sigma 0.9); a side is settled later than answered, and the two go together;
3 % are never answered or settled and have waited to their age. One in ten is graded a step milder, one graver; in half of the
pairs something is owed, and a side gets all of it in nine of ten. The sides are told within 28 days of each other. Pairs are
counted at the ages and by the code of `recovery.parity.probes`, in the order in which they become old enough, each time asking
whether it rings.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from crm.channels import Channel
from recovery.parity import probes
from recovery.parity.probes import MEASURES

CHANNELS = ("phone", "email", "chat", "web_form", "social_public", "letter")
A_WEEK = 3.0
SIZES = (50, 200, 500)
PLANTED = (("first", 1.5), ("first", 2.0), ("first", 3.0), ("milder", 0.3), ("short", 0.3))
OF_A_CHANNEL = (25, 60, 100, 150)
HOURS = {"first_response": 4.0, "time_to_resolution": 40.0}


def equal(count: int, seed: int) -> Counter[str]:
    """Nobody is treated differently: does anything ring, from the first pair to the last?"""
    random = np.random.default_rng(seed)
    told = np.stack([random.permutation(len(CHANNELS))[:2] for _ in range(count)])
    rung = _rung(random, told, _outcomes(random, told))
    found = Counter({f"rang by {name}": int(bool(channels)) for name, channels in rung.items()})
    found["rang"] = int(any(rung.values()))
    return found


def slower(ratio: float, count: int, seed: int) -> Counter[str]:
    """The first channel's customers wait so many times as long: does it ring for that channel within so many of its pairs?"""
    return planted("first", ratio, count, seed)


def planted(what: str, size: float, count: int, seed: int) -> Counter[str]:
    """One channel is treated otherwise, in a house in which each of its pairs has another channel on the other side.

    what: first (waits for an answer that many times as long), milder (that share of its sides is graded a step milder on top),
    short (that share of its sides gets less than is owed on top).
    """
    random = np.random.default_rng(seed)
    told = np.stack([np.array([0, each]) for each in random.integers(1, len(CHANNELS), count)])
    told = np.where(random.random((count, 1)) < 0.5, told, told[:, ::-1])
    metric = {"first": "first_response", "milder": "severity_graded_low", "short": "remedy_in_full"}[what]
    became = _outcomes(random, told, what=what, size=size)
    rung = _rung(random, told, {metric: became[metric]})
    return Counter({"rang": int(0 in rung[metric]), "others rang": int(any(rung[metric] - {0}))})


def _outcomes(
    random: np.random.Generator, told: np.ndarray, *, what: str = "", size: float = 1.0
) -> dict[str, np.ndarray]:
    """By measure what became of both sides: (pairs, 2); nan where nothing can be said."""
    shape, hit = told.shape, told == 0
    matter, own = random.normal(0, 0.7, (shape[0], 1)), random.normal(0, 0.9, shape)
    first = HOURS["first_response"] * np.exp(matter + own)
    if what == "first":
        first = np.where(hit, first * size, first)
    later = HOURS["time_to_resolution"] * np.exp(matter + 0.6 * own + random.normal(0, 0.67, shape))
    never = random.random(shape) < 0.03
    grade = random.choice([-1, 0, 1], shape, p=[0.1, 0.8, 0.1])
    short = random.random(shape) < 0.1
    if what == "milder":
        grade = np.where(hit & (random.random(shape) < size), grade - 1, grade)
    if what == "short":
        short = short | (hit & (random.random(shape) < size))
    owed = random.random((shape[0], 1)) < 0.5
    return {
        "first_response": np.where(never, np.inf, first),
        "time_to_resolution": np.where(never, np.inf, first + later),
        "severity_graded_low": grade.astype(float),
        "remedy_in_full": np.where(owed & ~never, (~short).astype(float), np.nan),
    }


def _rung(random: np.random.Generator, told: np.ndarray, became: dict[str, np.ndarray]) -> dict[str, set[int]]:
    """By measure the channels that rang, once every pair has been counted."""
    moments = np.cumsum(random.exponential(7 / A_WEEK, len(told)))[:, None] + random.random(told.shape) * 28.0
    order = np.argsort(moments.max(axis=1))
    limit = probes.limit(len(Channel))
    rung: dict[str, set[int]] = {}
    for name, both in became.items():
        measure = MEASURES[name]
        rung[name] = set()
        stand = dict.fromkeys(range(len(CHANNELS)), probes.NOTHING)
        sides = np.minimum(both, measure.days * 24.0) if measure.is_time else both
        for pair in order:
            one, other = (float(each) for each in sides[pair])
            says = math.log(one / other) if measure.is_time else one - other
            if name == "severity_graded_low":
                says = float(np.sign(-says))  # milder is 1
            if math.isnan(says):
                continue
            for place, sign in ((0, 1.0), (1, -1.0)):
                channel = int(told[pair, place])
                stand[channel] = probes.further(stand[channel], measure, sign * says)
                if probes.log_e(stand[channel]) >= limit:
                    rung[name].add(channel)
                    stand[channel] = probes.NOTHING
    return rung
