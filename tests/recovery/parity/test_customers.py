"""Customers compared with themselves."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from recovery.parity import customers, effects, kernel, report
from recovery.parity.audit import Audit, audit
from recovery.parity.customers import Line
from tests.recovery.parity import people


def line(made: Audit, metric: str, channel: str = "phone") -> Line:
    assert made.within is not None
    return next(
        each for each in made.within.lines if (each.contrast.metric, each.contrast.channel) == (metric, channel)
    )


def shown(*rows: tuple[int, int, float, int]) -> customers.Pairs:
    """Pairs out of (customer, channel, opened in days, type)."""
    customer, channel, opened, kind = (np.array(each) for each in zip(*rows, strict=True))
    made = people.cases(
        customer=customer, channel=channel, opened=opened * 24.0, kind=kind, waits=np.ones(len(rows)), asof=9e3
    )
    return customers.pairs_of(made, np.ones(len(rows), dtype=bool))


def test_two_channels_within_90_days_make_a_pair_R083():
    found = shown((1, 0, 0, 0), (1, 1, 90, 0), (2, 0, 0, 0), (2, 1, 91, 0), (3, 0, 5, 0), (3, 0, 6, 0))

    assert list(zip(found.first, found.second, strict=True)) == [(0, 1)]


def test_a_case_is_in_one_pair_at_most_and_the_earliest_are_paired_first():
    found = shown((1, 1, 20, 0), (1, 0, 0, 0), (1, 1, 10, 0), (1, 0, 30, 0), (1, 1, 40, 0))

    assert list(zip(found.first, found.second, strict=True)) == [(1, 2), (0, 3)]


def test_cases_of_different_types_are_left_out_and_counted():
    found = shown((1, 0, 0, 0), (1, 1, 1, 1), (2, 0, 0, 0), (2, 1, 0, 0), (2, 1, 3, 1))

    assert (len(found), found.of_different_types) == (1, 1)
    assert found.together.tolist() == [True]


def test_shares_inside_customers_are_tested_as_mcnemar_does():
    tables = pytest.importorskip("statsmodels.stats.contingency_tables", reason="statsmodels is not installed")
    y = np.repeat([1.0, -1.0, 0.0], [60, 35, 40])
    tested = customers.linear("risk_difference", y, np.zeros(len(y)), np.arange(len(y)))
    theirs = tables.mcnemar([[20, 60], [35, 20]], exact=False, correction=False)

    assert tested.p == pytest.approx(theirs.pvalue)
    assert tested.effects[0].value == pytest.approx(25 / 135)


def test_few_discordant_customers_are_tested_by_their_signs():
    stats = pytest.importorskip("scipy.stats")
    y = np.repeat([1.0, -1.0, 0.0], [14, 5, 30])
    tested = customers.linear("risk_difference", y, np.zeros(len(y)), np.arange(len(y)))

    assert tested.test == "signs_dealt_anew"
    assert tested.p == pytest.approx(stats.binomtest(14, 19).pvalue, abs=0.006)


def test_a_mean_difference_of_uneven_orders_is_the_intercept_of_a_regression():
    api = pytest.importorskip("statsmodels.api", reason="statsmodels is not installed")
    random = np.random.default_rng(3)
    order = np.where(random.random(300) < 0.8, 1.0, -1.0)
    customer = np.sort(random.integers(0, 200, 300))
    customer = np.unique(customer, return_inverse=True)[1]
    y = 0.3 + 0.5 * order + random.normal(0, 1, 300)
    tested = customers.linear("risk_difference", y, order, customer)
    fit = api.OLS(y, np.column_stack([np.ones(300), order])).fit(
        cov_type="cluster", cov_kwds={"groups": customer, "use_correction": False}
    )

    assert tested.effects[0].value == pytest.approx(fit.params[0])
    assert tested.effects[0].low == pytest.approx(fit.conf_int()[0][0], abs=0.01)
    assert tested.effects[0].high == pytest.approx(fit.conf_int()[0][1], abs=0.01)


def test_one_pair_of_scores_is_the_paired_prentice_wilcoxon_statistic():
    """O'Brien and Fleming's z: the sum of differences of pooled scores over the root of the sum of their squares."""
    random = np.random.default_rng(8)
    waits = np.exp(random.normal(2, 1, (80, 2)))
    made = people.cases(
        customer=np.repeat(np.arange(80), 2), channel=np.tile([0, 1], 80), opened=np.zeros(160), waits=waits.ravel(),
        names=("phone", "app"), asof=20.0,
    )  # fmt: skip
    ours = line(audit(made), "time_to_resolution").contrast.tested
    hours, seen = made.hours, made.closed
    order = np.argsort(hours, kind="stable")
    survival, hazard, scores = 1.0, 0.0, np.zeros(160)
    for at, row in enumerate(order):  # no ties among the events
        if seen[row]:
            hazard += survival / (160 - at)
        scores[row] = survival * seen[row] - hazard
        if seen[row]:
            survival *= 1 - 1 / (160 - at)
    differences = scores[::2] - scores[1::2]

    assert ours.z == pytest.approx(differences.sum() / np.sqrt((differences**2).sum()), abs=0.08)  # bins, not rows


def test_what_is_planted_inside_customers_is_found_R083():
    made = audit(people.pairs(np.random.default_rng(5), 900, ratio=1.5, yes=0.2))
    waits, satisfied = line(made, "time_to_resolution").contrast, line(made, "satisfied").contrast
    ratio, share = waits.tested.effects[0], satisfied.tested.effects[0]

    assert (waits.verdict, satisfied.verdict) == ("red", "red")
    assert ratio.low < 1.5 < ratio.high
    assert share.low < 0.2 < share.high
    assert line(made, "time_to_resolution", "app").contrast.tested.effects[0].value == pytest.approx(
        1 / ratio.value, rel=0.02
    )


def test_p_and_interval_inside_customers_never_disagree():
    for seed in range(12):
        made = audit(people.pairs(np.random.default_rng(seed), 400, ratio=1.15))
        for each in made.within.contrasts:
            effect = each.tested.effects[0]
            equal = 1.0 if effect.kind == "time_ratio" else 0.0
            assert (each.tested.p < 0.05) == (not effect.low <= equal <= effect.high), (seed, each)


@pytest.mark.parametrize("follow_up", [False, True], ids=["plain", "second case because the first was slow"])
def test_equal_treatment_of_customers_is_seldom_called_unequal(follow_up):
    found = []
    for seed in range(120):
        made = audit(people.pairs(np.random.default_rng(1000 + seed), 300, follow_up=follow_up))
        found.append([line(made, name).contrast.tested.p < 0.05 for name in ("time_to_resolution", "satisfied")])

    assert np.mean(found, axis=0) == pytest.approx([0.05, 0.05], abs=0.05)


def test_leaving_the_order_out_would_blame_the_first_channel():
    made = people.pairs(np.random.default_rng(4), 900, follow_up=True)
    crude = np.log(
        np.where(made.channel[::2] == 0, made.hours[::2] / made.hours[1::2], made.hours[1::2] / made.hours[::2])
    )

    assert crude.mean() / (crude.std() / np.sqrt(len(crude))) > 4
    assert line(audit(made), "time_to_resolution").contrast.verdict != "red"


def test_many_cases_of_one_customer_are_one_observation():
    """One customer who waits long on the phone forty times over, among customers who do not."""
    random = np.random.default_rng(6)
    customer = np.concatenate([np.zeros(80, dtype=int), np.repeat(np.arange(1, 41), 2)])
    channel = np.tile([0, 1], 80)
    opened = np.arange(160) * 5.0
    waits = np.exp(random.normal(2, 0.5, 160)) * np.where((customer == 0) & (channel == 0), 20, 1)
    made = people.cases(customer=customer, channel=channel, opened=opened, waits=waits, names=("phone", "app"))
    found = line(audit(made), "time_to_resolution")
    y = customers._longer(next(iter(audit(made).metrics)), np.flatnonzero(channel == 0), np.flatnonzero(channel == 1))

    assert abs(float(y.sum())) / np.sqrt((y**2).sum()) > 3.5  # were the pairs taken as independent
    assert found.contrast.verdict != "red"


def test_fewer_than_25_pairs_say_nothing_and_say_how_many_would():
    made = audit(people.pairs(np.random.default_rng(5), 40, ratio=5.0))
    found = line(made, "time_to_resolution").contrast

    assert found.n < 25
    assert (found.verdict, found.p_holm) == ("grey", None)
    assert found.n_needed >= 25


def test_channels_dealt_anew_inside_customers_and_types_show_nothing():
    cases = people.pairs(np.random.default_rng(9), 500, ratio=2.0)
    pairs = customers.pairs_of(cases, np.ones(len(cases), dtype=bool))
    red = 0
    for seed in range(40):
        swap = np.random.default_rng(seed).random(len(pairs)) < 0.5
        hours, closed = cases.hours.copy(), cases.closed.copy()
        for column in (hours, closed):
            first, second = column[pairs.first].copy(), column[pairs.second].copy()
            column[pairs.first], column[pairs.second] = np.where(swap, second, first), np.where(swap, first, second)
        made = audit(dataclasses.replace(cases, hours=hours, closed=closed))
        red += any(each.verdict == "red" for each in made.within.contrasts)

    assert red <= 5


def test_without_a_customer_nothing_is_said_and_with_one_nobody_is_named(tmp_path):
    made = audit(people.pairs(np.random.default_rng(5), 200))
    text = json.dumps(report.of(made, file="a.csv", by_stratum=False, modified=0.0))
    nobody = audit(dataclasses.replace(made.cases, customer=np.empty(0, dtype=np.int32)))

    assert '"within_customer"' in text
    assert nobody.within is None
    assert "within_customer" not in report.of(nobody, file="a.csv", by_stratum=False, modified=0.0)


def test_inverting_finds_the_shift_that_was_planted():
    assert customers._solved(lambda shift: shift / 10 + 1, (0.0, 1.0, 99.0), 50.0) == pytest.approx(
        [-10.0, 0.0, np.nan], nan_ok=True, abs=0.05
    )
    assert kernel.normal_p(1.0) < effects.Z95
