"""Service time: when people of ours are there for customers, and how long that makes a promise.

One calendar of a customer's region counts for every channel. Service time is the set of moments whose wall time in the calendar's
zone lies in a window of that day, so it is right when clocks change: a day that lacks an hour has an hour less.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.utils.translation import gettext as _

WHOLE_DAY = (0, 1440)
LONGEST_CLOSED = timedelta(days=62)
"""A calendar in which people are away longer than this promises nothing to anybody; it is refused."""
SEARCHED = timedelta(days=800)
DAY = timedelta(days=1)
MIDNIGHT = time(0, tzinfo=UTC)

Window = tuple[int, int]
"""Opens and closes, in minutes of the wall clock since midnight; 0 <= opens < closes <= 1440."""
Span = tuple[datetime, datetime]


class UnusableCalendar(ValueError):
    """Windows or days that make no calendar."""

    code = "unusable_calendar"


@dataclass(frozen=True)
class Calendar:
    """When people are there. week: windows from Monday to Sunday; days: windows of particular days, () for closed.

    zone: IANA name. Windows are ordered and do not overlap. Raises UnusableCalendar with a sentence that names the mistake.
    """

    zone: str
    week: tuple[tuple[Window, ...], ...]
    days: Mapping[date, tuple[Window, ...]] = field(default_factory=dict)
    number: int | None = None  # of the stored version, None for what is built in
    _clock: ZoneInfo = field(init=False, repr=False, compare=False)
    _spans: dict[date, tuple[Span, ...]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "_clock", ZoneInfo(self.zone))
        except (ZoneInfoNotFoundError, ValueError, OSError) as unknown:
            raise UnusableCalendar(_("There is no time zone “%(zone)s”.") % {"zone": self.zone}) from unknown
        if len(self.week) != 7:
            raise UnusableCalendar(_("A week has seven days."))
        if not any(self.week):
            raise UnusableCalendar(_("Somebody has to be there on at least one day of the week."))
        for windows in (*self.week, *self.days.values()):
            _usable(windows)
        self._never_closed_too_long()

    def spans_of(self, day: date) -> tuple[Span, ...]:
        """The service time of one UTC day, as ordered half-open spans in UTC."""
        found = self._spans.get(day)
        if found is None:
            if len(self._spans) > 4000:
                self._spans.clear()
            found = self._spans[day] = tuple(self._found_on(day))
        return found

    def _found_on(self, day: date) -> list[Span]:
        start = datetime.combine(day, MIDNIGHT)
        spans: list[Span] = []
        for piece_start, piece_end, offset in self._pieces(start, start + DAY):
            local = (piece_start + offset).replace(tzinfo=None)
            local_end = (piece_end + offset).replace(tzinfo=None)
            on = local.date()
            while datetime.combine(on, time()) < local_end:
                midnight = datetime.combine(on, time())
                for opens, closes in self.days.get(on, self.week[on.weekday()]):
                    begins = max(midnight + timedelta(minutes=opens), local)
                    ends = min(midnight + timedelta(minutes=closes), local_end)
                    if begins < ends:
                        span = (begins - offset).replace(tzinfo=UTC), (ends - offset).replace(tzinfo=UTC)
                        if spans and spans[-1][1] == span[0]:
                            spans[-1] = spans[-1][0], span[1]
                        else:
                            spans.append(span)
                on += DAY
        return spans

    def _pieces(self, start: datetime, end: datetime) -> list[tuple[datetime, datetime, timedelta]]:
        """Cut [start, end) where the zone's offset changes: (from, to, offset)."""
        offset = self._offset(start)
        if self._offset(end - timedelta(seconds=1)) == offset:
            return [(start, end, offset)]
        before, after = start, end
        while after - before > timedelta(seconds=1):
            middle = (before + (after - before) / 2).replace(microsecond=0)
            if self._offset(middle) == offset:
                before = middle
            else:
                after = middle
        return [(start, after, offset), *self._pieces(after, end)]

    def _offset(self, moment: datetime) -> timedelta:
        return moment.astimezone(self._clock).utcoffset() or timedelta(0)

    def _never_closed_too_long(self) -> None:
        closed_since: date | None = None
        for day in sorted(self.days):
            if self.days[day]:
                closed_since = None
                continue
            if closed_since is None or any(
                self.days.get(between, self.week[between.weekday()]) for between in _days(closed_since, day)
            ):
                closed_since = day
            if day - closed_since > LONGEST_CLOSED:
                raise UnusableCalendar(
                    _("Nobody would be there from %(since)s to %(until)s; people cannot wait that long.")
                    % {"since": closed_since, "until": day}
                )


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _usable(windows: Sequence[Window]) -> None:
    before = 0
    for number, (opens, closes) in enumerate(windows):
        if not 0 <= opens < closes <= 1440:
            raise UnusableCalendar(
                _("%(window)s is no time of a day; it begins before it ends.")
                % {"window": words_for([(opens, closes)])}
            )
        if number and opens < before:
            raise UnusableCalendar(_("The times %(windows)s overlap.") % {"windows": words_for(windows)})
        before = closes


