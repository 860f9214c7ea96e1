"""Amounts of money."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm import money


@given(st.integers(0, 10**12), st.sampled_from(["EUR", "JPY", "KWD"]))
def test_smallest_units_and_amounts_are_the_same_money(units, currency):
    assert money.to_minor(money.from_minor(units, currency), currency) == units


@pytest.mark.parametrize(
    ("amount", "currency", "units"), [("12.34", "EUR", 1234), ("12", "JPY", 12), ("1.2345", "KWD", 1235)]
)
def test_each_currency_has_its_own_smallest_unit(amount, currency, units):
    assert money.to_minor(Decimal(amount), currency) == units


@pytest.mark.parametrize("unknown", ["", "eur", "XXX", "€"])
def test_what_is_no_currency_is_refused_G11(unknown):
    with pytest.raises(ValueError, match="no currency"):
        money.places(unknown)
