"""Alike are cases that could be expected to take as long: bursts are not blamed on a channel, and a real gap is still seen."""

from __future__ import annotations

import dataclasses
import json
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from recovery.parity import audit as auditing
from recovery.parity import metrics, page, prognostic, report
from recovery.parity.answers import Answers, Response
from recovery.parity.metrics import TIME_TO_RESOLUTION, Metric
from recovery.parity.reading import Cases
from tests.calibrate import bursts, world

LOAD = ("type", "load")


def counted(job, *args: object, times: int) -> Counter[str]:
    total: Counter[str] = Counter()
    for seed in range(times):
        total.update({name: int(value) for name, value in job(*args, seed).items()})
    return total


def metric(cases: Cases, name: str = TIME_TO_RESOLUTION) -> Metric:
    return next(each for each in metrics.of(cases, world.TYPES) if each.name == name)


def test_posts_that_come_on_congested_days_are_not_called_slow_R081():
    found = counted(bursts.under_equality, True, 1_000, times=10)

    assert found["red"] <= 2
    assert found["significant by type"] >= 8  # inside types alone the channel is blamed for the days


def test_without_bursts_nothing_is_red_either():
    assert counted(bursts.under_equality, False, 1_000, times=10)["red"] <= 2


def test_a_channel_that_does_wait_longer_is_found_on_top_of_the_bursts():
    assert counted(bursts.found_red, "response", "social", 1.5, 2_500, times=4)["red"] >= 3
    assert counted(bursts.found_red, "resolution", "phone", 1.5, 2_500, times=4)["red"] >= 3


def test_the_shortcuts_of_the_calibration_say_what_the_whole_audit_says():
    for seed in range(2):
        cases = bursts.simulate(900, seed, bunched=True)
        quick = bursts.tested(cases, "load")
        made = auditing.audit(cases, strata_by=LOAD)
        for each in made.overall:
            if each.metric in bursts.TIMES:
                pair, of, fewest = quick[each.metric, each.channel]
                assert of.name == each.metric
                assert bursts.p_of(pair, max(fewest, 25)) == pytest.approx(each.tested.p)


def test_which_channel_a_case_came_by_does_not_change_what_it_is_like():
    cases = bursts.simulate(2_000, 3, bunched=True)
    other = dataclasses.replace(cases, channel=np.random.default_rng(1).permutation(cases.channel))

    one, two = (prognostic.strata(each, metric(each)) for each in (cases, other))
    assert one is not None
    assert np.array_equal(one, two)


def test_the_order_in_which_names_are_numbered_changes_nothing():
    cases = bursts.simulate(1_000, 4, bunched=True)
    turned = dataclasses.replace(cases, type=(world.TYPES - 1 - cases.type).astype(np.int32), types=cases.types[::-1])

    assert np.array_equal(prognostic.strata(cases, metric(cases)), prognostic.strata(turned, metric(turned)))


def test_all_cases_of_a_customer_stay_out_of_each_other_s_prediction():
    cases = bursts.simulate(3_000, 5, bunched=True)
    customer = np.maximum(np.random.default_rng(2).integers(-300, 900, 3_000), -1)
    cases = dataclasses.replace(cases, customer=customer.astype(np.int32))
    fold = prognostic._folds(cases, np.ones(3_000, dtype=bool))

    for customer in range(900):
        assert len(set(fold[cases.customer == customer])) <= 1
    assert len(set(fold[cases.customer == -1])) == prognostic.FOLDS


def test_one_customer_with_everything_does_not_take_the_ground_away():
    cases = bursts.simulate(1_000, 5, bunched=True)
    cases = dataclasses.replace(cases, customer=np.zeros(1_000, dtype=np.int32))
    found = prognostic.strata(cases, metric(cases))

    assert found is not None
    assert found.max() > 30


def test_strata_are_many_about_equal_and_in_order():
    cases = bursts.simulate(4_000, 6, bunched=True)
    found = prognostic.strata(cases, metric(cases, "response"))
    assert found is not None
    sizes = np.bincount(found)
    known = metric(cases, "response")
    medians = [float(np.median(known.values[found == each])) for each in range(len(sizes))]

    assert prognostic.FEWEST_BINS <= len(sizes) <= prognostic.MOST_BINS
    assert sizes.max() < 4 * sizes.mean()
    assert np.corrcoef(np.arange(len(sizes)), np.log(medians))[0, 1] > 0.9


