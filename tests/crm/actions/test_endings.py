"""How matters end: dismissed with a reason, gone quiet after real tries, closed; and what comes back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from django.db import IntegrityError, connection, transaction

from crm.actions import deadlines, desk, endings, intake, outgoing
from crm.models import (
    Closing,
    ContactPoint,
    Continuation,
    Conversation,
    Dismissal,
    HistoryEntry,
    Interaction,
    OutgoingMessage,
    Promise,
    User,
)
from crm.policy import ConversationState, DismissalReason, HowClosed, PromiseState, Verdict
from tests.conftest import NOON
from tests.crm.stories import colleague, message
from tests.faults.threads import at_once

pytestmark = pytest.mark.django_db

LATER, MUCH_LATER = NOON + timedelta(days=3), NOON + timedelta(days=30)
SPAM = DismissalReason.SPAM


def told(text: str = "Buy our watches.", *, at: datetime = NOON, **changes: object) -> Conversation:
    return intake.receive(message(text, **changes), at=at, origin="test").conversation


def answered(*, by: User, at: datetime = NOON) -> Conversation:
    conversation = told("My lamp is broken.", at=at)
    desk.answer(conversation.pk, text="A new one is on its way.", by=by, at=at)
    outgoing.send_batch(at=at)
    return conversation


def writes_again(conversation: Conversation, *, at: datetime, text: str = "It is still broken.") -> Conversation:
    point = ContactPoint.objects.get(customer=conversation.customer)
    again = message(text, sender_address=point.address)
    return intake.receive(
        again, at=at, origin="test", conversation=Conversation.objects.get(pk=conversation.pk)
    ).conversation


# --- dismissed ------------------------------------------------------------------------------------------------------


def test_what_is_dismissed_keeps_its_reason_and_lets_its_promises_go_R010():
    conversation, ada = told(), colleague()
    dismissal = endings.dismiss(conversation.pk, reason=SPAM, by=ada, at=NOON)
    conversation.refresh_from_db()
    assert (conversation.state, dismissal.reason) == (ConversationState.CLOSED, SPAM)
    assert set(Promise.objects.filter(conversation=conversation).values_list("state", flat=True)) == {"released"}
    assert HistoryEntry.objects.filter(verb="conversation.dismissed", by=ada).exists()
    assert deadlines.miss_batch(at=MUCH_LATER) == 0


def test_a_promise_missed_before_stays_missed_when_dismissed_E07():
    conversation, ada = told(), colleague()
    deadlines.miss_batch(at=LATER)
    endings.dismiss(conversation.pk, reason=SPAM, by=ada, at=LATER)
    assert Promise.objects.get(conversation=conversation).state == PromiseState.BREACHED


def test_only_the_coded_reasons_are_there_and_a_duplicate_names_the_other_R010():
    assert [reason.value for reason in DismissalReason] == ["spam", "duplicate", "abuse", "not_for_us"]
    conversation, ada = told(sender_address="kim@home.example"), colleague()
    other, stranger = told(sender_address="kim@home.example"), told()
    dismiss = partial(endings.dismiss, conversation.pk, by=ada, at=NOON)
    for wrong in (
        {"reason": DismissalReason.DUPLICATE},
        {"reason": SPAM, "same_as": other},
        {"reason": DismissalReason.DUPLICATE, "same_as": stranger},
        {"reason": DismissalReason.DUPLICATE, "same_as": conversation},
    ):
        with pytest.raises(endings.WrongState):
            dismiss(**wrong)
    assert not Dismissal.objects.exists()
    dismiss(reason=DismissalReason.DUPLICATE, same_as=other)
    with pytest.raises(endings.WrongState):
        dismiss(reason=SPAM)


def test_one_in_ten_dismissals_of_a_month_is_drawn_per_channel_and_always_the_same_R010():
    ada = colleague()
    for number in range(24):
        channel = "web_form" if number < 3 else "email"
        endings.dismiss(told(channel=channel).pk, reason=SPAM, by=ada, at=NOON)
    april = datetime(2026, 4, 2, tzinfo=UTC)
    assert endings.sample_dismissals(NOON) == 0  # the month is not over
    assert endings.sample_dismissals(april) == 1 + 3
    drawn = set(Dismissal.objects.filter(sampled_for="2026-03").values_list("pk", flat=True))
    assert endings.sample_dismissals(april + timedelta(days=99)) == 4
    assert set(Dismissal.objects.exclude(sampled_for="").values_list("pk", flat=True)) == drawn
    assert Dismissal.objects.filter(pk__in=drawn, conversation__channel="web_form").count() == 1


def test_somebody_else_looks_at_a_dismissal_and_a_wrong_one_is_open_again_with_its_promises_R010():
    ada, bob = colleague(), colleague(name="Bob")
    conversation = told("My lamp is broken.")
    due = Promise.objects.get(conversation=conversation).due_at
    dismissal = endings.dismiss(conversation.pk, reason=SPAM, by=ada, at=NOON)
    with pytest.raises(endings.WrongState):
        endings.audit(dismissal.pk, verdict=Verdict.WRONG, by=bob, at=LATER)  # not drawn
    Dismissal.objects.update(sampled_for="2026-03")
    with pytest.raises(endings.SamePerson):
        endings.audit(dismissal.pk, verdict=Verdict.RIGHT, by=ada, at=LATER)
    endings.audit(dismissal.pk, verdict=Verdict.WRONG, by=bob, at=LATER)
    conversation.refresh_from_db()
    promise = Promise.objects.get(conversation=conversation)
    assert (conversation.state, conversation.due_at) == (ConversationState.OPEN, due)
    assert (promise.state, promise.due_at) == (PromiseState.RUNNING, due)
    assert deadlines.miss_batch(at=LATER) == 1


def test_the_database_refuses_an_audit_by_the_one_who_dismissed():
    ada = colleague()
    endings.dismiss(told().pk, reason=SPAM, by=ada, at=NOON)
    with pytest.raises(IntegrityError), transaction.atomic():
        Dismissal.objects.update(verdict="right", audited_by=ada, audited_at=NOON)


# --- gone quiet -----------------------------------------------------------------------------------------------------


def test_gone_quiet_needs_three_tries_on_two_media_R013():
    ada = colleague()
    conversation = answered(by=ada)  # the first try
    ContactPoint.objects.create(customer=conversation.customer, kind="phone", address="+4930123", created_at=NOON)
    quiet = partial(endings.go_quiet, conversation.pk, note="", by=ada)
    with pytest.raises(endings.NotTriedEnough):
        quiet(at=LATER)
    for day in (1, 2):
        endings.log_try(conversation.pk, medium="email", note="no answer", by=ada, at=NOON + timedelta(days=day))
    with pytest.raises(endings.NotTriedEnough):  # three tries on one medium, and they gave two
        quiet(at=LATER)
    endings.log_try(conversation.pk, medium="phone", note="nobody picked up", by=ada, at=LATER)
    quiet(at=LATER)
    conversation.refresh_from_db()
    assert conversation.state == ConversationState.CLOSED
    assert Closing.objects.get().how == HowClosed.WENT_QUIET


def test_who_gave_one_medium_is_tried_three_times_on_it_and_the_note_says_so_R013():
    ada = colleague()
    conversation = answered(by=ada)
    for day in (1, 2):
        endings.log_try(conversation.pk, medium="email", note="no answer", by=ada, at=NOON + timedelta(days=day))
    with pytest.raises(endings.ReasonMissing):
        endings.go_quiet(conversation.pk, note=" ", by=ada, at=LATER)
    endings.go_quiet(conversation.pk, note="three mails, no other address", by=ada, at=LATER)
    assert Closing.objects.get().reason == "three mails, no other address"


def test_words_from_the_customer_start_the_tries_over_R013():
    ada = colleague()
    conversation = answered(by=ada)
    for day in (1, 2):
        endings.log_try(conversation.pk, medium="email", note="no answer", by=ada, at=NOON + timedelta(days=day))
    writes_again(conversation, at=LATER)
    with pytest.raises(endings.NotTriedEnough):
        endings.go_quiet(conversation.pk, note="x", by=ada, at=LATER)


def test_a_silent_customers_matter_cannot_be_closed_as_settled_R013():
    ada = colleague()
    conversation = answered(by=ada)
    endings.log_try(conversation.pk, medium="phone", note="nobody picked up", by=ada, at=NOON + timedelta(hours=1))
    with pytest.raises(endings.WrongState):
        desk.close(conversation.pk, by=ada, at=LATER)
    conversation.refresh_from_db()
    assert conversation.state == ConversationState.WAITING


def test_a_logged_try_is_never_rewritten():
    ada = colleague()
    endings.log_try(answered(by=ada).pk, medium="phone", note="nobody picked up", by=ada, at=LATER)
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE crm_outreach SET at = now()")


# --- closed and back ------------------------------------------------------------------------------------------------


def test_what_comes_back_within_two_weeks_is_closed_by_another_person_with_a_reason_R139():
    ada, bob = colleague(), colleague(name="Bob")
    conversation = answered(by=ada)
    owner = Conversation.objects.get().owner_id
    desk.close(conversation.pk, by=ada, at=NOON)
    assert writes_again(conversation, at=LATER).pk == conversation.pk
    assert Closing.objects.get().reopened_at == LATER
    desk.answer(conversation.pk, text="We are sorry; another one leaves today.", by=ada, at=LATER)
    outgoing.send_batch(at=LATER)

    with pytest.raises(endings.SamePerson):
        desk.close(conversation.pk, by=ada, at=LATER, reason="it works now")
    with pytest.raises(endings.ReasonMissing):
        desk.close(conversation.pk, by=bob, at=LATER)
    desk.close(conversation.pk, by=bob, at=LATER, reason="they wrote that it works now")
    conversation.refresh_from_db()
    assert (conversation.spoke_at, conversation.owner_id) == (NOON, owner)
    assert Closing.objects.count() == 2


def test_the_database_refuses_a_second_closing_by_the_first_person_R139():
    ada, conversation = colleague(), told()
    with pytest.raises(IntegrityError), transaction.atomic():
        Closing.objects.create(conversation=conversation, how="closed", reason="x", closed_by=ada, not_by=ada, at=NOON)
    with pytest.raises(IntegrityError), transaction.atomic():
        Closing.objects.create(
            conversation=conversation, how="closed", closed_by=ada, not_by=colleague(name="Bob"), at=NOON
        )


def test_what_comes_back_later_is_a_new_matter_linked_to_the_old_X18():
    ada = colleague()
    conversation = answered(by=ada)
    desk.close(conversation.pk, by=ada, at=NOON)
    following = writes_again(conversation, at=MUCH_LATER)
    assert following.pk != conversation.pk
    assert (following.spoke_at, following.state) == (MUCH_LATER, ConversationState.OPEN)
    link = Continuation.objects.get()
    assert (link.conversation_id, link.continues_id) == (following.pk, conversation.pk)
    assert Promise.objects.filter(conversation=following, kind="first_response").exists()
    conversation.refresh_from_db()
    assert conversation.state == ConversationState.CLOSED


def test_opened_again_by_a_colleague_late_it_goes_on_in_a_new_conversation_with_its_owner_X18():
    ada = colleague()
    conversation = answered(by=ada)
    desk.close(conversation.pk, by=ada, at=NOON)
    following = desk.reopen(conversation.pk, by=ada, at=MUCH_LATER)
    conversation.refresh_from_db()
    assert following.pk != conversation.pk
    assert (following.owner_id, following.state) == (conversation.owner_id, ConversationState.OPEN)
    assert Continuation.objects.get().continues_id == conversation.pk
    assert Interaction.objects.filter(conversation=following).count() == 0


def test_closing_and_answering_at_once_leave_one_whole_state(transactional_db: None):
    ada, bob = colleague(), colleague(name="Bob")
    conversation = answered(by=ada)
    results = at_once(*[partial(desk.close, conversation.pk, by=who, at=LATER) for who in (ada, bob)])
    assert sum(isinstance(result, endings.WrongState) for result in results) == 1, results
    assert Closing.objects.count() == 1
    assert OutgoingMessage.objects.count() == 1
