"""When a colleague is there: weekly shifts by the clock on the wall, and absences. Pure; zones come from the tz database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

LOOKED_AHEAD = 8
"""Days within which a weekly plan comes round again, counting both ends."""


@dataclass(frozen=True, slots=True)
class WeeklyShift:
    """Every week from `starts` to `ends` by the wall clock; one that ends no later than it starts ends on the next day.

    weekday: 0 is Monday.
    """

    weekday: int
    starts: time
    ends: time


@dataclass(frozen=True, slots=True)
class Away:
    """An absence, from the first moment up to, not including, the last; both aware."""

    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Rota:
    """When one colleague works. zone: IANA name. No shifts: always. Absences go before shifts."""

    zone: str
    shifts: tuple[WeeklyShift, ...] = ()
    away: tuple[Away, ...] = ()


def wall_instant(day: date, wall: time, zone: ZoneInfo, *, last: bool = False) -> datetime:
    """Give the moment (UTC) at which the wall clock of a zone shows a time on a day.

    A time that a clock change shows twice is its first moment, or its last one when asked. A time that a clock change
    skips is as long after the change as it stands after the skipped hour's begin: 02:30 becomes 03:30.
    Source: PEP 495, `fold`.
    """
    first = datetime.combine(day, wall, tzinfo=zone).astimezone(UTC)
    second = datetime.combine(day, wall.replace(fold=1), tzinfo=zone).astimezone(UTC)
    return second if last and second > first else first


def shifts_between(rota: Rota, starts_at: datetime, ends_at: datetime) -> list[tuple[datetime, datetime]]:
    """Give the shifts (UTC) that touch a span, in order; absences are not taken out."""
    zone = ZoneInfo(rota.zone)
    day = starts_at.astimezone(zone).date() - timedelta(days=1)
    last_day = ends_at.astimezone(zone).date()
    found = []
    while day <= last_day:
        for shift in rota.shifts:
            if shift.weekday == day.weekday():
                until = day + timedelta(days=1) if shift.ends <= shift.starts else day
                span = (wall_instant(day, shift.starts, zone), wall_instant(until, shift.ends, zone, last=True))
                if span[0] <= ends_at and span[1] > starts_at:
                    found.append(span)
        day += timedelta(days=1)
    return sorted(found)


def is_on_shift(rota: Rota, at: datetime) -> bool:
    """Say whether a moment lies in a shift; without any shift every moment does."""
    return not rota.shifts or any(begins <= at < ends for begins, ends in shifts_between(rota, at, at))


def is_away(rota: Rota, at: datetime) -> bool:
    """Say whether a moment lies in an absence."""
    return any(away.starts_at <= at < away.ends_at for away in rota.away)


def is_present(rota: Rota, at: datetime) -> bool:
    """Say whether this colleague is there at a moment."""
    return is_on_shift(rota, at) and not is_away(rota, at)


def returns_at(rota: Rota, at: datetime) -> datetime:
    """Give the first moment, from `at` on, at which this colleague is there."""
    moment = at
    for _step in range(2 * len(rota.away) + 2):
        moment = _after_absences(rota.away, moment)
        if is_on_shift(rota, moment):
            return moment
        upcoming = shifts_between(rota, moment, moment + timedelta(days=LOOKED_AHEAD))
        moment = next(begins for begins, _ends in upcoming if begins > moment)
        if not is_away(rota, moment):
            return moment
    return _after_absences(rota.away, moment)


def _after_absences(away: Sequence[Away], moment: datetime) -> datetime:
    for absence in sorted(away, key=lambda one: one.starts_at):
        if absence.starts_at <= moment < absence.ends_at:
            moment = absence.ends_at
    return moment
