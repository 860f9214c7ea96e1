"""What every channel's value would be if all received the same mix of cases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from recovery.parity import survival, verdicts
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
            mix, used = mix / mix.sum(), np.flatnonzero(common)
            if metric.is_time:
                order = orders[metric.name]
                by_channel = channel[order]
                for code in usual:
                    line[cases.channels[code]] = _median(metric, where, order[by_channel == code], used, mix)
            else:
                sums = _per_stratum(where, channel, len(names), len(cases.channels), _scores(metric))
                means = sums[used][:, usual] / counts[used][:, usual]
                for code, mean in zip(usual, means.T, strict=True):
                    line[cases.channels[code]] = float((mean * mix[used]).sum())
            shared[metric.name] = tuple(names[code] for code in np.flatnonzero(common))
        values[metric.name] = line
    return values, shared


def _per_stratum(
    stratum: Ints, channel: npt.NDArray[np.integer], strata: int, channels: int, scores: Floats | None = None
) -> npt.NDArray[Any]:
    """Count rows, or add up their scores: (strata, channels)."""
    return np.bincount(stratum * channels + channel, scores, strata * channels).reshape(strata, channels)


def _scores(metric: Metric) -> Floats:
    """What is averaged of each row: yes as 1, a number, a grade (1 the worst)."""
    if metric.is_graded:
        return (metric.bins - metric.place).astype(np.float64)
    return metric.values if metric.number else (metric.place == 0).astype(np.float64)


def _median(metric: Metric, stratum: Ints, rows: Ints, used: Ints, mix: Floats) -> float | None:
    """The median time of these rows, which stand by stratum and then time, with the given mix of strata."""
    ends = np.cumsum(np.bincount(stratum[rows], minlength=len(mix)))
    curves = []
    for code in used:
        part = rows[ends[code - 1] if code else 0 : ends[code]]
        curves.append(survival.curve(metric.values[part], metric.event[part]))
    return survival.standardised_quantile(curves, mix[used], 0.5)
