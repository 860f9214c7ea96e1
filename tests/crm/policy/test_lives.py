"""What customers tell of their lives: what it may be used for, who may see it, when it is looked at (R166–R168)."""

from __future__ import annotations

import calendar
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.policy import lives
from crm.policy.lives import LifeEventKind, LifeSource, MomentState, Precision, Purpose, SeenBy, Valence, When

KINDS = st.sampled_from(LifeEventKind)
PARTS = st.none() | st.integers(-5, 2300)


def test_nothing_inferred_is_a_source_R167():
    assert set(LifeSource) == {LifeSource.CUSTOMER, LifeSource.REPRESENTATIVE, LifeSource.PUBLIC_POST}


@given(KINDS, st.sampled_from(Purpose))
def test_what_is_sad_has_a_name_comes_first_and_is_used_for_no_card_R168(kind, wished):
    sad = lives.valence_of(kind) == Valence.SAD
    assert lives.needs_a_name(kind) == sad
    purpose = lives.purpose_of(kind, wished)
    assert purpose == (Purpose.CONSIDERATION if sad else wished)
    assert (lives.urgency_of(kind) <= 1) == sad
    if sad:
        assert lives.moment_of(kind, purpose) == MomentState.OPEN


@given(KINDS)
def test_what_was_told_for_consideration_suggests_no_card_R167(kind):
    if lives.valence_of(kind) != Valence.SAD:
        assert lives.moment_of(kind, Purpose.CONSIDERATION) == MomentState.NONE


def test_a_death_comes_before_everything():
    others = [kind for kind in LifeEventKind if kind != LifeEventKind.BEREAVEMENT]
    assert all(lives.urgency_of(LifeEventKind.BEREAVEMENT) < lives.urgency_of(kind) for kind in others)


def test_only_an_illness_is_hidden_from_everybody_who_answers():
    assert [kind for kind in LifeEventKind if lives.seen_by_of(kind) == SeenBy.LEADS] == [LifeEventKind.ILLNESS]


@given(st.sampled_from(Precision), PARTS, PARTS, PARTS)
def test_a_day_that_is_told_right_is_in_the_calendar(precision, year, month, day):
    when = When(precision, year, month, day)
    if not lives.is_told_right(when):
        return
    has = [part is not None for part in (year, month, day)]
    assert (
        has
        == {
            Precision.DAY: [True, True, True],
            Precision.MONTH: [True, True, False],
            Precision.YEARLY: [False, True, True],
            Precision.UNKNOWN: [False, False, False],
        }[precision]
    )
    if day is not None and month is not None:
        assert 1 <= day <= calendar.monthrange(year or 2000, month)[1]


@pytest.mark.parametrize(
    "when",
    [
        When(Precision.DAY, 2026, 2, 30),
        When(Precision.YEARLY, None, 2, 30),
        When(Precision.YEARLY, 2026, 2, 3),
        When(Precision.MONTH, 2026, 13),
        When(Precision.DAY, 1850, 1, 1),
        When(Precision.UNKNOWN, day=3),
    ],
)
def test_what_no_calendar_has_is_not_told_right(when):
    assert not lives.is_told_right(when)


@given(st.dates(date(1999, 1, 1), date(2100, 1, 1)), st.integers(1, 12), st.integers(1, 31))
def test_a_yearly_day_is_looked_at_before_its_next_return(today, month, day):
    when = When(Precision.YEARLY, None, month, day)
    if lives.is_told_right(when):
        found = lives.moment_on(when, today=today)
        assert 0 <= (found - today).days <= 366
        assert (found.month, found.day) in {(month, day), (2, 28)}


@given(st.dates(), st.dates(date(1900, 1, 1), date(2200, 1, 1)))
def test_what_is_past_is_looked_at_today(today, told):
    when = When(Precision.DAY, told.year, told.month, told.day)
    assert lives.moment_on(when, today=today) == max(today, told)
    assert lives.moment_on(When(Precision.UNKNOWN), today=today) == today
