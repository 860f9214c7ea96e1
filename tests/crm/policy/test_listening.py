"""What is news where we only listen, from when it counts, how often we listen (domain C.5; E19, H05, R045)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.policy import asked_again_after, asks_a_question, heard_as, listens_every, why_not_said_then
from crm.policy.lag import LAG_BUDGETS
from tests.conftest import NOON

spans = st.timedeltas(min_value=timedelta(days=-800), max_value=timedelta(days=800))


@given(published=st.none() | spans, looked=st.none() | spans)
def test_news_never_counts_from_the_future_nor_from_before_our_last_look(published, looked):
    last = None if looked is None else NOON + looked
    heard = heard_as(None if published is None else NOON + published, first_seen_at=NOON, last_good_at=last)
    if heard.is_news:
        assert heard.spoke_at <= NOON
        assert last is None or heard.spoke_at >= min(last, NOON)
    else:
        assert heard.spoke_at == NOON + published
        assert heard.spoke_at < NOON - timedelta(days=1)


@given(published=spans, looked=spans)
def test_a_stated_time_can_make_nobody_older_than_another_who_states_none(published, looked):
    """Whoever lies about the time gains at most what lay between our looks."""
    heard = heard_as(NOON + published, first_seen_at=NOON, last_good_at=NOON + looked)
    if heard.is_news:
        assert NOON - heard.spoke_at <= max(-looked, timedelta(0))


def test_each_medium_is_asked_twice_within_its_budget_and_politely():
    for budget in LAG_BUDGETS.values():
        every = listens_every(budget)
        assert timedelta(minutes=1) <= every <= timedelta(minutes=15)
        assert every <= max(budget / 2, timedelta(minutes=1))


@given(
    failing=st.none() | st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=90)), wished=st.none() | spans
)
def test_a_place_that_fails_is_asked_less_often_but_at_least_every_hour(failing, wished):
    every = timedelta(minutes=5)
    again = asked_again_after(every, failing_for=failing, wished=wished)
    assert every <= again <= timedelta(hours=1)
    if failing is None and wished is None:
        assert again == every


@pytest.mark.parametrize(
    ("ago", "why"),
    [
        (timedelta(0), ""),
        (timedelta(days=90), ""),
        (timedelta(days=91), "too_long_ago"),
        (timedelta(seconds=-1), "future"),
    ],
)
def test_a_colleague_notes_what_can_have_been_said(ago, why):
    assert why_not_said_then(NOON - ago, at=NOON) == why


def test_a_question_comes_only_past_a_rate():
    assert not asks_a_question(from_network=5, in_all=200)
    assert asks_a_question(from_network=6, in_all=6)
    assert asks_a_question(from_network=1, in_all=201)
