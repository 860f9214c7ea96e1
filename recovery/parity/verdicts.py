"""From tests to words: red, amber, green, grey. "No significant difference" is never called parity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtri

from recovery.parity.effects import Z90, Z95, Estimate, Result
from recovery.parity.maps import RESPONSE_COVERAGE

Verdict = Literal["red", "amber", "green", "grey"]

FEWEST = 25  # cases a side; fewer say nothing
RED_LEVEL = 0.05  # Holm's familywise level over all contrasts of a report
AMBER_LEVEL = 0.10  # Benjamini and Hochberg's false discovery rate
POWER = 0.80


@dataclass(frozen=True)
class Margin:
    """Within `low` to `high` two sides are alike for practical purposes; nearer to `equal` than `trivial`, a gap is
    no finding.
    """

    low: float
    high: float
    equal: float
    trivial: float
    ratio: bool = False


# Defaults of the house, stated on every report; decided, not derived.
MARGINS = {
    "risk_difference": Margin(-0.05, 0.05, 0.0, 0.02),
    "time_ratio": Margin(0.80, 1.25, 1.0, 1.10, ratio=True),
    "probability": Margin(0.45, 0.55, 0.5, 0.02),
    "part_ratio": Margin(0.95, 1.05, 1.0, 1.01, ratio=True),  # of what was owed, by case: each carries its own measure
    "amount_ratio": Margin(0.80, 1.25, 1.0, 1.05, ratio=True),
    "count_ratio": Margin(0.80, 1.25, 1.0, 1.10, ratio=True),
}
FEWEST_ANCHORED = 10  # cases a side of a part_ratio: what is owed is known of each, so few say much
COVERAGE = Margin(-0.02, 0.02, 0.0, 0.01)  # response coverage: an answer missed is the worst that can happen
HARD_FAIL = 0.80  # ratio of shares of answered cases
LEAST_GAP_HOURS = 5 / 60
LEAST_GAP_OF_PROMISE = 0.05


def margin_of(metric: str, kind: str) -> Margin:
    """The margin of one measure and kind of effect. Raises KeyError for a kind that carries no verdict."""
    return COVERAGE if (metric, kind) == (RESPONSE_COVERAGE, "risk_difference") else MARGINS[kind]


def fewest_of(kind: str) -> int:
    """Cases a side below which a comparison with this kind of effect says nothing."""
    return FEWEST_ANCHORED if kind == "part_ratio" else FEWEST


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Adjusted p values that control the chance of any false finding (Holm 1979); None stays None and counts as no
    test.
    """
    known = sorted((value, place) for place, value in enumerate(p) if value is not None)
    made: list[float | None] = [None] * len(p)
    largest = 0.0
    for rank, (value, place) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * value))
        made[place] = largest
    return made


def benjamini_hochberg(p: Sequence[float | None]) -> list[float | None]:
    """Adjusted p values that control the share of false findings (Benjamini and Hochberg 1995)."""
    known = sorted((value, place) for place, value in enumerate(p) if value is not None)
    made: list[float | None] = [None] * len(p)
    smallest = 1.0
    for rank in range(len(known), 0, -1):
        value, place = known[rank - 1]
        smallest = min(smallest, value * len(known) / rank)
        made[place] = smallest
    return made


def beyond_trivial(effect: Estimate, gap_hours: float | None, floor_hours: float, margin: Margin | None = None) -> bool:
    """Is the gap big enough to matter: beyond de-minimis, and for times longer than the floor?"""
    margin = margin or MARGINS[effect.kind]
    if effect.value is None:
        return False
    if gap_hours is not None and abs(gap_hours) <= floor_hours:
        return False
    if margin.ratio:
        return effect.value >= margin.trivial or effect.value <= 1 / margin.trivial
    return abs(effect.value - margin.equal) > margin.trivial


def alike(effect: Estimate, margin: Margin | None = None) -> bool:
    """Two one-sided tests at 5 %: the 90 % interval lies inside the margin (Schuirmann 1987)."""
    margin = margin or MARGINS[effect.kind]
    return (
        effect.low90 is not None
        and effect.high90 is not None
        and margin.low < effect.low90
        and effect.high90 < margin.high
    )


def decide(
    tested: Result,
    *,
    fewest: int,
    p_holm: float | None,
    p_bh: float | None,
    gap_hours: float | None = None,
    floor_hours: float = LEAST_GAP_HOURS,
    margin: Margin | None = None,
) -> Verdict:
    """Say what one comparison shows.

    fewest: cases on the smaller side that can be compared; gap_hours, floor_hours: for times, the mean gap and how long
    it must be to matter; p_holm, p_bh: adjusted over all contrasts of the report;
    margin: where it is not the usual one of this kind of effect.
    """
    effect = tested.effects[0]
    if fewest < fewest_of(effect.kind):
        return "grey"
    if tested.p is None:  # nothing varies, so there is nothing to test; likeness can be claimed all the same
        return "green" if alike(effect, margin) else "grey"
    if p_holm is not None and p_holm <= RED_LEVEL and beyond_trivial(effect, gap_hours, floor_hours, margin):
        return "red"
    if alike(effect, margin):
        return "green"
    if p_bh is not None and p_bh <= AMBER_LEVEL:
        return "amber"
    return "grey"


def needed(tested: Result, *, n: int, fewest: int, margin: Margin | None = None) -> int | None:
    """About how many cases of the channel would settle a grey contrast, the shares of channels and types staying as
    they are.

    n * (half-width / room)^2 while the estimate lies inside the margin; beyond it, what a test at 5 % sees four times
    of five. Where every case ended alike, the exact bounds shrink as 1 / n.
    """
    effect = tested.effects[0]
    if fewest == 0:
        return None  # more cases of types that nobody else has would settle nothing
    enough = fewest_of(effect.kind)
    least = int(np.ceil(n * enough / max(fewest, 1))) if fewest < enough else n + 1
    if effect.value is None or effect.low90 is None or effect.high90 is None or n == 0:
        return None if fewest >= enough else max(least, enough)
    margin = margin or MARGINS[effect.kind]
    value, low, high, bottom, top = effect.value, margin.low, margin.high, effect.low90, effect.high90
    if margin.ratio:
        if min(value, bottom) <= 0:
            return max(least, enough)
        value, low, high, bottom, top = (float(np.log(each)) for each in (value, low, high, bottom, top))
    if tested.z is None:
        return max(int(np.ceil(n * max(bottom / low, top / high))), least, enough)
    half = (top - bottom) / 2
    room = min(high - value, value - low)
    if half <= 0:
        return max(least, enough)
    if room > 0:
        settled = n * (half / room) ** 2
        distance = abs(value - (margin.low + margin.high) / 2) if not margin.ratio else abs(value)
    else:
        settled, distance = float("inf"), abs(value - (0.0 if margin.ratio else margin.equal))
    spread = half / Z90
    seen = n * ((Z95 + float(ndtri(POWER))) * spread / distance) ** 2 if distance > 0 else float("inf")
    wanted = min(settled, seen) if room <= 0 else settled
    return max(int(np.ceil(min(wanted, 1e9))), least, enough)
