"""Whether equals got equal: the same verdict whichever comes first (R088)."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from recovery.policy import ComplaintType, Facts, Policy, Rule, Severity, entitlement_for
from recovery.policy.linking import Side, Verdict, compare
from tests.conftest import ROOT

RULES = Policy(
    1,
    tuple(
        Rule(
            code=row["code"], when=row.get("when", {}), remedies=tuple(row.get("remedies", ())),
            goodwill=Decimal(str(row.get("goodwill", 0))), within=row.get("within_minutes", row.get("within", {})),
            severity=Severity(row.get("severity", "low")),
        )
        for row in json.loads((ROOT / "recovery/starter_policy.json").read_text("utf-8"))
    ),
)  # fmt: skip
FACTS = st.builds(
    Facts,
    complaint_type=st.sampled_from(ComplaintType),
    loss=st.sampled_from([Decimal(0), Decimal("9.99"), Decimal(80)]),
    currency=st.sampled_from(["EUR", "USD"]),
    days_without=st.integers(0, 3),
    safety=st.booleans(),
)
MONEY = st.sampled_from([Decimal(0), Decimal("9.99")])


def side(facts: Facts, **changes: object) -> Side:
    return dataclasses.replace(Side(facts, entitlement_for(facts, RULES)), **changes)


SIDES = st.builds(side, FACTS, given=MONEY, beyond=MONEY, is_settled=st.booleans())
LATE = Facts(ComplaintType.LATE_OR_MISSING, loss=Decimal(80), days_without=3)


@given(SIDES, SIDES)
def test_the_verdict_is_the_same_whichever_comes_first_R088(one, other):
    there, back = compare(one, other), compare(other, one)
    assert there.verdict == back.verdict
    assert there.differing == back.differing
    assert there.given_more == -back.given_more


@given(SIDES)
def test_whoever_is_compared_with_an_equal_got_equal_R088(one):
    assert compare(one, one).verdict == Verdict.EQUAL


@given(FACTS, FACTS)
def test_equal_facts_by_equal_rules_are_never_unequal_before_anything_is_given_R088_R048(one, other):
    verdict = compare(side(one), side(other)).verdict
    assert verdict != Verdict.UNEQUAL
    assert (verdict == Verdict.EQUAL) == (one == other)


def test_other_rules_more_on_top_or_less_given_show_as_unequal_R088():
    plain = side(LATE)
    stingy = side(LATE, entitlement=dataclasses.replace(plain.entitlement, owed=Decimal(1)))
    assert compare(plain, stingy).verdict == Verdict.UNEQUAL
    assert compare(plain, side(LATE, beyond=Decimal(5))).verdict == Verdict.UNEQUAL
    paid = side(LATE, given=Decimal(80), is_settled=True)
    assert compare(paid, side(LATE, given=Decimal(10), is_settled=True)).verdict == Verdict.UNEQUAL
    assert compare(paid, side(LATE)).verdict == Verdict.EQUAL  # the second is not settled yet
    other = side(dataclasses.replace(LATE, days_without=9))
    assert (compare(plain, other).verdict, compare(plain, other).differing) == (Verdict.OTHER_FACTS, ("days_without",))
    assert compare(plain, side(Facts(ComplaintType.CONDUCT))).verdict == Verdict.OTHER_FAILURE
