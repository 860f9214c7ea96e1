"""What pairs say: how large, how sure, and evidence that may be looked at every night."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recovery.parity import probes
from recovery.parity.effects import Estimate
from recovery.parity.probes import FEWEST, MEASURES, PairMeasure
from recovery.policy import log_ratio
from tests.calibrate import pairs as played

FIRST, LOW, FULL = MEASURES["first_response"], MEASURES["severity_graded_low"], MEASURES["remedy_in_full"]


def log_ratios(chance: np.random.Generator, factor: float, pairs: int = FEWEST) -> list[float]:
    waits = np.exp(chance.normal(np.log([[8 * factor], [8.0]]), 0.9, (2, pairs)))
    return [log_ratio(float(one), float(other)) for one, other in waits.T]


def test_twenty_five_pairs_detect_a_factor_of_two_and_rarely_what_is_not_there_R051():
    """z = 0.69 / (1.27 / 5) = 2.7, so about three of four; without a difference one in twenty (domain decision D.5)."""
    chance = np.random.default_rng(20_231)
    tries = 300
    found = sum(probes.still_shown(FIRST, log_ratios(chance, 2.0), 5.0) for _ in range(tries)) / tries
    false = sum(probes.still_shown(FIRST, log_ratios(chance, 1.0), 5.0) for _ in range(tries)) / tries
    print(f"factor two shown by 25 pairs: {found:.2f}; false: {false:.3f}")
    assert found >= 0.68
    assert false <= 0.08


def test_the_interval_covers_the_truth():
    chance = np.random.default_rng(4)
    covered = 0
    for _ in range(200):
        seen = probes.size(FIRST, log_ratios(chance, 1.5))
        assert seen.low is not None
        assert seen.high is not None
        covered += seen.low <= 1.5 <= seen.high
    print(f"covered {covered / 200:.2f}")
    assert covered >= 180


def test_few_or_equal_pairs_claim_nothing():
    assert probes.size(FIRST, []) == Estimate(kind="time_ratio")
    assert probes.size(FIRST, [0.0] * 30).low is None
    assert not probes.still_shown(FIRST, [0.0] * 30, 0.0)
    assert not probes.still_shown(FIRST, [], None)
    assert not probes.still_shown(FIRST, [0.5] * 30, 0.01)  # half a minute


def test_a_share_is_those_one_way_less_those_the_other():
    found = probes.size(LOW, [1.0] * 9 + [-1.0] + [0.0] * 20)
    assert found.value == pytest.approx(8 / 30)
    assert found.low is not None
    assert found.low > 0
    assert probes.still_shown(LOW, [1.0] * 9 + [-1.0] + [0.0] * 20, None)


def path(differences: Iterable[float], measure: PairMeasure = FIRST) -> list[float]:
    """Log evidence after each pair."""
    stand, found = probes.NOTHING, []
    for each in differences:
        stand = probes.further(stand, measure, each)
        found.append(probes.log_e(stand))
    return found


@given(st.lists(st.floats(-50, 50), max_size=60))
def test_both_sides_have_as_much_evidence_and_it_is_the_mean_of_the_bets_by_the_book(differences):
    mirrored = path([-each for each in differences])
    wealth = [np.prod([1 + stake * np.tanh(each) for each in differences]) for stake in (-0.8, -0.4, 0.4, 0.8)]
    for one, other in zip(path(differences), mirrored, strict=True):
        assert one == pytest.approx(other, abs=1e-9)
    assert (path(differences) or [0.0])[-1] == pytest.approx(np.log(np.mean(wealth)), abs=1e-9)


def test_pairs_that_are_equal_say_nothing():
    assert path([0.0, 0.0]) == [0.0, 0.0]


def test_pairs_without_a_difference_seldom_reach_twenty_however_often_one_looks_and_whatever_their_tails_R051_R083():
    random = np.random.default_rng(3)
    ever = np.array([max(path(random.standard_t(2, 60))) for _ in range(1500)])
    last = np.exp([path(random.normal(0, 1.27, 12))[-1] for _ in range(6000)])
    assert np.mean(ever >= np.log(20)) <= 0.05
    assert last.mean() == pytest.approx(1.0, abs=4 * last.std() / len(last) ** 0.5)


def test_twenty_to_one_is_reached_for_twice_the_time_in_some_forty_pairs_R051():
    random = np.random.default_rng(4)
    found = [np.array(path(np.log(2) + random.normal(0, 0.9 * 2**0.5, 60))) >= np.log(20) for _ in range(300)]
    share = [np.mean([each[:pairs].any() for each in found]) for pairs in (25, 40, 60)]
    assert share[0] > 0.3
    assert share[1] > 0.6
    assert share[2] > 0.8


@pytest.mark.parametrize("measure", [FIRST, FULL, LOW])
@given(before=st.lists(st.sampled_from([-1.0, 0.0, 1.0]), max_size=20), size=st.sampled_from([0.0, 0.3, 1.0]))
def test_a_bet_wins_nothing_on_average_where_either_sign_is_as_likely(measure, before, size):
    stand = probes.NOTHING
    for each in before:
        stand = probes.further(stand, measure, each)
    won, lost = (math.exp(probes.log_e(probes.further(stand, measure, sign * size))) for sign in (1, -1))
    assert (won + lost) / 2 == pytest.approx(math.exp(probes.log_e(stand)))


def test_what_is_too_small_to_matter_is_no_finding():
    assert not probes.matters_enough(FIRST, Estimate(kind="time_ratio", value=1.05), 3.0)
    assert not probes.matters_enough(FIRST, Estimate(kind="time_ratio", value=2.0), 0.05)
    assert probes.matters_enough(FIRST, Estimate(kind="time_ratio", value=0.5), -3.0)
    assert not probes.matters_enough(LOW, Estimate(kind="risk_difference", value=0.02), None)
    assert probes.matters_enough(LOW, Estimate(kind="risk_difference", value=0.1), None)


def test_without_a_difference_something_rings_in_at_most_one_house_of_twenty_with_a_look_every_night_R051_R081():
    """200 houses of six channels, 300 pairs each, all four measures, from the first pair to the last."""
    rang = sum(played.equal(300, seed)["rang"] for seed in range(200))
    print(f"rang in {rang} of 200 houses without a difference")
    assert rang <= 10


def test_twice_the_time_with_a_spread_of_point_nine_is_found_R051():
    found = {count: sum(played.slower(2.0, count, seed)["rang"] for seed in range(100)) for count in (60, 150)}
    print(f"factor two found within so many pairs of the channel, of 100: {found}")
    assert found[60] >= 25
    assert found[150] >= 88
