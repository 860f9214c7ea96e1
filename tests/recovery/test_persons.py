"""Making one and parting, in any order: nothing is lost, nothing is earned by it (G19, N12).

EVENHAND_SEQUENCES says how many random sequences are played; `EVENHAND_SEQUENCES=3000` is a thorough run.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from crm.actions import consent, customers, intake, partings, persons
from crm.actions.belongings import StayTogether
from crm.models import Consent, ContactPoint, Conversation, Customer, Hold, LifeEvent, Merge, OutgoingMessage, User
from crm.models.people import CustomerStatus
from loyalty import actions as loyalty_actions
from loyalty.models import Gesture
from recovery import actions
from recovery.models import Case, Decision, Grant
from tests.conftest import NOON
from tests.crm.allowing import allows
from tests.crm.stories import app_user, colleague, message
from tests.recovery.test_grants import decided, give

pytestmark = pytest.mark.django_db
SEQUENCES = int(os.environ.get("EVENHAND_SEQUENCES", "100"))
STEPS = 10
REFUSED = (
    persons.NotMergeable,
    persons.TooLateToPart,
    persons.OpensToAccount,
    partings.NotPartable,
    StayTogether,
)
HELD = (Conversation, ContactPoint, Hold, Case, OutgoingMessage, Gesture, LifeEvent)


def people(by: User) -> list[int]:
    """Five customers with matters, cases, a grant, birthdays today, permissions and an account."""
    cases = [decided(by=by, address=f"person{number}@home.example") for number in range(4)]
    give(cases[0], "80.00", by=by)
    for case in cases:
        customers.tell_birthday(case.customer, month=3, day=2, evidence="yes", at=NOON)
    consent.withdraw(cases[1].customer, "birthday", evidence="phone", at=NOON)
    allows(cases[2].customer, "news", words="form", at=NOON)
    again = intake.receive(message(sender_address="person0@home.example"), at=NOON, origin="test").conversation
    ContactPoint.objects.create(customer=again.customer, kind="phone", address="+49301234567", created_at=NOON)
    user = app_user()
    customers.tell_birthday(user.customer, month=3, day=2, evidence="yes", at=NOON)
    return [*(case.customer_id for case in cases), user.customer_id]


def keys() -> dict[str, Counter[Any]]:
    return {
        model.__name__: Counter(model._default_manager.values_list("pk", flat=True))
        for model in HELD
        if model is not Gesture
    }


def owners() -> dict[str, dict[int, int]]:
    return {
        f"{model.__name__}": dict(model._default_manager.values_list("pk", "customer"))
        for model in (*HELD, User)
        if model is not Gesture
    }


def owed() -> tuple[int, list[Any], list[Any]]:
    """What was decided and given over everybody, and in how many cases."""
    decided_on = list(Decision.objects.order_by("pk").values_list("case", "entitlement"))
    return Case.objects.count(), decided_on, list(Grant.objects.order_by("pk").values_list("case", "amount"))


def left() -> Decimal:
    """What is still to give over everybody."""
    cases = Case.objects.order_by("pk")
    return sum((actions.left_to_give(case, case.decisions.order_by("-pk")[0]).money for case in cases), Decimal(0))


def allowed() -> set[tuple[int, str]]:
    newest = Consent.objects.order_by("customer", "purpose", "-at", "-id").distinct("customer", "purpose")
    living = set(Customer.objects.filter(merged_into=None).values_list("pk", flat=True))
    return {(one.customer_id, one.purpose) for one in newest if one.state == "granted" and one.customer_id in living}


def step(chance: random.Random, by: User, at: Any) -> str:
    """One random act by a colleague; refusals are as good as any other outcome."""
    act = chance.choice(["merge", "merge", "undo", "part", "plan"])
    every = list(Customer.objects.order_by("pk").values_list("pk", flat=True))
    try:
        with transaction.atomic():
            if act == "merge":
                gone, kept = chance.sample(every, 2)
                persons.merge(
                    gone, kept_id=kept, because="it seemed so", by=by, at=at, opens_to_account=chance.random() < 0.7
                )
            elif act == "undo":
                standing = list(Merge.objects.filter(undone_at=None).order_by("pk").values_list("pk", flat=True))
                if standing:
                    persons.undo(chance.choice(standing), by=by, at=at)
            elif act == "part":
                source = chance.choice(every)
                points = list(ContactPoint.objects.filter(customer=source).order_by("pk").values_list("pk", flat=True))
                matters = list(Conversation.objects.filter(customer=source).order_by("pk").values_list("pk", flat=True))
                partings.part(
                    source,
                    points=[one for one in points if chance.random() < 0.5],
                    conversations=[one for one in matters if chance.random() < 0.5],
                    name="Somebody",
                    because="it seemed so",
                    by=by,
                    at=at,
                )
            else:
                loyalty_actions.plan_birthdays(at)
                for one in Customer.objects.filter(parted_from__isnull=False, status=CustomerStatus.ACTIVE):
                    if not LifeEvent.objects.filter(customer=one).exists() and chance.random() < 0.3:
                        customers.tell_birthday(one, month=3, day=2, evidence="yes, they say", at=at)
    except REFUSED:
        return "refused"
    return act


def test_random_merges_undos_and_partings_lose_nothing_and_mint_nothing_G19_N12():
    by = colleague()
    done: Counter[str] = Counter()
    assert len(people(by)) == 5
    before, worth, remains = keys(), owed(), left()
    told: set[int] = set(LifeEvent.objects.values_list("pk", flat=True))
    born = len(told)
    for number in range(SEQUENCES):
        chance = random.Random(number)
        mark = transaction.savepoint()
        at = NOON
        for _ in range(STEPS):
            at += timedelta(minutes=5)
            may = allowed()
            what = step(chance, by, at)
            done[what] += 1
            after = keys()
            for name, counted in before.items():
                kept = Counter({k: n for k, n in after[name].items() if name != "LifeEvent" or k in told})
                assert kept == counted, (number, what, name)
            assert owed() == worth, (number, what)
            cards = Gesture.objects.exclude(state="dropped").count()
            assert cards <= born, (number, what, cards)
            if what in ("merge", "part"):
                assert allowed() - may <= {(k, "birthday") for k, p in allowed() - may if what == "plan"}, (
                    number,
                    what,
                )
            living = set(Customer.objects.filter(merged_into=None).values_list("pk", flat=True))
            for model in (Conversation, ContactPoint, Hold, Case, OutgoingMessage, Gesture):
                assert set(model._default_manager.values_list("customer", flat=True)) <= living, (number, what, model)
            assert not Customer.objects.filter(merged_into__merged_into__isnull=False).exists()
        assert left() == remains, number
        transaction.savepoint_rollback(mark)
    print(dict(done))
    assert min(done[what] for what in ("merge", "undo", "part", "plan", "refused")) > 0


def test_whatever_was_made_one_is_as_it_was_once_all_of_it_is_taken_back_N12():
    by = colleague()
    every = people(by)
    before, may = owners(), allowed()
    fields = list(Customer.objects.order_by("pk").values())
    for number in range(max(10, SEQUENCES // 4)):
        chance = random.Random(number)
        mark = transaction.savepoint()
        for _ in range(6):
            gone, kept = chance.sample(every, 2)
            try:
                with transaction.atomic():
                    persons.merge(gone, kept_id=kept, because="x", by=by, at=NOON, opens_to_account=True)
            except persons.NotMergeable:
                continue
        while (last := Merge.objects.filter(undone_at=None).order_by("-pk").first()) is not None:
            persons.undo(last.pk, by=by, at=NOON)
        assert owners() == before
        assert list(Customer.objects.order_by("pk").values()) == fields
        assert allowed() == may
        transaction.savepoint_rollback(mark)


def test_a_person_of_two_records_gets_one_card_and_parting_earns_no_other_G19():
    by = colleague()
    every = people(by)
    loyalty_actions.plan_birthdays(NOON)
    assert Gesture.objects.count() == 5
    made = persons.merge(every[1], kept_id=every[0], because="told us", by=by, at=NOON)
    assert Gesture.objects.filter(customer=every[0]).exclude(state="dropped").count() == 1
    assert Gesture.objects.get(state="dropped").reason == "same_person_has_one"
    loyalty_actions.plan_birthdays(NOON)
    assert Gesture.objects.exclude(state="dropped").count() == 4
    persons.undo(made.pk, by=by, at=NOON)
    loyalty_actions.plan_birthdays(NOON)
    assert Gesture.objects.exclude(state="dropped").count() == 4
    point = ContactPoint.objects.filter(customer=every[2])[0]
    other = partings.part(
        every[2], points=[point.pk], conversations=[], name="Another", because="two people", by=by, at=NOON
    ).made
    customers.tell_birthday(other, month=3, day=2, evidence="yes", at=NOON)
    loyalty_actions.plan_birthdays(NOON)
    assert not Gesture.objects.filter(customer=other).exists()


def test_cases_of_one_incident_are_not_parted_G19_E03():
    by = colleague()
    first, second = (decided(by=by, address="carla@home.example") for _ in range(2))
    if first.customer_id != second.customer_id or first.pk == second.pk:
        pytest.fail("two cases of one customer are needed")
    actions.same_incident(second.pk, as_case=first, by=by, at=NOON)
    with pytest.raises(StayTogether):
        partings.part(
            first.customer_id, points=[], conversations=[second.conversation_id], name="x", because="y", by=by, at=NOON
        )
    hold = Hold.objects.get(key=actions.ref_of(first))
    both = [first.conversation_id, second.conversation_id]
    made = partings.part(first.customer_id, points=[], conversations=both, name="x", because="y", by=by, at=NOON).made
    hold.refresh_from_db()
    assert hold.customer == made
    assert set(Case.objects.values_list("customer", flat=True)) == {made.pk}


@pytest.mark.parametrize("planned_before", [False, True])
def test_a_record_that_was_parted_off_shares_one_card_with_whoever_its_own_became_one_with_G19(planned_before: bool):
    """Story 3454: parted from one record, which then goes into a third that had no birthday; that is one card, not two."""
    by = colleague()
    every = people(by)
    third = customers.welcome("Third", at=NOON)
    point = ContactPoint.objects.filter(customer=every[2])[0]
    other = partings.part(every[2], points=[point.pk], conversations=[], name="x", because="y", by=by, at=NOON).made
    customers.tell_birthday(other, month=3, day=2, evidence="yes", at=NOON)
    if planned_before:
        LifeEvent.objects.filter(customer=every[2]).update(month=4)
        loyalty_actions.plan_birthdays(NOON)
        LifeEvent.objects.filter(customer=every[2]).update(month=3)
    persons.merge(every[2], kept_id=third.pk, because="told us", by=by, at=NOON)
    loyalty_actions.plan_birthdays(NOON)
    loyalty_actions.plan_birthdays(NOON)
    assert Gesture.objects.exclude(state="dropped").filter(customer__in=[other, third]).count() == 1
