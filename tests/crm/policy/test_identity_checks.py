"""How many steps it takes to show who somebody is: the same facts, the same steps, and always a way to get there."""

from __future__ import annotations

import dataclasses
import inspect
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.policy import identity_checks as policy
from crm.policy.identity_checks import (
    CODE_LASTS,
    SHOWING,
    CheckFacts,
    CheckKind,
    CheckNeed,
    has_lapsed,
    is_beyond,
    is_enough,
    may_be_next,
    possible,
    steps,
)
from tests.conftest import NOON

facts = st.builds(
    CheckFacts,
    need=st.sampled_from(CheckNeed),
    is_proved=st.booleans(),
    has_proved_mail=st.booleans(),
    has_proved_number=st.booleans(),
)
kinds = st.frozensets(st.sampled_from(CheckKind))


def test_the_facts_are_pinned_and_no_rule_can_be_told_the_channel_R048():
    assert [field.name for field in dataclasses.fields(CheckFacts)] == [
        "need", "is_proved", "has_proved_mail", "has_proved_number",
    ]  # fmt: skip
    for name, rule in inspect.getmembers(policy, inspect.isfunction):
        if rule.__module__ == policy.__name__:
            assert not {"channel", "source", "conversation", "interaction"} & set(inspect.signature(rule).parameters), (
                name
            )


@given(facts, kinds)
def test_equal_facts_ask_for_the_same_R048(one: CheckFacts, standing: frozenset[CheckKind]):
    other = dataclasses.replace(one)
    assert steps(one) == steps(other)
    assert may_be_next(one, standing=standing) == may_be_next(other, standing=standing)


@given(facts)
def test_proved_evidence_never_asks_for_more_and_nobody_for_more_than_two(one: CheckFacts):
    claimed, proved = dataclasses.replace(one, is_proved=False), dataclasses.replace(one, is_proved=True)
    assert 0 <= steps(proved) <= steps(claimed) <= 2


@given(facts, st.randoms(use_true_random=False))
def test_whichever_way_is_chosen_it_ends_after_as_many_steps_as_were_said(one: CheckFacts, chance):
    """Nobody is stuck: without a proved address, and without a proved number, there is a way as short."""
    shown: set[CheckKind] = set()
    while choices := sorted(may_be_next(one, standing=shown)):
        assert not is_enough(one, passed=shown)
        shown.add(chance.choice(choices))
    assert len(shown) == steps(one)
    assert is_enough(one, passed=shown)


@given(facts, kinds)
def test_a_known_number_alone_shows_nothing(one: CheckFacts, shown: frozenset[CheckKind]):
    if steps(one) and is_enough(one, passed=shown):
        assert shown & (SHOWING | {CheckKind.AUTHORITY})
    if not one.is_proved and is_enough(one, passed=shown):
        assert shown & SHOWING


@given(facts, kinds)
def test_who_acts_for_another_shows_the_authority_whatever_else_is_shown(one: CheckFacts, shown: frozenset[CheckKind]):
    if one.need == CheckNeed.ACT_FOR and is_enough(one, passed=shown):
        assert CheckKind.AUTHORITY in shown


@given(facts, kinds, st.sampled_from(CheckKind))
def test_more_shown_is_never_less_and_what_is_beyond_is_what_may_not_be_next(
    one: CheckFacts, shown: frozenset[CheckKind], more: CheckKind
):
    if is_enough(one, passed=shown):
        assert is_enough(one, passed=shown | {more})
        assert is_beyond(more, one, standing=shown)
    assert is_beyond(more, one, standing=shown) == (more not in may_be_next(one, standing=shown))
    assert may_be_next(one, standing=shown) <= possible(one) - shown


def test_a_code_and_a_call_need_somewhere_proved_to_go():
    nowhere = CheckFacts(CheckNeed.MONEY, is_proved=False, has_proved_mail=False, has_proved_number=False)
    assert possible(nowhere) == {CheckKind.REFERENCE, CheckKind.DOCUMENT, CheckKind.AUTHORITY}
    assert possible(dataclasses.replace(nowhere, has_proved_mail=True)) - possible(nowhere) == {CheckKind.CODE}
    assert possible(dataclasses.replace(nowhere, has_proved_number=True)) - possible(nowhere) == {CheckKind.CALL_BACK}


@pytest.mark.parametrize(("hours", "is_old"), [(-1, False), (0, False), (23, False), (24, True), (30, True)])
def test_a_code_lasts_a_day(hours: int, is_old: bool):
    assert timedelta(hours=24) == CODE_LASTS
    assert has_lapsed(asked_at=NOON, at=NOON + timedelta(hours=hours)) is is_old
