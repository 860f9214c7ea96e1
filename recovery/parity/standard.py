"""What every channel's value would be if all received the same mix of cases."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from recovery.parity import survival, verdicts
from recovery.parity.columns import Flags
from recovery.parity.kernel import Floats, Ints
from recovery.parity.metrics import Metric
from recovery.parity.reading import Cases

SHARED_STRATUM = 20  # cases that every shown channel has in a stratum used for standardising


def standardised(
    cases: Cases,
    metrics: tuple[Metric, ...],
    stratum: Ints,
    names: tuple[str, ...],
    shown: list[int],
    orders: Mapping[str, Ints],
) -> tuple[dict[str, dict[str, float | None]], dict[str, tuple[str, ...]]]:
    """Every channel's value over one mix: the strata of which all channels with enough cases have at least 20 answers.

    A stratum weighs as many cases as these channels have in it, so the mix is the same for every channel.

    Where they share none, the smallest channel is left out (its value is null) until they do. orders: by
    metric, its valid rows by stratum, then time.
    """
    sizes = _per_stratum(stratum, cases.channel, len(names), len(cases.channels))
    values: dict[str, dict[str, float | None]] = {}
    shared: dict[str, tuple[str, ...]] = {}
    for metric in metrics:
        where, channel = stratum[metric.valid], cases.channel[metric.valid]
        counts = _per_stratum(where, channel, len(names), len(cases.channels))
        total = counts.sum(axis=0)
        usual = sorted((code for code in shown if total[code] >= verdicts.FEWEST), key=lambda code: -total[code])
        common = np.zeros(len(names), dtype=bool)
        while len(usual) > 1:
            common = np.asarray((counts[:, usual] >= SHARED_STRATUM).all(axis=1))
            if common.any():
                break
            usual.pop()
        line: dict[str, float | None] = {cases.channels[code]: None for code in shown}
        if len(usual) > 1 and common.any():
            mix = sizes[:, usual].sum(axis=1) * common
            for code in usual:
                line[cases.channels[code]] = _standard(
                    metric, where, channel == code, np.flatnonzero(common), mix / mix.sum(), orders[metric.name]
                )
            shared[metric.name] = tuple(names[code] for code in np.flatnonzero(common))
        values[metric.name] = line
    return values, shared


def _per_stratum(stratum: Ints, channel: npt.NDArray[np.integer], strata: int, channels: int) -> Ints:
    """Count rows: (strata, channels)."""
    return np.bincount(stratum * channels + channel, minlength=strata * channels).reshape(strata, channels)


def _standard(metric: Metric, stratum: Ints, own: Flags, used: Ints, mix: Floats, order: Ints) -> float | None:
    """The share of yes, the mean number or grade (1 the worst), or the median time, that a channel would have with the given mix
    of strata.
    """
    if metric.is_graded:
        sums = np.bincount(stratum[own], weights=(metric.bins - metric.place[own]).astype(float), minlength=len(mix))
        every = np.bincount(stratum[own], minlength=len(mix))
        return float((sums[used] / every[used] * mix[used]).sum())
    if metric.number:
        total = np.bincount(stratum[own], metric.values[own], minlength=len(mix))
        count = np.bincount(stratum[own], minlength=len(mix))
        return float((total[used] / count[used] * mix[used]).sum())
    if not metric.is_time:
        yes = np.bincount(stratum[own & (metric.place == 0)], minlength=len(mix))
        every = np.bincount(stratum[own], minlength=len(mix))
        return float((yes[used] / every[used] * mix[used]).sum())
    rows = order[own[order]]
    ends = np.cumsum(np.bincount(stratum[rows], minlength=len(mix)))
    curves = []
    for code in used:
        part = rows[ends[code - 1] if code else 0 : ends[code]]
        curves.append(survival.curve(metric.values[part], metric.event[part]))
    return survival.standardised_quantile(curves, mix[used], 0.5)
