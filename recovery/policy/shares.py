"""Shares of cases and what can be said of them: how sure one is, whether months rise, like compared with like (R058, R129)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

CONFIDENT = 1.959964
"""Standard deviations on either side that hold 95 % of chance."""
FEW_TO_TREND = 60
"""Below so many cases in all, or fewer than three months with any, nothing is said of a trend."""


class Trend(StrEnum):
    RISING = "rising"
    FALLING = "falling"
    UNCLEAR = "unclear"
    TOO_FEW = "too_few"


def interval(hits: int, of: int) -> tuple[float, float] | None:
    """Say where a share lies with 95 % confidence, as shares from 0 to 1; None of nothing.

    hits: 0 <= hits <= of. Source: Wilson (1927), without correction for continuity; it stays inside [0, 1] and is not empty
    for none or all, unlike the plain one.
    """
    if of == 0:
        return None
    share, square = hits / of, CONFIDENT**2
    middle = (share + square / (2 * of)) / (1 + square / of)
    half = CONFIDENT / (1 + square / of) * math.sqrt(share * (1 - share) / of + square / (4 * of**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def difference(first: tuple[int, int], second: tuple[int, int]) -> tuple[float, float] | None:
    """Say where the difference of two shares (first less second) lies with 95 % confidence; each (hits, of). None of nothing.

    Source: Newcombe (1998), method 10, from two Wilson intervals.
    """
    one, other = interval(*first), interval(*second)
    if one is None or other is None:
        return None
    here, there = first[0] / first[1], second[0] / second[1]
    low = here - there - math.hypot(here - one[0], other[1] - there)
    high = here - there + math.hypot(one[1] - here, there - other[0])
    return max(-1.0, low), min(1.0, high)


def trend(months: Sequence[tuple[int, int]]) -> Trend:
    """Say whether shares rise from month to month beyond chance; each month (hits, of), the oldest first.

    Source: Cochran-Armitage test for a trend in proportions, two-sided at 5 %.
    """
    cases = sum(of for _hits, of in months)
    if cases < FEW_TO_TREND or sum(of > 0 for _hits, of in months) < 3:
        return Trend.TOO_FEW
    share = sum(hits for hits, _of in months) / cases
    mean = sum(place * of for place, (_hits, of) in enumerate(months)) / cases
    slope = sum((place - mean) * (hits - of * share) for place, (hits, of) in enumerate(months))
    spread = share * (1 - share) * sum(of * (place - mean) ** 2 for place, (_hits, of) in enumerate(months))
    if spread == 0:
        return Trend.UNCLEAR
    score = slope / math.sqrt(spread)
    if abs(score) < CONFIDENT:
        return Trend.UNCLEAR
    return Trend.RISING if score > 0 else Trend.FALLING


@dataclass(frozen=True, slots=True)
class Stratum:
    """One group of like rows: hits of how many, where something happened (treated) and where it did not (others)."""

    hits: int
    of: int
    other_hits: int
    others: int

    @property
    def weight(self) -> float:
        return self.of * self.others / (self.of + self.others) if self.of and self.others else 0.0


@dataclass(frozen=True, slots=True)
class Matched:
    """Two shares among like rows, and their difference with 95 % confidence. used: rows in strata that have both."""

    share: float
    other_share: float
    difference: float
    low: float
    high: float
    used: int
    others_used: int


def matched_difference(strata: Sequence[Stratum]) -> Matched | None:
    """Compare shares like with like; None where no stratum has both.

    Source: Mantel-Haenszel weights for a difference of shares; its variance after Greenland and Robins (1985), with one half added
    to every cell of a stratum for the variance alone, so that none or all is not taken for certain.
    """
    both = [one for one in strata if one.weight]
    weights = sum(one.weight for one in both)
    if not weights:
        return None
    share = sum(one.weight * one.hits / one.of for one in both) / weights
    other = sum(one.weight * one.other_hits / one.others for one in both) / weights
    variance = sum(one.weight**2 * (_spread(one.hits, one.of) + _spread(one.other_hits, one.others)) for one in both)
    half = CONFIDENT * math.sqrt(variance) / weights
    return Matched(
        share=share,
        other_share=other,
        difference=share - other,
        low=max(-1.0, share - other - half),
        high=min(1.0, share - other + half),
        used=sum(one.of for one in both),
        others_used=sum(one.others for one in both),
    )


def _spread(hits: int, of: int) -> float:
    share = (hits + 0.5) / (of + 1)
    return share * (1 - share) / of
