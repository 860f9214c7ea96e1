"""One additive table of counts and one test on it.

Cells are counts by stratum, side and bin: `d` outcomes observed in the bin, `q` right-censored in it. Cells of days,
teams or files add up. With Y at risk, pooled d and y, and a weight w per stratum and bin:

    U = sum w (d_1 - d Y_1 / y),    V = sum w^2 d (y - d) / (y - 1) * Y_1 / y * (1 - Y_1 / y),    z = U / sqrt(V)

Where nothing is censored in a stratum, V is that of its ranks with ties, so that the test is Wilcoxon's and van Elteren's.

* two bins: Cochran-Mantel-Haenszel (Mantel and Haenszel 1959), without continuity correction;
* uncensored bins: van Elteren's stratified Wilcoxon test with ties (van Elteren 1960);
* w = pooled survival just before the bin: stratified Prentice-Wilcoxon (Prentice 1978; Peto and Peto 1972) for censored
times;
* w = 1: stratified log-rank (Mantel 1966).

A positive U means: the first side has its outcomes earlier (times), or more of them (two bins).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import erfc

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DRAWS = 9_999  # Monte-Carlo permutations; what lies beyond all of them gets the normal tail of their spread
FIRST_DRAWS = 999  # enough where the first draws already show no difference
SEED = 20_231  # fixed, so that a report can be made again
LEAST = 1e-12  # cases; stands for none where none would be divided by


class Score(NamedTuple):
    """The kernel's sums per stratum: (strata,) each."""

    u: Floats
    v: Floats


@dataclass(frozen=True)
class Pair:
    """Two sides to compare: d and q have the shape (strata, 2, bins); side 0 is the channel, side 1 what it is
    compared with.
    """

    d: Floats
    q: Floats

    def pooled(self) -> Pair:
        """The same cells as one stratum."""
        return Pair(self.d.sum(axis=0, keepdims=True), self.q.sum(axis=0, keepdims=True))

    def sizes(self) -> Floats:
        """Cases per stratum and side: (strata, 2)."""
        total: Floats = self.d.sum(axis=2) + self.q.sum(axis=2)
        return total

    def comparable(self) -> Pair:
        """Only strata where both sides have a case; the others say nothing about a difference."""
        both = (self.sizes() > 0).all(axis=1)
        return Pair(self.d[both], self.q[both])


def normal_p(z: float) -> float | None:
    """Two-sided p of a standard normal z; None when z is not a number."""
    return None if not np.isfinite(z) else float(erfc(abs(z) / np.sqrt(2.0)))


def table(
    stratum: Ints,
    side: Ints,
    position: npt.NDArray[np.integer],
    event: npt.NDArray[np.bool_],
    shape: tuple[int, int, int],
) -> tuple[Floats, Floats]:
    """Count rows into cells: d and q, each (strata, sides, bins).

    stratum, side, position: codes per row; event: the outcome was seen (else censored in that bin).
    """
    flat = (stratum * shape[1] + side) * shape[2] + position
    size = shape[0] * shape[1] * shape[2]
    every = np.bincount(flat, minlength=size)
    seen = np.bincount(flat[event], minlength=size)
    return seen.reshape(shape).astype(float), (every - seen).reshape(shape).astype(float)


def at_risk(counts: Floats) -> Floats:
    """Cases not yet past the start of each bin, along the last axis."""
    backwards: Floats = counts[..., ::-1].cumsum(axis=-1)[..., ::-1]
    return backwards


def weights(d: Floats, y: Floats) -> Floats:
    """Pooled survival just before each bin, by Kaplan and Meier: (strata, bins)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        step = np.where(y > 0, 1.0 - d / y, 1.0)
    survival = np.clip(step, 0.0, 1.0).cumprod(axis=-1)
    before: Floats = np.concatenate([np.ones_like(survival[..., :1]), survival[..., :-1]], axis=-1)
    return before


def score(pair: Pair, *, log_rank: bool = False) -> Score:
    """The kernel's U and V per stratum."""
    return _score(
        pair.d[:, 0], pair.d[:, 0] + pair.q[:, 0], pair.d[:, 1], pair.d[:, 1] + pair.q[:, 1], log_rank=log_rank
    )


