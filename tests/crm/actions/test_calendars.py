"""Which calendar counts, publishing versions, holidays and calendar files."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, connection, transaction

from crm.actions import calendars, intake, promises
from crm.models import Customer, HistoryEntry, Promise, ServiceCalendar
from crm.models.calendars import DaySource
from crm.policy import ALWAYS, PromiseKind, UnusableCalendar
from crm.policy import calendars as arithmetic
from tests.conftest import NOON
from tests.crm.stories import colleague, message

pytestmark = pytest.mark.django_db

OFFICE = (((540, 1020),),) * 5 + ((),) * 2
SOON = NOON + timedelta(minutes=10)


def draft(**given: object) -> calendars.Draft:
    return calendars.Draft(**{"region": "", "zone": "Europe/Berlin", "week": OFFICE, **given})  # type: ignore[arg-type]


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin"))


def publish(django_capture_on_commit_callbacks, given: calendars.Draft, *, effective_from=SOON, at=NOON):  # type: ignore[no-untyped-def]
    with django_capture_on_commit_callbacks(execute=True):
        return calendars.publish(given, effective_from=effective_from, by=None, at=at)


def test_where_nobody_stated_hours_service_time_is_elapsed_time():
    assert calendars.in_force("", NOON) is ALWAYS


def test_every_channel_counts_by_the_calendar_of_the_region_R048_X25(django_capture_on_commit_callbacks):
    publish(django_capture_on_commit_callbacks, draft())
    spoke_at = berlin("2026-03-06T16:00")  # a Friday
    for channel in ("email", "phone", "letter", "social_public", "chat"):
        received = intake.receive(
            message(channel=channel, spoke_at=spoke_at, external_id=channel, sender_address=f"{channel}@x.example"),
            at=spoke_at,
            origin="test",
        )
        first = next(p for p in received.promises if p.kind == PromiseKind.FIRST_RESPONSE)
        assert first.due_at == berlin("2026-03-09T16:00"), channel
        assert first.calendar_id == ServiceCalendar.objects.get().pk


def test_a_promise_can_be_computed_again_from_its_row_Q6(django_capture_on_commit_callbacks):
    publish(django_capture_on_commit_callbacks, draft(holidays_of="DE-BE"))
    for hours in range(0, 240, 7):
        spoke_at = berlin("2026-04-01T00:00") + timedelta(hours=hours)
        intake.receive(message(external_id=str(hours), spoke_at=spoke_at), at=spoke_at, origin="test")
    for promise in Promise.objects.select_related("calendar"):
        calendar = promise.calendar.as_calendar()
        within = timedelta(seconds=promise.within_seconds)
        assert arithmetic.after(calendar, promise.starts_at, within) == promise.due_at
        assert promise.starts_at <= promise.warn_at <= promise.due_at


def test_a_new_version_moves_no_promise_and_counts_from_its_moment_E08(django_capture_on_commit_callbacks):
    publish(django_capture_on_commit_callbacks, draft())
    early = intake.receive(message(spoke_at=SOON), at=SOON, origin="test").promises[0]
    later = SOON + timedelta(days=1)
    publish(
        django_capture_on_commit_callbacks,
        draft(week=(((0, 1440),),) * 7),
        effective_from=later,
        at=SOON + timedelta(hours=1),
    )
    assert Promise.objects.get(pk=early.pk).due_at == early.due_at
    before, after = later - timedelta(seconds=1), later
    assert calendars.in_force("", before).week == OFFICE
    assert calendars.in_force("", after).week == (((0, 1440),),) * 7


def test_a_region_of_its_own_counts_before_the_one_for_everywhere_X25(django_capture_on_commit_callbacks):
    publish(django_capture_on_commit_callbacks, draft())
    publish(django_capture_on_commit_callbacks, draft(region="NY", zone="America/New_York"))
    agent = colleague()
    writer = "customer@ny.example"
    received = intake.receive(message(spoke_at=NOON, sender_address=writer), at=NOON, origin="test")
    calendars.set_region(received.conversation.customer_id, region="NY", by=agent, at=NOON)
    again = intake.receive(message(spoke_at=SOON, sender_address=writer), at=SOON, origin="test")
    assert again.promises[0].calendar.region == "NY"
    assert HistoryEntry.objects.filter(verb="customer.region").count() == 1
    with pytest.raises(calendars.NoSuchRegion):
        calendars.set_region(received.conversation.customer_id, region="Mars", by=agent, at=NOON)
    assert Customer.objects.get(pk=received.conversation.customer_id).region == "NY"


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(minutes=9), timedelta(days=-1)])
def test_a_calendar_never_counts_backwards_or_at_once(ahead):
    with pytest.raises(calendars.StartsTooSoon):
        calendars.publish(draft(), effective_from=NOON + ahead, by=None, at=NOON)
    assert not ServiceCalendar.objects.exists()


def test_public_holidays_are_days_of_the_version_X25(django_capture_on_commit_callbacks):
    version = publish(django_capture_on_commit_callbacks, draft(holidays_of="DE-BY"))
    days = {day.day: day for day in version.days.all()}
    assert days[date(2026, 12, 25)].windows == []
    assert date(2026, 1, 6) in days  # a holiday in Bavaria, not in Berlin
    assert {day.source for day in days.values()} == {DaySource.HOLIDAY}


@pytest.mark.parametrize("place", ["XX", "DE-XX"])
def test_holidays_of_a_place_nobody_knows_are_refused(place):
    with pytest.raises(UnusableCalendar):
        calendars.publish(draft(holidays_of=place), effective_from=SOON, by=None, at=NOON)


def test_half_days_by_hand_count_before_holidays_X25(django_capture_on_commit_callbacks):
    eve, christmas = date(2026, 12, 24), date(2026, 12, 25)
    version = publish(
        django_capture_on_commit_callbacks,
        draft(holidays_of="DE", days={eve: ((540, 720),), christmas: ((600, 660),)}),
    )
    assert version.as_calendar().days[eve] == ((540, 720),)
    assert version.as_calendar().days[christmas] == ((600, 660),)


ICS = b"""BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//shop//closed//EN
BEGIN:VEVENT
UID:1
SUMMARY:Stock-taking
DTSTART;VALUE=DATE:20260701
DTEND;VALUE=DATE:20260703
END:VEVENT
BEGIN:VEVENT
UID:2
SUMMARY:Staff afternoon
DTSTART;TZID=Europe/Berlin:20260605T140000
DTEND;TZID=Europe/Berlin:20260605T180000
RRULE:FREQ=MONTHLY;BYDAY=1FR;COUNT=3
END:VEVENT
END:VCALENDAR
"""


def test_a_calendar_file_closes_days_and_parts_of_days_X25(django_capture_on_commit_callbacks):
    version = publish(django_capture_on_commit_callbacks, draft(file=ICS.replace(b"\n", b"\r\n")))
    days = version.as_calendar().days
    assert days[date(2026, 7, 1)] == days[date(2026, 7, 2)] == ()
    assert date(2026, 7, 3) in days  # the first Friday of July, the second of three afternoons
    assert days[date(2026, 6, 5)] == days[date(2026, 7, 3)] == days[date(2026, 8, 7)] == ((540, 840),)
    assert date(2026, 9, 4) not in days
    assert version.days.get(day=date(2026, 7, 1)).name == "Stock-taking"


@pytest.mark.parametrize(
    "file",
    [
        b"no calendar", b"\xff\xfe\x00", ICS.replace(b"MONTHLY;BYDAY=1FR;COUNT=3", b"SECONDLY"), b"BEGIN:VCALENDAR\r\n" * 3,
        ICS.replace(b"20260701", b"2026-rubbish"), b"x" * 1_000_001,
    ],
)  # fmt: skip
def test_a_file_that_is_no_calendar_is_refused_and_nothing_is_written_Q11(file):
    with pytest.raises(UnusableCalendar) as refused:
        calendars.publish(draft(file=file), effective_from=SOON, by=None, at=NOON)
    assert str(refused.value)
    assert not ServiceCalendar.objects.exists()


def test_a_version_is_never_changed_E08(django_capture_on_commit_callbacks):
    publish(django_capture_on_commit_callbacks, draft(holidays_of="DE"))
    for statement in ("UPDATE crm_servicecalendar SET week = '[]'", "DELETE FROM crm_calendarday"):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


def test_further_years_are_a_new_version_and_keep_what_was_entered(django_capture_on_commit_callbacks):
    half = date(2030, 12, 24)
    publish(django_capture_on_commit_callbacks, draft(holidays_of="DE", days={half: ((540, 720),)}))
    assert calendars.extend(NOON + timedelta(days=30)) == 0
    late = datetime(2030, 1, 15, 12, tzinfo=UTC)
    with django_capture_on_commit_callbacks(execute=True):
        assert calendars.extend(late) == 1
    assert calendars.extend(late) == 0  # once, however often it runs
    second = ServiceCalendar.objects.get(number=2)
    assert second.covers_until == date(2034, 12, 31)
    assert second.as_calendar().days[half] == ((540, 720),)
    assert second.days.filter(day=date(2034, 12, 25)).exists()


def test_what_is_known_is_read_once_a_minute(django_capture_on_commit_callbacks, django_assert_num_queries):
    publish(django_capture_on_commit_callbacks, draft())
    with django_assert_num_queries(3):  # the versions, their days, their order
        calendars.in_force("", SOON)
    with django_assert_num_queries(0):
        calendars.in_force("", SOON)
        calendars.in_force("elsewhere", SOON)


def test_what_the_law_sets_runs_on_when_nobody_is_there(django_capture_on_commit_callbacks):
    publish(django_capture_on_commit_callbacks, draft())
    friday = berlin("2026-03-06T16:00")
    conversation = intake.receive(message(spoke_at=friday), at=friday, origin="test").conversation
    promises.append(
        conversation.pk, [(PromiseKind.STATUTORY, timedelta(hours=48)), (PromiseKind.RESOLUTION, timedelta(hours=2))],
        starts_at=friday, given_by="decision:1", critical=False, at=friday,
    )  # fmt: skip
    due = dict(Promise.objects.filter(given_by="decision:1").values_list("kind", "due_at"))
    assert due == {"statutory": friday + timedelta(hours=48), "resolution": berlin("2026-03-09T10:00")}
