"""The shortcuts of the calibration give what the whole audit gives."""

from __future__ import annotations

import pytest

from recovery.parity import metrics
from recovery.parity.audit import audit
from tests.calibrate import questions, tables, world
from tests.calibrate.tables import Line

PLANTED = [
    ("response", "social", 1.3, 500),
    ("resolution", "phone", 1.5, 1500),
    ("resolution_days", "phone", 1.3, 1500),
    ("answered", "email", -0.08, 800),
    ("visit", "letter", 1.4, 3000),
    ("handed_on", "chat", 0.10, 2000),
]


@pytest.mark.parametrize(("metric", "channel", "size", "n"), PLANTED)
def test_one_comparison_has_the_verdict_of_the_whole_audit(metric, channel, size, n):
    for seed in range(6):
        made = audit(world.simulate(n, seed, channel=channel, metric=metric, size=size))
        name = questions.REPORTED.get(metric, metric)
        verdict = next(each.verdict for each in made.overall if (each.channel, each.metric) == (channel, name))

        assert questions.found_red(metric, channel, size, n, seed)["red"] == (verdict == "red")
        if verdict != "red":
            assert questions.called_alike(metric, channel, size, n, seed)["green"] == (verdict == "green")


def test_the_world_has_the_metrics_that_are_corrected_for():
    reported = {questions.REPORTED.get(each, each) for each in questions.METRICS}

    assert {each.name for each in metrics.of(world.simulate(300, 1), world.TYPES)} == reported


def test_the_ratio_for_a_chance_makes_that_chance():
    assert 1.15 < world.ratio_for(0.55, "visit") < world.ratio_for(0.55, "resolution_days") < 1.3


def test_tables_are_put_between_their_marks(tmp_path):
    page = tmp_path / "a.md"
    page.write_text(f"before\n{tables.MARKS[0]}\nold\n{tables.MARKS[1]}\nafter\n")
    tables.put(page, tables.written({Line("power", 500, "response", 1.25, "phone"): (4, questions.Counter(red=1))}))

    assert "| response (hours) × 1.25 | phone | 0.25 |" in page.read_text()
    assert "old" not in page.read_text()
    assert page.read_text().endswith(f"{tables.MARKS[1]}\nafter\n")
