"""What happens to a failure of ours, on a real database."""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection

from crm.actions import desk, intake, outgoing, owners, queue
from crm.channels import PUBLIC
from crm.models import Conversation, HistoryEntry, Hold, OutgoingMessage, Promise, WorkItem
from crm.policy import OutOfOrder, PromiseKind, QueueClass
from recovery import actions
from recovery.models import Case, Decision, PolicyRule, PolicyVersion
from recovery.policy import ComplaintType, Facts, Outcome, Severity, Status
from tests.conftest import NOON
from tests.crm.stories import colleague, message

DAMAGED = Facts(ComplaintType.DAMAGED_ITEM, loss=Decimal("80.00"), days_without=3)


def told(text: str = "My parcel arrived broken.", **changes: object) -> intake.Received:
    return intake.receive(message(text, **changes), at=NOON, origin="test")


def opened() -> Case:
    return actions.open_case(told().conversation.pk, facts=Facts(), seen_because=["broken"], by=None, at=NOON)


@pytest.mark.django_db
def test_a_complaint_opens_a_case_by_its_work_item_and_a_question_does_not():
    told()
    told("What are your opening hours?")
    assert WorkItem.objects.filter(lane="triage").count() == 2
    assert actions.work_batch("triage", at=NOON) == 2
    case = Case.objects.get()
    assert case.seen_because
    assert case.status == Status.DETECTED
    assert not WorkItem.objects.exists()


@pytest.mark.django_db
def test_opening_twice_is_one_case_E03():
    case = opened()
    again = actions.open_case(case.conversation_id, facts=DAMAGED, seen_because=[], by=None, at=NOON)
    assert again == case
    assert Decision.objects.count() == 1


@pytest.mark.django_db
def test_the_decision_is_stored_with_version_facts_and_fingerprints():
    decision = Decision.objects.get(case=opened())
    assert decision.policy_version == PolicyVersion.objects.get(number=1)
    assert Facts.from_data(decision.facts) == Facts()
    assert len(decision.facts_hash) == len(decision.entitlement_hash) == 64
    assert decision.entitlement["explanation"][0][0] == "everybody"


@pytest.mark.django_db
def test_new_facts_add_a_decision_and_only_earlier_promises_Q6():
    case = opened()
    before = {(p.kind, p.due_at) for p in Promise.objects.filter(conversation=case.conversation)}
    actions.decide(case.pk, facts=DAMAGED, by=colleague(), at=NOON)
    after = {(p.kind, p.due_at) for p in Promise.objects.filter(conversation=case.conversation)}
    assert before < after
    assert min(due for kind, due in after if kind == PromiseKind.FIRST_RESPONSE) == NOON + timedelta(hours=4)
    assert Decision.objects.filter(case=case).count() == 2
    case.refresh_from_db()
    assert (case.severity, case.status, case.owner_id is not None) == (Severity.HIGH, Status.DECIDED, True)
    case.conversation.refresh_from_db()
    assert case.conversation.due_at == NOON + timedelta(hours=4)


@pytest.mark.django_db
def test_milder_facts_later_take_nothing_back():
    case, owner = opened(), colleague()
    actions.decide(case.pk, facts=DAMAGED, by=owner, at=NOON)
    due = Conversation.objects.get().due_at
    actions.decide(case.pk, facts=Facts(), by=owner, at=NOON)
    assert Conversation.objects.get().due_at == due


@pytest.mark.django_db
def test_danger_goes_before_everybody_else_and_stays_there():
    calm, urgent = told(), told()
    case = actions.open_case(urgent.conversation.pk, facts=Facts(), seen_because=[], by=None, at=NOON)
    owner = colleague()
    actions.decide(case.pk, facts=Facts(safety=True), by=owner, at=NOON)
    assert [c.pk for c in Conversation.objects.in_due_order()] == [urgent.conversation.pk, calm.conversation.pk]
    actions.decide(case.pk, facts=Facts(), by=owner, at=NOON)
    assert Conversation.objects.get(pk=urgent.conversation.pk).queue_class == QueueClass.CRITICAL


