"""The simulated queue in small: it shows what the page says, and its short ways give what the long ones would."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.simulate import chart, desk, tables, world
from tests.simulate.tables import PLAYED, QUIET, Found, Tally

SMALL = replace(QUIET, days=4)


@pytest.fixture(scope="module")
def found() -> Found:
    """Every scenario and discipline in small: a few days, two runs."""
    small: Found = {}
    for scenario, served in PLAYED.items():
        for discipline in served:
            tally = small.setdefault((scenario.name, discipline.name), Tally())
            for seed in range(2):
                tally.add(
                    tables.counted(world.simulate(replace(scenario, days=min(scenario.days, 20)), seed), discipline)
                )
    return small


def test_a_run_is_the_same_again_with_the_same_seed():
    one, again, other = (world.simulate(SMALL, seed) for seed in (1, 1, 2))
    assert np.array_equal(one.spoke, again.spoke)
    assert not np.array_equal(one.spoke[:50], other.spoke[:50])


def test_so_much_work_comes_as_is_said():
    made = world.simulate(QUIET, 3)
    assert made.handling.sum() / (world.AGENTS * QUIET.days * world.DAY) == pytest.approx(QUIET.load, abs=0.02)
    assert np.bincount(made.severity)[world.CRITICAL] / len(made.severity) == pytest.approx(0.05, abs=0.005)


@pytest.mark.parametrize("discipline", [*desk.DISCIPLINES, desk.HELPED], ids=lambda each: each.name)
def test_everybody_is_served_once_after_they_came_and_never_by_more_people_than_there_are(discipline):
    cases = world.simulate(SMALL, 4)
    begun = desk.serve(cases, discipline)
    assert (begun >= cases.ingested).all()
    moments = np.concatenate([begun, begun + cases.handling])
    change = np.concatenate([np.ones(len(begun)), -np.ones(len(begun))])
    busy = change[np.lexsort((change, moments))].cumsum()  # who leaves at an instant makes room for who begins
    assert busy.max() <= world.AGENTS
    assert busy[-1] == 0


@pytest.mark.parametrize("discipline", [*desk.BLIND], ids=lambda each: each.name)
def test_dealing_other_channels_leaves_every_beginning_as_it_was_R059(discipline):
    cases = world.simulate(SMALL, 5)
    dealt = replace(cases, channel=np.random.default_rng(5).permutation(cases.channel))
    assert np.array_equal(desk.serve(cases, discipline), desk.serve(dealt, discipline))


def test_an_order_that_looks_at_the_channel_is_found_out():
    cases = world.simulate(SMALL, 5)
    dealt = replace(cases, channel=np.random.default_rng(5).permutation(cases.channel))
    assert not np.array_equal(desk.serve(cases, desk.LOUD_FIRST), desk.serve(dealt, desk.LOUD_FIRST))


def test_nobody_is_overtaken_by_more_than_the_difference_of_their_promises():
    """Under the earliest promise alone, whoever spoke later than that never comes first: the bound behind ADR 14."""
    cases = world.simulate(replace(QUIET, load=1.3, days=6), 6)
    begun, promised = desk.serve(cases, desk.BLIND[1]), cases.due - cases.spoke
    order = np.argsort(begun, kind="stable")
    newest = np.maximum.accumulate(cases.spoke[order])  # of all who were begun before
    assert (newest <= (cases.spoke + promised - min(world.PROMISED))[order] + 1e-9).all()
    assert (newest > cases.spoke[order]).any()


def test_the_small_run_shows_what_the_page_says(found):
    held = dict(tables.held(found))
    noisy = "one line that does not know the channel"  # needs the millions of the whole run
    assert [says for says, holds in held.items() if not holds and not says.startswith(noisy)] == []
    quiet = found[QUIET.name, desk.PRODUCT.name].ratios()
    assert 0.8 < min(quiet) <= max(quiet) < 1.25


def test_the_section_and_the_chart_name_every_order(found):
    section, drawn = tables.written(found, runs=2), chart.drawn(found)
    for discipline in desk.DISCIPLINES:
        assert discipline.name in section
        assert discipline.name.replace("&", "&amp;") in drawn
