"""Half a year of levelling up, in small: the audit finds who lags, the planner lifts them, and nobody is late by it (C.7)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.simulate import levels
from tests.simulate.levels import GAINS, HALF_A_YEAR, SETTLED, Half, play

SMALL = replace(HALF_A_YEAR, days=16 * 5)


@pytest.fixture(scope="module")
def halves() -> dict[str, Half]:
    return {name: play(SMALL, 1, like=("type",), **more) for name, more in GAINS.items()}  # type: ignore[arg-type]


def worst(half: Half) -> float:
    return max(half.settled().ratios())


def test_the_audit_finds_who_lags_and_the_planner_lifts_them_R067(halves):
    plain, own, strong, _wild = halves.values()
    assert worst(plain) > 1.4
    assert worst(strong) < worst(plain) - 0.1
    assert worst(own) < worst(plain) - 0.1
    assert own.found[5]
    assert own.credits[SETTLED]
    assert own.verified | strong.verified  # a later look no longer found it


def test_nobody_is_late_because_of_a_credit_on_any_channel_R067(halves):
    plain, *corrected = halves.values()
    for half in corrected:
        assert (half.late_shares() <= plain.late_shares()).all()
        assert np.isfinite(half.begun).all()


def test_a_gain_far_too_large_swings_between_nothing_and_the_most(halves):
    _plain, own, _strong, wild = (levels.summed(half) for half in halves.values())
    assert wild.moved > 4 * own.moved
    assert own.most_credit <= 240


def test_a_half_year_is_the_same_again_and_credits_are_never_negative(halves):
    one, again = (play(replace(HALF_A_YEAR, days=30), 1, kappa=200, like=("type",)) for _ in range(2))
    assert np.array_equal(one.begun, again.begun)
    assert one.credits == again.credits
    assert all(0 <= minutes <= 240 for half in halves.values() for week in half.credits for minutes in week.values())


def test_where_nobody_is_favoured_and_nothing_is_corrected_the_pull_is_the_queue_s_own():
    """Without credits and favours the seven take the head of all lines."""
    half = play(replace(HALF_A_YEAR, days=5), 2, corrects=False, favours=False)
    assert (half.begun >= half.cases.ingested).all()
    assert half.late_shares().max() == 0