ALWAYS = Calendar("UTC", ((WHOLE_DAY,),) * 7)
"""All day, every day: service time is elapsed time. What counts where nobody has stated any hours."""


def after(calendar: Calendar, start: datetime, within: timedelta) -> datetime:
    """Say when the given amount of service time has passed since `start` (aware): the earliest such moment, in UTC.

    within: > 0. Exactly at closing time when the amount is used up then.
    Source: domain.md C.5, one service calendar per customer region for all channels.
    """
    if calendar is ALWAYS:
        return start.astimezone(UTC) + within
    start = start.astimezone(UTC)
    left, day = within, start.date()
    for _number in range(SEARCHED.days):
        for begins, ends in calendar.spans_of(day):
            if ends <= start:
                continue
            there = ends - max(begins, start)
            if left <= there:
                return max(begins, start) + left
            left -= there
        day += DAY
    raise UnusableCalendar(_("Nobody is there long enough after %(start)s.") % {"start": start})


def between(calendar: Calendar, start: datetime, end: datetime) -> timedelta:
    """How much service time lies between two moments (aware); nothing when the end is not later."""
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    total, day = timedelta(0), start.date()
    while day <= end.date() and start < end:
        for begins, ends in calendar.spans_of(day):
            total += max(timedelta(0), min(ends, end) - max(begins, start))
        day += DAY
    return total


def is_open(calendar: Calendar, at: datetime) -> bool:
    """Whether people are there at this moment (aware)."""
    at = at.astimezone(UTC)
    spans = calendar.spans_of(at.date())
    place = bisect_right(spans, at, key=lambda span: span[0]) - 1
    return place >= 0 and at < spans[place][1]


def read_windows(text: str) -> tuple[Window, ...]:
    """Read “09:00–12:30, 13:30–18:00”; nothing or “closed” is (). Raises UnusableCalendar in words for who wrote it."""
    text = text.strip()
    if not text or text.casefold() in ("closed", "–", "-", _("closed").casefold()):
        return ()
    windows = []
    for part in text.replace(";", ",").split(","):
        begin, dash, end = part.replace("-", "–").partition("–")
        if not dash:
            raise UnusableCalendar(
                _("“%(part)s” needs a beginning and an end, like 09:00–17:30.") % {"part": part.strip()}
            )
        windows.append((_minutes(begin), _minutes(end)))
    windows.sort()
    _usable(windows)
    return tuple(windows)


def _minutes(text: str) -> int:
    hour, _colon, minute = text.strip().partition(":")
    if not hour.isdecimal() or (minute and (not minute.isdecimal() or len(minute) != 2)):
        raise UnusableCalendar(_("“%(text)s” is no time of day like 09:00.") % {"text": text.strip()})
    minutes = int(hour) * 60 + int(minute or 0)
    if minutes > 1440 or int(minute or 0) > 59:
        raise UnusableCalendar(_("“%(text)s” is no time of day like 09:00.") % {"text": text.strip()})
    return minutes


def words_for(windows: Sequence[Window]) -> str:
    """Write windows as people read them; the opposite of `read_windows`."""
    return ", ".join(f"{o // 60:02}:{o % 60:02}–{c // 60:02}:{c % 60:02}" for o, c in windows) or _("closed")


def without(windows: Sequence[Window], closed: Window) -> tuple[Window, ...]:
    """Take a time in which nobody is there out of a day's windows."""
    kept: list[Window] = []
    for opens, closes in windows:
        kept += [(opens, min(closes, closed[0]))] if opens < closed[0] else []
        kept += [(max(opens, closed[1]), closes)] if closes > closed[1] else []
    return tuple(window for window in kept if window[0] < window[1])
