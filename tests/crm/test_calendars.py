"""Service time against a reference that walks minute by minute, over random calendars, zones and clock changes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm.policy import calendars
from crm.policy.calendars import ALWAYS, Calendar, UnusableCalendar, read_windows
from tests.metamorphic import STORIES, many, metamorphic

pytestmark = metamorphic
MINUTE = timedelta(minutes=1)
ZONES = [
    "Europe/Berlin", "America/New_York", "America/St_Johns", "Australia/Lord_Howe", "Africa/Cairo", "America/Santiago",
    "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca", "UTC",
]  # fmt: skip
# Both clock changes of those zones, a leap day and a year's end lie near these days; Samoa left out a whole day in 2011.
NEAR = [
    date(2026, 3, 8), date(2026, 3, 29), date(2026, 4, 5), date(2026, 4, 24), date(2026, 9, 6), date(2026, 10, 4),
    date(2026, 10, 25), date(2026, 10, 30), date(2026, 11, 1), date(2028, 2, 29), date(2026, 12, 31), date(2011, 12, 30),
    date(2026, 2, 15), date(2026, 3, 22),
]  # fmt: skip


@st.composite
def windows(draw: st.DrawFn, *, most: int = 3) -> tuple[tuple[int, int], ...]:
    edges = sorted(draw(st.sets(st.integers(0, 96), min_size=0, max_size=2 * most)))
    return tuple((15 * a, 15 * b) for a, b in zip(edges[::2], edges[1::2], strict=False))


@st.composite
def service(draw: st.DrawFn, near: date) -> Calendar:
    week = draw(st.lists(windows(), min_size=7, max_size=7).filter(any))
    days = draw(
        st.dictionaries(st.integers(-3, 9).map(lambda n: near + timedelta(days=n)), windows(most=2), max_size=4)
    )
    return Calendar(draw(st.sampled_from(ZONES)), tuple(week), days)


def there(calendar: Calendar, moment: datetime) -> bool:
    """The reference: is the wall time of this moment in a window of its day?"""
    wall = moment.astimezone(ZoneInfo(calendar.zone))
    minute = wall.hour * 60 + wall.minute
    return any(o <= minute < c for o, c in calendar.days.get(wall.date(), calendar.week[wall.weekday()]))


def reference_after(calendar: Calendar, start: datetime, minutes: int) -> datetime:
    moment = start
    while True:
        if there(calendar, moment):
            minutes -= 1
            if not minutes:
                return moment + MINUTE
        moment += MINUTE


@st.composite
def promises(draw: st.DrawFn) -> tuple[Calendar, datetime, int]:
    near = draw(st.sampled_from(NEAR))
    start = datetime(near.year, near.month, near.day, tzinfo=UTC) + MINUTE * draw(st.integers(-2 * 1440, 2 * 1440))
    return draw(service(near)), start, draw(st.sampled_from([1, 15, 30, 60, 240, 480, 600]))


@settings(many, max_examples=max(STORIES, 2000))
@given(promises())
def test_due_times_equal_a_walk_minute_by_minute_over_clock_changes_Q6_F21(promise):
    calendar, start, minutes = promise
    due = calendars.after(calendar, start, timedelta(minutes=minutes))
    assert due == reference_after(calendar, start, minutes)
    assert calendars.between(calendar, start, due) == timedelta(minutes=minutes)
    assert due.tzinfo is UTC


@settings(many, max_examples=max(200, STORIES // 5))
@given(promises(), st.integers(0, 3 * 1440))
def test_service_time_between_two_moments_and_whether_somebody_is_there_equal_the_walk_F21(promise, minutes):
    calendar, start, _within = promise
    moments = [start + MINUTE * number for number in range(minutes)]
    walked = sum(there(calendar, moment) for moment in moments)
    assert calendars.between(calendar, start, start + MINUTE * minutes) == MINUTE * walked
    assert calendars.is_open(calendar, start) == there(calendar, start)


@settings(max_examples=200, deadline=None)
@given(promises(), st.integers(0, 2000), st.integers(0, 600))
def test_who_speaks_earlier_or_is_promised_sooner_is_never_due_later_Q6(promise, earlier, sooner):
    calendar, start, minutes = promise
    due = calendars.after(calendar, start, timedelta(minutes=minutes))
    assert calendars.after(calendar, start - MINUTE * earlier, timedelta(minutes=minutes)) <= due
    assert calendars.after(calendar, start, timedelta(minutes=max(1, minutes - sooner))) <= due


def office(**days: tuple[tuple[int, int], ...]) -> Calendar:
    """Monday to Friday from nine to five; other days as named, `_2026_12_25=()`."""
    particular = {date.fromisoformat(name.strip("_").replace("_", "-")): day for name, day in days.items()}
    return Calendar("Europe/Berlin", (((9 * 60, 17 * 60),),) * 5 + ((),) * 2, particular)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin"))


def test_a_message_on_friday_afternoon_is_promised_for_monday_F21():
    assert calendars.after(office(), at("2026-11-20T16:00"), timedelta(hours=4)) == at("2026-11-23T12:00")


def test_what_is_used_up_at_closing_time_is_due_at_closing_time_X25():
    assert calendars.after(office(), at("2026-11-20T09:00"), timedelta(hours=8)) == at("2026-11-20T17:00")


def test_a_holiday_and_a_half_day_count_as_they_are_X25():
    christmas = office(_2026_12_24=((540, 720),), _2026_12_25=())
    assert calendars.after(christmas, at("2026-12-24T11:00"), timedelta(hours=4)) == at("2026-12-28T12:00")


def test_the_night_without_two_o_clock_has_an_hour_less_F21():
    all_day = Calendar("Europe/Berlin", ((calendars.WHOLE_DAY,),) * 7)
    start = at("2026-03-29T00:00")
    assert calendars.after(all_day, start, timedelta(hours=8)) == at("2026-03-29T09:00")
    night = Calendar("Europe/Berlin", (((60, 240),),) * 7)  # 01:00–04:00 lacks the hour from two to three
    assert calendars.after(night, start, timedelta(hours=2)) == at("2026-03-29T04:00")
    autumn = calendars.after(night, at("2026-10-25T00:00"), timedelta(hours=4))  # and in autumn has it twice
    assert autumn == at("2026-10-25T04:00")


def test_all_day_every_day_is_elapsed_time():
    start = at("2026-03-29T00:00")
    assert calendars.after(ALWAYS, start, timedelta(hours=8)) - start == timedelta(hours=8)


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        ("09:00-17:00", ((540, 1020),)), ("9–12:30, 13:30–18", ((540, 750), (810, 1080))), ("closed", ()), ("", ()),
        ("00:00–24:00", ((0, 1440),)), ("14–18; 8–12", ((480, 720), (840, 1080))),
    ],
)  # fmt: skip
def test_times_of_a_day_are_read_as_people_write_them_X25(text, windows):
    assert read_windows(text) == windows
    assert read_windows(calendars.words_for(windows)) == windows


@pytest.mark.parametrize("text", ["9", "9–8", "25–26", "09:75–10", "a–b", "9–12, 11–14", "9:0–10", "9–"])
def test_times_that_make_no_day_are_refused_in_words_X25(text):
    with pytest.raises(UnusableCalendar) as refused:
        read_windows(text)
    assert str(refused.value)


def test_a_calendar_nobody_can_wait_for_is_refused_X25():
    with pytest.raises(UnusableCalendar):
        Calendar("Europe/Berlin", ((),) * 7)
    with pytest.raises(UnusableCalendar):
        Calendar("Mars/Base", (((0, 1440),),) * 7)
    closed = {date(2027, 1, 1) + timedelta(days=number): () for number in range(100)}
    with pytest.raises(UnusableCalendar):
        Calendar("Europe/Berlin", (((540, 1020),),) * 7, closed)


@given(windows(), st.integers(0, 1439), st.integers(1, 600))
def test_closing_for_part_of_a_day_takes_out_just_that_part_X25(day, opens, length):
    closed = (opens, min(opens + length, 1440))
    kept = calendars.without(day, closed)
    for minute in range(0, 1440, 5):
        was = any(o <= minute < c for o, c in day)
        assert any(o <= minute < c for o, c in kept) == (was and not closed[0] <= minute < closed[1])
