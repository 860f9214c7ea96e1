"""What a failure earns, without a database: the starter rules and the properties every set of rules must have."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recovery import policy
from recovery.policy import ComplaintType, Facts, Policy, Rule, Severity, entitlement_for
from tests.conftest import ROOT


def starter() -> Policy:
    rows = json.loads((ROOT / "recovery/starter_policy.json").read_text(encoding="utf-8"))
    return Policy(
        1,
        tuple(
            Rule(
                code=row["code"], when=row["when"], remedies=tuple(row["remedies"]), goodwill=Decimal(row["goodwill"]),
                within=row["within_minutes"], severity=Severity(row["severity"]), because=row["because"],
            )
            for row in rows
        ),
    )  # fmt: skip


RULES = starter()

facts = st.builds(
    Facts,
    complaint_type=st.sampled_from(ComplaintType),
    loss=st.decimals(min_value=0, max_value=100_000, places=2),
    currency=st.sampled_from(["EUR", "USD"]),
    days_without=st.integers(0, 400),
    our_failures=st.integers(0, 9),
    safety=st.booleans(),
    essential=st.booleans(),
    vulnerable=st.booleans(),
)


def test_the_style_books_example_a_loss_of_80_and_three_days_without():
    earned = entitlement_for(Facts(loss=Decimal("80.00"), days_without=3), RULES)
    assert earned.severity == Severity.HIGH
    assert earned.owed == Decimal("100.00")
    assert earned.within["first_response"] == timedelta(hours=4)


def test_a_damaged_guitar_earns_its_repair_whoever_watches_R131():
    earned = entitlement_for(
        Facts(ComplaintType.DAMAGED_ITEM, loss=Decimal("1200"), days_without=270, our_failures=5), RULES
    )
    assert {"repair_or_replace", "refund_loss", "apology_by_name"} <= set(earned.remedies)
    assert earned.owed == Decimal("1220.00")


def test_what_nobody_asked_for_is_undone_without_proof_R049():
    earned = entitlement_for(Facts(ComplaintType.UNREQUESTED_CHANGE, loss=Decimal("9.99")), RULES)
    assert {"reverse_change", "refund_loss", "written_confirmation"} <= set(earned.remedies)
    assert earned.owed == Decimal("9.99")


@given(facts)
def test_every_failure_earns_something_and_always_the_same(known):
    first, again = entitlement_for(known, RULES), entitlement_for(known, RULES)
    assert first == again
    assert policy.canonical(first.as_data()) == policy.canonical(again.as_data())
    assert {"acknowledgement", "named_owner", "explanation", "written_confirmation", "recourse"} <= set(first.remedies)
    assert {"first_response", "resolution"} <= set(first.within)
    assert Decimal(0) <= first.owed <= known.loss + Decimal(20)


@given(
    facts,
    st.decimals(min_value=0, max_value=1000, places=2),
    st.integers(0, 30),
    st.integers(0, 3),
    st.booleans(),
    st.booleans(),
)
def test_more_harm_more_failures_or_vulnerability_never_earn_less(
    known, more_loss, more_days, more_failures, safety, vulnerable
):
    harder = replace(
        known,
        loss=known.loss + more_loss,
        days_without=known.days_without + more_days,
        our_failures=known.our_failures + more_failures,
        safety=known.safety or safety,
        vulnerable=known.vulnerable or vulnerable,
    )
    less, more = entitlement_for(known, RULES), entitlement_for(harder, RULES)
    assert more.owed >= less.owed
    assert set(less.remedies) <= set(more.remedies)
    assert all(more.within[kind] <= less.within[kind] for kind in less.within)
    assert list(Severity).index(more.severity) >= list(Severity).index(less.severity)


@given(facts)
def test_facts_survive_being_stored(known):
    stored = json.loads(json.dumps(known.as_data()))
    assert Facts.from_data(stored) == known
    assert policy.fingerprint(stored) == policy.fingerprint(known.as_data())


def test_the_order_of_rules_changes_nothing_but_the_order_of_reasons():
    known = Facts(ComplaintType.DAMAGED_ITEM, loss=Decimal(5), days_without=4, our_failures=2)
    plain = entitlement_for(known, RULES)
    for shuffled in itertools.islice(itertools.permutations(RULES.rules), 0, 2000, 97):
        other = entitlement_for(known, Policy(1, shuffled))
        assert (other.owed, other.severity, other.within, set(other.remedies)) == (
            plain.owed,
            plain.severity,
            plain.within,
            set(plain.remedies),
        )


def test_a_rule_about_something_that_is_no_fact_is_refused():
    for barred in ("channel", "followers", "spoke_at"):
        with pytest.raises(ValueError, match="no fact"):
            entitlement_for(Facts(), Policy(2, (Rule("loud", {barred: {"at_least": 1}}, because="x"),)))
    with pytest.raises(ValueError, match="understood"):
        entitlement_for(Facts(), Policy(2, (Rule("odd", {"loss": {"like": 1}}, because="x"),)))


@pytest.mark.parametrize(
    "impossible",
    [
        {"loss": Decimal(-1)},
        {"loss": Decimal("NaN")},
        {"loss": Decimal("Infinity")},
        {"days_without": -1},
        {"our_failures": -1},
    ],
)
def test_impossible_facts_are_refused_G11(impossible):
    with pytest.raises(ValueError, match=r"cannot be|no currency"):
        Facts(**impossible)


def test_stored_facts_with_another_field_are_refused_E06():
    with pytest.raises(ValueError, match="no facts"):
        Facts.from_data({**Facts().as_data(), "channel": "social_public"})


def test_every_status_has_its_line_in_the_table_of_moves():
    assert set(policy.NEXT) == set(policy.Status)


@given(st.decimals(min_value=0, max_value=1000, places=3), st.sampled_from(["EUR", "JPY", "BHD"]))
def test_what_is_stored_is_what_was_decided_on(loss, currency):
    known = Facts(loss=loss, currency=currency)
    again = Facts.from_data(known.as_data())
    assert policy.canonical(entitlement_for(again, RULES).as_data()) == policy.canonical(
        entitlement_for(known, RULES).as_data()
    )


def test_a_rule_may_be_for_several_types_of_complaint():
    either = Rule("either", {"complaint_type": {"one_of": ["conduct", "wrong_charge"]}}, because="x")
    applying = {kind for kind in ComplaintType if either.applies(Facts(kind))}
    assert applying == {ComplaintType.CONDUCT, ComplaintType.WRONG_CHARGE}


def test_a_loss_too_large_to_be_written_is_refused():
    with pytest.raises(ValueError, match="that large"):
        Facts(loss=Decimal("1e40"))


@given(facts)
def test_what_is_owed_needs_nobodys_yes_is_confirmed_and_may_be_chosen_among_equals_R142(known):
    earned = entitlement_for(known, RULES)
    assert earned.approval_path == ()
    assert earned.confirms_in_writing
    assert set(earned.choices) == {"repair_or_replace"} & set(earned.remedies)


def test_the_forms_to_choose_from_are_those_that_can_be_given():
    several = {remedy: tuple(kinds) for remedy, kinds in policy.grants.KINDS_OF.items() if len(kinds) > 1}
    assert {
        remedy: tuple(kind.value for kind in kinds) for remedy, kinds in several.items()
    } == policy.entitlement.EQUAL_CHOICES
