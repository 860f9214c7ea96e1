"""From tests to words."""

from __future__ import annotations

import numpy as np
import pytest

from recovery.parity import effects, verdicts, wording
from recovery.parity.contrasts import Contrast
from recovery.parity.effects import Estimate, Result
from recovery.parity.kernel import Pair


def shown(value: float, half: float, *, kind: str = "risk_difference", z: float = 3.0, p: float = 0.001) -> Result:
    near = half * 1.645 / 1.96
    effect = Estimate(
        kind=kind, value=value, low=value - half, high=value + half, low90=value - near, high90=value + near
    )
    return Result(effects=(effect,), p=p, z=z, test="a")


def test_holm_and_benjamini_hochberg_agree_with_statsmodels():
    multi = pytest.importorskip("statsmodels.stats.multitest", reason="statsmodels is not installed")
    p = [0.001, 0.04, 0.03, 0.6, 0.012]

    assert verdicts.holm(p) == pytest.approx(list(multi.multipletests(p, method="holm")[1]))
    assert verdicts.benjamini_hochberg(p) == pytest.approx(list(multi.multipletests(p, method="fdr_bh")[1]))


def test_a_test_that_was_not_made_is_not_corrected_for():
    assert verdicts.holm([0.01, None, 0.02]) == [0.02, None, 0.02]
    assert verdicts.benjamini_hochberg([None, 0.01]) == [None, 0.01]


@pytest.mark.parametrize(
    ("value", "half", "p_holm", "p_bh", "verdict"),
    [
        (0.10, 0.03, 0.001, 0.001, "red"),
        (0.10, 0.09, 0.20, 0.04, "amber"),
        (0.00, 0.03, 1.0, 0.9, "green"),
        (0.015, 0.01, 0.001, 0.001, "green"),  # plain to see, and too small to matter
        (0.01, 0.20, 1.0, 0.9, "grey"),  # no significant difference is not parity
        (0.045, 0.03, 0.40, 0.30, "grey"),
    ],
)
def test_the_four_verdicts(value, half, p_holm, p_bh, verdict):
    assert verdicts.decide(shown(value, half), fewest=500, p_holm=p_holm, p_bh=p_bh) == verdict


def test_fewer_than_25_on_a_side_say_nothing():
    strong = shown(0.4, 0.05)

    assert verdicts.decide(strong, fewest=24, p_holm=1e-9, p_bh=1e-9) == "grey"
    assert verdicts.decide(strong, fewest=25, p_holm=1e-9, p_bh=1e-9) == "red"


def test_a_ratio_of_waits_of_seconds_is_no_red():
    ratio = shown(3.0, 0.5, kind="time_ratio")

    assert verdicts.decide(ratio, fewest=500, p_holm=1e-9, p_bh=1e-9, gap_hours=0.05) == "amber"
    assert verdicts.decide(ratio, fewest=500, p_holm=1e-9, p_bh=1e-9, gap_hours=2.0) == "red"
    assert verdicts.decide(ratio, fewest=500, p_holm=1e-9, p_bh=1e-9, gap_hours=2.0, floor_hours=4.0) == "amber"


def test_grey_says_how_many_cases_would_settle_it():
    assert verdicts.needed(shown(0.0, 0.0596), n=100, fewest=100) == 101  # the 90 % interval just fills the margin
    assert verdicts.needed(shown(0.0, 0.1192), n=100, fewest=100) == 401
    assert verdicts.needed(shown(0.0, 0.1192), n=10, fewest=10) == 41
    assert verdicts.needed(shown(0.02, 0.5), n=10, fewest=10) > 25


@pytest.mark.parametrize("ended", [0, 1])
def test_grey_says_how_many_it_takes_also_where_every_case_ended_alike(ended):
    def tested(here: int, elsewhere: int) -> Result:
        cells = np.zeros((1, 2, 2))
        cells[0, :, ended] = here, elsewhere
        return effects.binary(Pair(cells, np.zeros_like(cells)))

    few = tested(29, 396)
    needed = verdicts.needed(few, n=29, fewest=29)
    assert (few.z, verdicts.decide(few, fewest=29, p_holm=None, p_bh=None)) == (None, "grey")
    assert needed is not None
    for part, verdict in ((0.85, "grey"), (1.15, "green")):  # about so many
        more = round(part * needed)
        assert verdicts.decide(tested(more, 396 * more // 29), fewest=more, p_holm=None, p_bh=None) == verdict


def test_where_nobody_lost_anything_the_parts_say_how_many_cases_would_show_it():
    part = Result(effects=(Estimate(kind="part_ratio", value=1.0, low90=0.90, high90=1.11),), p=None, z=None, test=None)
    assert verdicts.needed(part, n=30, fewest=30) == 65  # the exact bounds shrink as 1 / n
    nothing = Result(effects=(Estimate(kind="amount_ratio"),), p=None, z=None, test=None)
    assert verdicts.needed(nothing, n=30, fewest=30) is None


def test_who_waits_less_is_never_said_to_wait_longer():
    def told(value: float) -> tuple[str, str, str]:
        tested = shown(value, 0.04, kind="probability")
        made = Contrast(
            metric="time_to_resolution", channel="app", versus="phone", stratum=None, n=90, n_versus=90, comparable=90,
            fewest=90, tested=tested,
        )  # fmt: skip
        effect = tested.effects[0]
        return wording.claim(made), wording.effect_text(effect), wording.interval_text(effect)

    less, more = told(0.40), told(0.60)

    assert "is shorter in 60% of pairs" in less[0]
    assert less[1:] == ("60% shorter", "56% to 64%")
    assert "is longer in 60% of pairs" in more[0]
    assert more[1:] == ("60% longer", "56% to 64%")
