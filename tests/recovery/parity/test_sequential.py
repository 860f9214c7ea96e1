"""Watching between looks: it may be looked at every night and keeps its word all the same; what slips, rings."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recovery.parity import kernel, sequential
from recovery.parity.sequential import Ties, Waits
from tests.calibrate import daily, world

CHANNELS = 3


def waits(random: np.random.Generator, count: int, *, hazard: float = 1.0, days: float = 30.0) -> Waits:
    """Cases of three kinds on three channels; the outcomes of channel 0 come at `hazard` times the others' rate."""
    channel = random.integers(0, CHANNELS, count)
    stratum = random.integers(0, 3, count)
    wait = random.exponential(24.0 * (1 + stratum)) / np.where(channel == 0, hazard, 1.0)
    return Waits(
        stratum=stratum, channel=channel, opened=random.random(count) * days * 24.0, wait=wait,
        seen=random.random(count) < 0.9,
    )  # fmt: skip


def slices(made: Waits, edges: np.ndarray, horizon: float = 1e9) -> list[Ties]:
    return [
        sequential.calendar(made, since=a, until=b, channels=CHANNELS, horizon=horizon)
        for a, b in itertools.pairwise(edges)
    ]


def brute(made: Waits, since: float, until: float) -> tuple[np.ndarray, np.ndarray]:
    """U and V by the book: at every outcome of the slice, who was at risk at that age within it."""
    u, v = np.zeros(CHANNELS), np.zeros(CHANNELS)
    entry = np.maximum(since - made.opened, 0.0)
    leaves = np.minimum(made.wait, until - made.opened)
    here = (made.opened < until) & (made.opened + made.wait >= since)
    ends = made.opened + made.wait
    for case in np.flatnonzero(here & made.seen & (ends >= since) & (ends < until)):
        age = made.wait[case]
        risk = here & (made.stratum == made.stratum[case]) & (entry <= age) & (leaves >= age)
        share = np.array([(risk & (made.channel == c)).sum() for c in range(CHANNELS)]) / risk.sum()
        if risk.sum() > 1:
            u += (made.channel[case] == np.arange(CHANNELS)) - share
            v += share * (1 - share)
    return u, v


@given(seed=st.integers(0, 10_000), since=st.floats(0, 500), wide=st.floats(1, 400))
@settings(max_examples=25, deadline=None)
def test_a_slice_compares_each_outcome_with_who_was_as_old_in_that_time(seed, since, wide):
    made = waits(np.random.default_rng(seed), 60)
    found = sequential.calendar(made, since=since, until=since + wide, channels=CHANNELS, horizon=1e9).sums()
    u, v = brute(made, since, since + wide)

    assert found.u == pytest.approx(u, abs=1e-9)
    assert found.v == pytest.approx(v, abs=1e-9)


@given(seed=st.integers(0, 10_000), cuts=st.lists(st.floats(1, 700), max_size=6, unique=True))
@settings(max_examples=25, deadline=None)
def test_every_outcome_counts_in_one_slice_and_what_channels_gain_others_lose(seed, cuts):
    made = waits(np.random.default_rng(seed), 80)
    edges = np.array([0.0, *sorted(cuts), 5_000.0])
    found = slices(made, edges)
    counted = sum(float(each.sums().n.sum()) for each in found)

    assert counted <= (made.seen & (made.opened + made.wait < 5_000.0)).sum()
    for each in found:
        assert each.sums().u.sum() == pytest.approx(0.0, abs=1e-9)
        assert (each.own_y.sum(axis=1) == each.y).all()
        assert (each.own_d.sum(axis=1) == each.d).all()


def test_a_cohort_is_the_stratified_log_rank_and_shares_are_cochran_mantel_haenszel():
    random = np.random.default_rng(5)
    made = waits(random, 400, hazard=0.7)
    found = sequential.cohort(made, channels=CHANNELS, horizon=1e9).sums()
    grid = np.unique(made.wait)
    place = np.searchsorted(grid, made.wait)
    d, q = kernel.table(made.stratum, (made.channel != 0).astype(int), place, made.seen, (3, 2, len(grid)))
    expected = kernel.score(kernel.Pair(d, q), log_rank=True)
    assert found.u[0] == pytest.approx(expected.u.sum())
    assert found.v[0] == pytest.approx(expected.v.sum())

    bad = random.random(400) < 0.2
    yes = sequential.shares(made.stratum, made.channel, bad, channels=CHANNELS).sums()
    cells = kernel.table(
        made.stratum, (made.channel != 0).astype(int), np.where(bad, 0, 1), np.ones(400, dtype=bool), (3, 2, 2)
    )
    expected = kernel.score(kernel.Pair(*cells))
    assert yes.u[0] == pytest.approx(expected.u.sum())
    assert yes.v[0] == pytest.approx(expected.v.sum())


