"""Handing over: asked, answered, told; no clock moves; not for ever."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from django.core import mail
from django.db import IntegrityError, transaction

from crm.actions import desk, handoffs, intake, outgoing, owners, queue, rota, routing
from crm.models import (
    Alert,
    Conversation,
    HandOff,
    Helper,
    HistoryEntry,
    Interaction,
    OutgoingMessage,
    OwnerChange,
    Promise,
    User,
)
from crm.policy import HandOffReason, Role
from tests.conftest import NOON
from tests.crm.actions.test_queue import answered, told, workload
from tests.crm.stories import colleague
from tests.faults.threads import at_once

pytestmark = pytest.mark.django_db


def offered(conversation: Conversation, *, to: User, by: User) -> HandOff:
    return handoffs.offer(
        conversation.pk, to=to, reason=HandOffReason.KNOWS_IT, context_note="Ask the workshop.", by=by, at=NOON
    )


def handed(conversation: Conversation, *, to: User, by: User) -> HandOff:
    return handoffs.accept(offered(conversation, to=to, by=by).pk, by=to, at=NOON)


def known(ada: User) -> Conversation:
    """A matter of Ada's whose customer knows her."""
    conversation = answered(told(), by=ada)
    Conversation.objects.filter(pk=conversation.pk).update(owner=ada)
    conversation.refresh_from_db()
    return conversation


def test_the_owner_stays_owner_until_the_other_one_says_yes_R008():
    ada, ben = colleague(name="Ada"), colleague(name="Ben Castillo")
    conversation = known(ada)
    before = (conversation.due_at, conversation.spoke_at, conversation.first_answer_at)
    promises = set(Promise.objects.values_list("kind", "due_at", "state"))

    offer = offered(conversation, to=ben, by=ada)
    conversation.refresh_from_db()
    assert conversation.owner == ada
    assert Alert.objects.get(kind="hand_off_offered").to == ben

    accepted = handoffs.accept(offer.pk, by=ben, at=NOON + timedelta(minutes=5))
    assert Alert.objects.get(kind="hand_off_offered").seen_by == ben
    conversation.refresh_from_db()
    assert conversation.owner == ben
    assert (conversation.due_at, conversation.spoke_at, conversation.first_answer_at) == before
    outgoing.send_batch(at=NOON + timedelta(minutes=6))
    assert set(Promise.objects.values_list("kind", "due_at", "state")) == promises  # telling is no answer
    assert "From now on Ben Castillo looks after your matter" in mail.outbox[-1].body
    assert accepted.customer_told_at == NOON + timedelta(minutes=5)
    conversation.refresh_from_db()
    assert conversation.state == "open"
    assert HandOff.objects.filter(state="accepted").count() == 1
    assert [entry.verb for entry in HistoryEntry.objects.filter(verb__startswith="hand_off").order_by("pk")] == [
        "hand_off.offered",
        "hand_off.accepted",
    ]


def test_without_an_address_the_matter_moves_and_the_customer_is_told_later_R008():
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    call = desk.Call(key="k", phone="030 1234567", said="It is broken.", agreed="")
    conversation = desk.log_call(call, by=ada, at=NOON).conversation
    Conversation.objects.update(owner=ada)
    assert handed(conversation, to=ben, by=ada).customer_told_at is None


def test_no_is_an_answer_and_an_offer_can_be_taken_back_R008():
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    conversation = known(ada)
    first = offered(conversation, to=ben, by=ada)
    with pytest.raises(handoffs.AlreadyOffered):
        offered(conversation, to=ben, by=ada)
    with pytest.raises(handoffs.NotYours):
        handoffs.decline(first.pk, by=ada, at=NOON)
    handoffs.decline(first.pk, by=ben, at=NOON)
    with pytest.raises(handoffs.NotOffered):
        handoffs.accept(first.pk, by=ben, at=NOON)
    second = offered(conversation, to=ben, by=ada)
    with pytest.raises(handoffs.NotYours):
        handoffs.withdraw(second.pk, by=ben, at=NOON)
    handoffs.withdraw(second.pk, by=ada, at=NOON)
    conversation.refresh_from_db()
    assert conversation.owner == ada
    assert not mail.outbox[1:]


def test_after_two_hand_offs_the_owner_stays_and_others_help_R133():
    ada, ben, cem, dan = (colleague(name=name) for name in ("Ada", "Ben", "Cem", "Dan"))
    conversation = known(ada)
    handed(conversation, to=ben, by=ada)
    handed(conversation, to=cem, by=ben)
    with pytest.raises(handoffs.HandOffLocked, match="handed over twice"):
        offered(conversation, to=dan, by=cem)

    assert queue.next_for(dan, at=NOON) is None
    handoffs.join(conversation.pk, by=dan, at=NOON)
    handoffs.join(conversation.pk, by=dan, at=NOON)
    assert Helper.objects.count() == 1
    assert queue.next_for(dan, at=NOON) is not None
    desk.answer(conversation.pk, text="I mended it.", by=dan, at=NOON)
    conversation.refresh_from_db()
    assert conversation.owner == cem
    handoffs.leave(conversation.pk, by=dan, at=NOON)
    handoffs.leave(conversation.pk, by=dan, at=NOON)
    assert HistoryEntry.objects.filter(verb="conversation.helper_left").count() == 1


