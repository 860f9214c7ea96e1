"""Taking back an answer before it leaves: by its writer, or because the customer wrote first (X13, X14)."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.core import mail

from crm.actions import answers, drafts, endings, intake, outgoing, queue, statements, undo
from crm.models import (
    Alert,
    AnswerDraft,
    Conversation,
    Correction,
    HistoryEntry,
    Interaction,
    OutgoingMessage,
    Promise,
    Pull,
    User,
)
from crm.policy import AlertKind, ConversationState, OutgoingState, OutOfOrder, PromiseState, PullEnd, Role
from tests.conftest import NOON
from tests.crm.stories import colleague, message
from tests.faults.threads import at_once

pytestmark = pytest.mark.django_db

SOON = NOON + timedelta(seconds=15)
LATER = NOON + timedelta(minutes=1)


def told(**changes: Any) -> Conversation:
    return intake.receive(message(**changes), at=NOON, origin="test").conversation


def say(conversation: Conversation, by: User, text: str = "We are sorry.", **more: Any) -> OutgoingMessage:
    return answers.answer(conversation.pk, text=text, by=by, **{"at": NOON, "send_after": SOON, **more})


def now(row: Any) -> Any:
    return type(row).objects.get(pk=row.pk)


def rows() -> tuple[Any, ...]:
    return (
        list(OutgoingMessage.objects.order_by("pk").values()),
        list(Conversation.objects.order_by("pk").values()),
        list(AnswerDraft.objects.order_by("pk").values()),
        list(Pull.objects.order_by("pk").values()),
        HistoryEntry.objects.count(),
        Interaction.objects.count(),
    )


def test_an_answer_waits_the_moment_in_which_it_can_be_taken_back_and_then_leaves_X13():
    conversation, ada = told(), colleague()
    sent = say(conversation, ada)
    assert outgoing.send_batch(at=SOON - timedelta(seconds=1)) == 0
    assert (len(mail.outbox), now(sent).state) == (0, OutgoingState.READY)

    outgoing.send_batch(at=SOON)

    assert (len(mail.outbox), now(sent).state) == (1, OutgoingState.ACCEPTED)
    assert Promise.objects.get().met_at >= SOON  # kept when it was accepted, so the moment moved no clock


def test_what_is_taken_back_never_leaves_and_its_words_are_the_writers_draft_again_X13():
    conversation, ada = told(), colleague()
    queue.take(conversation.pk, by=ada, at=NOON)
    sent = say(conversation, ada, "We are sory.")

    undo.take_back(sent.pk, by=ada, at=NOON + timedelta(seconds=5))
    outgoing.send_batch(at=LATER)

    assert len(mail.outbox) == 0
    assert now(sent).state == OutgoingState.CANCELLED
    assert AnswerDraft.objects.get().text == "We are sory."
    conversation = now(conversation)
    assert conversation.state == ConversationState.OPEN
    assert conversation.due_at == Promise.objects.get().due_at
    assert conversation.first_answer_at is None
    assert Promise.objects.get().state == PromiseState.RUNNING
    work = Pull.objects.get()
    assert (work.by, work.finished_at) == (ada, None)  # whoever wrote it goes on with it
    entry = HistoryEntry.objects.get(verb="message.taken_back")
    assert (entry.by, entry.ref) == (ada, f"outgoing:{sent.public_id}")
    assert list(Interaction.objects.that_stand().values_list("direction", flat=True)) == ["in"]
    assert Interaction.objects.count() == 2  # it stays in the thread


def test_taken_back_and_sent_again_keeps_the_promise_once():
    conversation, ada = told(), colleague()
    undo.take_back(say(conversation, ada).pk, by=ada, at=NOON)
    second = say(conversation, ada, "We are sorry!", at=NOON + timedelta(seconds=9), send_after=None)
    outgoing.send_batch(at=LATER)
    assert [mailed.body.count("We are sorry!") for mailed in mail.outbox] == [1]
    assert Promise.objects.get().met_by == second.interaction
    assert not AnswerDraft.objects.exists()


def test_what_has_been_begun_since_is_not_lost():
    conversation, ada = told(), colleague()
    sent = say(conversation, ada, "First words.")
    drafts.keep(conversation.pk, text="A second thought.", by=ada, at=NOON)
    undo.take_back(sent.pk, by=ada, at=NOON)
    assert AnswerDraft.objects.get().text == "First words.\n\nA second thought."


@pytest.mark.parametrize("state", [s for s in OutgoingState if s != OutgoingState.READY])
def test_what_has_begun_to_leave_cannot_be_taken_back_and_nothing_changes(state):
    conversation, ada = told(), colleague()
    sent = say(conversation, ada)
    OutgoingMessage.objects.filter(pk=sent.pk).update(
        state=state, reason="r", accepted_at=NOON, lease_until=NOON + timedelta(days=3650)
    )
    before = rows()
    with pytest.raises(undo.TooLate) as refused:
        undo.take_back(sent.pk, by=ada, at=NOON)
    assert refused.value.code == "too_late"
    assert rows() == before


def test_what_may_have_arrived_is_not_unsaid():
    conversation, ada = told(), colleague()
    sent = say(conversation, ada)
    OutgoingMessage.objects.filter(pk=sent.pk).update(unknown_outcomes=1)
    assert not undo.may_take_back(now(sent), by=ada)
    with pytest.raises(undo.TooLate):
        undo.take_back(sent.pk, by=ada, at=NOON)


def test_only_its_writer_or_who_looks_after_what_leaves_takes_an_answer_back():
    conversation, ada, ben, lead = told(), colleague(), colleague(name="Ben"), colleague(Role.LEAD)
    sent = say(conversation, ada)
    before = rows()
    assert not undo.may_take_back(now(sent), by=ben)
    with pytest.raises(undo.NotTheirs):
        undo.take_back(sent.pk, by=ben, at=NOON)
    assert rows() == before
    undo.take_back(sent.pk, by=lead, at=NOON)
    assert AnswerDraft.objects.get().author == ada


def test_what_a_case_tells_is_not_taken_back_as_if_it_were_words_alone():
    conversation, ada = told(), colleague()
    sent = say(conversation, ada, concerns="case:1")
    before = rows()
    with pytest.raises(undo.PartOfMore):
        undo.take_back(sent.pk, by=ada, at=NOON)
    assert rows() == before
    undo.stop(sent.pk, by=ada, at=NOON)  # it can still be kept from leaving
    assert now(sent).state == OutgoingState.CANCELLED


def test_what_was_taken_back_binds_nobody_neither_as_words_nor_as_a_correction_X13():
    conversation, ada = told(), colleague()
    say(conversation, ada, "We refund you 80 euros.")
    because = "we had counted the postage twice"
    less = say(conversation, ada, f"We refund you 60 euros; {because}.", correction=because, at=SOON, send_after=LATER)
    assert Correction.objects.get().interaction == less.interaction

    undo.take_back(less.pk, by=ada, at=SOON)

    with pytest.raises(statements.Contradicts, match="80 euros"):
        say(conversation, ada, "We refund you 60 euros.")
    say(conversation, ada, "We refund you 80 euros, as we said.")


def test_the_first_of_two_answers_taken_back_leaves_the_matter_with_the_customer_and_both_bring_it_back():
    conversation, ada = told(), colleague()
    first = say(conversation, ada, "One.")
    second = say(conversation, ada, "Two.", at=NOON + timedelta(seconds=5), send_after=LATER)
    undo.take_back(first.pk, by=ada, at=NOON + timedelta(seconds=6))
    assert now(conversation).state == ConversationState.WAITING
    undo.take_back(second.pk, by=ada, at=NOON + timedelta(seconds=7))
    assert now(conversation).state == ConversationState.OPEN
    assert Pull.objects.in_work().get().by == ada


def test_a_second_word_taken_back_does_not_open_what_the_first_has_answered():
    conversation, ada = told(), colleague()
    say(conversation, ada, "One.", send_after=None)
    outgoing.send_batch(at=NOON)
    second = say(conversation, ada, "Two.", at=LATER, send_after=LATER + timedelta(seconds=15))
    undo.take_back(second.pk, by=ada, at=LATER)
    assert now(conversation).state == ConversationState.WAITING
    assert Pull.objects.get().finished_how == PullEnd.ANSWERED


def test_the_work_of_a_colleague_who_has_taken_it_since_goes_on():
    conversation, ada, ben = told(), colleague(), colleague(name="Ben")
    sent = say(conversation, ada, stays_open=True)
    queue.take(conversation.pk, by=ben, at=NOON + timedelta(seconds=3), out_of_order=OutOfOrder.KNOWS_IT)
    undo.take_back(sent.pk, by=ada, at=NOON + timedelta(seconds=5))
    assert Pull.objects.in_work().get().by == ben


def test_the_moment_to_think_again_never_makes_a_promise_late():
    conversation, ada = told(), colleague()
    due_at = conversation.due_at
    at = due_at - timedelta(seconds=10)
    sent = say(conversation, ada, at=at, send_after=at + timedelta(seconds=15))
    assert sent.send_after == at
    outgoing.send_batch(at=at)
    assert Promise.objects.get().state == PromiseState.MET


def test_a_sender_and_a_writer_who_thinks_again_race_and_exactly_one_of_them_wins_X13(transactional_db: None):
    ada = colleague()
    won = set()
    for number in range(12):
        conversation = told(sender_address=f"carla{number}@home.example")
        sent = say(conversation, ada, out_of_order=OutOfOrder.KNOWS_IT)
        before = len(mail.outbox)

        results = at_once(
            partial(undo.take_back, sent.pk, by=ada, at=SOON),
            partial(outgoing.send_batch, at=SOON),
            partial(undo.take_back, sent.pk, by=ada, at=SOON),
        )

        taken = [result for result in results if isinstance(result, OutgoingMessage)]
        refused = [result for result in results if isinstance(result, undo.TooLate)]
        left = len(mail.outbox) - before
        assert len(taken) + left == 1, results
        assert len(taken) + len(refused) == 2, results
        assert now(sent).state == (OutgoingState.CANCELLED if taken else OutgoingState.ACCEPTED)
        assert AnswerDraft.objects.filter(conversation=conversation).count() == len(taken)
        assert now(conversation).state == (ConversationState.OPEN if taken else ConversationState.WAITING)
        won.add(bool(taken))
    assert won  # which of them is quicker is chance


# --- planned --------------------------------------------------------------------------------------------------------

TOMORROW = NOON + timedelta(days=1)


def settled(**changes: Any) -> tuple[Conversation, User]:
    """A matter that has its answer, so that nothing is promised any more."""
    conversation, ada = told(**changes), colleague()
    say(conversation, ada, "We look into it.", send_after=None)
    outgoing.send_batch(at=NOON)
    return now(conversation), ada


def planned(conversation: Conversation, by: User, **more: Any) -> OutgoingMessage:
    return say(
        conversation,
        by,
        "Did the new lamp arrive?",
        **{"at": LATER, "send_after": TOMORROW, "stops_if_they_write": True, **more},
    )


def heard(conversation: Conversation, at: datetime) -> int:
    """The customer writes again; what intake does in the same transaction."""
    from django.db import transaction

    with transaction.atomic():
        locked = Conversation.objects.select_for_update().get(pk=conversation.pk)
        return undo.stop_planned(locked, at=at)


def test_a_planned_answer_leaves_at_its_time_and_not_before_X14():
    conversation, ada = settled()
    sent = planned(conversation, ada)
    outgoing.send_batch(at=TOMORROW - timedelta(minutes=1))
    assert now(sent).state == OutgoingState.READY
    outgoing.send_batch(at=TOMORROW)
    assert now(sent).state == OutgoingState.ACCEPTED
    assert "Did the new lamp arrive?" in mail.outbox[-1].body


def test_a_planned_answer_stops_when_the_customer_writes_first_and_its_author_is_told_X14():
    conversation, ada = settled()
    sent = planned(conversation, ada)

    assert heard(conversation, TOMORROW - timedelta(hours=2)) == 1
    assert heard(conversation, TOMORROW - timedelta(hours=2)) == 0
    outgoing.send_batch(at=TOMORROW + timedelta(days=1))

    assert now(sent).state == OutgoingState.CANCELLED
    assert len(mail.outbox) == 1
    assert AnswerDraft.objects.get(author=ada).text == "Did the new lamp arrive?"
    alert = Alert.objects.get()
    assert (alert.kind, alert.to, alert.conversation) == (AlertKind.THEY_WROTE_FIRST, ada, conversation)
    assert HistoryEntry.objects.get(verb="message.overtaken").ref == f"outgoing:{sent.public_id}"


def test_work_behind_a_planned_answer_counts_as_no_answer_once_it_was_stopped():
    conversation, ada = told(), colleague()
    planned(conversation, ada, at=NOON, send_after=conversation.due_at - timedelta(minutes=1))
    assert Pull.objects.get().finished_how == PullEnd.ANSWERED
    heard(conversation, LATER)
    assert Pull.objects.get().finished_how == PullEnd.IDLE


def test_a_planned_answer_that_is_to_leave_anyway_does(django_assert_num_queries):
    conversation, ada = settled()
    sent = planned(conversation, ada, stops_if_they_write=False)
    with django_assert_num_queries(1):
        assert undo.stop_planned(conversation, at=LATER) == 0
    outgoing.send_batch(at=TOMORROW)
    assert now(sent).state == OutgoingState.ACCEPTED


def test_the_customer_and_the_sender_race_for_a_planned_answer_and_one_of_them_is_first_X14(transactional_db: None):
    for number in range(8):
        conversation, ada = settled(sender_address=f"carla{number}@home.example")
        sent = planned(conversation, ada)
        before = len(mail.outbox)
        results = at_once(partial(heard, conversation, TOMORROW), partial(outgoing.send_batch, at=TOMORROW))
        left = len(mail.outbox) - before
        stopped = now(sent).state == OutgoingState.CANCELLED
        assert not [result for result in results if isinstance(result, Exception)], results
        assert left + stopped == 1
        assert Alert.objects.filter(conversation=conversation).count() == stopped


def test_a_moment_that_has_passed_or_is_too_far_or_after_a_promise_is_refused_and_nothing_changes_X14():
    conversation, ada = told(), colleague()
    before = rows()
    for moment in (
        NOON - timedelta(seconds=1),
        NOON + timedelta(days=90, seconds=1),
        conversation.due_at + timedelta(seconds=1),
    ):
        with pytest.raises(answers.NotThen) as refused:
            planned(conversation, ada, at=NOON, send_after=moment)
        assert refused.value.code == "not_then"
    assert "Europe/Berlin" in str(refused.value)  # on whose clock the promise is named
    assert rows() == before
    planned(conversation, ada, at=NOON, send_after=conversation.due_at)


def test_nothing_is_planned_in_a_closed_matter():
    conversation, ada = settled()
    endings.closed(conversation, endings.HowClosed.CLOSED, reason="", by=ada, at=NOON)
    with pytest.raises(endings.WrongState):
        planned(now(conversation), ada)
