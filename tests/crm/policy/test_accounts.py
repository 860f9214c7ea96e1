"""What an account may see, whatever comes together."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from crm.policy.accounts import (
    DATA_ASKED_AFTER,
    PROOF_LASTS,
    UNDONE_WITHIN,
    Sight,
    SightFacts,
    is_within,
    may_ask_for_their_data,
    sight,
)
from tests.conftest import NOON

moments = st.none() | st.datetimes(
    min_value=datetime(2026, 2, 1), max_value=datetime(2026, 4, 1), timezones=st.just(NOON.tzinfo)
)
facts = st.builds(
    SightFacts,
    proved_here=st.booleans(),
    is_living=st.booleans(),
    second_proof=st.booleans(),
    address_changed_at=moments,
)


@given(facts)
def test_the_history_takes_the_address_and_a_second_proof_and_a_day_of_rest_C04_C07(one: SightFacts) -> None:
    found = sight(one, at=NOON)
    if found == Sight.HISTORY:
        assert one.proved_here
        assert one.is_living
        assert one.second_proof
        assert one.address_changed_at is None or NOON - one.address_changed_at >= UNDONE_WITHIN
    if not one.proved_here or not one.is_living:
        assert found == Sight.NOTHING


@given(facts)
def test_a_second_proof_alone_opens_nothing_and_never_closes_anything_C04(one: SightFacts) -> None:
    order = [Sight.NOTHING, Sight.FROM_NOW, Sight.HISTORY]
    without, with_it = (
        sight(SightFacts(one.proved_here, one.is_living, proof, one.address_changed_at), at=NOON)
        for proof in (False, True)
    )
    assert order.index(without) <= order.index(with_it)
    assert without != Sight.HISTORY


@given(moments, moments)
def test_nobody_gets_a_copy_of_everything_within_a_week_of_a_change_P06(
    changed: datetime | None, shown: datetime | None
) -> None:
    may = may_ask_for_their_data(address_changed_at=changed, second_factor_at=shown, at=NOON)
    assert may == (
        shown is not None and NOON - shown < PROOF_LASTS and (changed is None or NOON - changed >= DATA_ASKED_AFTER)
    )


def test_a_change_that_is_dated_later_holds_too() -> None:
    assert is_within(UNDONE_WITHIN, since=NOON + timedelta(minutes=1), at=NOON)
    assert not is_within(UNDONE_WITHIN, since=None, at=NOON)
