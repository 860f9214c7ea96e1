"""When a planned answer may leave, on whose clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.policy import PLANNED_AT_MOST, NoSuchTime, may_leave_at, moment_in, zone_of
from tests.conftest import NOON

BERLIN = ZoneInfo("Europe/Berlin")


def test_a_time_is_meant_on_the_clock_of_the_zone_X14():
    assert moment_in(BERLIN, datetime(2026, 3, 3, 9, 30)) == datetime(2026, 3, 3, 8, 30, tzinfo=UTC)
    assert moment_in(ZoneInfo("Asia/Kathmandu"), datetime(2026, 3, 3, 9, 30)) == datetime(2026, 3, 3, 3, 45, tzinfo=UTC)


def test_a_time_that_the_clocks_jump_over_is_refused_with_a_sentence_X14():
    with pytest.raises(NoSuchTime, match=r"02:30 .*Europe/Berlin"):
        moment_in(BERLIN, datetime(2026, 3, 29, 2, 30))
    moment_in(BERLIN, datetime(2026, 3, 29, 1, 59))
    moment_in(BERLIN, datetime(2026, 3, 29, 3, 0))


def test_of_a_time_that_comes_twice_the_first_is_meant_X14():
    assert moment_in(BERLIN, datetime(2026, 10, 25, 2, 30)) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert moment_in(BERLIN, datetime(2026, 10, 25, 2, 30, fold=1)) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize("year", [1, 9999])
def test_the_ends_of_time_are_refused_too(year):
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        try:
            moment = moment_in(ZoneInfo(zone), datetime(year, 1, 1) if year == 1 else datetime(year, 12, 31, 23, 59))
        except NoSuchTime:
            continue
        assert may_leave_at(moment, due_at=None, at=NOON) in ("past", "too_far")


@given(local=st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2030, 1, 1)))
def test_a_moment_reads_on_that_clock_as_it_was_chosen_or_is_refused(local):
    try:
        moment = moment_in(BERLIN, local)
    except NoSuchTime:
        return
    assert moment.astimezone(BERLIN).replace(tzinfo=None) == local.replace(fold=0)


def test_an_unknown_zone_is_the_houses():
    assert zone_of("", otherwise="Europe/Berlin") == zone_of("Mars/Base", otherwise="Europe/Berlin") == BERLIN
    assert zone_of("../etc/passwd", otherwise="Europe/Berlin") == BERLIN
    assert zone_of("Asia/Tokyo", otherwise="Europe/Berlin").key == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("moment", "due_at", "expected"),
    [
        (NOON, None, "past"),
        (NOON + timedelta(seconds=1), None, ""),
        (NOON + PLANNED_AT_MOST, None, ""),
        (NOON + PLANNED_AT_MOST + timedelta(seconds=1), None, "too_far"),
        (NOON + timedelta(hours=1), NOON + timedelta(hours=1), ""),
        (NOON + timedelta(hours=1, seconds=1), NOON + timedelta(hours=1), "after_promise"),
        (NOON + timedelta(hours=1), NOON - timedelta(hours=1), "after_promise"),
    ],
)
def test_a_planned_answer_leaves_within_ninety_days_and_before_what_is_promised_X14(moment, due_at, expected):
    assert may_leave_at(moment, due_at=due_at, at=NOON) == expected