@pytest.mark.django_db
def test_a_refused_move_changes_nothing():
    case, owner = opened(), colleague()
    entries = HistoryEntry.objects.count()
    with pytest.raises(actions.WrongStatus):
        actions.resolve(case.pk, outcome=Outcome.UPHELD, explanation="x", by=owner, at=NOON)
    with pytest.raises(actions.ExplanationMissing):
        actions.resolve(case.pk, outcome=Outcome.UPHELD, explanation="  ", by=owner, at=NOON)
    case.refresh_from_db()
    assert (case.status, case.resolved_at, case.outcome) == (Status.DETECTED, None, "")
    assert HistoryEntry.objects.count() == entries
    assert not OutgoingMessage.objects.exists()


@pytest.mark.django_db
def test_a_case_without_a_way_back_cannot_be_settled_silently():
    owner = colleague()
    call = desk.Call(key="k", phone="030 1234567", said="It is broken.", agreed="")
    conversation = desk.log_call(call, by=owner, at=NOON).conversation
    case = actions.open_case(conversation.pk, facts=DAMAGED, seen_because=[], by=owner, at=NOON)
    actions.decide(case.pk, facts=DAMAGED, by=owner, at=NOON)
    with pytest.raises(desk.NoWayBack):
        actions.resolve(case.pk, outcome=Outcome.UPHELD, explanation="We pay.", by=owner, at=NOON)
    case.refresh_from_db()
    assert case.status == Status.DECIDED


@pytest.mark.django_db
def test_settled_is_confirmed_only_when_the_letter_was_accepted():
    case, owner = opened(), colleague()
    actions.decide(case.pk, facts=DAMAGED, by=owner, at=NOON)
    actions.resolve(case.pk, outcome=Outcome.UPHELD, explanation="We pay.", by=owner, at=NOON)
    while actions.work_batch("recovery", at=NOON):
        pass
    case.refresh_from_db()
    assert (case.status, case.confirmed_at) == (Status.RESOLVED, None)
    assert Hold.objects.active(NOON).exists()

    outgoing.send_batch(at=NOON + timedelta(minutes=1))
    while actions.work_batch("recovery", at=NOON + timedelta(minutes=2)):
        pass
    case.refresh_from_db()
    assert case.confirmed_at == NOON + timedelta(minutes=2)
    assert not Hold.objects.active(NOON + timedelta(minutes=3)).exists()
    assert not Promise.objects.unmet().exists()


@pytest.mark.django_db
def test_every_live_case_is_decided_again_and_a_difference_is_an_alarm(monkeypatch, caplog):
    case = opened()
    actions.decide(case.pk, facts=DAMAGED, by=colleague(), at=NOON)
    assert actions.replay_decisions(NOON) == 0

    rule = PolicyRule.objects.get(code="days_without")
    with connection.cursor() as cursor:  # somebody gets past the guard of the table
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE recovery_policyrule DISABLE TRIGGER policy_rule_stands")
        cursor.execute("UPDATE recovery_policyrule SET goodwill = 5 WHERE id = %s", [rule.pk])
    assert actions.replay_decisions(NOON) == 1
    assert HistoryEntry.objects.filter(verb="decision.differs").count() == 1
    assert "differently" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_two_workers_in_the_same_second_open_one_case_E13():
    conversation, barrier, cases = told().conversation, threading.Barrier(2), []

    def work() -> None:
        barrier.wait()
        try:
            cases.append(actions.open_case(conversation.pk, facts=Facts(), seen_because=[], by=None, at=NOON).pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cases) == 2
    assert len(set(cases)) == 1
    assert Decision.objects.count() == 1
    assert Promise.objects.filter(conversation=conversation, kind=PromiseKind.RESOLUTION).count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_colleagues_settling_at_once_send_one_letter():
    case, owner = opened(), colleague()
    actions.decide(case.pk, facts=DAMAGED, by=owner, at=NOON)
    barrier, outcomes = threading.Barrier(2), []

    def settle() -> None:
        barrier.wait()
        try:
            actions.resolve(case.pk, outcome=Outcome.UPHELD, explanation="We pay.", by=owner, at=NOON)
            outcomes.append("settled")
        except actions.WrongStatus:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=settle) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused", "settled"]
    assert OutgoingMessage.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("channel", sorted(PUBLIC))
