"""The world of tests/calibrate/world.py in which something is owed in every case: what was given of it, how much, and hand-offs.

Nine in ten get all that is owed, seven in a hundred a part of it, three nothing, whatever their channel. Amounts are log-normal
within their type, and nothing in six of ten cases. Every case is handed on 0.4 times in the mean (Poisson).
"""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np

from recovery.parity import audit as auditing
from recovery.parity import verdicts
from recovery.parity.answers import Answers
from recovery.parity.reading import Cases
from tests.calibrate import world

METRICS = ("part", "amount", "hand_offs")
COMPARED = 66  # in a report of these and of everything in tests/calibrate/world.py


def simulate(n: int, seed: int, *, channel: str = "", planted: str = "", size: float = 1.0) -> Cases:
    """Make one window of n cases in which something is owed.

    planted in `channel`: part (all get so much of what they would), halved (this share of cases gets half of it), amount,
    hand_offs (so many times as much).
    """
    base = world.simulate(n, seed)
    random = np.random.default_rng(seed + 8_000_000)
    hit = base.channel == base.channels.index(channel) if channel else np.zeros(n, dtype=bool)
    part = random.choice([1.0, np.nan, 0.0], n, p=[0.90, 0.07, 0.03])
    part = np.where(np.isnan(part), random.uniform(0.3, 0.99, n), part)
    if planted == "part":
        part = np.where(hit, part * size, part)
    elif planted == "halved":
        part = np.where(hit & (random.random(n) < size), part / 2, part)
    amount = np.where(random.random(n) < 0.4, 50 * world.medians()[base.type] * np.exp(random.normal(0, 0.9, n)), 0.0)
    hand_offs = random.poisson(np.where(hit & (planted == "hand_offs"), 0.4 * size, 0.4))
    values = {
        "part": ("ratio", part),
        "amount": ("amount", np.where(hit & (planted == "amount"), amount * size, amount)),
        "hand_offs": ("count", hand_offs.astype(float)),
    }
    told = tuple(Answers(name=name, kind=kind, values=each) for name, (kind, each) in values.items())
    return dataclasses.replace(base, outcomes=(*base.outcomes, *told))


def asked(channel: str, planted: str, size: float, n: int, seed: int) -> Counter[str]:
    """The audit of these three alone: is one red on any channel? And is what was planted red in a report with all the other
    comparisons beside it (after Bonferroni, Holm's first step), or called alike?
    """
    cases = simulate(n, seed, channel=channel, planted=planted, size=size)
    told = tuple(each for each in cases.outcomes if each.name in METRICS)
    made = auditing.audit(dataclasses.replace(cases, outcomes=told, timed=False, promises=False))
    metric = "part" if planted == "halved" else planted
    hit = next((each for each in made.overall if (each.metric, each.channel) == (metric, channel)), None)
    significant = hit is not None and hit.tested.p is not None and hit.tested.p * COMPARED <= verdicts.RED_LEVEL
    return Counter(
        {
            "any red": any(each.verdict == "red" for each in made.overall),
            "any red part": any(each.verdict == "red" for each in made.overall if each.metric == "part"),
            "red": hit is not None and hit.verdict == "red" and significant,
            "green": hit is not None and hit.verdict == "green",
        }
    )
