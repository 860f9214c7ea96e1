"""Real files with answers worked out by other hands; skipped where the folder is not."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from recovery.parity import Unusable, maps, report

PHONE = "Constituent Call"
AS_OF = {"boston": "2016-01-12 22:22:40", "sf": "2016-01-27 21:39:18"}
FLAGS = ("red", "amber")
VARIANTS = (
    "boston311-100-20dupes-random.csv",
    "boston311-100-bad.tsv",
    "boston311-100-notime.csv",
    "boston311-100-with-nonascii.csv",
)


@pytest.fixture(scope="module")
def expected(outside_data: Path) -> dict[str, Any]:
    return json.loads((outside_data / "expected.json").read_text())


@pytest.fixture(scope="module")
def boston(outside_data: Path) -> dict[str, Any]:
    file = outside_data / "cases311" / "boston_311_2015_shared.csv"
    return report.make(file, maps.load("boston311"), reference=PHONE, by_stratum=True, snapshot=AS_OF["boston"])[0]


@pytest.fixture(scope="module")
def san_francisco(outside_data: Path) -> dict[str, Any]:
    file = outside_data / "cases311" / "sf_311_2008_2016_shared.csv"
    return report.make(file, maps.load("sf311"), reference="Voice In", by_stratum=True, snapshot=AS_OF["sf"])[0]


@pytest.fixture(scope="module")
def complaints(outside_data: Path) -> dict[str, Any]:
    file = outside_data / "complaints" / "cfpb_2011_2015h1_shared.csv"
    return report.make(file, maps.load("cfpb"), reference="Web", by_stratum=True)[0]


def line(lines: list[dict[str, Any]], effect: str, **wanted: object) -> dict[str, Any]:
    found = [
        each
        for each in lines
        if each["effect"] == effect and all(each[name] == value for name, value in wanted.items())
    ]
    assert len(found) == 1
    return found[0]


def check_channels(made: dict[str, Any], expected: dict[str, Any]) -> None:
    for name, right in expected["channels"].items():
        ours = made["channels"][name]
        wrong = right["closed_before_opened"]
        assert (ours["n"], ours["closed"], ours["rejected"]) == (right["cases"] - wrong, right["closed"] - wrong, wrong)
        assert ours["open"] == right["open"]
        assert ours["closed_median_hours"] == pytest.approx(right["median_h_closed"])
        assert ours["closed_p90_hours"] == pytest.approx(right["p90_h_closed"])
        assert ours["km_median_hours"] == pytest.approx(right["km_median_h"])
        assert ours["km_p90_hours"] == pytest.approx(right["km_p90_h"])
        if right["sla_due"] and not wrong:
            assert ours["promise_kept"] == {"kept": right["sla_met"], "due": right["sla_due"]}


def check_pairs(made: dict[str, Any], pairs: list[dict[str, Any]]) -> None:
    for pair in pairs:
        lines = [
            each
            for each in made["contrasts"]
            if (each["stratum"], each["channel"], each["versus"]) == (pair["type"], pair["other"], pair["ref"])
        ]
        timed = line(lines, "time_ratio", metric="time_to_resolution")
        assert (timed["n"], timed["n_versus"]) == (pair["n_other"], pair["n_ref"])
        assert timed["log_rank"]["p"] == pytest.approx(pair["logrank_p"], rel=1e-6)
        verdicts = {each["verdict"] for each in lines}
        if pair["verdict"] == "MUST FLAG":
            assert verdicts & set(FLAGS), pair
        if pair["verdict"] == "MUST NOT FLAG":
            assert not verdicts & set(FLAGS), pair
        strata = made["strata"][pair["type"]]
        assert strata[pair["ref"]]["km_median_hours"] == pytest.approx(pair["km_ref"])
        assert strata[pair["other"]]["km_median_hours"] == pytest.approx(pair["km_other"])


def test_boston_channels_are_as_expected(boston, expected):
    check_channels(boston, expected["boston"])
    assert boston["rows"] == {"read": 34556, "kept": 34553, "rejected": {"closed_before_opened": 3}}
    assert boston["channels"]["City Worker App"]["promise_kept"] == {"kept": 2460, "due": 2940}


@pytest.mark.parametrize(
    ("channel", "crude", "adjusted"), [("Citizens Connect App", 2.20, 1.03), ("Self Service", 2.55, 1.02)]
)
def test_boston_does_not_fall_into_the_trap(boston, expected, channel, crude, adjusted):
    right = next(each for each in expected["boston"]["adjusted"] if each["other"] == channel)
    before = line(boston["crude"], "odds_ratio", metric="promise_kept", channel=channel)
    after = line(boston["contrasts"], "odds_ratio", metric="promise_kept", channel=channel, stratum=None)
    ranks = line(boston["contrasts"], "time_ratio", metric="time_to_resolution", channel=channel, stratum=None)[
        "log_rank"
    ]

    assert before["estimate"] == pytest.approx(crude, rel=0.03)
    assert before["estimate"] == pytest.approx(right["crude_or"])
    assert after["estimate"] == pytest.approx(adjusted, rel=0.03)
    assert after["estimate"] == pytest.approx(right["mh_or"])
    assert after["verdict"] not in FLAGS
    assert ranks["observed"] == right["strat_logrank"]["observed"]
    assert ranks["expected"] == pytest.approx(right["strat_logrank"]["expected"])
    assert ranks["z"] == pytest.approx(right["strat_logrank"]["z"])
    assert any("case mix explains" in note and channel in note for note in boston["notes"])


def test_boston_standardised_shares_are_as_expected(boston, expected):
    for channel, share in expected["boston"]["standardised"]["promise_kept"].items():
        assert boston["standardised"]["promise_kept"][channel] == pytest.approx(share)


def test_boston_pairs_are_judged_as_they_must(boston, expected):
    check_pairs(boston, expected["boston"]["pairs"])


def test_san_francisco_is_as_expected(san_francisco, expected):
    check_channels(san_francisco, expected["sf"])
    check_pairs(san_francisco, expected["sf"]["pairs"])
    for channel, right in expected["sf"]["strat"].items():
        ranks = line(san_francisco["contrasts"], "time_ratio", channel=channel, stratum=None)["log_rank"]
        assert (ranks["observed"], ranks["expected"], ranks["z"]) == (
            right["observed"],
            pytest.approx(right["expected"]),
            pytest.approx(right["z"]),
        )


@pytest.mark.parametrize(
    ("city", "channel"), [("boston", "Twitter"), ("san_francisco", "Twitter"), ("san_francisco", "e-mail In")]
)
def test_too_few_is_grey_with_a_number(request, city, channel):
    lines = [each for each in request.getfixturevalue(city)["contrasts"] if each["channel"] == channel]

    assert {each["verdict"] for each in lines} == {"grey"}
    assert all(each["n_needed"] for each in lines if each["stratum"] is None)


def test_complaints_are_as_expected(complaints, expected):
    for channel, right in expected["cfpb"]["table"].items():
        outcomes = complaints["channels"][channel]["outcomes"]
        days = outcomes["days_until_company_had_it"]
        assert complaints["channels"][channel]["n"] == right["n"]
        assert (days["negative"], days["median"], days["max"], days["unit"]) == (
            right["negative"],
            right["median"],
            right["max"],
            "days",
        )
        assert days["p90"] == pytest.approx(right["p90"])
        assert outcomes["timely_response"]["true"] == right["timely"]
        assert (outcomes["disputed"]["true"], outcomes["disputed"]["n"]) == (right["disputed"], right["disputed_known"])
        assert outcomes["relief"]["true"] == right["relief"]
    for product, channels in expected["cfpb"]["by_product"].items():
        for channel, (n, median, p90) in channels.items():
            days = complaints["strata"][product][channel]["outcomes"]["days_until_company_had_it"]
            assert (days["n"], days["median"], days["p90"]) == (n, median, pytest.approx(p90))


def test_complaints_against_the_web_are_as_expected(complaints, expected):
    for channel, right in expected["cfpb"]["vs_web"].items():
        days = line(complaints["crude"], "probability", metric="days_until_company_had_it", channel=channel)
        assert days["estimate"] == pytest.approx(right["auc"])
        assert days["p"] == pytest.approx(right["p"], rel=0.35, abs=1e-3)
        if channel in ("Fax", "Postal mail"):
            assert {each["verdict"] for each in complaints["contrasts"] if each["channel"] == channel} == {"grey"}


@pytest.mark.parametrize("reference", ["Web", None])
def test_the_boring_file_has_nothing_to_flag(outside_data, reference):
    file = outside_data / "complaints" / "cfpb_2023_shared.csv"
    made, _ = report.make(file, maps.load("cfpb"), reference=reference, by_stratum=True)

    assert not [each for each in made["contrasts"] if each["verdict"] in FLAGS]


def test_import_variants_give_the_same_answers_or_a_visible_refusal(outside_data):
    folder = outside_data / "cases311" / "import_variants"
    plan = maps.load("boston311")
    right, _ = report.make(folder / "boston311-100.csv", plan)
    made = {name: report.make(folder / name, plan)[0] for name in (*VARIANTS, "boston311-dmy-100.csv")}

    for name in ("boston311-100-with-nonascii.csv", "boston311-dmy-100.csv"):
        assert made[name]["channels"] == right["channels"]
        assert made[name]["contrasts"] == right["contrasts"]
    assert made["boston311-100-20dupes-random.csv"]["rows"] == {
        "read": 100,
        "kept": 80,
        "rejected": {"duplicate_id": 20},
    }
    assert made["boston311-100-bad.tsv"]["rows"] == {"read": 100, "kept": 99, "rejected": {"wrong_number_of_fields": 1}}
    assert made["boston311-100-notime.csv"]["rows"]["rejected"] == {}
    assert any("whole days" in note for note in made["boston311-100-notime.csv"]["notes"])
    for name, each in made["boston311-100-notime.csv"]["channels"].items():
        assert (each["n"], each["closed"]) == (right["channels"][name]["n"], right["channels"][name]["closed"])


def test_a_map_that_says_month_first_refuses_the_day_first_file(outside_data):
    plan = dataclasses.replace(maps.load("boston311"), date_formats=("%m/%d/%Y %I:%M:%S %p",))

    with pytest.raises(Unusable, match="None of the 100 rows can be used: unreadable_date 100"):
        report.make(outside_data / "cases311" / "import_variants" / "boston311-dmy-100.csv", plan)
