"""Who may be asked, and who is drawn: everybody or a random share, never by what they think of us (R068, R150, R171)."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.policy import MessageKind, OutgoingState, StopFacts, after_being_stopped, reason_to_stop
from crm.policy.asking import (
    ITEMS,
    PURPOSE_OF,
    REASONS,
    AskFacts,
    AskingKind,
    commitment,
    is_bad,
    is_drawn,
    leaves_at,
    reason_not_to_ask,
)
from crm.policy.consent import WORDS
from crm.policy.suppression import SuppressionScope, scopes_ended_by_yes, scopes_that_stop

FREE = StopFacts(MessageKind.ASK, "active", has_outreach_hold=False, has_consent=True)
SEED = "5eed" * 16


def facts(*, has_route: bool = True, was_asked_lately: bool = False, **stop: Any) -> AskFacts:
    return AskFacts(dataclasses.replace(FREE, **stop), has_route=has_route, was_asked_lately=was_asked_lately)


def test_no_fact_of_asking_knows_a_score_a_feeling_a_stage_or_a_channel_R150():
    barred = re.compile(
        r"score|csat|ces|nps|sentiment|feel|mood|happy|satisf|stage|channel|medium|tone|value|rating|answer", re.I
    )
    names = [field.name for kind in (AskFacts, StopFacts) for field in dataclasses.fields(kind)]
    assert not [name for name in names if barred.search(name)]
    assert [field.name for field in dataclasses.fields(AskFacts)] == ["stop", "has_route", "was_asked_lately"]


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({}, ""),
        ({"has_consent": False}, "no_consent"),
        ({"has_objection": True}, "suppressed"),
        ({"has_outreach_hold": True}, "outreach_on_hold"),
        ({"has_open_matter": True}, "open_matter"),
        ({"had_kindness_lately": True}, "kindness_lately"),
        ({"was_asked_lately": True}, "asked_lately"),
        ({"customer_status": "deceased"}, "customer_deceased"),
        ({"customer_status": "merged"}, "customer_merged"),
        ({"has_route": False}, "no_address"),
    ],
)
def test_somebody_who_is_drawn_is_asked_unless_there_is_a_reason_R068_R171(known: dict[str, Any], reason: str):
    assert reason_not_to_ask(facts(**known)) == reason
    assert not reason or reason in REASONS


@given(st.sampled_from(["has_outreach_hold", "has_objection", "has_open_matter", "had_kindness_lately"]))
def test_what_keeps_a_question_from_being_written_keeps_it_from_leaving_as_well(known: str):
    assert reason_to_stop(dataclasses.replace(FREE, **{known: True}))
    assert after_being_stopped(MessageKind.ASK) == OutgoingState.CANCELLED
    assert after_being_stopped(MessageKind.GESTURE) == OutgoingState.HELD


@given(st.uuids().map(str), st.integers(1, 100))
def test_a_draw_is_the_same_whoever_does_it_and_a_larger_share_only_adds_to_it_R150(number: str, share: int):
    assert is_drawn(number, seed=SEED, share=share) == is_drawn(number, seed=SEED, share=share)
    assert is_drawn(number, seed=SEED, share=100)
    assert not is_drawn(number, seed=SEED, share=share) or is_drawn(number, seed=SEED, share=min(share + 1, 100))


def test_a_share_draws_about_that_share_and_another_seed_draws_others_R068():
    numbers = [f"01930000-0000-7000-8000-{n:012d}" for n in range(20_000)]
    drawn = {n for n in numbers if is_drawn(n, seed=SEED, share=20)}
    others = {n for n in numbers if is_drawn(n, seed="0" * 64, share=20)}
    assert 0.19 < len(drawn) / len(numbers) < 0.21  # four standard errors: 0.011
    assert 0.17 < len(drawn & others) / len(drawn) < 0.23
    assert commitment(SEED) != commitment("0" * 64)


@given(st.fixed_dictionaries({item: st.none() | st.integers(1, most) for item, most in ITEMS.items()}))
def test_an_answer_is_bad_exactly_where_one_of_the_answers_is_one_or_two(answers: dict[str, int | None]):
    assert is_bad(answers) == any(value in (1, 2) for value in answers.values())


@pytest.mark.parametrize(("hour", "leaves"), [(3, (2, 9)), (9, (2, 9)), (17, (2, 17)), (18, (3, 9)), (23, (3, 9))])
def test_a_question_leaves_by_day_where_the_customer_lives(hour: int, leaves: tuple[int, int]):
    zone = ZoneInfo("Asia/Tokyo")
    at = datetime(2026, 3, 2, hour, 0, tzinfo=zone).astimezone(UTC)
    there = leaves_at(at, zone=zone).astimezone(zone)
    assert (there.day, there.hour) == leaves


def test_every_question_has_words_to_allow_it_and_a_review_counts_as_advertising_R150():
    assert {purpose for purpose, _medium in WORDS} >= set(PURPOSE_OF.values())
    assert set(scopes_that_stop(PURPOSE_OF[AskingKind.REVIEW], "email")) == {
        SuppressionScope.ALL_BUT_OWED, SuppressionScope.SURVEY, SuppressionScope.MARKETING,
    }  # fmt: skip
    assert SuppressionScope.MARKETING not in scopes_ended_by_yes(PURPOSE_OF[AskingKind.REVIEW], "email")