def _score(d1: Floats, n1: Floats, d2: Floats, n2: Floats, *, log_rank: bool = False) -> Score:
    y1, y2 = at_risk(n1), at_risk(n2)
    d, y = d1 + d2, y1 + y2
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(y > 0, y1 / y, 0.0)
        spread = np.where(y > 1, d * (y - d) / (y - 1.0), 0.0)
    if log_rank:
        return Score((d1 - d * share).sum(axis=-1), (spread * share * (1.0 - share)).sum(axis=-1))
    w = weights(d, y)
    v = (w * w * np.maximum(spread, 0.0) * share * (1.0 - share)).sum(axis=-1)
    seen = (n1 + n2 == d).all(axis=-1)
    return Score((w * (d1 - d * share)).sum(axis=-1), np.where(seen, _of_ranks(d, y, y1[..., 0], y2[..., 0]), v))


def _of_ranks(d: Floats, y: Floats, first: Floats, second: Floats) -> Floats:
    """V where every outcome was seen: that of the ranks themselves, ties counted, as Wilcoxon's and van Elteren's tests
    have it. With two bins it is the same as the kernel's; with more it differs by as little as chance has ordered them.

    d, y: pooled events and cases at risk, bins last; first, second: cases of either side.
    """
    every = first + second
    with np.errstate(divide="ignore", invalid="ignore"):
        rank = (2.0 * y - d) / every[..., None] - 1.0  # the score of a case that ends in each bin
        v: Floats = first * second / (every * (every - 1.0)) * (d * rank**2).sum(axis=-1)
    return np.where(every > 1, np.nan_to_num(v), 0.0)


def z_of(sums: Score) -> float:
    """z over all strata; NaN where nothing can be compared."""
    spread = float(sums.v.sum())
    return float(sums.u.sum() / np.sqrt(spread)) if spread > 0 else float("nan")


class Shifting:
    """The test after side 0's times are multiplied by exp(-shift * bin width), for many shifts at once.

    The inversion of this test is the Hodges-Lehmann time ratio, so estimate, interval and p belong to one test.
    """

    def __init__(self, pair: Pair) -> None:
        d, n = pair.d, pair.d + pair.q
        ends = np.zeros((len(d), 1))
        self._events, self._cases = (
            np.concatenate([at_risk(each), ends], axis=1) for each in (d[:, 0], n[:, 0])
        )  # at or beyond each bin, and beyond the last
        self._d2, self._y2 = d[:, None, 1], at_risk(n[:, None, 1])
        self._seen = (pair.q == 0).all(axis=(1, 2))[:, None]

    def score(self, shift: Floats) -> Score:
        """The kernel's U and V: (strata, shifts) each.

        shift: in bins, fractions allowed: (1, shifts) for all strata alike, or (strata, shifts). A case that falls
        between two bins is shared by them; the ends collect what would leave.
        """
        bins = self._d2.shape[-1]
        whole = np.floor(-shift).astype(np.int64)
        part = (-shift - whole)[..., None]
        places = np.arange(bins) - whole[..., None]
        places[..., 0] = -bins  # everything is at or beyond the first bin
        near, far = np.clip(places, 0, bins), np.clip(places - 1, 0, bins)
        y1 = _beyond(self._cases, near) * (1.0 - part) + _beyond(self._cases, far) * part
        d1 = _beyond(self._events, near) * (1.0 - part) + _beyond(self._events, far) * part
        d1[..., :-1] -= d1[..., 1:]
        d, y = d1 + self._d2, y1 + self._y2
        some = np.maximum(y, LEAST)
        share, survival = y1 / some, np.maximum(1.0 - d / some, 0.0).cumprod(axis=-1)
        w = np.ones_like(y)
        w[..., 1:] = survival[..., :-1]
        u = (w * (d1 - d * share)).sum(axis=-1)
        if self._seen.all():
            return Score(u, _of_ranks(d, y, y1[..., 0], self._y2[..., 0]))
        spread = np.maximum(d * (y - d), 0.0) / np.maximum(y - 1.0, LEAST) * (y > 1)
        v = (w * w * spread * share * (1.0 - share)).sum(axis=-1)
        return Score(u, np.where(self._seen, _of_ranks(d, y, y1[..., 0], self._y2[..., 0]), v))


