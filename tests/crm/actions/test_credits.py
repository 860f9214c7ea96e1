"""Credits in the queue: they lift a channel by slack that others have, and make nobody late, push nobody back, move no due time."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from crm.actions import calendars, credits, intake, queue
from crm.channels import Channel
from crm.models import Conversation, CreditedPull, HistoryEntry, Promise, Pull, QueueCredit, User
from crm.models.credits import in_pull_order
from crm.policy import CREDIT_GUARD, Calendar, OutOfOrder, QueueClass, pull_key
from tests.conftest import NOON
from tests.crm.stories import colleague, message
from tests.faults.threads import at_once

HOUR = timedelta(hours=1)


@pytest.fixture
def ada(db: None) -> User:
    return colleague(name="Ada")


def told(*, minutes: int = 0, channel: str = Channel.EMAIL, **changes: Any) -> Conversation:
    """Somebody spoke to us so many minutes after noon."""
    at = NOON + timedelta(minutes=minutes)
    return intake.receive(message(channel=Channel(channel), spoke_at=at, **changes), at=at, origin="test").conversation


def lifted(channel: str = Channel.LETTER, minutes: int = 120) -> None:
    credits.put(channel, minutes=minutes, most=240, by=None, at=NOON)


def next_of(who: User, *, after: timedelta = timedelta(minutes=90)) -> Pull:
    pull = queue.next_for(who, at=NOON + after)
    assert pull is not None
    return pull


def test_a_credit_lets_a_lagging_channel_come_first_and_notes_whom_it_passed_R067(ada: User):
    first, second = told(), told(minutes=30)
    letter = told(minutes=60, channel=Channel.LETTER)
    due = {each.pk: each.due_at for each in Conversation.objects.all()}
    lifted()

    pull = next_of(ada)

    assert pull.conversation == letter
    noted = CreditedPull.objects.get(pull=pull)
    assert (noted.minutes, noted.passed, noted.passed_first) == (120, 2, [first.pk, second.pk])
    assert noted.only_after == letter.due_at - timedelta(minutes=120)
    assert (pull.ahead, pull.reason) == (0, "")  # nobody went out of order
    assert HistoryEntry.objects.get(verb="conversation.pulled").detail["credit"] == 120
    assert {each.pk: each.due_at for each in Conversation.objects.all()} == due  # no promise is longer or shorter
    assert next_of(ada).conversation == first


def test_a_credit_reaches_no_further_than_its_minutes_R067(ada: User):
    first = told()
    told(minutes=121, channel=Channel.LETTER)
    lifted()
    assert next_of(ada, after=timedelta(minutes=130)).conversation == first
    assert not CreditedPull.objects.exists()


def test_whoever_has_little_time_left_is_passed_over_by_nobody_s_credit(ada: User):
    first = told()
    told(minutes=60, channel=Channel.LETTER)
    lifted()
    assert first.due_at is not None
    soon = first.due_at - CREDIT_GUARD + timedelta(minutes=1) - NOON
    assert next_of(ada, after=soon).conversation == first


def test_the_guard_counts_service_time_so_that_a_night_is_no_slack(ada: User, monkeypatch: pytest.MonkeyPatch):
    """At 16:30 something due at 9:15 tomorrow has little left where we open at nine and close at five."""
    first, letter = told(), told(minutes=1, channel=Channel.LETTER)
    calendar = Calendar("UTC", (((9 * 60, 17 * 60),),) * 7)
    evening = NOON.replace(hour=16, minute=30)
    Conversation.objects.filter(pk=first.pk).update(due_at=NOON.replace(hour=9, minute=15) + timedelta(days=1))
    Conversation.objects.filter(pk=letter.pk).update(due_at=NOON.replace(hour=9, minute=45) + timedelta(days=1))
    lifted()
    monkeypatch.setattr(calendars, "in_force", lambda region, at: calendar)
    assert next_of(ada, after=evening - NOON).conversation == first


def test_harm_that_cannot_wait_stays_first_and_is_moved_by_no_credit_E04(ada: User):
    grave, graver = told(minutes=5), told(channel=Channel.LETTER)
    Conversation.objects.filter(pk__in=[grave.pk, graver.pk]).update(queue_class=QueueClass.CRITICAL)
    Conversation.objects.filter(pk=graver.pk).update(due_at=grave.due_at + HOUR)
    told(channel=Channel.LETTER)
    lifted()
    assert [next_of(ada).conversation for _ in range(2)] == [grave, graver]
    assert not CreditedPull.objects.exists()


def test_taking_by_name_still_asks_why_for_a_credit_is_no_excuse_E09(ada: User):
    told()
    letter = told(minutes=60, channel=Channel.LETTER)
    lifted()
    with pytest.raises(queue.NotNext):
        queue.take(letter.pk, by=ada, at=NOON + HOUR)
    queue.take(letter.pk, by=ada, at=NOON + HOUR, out_of_order=OutOfOrder.KNOWS_IT)


@pytest.mark.parametrize("seed", range(4))
def test_the_database_takes_in_the_very_order_of_the_policy(ada: User, seed: int):
    chance = random.Random(seed)
    at = NOON + 4 * HOUR
    lives = {Channel.LETTER.value: 90, Channel.CHAT.value: 200}
    for number in range(24):
        talk = told(minutes=number % 5, channel=chance.choice(list(Channel)))
        due_at = at + timedelta(minutes=chance.randrange(-60, 300))
        Conversation.objects.filter(pk=talk.pk).update(queue_class=chance.choice([0, 1, 1, 1]), due_at=due_at)
    expected = sorted(
        Conversation.objects.all(),
        key=lambda each: pull_key(
            queue_class=each.queue_class,
            due_at=each.due_at,
            spoke_at=each.spoke_at,
            number=each.pk,
            credit=timedelta(minutes=lives.get(each.channel, 0)),
            guarded_until=at + CREDIT_GUARD,
        ),
    )
    assert list(in_pull_order(Conversation.objects.all(), lives, guarded_until=at + CREDIT_GUARD)) == expected
    for channel, minutes in lives.items():
        lifted(channel, minutes)
    assert queue.next_for(ada, at=at).conversation == expected[0]  # type: ignore[union-attr]


def test_without_a_credit_the_pull_asks_what_it_always_asked_GOAL15(ada: User):
    """No statement more, and the one that finds the head knows nothing of credits."""

    def statements() -> list[str]:
        with transaction.atomic(), CaptureQueriesContext(connection) as captured:
            queue.next_for(ada, at=NOON + HOUR)
            transaction.set_rollback(True)
        return [each["sql"] for each in captured if "SAVEPOINT" not in each["sql"]]

    told()
    plain = statements()
    (head,) = [sql for sql in plain if "SKIP LOCKED" in sql]
    assert "credit" not in head
    assert 'ORDER BY "crm_conversation"."queue_class" ASC, "crm_conversation"."due_at" ASC' in head
    lifted()
    QueueCredit.objects.update(until=NOON + HOUR)
    assert len(statements()) == len(plain)
    lifted()
    assert len(statements()) <= len(plain) + 3


# --- what a credit may be -------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("minutes", [-1, 241])
def test_a_credit_is_never_negative_and_never_beyond_its_bound(minutes: int):
    with pytest.raises(credits.UnusableCredit):
        credits.put(Channel.LETTER, minutes=minutes, most=240, by=None, at=NOON)
    with pytest.raises(credits.UnusableCredit):
        credits.put(Channel.LETTER, minutes=1, most=721, by=None, at=NOON)
    assert not QueueCredit.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "wrong", [{"minutes": 0}, {"minutes": 50, "most": 49}, {"minutes": 800, "most": 900}, {"until": NOON - HOUR}]
)
def test_the_database_refuses_a_credit_that_cannot_be(wrong: dict[str, Any]):
    with pytest.raises(IntegrityError), transaction.atomic():
        QueueCredit.objects.create(**({"channel": "letter", "minutes": 1, "most": 60, "since": NOON} | wrong))


@pytest.mark.django_db
def test_a_channel_has_one_credit_and_a_new_one_takes_its_place():
    for minutes in (60, 60, 90, 0, 0):
        credits.put(Channel.LETTER, minutes=minutes, most=240, by=None, at=NOON)
    assert list(QueueCredit.objects.order_by("pk").values_list("minutes", "until")) == [(60, NOON), (90, NOON)]
    assert credits.live() == {}
    assert HistoryEntry.objects.filter(verb="queue.credit_set").count() == 3
    lifted()
    with pytest.raises(IntegrityError), transaction.atomic():
        QueueCredit.objects.create(channel="letter", minutes=1, most=60, since=NOON)


def test_two_colleagues_at_once_get_different_matters_while_a_credit_lives_E13(transactional_db: None):
    people = [colleague(name=f"Colleague {number}") for number in range(4)]
    for number in range(4):
        told(minutes=number)
        told(minutes=30 + number, channel=Channel.LETTER)
    lifted()
    pulls = at_once(*[lambda who=who: queue.next_for(who, at=NOON + HOUR) for who in people])
    assert len({pull.conversation_id for pull in pulls}) == 4
    assert {pull.conversation.channel for pull in pulls} == {"letter"}
    assert not Promise.objects.exclude(state="running").exists()
