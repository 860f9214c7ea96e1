"""A second look by somebody who had no part in it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest
from django.db import IntegrityError, transaction

from crm.actions import desk, intake, outgoing, statements
from crm.models import Alert, Conversation, OutgoingMessage, Promise, User
from crm.policy import ConversationState, PromiseKind
from recovery import actions
from recovery.models import Case, CaseReview
from recovery.policy import REVIEWED_WITHIN, ComplaintType, Facts, Outcome, ReviewResult, Status
from tests.conftest import NOON
from tests.crm.stories import app_user, colleague, message
from tests.faults.threads import at_once

pytestmark = pytest.mark.django_db

MILD, GRAVE = Facts(), Facts(ComplaintType.DAMAGED_ITEM, loss=Decimal("80.00"))
LATER = NOON + timedelta(days=1)


def settled(ada: User, facts: Facts = MILD) -> Case:
    conversation = intake.receive(message(), at=NOON, origin="test").conversation
    case = actions.open_case(conversation.pk, facts=Facts(), seen_because=["broken"], by=None, at=NOON)
    actions.decide(case.pk, facts=facts, by=ada, at=NOON)
    actions.resolve(case.pk, outcome=Outcome.PARTLY, explanation="We are sorry.", by=ada, at=NOON)
    outgoing.send_batch(at=NOON)
    case.refresh_from_db()
    return case


def judged(case: Case, *, by: User, asked_by: User) -> CaseReview:
    review = actions.ask_for_review(case.pk, by=asked_by, at=LATER)
    actions.take_review(review.pk, by=by, at=LATER)
    return actions.judge(review.pk, merit=Outcome.UPHELD, by=by, at=LATER)


def test_asking_gives_a_promise_of_its_own_and_tells_the_leads_once_R153():
    ada, customer = colleague(), app_user()
    case = settled(ada)
    review = actions.ask_for_review(case.pk, by=customer, at=LATER)
    assert actions.ask_for_review(case.pk, by=ada, at=LATER) == review
    promise = Promise.objects.get(conversation=case.conversation_id, kind=PromiseKind.REVIEW)
    assert (promise.starts_at, promise.due_at) == (LATER, LATER + REVIEWED_WITHIN)
    assert Alert.objects.filter(kind="review_asked").count() == 1
    assert Conversation.objects.get(pk=case.conversation_id).state == ConversationState.OPEN


def test_there_is_nothing_to_look_at_again_before_anybody_decided():
    conversation = intake.receive(message(), at=NOON, origin="test").conversation
    case = actions.open_case(conversation.pk, facts=Facts(), seen_because=[], by=None, at=NOON)
    with pytest.raises(actions.WrongReview):
        actions.ask_for_review(case.pk, by=colleague(), at=NOON)


def test_nobody_who_had_a_part_looks_again_R153():
    ada, writer, asker, owner, other = (colleague(name=name, takes=False) for name in ("A", "W", "X", "O", "Z"))
    case = settled(ada)
    desk.note(case.conversation_id, text="hm", by=writer, at=NOON)
    Conversation.objects.filter(pk=case.conversation_id).update(owner=owner)
    review = actions.ask_for_review(case.pk, by=asker, at=LATER)
    for involved in (ada, writer, asker, owner):
        with pytest.raises(actions.HadAPart):
            actions.take_review(review.pk, by=involved, at=LATER)
    assert actions.take_review(review.pk, by=other, at=LATER).reviewer == other
    with pytest.raises(IntegrityError), transaction.atomic():
        CaseReview.objects.update(reviewer=asker)


def test_the_facts_are_judged_before_anything_else_and_once_R005():
    ada, bob = colleague(takes=False), colleague(name="Bob", takes=False)
    case = settled(ada)
    review = actions.ask_for_review(case.pk, by=ada, at=LATER)
    finish = partial(actions.finish_review, review.pk, facts=MILD, words="It stands.", by=bob, at=LATER)
    with pytest.raises(actions.WrongReview):
        finish()
    actions.take_review(review.pk, by=bob, at=LATER)
    with pytest.raises(actions.WrongReview):
        finish()
    with pytest.raises(IntegrityError), transaction.atomic():
        CaseReview.objects.update(result="upheld", ended_at=LATER)
    actions.judge(review.pk, merit=Outcome.PARTLY, by=bob, at=LATER)
    with pytest.raises(actions.WrongReview):
        actions.judge(review.pk, merit=Outcome.UPHELD, by=bob, at=LATER)
    finish()


def test_on_the_same_facts_the_decision_stands_and_the_customer_reads_it_R153():
    ada, bob = colleague(takes=False), colleague(name="Bob", takes=False)
    case = settled(ada)
    review = judged(case, by=bob, asked_by=ada)
    actions.finish_review(review.pk, facts=MILD, words="I looked again. It stands.", by=bob, at=LATER)
    review.refresh_from_db()
    case.refresh_from_db()
    assert (review.result, review.decision, case.status) == (ReviewResult.UPHELD, None, Status.RESOLVED)
    promise = Promise.objects.filter(conversation=case.conversation_id, kind=PromiseKind.REVIEW)
    assert promise.get().state == "running"
    outgoing.send_batch(at=LATER)
    assert promise.get().state == "met"
    assert "It stands." in OutgoingMessage.objects.order_by("-pk")[0].text


def test_on_other_facts_it_is_decided_anew_and_the_case_is_open_again_R153():
    ada, bob = colleague(takes=False), colleague(name="Bob", takes=False)
    case = settled(ada)
    review = judged(case, by=bob, asked_by=ada)
    with pytest.raises(statements.Contradicts):
        actions.finish_review(review.pk, facts=GRAVE, words="We cannot refund you.", by=bob, at=LATER)
    review.refresh_from_db()
    assert (review.result, case.decisions.count()) == ("", 2)
    actions.finish_review(review.pk, facts=GRAVE, words="You were right. We refund you 80 euros.", by=bob, at=LATER)
    review.refresh_from_db()
    case.refresh_from_db()
    assert review.result == ReviewResult.CHANGED
    assert review.decision == case.decisions.order_by("-pk")[0]
    assert (case.status, case.reopened_count) == (Status.DECIDED, 1)
    assert actions.left_to_give(case, review.decision).money == 80


def test_two_colleagues_taking_it_at_once_are_one(transactional_db: None):
    ada = colleague(takes=False)
    review = actions.ask_for_review(settled(ada).pk, by=ada, at=LATER)
    people = [colleague(name=name, takes=False) for name in ("Bob", "Bea")]
    results = at_once(*[partial(actions.take_review, review.pk, by=who, at=LATER) for who in people])
    assert sum(isinstance(result, actions.WrongReview) for result in results) == 1, results
