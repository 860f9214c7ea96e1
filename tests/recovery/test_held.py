"""Whoever has just seen how loud a customer is decides nothing about them alone: it is held for a second person (E01)."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from crm.actions import queue, reach
from crm.models import Alert, Conversation, HistoryEntry, Promise, User
from crm.policy import OutOfOrder, RevealReason, Role
from recovery import actions
from recovery.models import Case, Decision, Grant, HeldStep
from recovery.policy import ComplaintType, Facts, GrantKind, HeldState, Outcome, Severity
from tests.conftest import NOON
from tests.crm.stories import colleague
from tests.recovery.test_grants import DAMAGED, decided, give

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
GRAVE = Facts(ComplaintType.DAMAGED_ITEM, loss=Decimal("80.00"), days_without=3, safety=True)


@pytest.fixture
def ada() -> User:
    return colleague()


@pytest.fixture
def ben() -> User:
    return colleague()


def looked(case: Case, *, by: User, at: datetime = NOON) -> None:
    talk = Conversation.objects.get(pk=case.conversation_id)
    if not reach.is_taken(talk):
        assert talk.owner is not None
        queue.take(talk.pk, by=talk.owner, at=at, out_of_order=OutOfOrder.SAME_MATTER)
    reach.reveal(talk.pk, reason=RevealReason.LEGAL, words="The police ask.", by=by, at=at)


def rests(case: Case) -> tuple[object, ...]:
    """Everything about a case that a held step must leave as it is."""
    case.refresh_from_db()
    promised = list(
        Promise.objects.filter(conversation=case.conversation_id).order_by("pk").values_list("pk", "due_at")
    )
    return case.status, case.severity, case.decisions.count(), Grant.objects.filter(case=case).count(), promised


def test_other_facts_after_a_look_are_held_with_a_snapshot_and_change_nothing_E01(ada: User, ben: User) -> None:
    case = decided(by=ada)
    looked(case, by=ada)
    before = rests(case)
    with pytest.raises(actions.HeldForSecondPerson):
        actions.decide(case.pk, facts=GRAVE, by=ada, at=NOON + HOUR)
    assert rests(case) == before
    held = HeldStep.objects.get()
    assert (held.kind, held.state, held.asked_by, held.wanted) == ("facts", "held", ada, GRAVE.as_data())
    assert held.decision == case.decisions.order_by("-pk")[0]
    assert (held.decision.entitlement["severity"], held.would_be["severity"]) == (case.severity, Severity.CRITICAL)
    assert held.looks == [{"by": ada.pk, "at": NOON.isoformat(), "reason": "legal"}]
    assert Alert.objects.filter(kind="second_person", key=f"second_person:held:{held.pk}").count() == 1
    assert HistoryEntry.objects.filter(verb="case.held", by=ada).count() == 1
    with pytest.raises(actions.HeldForSecondPerson):  # pressed twice, or asked for by another, waits once
        actions.decide(case.pk, facts=GRAVE, by=ben, at=NOON + HOUR)
    assert HeldStep.objects.count() == 1


def test_a_second_person_who_has_not_looked_lets_it_happen_and_the_words_stay_E01(ada: User, ben: User) -> None:
    case = decided(by=ada)
    looked(case, by=ada)
    with pytest.raises(actions.HeldForSecondPerson):
        actions.decide(case.pk, facts=GRAVE, by=ada, at=NOON + HOUR)
    step = HeldStep.objects.get()
    with pytest.raises(actions.SameApprover):
        actions.approve_held(step.pk, words="It burnt.", by=ada, at=NOON + HOUR)
    with pytest.raises(actions.ReasonMissing):
        actions.approve_held(step.pk, words=" ", by=ben, at=NOON + HOUR)
    done = actions.approve_held(step.pk, words="It burnt.", by=ben, at=NOON + HOUR)
    case.refresh_from_db()
    newest = case.decisions.order_by("-pk")[0]
    assert (done.state, done.decided_by, done.words, done.made) == (HeldState.APPROVED, ben, "It burnt.", newest)
    assert (case.severity, newest.facts, newest.decided_by) == (Severity.CRITICAL, GRAVE.as_data(), ben)
    with pytest.raises(actions.AlreadyDecided):
        actions.refuse_held(step.pk, words="No.", by=ben, at=NOON + HOUR)


def test_whoever_looked_cannot_be_the_second_person_before_or_after_it_was_asked_for_E01(ada: User, ben: User) -> None:
    case, cleo = decided(by=ada), colleague()
    looked(case, by=ben)
    with pytest.raises(actions.HeldForSecondPerson):  # who asks need not have looked
        actions.decide(case.pk, facts=GRAVE, by=ada, at=NOON + HOUR)
    step = HeldStep.objects.get()
    looked(case, by=cleo, at=NOON + 2 * HOUR)
    for person in (ben, cleo):
        for act in (actions.approve_held, actions.refuse_held):
            with pytest.raises(actions.SawReach):
                act(step.pk, words="It burnt.", by=person, at=NOON + 3 * HOUR)
        with pytest.raises(actions.SawReach):  # also days later: it was they who had seen it
            actions.approve_held(step.pk, words="It burnt.", by=ben, at=NOON + 72 * HOUR)
    step.refresh_from_db()
    assert step.state == HeldState.HELD


def test_a_remedy_after_a_look_is_held_and_given_by_two_E01(ada: User, ben: User) -> None:
    case = decided(by=ada)
    looked(case, by=ada)
    before = rests(case)
    for _time in range(2):
        with pytest.raises(actions.HeldForSecondPerson):
            give(case, "80.00", by=ada, key="a")
    assert rests(case) == before
    step = HeldStep.objects.get()
    assert step.wanted == {"kind": "refund", "amount": "80.00", "currency": "EUR", "key": "a", "public_words": ""}
    done = actions.approve_held(step.pk, words="As for everybody.", by=ben, at=NOON + HOUR)
    given = Grant.objects.get()
    assert (done.given, given.amount, given.given_by, given.key) == (given, Decimal("80.00"), ben, "a")
    assert give(case, "80.00", by=ada, key="a") == given  # the same press once more


def test_what_was_refused_is_not_done_and_can_be_asked_for_again_E01(ada: User, ben: User) -> None:
    case = decided(by=ada)
    looked(case, by=ada)
    before = rests(case)
    for number in range(2):
        with pytest.raises(actions.HeldForSecondPerson):
            give(case, "80.00", by=ada)
        step = HeldStep.objects.order_by("-pk")[0]
        actions.refuse_held(step.pk, words="Not for this.", by=ben, at=NOON + HOUR)
        assert HeldStep.objects.filter(state=HeldState.REFUSED).count() == number + 1
    assert rests(case) == before


def test_a_look_in_another_matter_of_the_same_customer_counts_too_E01(ada: User) -> None:
    case = decided(by=ada, address="carla@home.example")
    other = decided(by=ada, address="carla@home.example", channel="chat")
    if other.conversation_id == case.conversation_id or other.customer_id != case.customer_id:
        raise AssertionError("two matters of one customer are needed")
    looked(other, by=ada)
    with pytest.raises(actions.HeldForSecondPerson):
        actions.decide(case.pk, facts=GRAVE, by=ada, at=NOON + HOUR)


@pytest.mark.parametrize("after", [timedelta(hours=24), timedelta(days=3)])
def test_a_day_after_the_look_and_without_one_nothing_is_held_E01(ada: User, after: timedelta) -> None:
    case = decided(by=ada)
    looked(case, by=ada)
    assert actions.decide(case.pk, facts=GRAVE, by=ada, at=NOON + after).entitlement["severity"] == Severity.CRITICAL
    never = decided(by=ada, address="quiet@home.example")
    assert actions.decide(never.pk, facts=GRAVE, by=ada, at=NOON).pk
    assert not HeldStep.objects.exists()


def test_the_same_facts_change_no_severity_and_are_not_held_E01(ada: User) -> None:
    case = decided(by=ada)
    looked(case, by=ada)
    assert actions.decide(case.pk, facts=DAMAGED, by=ada, at=NOON + HOUR).facts == DAMAGED.as_data()
    assert not HeldStep.objects.exists()


def test_what_the_rules_refuse_anyway_waits_for_nobody_E01(ada: User) -> None:
    case = decided(by=ada)
    looked(case, by=ada)
    with pytest.raises(actions.BeyondEntitlement):
        give(case, "500.00", by=ada)
    Case.objects.filter(pk=case.pk).update(status="dismissed")
    with pytest.raises(actions.WrongStatus):
        actions.decide(case.pk, facts=GRAVE, by=ada, at=NOON + HOUR)
    assert not HeldStep.objects.exists()


def test_what_was_decided_on_anew_in_between_is_not_done_E01(ada: User, ben: User) -> None:
    case = decided(by=ada)
    looked(case, by=ada)
    with pytest.raises(actions.HeldForSecondPerson):
        give(case, "80.00", by=ada)
    actions.decide(case.pk, facts=GRAVE, by=ben, at=NOON + 25 * HOUR)
    step = HeldStep.objects.get()
    with pytest.raises(actions.WrongStatus):
        actions.approve_held(step.pk, words="As for everybody.", by=ben, at=NOON + 26 * HOUR)
    assert not Grant.objects.exists()


def test_an_exception_is_not_approved_by_whoever_looked_E01(ada: User, ben: User) -> None:
    case, cleo = decided(by=ada), colleague()
    looked(case, by=ben)
    asked = actions.propose_exception(
        case.pk, kind=GrantKind.GOODWILL, amount=Decimal(500), currency="EUR", reason="A wedding.", by=ada, at=NOON
    )
    with pytest.raises(actions.SawReach):
        actions.approve_exception(asked.pk, by=ben, at=NOON + HOUR)
    assert actions.approve_exception(asked.pk, by=cleo, at=NOON + HOUR).amount == 500


def test_a_second_look_by_somebody_who_saw_reach_changes_no_decision_E01(ada: User, ben: User) -> None:
    case = decided(by=ada)
    review = actions.ask_for_review(case.pk, by=ada, at=NOON)
    actions.take_review(review.pk, by=ben, at=NOON)
    actions.judge(review.pk, merit=Outcome.UPHELD, by=ben, at=NOON)
    looked(case, by=ben)
    with pytest.raises(actions.SawReach):
        actions.finish_review(review.pk, facts=GRAVE, words="We were wrong.", by=ben, at=NOON + HOUR)
    assert Decision.objects.filter(case=case).order_by("-pk")[0].facts == DAMAGED.as_data()


@pytest.mark.parametrize(
    "change", [{"wanted": {}}, {"looks": []}, {"would_be": {"severity": "low"}}, {"state": "held"}]
)
def test_what_was_held_stays_as_it_was_asked_for_and_is_decided_once_E01(ada: User, ben: User, change: dict) -> None:  # type: ignore[type-arg]
    case = decided(by=ada)
    looked(case, by=ada)
    with pytest.raises(actions.HeldForSecondPerson):
        actions.decide(case.pk, facts=GRAVE, by=ada, at=NOON + HOUR)
    step = HeldStep.objects.get()
    if "state" in change:
        actions.refuse_held(step.pk, words="No.", by=ben, at=NOON + HOUR)
    with pytest.raises(IntegrityError), transaction.atomic():
        HeldStep.objects.filter(pk=step.pk).update(**change)
    with pytest.raises(IntegrityError), transaction.atomic():
        HeldStep.objects.filter(pk=step.pk).delete()


def test_the_database_wants_another_person_E01(ada: User) -> None:
    case = decided(by=ada)
    looked(case, by=ada)
    with pytest.raises(actions.HeldForSecondPerson):
        give(case, "80.00", by=ada)
    with pytest.raises(IntegrityError), transaction.atomic():
        HeldStep.objects.update(state="refused", decided_by=ada, decided_at=NOON, words="Mine.")


def browser(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def test_the_way_through_the_pages_and_what_the_ledger_shows_E01(ada: User) -> None:
    lead, other = colleague(Role.LEAD), colleague(Role.LEAD)
    case = decided(by=ada)
    looked(case, by=lead, at=timezone.now())
    page = f"/admin/case/{case.public_id}/"
    noted = {
        "do": "decide", "complaint_type": "damaged_item", "loss": "80.00", "currency": "EUR", "days_without": "3",
        "our_failures": "1", "safety": "on",
    }  # fmt: skip
    answer = browser(ada).post(page, noted)
    assert (answer.status_code, b"waits for a second person" in answer.content) == (409, True)
    assert b"checked" in answer.content  # what was noted stays
    step = HeldStep.objects.get()
    held = f"{page}held/"
    shown = browser(other).get(held)
    assert shown.status_code == 200
    assert b"Critical" in shown.content or b"critical" in shown.content
    assert browser(ada).post(held, {"do": "approve", "step": step.pk, "words": "It burnt."}).status_code == 403
    refused = browser(lead).post(held, {"do": "approve", "step": step.pk, "words": "It burnt."})
    assert (refused.status_code, b"It burnt." in refused.content) == (409, True)
    assert browser(other).post(held, {"do": "approve", "step": "x", "words": "It burnt."}).status_code == 404
    assert browser(other).post(held, {"do": "approve", "step": step.pk, "words": ""}).status_code == 409
    assert browser(other).post(held, {"do": "approve", "step": step.pk, "words": "It burnt."}).status_code == 302
    step.refresh_from_db()
    assert (step.state, step.decided_by) == (HeldState.APPROVED, other)
    ledger = browser(lead).get("/admin/ledger/").content.decode()
    assert "after a look at reach" in ledger
    assert held in ledger
    assert str(ada) in ledger
    assert browser(lead).get(held).content.count(b"It burnt.") == 1
