"""What is watched of our own matters between looks: four measures, each as ties that `sequential` adds up.

A time counts an outcome in the slice of the calendar in which it came. A share asks of matters of one slice, once they are a week
old, which ended worse: what would be known of them earlier depends on how they end, so they are not looked at earlier.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from recovery.parity import sequential, verdicts
from recovery.parity.columns import Flags
from recovery.parity.effects import Estimate
from recovery.parity.kernel import Floats, Ints
from recovery.parity.maps import RESPONSE_COVERAGE
from recovery.parity.metrics import TIME_TO_RESOLUTION
from recovery.parity.own import UNKNOWN, Matters
from recovery.parity.sequential import Sums, Ties, Waits

HOUR: Final = 3600.0
HORIZON_DAYS: Final = 28
"""A time is watched for so long; who waits longer is not forgotten, only not watched here."""
RIPE_DAYS: Final = 7
"""So old is the youngest matter of a cohort; the waits of a cohort count up to so many days."""


@dataclass(frozen=True, slots=True)
class Measure:
    """begins, ends: columns of Matters. ends: where a time ends; empty for a share, whose matters are of a slice by `begins`."""

    name: str
    begins: str
    ends: str = ""

    @property
    def is_time(self) -> bool:
        return bool(self.ends)

    @property
    def ripe_days(self) -> int:
        """How many days after a slice its matters are asked."""
        return 0 if self.is_time else RIPE_DAYS

    @property
    def ratios(self) -> tuple[float, ...]:
        """What the change detector looks for: slower times, worse ends."""
        return sequential.SLOWER if self.is_time else sequential.WORSE


MEASURES: Final = {
    measure.name: measure
    for measure in (
        Measure(RESPONSE_COVERAGE, "spoke_at"),
        Measure("first_response", "spoke_at", "answered_at"),
        Measure(TIME_TO_RESOLUTION, "spoke_at", "settled_at"),
        Measure("remedy_in_full", "settled_at"),
    )
}
"""The primary four (domain decision); the false alarms of all together are budgeted as one."""


class Watched:
    """Matters as of one moment, asked about one measure. Moments are seconds since 1970 UTC."""

    def __init__(self, measure: Measure, matters: Matters) -> None:
        columns = matters.columns
        self.measure, self.channels = measure, len(matters.channels)
        self.at = matters.at.timestamp()
        self.stratum: Ints = matters.kinds()[0].astype(np.int64)
        self.channel: Ints = columns["channel"].astype(np.int64)
        self.begins: Ints = columns[measure.begins].astype(np.int64)
        self.known = self.begins != UNKNOWN
        self.worse: Flags = np.zeros(len(matters), dtype=bool)
        self.ends: Ints = columns[measure.ends].astype(np.int64) if measure.is_time else self.begins
        if measure.name == RESPONSE_COVERAGE:  # who was promised an answer that is due: did one come at all?
            due = columns["answer_due_at"]
            self.known = self.known & (due != UNKNOWN) & (due <= self.at)
            self.worse = columns["answered_at"] == UNKNOWN
        elif measure.name == "first_response":
            self.known = self.known & (columns["answer_due_at"] != UNKNOWN)
        elif not measure.is_time:
            self.known = self.known & (columns[measure.name] != UNKNOWN)
            self.worse = columns[measure.name] == 0

    def _of(self, since: float, until: float) -> Flags:
        rows: Flags = self.known & (self.begins >= since) & (self.begins < until)
        return rows

    def _waits(self, rows: Flags) -> Waits:
        seen = self.ends[rows] != UNKNOWN
        begins = self.begins[rows]
        wait = np.where(seen, self.ends[rows], self.at) - begins
        return Waits(
            stratum=self.stratum[rows], channel=self.channel[rows], opened=begins / HOUR,
            wait=np.maximum(wait, 0.0) / HOUR, seen=seen,
        )  # fmt: skip

    def enough(self, since: float, until: float) -> bool:
        """Say whether the matters that began in this slice can be compared with each other."""
        return sequential.enough(self.stratum[self._of(since, until)])

    def added(self, since: float, until: float) -> Sums:
        """What a slice that is over adds to U and V."""
        if not self.measure.is_time:
            return self.cohort(since, until).sums()
        return sequential.calendar(
            self._waits(self._of(since - HORIZON_DAYS * 24 * HOUR, until)), since=since / HOUR, until=until / HOUR,
            channels=self.channels, horizon=HORIZON_DAYS * 24.0,
        ).sums()  # fmt: skip

    def cohort(self, since: float, until: float) -> Ties:
        """The matters that began in a slice, a week after it."""
        rows = self._of(since, until)
        if self.measure.is_time:
            return sequential.cohort(self._waits(rows), channels=self.channels, horizon=RIPE_DAYS * 24.0)
        return sequential.shares(self.stratum[rows], self.channel[rows], self.worse[rows], channels=self.channels)

    def gap_hours(self, since: float, until: float) -> Floats:
        """For times: how much longer a channel's matters of a slice waited, within a week, than like ones: means, (channels,)."""
        waits = self._waits(self._of(since, until))
        hours = np.minimum(waits.wait, RIPE_DAYS * 24.0)
        strata = int(self.stratum.max(initial=0)) + 1
        flat, shape = waits.stratum * self.channels + waits.channel, (strata, self.channels)
        count = np.bincount(flat, minlength=strata * self.channels).reshape(shape).astype(float)
        total = np.bincount(flat, hours, strata * self.channels).reshape(shape)
        rest, rest_total = count.sum(axis=1, keepdims=True) - count, total.sum(axis=1, keepdims=True) - total
        weight = count * rest / np.maximum(count + rest, 1.0)
        gap = np.where(weight > 0, total / np.maximum(count, 1.0) - rest_total / np.maximum(rest, 1.0), 0.0)
        found: Floats = (weight * gap).sum(axis=0) / np.maximum(weight.sum(axis=0), 1e-12)
        return found


def size(measure: Measure, sums: Sums, channel: int) -> Estimate:
    """How large the difference of one channel is over these sums: a ratio of hazards for times, of more well-ended for shares."""
    u, v, overlap = (float(each[channel]) for each in (sums.u, sums.v, sums.overlap))
    return sequential.hazard_ratio(u, v) if measure.is_time else sequential.difference(u, v, overlap)


def matters_enough(measure: Measure, effect: Estimate, gap_hours: float) -> bool:
    """Say whether a difference that rang is large enough to be a finding: as for a look, not what is too small to matter."""
    margin = verdicts.margin_of(measure.name, "time_ratio" if measure.is_time else effect.kind)
    return verdicts.beyond_trivial(effect, gap_hours if measure.is_time else None, verdicts.LEAST_GAP_HOURS, margin)
