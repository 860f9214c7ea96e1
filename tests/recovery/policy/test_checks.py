"""What the machine finds in a draft: every planted mistake, and nothing in a draft that is fine."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recovery.policy import FACT_NAMES, ComplaintType, Facts, Policy, Rule, Severity, difference, entitlement_for
from recovery.policy.checks import (
    MAY_PROMISE,
    OWED_TO_ALL,
    PROMISED_TO_ALL,
    Check,
    checked,
    deterministic,
    mistakes_in,
    monotone,
    total,
)
from tests.recovery.policy.drafts import (
    DAYS,
    EVERYBODY,
    FAILURES,
    LOSSES,
    TYPES,
    drafts,
    facts,
    rule,
    starter_rules,
)


def found_in(*rules: Rule, unequal: dict[str, str] | None = None) -> list[tuple[str, str]]:
    return [(found.check, found.rule) for found in checked(rules, unequal=unequal or {}).findings]


def test_the_starter_pack_passes_every_check_R049():
    result = checked(starter_rules(), unequal={})
    assert result.passed, result.findings


# --- one rule at a time ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"code": "With Space"},
        {"code": ""},
        {"code": "x" * 49},
        {"because": "  "},
        {"because": "x" * 301},
        {"remedies": ("free_holiday",)},
        {"goodwill": Decimal(-1)},
        {"goodwill": Decimal("NaN")},
        {"goodwill": Decimal("1.005")},
        {"goodwill": Decimal("100000000")},
        {"goodwill": 5},
        {"within": {"someday": 60}},
        {"within": {"personal": 60}},
        {"within": {"first_response": 0}},
        {"within": {"first_response": -5}},
        {"within": {"first_response": 1.5}},
        {"within": {"first_response": True}},
        {"within": {"first_response": 10**9}},
        {"within": ["first_response"]},
        {"severity": "apocalyptic"},
        {"goodwill": Decimal(0)},
        {"when": {"loss": {}}},
        {"when": {"loss": 5}},
        {"when": {"loss": {"at_least": 5, "is": 5}}},
        {"when": {"loss": {"is": 5}}},
        {"when": {"loss": {"at_least": -1}}},
        {"when": {"loss": {"at_least": "a lot"}}},
        {"when": {"loss": {"at_least": "NaN"}}},
        {"when": {"loss": {"at_least": True}}},
        {"when": {"loss": {"like": 5}}},
        {"when": {"days_without": {"at_least": 1.5}}},
        {"when": {"days_without": {"at_least": -1}}},
        {"when": {"days_without": {"at_least": "2"}}},
        {"when": {"our_failures": {"one_of": [1, 2]}}},
        {"when": {"safety": {"is": 1}}},
        {"when": {"safety": {"at_least": True}}},
        {"when": {"complaint_type": {"is": "weather"}}},
        {"when": {"complaint_type": {"is": ["conduct"]}}},
        {"when": {"complaint_type": {"one_of": "conduct"}}},
        {"when": {"complaint_type": {"one_of": []}}},
        {"when": {"complaint_type": {"at_least": "conduct"}}},
        {"when": {"currency": {"is": "DOUBLOON"}}},
    ],
    ids=repr,
)
def test_a_rule_that_cannot_be_meant_is_found_and_named(changes: dict[str, Any]):
    planted = rule(**changes)
    assert mistakes_in(planted)
    assert (Check.WELL_FORMED, planted.code) in found_in(EVERYBODY, planted)
    assert not checked((EVERYBODY, planted), unequal={}).passed


def test_an_empty_draft_and_two_rules_of_one_name_are_found():
    assert found_in() == [(Check.WELL_FORMED, "")]
    assert (Check.WELL_FORMED, "planted") in found_in(EVERYBODY, rule(), rule())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("channel", "reached us"),
        ("followers", "listen"),
        ("is_verified", "listen"),
        ("press_interest", "listen"),
        ("message_count", "loud"),
        ("threat_to_publish", "loud"),
        ("tenure_years", "new customer"),
        ("lifetime_value", "worth"),
        ("age", "Who somebody is"),
        ("generation", "Who somebody is"),
        ("postcode", "Who somebody is"),
        ("moon_phase", "no fact"),
    ],
)
def test_what_may_not_count_is_refused_with_its_reason_R034_R075(name: str, reason: str):
    planted = rule(when={name: {"at_least": 1}})
    result = checked((EVERYBODY, planted), unequal={})
    assert [(found.check, found.rule) for found in result.findings] == [(Check.NO_BARRED_FACT, "planted")]
    assert reason in result.findings[0].words
    assert Check.MONOTONE in result.not_made


def test_a_fact_that_not_every_channel_can_tell_fails_where_a_rule_reads_it():
    reads, does_not = rule(when={"loss": {"at_least": 1}}), rule("other", when={"safety": {"is": True}})
    assert found_in(EVERYBODY, reads, does_not, unequal={"loss": "Letters cannot."}) == [(Check.OBTAINABLE, "planted")]
    assert found_in(EVERYBODY, reads, does_not, unequal={"currency": "Letters cannot."}) == []


# --- everybody is owed something ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", OWED_TO_ALL)
def test_a_remedy_that_somebody_goes_without_is_found(kind: str):
    lacking = replace(EVERYBODY, remedies=tuple(found for found in EVERYBODY.remedies if found != kind))
    assert [found.check for found in total([lacking])] == [Check.TOTAL]
    for_some = rule(when={"loss": {"at_least": "0.01"}}, remedies=(kind,))
    assert [found.check for found in total([lacking, for_some])] == [Check.TOTAL]


@pytest.mark.parametrize("kind", PROMISED_TO_ALL)
def test_a_promise_that_somebody_goes_without_is_found(kind: str):
    lacking = replace(EVERYBODY, within={found: m for found, m in EVERYBODY.within.items() if found != kind})
    assert [found.check for found in total([lacking])] == [Check.TOTAL]


def test_one_type_of_complaint_without_an_answer_is_found_and_all_types_together_are_fine():
    each = [replace(EVERYBODY, code=kind.value, when={"complaint_type": {"is": kind.value}}) for kind in ComplaintType]
    assert not total(each)
    assert "conduct" not in [found.code for found in each[:-1]]
    assert total(each[:-1])


def test_yes_and_no_together_are_everybody_and_a_named_currency_is_not():
    both = [replace(EVERYBODY, code=f"v{value}", when={"vulnerable": {"is": value}}) for value in (True, False)]
    assert not total(both)
    assert total([replace(EVERYBODY, when={"currency": {"one_of": ["EUR", "USD"]}})])


@settings(max_examples=60, deadline=None)
@given(drafts, facts)
def test_a_draft_that_is_total_answers_any_facts(draft: tuple[Rule, ...], known: Facts):
    if total((*draft, EVERYBODY)):
        raise AssertionError("the rule for everybody is for everybody")
    if not total(draft):
        given_ = entitlement_for(known, Policy(1, draft))
        assert {kind.value for kind in OWED_TO_ALL} <= set(given_.remedies)
        assert {kind.value for kind in PROMISED_TO_ALL} <= set(given_.within)


# --- more harm never earns less -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "gives",
    [
        {"remedies": ("apology_by_name",)},
        {"goodwill": Decimal("10.00")},
        {"within": {"first_response": 60}},
        {"within": {"ownership": 60}},
        {"severity": Severity.HIGH},
    ],
    ids=lambda gives: next(iter(gives)),
)
@pytest.mark.parametrize("fact", ["safety", "essential", "vulnerable"])
def test_a_rule_only_for_those_who_are_better_off_is_found_and_named(fact: str, gives: dict[str, Any]):
    planted = Rule("planted", {fact: {"is": False}, "days_without": {"at_least": 3}}, because="x", **gives)
    assert found_in(EVERYBODY, planted) == [(Check.MONOTONE, "planted")]
    made_good = replace(planted, code="made_good", when={fact: {"is": True}})
    assert found_in(EVERYBODY, planted, made_good) == []


YES_NO = ("safety", "essential", "vulnerable")


def test_money_is_compared_with_the_loss_that_is_paid_back():
    """Whoever is vulnerable gets the loss back instead of a goodwill of 50: that is less from 50 on only where both get it."""
    refund = Rule("refund", {"vulnerable": {"is": True}}, remedies=("refund_loss",), because="x")
    goodwill = Rule(
        "goodwill", {"vulnerable": {"is": False}, "loss": {"at_least": 100}}, goodwill=Decimal(50), because="x"
    )
    assert not monotone([refund, goodwill])
    assert monotone([refund, replace(goodwill, when={"vulnerable": {"is": False}, "loss": {"at_least": 49}})])
    big_losses = Rule("big", {"loss": {"at_least": 1000}}, remedies=("refund_loss",), because="x")
    assert monotone([refund, goodwill, big_losses])


GRID = [
    Facts(kind, Decimal(str(loss)), "EUR", days, failures, *yes_or_no)
    for kind, loss, days, failures in itertools.product(TYPES, (0, *LOSSES), (0, *DAYS), (0, *FAILURES))
    for yes_or_no in itertools.product((False, True), repeat=3)
]


def _steps_up(known: Facts) -> list[Facts]:
    found = [replace(known, **{name: True}) for name in YES_NO if not getattr(known, name)]
    for name, values in (("loss", LOSSES), ("days_without", DAYS), ("our_failures", FAILURES)):
        now = getattr(known, name)
        higher = [value for value in map(type(now), map(str, values) if name == "loss" else values) if value > now]
        found += [replace(known, **{name: min(higher)})] if higher else []
    return found


@settings(max_examples=25, deadline=None)
@given(drafts)
def test_the_check_says_the_same_as_going_through_every_pair_of_cells(draft: tuple[Rule, ...]):
    policy = Policy(1, draft)
    earned = {known: entitlement_for(known, policy) for known in GRID}
    worse_off_gets_less = any(
        difference(earned[known], earned[higher]).gives_less for known in GRID for higher in _steps_up(known)
    )
    assert bool(monotone(draft)) == worse_off_gets_less


@settings(max_examples=150, deadline=None)
@given(drafts, facts, facts)
def test_what_the_check_calls_monotone_is_so_for_any_two_facts(draft: tuple[Rule, ...], one: Facts, other: Facts):
    if monotone(draft):
        return
    more = {
        name: max(getattr(one, name), getattr(other, name))
        for name in FACT_NAMES
        if name not in ("complaint_type", "currency")
    }
    policy = Policy(1, draft)
    harder = replace(one, **more)
    assert not difference(entitlement_for(one, policy), entitlement_for(harder, policy)).gives_less


@settings(max_examples=50, deadline=None)
@given(drafts, st.sampled_from(YES_NO))
def test_a_bad_rule_is_found_in_any_draft(draft: tuple[Rule, ...], fact: str):
    planted = Rule("planted", {fact: {"is": False}}, goodwill=Decimal("5000.00"), because="x")
    assert any(found.rule == "planted" for found in monotone((*draft, planted)))


# --- the same again -------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(drafts, st.randoms(), facts)
def test_the_order_of_any_rules_changes_only_the_order_of_the_reasons(
    draft: tuple[Rule, ...], random: Any, known: Facts
):
    assert not deterministic(draft)
    shuffled = list(draft)
    random.shuffle(shuffled)
    one, other = entitlement_for(known, Policy(1, draft)), entitlement_for(known, Policy(1, tuple(shuffled)))
    assert (one.owed, one.severity, one.within, set(one.remedies)) == (
        other.owed,
        other.severity,
        other.within,
        set(other.remedies),
    )
    assert set(one.explanation) == set(other.explanation)


def test_an_evaluator_that_reads_the_order_would_be_found(monkeypatch: pytest.MonkeyPatch):
    def first_one_wins(known: Facts, policy: Policy):
        return entitlement_for(known, Policy(1, tuple(rule for rule in policy.rules if rule.applies(known))[:1]))

    monkeypatch.setattr("recovery.policy.checks.entitlement_for", first_one_wins)
    assert [found.check for found in deterministic(starter_rules())] == [Check.DETERMINISTIC]


# --- speed ----------------------------------------------------------------------------------------------------------


def test_thirty_rules_that_each_begin_somewhere_else_are_checked_in_seconds():
    many = [
        rule(
            f"rule_{number}",
            when={
                "loss": {"at_least": number * 10},
                "days_without": {"at_least": number},
                "our_failures": {"at_least": number},
                "complaint_type": {"is": list(ComplaintType)[number % 6].value},
                "currency": {"one_of": ["EUR", "USD"] if number % 2 else ["JPY"]},
                "vulnerable": {"is": number % 3 == 0},
            },
            goodwill=Decimal(number),
            within={"first_response": 1 + number % 5, "resolution": 10},
        )
        for number in range(29)
    ]
    began = time.perf_counter()
    checked([EVERYBODY, *many], unequal={})
    assert time.perf_counter() - began < 5


def test_numbers_that_cross_each_other_everywhere_are_checked_in_seconds():
    """The worst draft we could think of: every number of one axis meets every number of the others, and each step loses rules."""
    many = [
        rule(
            f"rule_{number}",
            when={
                "loss": {"at_least": number},
                "days_without": {"at_least": number * 7 % 26},
                "our_failures": {"at_least": number * 11 % 26},
            },
            goodwill=Decimal(number + 1),
            within={"first_response": 100 - number * 3},
        )
        for number in range(26)
    ]
    for_some = [
        rule(f"only_{name}", when={name: {"is": False}}, goodwill=Decimal(10), remedies=("apology_by_name",))
        for name in YES_NO
    ]
    began = time.perf_counter()
    result = checked([EVERYBODY, *many, *for_some], unequal={})
    assert time.perf_counter() - began < 5
    assert {found.check for found in result.findings} == {Check.MONOTONE}


def test_a_rule_may_promise_only_what_the_work_on_a_case_keeps():
    assert {kind.value for kind in MAY_PROMISE} == {
        "first_response",
        "resolution",
        "ownership",
        "next_update",
        "confirmation",
        "statutory",
    }
