"""The same instant, several times: one customer, one interaction, one answer."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from crm.actions import call_backs, calls, desk, intake, mails, outgoing, talks
from crm.models import (
    Call,
    CallEvent,
    ContactPoint,
    Conversation,
    Customer,
    HistoryEntry,
    Interaction,
    OutgoingMessage,
    Promise,
    RawItem,
    WorkItem,
)
from crm.policy import CallEventKind, ConversationState
from tests.conftest import NOON
from tests.crm import stories
from tests.faults.threads import at_once

ROUNDS = 4


def receive(message: Any, **more: Any) -> intake.Received:
    return intake.receive(message, at=NOON, origin="test", **more)


@pytest.mark.parametrize("people", [2, 8])
def test_the_first_words_of_a_new_customer_on_several_doors_at_once_make_one_customer(
    transactional_db: None, people: int
):
    """E13: somebody writes a mail and a form in the same instant; both are kept, and it is one person."""
    for number in range(ROUNDS):
        address = f"new{number}@home.example"
        messages = [
            stories.message(sender_address=address, text=f"My lamp is broken, {door}.") for door in range(people)
        ]

        results = at_once(*[partial(receive, message) for message in messages])

        assert not [result for result in results if isinstance(result, Exception)], results
        assert len({result.conversation.customer_id for result in results}) == 1
        assert ContactPoint.objects.filter(address=address).count() == 1
    assert Customer.objects.count() == ROUNDS
    assert Interaction.objects.count() == WorkItem.objects.count() == ROUNDS * people


@pytest.mark.parametrize("known", [False, True])
def test_the_same_delivery_eight_times_at_once_is_one_interaction(transactional_db: None, known: bool):
    """M18, E13."""
    for number in range(ROUNDS):
        address = f"carla{number}@home.example"
        if known:
            receive(stories.message(sender_address=address))
        before = Interaction.objects.count()
        message = stories.message(sender_address=address)

        results = at_once(*[partial(receive, message)] * 8)

        assert not [result for result in results if isinstance(result, Exception)], results
        assert sum(result.created for result in results) == 1
        assert len({result.interaction.pk for result in results}) == 1
        assert Interaction.objects.count() == before + 1


def test_the_same_delivery_eight_times_at_once_into_an_answered_matter_is_one_interaction_and_one_promise(
    transactional_db: None,
):
    """M18, E13, Q6: whoever writes again after our answer is promised the next one, once."""
    ada = stories.colleague()
    for number in range(ROUNDS):
        first = receive(stories.message(sender_address=f"carla{number}@home.example"))
        Conversation.objects.filter(pk=first.conversation.pk).update(
            first_answer_at=NOON, state=ConversationState.WAITING, owner=ada
        )
        again = stories.message(sender_address=f"carla{number}@home.example", text="It is still broken.")

        results = at_once(*[partial(receive, again, conversation=first.conversation)] * 8)

        assert not [result for result in results if isinstance(result, Exception)], results
        assert sum(result.created for result in results) == 1
        assert Interaction.objects.filter(conversation=first.conversation).count() == 2
        assert Promise.objects.filter(conversation=first.conversation, kind="next_update").count() == 1


def test_the_same_bytes_kept_by_eight_at_once_are_one_raw_item_and_read_once(transactional_db: None):
    """M18: eight pollers."""
    for number in range(ROUNDS):
        mail = stories.raw_mail(sender=f"carla{number}@home.example")
        items = at_once(*[lambda mail=mail: mails.keep_raw(mail, source="mail:test", label="", at=NOON)] * 8)
        assert len({item.pk for item in items}) == 1

        results = at_once(*[lambda item=item: mails.read_raw(item, at=NOON) for item in items])

        assert not [result for result in results if isinstance(result, Exception)], results
        assert sum(result is not None for result in results) == 1
    assert RawItem.objects.count() == Interaction.objects.count() == ROUNDS


def test_one_key_with_two_texts_at_once_keeps_one_and_refuses_the_other(transactional_db: None):
    first = stories.message("My lamp is broken.")
    second = stories.message("My chair is broken.", external_id=first.external_id, sender_address=first.sender_address)

    results = at_once(partial(receive, first), partial(receive, second))

    refused = [result for result in results if isinstance(result, intake.DifferentContent)]
    assert len(refused) == 1
    assert Interaction.objects.count() == 1


def test_one_answer_pressed_eight_times_at_once_leaves_once(transactional_db: None):
    """Q4."""
    ada = stories.colleague()
    conversation = receive(stories.message()).conversation

    results = at_once(*[lambda: desk.answer(conversation.pk, text="We are sorry.", by=ada, at=NOON, key="a").pk] * 8)

    assert len(set(results)) == 1, results
    assert OutgoingMessage.objects.count() == 1
    assert Interaction.objects.filter(direction="out").count() == 1
    assert HistoryEntry.objects.filter(verb="conversation.answered").count() == 1


def test_one_answer_key_with_two_texts_at_once_sends_one_and_refuses_the_other(transactional_db: None):
    ada = stories.colleague()
    conversation = receive(stories.message()).conversation

    def answer(text: str) -> OutgoingMessage:
        return desk.answer(conversation.pk, text=text, by=ada, at=NOON, key="a")

    results = at_once(partial(answer, "We are sorry."), partial(answer, "We are glad."))

    assert sum(isinstance(result, outgoing.DifferentContent) for result in results) == 1, results
    assert OutgoingMessage.objects.count() == 1


def test_one_call_written_down_twice_at_once_is_one_call_and_one_confirmation(transactional_db: None):
    ada = stories.colleague()
    call = desk.Call(
        key="c1", said="My lamp is broken.", agreed="A new one comes.", phone="+4930123456", email="carla@home.example"
    )

    results = at_once(*[lambda: desk.log_call(call, by=ada, at=NOON).interaction.pk] * 4)

    assert len(set(results)) == 1, results
    assert OutgoingMessage.objects.count() == 1


def rang(number: str, *, at: Any = NOON, kind: CallEventKind = CallEventKind.RANG, event: str = "rang") -> Any:
    told = calls.Told(source="phone:main", external_id=number, event_id=event, kind=kind, caller="+4930123456")
    return calls.report(told, by=None, at=at, origin="test")


def test_events_of_one_call_reported_at_once_are_one_call(transactional_db: None):
    """E13."""
    later = NOON + timedelta(seconds=20)
    for number in range(ROUNDS):
        name = f"c{number}"
        results = at_once(
            *[partial(rang, name)] * 3,
            *[partial(rang, name, at=later, kind=CallEventKind.ANSWERED, event="answered")] * 3,
        )
        assert not [result for result in results if isinstance(result, Exception)], results
    assert Call.objects.count() == ROUNDS
    assert CallEvent.objects.count() == 2 * ROUNDS
    assert set(Call.objects.values_list("state", "rang_at", "answered_at")) == {("talking", NOON, later)}


def test_two_recoveries_at_once_make_one_conversation_and_one_promise(transactional_db: None):
    """F22, R137."""
    for name in ("c1", "c2"):
        rang(name)

    results = at_once(*[partial(call_backs.recover_dropped_calls, NOON + timedelta(minutes=2))] * 4)

    assert not [result for result in results if isinstance(result, Exception)], results
    assert Conversation.objects.count() == Customer.objects.count() == 1
    assert Interaction.objects.count() == 2
    assert Promise.objects.filter(kind="call_back").count() == 1
    assert not Call.objects.filter(followed_up_at=None).exists()


def test_writing_a_talk_down_while_it_is_recovered_is_one_matter(transactional_db: None):
    """R137, E13."""
    ada = stories.colleague()
    for number in range(ROUNDS):
        name = f"c{number}"
        rang(name)
        call = rang(name, at=NOON + timedelta(seconds=20), kind=CallEventKind.ANSWERED, event="answered")
        rang(name, at=NOON + timedelta(seconds=60), kind=CallEventKind.ENDED, event="ended")
        noted = talks.Call(key=name, said="My lamp is broken.", agreed="", live=call.public_id)

        results = at_once(
            partial(desk.log_call, noted, by=ada, at=NOON + timedelta(minutes=10)),
            partial(call_backs.recover_dropped_calls, NOON + timedelta(minutes=10)),
        )

        assert not [result for result in results if isinstance(result, Exception)], results
        call.refresh_from_db()
        said = Interaction.objects.filter(conversation=call.interaction.conversation, text__startswith="My lamp")
        assert said.count() >= 1, "the words and the call are in one matter"
        Conversation.objects.update(state=ConversationState.CLOSED, due_at=None)
        Call.objects.update(rang_at=NOON - timedelta(days=1))
        Interaction.objects.update(spoke_at=NOON - timedelta(days=1))
