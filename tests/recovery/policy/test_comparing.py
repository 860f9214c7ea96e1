"""What one entitlement gives more or less than another, and how it is said; conflicts go to the customer's favour."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given

from recovery.policy import (
    Difference,
    Entitlement,
    Facts,
    Policy,
    Rule,
    Severity,
    difference,
    entitlement_for,
    sentences,
)
from tests.recovery.policy.drafts import drafts, facts

OWED = Entitlement(
    Severity.MEDIUM, ("explanation", "refund_loss"), Decimal("20.00"), "EUR", {"first_response": timedelta(hours=4)}, ()
)


def test_the_same_is_neither_more_nor_less():
    found = difference(OWED, OWED)
    assert (found.gives_less, found.gives_more) == (False, False)
    assert sentences.changes(found, currency="EUR") == []


@pytest.mark.parametrize(
    ("less", "said"),
    [
        (replace(OWED, owed=Decimal("15.00")), "5.00 EUR less"),
        (replace(OWED, remedies=("explanation",)), "no longer: The loss is paid back"),
        (replace(OWED, within={"first_response": timedelta(hours=6)}), "first answer: 2 h later"),
        (replace(OWED, within={}), "no longer promised: first answer"),
        (replace(OWED, severity=Severity.LOW), "counts as less grave"),
    ],
)
def test_each_kind_of_less_is_less_and_said_plainly_and_the_other_way_round_is_more(less: Entitlement, said: str):
    worse, better = difference(OWED, less), difference(less, OWED)
    assert (worse.gives_less, worse.gives_more) == (True, False)
    assert (better.gives_less, better.gives_more) == (False, True)
    assert sentences.changes(worse, currency="EUR") == [said]
    assert len(sentences.changes(better, currency="EUR")) == 1


def test_more_money_does_not_outweigh_a_longer_time():
    mixed = difference(OWED, replace(OWED, owed=Decimal(500), within={"first_response": timedelta(days=9)}))
    assert mixed.gives_less
    assert mixed.gives_more


def test_two_currencies_are_not_compared():
    with pytest.raises(ValueError, match="two currencies"):
        difference(OWED, replace(OWED, currency="USD"))


@given(drafts, facts)
def test_where_rules_differ_the_one_better_for_the_customer_counts(draft: tuple[Rule, ...], known: Facts):
    """E.g. the highest money, the shortest time, every remedy, the gravest severity: no rule that applies gives more than all."""
    earned = entitlement_for(known, Policy(1, draft))
    for rule in draft:
        if rule.applies(known):
            alone: Difference = difference(entitlement_for(known, Policy(1, (rule,))), earned)
            assert not alone.gives_less


@given(drafts, facts)
def test_an_entitlement_survives_being_stored(draft: tuple[Rule, ...], known: Facts):
    earned = entitlement_for(known, Policy(1, draft))
    assert Entitlement.from_data(earned.as_data()) == earned
