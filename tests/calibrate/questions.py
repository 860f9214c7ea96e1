"""What is asked of one simulated audit: was anything red, was a known gap called alike, was a planted one found."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np

from recovery.parity import audit as auditing
from recovery.parity import effects, kernel, maps, metrics, public, reading, verdicts
from recovery.parity.kernel import Pair
from recovery.parity.reading import Cases
from tests.calibrate import world
from tests.recovery.parity import people

METRICS = ("promise_kept", "resolution", "answered", "approved", "reopened", "handed_on", "response", "visit")
REPORTED = {"resolution": "time_to_resolution", "resolution_days": "time_to_resolution"}


def under_equality(n: int, seed: int) -> Counter[str]:
    """The whole audit of a shop that treats all channels alike."""
    return _found(auditing.audit(world.simulate(n, seed)))


def dealt_anew(file: Path, n: int, seed: int) -> Counter[str]:
    """The whole audit of a real export whose channels were dealt anew inside types."""
    return _found(auditing.audit(world.dealt_anew(_real(file), seed, n=n)))


@cache
def _real(file: Path) -> Cases:
    return reading.read(file, maps.load("boston311"))


def _found(made: auditing.Audit) -> Counter[str]:
    verdict = Counter(each.verdict for each in made.overall)
    return Counter(
        {
            "any red": "red" in verdict,
            "any amber": "amber" in verdict,
            "any red or amber": "red" in verdict or "amber" in verdict,
            "any significant": any((each.p_holm or 1) <= verdicts.RED_LEVEL for each in made.overall if each.counts),
            "any crude red": any(each.verdict == "red" for each in made.crude),
            "green": verdict["green"],
            "compared": len(made.overall),
            "corrected for": sum(each.counts and each.tested.p is not None for each in made.overall),
        }
    )


def called_alike(metric: str, channel: str, size: float, n: int, seed: int) -> Counter[str]:
    """One comparison, as the report makes it; whether it is green depends on the others only where it is red."""
    made = _Audit(world.simulate(n, seed, channel=channel, metric=metric, size=size), metric)
    return Counter({"green": made.verdict_of(channel, p_holm=None) == "green"})


def found_red(metric: str, channel: str, size: float, n: int, seed: int) -> Counter[str]:
    """Is the planted gap red in the whole audit? Only as much of the audit is worked out as settles that."""
    cases = world.simulate(n, seed, channel=channel, metric=metric, size=size)
    planted = _Audit(cases, metric)
    p = planted.p_of(channel)
    if p is None or p > verdicts.RED_LEVEL:
        return Counter({"red": 0})
    if p * len(METRICS) * len(world.CHANNELS) > verdicts.RED_LEVEL:
        others = [
            (planted if each == metric else _Audit(cases, each)).p_of(other)
            for each in METRICS
            for other in world.CHANNELS
            if (each, other) != (metric, channel)
        ]
        p = verdicts.holm([p, *others])[0]
    return Counter({"red": planted.verdict_of(channel, p_holm=p) == "red"})


class _Audit:
    """One metric of an audit, compared channel by channel as asked; held to the whole audit by a test."""

    def __init__(self, cases: Cases, metric: str) -> None:
        cases = world.only(cases, REPORTED.get(metric, metric))
        stratum = cases.type.astype(np.int64)
        self.metric = next(metrics.of(cases, world.TYPES))
        self.channels = cases.channels
        self.table = kernel.table(
            stratum[self.metric.valid],
            cases.channel[self.metric.valid].astype(np.int64),
            self.metric.place,
            self.metric.event,
            (world.TYPES, len(cases.channels), self.metric.bins),
        )

    def _pair(self, channel: str) -> tuple[Pair, int]:
        """Its cells and those of all others; cases that can be compared, on the smaller side."""
        code = self.channels.index(channel)
        sides = (np.stack([each[:, code], each.sum(axis=1) - each[:, code]], axis=1) for each in self.table)
        pair = Pair(*sides).comparable()
        return pair, int(pair.sizes().sum(axis=0).min())

    def p_of(self, channel: str) -> float | None:
        """Its p; None where it is not corrected for."""
        pair, fewest = self._pair(channel)
        return effects.p_value(pair, is_time=self.metric.is_time) if fewest >= verdicts.FEWEST else None

    def verdict_of(self, channel: str, *, p_holm: float | None) -> verdicts.Verdict:
        pair, fewest = self._pair(channel)
        timed = self.metric.is_time
        floor = verdicts.LEAST_GAP_HOURS
        if self.metric.name == metrics.TIME_TO_RESOLUTION:
            floor = max(floor, verdicts.LEAST_GAP_OF_PROMISE * world.PROMISED_HOURS)
        return verdicts.decide(
            effects.times(pair, width=self.metric.width) if timed else effects.binary(pair),
            fewest=fewest,
            p_holm=p_holm,
            p_bh=None,
            gap_hours=effects.mean_gap(pair, self.metric.mids) if timed else None,
            floor_hours=floor,
        )


def with_themselves(ratio: float, yes: float, follow_up: bool, seed: int) -> Counter[str]:
    """500 customers with two to four cases each: is the phone's wait, or its share, significant (5 %), and red?"""
    made = auditing.audit(people.pairs(np.random.default_rng(seed), 500, ratio=ratio, yes=yes, follow_up=follow_up))
    assert made.within is not None
    phone = {each.metric: each for each in made.within.contrasts if each.channel == "phone"}
    wait, satisfied = phone["time_to_resolution"], phone["satisfied"]
    return Counter(
        {
            "wait significant": wait.tested.p < 0.05,
            "wait red": wait.verdict == "red",
            "share significant": satisfied.tested.p < 0.05,
            "share red": satisfied.verdict == "red",
        }
    )


def in_public(hazard_ratio: float, customers: int, seed: int) -> Counter[str]:
    """Private cases of customers half of whom would post in public: is the uplift found, and does its interval hold it?"""
    made = public.went_public(people.posters(np.random.default_rng(seed), customers, hazard_ratio=hazard_ratio))
    assert made is not None
    ratio = made.whole.ratio
    return Counter(
        {
            "significant": made.whole.tested.p < 0.05,
            "red": made.whole.verdict == "red",
            "inside": bool(ratio.low and ratio.high and ratio.low < hazard_ratio < ratio.high),
            "log ratio, thousandths": round(1000 * float(np.log(ratio.value or 1.0))),
        }
    )
