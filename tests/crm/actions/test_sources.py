"""How late messages reach us, source by source, and who is told."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from crm.actions import calls, channel_accounts, intake, sources
from crm.channels.provided import by_name
from crm.channels.providers import Genuine
from crm.models import Alert, ChannelAccount, HistoryEntry, Interaction, Promise, Source, SourceGap
from crm.policy import CallEventKind, PromiseKind, Role
from tests.conftest import NOON
from tests.crm.channels.provided import EXAMPLES, account_of, post
from tests.crm.channels.provided import standard_webhooks as generic
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


def test_an_alert_about_a_late_source_names_it_as_it_was_set_up_and_repeats_nothing_that_a_sender_chose_R045_P05():
    colleague(Role.ADMINISTRATOR)
    account = account_of(EXAMPLES["standard_webhooks"])
    raw = "mail:carla.private@example.com"
    came(30 * MINUTE, source=raw)
    came(30 * MINUTE, source=account.source, channel=account.channel)
    assert sources.watch_ingest_lag(NOON) == 2
    told = list(Alert.objects.filter(kind="source_late").values_list("detail", flat=True))
    assert {one["name"] for one in told} == {account.name, str(source(raw).public_id)}
    assert {one["source"] for one in told} == {str(one.public_id) for one in Source.objects.filter(late_because="slow")}
    assert "carla" not in str(list(Alert.objects.values()))
    lead = Client()
    lead.force_login(colleague(Role.LEAD))
    page = lead.get("/admin/alerts/").content.decode()
    assert account.name in page
    assert "carla" not in page


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
    with django_assert_num_queries(10):
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


# --- times in which nothing reached us ------------------------------------------------------------------------------------


def hooked() -> ChannelAccount:
    return account_of(EXAMPLES["standard_webhooks"])


def posted(account: ChannelAccount, *, number: str, spoke_at: datetime, at: datetime) -> int:
    told = generic.created("Hello", sender=f"chat:{number}", external_id=number, spoke_at=spoke_at)
    with time_machine.travel(at, tick=False):
        return post(account, generic.signed(told, secret=generic.SECRET, at=at)).status_code


def test_an_outage_of_hours_shows_as_a_gap_and_moves_no_clock_R045_E14_H05():
    boss, account = colleague(Role.ADMINISTRATOR), hooked()
    posted(account, number="before", spoke_at=NOON, at=NOON)
    sources.watch_ingest_lag(NOON + MINUTE)
    sources.expect(source(account.source).pk, every=30 * MINUTE, by=boss, at=NOON)
    assert not SourceGap.objects.exists()
    for minutes in (31, 36, 200):
        sources.watch_ingest_lag(NOON + minutes * MINUTE)
    gap = SourceGap.objects.get()
    assert (gap.source.name, gap.because, gap.began_at, gap.ended_at) == (account.source, "silent", NOON, None)

    back = NOON + timedelta(hours=4)
    posted(account, number="during", spoke_at=NOON + timedelta(hours=1), at=back)
    posted(account, number="later", spoke_at=back + MINUTE, at=back + MINUTE)
    sources.watch_ingest_lag(back + 3 * MINUTE)
    gap.refresh_from_db()
    assert gap.ended_at == back  # the first that came, not the last
    said = Interaction.objects.get(external_id="during")
    assert (said.spoke_at, said.ingested_at) == (NOON + timedelta(hours=1), back)
    first = Promise.objects.get(conversation=said.conversation, kind=PromiseKind.FIRST_RESPONSE)
    assert first.starts_at == NOON + timedelta(hours=1)
    assert list(sources.gaps(since=NOON + timedelta(hours=2), until=NOON + timedelta(hours=3))) == [gap]
    assert not sources.gaps(since=back, until=back + timedelta(hours=1))


def test_the_same_words_are_due_at_the_same_time_with_and_without_an_outage_H05():
    account, said_at = hooked(), NOON - timedelta(hours=5)
    posted(account, number="at once", spoke_at=said_at, at=said_at)
    posted(account, number="held back", spoke_at=said_at, at=NOON)
    due = Promise.objects.filter(kind=PromiseKind.FIRST_RESPONSE).values_list("starts_at", "due_at")
    assert len(due) == 2
    assert len(set(due)) == 1


def test_a_late_time_that_nobody_signed_is_not_believed_H05(monkeypatch: pytest.MonkeyPatch):
    account = hooked()
    provider = type(by_name(account.provider))
    monkeypatch.setattr(provider, "verify", lambda *_given, **_more: Genuine(is_signed=False))
    posted(account, number="claimed", spoke_at=NOON - timedelta(hours=6), at=NOON)
    assert Interaction.objects.get().spoke_at == NOON
    assert Promise.objects.get(kind=PromiseKind.FIRST_RESPONSE).starts_at == NOON


def test_posts_that_all_fail_are_a_gap_and_one_bad_post_is_none_R045(monkeypatch: pytest.MonkeyPatch):
    account = hooked()
    posted(account, number="good", spoke_at=NOON, at=NOON)

    def stumbles(*_given: Any, **_more: Any) -> Any:
        raise RuntimeError("a mistake of ours")

    works = intake.take
    monkeypatch.setattr(intake, "take", stumbles)
    posted(account, number="0", spoke_at=NOON, at=NOON + MINUTE)
    sources.watch_ingest_lag(NOON + 10 * MINUTE)
    assert not SourceGap.objects.exists()
    for minutes in (3, 7):
        assert posted(account, number=f"{minutes}", spoke_at=NOON, at=NOON + minutes * MINUTE) == 200
    sources.watch_ingest_lag(NOON + 11 * MINUTE)
    gap = SourceGap.objects.get()
    assert (gap.because, gap.began_at, gap.ended_at) == ("failing", NOON + MINUTE, None)
    assert Alert.objects.filter(kind="source_late", to=None).count() == 1

    monkeypatch.setattr(intake, "take", works)
    posted(account, number="well", spoke_at=NOON + 12 * MINUTE, at=NOON + 12 * MINUTE)
    sources.watch_ingest_lag(NOON + 15 * MINUTE)
    gap.refresh_from_db()
    assert gap.ended_at == NOON + 12 * MINUTE


def test_an_account_that_cannot_be_asked_is_a_gap_until_the_first_good_answer_R045_E15():
    account = hooked()
    ChannelAccount.objects.update(ask_at=NOON, failing_since=NOON, error="no answer", error_at=NOON)
    sources.watch_ingest_lag(NOON + 4 * MINUTE)
    assert not SourceGap.objects.exists()
    sources.watch_ingest_lag(NOON + 6 * MINUTE)
    assert SourceGap.objects.get().because == "failing"
    ChannelAccount.objects.update(failing_since=None, error="", error_at=None)
    sources.polled(account.source, channel=account.channel, at=NOON + 7 * MINUTE)
    assert SourceGap.objects.get().ended_at == NOON + 7 * MINUTE
    sources.watch_ingest_lag(NOON + 10 * MINUTE)
    assert SourceGap.objects.count() == 1


def test_an_account_that_was_switched_off_is_no_outage_R045():
    boss, account = colleague(Role.ADMINISTRATOR), hooked()
    posted(account, number="before", spoke_at=NOON, at=NOON)
    sources.watch_ingest_lag(NOON)
    sources.expect(source(account.source).pk, every=30 * MINUTE, by=boss, at=NOON)
    channel_accounts.switch(account.pk, on=False, by=boss, at=NOON)
    assert sources.watch_ingest_lag(NOON + timedelta(hours=5)) == 0
    assert not SourceGap.objects.exists()


def test_the_page_of_sources_shows_the_gaps_R045():
    account = hooked()
    sources.watch_ingest_lag(timezone.now())
    SourceGap.objects.create(
        source=source(account.source),
        began_at=timezone.now() - 3 * timedelta(hours=1),
        because="failing",
        seen_at=timezone.now(),
    )
    page = Client()
    page.force_login(colleague(Role.LEAD))
    words = page.get("/admin/sources/").content.decode()
    assert "Times in which nothing reached us" in words
    assert account.name in words
    assert "what comes fails, or it cannot be asked" in words


def test_sources_are_called_what_people_call_them_and_a_budget_of_nothing_is_at_once_R045():
    came(timedelta(0), source="reviews:reviews.example", channel="review")
    came(timedelta(0), source="phone:desk", channel="phone")
    sources.watch_ingest_lag(NOON)
    assert sources.in_words(["reviews:reviews.example"]) == {"reviews:reviews.example": "reviews.example"}
    page = Client()
    page.force_login(colleague(Role.LEAD))
    words = page.get("/admin/sources/").content.decode()
    assert 'data-label="Budget">at once' in words
    assert 'data-label="Budget">30:00' in words
