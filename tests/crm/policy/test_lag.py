"""Which stated times are believed, and when a source is late."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.channels import Channel
from crm.policy import LAG_BUDGETS, Lag, TimeFrom, trusted_spoke_at, why_late
from tests.conftest import NOON

moments = st.integers(-100_000, 100_000).map(lambda seconds: NOON + timedelta(seconds=seconds))
SIGNED = [TimeFrom.SIGNED, TimeFrom.POLLED]
EVENINGS = timedelta(hours=6)


@given(st.sampled_from(TimeFrom), st.none() | moments, moments, st.none() | moments)
def test_no_time_lies_in_the_future_E14(time_from, claimed, received_at, last_good_at):
    found = trusted_spoke_at(time_from, claimed=claimed, received_at=received_at, last_good_at=last_good_at)
    assert found <= received_at


@given(st.sampled_from(SIGNED), st.none() | moments, moments, moments)
def test_no_reported_time_lies_before_the_last_good_delivery_E19(time_from, claimed, received_at, last_good_at):
    found = trusted_spoke_at(time_from, claimed=claimed, received_at=received_at, last_good_at=last_good_at)
    assert found >= min(last_good_at, received_at)
    if claimed is not None and last_good_at <= claimed <= received_at:
        assert found == claimed


@given(st.none() | moments, moments, st.none() | moments)
def test_what_a_sender_says_moves_no_clock_E14(claimed, received_at, last_good_at):
    found = trusted_spoke_at(TimeFrom.OUR_SERVER, claimed=claimed, received_at=received_at, last_good_at=last_good_at)
    assert found == received_at


@given(st.sampled_from(SIGNED), moments, moments)
def test_before_the_first_good_delivery_nothing_is_believed_E19(time_from, claimed, received_at):
    assert trusted_spoke_at(time_from, claimed=claimed, received_at=received_at, last_good_at=None) == received_at


@pytest.mark.parametrize("time_from", SIGNED)
def test_after_an_outage_of_six_hours_customers_count_from_when_they_spoke_E15(time_from):
    spoke = NOON - timedelta(hours=5)
    last_good = NOON - timedelta(hours=6)
    assert trusted_spoke_at(time_from, claimed=spoke, received_at=NOON, last_good_at=last_good) == spoke


def test_every_medium_has_a_budget_R045():
    assert set(LAG_BUDGETS) == {channel.value for channel in Channel}
    assert LAG_BUDGETS["phone"] == LAG_BUDGETS["chat"] == timedelta(0)
    assert LAG_BUDGETS["review"] == timedelta(minutes=30)


NONE = Lag(0, None, None)


def lag(seconds: float) -> Lag:
    return Lag(10, timedelta(seconds=1), timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("found", "last_good_at", "every", "why"),
    [
        (lag(60), NOON, None, ""),
        (lag(61), NOON, None, "slow"),
        (NONE, None, None, ""),
        (NONE, None, EVENINGS, "silent"),
        (NONE, NOON - EVENINGS, EVENINGS, ""),
        (NONE, NOON - EVENINGS - timedelta(seconds=1), EVENINGS, "silent"),
    ],
)
def test_a_source_is_late_when_it_is_slow_or_silent_R045(found, last_good_at, every, why):
    budget = timedelta(minutes=1)
    assert why_late(found, budget=budget, last_good_at=last_good_at, expected_every=every, at=NOON) == why


def test_a_budget_of_nothing_allows_for_two_clocks():
    facts = {"budget": timedelta(0), "last_good_at": NOON, "expected_every": None, "at": NOON}
    assert why_late(lag(5), **facts) == ""
    assert why_late(lag(6), **facts) == "slow"