def _beyond(tail: Floats, places: Ints) -> Floats:
    """tail: (strata, bins + 1); places: (1 or strata, shifts, bins). Gives (strata, shifts, bins)."""
    if len(places) == 1:
        shared: Floats = np.take(tail, places[0], axis=1)
        return shared
    own: Floats = tail[np.arange(len(tail))[:, None, None], places]
    return own


def permuted(pair: Pair) -> tuple[float, float] | None:
    """p and the 95 % critical value of |z| when sides are dealt anew inside strata (Monte-Carlo, fixed seed).

    Every case carries a score that does not depend on its side, so a draw is a hypergeometric draw of scores.
    For small counts, where the normal approximation is not to be trusted. None when nothing varies.
    """
    pair = pair.comparable()
    observed, spread = score(pair)
    if spread.sum() <= 0:
        return None
    random = np.random.default_rng(SEED)
    pools = [_pool(pair, stratum) for stratum in range(len(pair.d)) if spread[stratum] > 0]
    draws = _draws(random, pools, FIRST_DRAWS)
    target = abs(float(observed.sum())) - 1e-9
    if (np.abs(draws) >= target).mean() < 0.2:
        draws = np.concatenate([draws, _draws(random, pools, DRAWS - FIRST_DRAWS)])
    p = float((1 + (np.abs(draws) >= target).sum()) / (1 + len(draws)))
    if not (np.abs(draws) >= target).any():  # beyond all draws: the tail of a sum of bounded scores is not longer
        p = min(p, normal_p(target / float(draws.std())) or p)
    return p, float(np.quantile(np.abs(draws), 0.95) / np.sqrt(spread.sum()))


def _pool(pair: Pair, stratum: int) -> tuple[Floats, Ints, int]:
    """The scores in one stratum, how many cases carry each, and how many of them side 0 has."""
    d, q = pair.d[stratum], pair.q[stratum]
    events, risk = d.sum(axis=0), at_risk((d + q).sum(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        w = weights(events[None], risk[None])[0]
        hazard = np.where(risk > 0, w * events / risk, 0.0).cumsum()
    values = np.concatenate([w - hazard, -hazard])
    counts = np.concatenate([events, q.sum(axis=0)]).astype(np.int64)
    used = counts > 0
    return values[used], counts[used], int(d[0].sum() + q[0].sum())


def _draws(random: np.random.Generator, pools: list[tuple[Floats, Ints, int]], times: int) -> Floats:
    total = np.zeros(times)
    for values, counts, taken in pools:
        size = int(counts.sum())
        drawn = min(taken, size - taken)
        sign, base = (1.0, 0.0) if drawn == taken else (-1.0, float(values @ counts))
        if len(values) <= 24:
            total += base + sign * (
                random.multivariate_hypergeometric(counts, drawn, size=times, method="marginals") @ values
            )
        else:
            total += base + sign * np.repeat(values, counts)[_without_replacement(random, size, drawn, times)].sum(
                axis=1
            )
    return total


def _without_replacement(random: np.random.Generator, size: int, drawn: int, times: int) -> Ints:
    """Positions below `size`, no two alike in a row: (times, drawn)."""
    if drawn * drawn < 3 * size:  # rows seldom repeat a position: draw those that do again
        picked = random.integers(0, size, (times, drawn))
        again = np.arange(times)
        while len(again):
            ordered = np.sort(picked[again], axis=1)
            again = again[(ordered[:, 1:] == ordered[:, :-1]).any(axis=1)]
            picked[again] = random.integers(0, size, (len(again), drawn))
        return picked
    chunk = max(1, 4_000_000 // size)
    parts = [
        np.argpartition(random.random((min(chunk, times - at), size), dtype=np.float32), drawn, axis=1)[:, :drawn]
        for at in range(0, times, chunk)
    ]
    return np.concatenate(parts).astype(np.int64)
