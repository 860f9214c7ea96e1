"""One kernel, four classical tests; the outside implementations are in the development set only."""

from __future__ import annotations

import numpy as np
import pytest

from recovery.parity import kernel, survival
from recovery.parity.kernel import Pair


def cells(stratum: np.ndarray, side: np.ndarray, time: np.ndarray, event: np.ndarray) -> Pair:
    grid = np.unique(time)
    strata = int(stratum.max()) + 1
    return Pair(*kernel.table(stratum, side, np.searchsorted(grid, time), event, (strata, 2, len(grid))))


@pytest.fixture
def waits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(7)
    n = 400
    stratum = random.integers(0, 3, n)
    side = (random.random(n) < 0.3 + 0.1 * stratum).astype(np.int64)
    time = np.ceil(np.exp(random.normal(1 + stratum + 0.3 * side, 1.0)) * 2) / 2
    return stratum, side, time, random.random(n) < 0.75


def test_two_bins_are_cochran_mantel_haenszel():
    contingency = pytest.importorskip("statsmodels.stats.contingency_tables", reason="statsmodels is not installed")
    random = np.random.default_rng(1)
    tables = random.integers(3, 60, (5, 2, 2)).astype(float)
    ours = kernel.z_of(kernel.score(Pair(tables, np.zeros_like(tables))))
    theirs = contingency.StratifiedTable([each.T for each in tables]).test_null_odds(correction=False)

    assert ours**2 == pytest.approx(theirs.statistic, rel=1e-9)
    assert kernel.normal_p(ours) == pytest.approx(theirs.pvalue, rel=1e-9)


def test_uncensored_bins_with_ties_are_mann_whitney(waits):
    stats = pytest.importorskip("scipy.stats")
    _, side, time, event = waits
    pair = cells(np.zeros_like(side), side, time, np.ones_like(event))
    theirs = stats.mannwhitneyu(time[side == 0], time[side == 1], use_continuity=False, method="asymptotic")

    assert kernel.normal_p(kernel.z_of(kernel.score(pair))) == pytest.approx(theirs.pvalue, rel=1e-9)


def test_one_censored_stratum_leaves_the_ranks_of_the_others(waits):
    stratum, side, time, event = waits
    event = event | (stratum > 0)
    whole = kernel.score(cells(stratum, side, time, event))
    alone = [
        kernel.score(cells(stratum[at] * 0, side[at], time[at], event[at])) for at in (stratum == s for s in (1, 2))
    ]

    assert whole.v[1:] == pytest.approx([float(each.v[0]) for each in alone], rel=1e-9)


def test_a_gap_beyond_all_draws_is_as_rare_as_it_is():
    d = np.zeros((1, 2, 2))
    d[0] = [[28, 0], [0, 56]]
    p, _ = kernel.permuted(Pair(d, np.zeros_like(d)))

    assert 1e-23 < p < 1e-12  # one way in 84 over 28, about 1e-22, and never rarer than that


def test_without_weights_it_is_the_log_rank_and_with_them_the_wilcoxon_of_peto(waits):
    lifelines = pytest.importorskip("lifelines.statistics", reason="lifelines is not installed")
    _, side, time, event = waits
    pair = cells(np.zeros_like(side), side, time, event)
    theirs = lifelines.logrank_test(time[side == 0], time[side == 1], event[side == 0], event[side == 1])
    ranked = lifelines.logrank_test(
        time[side == 0], time[side == 1], event[side == 0], event[side == 1], weightings="fleming-harrington", p=1, q=0
    )

    assert kernel.z_of(kernel.score(pair, log_rank=True)) ** 2 == pytest.approx(theirs.test_statistic, rel=1e-9)
    assert kernel.z_of(kernel.score(pair)) ** 2 == pytest.approx(ranked.test_statistic, rel=1e-6)


def test_the_log_rank_from_rows_is_the_log_rank_from_cells(waits):
    stratum, side, time, event = waits
    rows = survival.log_rank(stratum, side == 0, time, event, strata=3, order=np.lexsort((time, stratum)))
    sums = kernel.score(cells(stratum, side, time, event), log_rank=True)

    assert rows.observed - rows.expected == pytest.approx(sums.u, abs=1e-9)
    assert rows.variance == pytest.approx(sums.v, rel=1e-9)


def test_cells_are_additive(waits):
    stratum, side, time, event = waits
    grid = np.unique(time)
    place = np.searchsorted(grid, time)
    half = np.arange(len(time)) % 2 == 0
    shape = (3, 2, len(grid))
    parts = [kernel.table(stratum[each], side[each], place[each], event[each], shape) for each in (half, ~half)]
    whole = kernel.table(stratum, side, place, event, shape)

    assert (parts[0][0] + parts[1][0] == whole[0]).all()
    assert (parts[0][1] + parts[1][1] == whole[1]).all()


def test_a_shift_by_whole_bins_moves_every_case():
    d = np.zeros((1, 2, 8))
    d[0, 0, [3, 5]] = 4, 2
    d[0, 1, [1, 3]] = 4, 2

    assert kernel.Shifting(Pair(d, np.zeros_like(d))).score(np.array([[2.0]])).u[0, 0] == pytest.approx(0.0, abs=1e-12)


def test_the_permutation_agrees_with_the_normal_approximation_where_both_hold(waits):
    stratum, side, time, event = waits
    pair = cells(stratum, side, time, event)
    found = kernel.permuted(pair)

    assert found is not None
    assert found[0] == pytest.approx(kernel.normal_p(kernel.z_of(kernel.score(pair))), abs=0.02)
    assert found[1] == pytest.approx(1.96, abs=0.1)


def test_a_permutation_of_a_small_sample_is_near_the_exact_answer():
    d = np.zeros((1, 2, 6))
    d[0, 0, [0, 1, 2]] = 1
    d[0, 1, [3, 4, 5]] = 1  # the most extreme of 20 deals, and its mirror: p = 0.1

    found = kernel.permuted(Pair(d, np.zeros_like(d)))

    assert found is not None
    assert found[0] == pytest.approx(0.1, abs=0.015)


def test_kaplan_meier_agrees_with_lifelines(waits):
    lifelines = pytest.importorskip("lifelines", reason="lifelines is not installed")
    _, _, time, event = waits
    times, share = survival.curve(time, event)
    fitted = lifelines.KaplanMeierFitter().fit(time, event)

    assert survival.quantile(times, share, 0.5) == fitted.median_survival_time_
    assert share[-1] == pytest.approx(float(fitted.survival_function_.iloc[-1, 0]))


def test_a_median_that_was_not_reached_is_none():
    times, share = survival.curve(np.array([1.0, 2, 3, 4, 5]), np.array([True, True, False, False, False]))

    assert survival.quantile(times, share, 0.5) is None
    assert survival.quantile(times, share, 0.4) == 2.0
