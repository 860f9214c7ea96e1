"""Date columns: while they are read, and as durations after."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from recovery.parity import Unusable, maps
from recovery.parity.dates import DAY, LOCAL, NOTHING, Dates, Moment, Seconds, to_utc

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]

HOUR = 3600.0


@dataclass
class Times:
    """One date column while it is read."""

    name: str
    place: int
    seconds: array[int] = field(default_factory=lambda: array("q"))
    offset: array[int] = field(default_factory=lambda: array("i"))
    timed: array[int] = field(default_factory=lambda: array("b"))
    unreadable: int = 0

    def add(self, moment: Moment | None) -> None:
        self.seconds.append(NOTHING if moment is None else moment.seconds)
        self.offset.append(LOCAL if moment is None else moment.offset)
        self.timed.append(0 if moment is None else moment.timed)


@dataclass(frozen=True, kw_only=True)
class Column:
    """One date column after it was read: local seconds, UTC seconds and which rows know the day only."""

    local: Seconds
    utc: Seconds
    utc_later: Seconds
    days_only: Flags

    @property
    def known(self) -> Flags:
        return np.asarray(self.local != NOTHING)


def settle(column: Times, plan: maps.Map) -> Column:
    local = np.frombuffer(column.seconds, dtype=np.int64) if column.seconds else np.empty(0, dtype=np.int64)
    offset = np.frombuffer(column.offset, dtype=np.int32) if column.offset else np.empty(0, dtype=np.int32)
    timed = np.frombuffer(column.timed, dtype=np.int8).astype(bool) if column.timed else np.empty(0, dtype=bool)
    known = local != NOTHING
    if not ((local[known] % DAY) != 0).any():
        timed = np.zeros(len(local), dtype=bool)  # every time of day is midnight: the column knows days
    utc = to_utc(local, offset, plan.zone) if offset.any() else local
    return Column(
        local=local,
        utc=utc,
        utc_later=to_utc(local, offset, plan.zone, later=True) if (offset == LOCAL).any() else utc,
        days_only=known & ~timed,
    )


def between(start: Column, end: Column) -> tuple[Floats, Flags]:
    """Seconds from start to end, and where only whole days could be counted; an hour that came twice never makes it
    negative.
    """
    both = start.known & end.known
    days = both & (start.days_only | end.days_only)
    seconds = np.full(len(start.local), np.nan)
    exact = (end.utc[both] - start.utc[both]).astype(float)
    again = (end.utc_later[both] - start.utc[both]).astype(float)
    seconds[both] = np.where((exact < 0) & (again >= 0), again, exact)
    seconds[days] = (end.local[days] // DAY - start.local[days] // DAY).astype(float) * DAY
    return seconds, days


def forget(column: Column, rows: Flags) -> Column:
    """The column with these rows unknown."""
    local, utc, later = (np.where(rows, NOTHING, each) for each in (column.local, column.utc, column.utc_later))
    return replace(column, local=local, utc=utc, utc_later=later, days_only=column.days_only & ~rows)


def at_moment(moment: int, like: Column, zone: Any) -> Column:
    """One moment as a column as long as another."""
    away = datetime.fromtimestamp(moment, zone).utcoffset()
    count = len(like.local)
    utc = np.full(count, moment, dtype=np.int64)
    local = utc + (int(away.total_seconds()) if away else 0)
    return Column(local=local, utc=utc, utc_later=utc, days_only=np.zeros(count, dtype=bool))


def snapshot_of(written: str, zone: Any, times: list[Column], keep: Flags) -> int | None:
    if written:
        moment = Dates(("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S")).read(written)
        if moment is not None:
            seconds = moment.seconds if moment.timed else moment.seconds + DAY - 1  # a day ends when it ends
            return int(to_utc(np.array([seconds]), np.array([LOCAL], dtype=np.int32), zone)[0])
        try:
            read = datetime.fromisoformat(written.strip())
        except ValueError as trouble:
            raise Unusable(f"The snapshot {written} is not a time; write one such as 2026-01-31 18:00.") from trouble
        return math.floor(read.replace(tzinfo=read.tzinfo or zone).timestamp())
    latest = [each.utc[keep & each.known].max() for each in times if (keep & each.known).any()]
    return int(max(latest)) if latest else None
