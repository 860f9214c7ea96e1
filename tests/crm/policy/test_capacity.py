"""Who may take what: load, presence, concurrency, certificates; and handing over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.policy import (
    LineOfWork,
    Matter,
    Person,
    RefusalReason,
    WorkMode,
    effort,
    goes_in_a_circle,
    is_locked,
    is_small_team,
    may_take,
    may_write_publicly,
)

HERE = Person()


@pytest.mark.parametrize(
    ("person", "matter", "refused"),
    [
        (HERE, Matter(), None),
        (Person(is_active=False), Matter(is_theirs=True), RefusalReason.NOT_HERE),
        (Person(share=0), Matter(), RefusalReason.NO_SHARE),
        (Person(is_away=True), Matter(), RefusalReason.AWAY),
        (Person(is_on_shift=False), Matter(), RefusalReason.OFF_SHIFT),
        (Person(load=119), Matter(effort=2), RefusalReason.OVERLOADED),
        (Person(load=118), Matter(effort=2), None),
        (Person(load=59, share=50), Matter(effort=2), RefusalReason.OVERLOADED),
        (Person(load=500, share=0, is_on_shift=False), Matter(is_theirs=True), None),
        (Person(in_work={WorkMode.TALK: 1}), Matter(mode=WorkMode.TALK), RefusalReason.TOO_MANY_AT_ONCE),
        (Person(in_work={WorkMode.LIVE: 2}), Matter(mode=WorkMode.LIVE), None),
        (Person(in_work={WorkMode.LIVE: 3}), Matter(mode=WorkMode.LIVE), RefusalReason.TOO_MANY_AT_ONCE),
        (Person(in_work={WorkMode.LIVE: 3}), Matter(mode=WorkMode.WRITTEN), None),
        (Person(in_work={WorkMode.WRITTEN: 5}), Matter(is_theirs=True), RefusalReason.TOO_MANY_AT_ONCE),
        (Person(in_work={WorkMode.WRITTEN: 5}), Matter(mode=None), None),
        (HERE, Matter(demanded_skill="conduct"), RefusalReason.NOT_CERTIFIED),
        (Person(skills=frozenset({"conduct"})), Matter(demanded_skill="conduct"), None),
        (Person(ended=frozenset({"conduct"})), Matter(demanded_skill="conduct"), RefusalReason.CERTIFICATE_ENDED),
    ],
)
def test_the_router_refuses_and_says_why_R115_R118(person: Person, matter: Matter, refused: RefusalReason | None):
    assert may_take(person, matter) == refused


@given(st.integers(0, 400), st.integers(0, 100), st.integers(0, 400))
def test_a_full_desk_is_one_that_takes_no_ordinary_matter_more_R115(load: int, share: int, points: int):
    person = Person(load=load, share=share, points=points)
    assert person.is_full == (
        may_take(Person(load=load, share=max(share, 1), points=points), Matter()) is not None
    ) or (share == 0)


@given(st.booleans(), st.booleans(), st.integers(0, 500), st.integers(0, 500))
def test_a_longer_matter_never_weighs_less_and_never_without_bound_R141(us, critical, contacts, more):
    def weight(number: int) -> int:
        return effort(waits_for_us=us, is_critical=critical, contacts=number)

    assert 1 <= weight(contacts) <= weight(contacts + more) <= 8


def test_what_waits_for_us_and_what_is_critical_weighs_more_R141():
    assert [
        effort(waits_for_us=True, is_critical=False, contacts=1),
        effort(waits_for_us=False, is_critical=False, contacts=1),
        effort(waits_for_us=True, is_critical=True, contacts=1),
        effort(waits_for_us=True, is_critical=False, contacts=10),
    ] == [2, 1, 4, 4]


def test_after_two_hand_offs_it_stays_R133():
    assert [is_locked(number) for number in range(4)] == [False, False, True, True]
    assert goes_in_a_circle([7], to=7)
    assert not goes_in_a_circle([7], to=8)


@pytest.mark.parametrize("line", LineOfWork)
@pytest.mark.parametrize("demanded", [True, False])
def test_it_developers_and_interns_write_in_public_only_when_certified_R112_R113(line: LineOfWork, demanded: bool):
    assert may_write_publicly(line, is_certified=True, is_demanded=demanded)
    alone = may_write_publicly(line, is_certified=False, is_demanded=demanded)
    assert alone == (line == LineOfWork.SERVICE and not demanded)


def test_a_small_team_is_below_ten_R147():
    assert [is_small_team(number) for number in (1, 9, 10)] == [True, True, False]