def test_anger_in_public_makes_nothing_critical_E10(channel: str):
    angry = "THIS IS A SCANDAL!!! My lamp arrived broken, ten thousand people read this, and the press will too!"
    heard = intake.receive(message(angry, channel=channel), at=NOON, origin="test")
    actions.work_batch("triage", at=NOON)
    case = Case.objects.get(conversation=heard.conversation)
    assert case.severity == Severity.LOW
    assert case.conversation.queue_class == QueueClass.ORDINARY


@pytest.mark.django_db
def test_a_case_has_the_owner_of_its_conversation_once_it_was_taken_on_R006():
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    case = opened()
    Conversation.objects.update(owner=ada)
    owners.assign(case.conversation_id, to=ben, by=ada, at=NOON)
    while actions.work_batch("recovery", at=NOON):
        pass
    case.refresh_from_db()
    assert case.owner is None  # nobody has said “this is mine” yet
    actions.own(case.pk, by=ben, at=NOON)

    cem = colleague(name="Cem")
    other = opened()
    Conversation.objects.filter(pk=other.conversation_id).update(owner=ada)
    actions.own(other.pk, by=cem, at=NOON)
    assert Conversation.objects.get(pk=other.conversation_id).owner == cem  # its customer had met nobody

    owners.assign(case.conversation_id, to=ada, by=ben, at=NOON)
    while actions.work_batch("recovery", at=NOON):
        pass
    case.refresh_from_db()
    assert case.owner == ada
    assert HistoryEntry.objects.get(verb="case.owner_changed").detail == {"before": ben.pk, "after": ada.pk}


@pytest.mark.django_db
def test_settling_out_of_order_needs_its_reason_and_changes_nothing_without_E09():
    ada = colleague(name="Ada")
    told()
    case = actions.open_case(
        told(spoke_at=NOON).conversation.pk, facts=Facts(), seen_because=[], by=None, at=NOON + timedelta(hours=1)
    )
    actions.decide(case.pk, facts=Facts(), by=ada, at=NOON)
    Conversation.objects.exclude(pk=case.conversation_id).update(due_at=NOON)
    with pytest.raises(queue.NotNext):
        actions.resolve(case.pk, outcome=Outcome.UPHELD, explanation="We pay.", by=ada, at=NOON)
    case.refresh_from_db()
    assert case.status == Status.DECIDED
    actions.resolve(
        case.pk, outcome=Outcome.UPHELD, explanation="We pay.", by=ada, at=NOON, out_of_order=OutOfOrder.SAME_MATTER
    )


@pytest.mark.django_db
def test_what_a_case_is_about_says_which_skill_it_takes_R112():
    case = opened()
    actions.decide(case.pk, facts=DAMAGED, by=colleague(), at=NOON)
    assert Conversation.objects.get().skill == "damaged_item"


@pytest.mark.django_db
def test_a_case_and_its_conversation_have_one_owner_whom_the_customer_knows_R006_R008():
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    case = opened()
    Conversation.objects.update(owner=ada)
    desk.answer(case.conversation_id, text="We look into it.", by=ada, at=NOON)
    outgoing.send_batch(at=NOON)
    with pytest.raises(owners.AlreadyOwned):
        actions.own(case.pk, by=ben, at=NOON)
    case.refresh_from_db()
    assert (case.owner, case.status) == (None, Status.DETECTED)
    actions.decide(case.pk, facts=DAMAGED, by=ben, at=NOON)  # whoever notes the facts does not take it away
    case.refresh_from_db()
    assert (case.owner, case.conversation.owner) == (ada, ada)
