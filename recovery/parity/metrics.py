"""What is compared: yes/no answers and waiting times, put into bins that span the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from recovery.parity.columns import Flags
from recovery.parity.kernel import Floats
from recovery.parity.reading import Cases

PROMISE_KEPT, TIME_TO_RESOLUTION = "promise_kept", "time_to_resolution"
BINS, FEWEST_BINS = 256, 32
MOST_CELLS = 2_000_000  # strata x channels x bins of one metric
MANY_ZEROS = 0.10  # share of waits of nothing above which a ratio of times means little
SHORTEST_HOURS = 1 / 60


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One thing compared. valid: rows with an answer; place, event: bin and "was seen" per valid row.

    mids: hours that stand for each bin (times), empty for shares; width: of a bin on the log scale, None where not
    logarithmic.
    """

    name: str
    valid: Flags
    place: npt.NDArray[np.integer]
    event: Flags
    bins: int
    mids: Floats
    width: float | None = None
    values: Floats = field(default_factory=lambda: np.empty(0))  # times of the valid rows, in `unit`
    unit: str = "hours"

    @property
    def is_time(self) -> bool:
        return len(self.mids) > 0


def of(cases: Cases, strata: int) -> Iterator[Metric]:
    """Yield everything that can be compared in these cases; strata: how many, for bins must fit into memory."""
    bins = max(FEWEST_BINS, min(BINS, MOST_CELLS // max(1, strata * len(cases.channels))))
    if cases.promises and cases.due.any():
        yield _share(PROMISE_KEPT, cases.due, cases.kept)
    if cases.timed:
        yield _time(TIME_TO_RESOLUTION, cases.hours, cases.closed, bins=bins, whole_days=cases.by_day)
    for outcome in cases.outcomes:
        known = ~np.isnan(outcome.values)
        if outcome.kind == "bool" and known.any():
            yield _share(outcome.name, known, outcome.values == 1)
        elif outcome.kind == "duration" and known.any():
            waits = outcome.values if outcome.waited is None else outcome.waited
            yield _time(outcome.name, waits, known, bins=bins, whole_days=outcome.by_day, unit=outcome.unit)


def _share(name: str, valid: Flags, yes: Flags) -> Metric:
    answers = np.where(yes[valid], 0, 1).astype(np.int16)
    return Metric(
        name=name, valid=valid, place=answers, event=np.ones(len(answers), dtype=bool), bins=2, mids=np.empty(0)
    )


def _time(name: str, values: Floats, event: Flags, *, bins: int, whole_days: bool, unit: str = "hours") -> Metric:
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
        mids=mids, width=width, values=known, unit=unit
    )  # fmt: skip
