"""Numbers compared: the part given of what was owed, amounts in their own currency, and counts."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from recovery.parity import Unusable, kernel, maps, means, page, reading, report, verdicts
from recovery.parity import audit as auditing
from recovery.parity.answers import Answers
from recovery.parity.contrasts import Contrast
from recovery.parity.kernel import Pair
from recovery.parity.reading import Cases
from tests.calibrate import remedies, world
from tests.recovery.parity.files import COLUMNS, write


def only(cases: Cases, *outcomes: Answers) -> Cases:
    return dataclasses.replace(cases, outcomes=outcomes, timed=False, promises=False)


def contrast(cases: Cases, metric: str, channel: str) -> Contrast:
    made = auditing.audit(cases)
    return next(each for each in made.overall if (each.metric, each.channel) == (metric, channel))


def test_two_hundred_cases_show_that_a_channel_is_shorted_by_a_tenth_R065():
    found = [remedies.asked("social", "part", 0.9, 200, seed)["red"] for seed in range(6)]

    assert sum(found) >= 5


def test_where_all_are_given_alike_nothing_is_red():
    found = [remedies.asked("", "", 1.0, 200, seed)["any red"] for seed in range(6)]

    assert sum(found) <= 2


def test_the_ratio_of_means_is_the_one_that_was_planted_and_its_interval_holds_it():
    for name, size in (("part", 0.9), ("amount", 0.7), ("hand_offs", 1.5)):
        cases = remedies.simulate(20_000, 1, channel="email", planted=name, size=size)
        told = tuple(each for each in cases.outcomes if each.name == name)
        found = contrast(only(cases, *told), name, "email").tested.effects[0]

        assert found.kind == auditing.NUMBER_EFFECTS[told[0].kind]
        assert found.value == pytest.approx(size, rel=0.06)
        assert found.low < size < found.high


@pytest.mark.parametrize(("kind", "name"), [("ratio", "part"), ("amount", "given"), ("count", "passed_on")])
def test_a_channel_that_got_nothing_at_all_is_red(kind, name):
    cases = world.simulate(2_000, 2)
    some = np.where(np.arange(2_000) % 3 == 0, 0.0, 1.0)
    found = contrast(
        only(cases, Answers(name=name, kind=kind, values=np.where(cases.channel == 0, 0.0, some))), name, "phone"
    )

    ratio, share = found.tested.effects
    assert (found.verdict, ratio.value, ratio.low, ratio.high) == ("red", 0.0, 0.0, None)
    assert share.value is not None
    assert found.n_needed is None


def test_where_only_one_channel_got_anything_the_others_are_red_and_it_has_no_ratio():
    cases = world.simulate(2_000, 2)
    given = Answers(name="given", kind="amount", values=np.where(cases.channel == 0, 5.0, 0.0))
    assert contrast(only(cases, given), "given", "email").verdict == "red"
    assert contrast(only(cases, given), "given", "phone").tested.effects[0].value is None


def test_beside_the_ratio_stands_how_many_got_less_than_all():
    cases = world.simulate(4_000, 2)
    part = np.where((cases.channel == 0) & (np.arange(4_000) % 4 == 0), 0.5, 1.0)
    ratio, shorted = contrast(
        only(cases, Answers(name="part", kind="ratio", values=part)), "part", "phone"
    ).tested.effects

    assert shorted.kind == "risk_difference"
    assert shorted.value == pytest.approx(0.25, abs=0.03)
    assert ratio.value == pytest.approx(0.875, abs=0.02)


def test_that_nobody_lost_anything_shows_likeness_only_where_there_are_enough_cases():
    for count, verdict in ((400, "grey"), (4_000, "green")):
        cases = world.simulate(count, 3)
        found = contrast(only(cases, Answers(name="part", kind="ratio", values=np.ones(count))), "part", "letter")

        assert (found.tested.p, found.verdict) == (None, verdict)
        assert found.tested.effects[0].value == pytest.approx(1.0)


def test_few_cases_suffice_for_the_part_of_what_was_owed_and_not_for_other_numbers():
    assert verdicts.fewest_of("part_ratio") < verdicts.fewest_of("amount_ratio") == verdicts.FEWEST
    pair = Pair(np.array([[[6.0, 6.0], [0.0, 200.0]]]), np.zeros((1, 2, 2)))
    n, total = np.array([[12.0, 200.0]]), np.array([[9.0, 200.0]])
    squares = np.array([[7.5, 200.0]])
    tested = means.compared(pair, means.Moments(n=n, total=total, squares=squares), kind="part_ratio")

    assert tested.test == "permutation"
    assert verdicts.decide(tested, fewest=12, p_holm=tested.p, p_bh=tested.p) == "red"
    other = dataclasses.replace(tested, effects=(dataclasses.replace(tested.effects[0], kind="amount_ratio"),))
    assert verdicts.decide(other, fewest=12, p_holm=tested.p, p_bh=tested.p) == "grey"


def test_the_test_of_a_number_is_van_elteren_s_on_its_bins():
    cases = remedies.simulate(3_000, 4)
    hand_offs = next(each for each in cases.outcomes if each.name == "hand_offs")
    found = contrast(only(cases, hand_offs), "hand_offs", "phone").tested
    side = (cases.channel != 0).astype(np.int64)
    place = np.minimum(hand_offs.values, 5).astype(np.int64)
    seen = np.ones(3_000, dtype=bool)
    pair = Pair(*kernel.table(cases.type.astype(np.int64), side, place, seen, (world.TYPES, 2, 6)))

    assert found.test == "van_elteren"
    assert found.p == pytest.approx(kernel.normal_p(kernel.z_of(kernel.score(pair))))


def test_amounts_are_compared_within_their_currency_and_no_rate_of_exchange_matters():
    random = np.random.default_rng(5)
    cases = remedies.simulate(4_000, 5)
    amount = next(each for each in cases.outcomes if each.name == "amount")
    yen = random.random(4_000) < np.where(cases.channel == 0, 0.8, 0.1)  # the phone is rung from Japan
    plain = dataclasses.replace(amount, currency=yen.astype(np.int32))
    dear = dataclasses.replace(plain, values=np.where(yen, amount.values * 160, amount.values))
    one, two = (contrast(only(cases, each), "amount", "phone") for each in (plain, dear))
    mixed = contrast(only(cases, dataclasses.replace(dear, currency=None)), "amount", "phone")

    assert one.tested.effects[0].value == pytest.approx(two.tested.effects[0].value)
    assert one.tested.p == pytest.approx(two.tested.p)
    assert one.verdict != "red"
    assert mixed.tested.effects[0].value > 5


def test_a_file_of_numbers_is_read_compared_and_shown(tmp_path: Path):
    random = np.random.default_rng(6)
    header = [*COLUMNS, "given", "owed", "money", "handed"]
    rows = []
    for number in range(600):
        channel = random.choice(["phone", "app"])
        owed = 0 if number % 5 == 0 else int(random.integers(20, 200))
        given = owed * (0.8 if channel == "app" else 1.0) + (30 if number % 50 == 1 else 0)
        opened = f"2026-01-{1 + number % 28:02d} 10:00:00"
        rows.append((str(number), channel, opened, "2026-02-05 12:00:00", "bill", f"{given:.2f}", str(owed),
                     random.choice(["EUR", "eur", "JPY"]), "" if number % 7 == 0 else str(number % 3)))  # fmt: skip
    file = write(tmp_path / "a.csv", rows, header=header)
    plan = maps.parse(
        {
            "columns": dict(COLUMNS),
            "outcome": [
                {"name": "part", "kind": "ratio", "column": "given", "of": "owed"},
                {"name": "amount", "kind": "amount", "column": "given", "currency": "money"},
                {"name": "handed", "kind": "count", "column": "handed"},
            ],
            "options": {"timezone": "UTC"},
        }
    )
    cases = reading.read(file, plan)
    part, amount, handed = cases.outcomes
    assert np.isnan(part.values[0])  # nothing was owed
    assert part.values[1] <= 1.0  # more than was owed is all of it
    assert len(np.unique(amount.currency)) == 2
    assert np.isnan(handed.values[0])
    made, audit = report.make(file, plan, by_stratum=True)
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    jsonschema.validate(
        json.loads(json.dumps(made, allow_nan=False)),
        json.loads(Path(report.__file__).with_name("report.schema.json").read_text()),
    )
    found = next(each for each in made["contrasts"] if (each["metric"], each["channel"]) == ("part", "app"))
    assert (found["effect"], found["verdict"]) == ("part_ratio", "red")
    assert found["estimate"] == pytest.approx(0.8, abs=0.03)
    assert made["channels"]["app"]["outcomes"]["part"]["apart"] > 200
    assert "in the mean 0.8" in page.answer(audit) or "in the mean 1.2" in page.answer(audit)
    assert page.context(audit, made)["numbers"]


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        ({"kind": "ratio", "column": "a"}, "needs of"),
        ({"kind": "count", "column": "a", "of": "b"}, "only kind ratio"),
        ({"kind": "ratio", "column": "a", "of": "b", "currency": "c"}, "only kind amount"),
        ({"kind": "amount"}, "needs a column"),
    ],
)
def test_a_number_that_is_told_wrongly_in_the_map_is_refused(outcome, says):
    with pytest.raises(Unusable, match=says):
        maps.parse({"columns": {"channel": "c"}, "outcome": [{"name": "x", **outcome}]})