@pytest.mark.parametrize("missing", ["few", "opened", "open"])
def test_where_it_cannot_be_said_kinds_alone_are_compared_and_the_report_says_so(missing):
    cases = bursts.simulate(300 if missing == "few" else 900, 7, bunched=True)
    if missing == "opened":
        cases = dataclasses.replace(cases, opened=np.empty(0, dtype=np.int64))
    if missing == "open":
        cases = dataclasses.replace(cases, closed=np.zeros(len(cases), dtype=bool), outcomes=(), response=None)
    made = auditing.audit(cases, strata_by=LOAD)
    plain = auditing.audit(cases)

    assert not made.by_type
    assert made.contrasts == plain.contrasts
    assert any("alike are cases of one type" in each for each in made.notes)


def test_without_types_load_alone_makes_cases_alike():
    cases = bursts.simulate(2_000, 8, bunched=True)
    untyped = dataclasses.replace(cases, type=np.zeros(2_000, dtype=np.int32), types=("all",), typed=False)
    found = prognostic.strata(untyped, metric(untyped))

    assert found is not None
    assert found.max() >= 20
    days = np.isin((untyped.opened - bursts.BEGAN) // 86_400, bursts.CONGESTED)
    assert found[days].mean() > found[~days].mean() + 8


def test_a_language_in_which_everything_takes_longer_is_taken_into_account():
    random = np.random.default_rng(9)
    cases = bursts.simulate(3_000, 9, bunched=False)
    language = random.integers(0, 2, 3_000).astype(np.int32)
    response = [each for each in cases.outcomes if each.name == "response"]
    slower = np.where(language == 1, 4.0, 1.0)
    told = dataclasses.replace(response[0], values=response[0].values * slower, waited=response[0].waited * slower)
    cases = dataclasses.replace(cases, outcomes=(told,), language=language)
    found = prognostic.strata(cases, metric(cases, "response"))

    assert found is not None
    assert found[language == 1].mean() > found[language == 0].mean() + 10


def test_both_readings_stand_beside_all_together_and_what_load_explains_is_said(tmp_path: Path):
    cases = bursts.simulate(3_000, 10, bunched=True)
    names = {"answered": "response_coverage"}
    outcomes = tuple(dataclasses.replace(each, name=names.get(each.name, each.name)) for each in cases.outcomes)
    made = auditing.audit(dataclasses.replace(cases, outcomes=outcomes), strata_by=LOAD)
    told = report.of(made, file="a.csv", by_stratum=False, modified=0)
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    schema = json.loads(Path(report.__file__).with_name("report.schema.json").read_text())
    jsonschema.validate(json.loads(json.dumps(told, allow_nan=False)), schema)

    assert told["strata_by"] == ["type", "load"]
    assert {each["metric"] for each in told["by_type"]} == set(bursts.TIMES)
    blamed = next(each for each in told["by_type"] if (each["metric"], each["channel"]) == ("response", "social"))
    verdict = next(each for each in told["contrasts"] if (each["metric"], each["channel"]) == ("response", "social"))
    assert (blamed["verdict"], verdict["verdict"] == "red") == ("red", False)
    assert any(each.startswith("response, social") and "load explains" in each for each in made.notes)
    rows = {(each["metric"], each["channel"]): each for each in page.context(made, told)["loads"]}
    assert rows["response", "social"]["types"]["verdict"] == "red"


def test_a_gap_shorter_than_a_twentieth_of_the_promised_first_answer_is_no_finding():
    random = np.random.default_rng(11)
    base = bursts.simulate(6_000, 11, bunched=False)
    waits = np.exp(random.normal(np.log(0.5), 0.5, 6_000)) * np.where(base.channel == 0, 1.3, 1.0)

    def verdict(promised: float) -> str:
        answers = Answers(
            name="response", kind="duration", values=waits, waited=waits, promised=np.full(6_000, promised)
        )
        response = Response(name="response", mature_hours=8, given=True, answered=6_000, mature=6_000, promised=True)
        cases = dataclasses.replace(base, outcomes=(answers,), response=response, timed=False, promises=False)
        made = auditing.audit(cases)
        return next(each.verdict for each in made.overall if each.channel == "phone")

    assert verdict(np.nan) == "red"  # a gap of nine minutes, where five count
    assert verdict(1.0) == "red"
    assert verdict(8.0) != "red"  # of a promise of eight hours 24 minutes count


def test_four_hundred_thousand_cases_are_dealt_into_strata_within_two_seconds():
    cases = bursts.simulate(400_000, 12, bunched=True)
    known = metric(cases, "response")

    def spent() -> float:
        began = time.process_time()
        assert prognostic.strata(cases, known) is not None
        return time.process_time() - began

    assert min(spent() for _ in range(3)) < 2.0  # threads that wait for a core beside other work count as busy
