"""Shares of cases and what can be said of them: how sure one month is, and whether the months rise (R058, R129)."""

from __future__ import annotations

import math
from collections.abc import Sequence
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
