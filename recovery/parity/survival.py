"""Waiting times row by row: Kaplan-Meier quantiles and curves, and the stratified log-rank test without bins."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


FEWEST_RANKED = (
    5  # cases a side; a smaller stratum leans on a normal approximation that its handful of cases cannot carry
)


class LogRank(NamedTuple):
    """Events seen and expected on the first side, and the variance of their difference, per stratum: (strata,) each."""

    observed: Floats
    expected: Floats
    variance: Floats


def curve(hours: Floats, closed: Flags) -> tuple[Floats, Floats]:
    """Kaplan-Meier: the distinct closing times and the share still open just after each (Kaplan and Meier 1958).

    hours: time to closing, or to the snapshot where `closed` is false; at a tie, closings come before censoring.
    """
    order = np.argsort(hours, kind="stable")
    sorted_hours, events = hours[order], closed[order]
    times, first = np.unique(sorted_hours, return_index=True)
    if len(times) == 0:
        return times, times
    risk = len(hours) - first
    seen = np.add.reduceat(events.astype(float), first)
    survival = (1.0 - seen / risk).cumprod()
    kept = seen > 0
    return times[kept], survival[kept]


def quantile(times: Floats, survival: Floats, share: float) -> float | None:
    """The first time by which `share` had closed; None when that many never closed before the snapshot."""
    reached = np.flatnonzero(survival <= 1.0 - share + 1e-12)
    return float(times[reached[0]]) if len(reached) else None


def log_rank(
    stratum: Ints, first: Flags, hours: Floats, closed: Flags, *, strata: int, order: Ints, fewest: int = FEWEST_RANKED
) -> LogRank:
    """Mantel's log-rank sums per stratum, from rows.

    stratum: code below `strata`; first: the row is of the first side; hours, closed as in `curve`;
    order: rows sorted by stratum, then hours. Strata with fewer than `fewest` cases on a side have zeros, so that
    totals are of comparable cases; a last case that waits alone is not counted, for it has nobody to be compared with.
    """
    return Ranked(stratum, hours, closed, strata=strata, order=order).log_rank(first[order], fewest=fewest)


class Ranked:
    """Rows in the order of their times, ranked once for all the ways in which they may be parted into two sides."""

    def __init__(self, stratum: Ints, hours: Floats, closed: Flags, *, strata: int, order: Ints) -> None:
        self.strata, self.rows = strata, len(order)
        if not self.rows:
            return
        s, x = stratum[order], hours[order]
        self.closed = closed[order]
        new_stratum = np.concatenate([[True], s[1:] != s[:-1]])
        begins = new_stratum | np.concatenate([[True], x[1:] != x[:-1]])
        starts = np.flatnonzero(begins)
        self.tie = np.cumsum(begins) - 1  # place of each row's time among the distinct ones of all strata
        ends = np.concatenate([np.flatnonzero(new_stratum)[1:], [len(s)]])
        end_of = ends[(np.cumsum(new_stratum) - 1)[starts]]
        self.last = np.concatenate([self.tie, [len(starts)]])[end_of]  # the first time of the next stratum
        self.y = (end_of - starts).astype(float)
        self.company = self.y > 1
        self.d = np.bincount(self.tie[self.closed], minlength=len(starts)) * self.company.astype(float)
        with np.errstate(divide="ignore", invalid="ignore"):
            self.spread = np.where(self.y > 1, self.d * (self.y - self.d) / (self.y - 1.0), 0.0)
        self.which = s[starts]
        self.sizes = np.bincount(s, minlength=strata)

    def log_rank(self, first: Flags, *, fewest: int = FEWEST_RANKED) -> LogRank:
        """Mantel's sums with these rows, in their order, on the first side; see `log_rank`."""
        if not self.rows:
            nothing = np.zeros(self.strata)
            return LogRank(nothing, nothing.copy(), nothing.copy())
        count, own = len(self.y), np.flatnonzero(first)
        ties = self.tie[own]
        each = np.bincount(ties, minlength=count)
        before = np.concatenate([[0], np.cumsum(each)])
        y1 = (before[self.last] - before[:-1]).astype(float)
        d1 = np.bincount(ties[self.closed[own]], minlength=count) * self.company.astype(float)
        share = y1 / self.y
        spread = self.spread * share * (1.0 - share)
        mine = np.bincount(self.which, each, self.strata)
        both = np.minimum(mine, self.sizes - mine) >= fewest
        return LogRank(
            np.where(both, np.bincount(self.which, d1, self.strata), 0.0),
            np.where(both, np.bincount(self.which, self.d * share, self.strata), 0.0),
            np.where(both, np.bincount(self.which, spread, self.strata), 0.0),
        )


def standardised_quantile(curves: list[tuple[Floats, Floats]], shares: Floats, wanted: float) -> float | None:
    """The time by which `wanted` would have closed if strata had the given shares: a mixture of Kaplan-Meier curves."""
    grid = np.unique(np.concatenate([times for times, _ in curves])) if curves else np.empty(0)

    def left(place: int) -> float:
        """The share still open just after a time of the grid."""
        open_ones = 0.0
        for (times, survival), share in zip(curves, shares, strict=True):
            passed = int(np.searchsorted(times, grid[place], side="right"))
            open_ones += float(share) * (float(survival[passed - 1]) if passed else 1.0)
        return open_ones

    low, high = 0, len(grid)
    while low < high:  # the mixture only falls, so that halving finds where it passes
        middle = (low + high) // 2
        low, high = (low, middle) if left(middle) <= 1.0 - wanted + 1e-12 else (middle + 1, high)
    return float(grid[low]) if low < len(grid) else None
