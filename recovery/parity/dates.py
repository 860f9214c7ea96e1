"""Written dates become seconds: several formats, time zones, clock changes, and columns that know days only."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from recovery.parity import Unusable

Seconds = npt.NDArray[np.int64]

NOTHING = np.iinfo(np.int64).min  # no date, or none that can be read
LOCAL = np.iinfo(np.int32).min  # no offset written: local time of the map's zone
DAY = 86_400
EPOCH = date(1970, 1, 1).toordinal()
MEMORY = 400_000  # written times remembered before starting afresh

ISO_DATES = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d")
MONTH_FIRST = ("%m/%d/%Y", "%m-%d-%Y", "%m.%d.%Y", "%m/%d/%y", "%m-%d-%y")
DAY_FIRST = ("%d/%m/%Y", "%d-%m-%Y", "%d.%m.%Y", "%d/%m/%y", "%d-%m-%y", "%d.%m.%y")
WORDED = ("%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d %Y", "%b %d, %Y", "%B %d, %Y")
CLOCKS = ("%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p", "%H:%M:%S.%f", "%I:%M:%S.%f %p")
ZONES = ("", "%z", " %z", " UTC")
WHOLE = ("%a %b %d %H:%M:%S %z %Y", "%a %b %d %H:%M:%S %Y", "%a, %d %b %Y %H:%M:%S %z")
PLAIN = {"%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p"}  # read without strptime, which is slow
PLAIN_CLOCK = re.compile(r"(?P<h>\d{1,2}):(?P<m>\d{1,2})(?::(?P<s>\d{1,2}))?(?: (?P<half>[AaPp])[Mm])?")
HOURS_ONLY = re.compile(r"(?<=\d)[+-]\d\d$")  # PostgreSQL writes an offset of whole hours so
FINER = re.compile(r"(?<=\d\.\d{6})\d+")  # .NET and SQL Server write seven digits and more of a second
SHAPE = re.compile(r"\d+")


class Moment(NamedTuple):
    """One written date: local seconds since 1970, the written offset in seconds or LOCAL, whether it had a time of
    day.
    """

    seconds: int
    offset: int
    timed: bool


class Dates:
    """Reads written dates in the given formats, the first that fits, and remembers what it has seen."""

    def __init__(self, formats: Iterable[str]) -> None:
        self.formats = tuple(_split(each) for each in formats)
        self._days: dict[tuple[str, str], int | None] = {}
        self._clocks: dict[tuple[str, str], tuple[int, int] | None] = {}

    def read(self, value: Any) -> Moment | None:
        """Read a text (or a spreadsheet's date); None when no format fits."""
        if not isinstance(value, str):
            return _typed(value)
        text = value.strip()
        for day_format, between, clock_format in self.formats:
            if not between:
                if clock_format:
                    moment = _whole(text, clock_format)
                    if moment is not None:
                        return moment
                    continue
                days = self._day(day_format, text)
                if days is not None:
                    return Moment(days * DAY, LOCAL, False)
                continue
            day, found, clock = text.partition(between)
            if found:
                days = self._day(day_format, day)
                if days is not None:
                    read = self._clock(clock_format, clock)
                    if read is not None:
                        return Moment(days * DAY + read[0], read[1], True)
        return None

    def _day(self, pattern: str, text: str) -> int | None:
        key = (pattern, text)
        if key in self._days:
            return self._days[key]
        if len(self._days) > MEMORY:
            self._days.clear()
        try:
            days: int | None = datetime.strptime(text, pattern).toordinal() - EPOCH  # noqa: DTZ007 a wall clock
        except ValueError:
            days = None
        self._days[key] = days
        return days

    def _clock(self, pattern: str, text: str) -> tuple[int, int] | None:
        key = (pattern, text)
        if key in self._clocks:
            return self._clocks[key]
        if len(self._clocks) > MEMORY:
            self._clocks.clear()
        plain = PLAIN_CLOCK.fullmatch(text) if pattern in PLAIN else None
        if (
            plain
            and (plain["half"] is not None) == pattern.endswith("%p")
            and (plain["s"] is not None) == ("%S" in pattern)
        ):
            self._clocks[key] = _plain_clock(plain)
            return self._clocks[key]
        try:
            whole = FINER.sub("", text.strip())
            whole = HOURS_ONLY.sub(r"\g<0>00", whole) if "%z" in pattern else whole
            read = datetime.strptime(whole, pattern)  # noqa: DTZ007
            away = read.utcoffset()
            clock: tuple[int, int] | None = (
                read.hour * 3600 + read.minute * 60 + read.second,
                LOCAL if away is None else int(away.total_seconds()),
            )
        except ValueError:
            clock = None
        if clock is not None and clock[1] == LOCAL and pattern.endswith(" UTC"):
            clock = (clock[0], 0)
        self._clocks[key] = clock
        return clock


def _plain_clock(found: re.Match[str]) -> tuple[int, int] | None:
    hour, minute, second, half = int(found["h"]), int(found["m"]), int(found["s"] or 0), found["half"]
    if half is not None:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half in "pP" else 0)
    return (hour * 3600 + minute * 60 + second, LOCAL) if hour < 24 and minute < 60 and second < 60 else None


