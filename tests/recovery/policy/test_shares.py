"""Shares: their intervals, differences of two, and whether months rise (R058, R129)."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recovery.policy.shares import Stratum, Trend, difference, interval, matched_difference, trend

counts = st.integers(0, 400).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of)))
months = st.lists(counts, max_size=12)


def test_the_intervals_are_those_that_were_published():
    low, high = interval(81, 263) or (0, 0)  # Newcombe, Statistics in Medicine 17 (1998), 857-872, table I, method 3
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    low, high = difference((56, 70), (48, 80)) or (0, 0)  # the same, 873-890, table II, method 10
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339)


@given(counts)
def test_a_share_lies_in_its_interval_and_the_interval_among_shares(one: tuple[int, int]):
    found = interval(*one)
    if one[1] == 0:
        assert found is None
    else:
        assert found is not None
        assert 0 <= found[0] <= one[0] / one[1] + 1e-9
        assert one[0] / one[1] - 1e-9 <= found[1] <= 1


@given(counts, counts)
def test_a_difference_turned_around_is_its_negative(one: tuple[int, int], other: tuple[int, int]):
    there, back = difference(one, other), difference(other, one)
    if there is None or back is None:
        assert not one[1] * other[1]
    else:
        assert there == pytest.approx((-back[1], -back[0]))


@given(months)
def test_a_trend_told_backwards_is_the_other_one(shown: list[tuple[int, int]]):
    turned = {Trend.RISING: Trend.FALLING, Trend.FALLING: Trend.RISING}
    there = trend(shown)
    assert trend(shown[::-1]) == turned.get(there, there)


def test_what_rises_is_seen_and_chance_is_called_so_one_time_in_twenty():
    assert trend([(2, 40), (5, 40), (9, 40), (14, 40)]) == Trend.RISING
    assert trend([(3, 10), (4, 10)]) == Trend.TOO_FEW
    assert trend([(0, 50), (0, 50), (0, 50)]) == Trend.UNCLEAR
    dice = random.Random(58)
    alarms = sum(
        trend([(sum(dice.random() < 0.2 for _case in range(80)), 80) for _month in range(11)]) != Trend.UNCLEAR
        for _year in range(400)
    )
    assert 8 <= alarms <= 34, "5 % of 400 is 20"


strata = st.lists(
    st.tuples(counts, counts).map(lambda both: Stratum(both[0][0], both[0][1], both[1][0], both[1][1])), max_size=6
)


@given(strata)
def test_like_compared_with_like_is_the_negative_when_turned_around_and_needs_both_R129(shown: list[Stratum]):
    found = matched_difference(shown)
    turned = matched_difference([Stratum(one.other_hits, one.others, one.hits, one.of) for one in shown])
    if found is None or turned is None:
        assert not any(one.of and one.others for one in shown)
    else:
        assert -1 <= found.low <= found.difference <= found.high <= 1
        assert (turned.difference, turned.low) == pytest.approx((-found.difference, -found.high))


def test_a_mix_of_groups_that_fools_the_plain_shares_does_not_fool_the_matched_ones_R129():
    shown = [Stratum(80, 100, 160, 200), Stratum(30, 300, 5, 50)]  # 0.8 and 0.8, 0.1 and 0.1; plainly 0.28 and 0.66
    found = matched_difference(shown)
    assert found is not None
    assert found.difference == pytest.approx(0)
    assert found.low < 0 < found.high


def test_the_interval_holds_the_true_difference_19_times_in_20_R129():
    dice = random.Random(129)

    def drawn(of: int, share: float) -> int:
        return sum(dice.random() < share for _one in range(of))

    held = 0
    for _time in range(400):
        shown = [Stratum(drawn(30, base + 0.1), 30, drawn(50, base), 50) for base in (0.1, 0.3, 0.6)]
        found = matched_difference(shown)
        assert found is not None
        held += found.low <= 0.1 <= found.high
    assert 364 <= held <= 396, "95 % of 400 is 380"
