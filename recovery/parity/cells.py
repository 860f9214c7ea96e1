"""Counts that add up, without anybody in them: what became of a day's matters, by metric, kind, channel and bin (domain.md D.2).

A cell counts outcomes seen in a bin (`d`) and matters still waiting (`q`). Times lie in bins that are a twelfth of a doubling wide,
from a minute on; a yes is bin 0 and a no bin 1. How long a matter has waited changes with every minute, when it began does not:
a day's cells hold those still waiting by the five minutes of the day in which their customer spoke, as bins below zero, and only
`aged` turns them into waits. So cells of a day change only where something happened, and a change is itself cells to add.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from recovery.parity import effects, kernel
from recovery.parity.columns import Flags
from recovery.parity.contrasts import Contrast, judged
from recovery.parity.kernel import Floats, Ints, Pair
from recovery.parity.maps import RESPONSE_COVERAGE
from recovery.parity.metrics import MANY_ZEROS, TIME_TO_RESOLUTION
from recovery.parity.own import DISMISSED, FLAGS, UNKNOWN, Matters, Whole

FIRST_RESPONSE, INGEST_LAG = "first_response", "ingest_lag"
TIMES: Final = (FIRST_RESPONSE, TIME_TO_RESOLUTION, INGEST_LAG)
SHORTEST = 60.0  # seconds; what took no time lies in bin 0, what took no longer than this in bin 1
A_DOUBLING = 12
BINS = 195  # the last one begins after 44 days
WIDTH = float(np.log(2.0)) / A_DOUBLING
SLOT = 300  # seconds
EDGES: Final = np.concatenate([[0.0, 0.0], SHORTEST * np.exp(WIDTH * np.arange(BINS - 1))])
"""Seconds between which the bins lie: bin k from EDGES[k] (excluded) to EDGES[k + 1]."""
OTHERS = "others"
LIVE: Final = (
    "number",
    "channel",
    "type",
    "severity",
    "region",
    "spoke_at",
    "answer_due_at",
    "answered_at",
    "settled_at",
)
"""Columns without which nothing can be said about what still waits."""


class Names(NamedTuple):
    """What the codes of cells mean."""

    metrics: tuple[str, ...]
    strata: tuple[str, ...]
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cells:
    """Counts as columns of equal length; no two cells have the same codes and bin. Counts below zero take away."""

    names: Names
    metric: Ints
    stratum: Ints
    channel: Ints
    bin: Ints
    d: Ints
    q: Ints

    def __len__(self) -> int:
        return len(self.d)


NOTHING: Final = Cells(Names((), (), ()), *(np.empty(0, dtype=np.int64) for _ in range(6)))


def bin_of(seconds: npt.NDArray[np.number[Any]]) -> Ints:
    """The bin of a time; what is below nothing took no time."""
    place = 1 + np.ceil(np.log(np.maximum(seconds, SHORTEST) / SHORTEST) / WIDTH - 1e-9)
    bins: Ints = np.where(seconds <= 0, 0, np.minimum(place, BINS - 1)).astype(np.int64)
    return bins


def counted(matters: Matters, *, began: datetime) -> Cells:
    """Count what became of these matters as of their own moment, those still waiting by when they spoke after `began`.

    What counts for what is said in recovery/parity/reading.py and answers.py, which the exact audit goes through. Of matters that
    have the columns LIVE alone the first answer, the end, whether they were answered and dismissed.
    """
    columns, at, start = matters.columns, int(matters.at.timestamp()), int(began.timestamp())
    flags = [name for name in FLAGS if name in columns]
    spoke = columns["spoke_at"]
    settled = columns["settled_at"]
    usable = (settled == UNKNOWN) | (settled >= spoke)
    kind, strata = matters.kinds()
    waits_since = -1 - (spoke - start) // SLOT
    answered, due = columns["answered_at"], columns["answer_due_at"]
    reached_us = columns.get("reached_us_at", np.full_like(spoke, UNKNOWN))
    parts = [
        _part(0, usable & ((answered != UNKNOWN) | (due != UNKNOWN)), answered, spoke, waits_since),
        _part(1, usable, settled, spoke, waits_since),
        _part(2, usable & (reached_us != UNKNOWN), reached_us, spoke, waits_since),
        _shares(3, usable & (due != UNKNOWN) & (due <= at), answered != UNKNOWN),
        *(
            _shares(4 + place, usable & (columns[name] != UNKNOWN), columns[name] == 1)
            for place, name in enumerate(flags)
        ),
    ]
    names = Names((*TIMES, RESPONSE_COVERAGE, *flags), strata, matters.channels)
    channel = columns["channel"].astype(np.int64)
    held = [
        Cells(names, np.full(len(rows), metric), kind[rows], channel[rows], bins, d, 1 - d)
        for metric, rows, bins, d in parts
    ]
    told = matters.dismissed
    no = np.where(told["is"] == 1, 0, 1).astype(np.int64)
    nought = np.zeros_like(no)
    apart = Cells(
        Names((DISMISSED,), matters.types, matters.channels),
        nought, told["type"].astype(np.int64), told["channel"].astype(np.int64), no, nought + 1, nought,
    )  # fmt: skip
    return total([*held, apart])


def _part(metric: int, valid: Flags, end: Whole, spoke: Whole, waits_since: Whole) -> tuple[int, Ints, Ints, Ints]:
    rows = np.flatnonzero(valid)
    ended = end[rows] != UNKNOWN
    bins = np.where(ended, bin_of(end[rows] - spoke[rows]), waits_since[rows])
    return metric, rows, bins, ended.astype(np.int64)


def _shares(metric: int, valid: Flags, yes: Flags) -> tuple[int, Ints, Ints, Ints]:
    rows = np.flatnonzero(valid)
    return metric, rows, np.where(yes[rows], 0, 1).astype(np.int64), np.ones(len(rows), dtype=np.int64)


def total(parts: Iterable[Cells]) -> Cells:
    """Add cells up, whatever their codes; cells that come to nothing are left out."""
    held = list(parts)
    names = Names(*(tuple(dict.fromkeys(name for part in held for name in part.names[axis])) for axis in range(3)))
    metric, stratum, channel, d, q, bins = (
        np.concatenate([np.empty(0, dtype=np.int64), *found])
        for found in (
            *([_coded(part, axis, names) for part in held] for axis in range(3)),
            [part.d for part in held], [part.q for part in held], [part.bin for part in held],
        )
    )  # fmt: skip
    least = int(bins.min(initial=0))
    span = int(bins.max(initial=0)) - least + 1
    key = ((metric * max(1, len(names.strata)) + stratum) * max(1, len(names.channels)) + channel) * span + bins - least
    _, first, place = np.unique(key, return_index=True, return_inverse=True)
    seen, waiting = (np.rint(np.bincount(place, each, len(first))).astype(np.int64) for each in (d, q))
    kept = first[(seen != 0) | (waiting != 0)]
    some = (seen != 0) | (waiting != 0)
    return Cells(names, metric[kept], stratum[kept], channel[kept], bins[kept], seen[some], waiting[some])


def _coded(part: Cells, axis: int, names: Names) -> Ints:
    codes: Ints = (part.metric, part.stratum, part.channel)[axis]
    places = {name: place for place, name in enumerate(names[axis])}
    return np.array([places[name] for name in part.names[axis]], dtype=np.int64)[codes] if len(codes) else codes


def change(before: Cells, after: Cells) -> Cells:
    """What has to be added to cells to make others of them."""
    return total([after, replace(before, d=-before.d, q=-before.q)])


def aged(cells: Cells, *, began: datetime, at: datetime) -> Cells:
    """Cells in which those still waiting lie where their waits stand at a moment, each from the middle of its five minutes."""
    seconds = (at - began).total_seconds() - (-1 - cells.bin + 0.5) * SLOT
    return replace(cells, bin=np.where(cells.bin < 0, bin_of(seconds), cells.bin))


# ------------------------------------------------------------------------------------------------------ what they say


@dataclass(frozen=True, slots=True)
class Table:
    """Cells of a window side by side: d and q have the shape (metrics, strata, channels, bins)."""

    names: Names
    d: Floats
    q: Floats


def table(parts: Sequence[Cells]) -> Table:
    """Add aged cells up into a table. What comes to less than nothing, for its kind has changed since it was counted, is none."""
    names = Names(*(tuple(dict.fromkeys(name for part in parts for name in part.names[axis])) for axis in range(3)))
    shape = (len(names.metrics), len(names.strata), len(names.channels), BINS)
    flat = [
        ((_coded(part, 0, names) * shape[1] + _coded(part, 1, names)) * shape[2] + _coded(part, 2, names)) * BINS
        + part.bin
        for part in parts
    ]
    where = np.concatenate([np.empty(0, dtype=np.int64), *flat])
    d, q = (
        np.maximum(np.bincount(where, np.concatenate([np.empty(0), *held]), int(np.prod(shape))), 0.0).reshape(shape)
        for held in ([part.d for part in parts], [part.q for part in parts])
    )
    return Table(names, d, q)


def quantile(d: Floats, q: Floats, share: float) -> float | None:
    """Seconds by which a share of the matters had its end, None where so many have not come to it.

    Kaplan and Meier (1958) for counts in bins: who is last seen waiting in a bin is there for half of it (Cutler and
    Ederer 1958).
    d, q: (bins,) each. Between the edges of a bin it is drawn on the logarithm of time, below a minute on time itself.
    """
    survival = np.concatenate([[1.0], _survival(d, q)])
    reached = np.flatnonzero(survival[1:] <= 1.0 - share + 1e-12)
    if not len(reached):
        return None
    place = int(reached[0])
    before, after = survival[place], survival[place + 1]
    part = float((before - (1.0 - share)) / (before - after)) if before > after else 1.0
    low, high = float(EDGES[place]), float(EDGES[place + 1])
    return low + part * (high - low) if low == 0 else low * (high / low) ** part


def _survival(d: Floats, q: Floats) -> Floats:
    risk = kernel.at_risk(d + q) - q / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        left: Floats = np.clip(np.where(risk > 0, 1.0 - d / risk, 1.0), 0.0, 1.0).cumprod()
    return left


def contrasts(told: Table) -> tuple[Contrast, ...]:
    """Every channel against all the others, like for like, with verdicts, as the exact audit has them inside kinds but for the
    log-rank test, which needs the rows, as comparing under like load does. Dismissals are judged among themselves.
    """
    sizes = (told.d + told.q).sum(axis=(0, 1, 3))
    shown = sorted(np.flatnonzero(sizes).tolist(), key=lambda code: (-sizes[code], told.names.channels[code]))
    made: list[Contrast] = []
    for place, metric in enumerate(told.names.metrics):
        d, q = told.d[place], told.q[place]
        if len(shown) < 2 or not (d.any() or q.any()):
            continue
        for code in shown:
            others = [each for each in shown if each != code]
            versus = OTHERS if len(others) > 1 else told.names.channels[others[0]]
            made.append(_contrast(metric, told.names.channels[code], versus, d, q, code, others))
    apart = [each for each in made if each.metric == DISMISSED]
    return (*judged([each for each in made if each.metric != DISMISSED]), *judged(apart))


def _contrast(metric: str, channel: str, versus: str, d: Floats, q: Floats, code: int, others: list[int]) -> Contrast:
    is_time = metric in TIMES
    both_sides = [np.stack([each[:, code], each[:, others].sum(axis=1)], axis=1) for each in (d, q)]
    pair = Pair(*(each if is_time else each[..., :2] for each in both_sides))
    sizes = pair.sizes()
    both = np.asarray((sizes > 0).all(axis=1))
    every, shared = sizes.sum(axis=0), sizes[both].sum(axis=0)
    largest = int(max(float((d + q)[both, each].sum()) for each in others))
    if not is_time:
        tested = effects.binary(pair)
    elif _often_nothing(d):
        tested = effects.times(pair, width=None)
    else:
        tested = effects.times(Pair(*(_on_the_logarithm(each) for each in both_sides)), width=WIDTH)
    return Contrast(
        metric=metric, channel=channel, versus=versus, stratum=None, n=int(every[0]), n_versus=int(every[1]),
        comparable=int(shared[0]), fewest=min(int(shared.min()), largest), tested=tested,
        gap_hours=effects.mean_gap(pair, _MIDS / 3600.0) if is_time and both.any() else None,
        share_ratio=effects.share_ratio(pair) if metric == RESPONSE_COVERAGE else None,
    )  # fmt: skip


_MIDS: Final = np.concatenate([[0.0, SHORTEST / 2], np.sqrt(EDGES[2:-1] * EDGES[3:])])


def _on_the_logarithm(counts: Floats) -> Floats:
    """With what took no time among what took a minute at most: bins of one width each."""
    made = counts[..., 1:].copy()
    made[..., 0] += counts[..., 0]
    return made


def _often_nothing(d: Floats) -> bool:
    """Where many took no time, a ratio of times means little."""
    seen = d.sum(axis=(0, 1))
    return bool(seen[0] > MANY_ZEROS * seen.sum())