def _split(pattern: str) -> tuple[str, str, str]:
    """Take a format apart into day, separator and clock; a format that cannot be is read whole (slower)."""
    for between in ("T", " "):
        day, found, clock = pattern.partition(between)
        if found and not re.search(r"%[HIMSfpzZ]", day) and not re.search(r"%[YymdbBaAj]", clock) and "%" in clock:
            return day, between, clock
    return (pattern, "", "") if not re.search(r"%[HIMS]", pattern) else ("", "", pattern)


def _whole(text: str, pattern: str) -> Moment | None:
    try:
        read = datetime.strptime(text, pattern)  # noqa: DTZ007
        return _typed(read, timed=bool(re.search(r"%[HI]", pattern)))
    except ValueError:
        return None


def _typed(value: Any, *, timed: bool = True) -> Moment | None:
    if isinstance(value, datetime):
        away = value.utcoffset()
        value = value + timedelta(microseconds=500_000)  # spreadsheets keep days as fractions: to the nearest second
        seconds = (value.toordinal() - EPOCH) * DAY + value.hour * 3600 + value.minute * 60 + value.second
        return Moment(seconds, LOCAL if away is None else int(away.total_seconds()), timed)
    if isinstance(value, date):
        return Moment((value.toordinal() - EPOCH) * DAY, LOCAL, False)
    return None


def formats_of(columns: Mapping[str, Sequence[Any]]) -> dict[str, tuple[str, ...]]:
    """Find the formats that a sample is written in: column name -> formats.

    Day first and month first are told apart by the values above 12 in any of the columns, since one program writes one
    way.
    Raises Unusable when both readings fit everything seen: guessing would swap days and months silently.
    """
    fitting = {name: _fitting(values) for name, values in columns.items()}
    orders: Counter[str] = Counter()
    unclear = ""
    for shapes in fitting.values():
        for example, formats, weight in shapes:
            kinds = {_order(each) for each in formats}
            if kinds == {"day", "month"}:
                unclear = unclear or example
            elif kinds & {"day", "month"} and len(kinds) == 1:
                orders[next(iter(kinds))] += weight
    if unclear and not orders:
        raise Unusable(
            f"Dates such as {unclear} can be read day first or month first, and no value settles it; "
            "say which in the map's [options], for example date_formats = [“%d/%m/%Y %H:%M”]."
        )
    other = "day" if orders["month"] >= orders["day"] else "month"
    found = {}
    for name, shapes in fitting.items():
        kept = [each for _, formats, _ in shapes for each in formats if not (orders and _order(each) == other)]
        found[name] = tuple(dict.fromkeys(kept))
    return found


def _order(pattern: str) -> str:
    day = _split(pattern)[0] or pattern
    return "day" if day in DAY_FIRST else "month" if day in MONTH_FIRST else ""


def _candidates() -> list[str]:
    days = (*ISO_DATES, *MONTH_FIRST, *DAY_FIRST, *WORDED)
    made = [day + between + clock + zone for day in days for between in " T" for clock in CLOCKS for zone in ZONES]
    return [*days, *made, *WHOLE]


def _fitting(values: Sequence[Any]) -> list[tuple[str, list[str], int]]:
    """Group a sample by its shape and say which formats fit most of each group: (example, formats, values)."""
    groups: dict[str, list[str]] = {}
    for value in values:
        if isinstance(value, str):
            groups.setdefault(SHAPE.sub(lambda found: "9" if len(found[0]) < 3 else "9999", value.strip()), []).append(
                value.strip()
            )
    found: list[tuple[str, list[str], int]] = []
    for group in sorted(groups.values(), key=len, reverse=True)[:20]:
        distinct = list(dict.fromkeys(group))
        left = [each for each in _candidates() if Dates([each]).read(distinct[0]) or Dates([each]).read(distinct[-1])]
        if not left:
            continue
        scores = {}
        for each in left:
            reader = Dates([each])
            scores[each] = sum(reader.read(value) is not None for value in distinct)
        best = max(scores.values())
        found.append((distinct[0], [each for each in left if scores[each] == best], len(group)))
    return found


def to_utc(local: Seconds, offset: npt.NDArray[np.int32], zone: ZoneInfo, *, later: bool = False) -> Seconds:
    """Turn local seconds into UTC seconds, over clock changes.

    local: seconds since 1970 as the clock on the wall showed, NOTHING where unknown; offset: the written offset or
    LOCAL. An hour that happens twice is the first one, or with `later` the second; an hour that was skipped counts as
    the hour after.
    """
    result = local.copy()
    known = local != NOTHING
    written = known & (offset != LOCAL)
    result[written] -= offset[written]
    wall = np.flatnonzero(known & ~written)
    if len(wall) == 0:
        return result
    days, which = np.unique(local[wall] // DAY, return_inverse=True)
    starts = np.array([_offset(int(each) * DAY, zone, later) for each in days], dtype=np.int64)
    ends = np.array([_offset(int(each) * DAY + DAY - 1, zone, later) for each in days], dtype=np.int64)
    shift = starts[which]
    for index in np.flatnonzero((starts != ends)[which]):
        shift[index] = _offset(int(local[wall[index]]), zone, later)
    result[wall] -= shift
    return result


def _offset(seconds: int, zone: ZoneInfo, later: bool) -> int:
    day, rest = divmod(seconds, DAY)
    clock = time(rest // 3600, rest // 60 % 60, rest % 60)
    try:
        moment = datetime.combine(date.fromordinal(day + EPOCH), clock, tzinfo=zone).replace(fold=int(later))
        away = moment.utcoffset()
    except (ValueError, OverflowError):
        return 0
    return int(away.total_seconds()) if away else 0