def test_what_slices_add_is_nothing_on_average_and_spreads_as_v_says_even_when_a_slow_week_falls_on_one_channel():
    """In the second week everybody waits three times as long, and most of its cases are of channel 0, which is not to blame."""
    moments = np.array([0.0, 168.0, 336.0, 1e6])
    work_until = np.concatenate([[0.0], np.cumsum(np.diff(moments) * [1.0, 1 / 3, 1.0])])
    by_calendar, by_age = [], []
    for seed in range(300):
        random = np.random.default_rng(seed)
        made = waits(random, 240, days=28)
        slow = (made.opened >= 168.0) & (made.opened < 336.0)
        done = np.interp(np.interp(made.opened, moments, work_until) + made.wait, work_until, moments)
        made = Waits(
            stratum=made.stratum, channel=np.where(slow & (random.random(240) < 0.7), 0, made.channel),
            opened=made.opened, wait=done - made.opened, seen=made.seen,
        )  # fmt: skip
        sums = [each.sums() for each in slices(made, np.arange(0, 61, 7) * 24.0)]
        by_calendar.append(sum(each.u[0] for each in sums) / sum(each.v[0] for each in sums) ** 0.5)
        whole = sequential.cohort(made, channels=CHANNELS, horizon=1e9).sums()
        by_age.append(whole.u[0] / whole.v[0] ** 0.5)

    assert np.mean(by_age) < -1.0  # all together it would be blamed
    assert abs(np.mean(by_calendar)) < 3 / 300**0.5
    assert 0.85 < np.std(by_calendar) < 1.15


@pytest.mark.parametrize("ratio", [*sequential.SLOWER, *sequential.WORSE])
def test_e_values_have_a_mean_of_at_most_one_where_nobody_is_treated_differently(ratio):
    times, ends = [], []
    for seed in range(1500):
        random = np.random.default_rng(seed)
        made = waits(random, 40)
        coarse = Waits(**{**vars(made), "wait": np.ceil(made.wait / 24.0)})  # with many ties
        times.append(np.exp(sequential.cohort(coarse, channels=CHANNELS, horizon=1e9).log_e(ratio)))
        bad = random.random(40) < 0.3
        ends.append(np.exp(sequential.shares(made.stratum, made.channel, bad, channels=CHANNELS).log_e(ratio)))
    for found in (np.array(times), np.array(ends)):
        error = found.std(axis=0) / len(found) ** 0.5
        assert (found.mean(axis=0) <= 1.0 + 3 * error).all()


def test_an_e_value_of_a_slice_multiplies_so_that_slices_add_in_logarithms():
    made = waits(np.random.default_rng(1), 200)
    two = slices(made, np.array([0.0, 300.0, 5_000.0]))
    both = Ties(*(np.concatenate([getattr(each, name) for each in two]) for name in ("d", "y", "own_d", "own_y")))

    assert both.log_e(0.65) == pytest.approx(sum(each.log_e(0.65) for each in two))
    for name in ("n", "u", "v", "overlap"):
        assert getattr(both.sums(), name) == pytest.approx(sum(getattr(each.sums(), name) for each in two))


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8),
    st.floats(0, 1e7),
    st.lists(st.floats(-5_000, 5_000), min_size=1, max_size=60),
)
def test_nothing_overflows_however_plain_the_wrong(u, v, weeks):
    logs = sequential.log_e(np.array(u), np.full(len(u), v))
    assert np.isfinite(logs).all()
    assert np.isfinite(sequential.averaged(logs))
    log_r = np.full((3, 1), -np.inf)
    for _each in weeks:
        plain = Ties(np.full(50, 1.0), np.full(50, 2.0), np.zeros((50, 1)), np.ones((50, 1)))
        log_r = sequential.further(log_r, plain, ratios=sequential.SLOWER)
        assert np.isfinite(sequential.averaged(log_r)).all()


