"""After news of a death: what counts as cheerful, whom it concerns, which state follows (R168, P01, P02)."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from crm.policy import MessageKind
from crm.policy.bereavement import (
    BEREAVEMENT_NEXT,
    CAUTIOUS_FOR,
    OWED,
    STOPPED_WITHIN,
    BereavementState,
    counts_as_member,
    is_cheerful,
)
from evenhand.duties import DUTIES
from tests.conftest import NOON


def test_every_kind_of_message_that_is_not_owed_is_cheerful_P01():
    assert {MessageKind.SERVICE, MessageKind.NOTICE} == OWED
    assert all(is_cheerful(kind) for kind in MessageKind if kind not in OWED)


def test_the_duty_looks_often_enough_to_stop_everything_within_five_minutes_R168():
    assert DUTIES["bereavement_stop"].every * 2 < STOPPED_WITHIN


def test_words_alone_hold_for_three_days_and_never_longer_P02():
    assert timedelta(hours=72) == CAUTIOUS_FOR


def test_only_a_person_lets_it_stand_and_what_ended_stays_ended_P02():
    assert set(BEREAVEMENT_NEXT) == set(BereavementState)
    assert BEREAVEMENT_NEXT[BereavementState.LIFTED] == BEREAVEMENT_NEXT[BereavementState.DISMISSED] == frozenset()


@given(st.none() | st.integers(-1000, 1000), st.booleans())
def test_whoever_was_there_or_came_later_mourns_and_a_mistake_does_not_P01(hours, was_mistake):
    left_at = None if hours is None else NOON + timedelta(hours=hours)
    counts = counts_as_member(left_at=left_at, was_mistake=was_mistake, since=NOON)
    assert counts == (not was_mistake and (hours is None or hours >= 0))
