"""The planner of corrections: bounded, never negative, causes first, and honest where no order of the queue can help (C.7)."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recovery.parity.levelling import (
    DEAD_BAND,
    LEAK,
    LEAST_CREDIT,
    CorrectionKind,
    Gap,
    House,
    Lag,
    Plan,
    credit_after,
    plan,
)

HOUSE = House(promised=480)
LAGS = Gap(1.6, 1.4, 1.9)
CREDIT = CorrectionKind.PRIORITY_CREDIT


def letter(gap: Gap | None = LAGS, *, stands: bool = True, **more: object) -> Lag:
    return Lag(channel="letter", gap=gap, stands=stands, **more)  # type: ignore[arg-type]


def kinds(made: Plan) -> list[CorrectionKind]:
    return [step.kind for step in made.steps]


ratios = st.floats(0.05, 20)
gaps = st.builds(
    lambda ratio, below, above, is_material: Gap(ratio, ratio * below, ratio * above, is_material),
    ratios,
    st.floats(0.2, 1),
    st.floats(1, 5),
    st.booleans(),
)
lags = st.builds(
    Lag, channel=st.sampled_from(["letter", "chat"]), gap=st.none() | gaps, stands=st.booleans(),
    credit=st.integers(0, 720), late_in=st.floats(0, 1), uncertified=st.floats(0, 1), lacks_guide=st.booleans(),
    causes_named=st.booleans(),
)  # fmt: skip
houses = st.builds(
    House, promised=st.floats(10, 5000), late=st.floats(0, 1), offered=st.none() | st.floats(0, 500),
    capacity=st.none() | st.floats(0, 500),
)  # fmt: skip


@given(lags, houses, st.floats(0, 5000))
def test_a_credit_is_never_negative_and_never_beyond_half_the_median_promise_R067(lag, house, kappa):
    credit = credit_after(lag, house, kappa=kappa)
    assert 0 <= credit <= house.most <= max(house.promised / 2, 0)
    assert house.most <= 720
    assert credit == 0 or credit >= LEAST_CREDIT


@given(lags, houses)
def test_a_credit_grows_only_for_a_channel_that_lags_by_more_than_the_dead_band(lag, house):
    if credit_after(lag, house, kappa=house.kappa) > lag.credit:
        assert lag.stands
        assert lag.gap is not None
        assert math.log(lag.gap.low) > DEAD_BAND
        assert lag.gap.is_material


@given(st.lists(lags, max_size=4), houses)
def test_no_step_lengthens_anything_and_causes_come_first_R067(several, house):
    made = plan(several, house)
    order = list(CorrectionKind)
    assert [order.index(step.kind) for step in made.steps] == sorted(order.index(step.kind) for step in made.steps)
    assert all(step.size >= 0 for step in made.steps)
    assert plan(several, house) == made


def test_a_lag_earns_a_credit_of_kappa_for_a_unit_beyond_the_dead_band():
    (step,) = plan([letter()], HOUSE).steps
    assert (step.kind, step.before) == (CREDIT, 0)
    assert step.size == round(HOUSE.kappa * (math.log(1.6) - DEAD_BAND)) == 25
    (twice,) = plan([letter(credit=25)], HOUSE, kappa=200).steps
    assert (twice.before, twice.size) == (25, 25 + round(200 * (math.log(1.6) - DEAD_BAND)))


def test_the_gain_is_a_tenth_of_the_median_promise_inside_what_was_found_stable():
    assert [House(promised=minutes).kappa for minutes in (60, 480, 1440, 9000)] == [60, 60, 144, 200]
    assert [House(promised=minutes).most for minutes in (60, 480, 1440, 9000)] == [30, 240, 720, 720]


@pytest.mark.parametrize("gap", [Gap(1.6, 1.04, 2.5), Gap(1.6, 1.4, 1.9, is_material=False)])
def test_what_may_be_chance_or_does_not_matter_earns_nothing_and_keeps_what_it_has(gap):
    assert plan([letter(gap), letter(gap, credit=40)], HOUSE).steps == ()


def test_a_channel_that_waits_less_than_others_gives_its_credit_back_step_by_step():
    (step,) = plan([letter(Gap(0.7, 0.6, 0.8), credit=40)], HOUSE).steps
    assert step.size == round(40 + 0.5 * HOUSE.kappa * math.log(0.7))
    assert plan([letter(Gap(0.7, 0.6, 0.8))], HOUSE).steps == ()  # and is never pushed back


def test_a_credit_whose_finding_is_gone_is_let_go_slowly_and_ends():
    credit, steps = 100, 0
    while credit:
        (step,) = plan([letter(Gap(1.0, 0.9, 1.1), stands=False, credit=credit)], HOUSE).steps
        assert step.size == round(credit * LEAK) or step.size == 0
        credit, steps = int(step.size), steps + 1
    assert 20 <= steps <= 40


def test_causes_are_named_first_and_the_credit_follows_at_the_next_step():
    lag = letter(late_in=0.9, uncertified=0.5, lacks_guide=True)
    first = plan([lag], HOUSE)
    assert kinds(first) == [CorrectionKind.INGEST_FIX, CorrectionKind.CERTIFY, CorrectionKind.GUIDE_FIX]
    assert kinds(plan([replace(lag, causes_named=True)], HOUSE))[-1] == CREDIT
    assert plan([letter(Gap(1.0, 0.9, 1.1), late_in=0.9)], HOUSE).steps == ()  # late in, but nobody waits longer


def test_where_more_comes_than_can_be_done_it_says_how_many_hours_and_moves_nobody():
    made = plan([letter()], replace(HOUSE, offered=420, capacity=400, late=0.1))
    assert kinds(made) == [CorrectionKind.CAPACITY_MOVE]
    assert (made.says_hours, made.hours_short, made.steps[0].size) == (True, 20, 20)


def test_lateness_that_is_left_when_credits_are_at_their_most_needs_hours_not_credits():
    full = letter(credit=HOUSE.most)
    assert not plan([full], HOUSE).says_hours  # nobody is late
    made = plan([full], replace(HOUSE, late=0.02))
    assert (kinds(made), made.hours_short) == ([CorrectionKind.CAPACITY_MOVE], None)  # nobody entered shifts
    enough = plan([full], replace(HOUSE, late=0.02, offered=300, capacity=400))
    assert (enough.says_hours, enough.hours_short) == (True, 0)  # at other times of the day
