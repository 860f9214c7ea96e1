"""The world of tests/calibrate/world.py in which load differs: some days are congested, and a channel's posts come on these.

On four of the 28 days everything takes 2.5 times as long, on every channel; two thirds of the social cases come on these days, as
they do when many speak of one thing, but a seventh of the others. Nobody is treated differently, but what is planted.
"""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np

from recovery.parity import effects, kernel, metrics, prognostic, verdicts
from recovery.parity.answers import Answers, Response
from recovery.parity.kernel import Pair
from recovery.parity.metrics import TIME_TO_RESOLUTION, Metric
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


READINGS = ("load", "type", "crude")
COMPARED = 48  # in the whole report


def tested(cases: Cases, reading: str) -> dict[tuple[str, str], tuple[Pair, Metric, int]]:
    """The cells of every time and channel against all others: among cases of like load, of one type, or all together."""
    found = {}
    for metric in metrics.of(cases, world.TYPES):
        if metric.name not in TIMES:
            continue
        stratum = np.zeros(int(metric.valid.sum()), dtype=np.int64)
        if reading == "type":
            stratum = cases.type[metric.valid].astype(np.int64)
        elif reading == "load" and (expected := prognostic.strata(cases, metric)) is not None:
            stratum = expected
        shape = (int(stratum.max()) + 1, len(cases.channels), metric.bins)
        table = kernel.table(stratum, cases.channel[metric.valid].astype(np.int64), metric.place, metric.event, shape)
        for code, name in enumerate(cases.channels):
            sides = (np.stack([each[:, code], each.sum(axis=1) - each[:, code]], axis=1) for each in table)
            pair = Pair(*sides).comparable()
            found[metric.name, name] = pair, metric, int(pair.sizes().sum(axis=0).min())
    return found


def p_of(pair: Pair, fewest: int) -> float | None:
    return effects.p_value(pair, is_time=True) if fewest >= verdicts.FEWEST else None


def _matters(pair: Pair, metric: Metric) -> bool:
    floor = verdicts.LEAST_GAP_HOURS
    if metric.name == TIME_TO_RESOLUTION:
        floor = max(floor, verdicts.LEAST_GAP_OF_PROMISE * world.PROMISED_HOURS)
    effect = effects.times(pair, width=metric.width).effects[0]
    return verdicts.beyond_trivial(effect, effects.mean_gap(pair, metric.mids), floor)


def under_equality(bunched: bool, n: int, seed: int) -> Counter[str]:
    """Is a time red, or significant, on any channel though nobody is treated differently? After Holm over these times alone."""
    cases = simulate(n, seed, bunched=bunched)
    counted: Counter[str] = Counter()
    for reading in READINGS:
        made = tested(cases, reading)
        corrected = verdicts.holm([p_of(pair, fewest) for pair, _, fewest in made.values()])
        found = [each for each, p in zip(made.values(), corrected, strict=True) if p is not None and p <= 0.05]
        counted[f"significant by {reading}"] = bool(found)
        if reading == "load":
            counted["red"] = any(_matters(pair, metric) for pair, metric, _ in found)
    return counted


def found_red(metric: str, channel: str, size: float, n: int, seed: int) -> Counter[str]:
    """Is a gap that is there, on top of the bursts, found under like load? After Bonferroni over a whole report."""
    cases = simulate(n, seed, bunched=True, channel=channel, metric=metric, size=size)
    name = TIME_TO_RESOLUTION if metric == "resolution" else metric
    pair, of, fewest = tested(cases, "load")[name, channel]
    p = p_of(pair, fewest)
    return Counter({"red": p is not None and p * COMPARED <= verdicts.RED_LEVEL and _matters(pair, of)})
