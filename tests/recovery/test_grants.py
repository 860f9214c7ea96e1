"""What is given in a case: all that was decided by anybody, more only by two people and as a proposal."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from crm.actions import doubts, intake
from crm.models import Alert, Doubt, HistoryEntry, Owed, User
from crm.policy import DoubtCode, Role
from recovery import actions, policy
from recovery.models import Case, EmpowermentGap, Grant, LedgerWeek, PolicyProposal, PolicyVersion, TreatmentException
from recovery.policy import ComplaintType, Facts, GrantKind, Outcome
from tests.conftest import NOON
from tests.crm.stories import colleague, message
from tests.faults.threads import at_once

DAMAGED = Facts(ComplaintType.DAMAGED_ITEM, loss=Decimal("80.00"), days_without=3)  # owes 80 and 20 on top
REFUND, GOODWILL, APOLOGY = GrantKind.REFUND, GrantKind.GOODWILL, GrantKind.APOLOGY


def decided(facts: Facts = DAMAGED, *, by: User | None = None, address: str = "", channel: str = "email") -> Case:
    more = {"sender_address": address} if address else {}
    conversation = intake.receive(message(channel=channel, **more), at=NOON, origin="test").conversation
    case = actions.open_case(conversation.pk, facts=Facts(), seen_because=["broken"], by=None, at=NOON)
    actions.decide(case.pk, facts=facts, by=by or colleague(), at=NOON)
    case.refresh_from_db()
    return case


def give(case: Case, amount: str = "0", kind: GrantKind = REFUND, *, by: User, key: str = "", **more: str) -> Grant:
    currency = "EUR" if Decimal(amount) else ""
    return actions.grant(
        case.pk,
        kind=kind,
        amount=Decimal(amount),
        currency=more.pop("currency", currency),
        key=key or f"{kind}:{amount}",
        by=by,
        at=NOON,
        **more,
    )


# --- inside the entitlement -----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_any_agent_gives_all_that_was_decided_without_asking_anybody_R142():
    ada = colleague()
    case = decided()
    give(case, "80.00", by=ada)
    give(case, "20.00", GOODWILL, by=ada)
    give(case, kind=APOLOGY, by=ada)
    assert not TreatmentException.objects.exists()
    assert not Alert.objects.filter(kind__in=["second_person", "beyond_policy"]).exists()
    assert HistoryEntry.objects.filter(verb="case.granted", by=ada).count() == 3
    left = actions.left_to_give(case, case.decisions.order_by("-pk")[0])
    assert left.money == 0


@pytest.mark.django_db
def test_after_another_person_wrote_no_money_moves_until_a_second_colleague_looked_M06():
    ada, ben = colleague(), colleague()
    case = decided(by=ben)
    said = case.conversation.interactions.get()
    doubt = Doubt.objects.create(interaction=said, code=DoubtCode.OTHER_PERSON, raised_at=NOON)
    with pytest.raises(actions.OtherPersonWrote):
        give(case, "80.00", by=ada)
    assert not Grant.objects.exists()
    give(case, kind=APOLOGY, by=ada)  # words cost nobody anything
    doubts.settle(doubt.pk, belongs=False, by=ben, at=NOON)
    assert give(case, "80.00", by=ada).amount == Decimal("80.00")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("amount", "kind", "currency"),
    [
        ("100.01", REFUND, "EUR"),
        ("50.00", REFUND, "USD"),
        ("0", GrantKind.EASIER_WAY, ""),
        ("0", GrantKind.REVERSAL, ""),
    ],
)
def test_what_was_not_decided_is_refused_and_changes_nothing_R065(amount: str, kind: GrantKind, currency: str):
    case, entries = decided(), HistoryEntry.objects.count()
    with pytest.raises(actions.BeyondEntitlement):
        give(case, amount, kind, by=colleague(), currency=currency)
    assert not Grant.objects.exists()
    assert HistoryEntry.objects.filter(verb="case.granted").count() == 0
    assert entries


@pytest.mark.django_db
def test_the_same_key_is_one_grant_and_an_apology_is_made_once():
    ada, case = colleague(), decided()
    first = give(case, "80.00", by=ada, key="a")
    assert give(case, "80.00", by=ada, key="a") == first
    with pytest.raises(actions.DifferentGrant):
        give(case, "10.00", by=ada, key="a")
    give(case, kind=APOLOGY, by=ada, key="b")
    with pytest.raises(actions.BeyondEntitlement):
        give(case, kind=APOLOGY, by=ada, key="c")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("amount", "currency"), [("-1", "EUR"), ("NaN", "EUR"), ("1.001", "EUR"), ("1", "XXX"), ("1.5", "JPY")]
)
def test_amounts_that_cannot_be_are_refused(amount: str, currency: str):
    with pytest.raises(actions.UnusableAmount):
        give(decided(), amount, by=colleague(), currency=currency)


@pytest.mark.django_db
def test_who_lacked_the_right_leaves_a_note_of_the_gap_that_nobody_rewrites_R142():
    case, auditor = decided(), colleague(Role.AUDITOR)
    actions.note_gap(case.pk, kind=REFUND, by=auditor, at=NOON)
    gap = EmpowermentGap.objects.get()
    assert (gap.person, gap.kind) == (auditor, "refund")
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM recovery_empowermentgap")


# --- money under lock -----------------------------------------------------------------------------------------------


def test_two_colleagues_giving_the_same_refund_in_the_same_second_give_one(transactional_db: None):
    ada, bob = colleague(), colleague(name="Bob")
    for _round in range(4):
        case = decided()
        results = at_once(
            partial(give, case, "100.00", by=ada, key="ada"), partial(give, case, "100.00", by=bob, key="bob")
        )
        assert sum(isinstance(result, actions.BeyondEntitlement) for result in results) == 1, results
        assert Grant.objects.filter(case=case).count() == 1


def test_eight_parts_at_once_never_add_up_to_more_than_was_decided(transactional_db: None):
    ada, case = colleague(), decided()
    results = at_once(*[partial(give, case, "30.00", by=ada, key=str(number)) for number in range(8)])
    assert sum(isinstance(result, Grant) for result in results) == 3, results
    assert sum(grant.amount for grant in Grant.objects.all()) == 90


def test_the_database_itself_keeps_the_sum_within_what_was_decided(transactional_db: None):
    """Rows written past the action, by two writers at once: the trigger locks the case and counts."""
    ada, case = colleague(), decided()
    decision = case.decisions.order_by("-pk")[0]

    def insert(key: str) -> Grant:
        return Grant.objects.create(
            case=case, decision=decision, key=key, kind=REFUND, amount=60, currency="EUR", given_by=ada, at=NOON
        )

    results = at_once(partial(insert, "a"), partial(insert, "b"))
    assert sum(isinstance(result, IntegrityError) for result in results) == 1, results


@pytest.mark.django_db
def test_the_database_refuses_grants_that_rest_on_nothing():
    ada, case, other = colleague(), decided(), decided()
    newest, old = case.decisions.order_by("-pk")[0], case.decisions.order_by("pk")[0]
    asked = actions.propose_exception(
        case.pk, kind=REFUND, reason="x", amount=Decimal(500), currency="EUR", by=ada, at=NOON
    )
    plain = {
        "case": case,
        "decision": newest,
        "kind": REFUND,
        "amount": 10,
        "currency": "EUR",
        "given_by": ada,
        "at": NOON,
    }
    for number, change in enumerate(
        [
            {"decision": old},
            {"decision": other.decisions.order_by("-pk")[0]},
            {"currency": "USD"},
            {"amount": 101},
            {"beyond": asked, "amount": 500},  # nobody approved it
            {"amount": -1},
        ]
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Grant.objects.create(**{**plain, "key": str(number), **change})
    Grant.objects.create(**plain, key="fine")
    for change in ("UPDATE recovery_grant SET amount = 1", "DELETE FROM recovery_grant"):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(change)


# --- beyond it ------------------------------------------------------------------------------------------------------


def proposed(case: Case, by: User, *, amount: str = "500.00") -> TreatmentException:
    return actions.propose_exception(
        case.pk,
        kind=GOODWILL,
        reason="Her wedding was that day.",
        amount=Decimal(amount),
        currency="EUR",
        by=by,
        at=NOON,
    )


@pytest.mark.django_db
def test_beyond_the_rules_needs_a_second_person_and_proposes_a_rule_R065():
    ada, bob, case = colleague(), colleague(Role.LEAD, name="Bob"), decided()
    asked = proposed(case, ada)
    assert not Grant.objects.exists()
    with pytest.raises(actions.SameApprover):
        actions.approve_exception(asked.pk, by=ada, at=NOON)
    grant = actions.approve_exception(asked.pk, by=bob, at=NOON)
    assert (grant.beyond, grant.amount, grant.given_by) == (asked, Decimal(500), bob)
    assert PolicyProposal.objects.get().exception == asked
    assert set(Alert.objects.values_list("kind", flat=True)) >= {"second_person", "beyond_policy"}
    assert policy.EXCEPTIONS_BUDGET == 0
    with pytest.raises(actions.AlreadyDecided):
        actions.refuse_exception(asked.pk, by=bob, at=NOON)
    give(case, "100.00", by=ada)  # what was decided is owed all the same


@pytest.mark.django_db
def test_an_exception_needs_a_reason_and_something_beyond_the_rules():
    ada, case = colleague(), decided()
    with pytest.raises(actions.ReasonMissing):
        actions.propose_exception(
            case.pk, kind=REFUND, reason=" ", amount=Decimal(500), currency="EUR", by=ada, at=NOON
        )
    with pytest.raises(actions.InsideEntitlement):
        proposed(case, ada, amount="100.00")
    asked = proposed(case, ada)
    with pytest.raises(IntegrityError), transaction.atomic():
        TreatmentException.objects.filter(pk=asked.pk).update(state="approved", decided_by=ada, decided_at=NOON)


def test_two_second_persons_at_once_give_it_once(transactional_db: None):
    ada, case = colleague(), decided()
    asked = proposed(case, ada)
    people = [colleague(Role.LEAD, name=name) for name in ("Bob", "Bea")]
    results = at_once(*[partial(actions.approve_exception, asked.pk, by=who, at=NOON) for who in people])
    assert sum(isinstance(result, actions.AlreadyDecided) for result in results) == 1, results
    assert Grant.objects.count() == PolicyProposal.objects.count() == 1


@pytest.mark.django_db
def test_a_proposed_rule_is_kept_for_the_next_draft_or_declined_with_a_reason_R065():
    ada, bob = colleague(), colleague(Role.LEAD, name="Bob")
    for accept in (True, False):
        actions.approve_exception(proposed(decided(), ada).pk, by=bob, at=NOON)
        proposal = PolicyProposal.objects.order_by("-pk")[0]
        if not accept:
            with pytest.raises(actions.ReasonMissing):
                actions.decide_proposal(proposal.pk, accept=False, reason="", by=bob, at=NOON)
        decided_one = actions.decide_proposal(proposal.pk, accept=accept, reason="Not in every case.", by=bob, at=NOON)
        assert decided_one.state == ("accepted" if accept else "declined")
        with pytest.raises(actions.AlreadyDecided):
            actions.decide_proposal(proposal.pk, accept=True, reason="", by=bob, at=NOON)


# --- in public ------------------------------------------------------------------------------------------------------

RULE = "Whatever was damaged while it was with us is repaired, replaced or paid for."


@pytest.mark.django_db
def test_what_is_said_in_public_names_the_rule_and_promises_what_everybody_gets_R060():
    ada, case = colleague(), decided()
    for words in (
        "We refund you 80 euros.",  # no rule
        f"{RULE} For you we make an exception.",
        f"{RULE} We refund you 500 euros.",
    ):
        with pytest.raises(actions.NotForPublic):
            give(case, "80.00", by=ada, public_words=words)
    assert not Grant.objects.exists()
    give(case, "80.00", by=ada, public_words=f"{RULE.upper()} So we refund you 80 euros.")
    asked = actions.approve_exception(proposed(case, ada).pk, by=colleague(Role.LEAD), at=NOON)
    with pytest.raises(IntegrityError), transaction.atomic():
        Grant.objects.create(
            case=case, decision=asked.decision, key="p", kind=asked.kind, amount=asked.amount, currency="EUR",
            beyond=proposed(case, ada), public_words="Look what we do!", given_by=ada, at=NOON,
        )  # fmt: skip


# --- what is offered depends on the facts alone ---------------------------------------------------------------------

FACTS = st.builds(
    Facts,
    complaint_type=st.sampled_from(ComplaintType),
    loss=st.decimals(min_value=0, max_value=5000, places=2),
    days_without=st.integers(0, 30),
    our_failures=st.integers(0, 5),
    safety=st.booleans(),
    essential=st.booleans(),
    vulnerable=st.booleans(),
)


@pytest.mark.django_db
def test_what_may_be_given_is_a_function_of_the_facts_and_never_above_what_is_owed_E16():
    rules = PolicyVersion.objects.get(number=1).as_policy()

    @given(
        FACTS, st.decimals(min_value=0, max_value=6000, places=2), st.decimals(min_value=0, max_value=6000, places=2)
    )
    def holds(facts: Facts, given_before: Decimal, amount: Decimal) -> None:
        entitlement = policy.entitlement_for(facts, rules)
        left = policy.grantable(entitlement.as_data(), given=given_before)
        assert left == policy.grantable(policy.entitlement_for(facts, rules).as_data(), given=given_before)
        assert left.money == max(entitlement.owed - given_before, Decimal(0))
        inside = policy.is_inside(left, kind=REFUND, amount=amount, currency="EUR")
        assert not inside or amount == 0 or given_before + amount <= entitlement.owed

    holds()


# --- one incident, one remedy ---------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_second_case_about_the_same_incident_earns_nothing_more_E03():
    ada = colleague()
    first, second = (decided(address="kim@home.example") for _twice in range(2))
    stranger = decided()
    for wrong, as_case in ((first, second), (stranger, first), (second, second)):
        with pytest.raises(actions.WrongStatus):
            actions.same_incident(wrong.pk, as_case=as_case, by=ada, at=NOON)
    actions.same_incident(second.pk, as_case=first, by=ada, at=NOON)
    with pytest.raises(actions.BeyondEntitlement):
        give(second, "10.00", by=ada)
    actions.decide(second.pk, facts=DAMAGED, by=ada, at=NOON)
    assert Owed.objects.get(conversation=second.conversation).amount == 0
    with pytest.raises(IntegrityError), transaction.atomic():
        Grant.objects.create(
            case=second, decision=second.decisions.order_by("-pk")[0], key="x", kind=REFUND, amount=10, currency="EUR",
            given_by=ada, at=NOON,
        )  # fmt: skip
    give(first, "100.00", by=ada)


# --- the ledger -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_ledger_sums_given_less_owed_by_first_channel_owner_and_week_R065():
    ada, bob = colleague(name="Ada"), colleague(Role.LEAD, name="Bob")
    for channel, gets, beyond in (
        ("email", "100.00", False),
        ("social_public", "100.00", True),
        ("letter", "60.00", False),
    ):
        case = decided(by=ada, channel=channel, address=f"{channel}@home.example")
        give(case, gets, by=ada)
        if beyond:
            actions.approve_exception(proposed(case, ada).pk, by=bob, at=NOON)
        day_after = NOON + timedelta(days=1)
        actions.resolve(case.pk, outcome=Outcome.UPHELD, explanation="We are sorry.", by=ada, at=day_after)
    at = NOON + timedelta(days=9)
    assert actions.refresh_ledger(at) == 3
    rows = {
        row.channel: (row.week.isoformat(), row.owner, row.entitled, row.delivered, row.shorted)
        for row in LedgerWeek.objects.all()
    }
    week = "2026-03-02"
    assert rows == {
        "email": (week, ada, 100, 100, 0),
        "social_public": (week, ada, 100, 600, 0),
        "letter": (week, ada, 100, 60, 1),
    }
    before = list(LedgerWeek.objects.order_by("channel").values("week", "channel", "owner", "entitled", "delivered"))
    actions.refresh_ledger(at + timedelta(hours=1))
    assert (
        list(LedgerWeek.objects.order_by("channel").values("week", "channel", "owner", "entitled", "delivered"))
        == before
    )
