"""What a public post counts for, which judgements are drawn, and what can be a closing word."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.policy import (
    JUDGEMENTS_SAMPLED_A_NIGHT,
    Counted,
    NoAnswerReason,
    PostVerdict,
    counted,
    drawn,
    may_be_closing_word,
)
from tests.conftest import NOON

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("verdict", "is_answered", "due_at", "counts"),
    [
        ("", True, None, Counted.ANSWERED),
        ("", False, None, Counted.UNANSWERED),
        ("answer", False, NOON - HOUR, Counted.UNANSWERED),
        ("none", False, None, Counted.NOT_ANSWERABLE),
        ("none", False, NOON + HOUR, Counted.NOT_ANSWERABLE),
        ("none", True, NOON - HOUR, Counted.ANSWERED),
        ("", False, NOON + HOUR, Counted.IN_TIME),
        ("", True, NOON + HOUR, Counted.IN_TIME),
        ("", True, NOON, Counted.ANSWERED),
    ],
)
def test_what_a_post_counts_for_N8(verdict, is_answered, due_at, counts):
    assert counted(verdict=verdict, is_answered=is_answered, due_at=due_at, at=NOON) == counts


def test_praise_a_question_or_criticism_is_no_reason_to_leave_somebody_unanswered_R093():
    assert [reason.value for reason in NoAnswerReason] == [
        "spam", "duplicate", "abuse", "not_for_us", "closing_word", "only_shared",
    ]  # fmt: skip
    assert list(PostVerdict) == ["answer", "none"]


@given(st.lists(st.tuples(st.uuids().map(str), st.sampled_from("abcd")), unique_by=lambda row: row[0], max_size=80))
def test_whoever_draws_draws_the_same_and_every_channel_is_looked_at_N8(judgements):
    chosen = drawn(judgements)
    assert chosen == drawn(list(reversed(judgements)))
    assert len(set(chosen)) == len(chosen) == min(len(judgements), JUDGEMENTS_SAMPLED_A_NIGHT)
    group_of = dict(judgements)
    assert {group_of[number] for number in chosen} == set(group_of.values())


def test_only_what_follows_our_answer_is_a_closing_word():
    assert may_be_closing_word(first_answer_at=NOON, spoke_at=NOON + HOUR)
    assert not may_be_closing_word(first_answer_at=NOON, spoke_at=NOON - HOUR)
    assert not may_be_closing_word(first_answer_at=None, spoke_at=NOON)