def test_being_moved_because_somebody_is_away_does_not_count_towards_the_lock_R133():
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    conversation = known(ada)
    lead = colleague(Role.LEAD, takes=False)
    for one, other in ((ada, ben), (ben, ada), (ada, ben)):
        absence = rota.be_away(
            one.pk, starts_at=NOON, ends_at=NOON + timedelta(days=4), stand_in=other, by=lead, at=NOON
        )
        assert owners.reassign_owner(NOON) == 1
        rota.be_back(absence.pk, by=one, at=NOON)
    assert OwnerChange.objects.filter(why="not_there").count() == 3
    assert handed(conversation, to=ada, by=ben).state == "accepted"


def test_there_and_back_again_is_told_at_once_R133():
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    conversation = known(ada)
    handed(conversation, to=ben, by=ada)
    assert not Alert.objects.filter(kind="hand_off_loop").exists()
    handed(conversation, to=ada, by=ben)
    assert Alert.objects.get(kind="hand_off_loop").conversation == conversation


def test_nobody_is_handed_more_than_they_can_carry_R115():
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    conversation = known(ada)
    workload(ben, capacity_points=1)
    with pytest.raises(routing.Overloaded):
        offered(conversation, to=ben, by=ada)
    workload(ben, capacity_points=50)
    offer = offered(conversation, to=ben, by=ada)
    rota.be_away(ben.pk, starts_at=NOON, ends_at=NOON + timedelta(days=1), stand_in=None, by=ada, at=NOON)
    with pytest.raises(routing.NotThere, match="Ben is absent"):
        handoffs.accept(offer.pk, by=ben, at=NOON)


def test_who_offers_what_is_asked_before_anything_is_written():
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    conversation = known(ada)
    with pytest.raises(handoffs.NotYours):
        offered(conversation, to=ada, by=ben)
    with pytest.raises(handoffs.AlreadyOffered):
        offered(conversation, to=ada, by=ada)
    with pytest.raises(intake.NothingSaid):
        handoffs.offer(conversation.pk, to=ben, reason=HandOffReason.LEAVING, context_note=" ", by=ada, at=NOON)
    assert not HandOff.objects.exists()


def test_an_offer_of_a_matter_that_has_moved_on_is_void_X29():
    ada, ben, cem = (colleague(name=name) for name in ("Ada", "Ben", "Cem"))
    conversation = known(ada)
    offer = offered(conversation, to=ben, by=ada)
    rota.be_away(ada.pk, starts_at=NOON, ends_at=NOON + timedelta(days=4), stand_in=cem, by=cem, at=NOON)
    owners.reassign_owner(NOON)
    offer.refresh_from_db()
    assert offer.state == "withdrawn"
    with pytest.raises(handoffs.NotOffered):
        handoffs.accept(offer.pk, by=ben, at=NOON)
    conversation.refresh_from_db()
    assert conversation.owner == cem


def test_two_offers_and_two_answers_in_the_same_second_are_one_R008(transactional_db: None):
    ada, ben, cem = (colleague(name=name) for name in ("Ada", "Ben", "Cem"))
    conversation = known(ada)

    results = at_once(partial(offered, conversation, to=ben, by=ada), partial(offered, conversation, to=cem, by=ada))
    assert sum(isinstance(result, handoffs.AlreadyOffered) for result in results) == 1, results

    offer = HandOff.objects.get()
    to = offer.to
    answers = at_once(
        partial(handoffs.accept, offer.pk, by=to, at=NOON), partial(handoffs.decline, offer.pk, by=to, at=NOON)
    )
    assert sum(isinstance(answer, handoffs.NotOffered) for answer in answers) == 1, answers
    told_times = Interaction.objects.filter(external_id__startswith="hand-off").count()
    conversation.refresh_from_db()
    assert (conversation.owner == to) == (told_times == 1)


def test_a_reply_reaches_the_person_who_signed_or_their_stand_in_R134():
    ada, ben = colleague(name="Ada Okafor"), colleague(name="Ben")
    conversation = known(ada)
    sent = mail.outbox[-1]
    assert "Ada Okafor" in sent.extra_headers["From"]
    rota.be_away(ada.pk, starts_at=NOON, ends_at=NOON + timedelta(days=4), stand_in=ben, by=ben, at=NOON)
    pull = queue.next_for(ben, at=NOON)  # the customer has written again
    assert pull is not None
    assert pull.conversation_id == conversation.pk
    with pytest.raises(IntegrityError), transaction.atomic():
        OutgoingMessage.objects.filter(conversation=conversation).update(signed_by=None)
