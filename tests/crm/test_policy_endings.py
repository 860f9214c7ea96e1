"""Endings as pure functions: when somebody counts as gone quiet, what is drawn for a second look."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from crm.policy import has_fallen_silent, is_the_same_matter, sample, still_wanted
from tests.conftest import NOON

NUMBERS = st.sets(st.uuids().map(str), max_size=300)
MEDIA = st.lists(st.sampled_from(["email", "phone", "letter"]), max_size=8)


@given(NUMBERS)
def test_a_sample_is_one_in_ten_rounded_up_and_does_not_depend_on_the_order_R010(numbers: set[str]) -> None:
    drawn = sample(sorted(numbers), month="2026-03")
    assert len(drawn) == -(-len(numbers) // 10)
    assert set(drawn) <= numbers
    assert drawn == sample(sorted(numbers, reverse=True), month="2026-03")


@given(MEDIA, st.integers(0, 5))
def test_quiet_is_three_tries_on_two_media_or_on_the_only_one_R013(media: list[str], given_media: int) -> None:
    tries, more_media = still_wanted(media, media_given=given_media)
    enough = len(media) >= 3 and len(set(media)) >= (2 if given_media >= 2 else 1)
    assert ((tries, more_media) == (0, 0)) == enough
    assert still_wanted([*media, "email"], media_given=given_media) <= (tries, more_media)


def test_one_logged_try_or_three_unanswered_messages_are_silence_R013() -> None:
    assert has_fallen_silent(logged_tries=1, unanswered=0)
    assert has_fallen_silent(logged_tries=0, unanswered=3)
    assert not has_fallen_silent(logged_tries=0, unanswered=2)


def test_two_weeks_make_the_difference_between_the_same_matter_and_a_new_one_R139_X18() -> None:
    assert is_the_same_matter(NOON, at=NOON + timedelta(days=14))
    assert not is_the_same_matter(NOON, at=NOON + timedelta(days=14, seconds=1))
