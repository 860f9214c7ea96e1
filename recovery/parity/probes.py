"""What agreed test pairs say of a channel: each is one matter told twice, so that few of them tell much (D.5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from recovery.parity.customers import dealt
from recovery.parity.sequential import pair_log_e

FEWEST: Final = 25
"""Pairs; so many show a factor of two where waits scatter as the house assumes (sigma 0.9 on the log scale). Fewer say nothing."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Pairs of one channel: how many, the ratio of its times to those of the other sides, its 95 % interval, and p.

    evidence: the most that ever spoke against likeness, pair by pair (`sequential.pair_log_e`); 20 rings, whenever one looks.
    p: two-sided, None below FEWEST pairs or where nothing varies. An end of the interval is None where it is not reached.
    """

    pairs: int
    ratio: float | None
    low: float | None
    high: float | None
    p: float | None
    evidence: float = 1.0


def compare(log_ratios: Sequence[float]) -> Compared:
    """Compare the two sides of pairs: the signed sum of their log ratios, with signs dealt anew (Fisher 1935).

    log_ratios: of one channel's time to the other side's. Symmetric about 0 where channels are treated alike, for each side was
    told at a moment drawn by itself. The interval inverts the same statistic. p is for a whole set, evidence for any moment.
    """
    y = np.asarray(log_ratios, dtype=float)
    count = len(y)
    if count == 0:
        return Compared(0, None, None, None, None)
    value = float(np.exp(y.mean()))
    found = dealt(y)
    evidence = float(np.exp(min(max(float(pair_log_e(log_ratios).max()), 0.0), 700.0)))
    if found is None:
        return Compared(count, value, None, None, None, evidence)
    p, critical = found
    low, high = _ends(y, critical)
    return Compared(count, value, low, high, p if count >= FEWEST else None, evidence)


def _ends(y: np.ndarray, critical: float) -> tuple[float | None, float | None]:
    """Where (sum(y) - n x)^2 = critical^2 * sum((y - x)^2)."""
    n, total, squares = len(y), float(y.sum()), float((y**2).sum())
    square = critical**2
    a, b, c = n * n - square * n, -2 * total * (n - square), total**2 - square * squares
    inside = b * b - 4 * a * c
    if a <= 0 or inside < 0:
        return None, None
    root = float(np.sqrt(inside))
    return float(np.exp((-b - root) / (2 * a))), float(np.exp((-b + root) / (2 * a)))
