"""Grades on a few steps: compared by their order alone, by van Elteren's test, told as the chance of the worse one (R068, D.1)."""

from __future__ import annotations

import numpy as np
import pytest

from recovery.parity import Unusable, audit, effects, kernel, maps, reading, report, verdicts
from recovery.parity.kernel import Pair
from recovery.parity.wording import claim, effect_text
from tests.recovery.parity.files import COLUMNS, write

HEADER = (*COLUMNS, "rating")
RATING = {"name": "csat", "kind": "ordinal", "column": "rating", "order": ["bad", "fair", "good"]}


def plan() -> maps.Map:
    return maps.parse({"columns": dict(COLUMNS), "outcome": [RATING]})


def rows(shares: dict[str, tuple[float, float, float]], each: int = 400) -> list[tuple[str, ...]]:
    random, made = np.random.default_rng(3), []
    for channel, share in shares.items():
        for grade in random.choice(["bad", "fair", "good"], p=share, size=each):
            day = "2026-01-05"
            made.append((str(len(made)), channel, day, "2026-01-06", "bill", str(grade)))
    return made


def test_two_sides_of_grades_are_compared_as_mann_and_whitney_do():
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(1)
    ours, theirs = random.integers(0, 5, 300), random.integers(0, 4, 400)
    side = np.repeat([0, 1], [300, 400])
    both = np.concatenate([ours, theirs]).astype(np.int64)
    pair = Pair(*kernel.table(np.zeros(700, dtype=np.int64), side, both, np.ones(700, dtype=bool), (1, 2, 5)))
    tested = effects.grades(pair)
    theirs_too = stats.mannwhitneyu(ours, theirs, use_continuity=False, method="asymptotic")
    (worse,) = tested.effects
    assert tested.test == "van_elteren"
    assert tested.p == pytest.approx(theirs_too.pvalue, rel=1e-6)
    assert worse.value == pytest.approx(theirs_too.statistic / (300 * 400))
    assert worse.graded
    assert verdicts.margin_of("csat", worse.kind).trivial == 0.02


def test_a_channel_that_gets_the_worse_grades_is_found_and_said_in_words_R068(tmp_path):
    file = write(tmp_path / "a.csv", rows({"phone": (0.4, 0.3, 0.3), "app": (0.2, 0.3, 0.5)}), header=HEADER)
    cases = reading.read(file, plan())
    made = audit.audit(cases, by_stratum=True)
    found = [each for each in made.contrasts if each.metric == "csat" and each.channel == "phone" and not each.stratum]
    assert [each.verdict for each in found] == ["red"]
    effect = found[0].tested.effects[0]
    assert effect.value > 0.55
    assert effect_text(effect).endswith("worse")
    assert "is worse in" in claim(found[0])
    written = report.of(made, file="a.csv", by_stratum=True, modified=0)
    counts = written["channels"]["phone"]["outcomes"]["csat"]
    assert counts["kind"] == "category"
    assert list(counts["counts"]) == ["bad", "fair", "good"]


def test_equal_grades_are_alike_and_unknown_ones_count_nowhere(tmp_path):
    same = (0.2, 0.3, 0.5)
    made = rows({"phone": same, "app": same}, each=4_000)
    made.append(("x", "phone", "2026-01-05", "2026-01-06", "bill", "wonderful"))
    cases = reading.read(write(tmp_path / "a.csv", made, header=HEADER), plan())
    assert int((~np.isnan(cases.outcomes[0].values)).sum()) == 8_000
    found = [each for each in audit.audit(cases).contrasts if each.metric == "csat"]
    assert {each.verdict for each in found} == {"green"}


@pytest.mark.parametrize("order", [[], ["good"], ["good", "Good"]])
def test_a_grade_needs_its_order_from_the_worst_to_the_best(order: list[str]):
    with pytest.raises(Unusable, match="from the worst to the best"):
        maps.parse({"columns": dict(COLUMNS), "outcome": [{**RATING, "order": order}]})
