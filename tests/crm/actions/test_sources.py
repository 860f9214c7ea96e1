"""How late messages reach us, source by source, and who is told."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from crm.actions import calls, intake, sources
from crm.models import Alert, HistoryEntry, Source
from crm.policy import CallEventKind, Role
from tests.conftest import NOON
from tests.crm.stories import colleague, message

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


def came(lag: timedelta, *, at: datetime = NOON, **more: Any) -> None:
    intake.receive(message(spoke_at=at - lag, **more), at=at, origin="test")


def source(name: str = "mail:test") -> Source:
    return Source.objects.get(name=name)


def test_each_source_is_measured_against_its_budget_R045():
    for seconds in range(1, 21):
        came(timedelta(seconds=seconds))
    came(timedelta(0), source="form", channel="web_form")
    came(timedelta(hours=3), at=NOON - timedelta(hours=2))  # not of this hour
    assert sources.watch_ingest_lag(NOON) == 0
    mail = source()
    assert (mail.heard_count, mail.lag_middle, mail.last_good_at) == (20, timedelta(seconds=10.5), NOON)
    assert mail.lag_slowest == timedelta(seconds=19.05)
    assert mail.budget == MINUTE
    assert source("form").lag_slowest == timedelta(0)


def test_a_late_source_is_told_once_per_incident_to_leads_and_administrators_and_ends_by_itself_R045():
    boss = colleague(Role.ADMINISTRATOR)
    for _ in range(3):
        came(10 * MINUTE)
    for minutes in (0, 5, 10):
        assert sources.watch_ingest_lag(NOON + minutes * MINUTE) == 1
    assert (source().late_because, source().late_since) == ("slow", NOON)
    assert {alert.to for alert in Alert.objects.filter(kind="source_late")} == {None, boss}
    assert Alert.objects.count() == 2

    later = NOON + timedelta(hours=2)
    assert sources.watch_ingest_lag(later) == 0
    assert (source().late_because, source().late_since, source().heard_count) == ("", None, 0)
    came(10 * MINUTE, at=later)
    sources.watch_ingest_lag(later)
    assert Alert.objects.count() == 4  # another incident
    verbs = (
        HistoryEntry.objects.filter(ref=f"source:{source().public_id}").order_by("id").values_list("verb", flat=True)
    )
    assert list(verbs) == ["source.late", "source.well_again", "source.late"]


def test_a_source_that_is_not_heard_of_for_too_long_is_late_R045_E15():
    boss = colleague(Role.ADMINISTRATOR)
    sources.polled("mail:inbox", channel="email", at=NOON)
    sources.expect(source("mail:inbox").pk, every=15 * MINUTE, by=boss, at=NOON)
    assert sources.watch_ingest_lag(NOON + 15 * MINUTE) == 0
    assert sources.watch_ingest_lag(NOON + 16 * MINUTE) == 1
    assert source("mail:inbox").late_because == "silent"
    sources.polled("mail:inbox", channel="email", at=NOON + 17 * MINUTE)  # asked well, though nothing was new
    assert sources.watch_ingest_lag(NOON + 18 * MINUTE) == 0
    sources.expect(source("mail:inbox").pk, every=None, by=boss, at=NOON)
    assert sources.watch_ingest_lag(NOON + timedelta(days=1)) == 0
    entry = HistoryEntry.objects.filter(verb="source.expected").order_by("id")[1]
    assert entry.detail == {"before": 900, "seconds": None}


def test_a_phone_system_is_measured_by_its_rings_also_when_all_are_answered_R045():
    for number, lag in enumerate([0, 1, 2]):
        told = calls.Told(
            source="phone:main",
            external_id=f"c{number}",
            event_id="rang",
            kind=CallEventKind.RANG,
            stated_at=NOON + timedelta(seconds=10 * number),
        )
        calls.report(told, by=None, at=NOON + timedelta(seconds=10 * number + lag), origin="test")
    sources.watch_ingest_lag(NOON + MINUTE)
    phone = source("phone:main")
    assert (phone.heard_count, phone.channel, phone.lag_middle) == (3, "phone", timedelta(seconds=1))
    assert (phone.budget, phone.late_since) == (timedelta(0), None)


def test_watching_costs_the_same_for_one_message_and_for_twenty(django_assert_num_queries):
    came(timedelta(0))
    sources.watch_ingest_lag(NOON)
    for _ in range(20):
        came(timedelta(0))
    with django_assert_num_queries(7):
        sources.watch_ingest_lag(NOON)


def test_watching_twice_changes_nothing_F22():
    came(10 * MINUTE)
    for _ in range(2):
        sources.watch_ingest_lag(NOON)
    assert Alert.objects.count() == 1
    assert HistoryEntry.objects.filter(verb="source.late").count() == 1


@pytest.mark.parametrize(
    "impossible",
    [{"late_because": "slow"}, {"late_since": NOON}, {"expected_every": timedelta(0)}, {"heard_count": 1}],
)
def test_the_database_refuses_impossible_sources(impossible):
    sources.polled("mail:inbox", channel="email", at=NOON)
    with pytest.raises(IntegrityError), transaction.atomic():
        Source.objects.update(**impossible)
