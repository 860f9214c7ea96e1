"""Who acts for a customer, and what they may be told and ask for (R089)."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from crm.policy.representation import Ask, Authority, Mandate, Scope, may, stands
from tests.conftest import NOON

HOURS = st.integers(-100, 100).map(lambda hours: NOON + timedelta(hours=hours))
MATTERS = st.none() | st.integers(1, 3)
MANDATES = st.builds(
    Mandate,
    authority=st.sampled_from(Authority),
    scope=st.sampled_from(Scope),
    matter=MATTERS,
    valid_from=HOURS,
    valid_until=st.none() | HOURS,
    ended_at=st.none() | HOURS,
)


@given(MANDATES, st.sampled_from(Ask), MATTERS, st.booleans())
def test_nobody_may_anything_by_an_authority_that_does_not_stand_R089(mandate, ask, matter, died):
    allowed = may(mandate, ask, matter=matter, principal_has_died=died, at=NOON)
    if allowed:
        assert stands(mandate, principal_has_died=died, at=NOON)
        assert mandate.valid_from <= NOON
        assert mandate.valid_until is None or mandate.valid_until > NOON
        assert mandate.ended_at is None or mandate.ended_at > NOON
        assert died == (mandate.authority == Authority.EXECUTOR)


@given(MANDATES, MATTERS, st.booleans())
def test_whoever_may_decide_may_be_told(mandate, matter, died):
    told = may(mandate, Ask.BE_TOLD, matter=matter, principal_has_died=died, at=NOON)
    assert told or not any(may(mandate, ask, matter=matter, principal_has_died=died, at=NOON) for ask in Ask)


def mandate(scope: Scope, matter: int | None = None, authority: Authority = Authority.CONSENTED) -> Mandate:
    return Mandate(authority, scope, matter, NOON, None, None)


def test_each_scope_covers_what_it_says():
    covered = {
        scope: {ask for ask in Ask if may(mandate(scope, 1), ask, matter=1, principal_has_died=False, at=NOON)}
        for scope in Scope
    }
    assert covered == {
        Scope.EVERYTHING: set(Ask),
        Scope.MATTER: set(Ask),
        Scope.MONEY: {Ask.BE_TOLD, Ask.MONEY},
        Scope.INFORMATION: {Ask.BE_TOLD},
    }
    assert not may(mandate(Scope.MATTER, 1), Ask.BE_TOLD, matter=2, principal_has_died=False, at=NOON)
    assert not may(mandate(Scope.MATTER, 1), Ask.BE_TOLD, matter=None, principal_has_died=False, at=NOON)


def test_with_a_death_the_executor_begins_and_every_other_authority_ends_P01():
    for authority in Authority:
        one = mandate(Scope.EVERYTHING, authority=authority)
        executor = authority == Authority.EXECUTOR
        assert stands(one, principal_has_died=True, at=NOON) == executor
        assert stands(one, principal_has_died=False, at=NOON) != executor
