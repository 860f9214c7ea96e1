"""Shifts by the wall clock, over clock changes, and when somebody is back."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.policy.availability import (
    Away,
    Rota,
    WeeklyShift,
    is_away,
    is_on_shift,
    is_present,
    returns_at,
    shifts_between,
    wall_instant,
)
from tests.conftest import NOON

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"]
quarters = st.integers(0, 95).map(lambda n: time(n // 4, n % 4 * 15))
shifts = st.builds(WeeklyShift, st.integers(0, 6), quarters, quarters)
moments = st.integers(0, 2 * 365 * 24 * 4).map(lambda n: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=15 * n))
absences = st.builds(
    lambda begins, hours: Away(begins, begins + timedelta(hours=hours)), moments, st.integers(1, 24 * 40)
)
rotas = st.builds(
    Rota,
    st.sampled_from(ZONES),
    st.lists(shifts, max_size=6).map(tuple),
    st.lists(absences, max_size=3).map(tuple),
)


def test_without_shifts_somebody_is_always_there_X29():
    assert is_present(Rota("Europe/Berlin"), NOON)


@given(rotas, moments)
def test_a_moment_is_in_a_shift_when_the_wall_clock_says_so_and_no_clock_was_changed_X29(rota: Rota, at: datetime):
    zone = ZoneInfo(rota.zone)
    local = at.astimezone(zone)
    around = {(at + timedelta(hours=hours)).astimezone(zone).utcoffset() for hours in (-36, 0, 36)}
    if len(around) > 1 or not rota.shifts:
        return
    wall, before = local.time(), (local.weekday() - 1) % 7

    def covers(shift: WeeklyShift) -> bool:
        if shift.starts < shift.ends:
            return shift.weekday == local.weekday() and shift.starts <= wall < shift.ends
        begins_today = shift.weekday == local.weekday() and wall >= shift.starts
        return begins_today or (shift.weekday == before and wall < shift.ends)

    assert is_on_shift(rota, at) == any(map(covers, rota.shifts))


@given(rotas, moments)
def test_back_is_the_first_moment_of_being_there_X29(rota: Rota, at: datetime):
    back = returns_at(rota, at)
    assert back >= at
    assert is_present(rota, back)
    step = max((back - at) / 40, timedelta(minutes=15))
    moment = at
    while moment < back:
        assert not is_present(rota, moment)
        moment += step


@given(rotas, moments)
def test_an_absence_goes_before_a_shift_X29(rota: Rota, at: datetime):
    assert is_present(rota, at) == (is_on_shift(rota, at) and not is_away(rota, at))


@given(st.sampled_from(ZONES), moments, quarters)
def test_a_wall_time_shows_what_it_says_unless_a_clock_change_skips_it_X29(zone: str, at: datetime, wall: time):
    place = ZoneInfo(zone)
    day = at.astimezone(place).date()
    first, last = (wall_instant(day, wall, place, last=late) for late in (False, True))
    assert first <= last
    shown = first.astimezone(place)
    if (shown.date(), shown.time()) != (day, wall):  # skipped: later on the same clock
        assert shown.replace(tzinfo=None) > datetime.combine(day, wall)


@pytest.mark.parametrize(("night", "hours"), [(date(2026, 3, 28), 7), (date(2026, 10, 24), 9), (date(2026, 6, 6), 8)])
def test_a_night_shift_is_as_long_as_the_night_is_X29(night: date, hours: int):
    rota = Rota("Europe/Berlin", (WeeklyShift(night.weekday(), time(22), time(6)),))
    begins = datetime.combine(night, time(22), tzinfo=BERLIN)
    ((first, last),) = [span for span in shifts_between(rota, begins, begins + timedelta(hours=1)) if span[0] == begins]
    assert last - first == timedelta(hours=hours)
    assert is_on_shift(rota, last - timedelta(minutes=1))
    assert not is_on_shift(rota, last)


def test_the_hour_that_comes_twice_is_worked_twice_X29():
    rota = Rota("Europe/Berlin", (WeeklyShift(6, time(2), time(2, 30)),))
    first = datetime(2026, 10, 25, 2, 0, tzinfo=BERLIN)
    assert is_on_shift(rota, first)
    assert is_on_shift(rota, datetime(2026, 10, 25, 2, 29, fold=1, tzinfo=BERLIN))
    assert not is_on_shift(rota, datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN))
