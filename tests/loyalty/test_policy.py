"""When a kindness is due, without a database."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty import policy

ZONES = ["Europe/Berlin", "America/Los_Angeles", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kathmandu", "UTC"]


def test_leap_day_is_celebrated_on_the_28th_in_ordinary_years():
    assert policy.days_celebrated(date(2026, 2, 28)) == ((2, 28), (2, 29))
    assert policy.days_celebrated(date(2028, 2, 28)) == ((2, 28),)
    assert policy.days_celebrated(date(2028, 2, 29)) == ((2, 29),)


@given(st.dates(date(2020, 1, 1), date(2040, 12, 31)), st.sampled_from(ZONES), st.text(min_size=1, max_size=60))
def test_a_card_leaves_in_the_recipients_daytime_R161(day, zone, key):
    moment = policy.moment_of_day(key, day=day, zone=ZoneInfo(zone))
    assert moment == policy.moment_of_day(key, day=day, zone=ZoneInfo(zone))
    assert moment.astimezone(ZoneInfo(zone)).date() == day
    assert 9 <= moment.astimezone(ZoneInfo(zone)).hour < 18


def test_moments_are_spread_over_the_day_R161():
    hours = [policy.moment_of_day(f"k{n}", day=date(2026, 5, 5), zone=ZoneInfo("UTC")).hour for n in range(900)]
    assert max(hours.count(hour) for hour in range(9, 18)) / len(hours) < 0.35


@pytest.mark.parametrize(("hour", "late"), [(10, False), (22, True)])
def test_a_card_after_the_day_is_worse_than_none(hour, late):
    assert (
        policy.too_late(day=date(2026, 5, 5), at=datetime(2026, 5, 5, hour, tzinfo=UTC), zone=ZoneInfo("Asia/Tokyo"))
        is late
    )


def test_every_state_has_its_line_in_the_table_of_moves():
    assert set(policy.NEXT) == set(policy.GestureState)