@given(st.lists(st.floats(-30, 30), min_size=1, max_size=12), st.floats(1, 6))
def test_something_rings_exactly_where_the_average_over_channels_reaches_the_limit(logs, at):
    rung = sequential.rings(np.array(logs), at=at)

    assert rung.any() == (sequential.averaged(np.array(logs)) >= at)
    if rung.any():
        assert rung[int(np.argmax(logs))]


def test_an_empty_slice_says_nothing():
    nothing = waits(np.random.default_rng(1), 0)
    for ties in (
        sequential.cohort(nothing, channels=2, horizon=1.0),
        sequential.shares(nothing.stratum, nothing.channel, nothing.seen, channels=2),
    ):
        assert ties.sums().u.tolist() == [0.0, 0.0]
        assert ties.log_e(0.5).tolist() == [0.0, 0.0]
    assert not sequential.enough(nothing.stratum)
    assert sequential.log_e(np.zeros(2), np.zeros(2)).tolist() == [0.0, 0.0]


# ------------------------------------------------------------------------------------------ the claims of docs/parity.md


@pytest.mark.parametrize("a_day", daily.A_DAY)
def test_looking_every_night_of_half_a_year_rings_for_nothing_in_one_shop_of_twenty_at_most_R081(a_day):
    played = {10: 60, 60: 40, 250: 12}[a_day]
    found = [daily.watched(a_day, seed) for seed in range(played)]

    assert sum(each["ever"] for each in found) / played <= 0.05 + 1.65 * (0.05 * 0.95 / played) ** 0.5
    assert sum(each["naive"] for each in found) / played > 0.5
    assert sum(each["changes"] for each in found) / played <= 25 / 52 + 0.2


@pytest.mark.parametrize("bad", [0.03, 0.1])
def test_shares_of_rare_wrongs_keep_the_word_too_and_a_plain_wrong_rings(bad):
    def half_a_year(seed: int, *, worse: float = 1.0) -> tuple[bool, bool]:
        random = np.random.default_rng(seed)
        sums, log_r, ever, change = np.zeros((2, 6)), np.full((3, 6), -np.inf), False, False
        for _week in range(26):
            channel = random.choice(6, 420, p=list(world.CHANNELS.values()))
            ended = random.random(420) < bad * np.where(channel == 3, worse, 1.0)
            ties = sequential.shares(random.integers(0, 8, 420), channel, ended, channels=6)
            found = ties.sums()
            sums += found.u, found.v
            log_r = sequential.further(log_r, ties, ratios=sequential.WORSE)
            ever |= bool(sequential.averaged(sequential.log_e(*sums)) >= sequential.limit(1))
            change |= bool(sequential.averaged(log_r)[3] >= sequential.change_limit(6))
        return ever, change

    alike = [half_a_year(seed) for seed in range(60)]
    assert sum(ever for ever, _change in alike) <= 6
    assert sum(change for _ever, change in alike) <= 12
    assert sum(change for _ever, change in (half_a_year(seed, worse=3.0) for seed in range(10))) == 10


@pytest.mark.parametrize(("channel", "size", "a_day", "found_in", "within"), [
    ("social", 2.0, 60, 0.9, 30), ("phone", 1.5, 250, 0.9, 21), ("letter", 2.0, 250, 0.9, 28), ("social", 1.5, 10, 0.2, 91),
])  # fmt: skip
def test_what_slips_rings_within_weeks(channel, size, a_day, found_in, within):
    played = [daily.slipped(channel, size, a_day, seed) for seed in range(20 if a_day < 250 else 8)]
    days = sorted(int(name.split()[-1]) for each in played for name in each if name.startswith("change after"))

    assert sum(each["change"] for each in played) / len(played) >= found_in
    assert days[len(days) // 2] <= within


# ------------------------------------------------------------------------------------------------------- pairs


def test_the_world_that_slips_is_the_world_of_the_other_figures():
    made = daily.shop(60, 1)
    assert set(np.unique(made.channel)) == set(range(len(world.CHANNELS)))
    assert made.stratum.max() == world.TYPES - 1
