"""Promises warned of, missed, explained, released; a colleague's own; two sweepers at once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from crm.actions import deadlines, intake, promises
from crm.models import Alert, Conversation, HistoryEntry, Promise
from crm.policy import AlertKind, MissReason, PromiseKind, PromiseState
from tests.conftest import NOON
from tests.crm.stories import colleague, message
from tests.faults.threads import at_once

pytestmark = pytest.mark.django_db


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


def heard(**changes: object) -> Conversation:
    return intake.receive(message(spoke_at=NOON, **changes), at=NOON, origin="test").conversation


def test_the_owner_is_warned_once_while_there_is_time_R007_X28():
    owner = colleague()
    conversation = heard()
    assert deadlines.tick(at=NOON + hours(5.9)) == 0
    assert deadlines.tick(at=NOON + hours(6)) == 1
    assert deadlines.tick(at=NOON + hours(6.1)) == 0
    alert = Alert.objects.get()
    assert (alert.kind, alert.to, alert.conversation) == (AlertKind.PROMISE_SOON, owner, conversation)
    assert Promise.objects.get().state == PromiseState.RUNNING


def test_a_miss_is_written_down_told_to_the_leads_and_counted_R007():
    colleague()
    conversation = heard()
    while deadlines.tick(at=NOON + hours(9)):
        pass
    promise = Promise.objects.get()
    assert (promise.state, promise.breached_at) == (PromiseState.BREACHED, NOON + hours(9))
    missed = Alert.objects.get(kind=AlertKind.PROMISE_MISSED)
    assert (missed.to, missed.conversation) == (None, conversation)
    assert not Alert.objects.filter(kind=AlertKind.PROMISE_SOON).exists()  # a warning after the fact warns of nothing
    entry = HistoryEntry.objects.get(verb="promise.missed")
    assert entry.detail["promise"] == PromiseKind.FIRST_RESPONSE
    assert (entry.customer_id, entry.origin) == (conversation.customer_id, "worker")


def test_hours_of_missed_promises_are_one_alert_and_every_miss_is_kept_F23():
    for number in range(25):
        heard(external_id=f"many{number}")
    assert deadlines.miss_batch(at=NOON + hours(9)) == 25
    alert = Alert.objects.get(kind=AlertKind.PROMISE_MISSED)
    assert alert.detail == {"number": 25}
    assert HistoryEntry.objects.filter(verb="promise.missed").count() == 25
    assert deadlines.miss_batch(at=NOON + hours(9)) == 0


def test_a_miss_is_explained_and_stays_a_miss_Q6_E08():
    agent = colleague()
    heard()
    promise = Promise.objects.get()
    with pytest.raises(promises.NotMissed):
        promises.explain(promise.pk, reason=MissReason.NOT_SEEN, words="x", by=agent, at=NOON + hours(1))
    deadlines.miss_batch(at=NOON + hours(9))
    with pytest.raises(promises.WordsMissing):
        promises.explain(promise.pk, reason=MissReason.NOT_SEEN, words="  ", by=agent, at=NOON + hours(10))
    promises.explain(promise.pk, reason=MissReason.TOO_FEW_PEOPLE, words="Two were ill.", by=agent, at=NOON + hours(10))
    promise.refresh_from_db()
    assert (promise.state, promise.reason, promise.explained_by) == ("breached", "too_few_people", agent)
    assert HistoryEntry.objects.filter(verb="promise.explained").count() == 1


def test_a_colleagues_own_promise_places_the_matter_and_is_kept_by_saying_so():
    agent = colleague()
    conversation = heard()
    due_at = NOON + hours(3)
    given = promises.promise_personally(
        conversation.pk, due_at=due_at, words="I call on Monday at three.", by=agent, at=NOON, key="k"
    )
    again = promises.promise_personally(
        conversation.pk, due_at=due_at, words="I call on Monday at three.", by=agent, at=NOON, key="k"
    )
    conversation.refresh_from_db()
    assert given.pk == again.pk
    assert (conversation.due_at, given.within_seconds, given.calendar) == (due_at, None, None)
    promises.keep_personally(given.pk, by=agent, at=NOON + hours(2))
    conversation.refresh_from_db()
    assert conversation.due_at == NOON + hours(8)
    with pytest.raises(promises.NotReleasable):
        promises.keep_personally(given.pk, by=agent, at=NOON + hours(2))


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(hours=-1), timedelta(days=400)])
def test_only_a_moment_that_lies_ahead_is_promised(ahead):
    agent, conversation = colleague(), heard()
    with pytest.raises(promises.NotAMoment):
        promises.promise_personally(conversation.pk, due_at=NOON + ahead, words="x", by=agent, at=NOON, key="k")
    assert Promise.objects.count() == 1


def test_what_everybody_is_promised_is_not_released_and_a_call_back_is_only_by_the_customers_words_E07():
    agent, conversation = colleague(), heard()
    first = Promise.objects.get()
    with pytest.raises(promises.NotReleasable):
        promises.release(first.pk, words="They are fine.", by=agent, at=NOON)
    conversation = Conversation.objects.select_related("customer").get(pk=conversation.pk)
    call = promises.give(
        conversation, PromiseKind.CALL_BACK, within=hours(1), starts_at=NOON, given_by="call:1", at=NOON
    )
    with pytest.raises(promises.WordsMissing):
        promises.release(call.pk, words="", by=agent, at=NOON)
    promises.release(call.pk, words="“No need to call any more.”", by=agent, at=NOON + hours(0.5))
    assert deadlines.miss_batch(at=NOON + hours(2)) == 0
    conversation.refresh_from_db()
    assert conversation.due_at == NOON + hours(8)


def test_a_promise_says_later_what_it_said_when_it_was_given_Q6():
    heard()
    promise = Promise.objects.get()
    for change in (
        "warn_at = warn_at + interval '1 minute'",
        "within_seconds = 1",
        "given_by = 'x'",
        "calendar_id = 1",
    ):
        with pytest.raises(IntegrityError, match="never moved"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"UPDATE crm_promise SET {change} WHERE id = {promise.pk}")


@pytest.mark.django_db(transaction=True)
def test_two_sweepers_at_once_write_every_miss_and_every_warning_once_F22():
    colleague()
    for number in range(30):
        heard(external_id=f"race{number}")
    at = NOON + hours(6)
    at_once(lambda: deadlines.warn_batch(at=at, size=20), lambda: deadlines.warn_batch(at=at, size=20))
    while deadlines.warn_batch(at=at):
        pass
    assert Alert.objects.filter(kind=AlertKind.PROMISE_SOON).count() == 30
    late = NOON + hours(9)
    missed = at_once(lambda: deadlines.miss_batch(at=late, size=20), lambda: deadlines.miss_batch(at=late, size=20))
    assert sum(missed) + deadlines.miss_batch(at=late) == 30
    assert HistoryEntry.objects.filter(verb="promise.missed").count() == 30
