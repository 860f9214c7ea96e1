"""Every fact can be told on every channel, with the same effort; what could not be told somewhere would be found."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.channels import Channel
from recovery import obtainable
from recovery.obtainable import GROUPS, MATRIX, Effort, Way
from recovery.policy import ComplaintType, Facts, Policy, Rule, canonical, entitlement_for
from recovery.policy.checks import Check, checked
from tests.recovery.policy.drafts import drafts, facts, starter_rules

KNOWN = Facts(ComplaintType.CONDUCT, Decimal(5), "USD", 3, 2, safety=True, essential=True, vulnerable=True)


def test_the_matrix_is_complete_for_every_fact_and_channel_R048():
    assert set(MATRIX) == {field.name for field in fields(Facts)}
    for name, ways in MATRIX.items():
        assert set(ways) == set(Channel), name
        assert all(str(way.how) for way in ways.values())
    assert sorted(channel for group in GROUPS for channel in group) == sorted(Channel)


def test_every_fact_costs_the_same_effort_on_every_channel_R048():
    assert obtainable.unequal() == {}
    for ways in MATRIX.values():
        assert len({way.effort for way in ways.values()}) == 1


@pytest.mark.parametrize("channel", Channel)
def test_a_fact_that_one_channel_cannot_tell_is_found_and_fails_the_rules_that_read_it(channel: Channel):
    lacking = {**MATRIX, "loss": {other: way for other, way in MATRIX["loss"].items() if other != channel}}
    unequal = obtainable.unequal(lacking)
    assert list(unequal) == ["loss"]
    assert str(channel.label) in unequal["loss"]
    findings = checked(starter_rules(), unequal=unequal).findings
    assert [(found.check, found.rule) for found in findings] == [(Check.OBTAINABLE, "loss")]


@pytest.mark.parametrize("effort", [Effort.NOTHING, Effort.MORE])
def test_a_fact_that_costs_more_or_less_on_one_channel_is_found(effort: Effort):
    uneven = {**MATRIX, "safety": {**MATRIX["safety"], Channel.LETTER: Way("with a photo", effort)}}
    assert list(obtainable.unequal(uneven)) == ["safety"]


@pytest.mark.parametrize("channel", Channel)
def test_the_same_is_known_whatever_channel_somebody_uses(channel: Channel):
    assert obtainable.as_known_on(channel, KNOWN) == KNOWN


@given(drafts, facts, st.sampled_from(Channel), st.sampled_from(Channel))
def test_any_rules_decide_the_same_on_any_two_channels_R048_N2(
    draft: tuple[Rule, ...], known: Facts, one: Channel, other: Channel
):
    policy = Policy(1, draft)
    first = entitlement_for(obtainable.as_known_on(one, known), policy)
    second = entitlement_for(obtainable.as_known_on(other, known), policy)
    assert canonical(first.as_data()) == canonical(second.as_data())


def test_what_cannot_be_told_somewhere_stays_unknown_there():
    lacking = {**MATRIX, "loss": {Channel.EMAIL: MATRIX["loss"][Channel.EMAIL]}}
    assert obtainable.as_known_on(Channel.PHONE, KNOWN, matrix=lacking).loss == 0
    assert obtainable.as_known_on(Channel.EMAIL, KNOWN, matrix=lacking).loss == 5
