"""What a heap of reported events adds up to, and what a call leaves us to do."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.policy import AfterCall, CallEventKind, CallState, EndedBy, Happened, after_call, course_of, unfinished
from tests.conftest import NOON


def after(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def event(kind: CallEventKind, seconds: float, **more: object) -> Happened:
    return Happened(kind=kind, at=NOON + after(seconds), key=f"{kind}{seconds}", **more)  # type: ignore[arg-type]


K = CallEventKind
WHOLE = [
    event(K.RANG, 0, caller="+4930123"),
    event(K.ANSWERED, 20, colleague=7),
    event(K.HELD, 60),
    event(K.RESUMED, 90),
    event(K.HELD, 120),
    event(K.ENDED, 200, ended_by=EndedBy.CUSTOMER),
]


def test_a_whole_call_adds_up_R084():
    course = course_of(WHOLE)
    assert course.state == CallState.ENDED
    assert (course.rang_at, course.answered_at, course.ended_at) == (NOON, NOON + after(20), NOON + after(200))
    assert course.hold_seconds == 30 + 80  # the hold in which it ended counts to its end
    assert (course.caller, course.answered_by, course.ended_by) == ("+4930123", 7, EndedBy.CUSTOMER)


events = st.builds(
    Happened,
    kind=st.sampled_from(CallEventKind),
    at=st.integers(0, 600).map(lambda seconds: NOON + after(seconds)),
    key=st.text("abc", min_size=1, max_size=3),
    caller=st.sampled_from(["", "+4930123", "+4930456"]),
    colleague=st.sampled_from([None, 7, 8]),
    ended_by=st.sampled_from(EndedBy),
)
heaps = st.lists(events, min_size=1, max_size=8, unique_by=lambda e: (e.at, e.key))


@given(heaps, st.randoms())
def test_the_order_of_reports_makes_no_difference(heap, chance):
    shuffled = heap[:]
    chance.shuffle(shuffled)
    assert course_of(shuffled) == course_of(heap)


@given(heaps)
def test_every_heap_of_events_is_a_possible_call(heap):
    """What the constraints of the table ask for, whatever a phone system reports."""
    course = course_of(heap)
    assert course.rang_at == min(e.at for e in heap)
    assert (course.state == CallState.RINGING) == (course.answered_at is None and course.ended_at is None)
    assert (course.ended_at is None) == (course.ended_by is None)
    if course.ended_at is not None:
        assert course.ended_at >= (course.answered_at or course.rang_at)
        assert course.hold_began_at is None
    if course.answered_at is None:
        assert (course.answered_by, course.hold_seconds, course.hold_began_at) == (None, 0, None)
    elif course.hold_began_at is not None:
        assert course.hold_began_at >= course.answered_at
    talk = (course.ended_at or max(e.at for e in heap)) - (course.answered_at or NOON)
    assert 0 <= course.hold_seconds <= max(0, talk.total_seconds())


def left(
    events: list[Happened], at: float, *, heard: float | None = None, held: float = 0, **more: object
) -> AfterCall | None:
    course = course_of(events)
    last = max(e.at for e in events) if heard is None else NOON + after(heard)
    plain: dict[str, object] = {
        "patience": after(60),
        "noted_within": after(300),
        "noted": False,
        "said_all": None,
    }
    return after_call(course, at=NOON + after(at), held_at=NOON + after(held), heard_at=last, **{**plain, **more})  # type: ignore[arg-type]


RINGS, TALKS = WHOLE[:1], WHOLE[:2]


def ended(seconds: float, by: EndedBy) -> Happened:
    return event(K.ENDED, seconds, ended_by=by)


@pytest.mark.parametrize(
    ("what", "found"),
    [
        ("rings within patience", left(RINGS, 59) is None),
        ("rings beyond patience", left(RINGS, 60) == AfterCall.MISSED),
        ("rang long ago, told just now", left(RINGS, 3600, held=3571, heard=3571) is None),
        ("waits in sight of us", left(RINGS, 3600, patience=None) is None),
        ("waits in sight of us, forgotten", left(RINGS, 4 * 3600, patience=None) == AfterCall.SILENT),
        ("gave up, the answer may still be on its way", left([*RINGS, ended(10, EndedBy.CUSTOMER)], 20) is None),
        ("gave up", left([*RINGS, ended(10, EndedBy.CUSTOMER)], 40) == AfterCall.MISSED),
        ("talks", left(TALKS, 3600) is None),
        ("talks for ever", left(TALKS, 4 * 3600 + 20) == AfterCall.SILENT),
        ("the line broke", left([*TALKS, ended(100, EndedBy.NETWORK)], 130) == AfterCall.CUT),
        ("we hung up", left([*TALKS, ended(100, EndedBy.US)], 130) == AfterCall.CUT),
        (
            "we hung up, all was said",
            left([*TALKS, ended(100, EndedBy.US)], 130, noted=True, said_all=True) == "nothing",
        ),
        ("they hung up, not noted yet", left([*TALKS, ended(100, EndedBy.CUSTOMER)], 399) is None),
        ("they hung up, never noted", left([*TALKS, ended(100, EndedBy.CUSTOMER)], 400) == AfterCall.CUT),
        ("they hung up, noted", left([*TALKS, ended(100, EndedBy.CUSTOMER)], 130, noted=True) == AfterCall.NOTHING),
        (
            "they hung up half way",
            left([*TALKS, ended(100, EndedBy.CUSTOMER)], 130, noted=True, said_all=False) == "cut",
        ),
    ],
)
def test_what_a_call_leaves_us_to_do_R137(what, found):
    assert found, what


@pytest.mark.parametrize("by", EndedBy)
def test_a_colleagues_word_goes_before_how_the_talk_ended(by):
    assert unfinished(by, said_all=True) is False
    assert unfinished(by, said_all=False) is True
    assert unfinished(by, said_all=None) is (by in (EndedBy.US, EndedBy.NETWORK))
