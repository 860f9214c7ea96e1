"""How a case ends and comes back: with a reason, in silence, by another person; and whose it is, said in words."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest
from django.db import IntegrityError, transaction

from crm.actions import deliveries, desk, endings, intake, outgoing, statements
from crm.channels.esp import DeliveryNews
from crm.models import ContactPoint, Continuation, Conversation, Dismissal, Hold, OutgoingMessage, Promise, User
from crm.policy import ConversationState, DismissalReason, PromiseKind, PromiseState, Verdict
from recovery import actions
from recovery.models import Case, Settlement
from recovery.policy import ComplaintType, Facts, Outcome, Status
from tests.conftest import NOON
from tests.crm.stories import colleague, message
from tests.faults.threads import at_once

pytestmark = pytest.mark.django_db

DAMAGED = Facts(ComplaintType.DAMAGED_ITEM, loss=Decimal("80.00"))
SOON, LATE = NOON + timedelta(days=3), NOON + timedelta(days=20)


def decided(by: User, facts: Facts = DAMAGED) -> Case:
    conversation = intake.receive(message(), at=NOON, origin="test").conversation
    case = actions.open_case(conversation.pk, facts=Facts(), seen_because=["broken"], by=None, at=NOON)
    actions.decide(case.pk, facts=facts, by=by, at=NOON)
    case.refresh_from_db()
    return case


def settle(case: Case, by: User, *, at=NOON, **more) -> Case:
    given = {"outcome": Outcome.UPHELD, "explanation": "We are sorry. We refund you 80 euros.", **more}
    return actions.resolve(case.pk, by=by, at=at, **given)


def sent(*, at=NOON) -> None:
    outgoing.send_batch(at=at)
    while actions.work_batch("recovery", at=at):
        pass


def complains_again(case: Case, *, at) -> None:
    point = ContactPoint.objects.get(customer=case.customer)
    again = message("It is broken again.", sender_address=point.address)
    intake.receive(again, at=at, origin="test", conversation=Conversation.objects.get(pk=case.conversation_id))
    while actions.work_batch("triage", at=at):
        pass


# --- not upheld -----------------------------------------------------------------------------------------------------


def test_not_upheld_needs_a_reason_and_tells_the_way_to_object_R009():
    ada = colleague()
    case = decided(ada, Facts())
    with pytest.raises(actions.ReasonMissing):
        settle(case, ada, outcome=Outcome.NOT_UPHELD, explanation="We found it whole.")
    case.refresh_from_db()
    assert case.status == Status.DECIDED
    settle(case, ada, outcome=Outcome.NOT_UPHELD, explanation="We found it whole.", reason="Photos show it whole.")
    case.refresh_from_db()
    told = OutgoingMessage.objects.get().text
    assert case.recourse
    assert case.recourse in told
    assert "Photos show it whole." not in told
    for field in ("reason", "recourse"):
        with pytest.raises(IntegrityError), transaction.atomic():
            Case.objects.filter(pk=case.pk).update(**{field: ""})


def test_a_case_is_not_settled_with_less_than_it_owes():
    ada = colleague()
    case = decided(ada)
    with pytest.raises(statements.Contradicts):
        settle(case, ada, explanation="We refund you 50 euros.")
    with pytest.raises(statements.Contradicts):
        settle(case, ada, explanation="We cannot refund you.", correction="We cannot refund you.")
    case.refresh_from_db()
    assert case.status == Status.DECIDED
    assert not Settlement.objects.exists()


# --- its confirmation came back -------------------------------------------------------------------------------------


def came_back(message: OutgoingMessage, *, at) -> None:
    """Its provider reports that nobody got it."""
    told = DeliveryNews(
        "postmark", "bounced", message.public_id, "", "", "", "5.1.1", at, f"{message.pk}", is_permanent=True
    )
    deliveries.report(told, at=at)


def test_a_case_whose_confirmation_came_back_is_not_settled_X4():
    """Nobody judged it wrong, so its owner may settle it again at once, in other words or another way."""
    ada = colleague()
    case = decided(ada)
    settle(case, ada)
    sent()
    kept = Promise.objects.filter(conversation=case.conversation, kind=PromiseKind.RESOLUTION)
    assert set(kept.values_list("met_at", flat=True)) == {NOON}

    came_back(OutgoingMessage.objects.get(), at=SOON)
    sent(at=SOON)

    case.refresh_from_db()
    assert (case.status, case.confirmed_at, case.resolved_at, case.reopened_count) == (Status.DECIDED, None, None, 0)
    assert set(kept.values_list("state", "met_at")) == {("running", None)}
    assert Hold.objects.active(SOON).exists()
    assert Conversation.objects.get().state == ConversationState.OPEN
    settle(case, ada, at=SOON, out_of_order="asked_by_lead")
    sent(at=SOON)
    case.refresh_from_db()
    assert (case.status, case.confirmed_at, OutgoingMessage.objects.count()) == (Status.RESOLVED, SOON, 2)
    assert not Hold.objects.active(SOON).exists()


def test_news_of_its_acceptance_that_comes_after_its_return_confirms_nothing():
    ada = colleague()
    case = decided(ada)
    settle(case, ada)
    outgoing.send_batch(at=NOON)
    came_back(OutgoingMessage.objects.get(), at=NOON)

    actions.came_back("outgoing.came_back", actions.ref_of(case), NOON)
    actions.confirm("outgoing.accepted", actions.ref_of(case), NOON)

    case.refresh_from_db()
    assert (case.status, case.confirmed_at) == (Status.DECIDED, None)


def test_whose_it_is_was_not_told_when_the_message_came_back_R132():
    ada = colleague()
    received = intake.receive(message("The lamp arrived broken."), at=NOON, origin="test")
    case = actions.open_case(received.conversation.pk, facts=DAMAGED, seen_because=["broken"], by=None, at=NOON)
    actions.own(case.pk, by=ada, at=NOON, words="This is mine now. I am Ada.")
    sent()
    case.refresh_from_db()
    assert case.ownership_told_at == NOON

    came_back(OutgoingMessage.objects.get(), at=SOON)
    sent(at=SOON)

    case.refresh_from_db()
    assert (case.status, case.ownership_told_at) == (Status.OWNED, None)


# --- back again -----------------------------------------------------------------------------------------------------


def test_a_case_that_comes_back_within_two_weeks_is_settled_by_another_person_R139():
    ada, bob = colleague(), colleague(name="Bob")
    case = decided(ada)
    settle(case, ada)
    sent()
    assert not Hold.objects.active(SOON).exists()
    complains_again(case, at=SOON)
    case.refresh_from_db()
    assert (case.status, case.reopened_count, case.owner, case.spoke_at) == (Status.DECIDED, 1, ada, NOON)
    assert Settlement.objects.get().reopened_at == SOON
    assert Hold.objects.active(SOON).exists()
    with pytest.raises(actions.SettledBySame):
        settle(case, ada, at=SOON, settled_because="it works now")
    with pytest.raises(actions.ReasonMissing):
        settle(case, bob, at=SOON)
    settle(case, bob, at=SOON, settled_because="a new one arrived", out_of_order="asked_by_lead")
    sent(at=SOON)
    case.refresh_from_db()
    assert (case.status, case.confirmed_at, OutgoingMessage.objects.count()) == (Status.RESOLVED, SOON, 2)
    with pytest.raises(IntegrityError), transaction.atomic():
        Settlement.objects.filter(not_by=ada).update(settled_by=ada)


def test_thanks_do_not_open_a_settled_case_again():
    ada = colleague()
    case = decided(ada)
    settle(case, ada)
    point = ContactPoint.objects.get(customer=case.customer)
    thanks = message("Thank you so much, lovely!", sender_address=point.address)
    intake.receive(thanks, at=SOON, origin="test", conversation=Conversation.objects.get(pk=case.conversation_id))
    while actions.work_batch("triage", at=SOON):
        pass
    case.refresh_from_db()
    assert (case.status, case.reopened_count) == (Status.RESOLVED, 0)


def test_a_case_that_comes_back_later_is_a_new_one_that_owes_nothing_twice_X18_E03():
    ada = colleague()
    case = decided(ada)
    settle(case, ada)
    following = actions.reopen(case.pk, because="she called", by=ada, at=LATE)
    case.refresh_from_db()
    assert (case.status, case.reopened_count) == (Status.RESOLVED, 0)
    assert following.pk != case.pk
    assert following.decisions.get().entitlement["owed"] == "0.00"
    assert Continuation.objects.get().continues_id == case.conversation_id
    assert Conversation.objects.get(pk=following.conversation_id).owner_id == ada.pk or following.owner_id is None


def test_an_open_case_cannot_be_opened_again_and_a_reason_is_needed():
    ada = colleague()
    case = decided(ada)
    with pytest.raises(actions.WrongStatus):
        actions.reopen(case.pk, because="x", by=ada, at=NOON)
    with pytest.raises(actions.ReasonMissing):
        actions.reopen(case.pk, because=" ", by=ada, at=NOON)


def test_two_colleagues_opening_again_at_once_count_it_once(transactional_db: None):
    ada = colleague()
    case = decided(ada)
    settle(case, ada)
    results = at_once(*[partial(actions.reopen, case.pk, because="x", by=ada, at=SOON) for _twice in range(2)])
    assert sum(isinstance(result, actions.WrongStatus) for result in results) == 1, results
    case.refresh_from_db()
    assert case.reopened_count == 1


# --- silence --------------------------------------------------------------------------------------------------------


def test_a_silent_customers_case_ends_as_gone_quiet_never_as_settled_and_comes_back_by_itself_R013():
    ada = colleague()
    case = decided(ada)
    desk.answer(case.conversation_id, text="Which lamp is it?", by=ada, at=NOON)
    sent()
    with pytest.raises(endings.NotTriedEnough):
        actions.go_quiet(case.pk, note="x", by=ada, at=SOON)
    case.refresh_from_db()
    assert case.status == Status.DECIDED
    for day in (1, 2):
        at = NOON + timedelta(days=day)
        endings.log_try(case.conversation_id, medium="email", note="no answer", by=ada, at=at)
    with pytest.raises(actions.FellSilent):
        settle(case, ada, at=SOON)
    with pytest.raises(endings.WrongState):  # a conversation with a case ends on its case's page
        endings.go_quiet(case.conversation_id, note="x", by=ada, at=SOON)
    actions.go_quiet(case.pk, note="three mails, no other address", by=ada, at=SOON)
    case.refresh_from_db()
    assert (case.status, case.outcome, case.resolved_at) == (Status.WENT_QUIET, "", None)
    released = Promise.objects.filter(conversation=case.conversation_id, kind=PromiseKind.RESOLUTION)
    assert {promise.state for promise in released} == {PromiseState.RELEASED}

    complains_again(case, at=SOON + timedelta(days=1))
    case.refresh_from_db()
    case.conversation.refresh_from_db()
    assert (case.status, case.conversation.state) == (Status.DECIDED, ConversationState.OPEN)


# --- whose it is ----------------------------------------------------------------------------------------------------


def test_whose_it_is_is_told_in_words_and_counts_once_they_were_accepted_R132():
    ada = colleague()
    conversation = intake.receive(message(), at=NOON, origin="test").conversation
    case = actions.open_case(conversation.pk, facts=Facts(), seen_because=["broken"], by=None, at=NOON)
    kept = Promise.objects.filter(conversation=conversation, kind=PromiseKind.OWNERSHIP)
    actions.own(case.pk, by=ada, at=NOON, words="This is mine now. I am Ada.")
    case.refresh_from_db()
    assert (case.owned_at, case.ownership_told_at, kept.get().state) == (NOON, None, "running")
    sent(at=NOON + timedelta(minutes=5))
    case.refresh_from_db()
    conversation.refresh_from_db()
    assert case.ownership_told_at == NOON + timedelta(minutes=5)
    assert kept.get().state == "met"
    assert (
        Promise.objects.get(conversation=conversation, kind="first_response", given_by="everybody").state == "running"
    )
    assert (conversation.first_answer_at, conversation.state) == (None, ConversationState.OPEN)


def test_the_owners_own_answer_says_whose_it_is_and_a_helpers_does_not_R132_R134():
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    helped = intake.receive(message(), at=NOON, origin="test").conversation
    Conversation.objects.filter(pk=helped.pk).update(owner=ada)
    actions.open_case(helped.pk, facts=Facts(), seen_because=["broken"], by=None, at=NOON)
    due = Promise.objects.get(kind=PromiseKind.OWNERSHIP)
    assert due.due_at == NOON + timedelta(hours=8)
    desk.answer(helped.pk, text="We look into it.", by=ada, at=NOON)
    sent()
    due.refresh_from_db()
    assert (due.state, due.met_at) == ("met", NOON)
    assert "I look after this for you." in OutgoingMessage.objects.get().text
    desk.answer(helped.pk, text="I jump in for Ada.", by=ben, at=NOON)
    helpers = OutgoingMessage.objects.order_by("-pk")[0].text
    assert "I look after" not in helpers
    assert "it reaches the colleague who looks after this for you" in helpers  # an answer goes to the owner, not to Ben


def test_a_case_seen_after_the_owners_answer_counts_it_R132():
    ada = colleague()
    conversation = intake.receive(message(), at=NOON, origin="test").conversation
    desk.answer(conversation.pk, text="We look into it.", by=ada, at=NOON)
    sent()
    actions.open_case(conversation.pk, facts=Facts(), seen_because=["broken"], by=ada, at=NOON + timedelta(hours=9))
    assert Promise.objects.get(kind=PromiseKind.OWNERSHIP).state == "met"


def test_an_earlier_answer_of_somebody_else_does_not_say_whose_it_is_R132():
    ada, ben = colleague(name="Ada"), colleague(name="Ben", takes=False)
    conversation = intake.receive(message(), at=NOON, origin="test").conversation
    Conversation.objects.filter(pk=conversation.pk).update(owner=ada)
    desk.answer(conversation.pk, text="I jump in for Ada.", by=ben, at=NOON, out_of_order="asked_by_lead")
    sent()
    actions.open_case(conversation.pk, facts=Facts(), seen_because=["broken"], by=ada, at=NOON + timedelta(hours=1))
    assert Promise.objects.get(kind=PromiseKind.OWNERSHIP).state == "running"


def test_a_case_can_be_taken_on_where_nothing_can_be_written_yet_R132():
    ada = colleague()
    call = desk.Call(key="k", phone="030 1234567", said="It is broken.", agreed="")
    conversation = desk.log_call(call, by=ada, at=NOON).conversation
    case = actions.open_case(conversation.pk, facts=Facts(), seen_because=[], by=ada, at=NOON)
    with pytest.raises(desk.NoWayBack):
        actions.own(case.pk, by=ada, at=NOON, words="This is mine now.")
    case.refresh_from_db()
    assert case.status == Status.DETECTED
    actions.own(case.pk, by=ada, at=NOON)


# --- seen where nothing was to be answered --------------------------------------------------------------------------


def test_a_case_seen_in_spam_is_dismissed_with_its_conversation_and_taken_up_again_if_that_was_wrong_R010():
    ada, bob = colleague(), colleague(name="Bob")
    conversation = intake.receive(message(), at=NOON, origin="test").conversation
    actions.work_batch("triage", at=NOON)
    case = Case.objects.get(conversation=conversation)
    with pytest.raises(endings.WrongState):
        endings.dismiss(conversation.pk, reason=DismissalReason.SPAM, by=ada, at=NOON)
    actions.dismiss(case.pk, reason=DismissalReason.SPAM, by=ada, at=NOON)
    case.refresh_from_db()
    assert (case.status, Hold.objects.active(SOON).exists()) == (Status.DISMISSED, False)

    dismissal = Dismissal.objects.get()
    Dismissal.objects.update(sampled_for="2026-03")
    endings.audit(dismissal.pk, verdict=Verdict.WRONG, by=bob, at=SOON)
    while actions.work_batch("recovery", at=SOON):
        pass
    case.refresh_from_db()
    case.conversation.refresh_from_db()
    assert (case.status, case.conversation.state) == (Status.DETECTED, ConversationState.OPEN)
    assert Hold.objects.active(SOON).exists()
    actions.own(case.pk, by=ada, at=SOON)
    with pytest.raises(actions.WrongStatus):
        actions.dismiss(case.pk, reason=DismissalReason.SPAM, by=ada, at=SOON)


def test_whoever_was_dismissed_and_speaks_again_has_their_case_again_R010():
    ada = colleague()
    conversation = intake.receive(message(), at=NOON, origin="test").conversation
    actions.work_batch("triage", at=NOON)
    case = Case.objects.get(conversation=conversation)
    actions.dismiss(case.pk, reason=DismissalReason.NOT_FOR_US, by=ada, at=NOON)
    complains_again(case, at=SOON)
    case.refresh_from_db()
    assert case.status == Status.DETECTED
