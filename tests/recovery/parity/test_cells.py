"""Counts that add up: over days, over any split of the matters, and over what changes later."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recovery.parity import audit as auditing
from recovery.parity import cells, own, survival

BEGAN = datetime(2026, 3, 2, tzinfo=UTC)
AT = BEGAN + timedelta(days=3)
START, NOW = int(BEGAN.timestamp()), int(AT.timestamp())


def matters(seed: int, count: int, *, at: datetime = AT) -> own.Matters:
    """Matters of one day, drawn: some unanswered, some unsettled, some without a promise, some dismissed."""
    dice = np.random.default_rng(seed)
    spoke = START + dice.integers(0, 86_400, count)

    def later(share: float, middle: float) -> np.ndarray:
        end = spoke + np.round(np.exp(dice.normal(np.log(middle), 1.5, count))).astype(np.int64)
        return np.where((dice.random(count) < share) & (end <= int(at.timestamp())), end, own.UNKNOWN)

    columns = {
        **{name: np.full(count, own.UNKNOWN) for name in own.COLUMNS},
        "number": np.arange(count),
        "customer": dice.integers(0, max(1, count // 2), count),
        "channel": dice.integers(0, 3, count),
        "type": dice.integers(0, 2, count),
        "severity": dice.integers(0, 2, count),
        "spoke_at": spoke,
        "reached_us_at": spoke + dice.integers(0, 300, count),
        "answer_due_at": np.where(dice.random(count) < 0.9, spoke + 28_800, own.UNKNOWN),
        "answered_at": later(0.9, 7_200),
        "settled_at": later(0.8, 40_000),
        **{name: dice.integers(-1, 2, count) for name in own.FLAGS},
    }
    dismissed = {
        "channel": dice.integers(0, 3, count + 5),
        "type": dice.integers(0, 2, count + 5),
        "is": dice.integers(0, 2, count + 5),
    }
    return own.Matters(columns, dismissed, ("phone", "email", "chat"), ("no failure", "damaged_item"), ("", "high"), at)


def split(whole: own.Matters, into: np.ndarray, part: int) -> own.Matters:
    apart = np.arange(len(whole.dismissed["is"])) % (int(into.max(initial=0)) + 1) == part
    return replace(
        whole,
        columns={name: values[into == part] for name, values in whole.columns.items()},
        dismissed={name: values[apart] for name, values in whole.dismissed.items()},
    )


def told(found: cells.Cells) -> dict[tuple[str, str, str, int], tuple[int, int]]:
    """Cells by what their codes mean, in plain numbers."""
    names = found.names
    return {
        (names.metrics[m], names.strata[s], names.channels[c], int(b)): (int(d), int(q))
        for m, s, c, b, d, q in zip(
            found.metric, found.stratum, found.channel, found.bin, found.d, found.q, strict=True
        )
    }


@given(seed=st.integers(0, 10_000), count=st.integers(0, 300), shards=st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_cells_of_any_split_add_up_to_the_cells_of_the_whole(seed, count, shards):
    whole = matters(seed, count)
    into = np.random.default_rng(seed + 1).integers(0, shards, count)
    parts = [cells.counted(split(whole, into, part), began=BEGAN) for part in range(int(into.max(initial=0)) + 1)]
    assert told(cells.total(parts)) == told(cells.counted(whole, began=BEGAN))
    assert told(cells.total(parts[::-1])) == told(cells.total(parts))


@given(seed=st.integers(0, 10_000), count=st.integers(0, 200))
@settings(max_examples=60, deadline=None)
def test_cells_count_every_matter_once_in_every_metric_that_asks_it(seed, count):
    whole = matters(seed, count)
    found = told(cells.counted(whole, began=BEGAN))
    columns, made = whole.columns, dict.fromkeys(found, (0, 0))
    for row in range(count):
        spoke, settled, answered, due = (
            int(columns[name][row]) for name in ("spoke_at", "settled_at", "answered_at", "answer_due_at")
        )
        if 0 <= settled < spoke:
            continue
        kind = ["no failure", "damaged_item"][columns["type"][row]] + ["", " · high"][columns["severity"][row]]
        where = kind, whole.channels[columns["channel"][row]]
        seen = {cells.TIME_TO_RESOLUTION: settled, cells.INGEST_LAG: int(columns["reached_us_at"][row])}
        if answered >= 0 or due >= 0:
            seen[cells.FIRST_RESPONSE] = answered
        for metric, end in seen.items():
            place = int(cells.bin_of(np.array([end - spoke]))[0]) if end >= 0 else -1 - (spoke - START) // 300
            d, q = made[metric, *where, place]
            made[metric, *where, place] = (d + (end >= 0), q + (end < 0))
        flags = {name: int(columns[name][row]) for name in own.FLAGS}
        if 0 <= due <= NOW:
            flags[cells.RESPONSE_COVERAGE] = int(answered >= 0)
        for metric, flag in flags.items():
            if flag >= 0:
                d, q = made[metric, *where, 1 - flag]
                made[metric, *where, 1 - flag] = (d + 1, q)
    for row in range(len(whole.dismissed["is"])):
        kind = ["no failure", "damaged_item"][whole.dismissed["type"][row]]
        key = own.DISMISSED, kind, whole.channels[whole.dismissed["channel"][row]], 1 - int(whole.dismissed["is"][row])
        made[key] = (made[key][0] + 1, 0)
    assert made == found


@given(seed=st.integers(0, 10_000), count=st.integers(0, 200))
@settings(max_examples=40, deadline=None)
def test_a_change_added_to_what_was_counted_is_what_is_counted_now(seed, count):
    before, after = (cells.counted(matters(seed + part, count), began=BEGAN) for part in (0, 1))
    moved = cells.change(before, after)
    assert told(cells.total([before, moved])) == told(after)
    assert len(cells.change(after, after)) == 0


def test_a_bin_holds_what_lies_between_its_edges():
    seconds = np.arange(0, 90 * 86_400, 7)
    place = cells.bin_of(seconds)
    assert ((seconds <= cells.EDGES[place + 1] * (1 + 1e-6)) | (place == cells.BINS - 1)).all()
    assert (seconds >= cells.EDGES[place] * (1 - 1e-6)).all()
    assert (place == 0).tolist() == (seconds == 0).tolist()


@given(seed=st.integers(0, 10_000))
@settings(max_examples=12, deadline=None)
def test_medians_and_nine_in_ten_are_right_within_two_percent_R062(seed):
    whole = matters(seed, 40_000)
    told = cells.table([cells.aged(cells.counted(whole, began=BEGAN), began=BEGAN, at=AT)])
    cases = own.cases_of(whole)
    answer = next(each for each in cases.outcomes if each.name == cells.FIRST_RESPONSE)
    assert answer.waited is not None
    for name, waits, ended in (
        (cells.FIRST_RESPONSE, answer.waited, ~np.isnan(answer.values)),
        (cells.TIME_TO_RESOLUTION, cases.hours, cases.closed),
    ):
        metric = told.names.metrics.index(name)
        for code, channel in enumerate(cases.channels):
            rows = (cases.channel == code) & ~np.isnan(waits)
            place = told.names.channels.index(channel)
            d, q = told.d[metric, :, place].sum(axis=0), told.q[metric, :, place].sum(axis=0)
            assert int((d + q).sum()) == int(rows.sum())
            for share in (0.5, 0.9):
                exact = survival.quantile(*survival.curve(waits[rows], ended[rows]), share)
                found = cells.quantile(d, q, share)
                if exact is None or found is None or (waits[rows] >= exact).sum() < 500:
                    continue  # where few are left to wait for, a single end moves the exact value as far as a bin is wide
                # Past two days, where these matters of one day are last seen waiting all within one, a bin is what it knows.
                assert found == pytest.approx(exact * 3600, rel=0.02 if exact < 48 else cells.WIDTH)


def test_verdicts_out_of_cells_are_those_out_of_the_rows():
    whole = matters(3, 6_000)
    late = (whole.columns["channel"] == 0) & (whole.columns["answered_at"] != own.UNKNOWN)
    answered = whole.columns["answered_at"]
    answered[late] += answered[late] - whole.columns["spoke_at"][late]  # the phone waits twice as long
    answered[answered > NOW] = own.UNKNOWN
    exact = {(each.metric, each.channel): each for each in auditing.audit(own.cases_of(whole)).overall}
    lines = cells.contrasts(cells.table([cells.aged(cells.counted(whole, began=BEGAN), began=BEGAN, at=AT)]))
    mine = {(each.metric, each.channel): each for each in lines if each.metric != own.DISMISSED}
    assert set(mine) == set(exact)
    assert mine[cells.FIRST_RESPONSE, "phone"].verdict == "red"
    for key, line in mine.items():
        assert (line.verdict, line.n, line.comparable) == (exact[key].verdict, exact[key].n, exact[key].comparable)
        one, other = line.tested.effects[0], exact[key].tested.effects[0]
        assert one.kind == other.kind
        if key[0] not in cells.TIMES:
            assert one.value == pytest.approx(other.value)
        elif one.value is not None:
            assert one.value == pytest.approx(other.value, rel=0.03)


def test_where_nothing_was_counted_there_is_nothing_to_say():
    empty = cells.table([])
    assert cells.contrasts(empty) == ()
    assert len(cells.total([])) == 0
    assert cells.quantile(np.zeros(cells.BINS), np.zeros(cells.BINS), 0.5) is None
