"""The world of tests/calibrate/world.py in which load differs: some days are congested, and a channel's posts come on these.

On four of the 28 days everything takes 2.5 times as long, on every channel; two thirds of the social cases come on these days, as
they do when many speak of one thing, but a seventh of the others. Nobody is treated differently, but what is planted.
"""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np

from recovery.parity import audit as auditing
from recovery.parity.answers import Answers, Response
from recovery.parity.metrics import TIME_TO_RESOLUTION
from recovery.parity.reading import Cases
from tests.calibrate import world

CONGESTED = (6, 7, 15, 22)  # days
SLOWER = 2.5
BUNCHED = 0.66  # of the social cases
BEGAN = 1_767_225_600  # 2026-01-01 UTC, in seconds since 1970
TIMES = ("response", TIME_TO_RESOLUTION)


def simulate(n: int, seed: int, *, bunched: bool, channel: str = "", metric: str = "", size: float = 1.0) -> Cases:
    """Make one window of n cases. bunched: with congested days; metric, size: a time ratio planted in `channel`."""
    base = world.simulate(n, seed)
    random = np.random.default_rng(seed + 7_000_000)
    opened = random.random(n) * world.DAYS * 24.0
    shock = random.normal(0.0, 0.25, world.DAYS)
    if bunched:
        shock[list(CONGESTED)] += np.log(SLOWER)
        moved = (base.channel == base.channels.index("social")) & (random.random(n) < BUNCHED)
        opened[moved] = (random.choice(CONGESTED, n) * 24.0 + opened % 24.0)[moved]
    hit = base.channel == base.channels.index(channel) if channel else np.zeros(n, dtype=bool)
    usual = world.medians()[base.type] * np.exp(shock[(opened // 24).astype(int)])
    response = 3.0 * usual * np.exp(random.normal(0, 0.9, n)) * np.where(hit & (metric == "response"), size, 1.0)
    spent = 60.0 * usual * np.exp(random.normal(0, 1.1, n)) * np.where(hit & (metric == "resolution"), size, 1.0)
    age = world.DAYS * 24.0 - opened
    closed = spent <= age
    due = closed | (age > world.PROMISED_HOURS)
    answered = (random.random(n) < 0.97) & (response <= age)
    others = tuple(each for each in base.outcomes if each.name not in ("response", "answered"))
    return dataclasses.replace(
        base,
        opened=BEGAN + (opened * 3600.0).astype(np.int64),
        hours=np.where(closed, spent, age),
        closed=closed,
        due=due,
        kept=due & closed & (spent <= world.PROMISED_HOURS),
        outcomes=(
            Answers(name="answered", kind="bool", values=answered.astype(float)),
            Answers(
                name="response",
                kind="duration",
                values=np.where(answered, response, np.nan),
                waited=np.where(answered, response, age),
            ),
            *others,
        ),
        response=Response(name="response", mature_hours=24.0, given=True, answered=int(answered.sum()), mature=n),
    )


def under_equality(bunched: bool, n: int, seed: int) -> Counter[str]:
    """Is a time red though nobody is treated differently: by expected wait, inside kinds alone, all together?"""
    made = auditing.audit(simulate(n, seed, bunched=bunched), strata_by=("type", "load"))
    return Counter(
        {
            "red": any(each.verdict == "red" for each in made.overall if each.metric in TIMES),
            "red by type": any(each.verdict == "red" for each in made.by_type if each.metric in TIMES),
            "red crude": any(each.verdict == "red" for each in made.crude if each.metric in TIMES),
        }
    )


def found_red(metric: str, channel: str, size: float, n: int, seed: int) -> Counter[str]:
    """Is a gap that is there, on top of the bursts, found by expected wait?"""
    cases = simulate(n, seed, bunched=True, channel=channel, metric=metric, size=size)
    made = auditing.audit(cases, strata_by=("type", "load"))
    name = TIME_TO_RESOLUTION if metric == "resolution" else metric
    return Counter(
        {"red": any(each.verdict == "red" for each in made.overall if (each.metric, each.channel) == (name, channel))}
    )
