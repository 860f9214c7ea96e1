"""Back-pay: who got less than was owed gets the rest once, never more, from anybody with the right, whatever gate is closed."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crm.actions import desk, gates
from crm.models import HistoryEntry, OutgoingMessage
from recovery import actions
from recovery.actions import back_pay, privacy
from recovery.models import Case, Grant
from recovery.policy import ComplaintType, Facts, GrantKind, Outcome
from tests.architecture.source import name_of, product_files
from tests.conftest import NOON
from tests.crm.stories import colleague
from tests.faults.threads import at_once
from tests.recovery.test_grants import decided, give

WEEKS_LATER = NOON + timedelta(weeks=5)


def settled(given: str = "60.00", **more: str) -> Case:
    """A settled case in which 100 were owed and so much was given."""
    case, ada = decided(**more), colleague()
    if Decimal(given):
        give(case, given, by=ada)
    actions.resolve(case.pk, outcome=Outcome.UPHELD, explanation="We pay.", by=ada, at=NOON)
    case.refresh_from_db()
    return case


def owed(at=NOON) -> list[tuple[int, Decimal, str]]:
    return [(each.case.pk, each.left, each.currency) for each in back_pay.owed(at=at)]


@pytest.mark.django_db
def test_every_settled_case_that_got_less_is_listed_and_nobody_else_R065():
    short, nothing, _full = settled(), settled("0"), settled("100.00")
    decided()  # not settled yet
    assert owed() == [(nothing.pk, Decimal(100), "EUR"), (short.pk, Decimal(40), "EUR")]


@pytest.mark.django_db
def test_where_no_failure_of_ours_was_found_nothing_is_owed_back_and_a_click_gives_nothing_R009():
    case, ada = decided(), colleague()
    denied = {"outcome": Outcome.NOT_UPHELD, "explanation": "It was whole.", "reason": "The photos show it."}
    actions.resolve(case.pk, **denied, by=ada, at=NOON)
    assert owed() == []
    with pytest.raises(actions.NothingOwed):
        actions.top_up(case.pk, by=ada, at=NOON)
    assert not Grant.objects.exists()


@pytest.mark.django_db
def test_erasing_waits_for_what_back_pay_would_give_and_for_nothing_else_P09():
    short, more = settled(), decided()
    ada, bob = colleague(), colleague()
    asked = actions.propose_exception(
        more.pk, kind=GrantKind.GOODWILL, reason="Her wedding.", amount=Decimal(500), currency="EUR", by=ada, at=NOON
    )
    actions.approve_exception(asked.pk, by=bob, at=NOON)
    actions.resolve(more.pk, outcome=Outcome.UPHELD, explanation="More than that.", by=ada, at=NOON)
    assert [number for number, _left, _currency in owed()] == [short.pk]
    assert privacy.in_the_way([short.customer_id], at=NOON) == ["money_owed"]
    assert privacy.in_the_way([more.customer_id], at=NOON) == []


@pytest.mark.django_db
def test_nobody_is_paid_who_was_forgotten():
    case = settled()
    type(case.customer).objects.filter(pk=case.customer_id).update(status="erased")
    assert owed() == []


@pytest.mark.django_db
def test_older_weeks_are_found_by_the_ledger_however_old():
    short = settled()
    actions.refresh_ledger(NOON + timedelta(days=1))
    assert owed(WEEKS_LATER) == [(short.pk, Decimal(40), "EUR")]


@pytest.mark.django_db
def test_the_list_pages_by_key_in_one_statement_however_many():
    for _ in range(5):
        settled()
    costs = []
    for limit in (1, 5):
        with CaptureQueriesContext(connection) as captured:
            page = list(back_pay.owed(at=NOON, limit=limit))
        costs.append(len(captured))
    assert costs == [1, 1]
    assert [each.case.pk for each in back_pay.owed(at=NOON, after=page[1].case.pk)] == [e.case.pk for e in page[2:]]


@pytest.mark.django_db
def test_anybody_with_the_right_gives_the_rest_and_twice_is_once_R142():
    case, ada = settled(), colleague()
    letters = OutgoingMessage.objects.count()
    given = actions.top_up(case.pk, by=ada, at=NOON)
    assert (given.amount, given.currency, given.kind, given.beyond) == (Decimal(40), "EUR", "refund", None)
    assert actions.top_up(case.pk, by=ada, at=NOON) == given
    assert owed() == []
    assert HistoryEntry.objects.filter(verb="case.granted", by=ada).count() == 1
    assert OutgoingMessage.objects.count() == letters  # as with every grant, a person tells the customer


@pytest.mark.django_db
def test_where_nothing_is_owed_nothing_is_given():
    for case in (settled("100.00"), decided()):
        with pytest.raises(actions.NothingOwed):
            actions.top_up(case.pk, by=colleague(), at=NOON)
    assert Grant.objects.filter(key__startswith="back-pay").count() == 0


@pytest.mark.django_db
def test_a_later_decision_that_owes_more_is_topped_up_too_and_never_beyond_it():
    case, ada = settled(), colleague()
    actions.top_up(case.pk, by=ada, at=NOON)
    actions.reopen(case.pk, because="It came back.", by=ada, at=NOON)
    actions.decide(case.pk, facts=Facts(ComplaintType.DAMAGED_ITEM, loss=Decimal(150), days_without=3), by=ada, at=NOON)
    case.refresh_from_db()
    total = Decimal(case.decisions.order_by("-pk")[0].entitlement["owed"])
    with pytest.raises(actions.NothingOwed):
        actions.top_up(case.pk, by=ada, at=NOON)  # not settled again
    actions.resolve(
        case.pk,
        outcome=Outcome.UPHELD,
        explanation="More.",
        by=colleague(),
        at=NOON,
        settled_because="It is whole now.",
        out_of_order="knows_it",
    )
    actions.top_up(case.pk, by=ada, at=NOON)
    assert sum(grant.amount for grant in case.grants.all()) == total > 100


def test_eight_clicks_at_once_give_the_rest_once(transactional_db: None):
    case, people = settled(), [colleague() for _ in range(8)]

    def click(who):
        try:
            return actions.top_up(case.pk, by=who, at=NOON).pk
        except (actions.NothingOwed, actions.BeyondEntitlement):
            return None

    assert len({done for done in at_once(*[lambda who=who: click(who) for who in people]) if done}) == 1
    assert sum(grant.amount for grant in case.grants.all()) == 100


def test_a_top_up_and_another_grant_at_once_never_give_more_than_is_owed(transactional_db: None):
    case, ada = settled(), colleague()

    def other():
        try:
            return give(case, "40.00", GrantKind.GOODWILL, by=ada).pk
        except actions.BeyondEntitlement:
            return None

    def top():
        try:
            return actions.top_up(case.pk, by=ada, at=NOON).pk
        except (actions.NothingOwed, actions.BeyondEntitlement):
            return None

    assert len([done for done in at_once(other, top) if done]) == 1
    assert sum(grant.amount for grant in case.grants.all()) == 100


@pytest.mark.django_db
def test_no_gate_refuses_what_is_owed_nor_words_of_sympathy_R071():
    gates.close("parity", reason="customers of some channels are not treated like others.", at=NOON)
    case, ada = settled(), colleague()
    assert actions.top_up(case.pk, by=ada, at=NOON).amount == 40
    assert give(case, kind=GrantKind.APOLOGY, by=ada).amount == 0
    sorry = desk.answer(
        case.conversation_id, text="We are so sorry for your loss.", by=ada, at=NOON, out_of_order="knows_it"
    )
    assert sorry.state != "cancelled"


def test_nothing_but_the_beginning_of_a_programme_asks_the_gate_R071():
    asks = {name_of(file) for file in product_files() if "gates.reasons(" in file.read_text(encoding="utf-8")}
    assert asks == {"loyalty/actions.py", "loyalty/admin.py"}
