"""What a change nobody asked for has cost, and who may say what becomes of it (R049)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.policy.service_changes import Every, ReversalState, charged, may_end_as

PRICE = Decimal("4.99")
SINCE = datetime(2026, 1, 31, 12, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))


@pytest.mark.parametrize(
    ("every", "until", "periods"),
    [
        (Every.ONCE, SINCE, 1),
        (Every.ONCE, SINCE + timedelta(days=900), 1),
        (Every.DAY, SINCE + timedelta(hours=23), 1),
        (Every.DAY, SINCE + timedelta(hours=24), 2),
        (Every.WEEK, SINCE + timedelta(days=15), 3),
        (Every.MONTH, SINCE, 1),
        (Every.MONTH, datetime(2026, 2, 28, 12, tzinfo=UTC), 1),
        (Every.MONTH, datetime(2026, 3, 31, 12, tzinfo=UTC), 3),
        (Every.YEAR, datetime(2027, 1, 31, 11, tzinfo=UTC), 1),
        (Every.YEAR, datetime(2027, 1, 31, 12, tzinfo=UTC), 2),
    ],
)
def test_every_period_that_has_begun_counts_R049(every, until, periods):
    assert charged(PRICE, every, since=SINCE, until=until) == PRICE * periods


@given(st.sampled_from(Every), MOMENTS, MOMENTS, st.timedeltas(timedelta(0), timedelta(days=900)))
def test_what_was_charged_only_rises_and_is_nothing_before_it_takes_effect_R049(every, since, until, later):
    so_far = charged(PRICE, every, since=since, until=until)
    assert so_far >= 0
    assert (so_far == 0) == (until < since)
    assert charged(PRICE, every, since=since, until=until + later) >= so_far


@given(st.sampled_from(ReversalState), st.booleans())
def test_only_the_customer_keeps_it_and_nobody_opens_it_again_R056(state, by_customer):
    allowed = may_end_as(state, by_customer=by_customer)
    assert allowed == (state != ReversalState.OPEN and (state != ReversalState.KEPT or by_customer))
