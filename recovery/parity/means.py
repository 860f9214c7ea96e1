"""How far ratios, amounts and counts of two sides lie apart: the ratio of their means, tested by rank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recovery.parity import kernel
from recovery.parity.effects import PERMUTE_BELOW, Z90, Z95, Estimate, Result, binary, finite
from recovery.parity.kernel import Floats, Pair


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Of a number, per stratum and side: cases, their sum, and the sum of squares; (strata, 2) each."""

    n: Floats
    total: Floats
    squares: Floats


def compared(pair: Pair, moments: Moments, *, kind: str) -> Result:
    """Compare ratios, amounts or counts. pair: their bins, the smallest first, nothing censored; kind: of the effect.

    The test is van Elteren's on the bins; where one side has hardly a case outside the commonest bin, channels are dealt anew.
    The effect that carries the verdict is the ratio of means, strata weighed n1 n2 / n, with the delta method on the log
    scale; it is 0, without an upper end, where nobody on the first side had any, and not known where nobody on the other had.
    Beside it stands the difference of shares: of a part_ratio those that got less than all, else those above nothing.
    """
    both = (pair.sizes() > 0).all(axis=1)
    pair = Pair(pair.d[both], pair.q[both])
    less = kind == "part_ratio"
    edge = pair.d.shape[2] - 1 if less else 1
    shares = _difference(pair, edge, below=less)
    sums = kernel.score(pair)
    z = kernel.z_of(sums)
    ratio = _mean_ratio(moments.n[both], moments.total[both], moments.squares[both], kind=kind)
    if not np.isfinite(z):
        return Result(effects=(ratio, shares), p=None, z=None, test=None)
    cells = pair.d.sum(axis=1)
    odd = cells.sum(axis=1) - cells.max(axis=1)  # cases outside the commonest bin of each stratum
    expected = (odd / cells.sum(axis=1))[:, None] * pair.sizes()
    if expected.sum(axis=0).min() < PERMUTE_BELOW:
        found = kernel.permuted(pair)
        if found is not None:
            return Result(effects=(ratio, shares), p=found[0], z=finite(z), test="permutation")
    return Result(effects=(ratio, shares), p=kernel.normal_p(z), z=finite(z), test="van_elteren")


def _difference(pair: Pair, edge: int, *, below: bool) -> Estimate:
    """The difference of shares of cases in the bins below an edge, or from it on."""
    if len(pair.d) == 0:
        return Estimate(kind="risk_difference")
    parts = pair.d[:, :, :edge].sum(axis=2), pair.d[:, :, edge:].sum(axis=2)
    cells = np.stack(parts if below else parts[::-1], axis=2)
    return binary(Pair(cells, np.zeros_like(cells))).effects[0]


def _mean_ratio(n: Floats, total: Floats, squares: Floats, *, kind: str) -> Estimate:
    if len(n) == 0:
        return Estimate(kind=kind)
    weight = n.prod(axis=1) / n.sum(axis=1)
    weight = (weight / weight.sum())[:, None]
    means = (weight * total / n).sum(axis=0)
    if means[1] > 0 and means[0] == 0:  # nobody here had any: the ratio is nought, and how high it may be is not known
        return Estimate(kind=kind, value=0.0, low=0.0, low90=0.0)
    if not (means > 0).all():
        return Estimate(kind=kind)
    off = np.maximum(squares - total**2 / n, 0.0)  # squares about the mean
    pooled = off.sum(axis=1) / np.maximum(n.sum(axis=1) - 2.0, 1.0)
    variance = np.where(n > 1, off / np.maximum(n - 1.0, 1.0), pooled[:, None])
    relative = np.sqrt((weight**2 * variance / n).sum(axis=0)) / means
    if kind == "part_ratio":  # that nobody among n lost anything does not show that nobody does: the rule of three
        relative = np.maximum(relative, 3.0 / Z90 / n.sum(axis=0))
    value, spread = float(means[0] / means[1]), float(np.hypot(*relative))
    low, high, low90, high90 = (value * float(np.exp(end * spread)) for end in (-Z95, Z95, -Z90, Z90))
    return Estimate(kind=kind, value=value, low=low, high=high, low90=low90, high90=high90)
