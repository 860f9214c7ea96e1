"""What is asked of one simulated audit: was anything red, was a known gap called alike, was a planted one found."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np

from recovery.parity import audit as auditing
from recovery.parity import effects, kernel, maps, metrics, reading, verdicts
from recovery.parity.audit import Contrast
from recovery.parity.kernel import Pair
from recovery.parity.metrics import Metric
from recovery.parity.reading import Cases
from tests.calibrate import world

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
    """One comparison of the audit, as the report makes it; green does not depend on the others unless one is red."""
    name = REPORTED.get(metric, metric)
    one = _Audit(world.only(world.simulate(n, seed, channel=channel, metric=metric, size=size), name))
    return Counter({"green": one.verdict_of(one.metrics[0], channel, p_holm=None) == "green"})


def found_red(metric: str, channel: str, size: float, n: int, seed: int) -> Counter[str]:
    """Is the planted gap red in the whole audit? Only as much of the audit is worked out as settles that."""
    every = _Audit(world.simulate(n, seed, channel=channel, metric=metric, size=size))
    name = REPORTED.get(metric, metric)
    planted = next(each for each in every.metrics if each.name == name)
    p = every.p_of(planted, channel)
    if p is None or p > verdicts.RED_LEVEL:
        return Counter({"red": 0})
    if p * len(every.metrics) * len(world.CHANNELS) > verdicts.RED_LEVEL:
        others = [
            every.p_of(each, other)
            for each in every.metrics
            for other in world.CHANNELS
            if (each.name, other) != (name, channel)
        ]
        p = verdicts.holm([p, *others])[0]
    return Counter({"red": every.verdict_of(planted, channel, p_holm=p) == "red"})


class _Audit:
    """An audit that works out only what is asked for; tests/recovery/parity/test_calibration.py holds it to the whole."""

    def __init__(self, cases: Cases) -> None:
        self.cases = cases
        self.stratum, names = auditing._strata(cases, ("type",))
        self.metrics = tuple(metrics.of(cases, len(names)))
        shown = list(range(len(cases.channels)))
        self.pairs = {
            cases.channels[code]: (code, others, versus)
            for code, others, versus in auditing._opponents(cases, shown, None)
        }
        self.engine = auditing._Engine(cases=cases, stratum=self.stratum, names=names, shown=shown)
        self._cells: dict[str, tuple[kernel.Floats, kernel.Floats]] = {}

    def p_of(self, metric: Metric, channel: str) -> float | None:
        """Its p; None where it is not corrected for."""
        if metric.name not in self._cells:
            shape = (len(self.engine.names), len(self.cases.channels), metric.bins)
            codes = self.cases.channel[metric.valid].astype("int64")
            self._cells[metric.name] = kernel.table(
                self.stratum[metric.valid], codes, metric.place, metric.event, shape
            )
        d, q = self._cells[metric.name]
        code, others, _ = self.pairs[channel]
        pair = Pair(*(_against(each, code, others) for each in (d, q)))
        both = (pair.sizes() > 0).all(axis=1)
        if pair.sizes()[both].sum(axis=0).min(initial=verdicts.FEWEST) < verdicts.FEWEST:
            return None
        return effects.p_value(pair, is_time=metric.is_time)

    def verdict_of(self, metric: Metric, channel: str, *, p_holm: float | None) -> verdicts.Verdict:
        made: Contrast = next(self.engine.compare(metric, [self.pairs[channel]], by_stratum=False))[0]
        return verdicts.decide(
            made.tested,
            fewest=made.fewest,
            p_holm=p_holm,
            p_bh=None,
            gap_hours=made.gap_hours,
            floor_hours=made.floor_hours,
        )


def _against(cells: kernel.Floats, code: int, others: list[int]) -> kernel.Floats:
    side = cells[:, others].sum(axis=1)
    both: kernel.Floats = np.stack([cells[:, code], side], axis=1)
    return both
