"""Customers nobody answered in time: who counts, and that leads are told where no reason is written within a day (R032)."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

import pytest

from crm.actions import desk, endings, intake, neglect, outgoing, promises
from crm.actions.deadlines import miss_batch
from crm.models import Alert, Conversation, HistoryEntry, Promise, User
from crm.policy import (
    FIRST_RESPONSE_WITHIN,
    REASON_WITHIN,
    AlertKind,
    DismissalReason,
    MissReason,
    OutOfOrder,
    PromiseKind,
)
from tests.conftest import NOON
from tests.crm.stories import colleague, message
from tests.faults.threads import at_once

pytestmark = pytest.mark.django_db

SOON_AFTER = NOON + timedelta(days=4)
A_DAY_AFTER = SOON_AFTER + REASON_WITHIN


def told() -> Conversation:
    return intake.receive(message(), at=NOON, origin="test").conversation


def neglected(at: datetime = SOON_AFTER) -> set[int]:
    return set(Promise.objects.neglected(at).values_list("conversation", flat=True))


def answered(conversation: Conversation, by: User, *, at: datetime) -> None:
    sent = desk.answer(conversation.pk, text="Tomorrow.", by=by, at=at, out_of_order=OutOfOrder.KNOWS_IT)
    while outgoing.send_batch(at=at):
        pass
    sent.refresh_from_db()
    assert sent.accepted_at is not None


def missed(conversation: Conversation) -> Promise:
    return Promise.objects.get(conversation=conversation, kind=PromiseKind.FIRST_RESPONSE)


def test_whoever_waits_past_the_first_promise_counts_until_a_person_answers_R032():
    ada, waits = colleague(), told()
    assert neglected(NOON + timedelta(minutes=1)) == set()
    assert neglected() == {waits.pk}, "also before the sweep has written the miss down"
    miss_batch(at=SOON_AFTER)
    assert neglected() == {waits.pk}

    answered(waits, ada, at=SOON_AFTER)

    assert neglected() == set()


def test_a_reason_takes_nobody_off_the_index_and_an_ending_with_a_reason_does_R032():
    ada, waits, spam = colleague(), told(), told()
    miss_batch(at=SOON_AFTER)
    promises.explain(missed(waits).pk, reason=MissReason.NOT_SEEN, words="We slept.", by=ada, at=SOON_AFTER)
    assert neglected() == {waits.pk, spam.pk}

    endings.dismiss(spam.pk, reason=DismissalReason.SPAM, same_as=None, by=ada, at=SOON_AFTER)

    assert neglected() == {waits.pk}


def test_two_promises_of_a_first_answer_are_one_neglected_matter_R032():
    waits = told()
    kinds = [(PromiseKind.FIRST_RESPONSE, FIRST_RESPONSE_WITHIN / 2)]
    promises.append(waits.pk, kinds, starts_at=NOON, given_by="decision:1", critical=False, at=NOON)
    miss_batch(at=SOON_AFTER)
    assert Promise.objects.filter(conversation=waits, kind=PromiseKind.FIRST_RESPONSE).count() == 2
    assert Promise.objects.neglected(SOON_AFTER).count() == 1
    later = Promise.objects.filter(conversation=waits, kind=PromiseKind.FIRST_RESPONSE).order_by("-due_at")[0]
    promises.explain(later.pk, reason=MissReason.NOT_SEEN, words="We slept.", by=colleague(), at=SOON_AFTER)
    assert Promise.objects.neglected(SOON_AFTER).with_reasons().get().is_explained
    assert neglect.ask_for_reasons(A_DAY_AFTER) == 0


def test_without_a_reason_for_a_day_the_leads_are_told_once_R032():
    waits = told()
    miss_batch(at=SOON_AFTER)
    due_at = missed(waits).due_at

    assert neglect.ask_for_reasons(due_at + REASON_WITHIN - timedelta(seconds=1)) == 0
    assert neglect.ask_for_reasons(due_at + REASON_WITHIN) == 1
    assert neglect.ask_for_reasons(due_at + 2 * REASON_WITHIN) == 0

    alert = Alert.objects.get(kind=AlertKind.REASON_OVERDUE)
    assert (alert.to, alert.conversation) == (None, waits)


def test_who_wrote_the_reason_and_when_is_on_record_and_nobody_is_told_R032():
    ada, waits = colleague(), told()
    miss_batch(at=SOON_AFTER)
    promises.explain(missed(waits).pk, reason=MissReason.NOT_SEEN, words="We slept.", by=ada, at=SOON_AFTER)

    assert neglect.ask_for_reasons(A_DAY_AFTER) == 0
    promise = missed(waits)
    assert (promise.explained_by, promise.explained_at, promise.explanation) == (ada, SOON_AFTER, "We slept.")
    assert HistoryEntry.objects.get(verb="promise.explained").by == ada


def test_an_answer_that_came_late_owes_a_reason_too_R032():
    ada, waits = colleague(), told()
    miss_batch(at=SOON_AFTER)
    answered(waits, ada, at=SOON_AFTER)
    assert neglected() == set()
    assert neglect.ask_for_reasons(A_DAY_AFTER) == 1


def test_many_at_once_are_one_alert_with_their_number_R032():
    for _number in range(21):
        told()
    miss_batch(at=SOON_AFTER)
    assert neglect.ask_for_reasons(A_DAY_AFTER) == 21
    assert Alert.objects.get(kind=AlertKind.REASON_OVERDUE).detail == {"number": 21}


def test_two_workers_at_once_tell_once_R032(transactional_db: None):
    told()
    miss_batch(at=SOON_AFTER)
    at_once(*[partial(neglect.ask_for_reasons, A_DAY_AFTER)] * 2)
    assert Alert.objects.filter(kind=AlertKind.REASON_OVERDUE).count() == 1
