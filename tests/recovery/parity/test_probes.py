"""What pairs say: how large, how sure, and evidence that may be looked at every night."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recovery.parity import probes
from recovery.parity.effects import Estimate
from recovery.parity.probes import FEWEST, MEASURES
from recovery.parity.sequential import pair_log_e
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


@given(st.lists(st.floats(-6, 6), max_size=60))
def test_evidence_added_pair_by_pair_is_the_evidence_of_them_all_and_both_sides_have_as_much(differences):
    one, other = probes.NOTHING, probes.NOTHING
    for place, each in enumerate(differences):
        one, other = probes.further(one, FIRST, each), probes.further(other, FIRST, -each)
        assert probes.log_e(one) == pytest.approx(pair_log_e(differences[: place + 1])[-1], abs=1e-9)
        assert probes.log_e(one) == pytest.approx(probes.log_e(other), abs=1e-9)


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
