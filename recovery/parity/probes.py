"""What agreed test pairs say of a channel: each is one matter told twice, so that few of them tell much (D.5).

Two statistics. `size` looks at a set of pairs once and says how large a difference is. `further` adds one pair to evidence that may
be looked at every night: a bet on the sign of each difference, `1 + stake * x`, averaged over stakes on either side, whose mean is
exactly 1 where a difference and its reverse are as likely, whatever was seen before (Shafer and Vovk 2019; Ville 1939). x is
tanh(log ratio) for a time, and -1, 0 or 1 for a grading or for getting all that is owed. That they are as likely needs each side to
be told at a moment drawn for itself, and a pair to be counted at an age and in an order that no outcome chooses: docs/adr/0048.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from recovery.parity import verdicts
from recovery.parity.customers import dealt
from recovery.parity.effects import Estimate
from recovery.parity.kernel import Floats
from recovery.parity.metrics import TIME_TO_RESOLUTION
from recovery.parity.sequential import EVER

FEWEST: Final = 25
"""Pairs; so many show a factor of two where waits scatter as the house assumes (sigma 0.9 on the log scale). Fewer say nothing."""


@dataclass(frozen=True, slots=True)
class PairMeasure:
    """days: how long each side is watched from when it was told; effect: of the difference, see recovery/policy/findings.py.

    A difference of a time is the log of this side's over the other's; of graded lower, 1 where this side was graded milder, -1
    where graver; of getting all that was owed, 1 where only this side did, -1 where only the other did.
    """

    name: str
    days: int
    effect: str

    @property
    def is_time(self) -> bool:
        return self.effect == "time_ratio"


SEVERITY_GRADED_LOW: Final = "severity_graded_low"
REMEDY_IN_FULL: Final = "remedy_in_full"
MEASURES: Final = {
    measure.name: measure
    for measure in (
        PairMeasure("first_response", 7, "time_ratio"),
        PairMeasure(TIME_TO_RESOLUTION, 28, "time_ratio"),
        PairMeasure(REMEDY_IN_FULL, 28, "risk_difference"),
        PairMeasure(SEVERITY_GRADED_LOW, 28, "risk_difference"),
    )
}
STAKES: Final = (-0.8, -0.4, 0.4, 0.8)
NOTHING: Final = (0.0,) * len(STAKES)
"""Evidence that begins, or begins anew."""


def limit(channels: int) -> float:
    """Log of what evidence about one channel by one measure must reach.

    channels: all that pairs may be told on. Bonferroni over channels and measures: without any difference something ever rings
    in at most one house of twenty (Ville 1939), however what is said of channels and measures hangs together.
    """
    return float(np.log(EVER * channels * len(MEASURES)))


def further(log_es: Sequence[float], measure: PairMeasure, difference: float) -> tuple[float, ...]:
    """Add one pair to the evidence: natural logarithms, one for each stake. difference: as the measure says; 0 adds nothing."""
    x = math.tanh(difference) if measure.is_time else difference
    return tuple(before + math.log1p(stake * x) for before, stake in zip(log_es, STAKES, strict=True))


def log_e(log_es: Sequence[float]) -> float:
    """Log evidence: of the average over stakes."""
    most = max(log_es)
    return most + math.log(sum(math.exp(each - most) for each in log_es) / len(log_es))


def size(measure: PairMeasure, differences: Sequence[float]) -> Estimate:
    """How large the difference of a channel is over these pairs, with its 95 % interval: their signed sum, with signs dealt anew
    (Fisher 1935), inverted. It says so for a set looked at once. An end of the interval is None where it is not reached.

    A ratio of times, or a difference of shares: graded milder less graver, or all that was owed less not.
    """
    y: Floats = np.asarray(differences, dtype=float)
    if len(y) == 0:
        return Estimate(kind=measure.effect)
    found = dealt(y)
    low, high = _ends(y, found[1]) if found is not None else (None, None)
    value = float(y.mean())
    if measure.is_time:
        low, high = (None if end is None else math.exp(end) for end in (low, high))
        return Estimate(kind=measure.effect, value=math.exp(value), low=low, high=high)
    low, high = (None if end is None else min(max(end, -1.0), 1.0) for end in (low, high))
    return Estimate(kind=measure.effect, value=value, low=low, high=high)


def _ends(y: Floats, critical: float) -> tuple[float | None, float | None]:
    """Where (sum(y) - n x)^2 = critical^2 * sum((y - x)^2), lower end first."""
    n, total, squares = len(y), float(y.sum()), float((y**2).sum())
    square = critical**2
    a, b, c = n * n - square * n, -2 * total * (n - square), total**2 - square * squares
    inside = b * b - 4 * a * c
    if a <= 0 or inside < 0:
        return None, None
    root = float(np.sqrt(inside))
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def matters_enough(measure: PairMeasure, effect: Estimate, gap_hours: float | None) -> bool:
    """Say whether a difference that rang is large enough to be a finding: as for a look, not what is too small to matter.

    gap_hours: of a time, the mean of how much longer this side waited.
    """
    margin = verdicts.margin_of(measure.name, measure.effect)
    return verdicts.beyond_trivial(effect, gap_hours, verdicts.LEAST_GAP_HOURS, margin)


def still_shown(measure: PairMeasure, differences: Sequence[float], gap_hours: float | None) -> bool:
    """Say whether these pairs by themselves show a difference: its interval leaves out equality, and it is not too small."""
    effect = size(measure, differences)
    equal = verdicts.margin_of(measure.name, measure.effect).equal
    if effect.value is None or not matters_enough(measure, effect, gap_hours):
        return False
    low, high = effect.low, effect.high
    return (low is not None and low > equal) or (high is not None and high < equal)
