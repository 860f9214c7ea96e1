"""What is compared: yes/no answers, waiting times and numbers, put into bins that span the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from recovery.parity.answers import Answers
from recovery.parity.columns import Flags
from recovery.parity.kernel import Floats, Ints
from recovery.parity.maps import NUMBERS
from recovery.parity.reading import Cases

PROMISE_KEPT, TIME_TO_RESOLUTION = "promise_kept", "time_to_resolution"
BINS, FEWEST_BINS = 256, 32
MOST_CELLS = 2_000_000  # strata x channels x bins of one metric
MANY_ZEROS = 0.10  # share of waits of nothing above which a ratio of times means little
SHORTEST_HOURS = 1 / 60
PARTS = (0.0, 1e-9, 0.25, 0.5, 0.7, 0.85, 0.95, 0.99, 1.0)  # where the nine bins of a ratio begin: nothing, ..., all
COUNTED = 6  # bins of a count, the last for all that are more
AMOUNTS = 72  # bins of an amount: nothing, then on a log scale


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One thing compared. valid: rows with an answer; place, event: bin and "was seen" per valid row.

    is_graded: the bins are grades, the best first, so that a later bin is the worse one, as with times.
    mids: hours that stand for each bin (times), empty for the rest; width: of a bin on the log scale, None where not
    logarithmic. number: ratio, amount or count where it is one. promised: hours allowed, NaN where not known. apart: codes
    that are only compared among themselves.
    """

    name: str
    valid: Flags
    place: npt.NDArray[np.integer]
    event: Flags
    bins: int
    mids: Floats
    width: float | None = None
    values: Floats = field(default_factory=lambda: np.empty(0))  # of the valid rows: times in `unit`, and numbers
    unit: str = "hours"
    number: str = ""
    promised: Floats | None = None
    apart: Ints | None = None
    is_graded: bool = False

    @property
    def is_time(self) -> bool:
        return len(self.mids) > 0


def of(cases: Cases, strata: int) -> Iterator[Metric]:
    """Yield everything that can be compared in these cases; strata: how many, for bins must fit into memory."""
    bins = max(FEWEST_BINS, min(BINS, MOST_CELLS // max(1, strata * len(cases.channels))))
    if cases.promises and cases.due.any():
        yield _share(PROMISE_KEPT, cases.due, cases.kept)
    if cases.timed:
        promised = cases.promised_hours
        yield _time(
            TIME_TO_RESOLUTION, cases.hours, cases.closed, bins=bins, whole_days=cases.by_day, promised=promised
        )
    for outcome in cases.outcomes:
        known = ~np.isnan(outcome.values)
        if outcome.kind == "bool" and known.any():
            yield _share(outcome.name, known, outcome.values == 1)
        elif outcome.kind == "ordinal" and known.any():
            yield _grade(outcome.name, known, outcome.values, len(outcome.labels))
        elif outcome.kind == "duration" and known.any():
            waits = outcome.values if outcome.waited is None else outcome.waited
            yield _time(
                outcome.name, waits, known, bins=bins, whole_days=outcome.by_day, unit=outcome.unit,
                promised=outcome.promised,
            )  # fmt: skip
        elif outcome.kind in NUMBERS and known.any():
            yield _number(outcome, known)


def _share(name: str, valid: Flags, yes: Flags) -> Metric:
    answers = np.where(yes[valid], 0, 1).astype(np.int16)
    return Metric(
        name=name, valid=valid, place=answers, event=np.ones(len(answers), dtype=bool), bins=2, mids=np.empty(0)
    )


def _number(outcome: Answers, valid: Flags) -> Metric:
    """Bins of a ratio, a count or an amount.

    Amounts are in parts of the mean of their currency, so that no rate of exchange matters.
    """
    values = outcome.values[valid]
    apart = None
    if outcome.kind == "ratio":
        place, bins = np.searchsorted(PARTS, values, side="right") - 1, len(PARTS)
    elif outcome.kind == "count":
        place, bins = np.minimum(values, COUNTED - 1).astype(np.int64), COUNTED
    else:
        if outcome.currency is not None:
            apart = np.unique(outcome.currency[valid], return_inverse=True)[1].astype(np.int64)
            means = np.bincount(apart, values) / np.bincount(apart)
            values = values / np.where(means > 0, means, 1.0)[apart]
        place, bins = _logarithmic(values), AMOUNTS
    return Metric(
        name=outcome.name, valid=valid, place=place.astype(np.int64), event=np.ones(len(values), dtype=bool), bins=bins,
        mids=np.empty(0), values=values, number=outcome.kind, apart=apart,
    )  # fmt: skip


def _logarithmic(values: Floats) -> Ints:
    """Nothing in the first bin, what is more than nothing in the others."""
    some = values > 0
    logs = np.log(values[some])
    place = np.zeros(len(values), dtype=np.int64)
    if len(logs):
        low, high = float(logs.min()), max(float(logs.max()), float(logs.min()) + 1e-6)
        place[some] = 1 + np.minimum((logs - low) / (high - low) * (AMOUNTS - 1), AMOUNTS - 2).astype(np.int64)
    return place


def _grade(name: str, valid: Flags, places: Floats, grades: int) -> Metric:
    """places: from the worst grade on. A few bins, as van Elteren's test takes them; nothing is censored."""
    worse = (grades - 1 - places[valid]).astype(np.int64)
    return Metric(
        name=name, valid=valid, place=worse, event=np.ones(len(worse), dtype=bool), bins=grades, mids=np.empty(0),
        values=worse.astype(float), unit="grade", is_graded=True,
    )  # fmt: skip


def _time(
    name: str,
    values: Floats,
    event: Flags,
    *,
    bins: int,
    whole_days: bool,
    unit: str = "hours",
    promised: Floats | None = None,
) -> Metric:
    """Bins that span the file: logarithmic, or where times are whole days or often zero the values themselves."""
    valid = ~np.isnan(values)
    known, seen = values[valid], event[valid]
    scale = 24.0 if unit == "days" else 1.0
    seen_values = known[seen]
    zeros = float((seen_values <= 0).mean()) if len(seen_values) else 0.0
    most = float(known.max()) if len(known) else 0.0
    if whole_days or zeros > MANY_ZEROS or most * scale <= SHORTEST_HOURS:
        edges = np.unique(known)
        if len(edges) > bins:
            edges = np.unique(np.quantile(known, np.linspace(0, 1, bins), method="lower"))
        place = np.searchsorted(edges, known, side="right") - 1
        mids, width = edges * scale, None
    else:
        least = max(float(known[known > 0].min()), SHORTEST_HOURS / scale)
        width = float(np.log(max(most / least, 1.0001)) / (bins - 1))
        place = np.clip(np.ceil(np.log(np.maximum(known, least) / least) / width - 1e-9), 0, bins - 1)
        mids = least * np.exp((np.arange(bins) - 0.5) * width) * scale
    return Metric(
        name=name, valid=valid, place=place.astype(np.int16), event=seen, bins=len(mids),
        mids=mids, width=width, values=known, unit=unit, promised=None if promised is None else promised[valid],
    )  # fmt: skip
