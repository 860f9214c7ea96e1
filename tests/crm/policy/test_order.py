"""The one order: nobody is overtaken without end, and it cannot read where somebody spoke (domain.md C.6)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.policy import CREDIT_GUARD, QueueClass, needs_a_reason, pull_key, queue_key
from tests.conftest import NOON

SHORTEST, LONGEST = 1, 24


@dataclass(frozen=True)
class Waiting:
    number: int
    spoke: int
    promise: int
    queue_class: int = QueueClass.ORDINARY

    @property
    def key(self) -> tuple[int, datetime, datetime, int]:
        spoke_at = NOON + timedelta(hours=self.spoke)
        return queue_key(
            queue_class=self.queue_class,
            due_at=spoke_at + timedelta(hours=self.promise),
            spoke_at=spoke_at,
            number=self.number,
        )


arrivals = st.lists(st.tuples(st.integers(0, 60), st.integers(SHORTEST, LONGEST)), min_size=1, max_size=60).map(
    lambda rows: [Waiting(number, spoke, promise) for number, (spoke, promise) in enumerate(rows)]
)


def served(matters: list[Waiting], *, colleagues: int) -> list[Waiting]:
    """The order in which matters are taken when each colleague takes the head once an hour."""
    waiting, taken, hour = list(matters), [], 0
    while waiting:
        here = sorted((matter for matter in waiting if matter.spoke <= hour), key=lambda matter: matter.key)
        for head in here[:colleagues]:
            waiting.remove(head)
            taken.append(head)
        hour += 1
    return taken


@given(arrivals, st.integers(1, 3))
def test_only_those_who_spoke_soon_enough_after_overtake(matters: list[Waiting], colleagues: int):
    order = served(matters, colleagues=colleagues)
    for place, matter in enumerate(order):
        overtook = [other for other in order[:place] if other.spoke > matter.spoke]
        # Whatever the load and however long it waits: the bound does not grow with the wait.
        assert all(other.spoke <= matter.spoke + matter.promise - SHORTEST for other in overtook)


@given(arrivals, st.integers(1, 50))
def test_nobody_starves_under_a_stream_of_short_promises(matters: list[Waiting], more: int):
    """One more short promise every hour for ever: everybody is served before what speaks after their own time has come."""
    stream = [Waiting(1000 + hour, hour, SHORTEST) for hour in range(60 + LONGEST + more)]
    order = served([*matters, *stream], colleagues=1)
    for matter in matters:
        before = order[: order.index(matter)]
        assert len([other for other in before if other.number >= 1000]) <= matter.spoke + matter.promise - SHORTEST + 1


@given(arrivals, st.data())
def test_only_critical_harm_goes_before_an_earlier_promise(matters: list[Waiting], data: st.DataObject):
    chosen = data.draw(st.sets(st.sampled_from([matter.number for matter in matters])))
    mixed = [
        Waiting(m.number, m.spoke, m.promise, QueueClass.CRITICAL if m.number in chosen else QueueClass.ORDINARY)
        for m in matters
    ]
    order = sorted(mixed, key=lambda matter: matter.key)
    classes = [matter.queue_class for matter in order]
    assert classes == sorted(classes)
    for one, two in pairwise(order):
        assert one.queue_class < two.queue_class or one.spoke + one.promise <= two.spoke + two.promise


@given(st.integers(0, 2000), st.booleans())
def test_a_reason_is_asked_exactly_when_somebody_is_passed_over_or_it_is_not_theirs_E09(ahead: int, theirs: bool):
    assert needs_a_reason(ahead=ahead, is_theirs_to_take=theirs) == (ahead > 0 or not theirs)


# --- while a credit puts something right (domain.md C.7) ------------------------------------------------------------------

HOUR = timedelta(hours=1)
credited = st.tuples(
    st.sampled_from(list(QueueClass)), st.integers(0, 40), st.integers(SHORTEST, LONGEST), st.integers(0, 12)
)


def places(rows: list[tuple[int, int, int, int]], *, at: int) -> list[tuple[tuple, tuple, datetime, timedelta]]:
    """Of each: its place in the queue, its place at a pull, its due time and its credit in hours."""
    found = []
    for number, (queue_class, spoke, promise, credit) in enumerate(rows):
        spoke_at = NOON + spoke * HOUR
        row = {"queue_class": queue_class, "due_at": spoke_at + promise * HOUR, "spoke_at": spoke_at, "number": number}
        guarded_until = NOON + at * HOUR + CREDIT_GUARD
        pulled = pull_key(**row, credit=credit * HOUR, guarded_until=guarded_until)
        found.append((queue_key(**row), pulled, row["due_at"], credit * HOUR))
    return found


@given(st.lists(credited, min_size=2, max_size=30), st.integers(0, 60))
def test_a_credit_borrows_slack_never_service_R067(rows: list[tuple[int, int, int, int]], at: int):
    """Who is passed over has time left, is passed by no more than the credit, and is no critical harm; none is put back."""
    found = places(rows, at=at)
    for one in found:
        for other in found:
            if one[1] < other[1] and other[0] < one[0]:  # a credit moved one before the other
                assert one[0][0] == other[0][0] == QueueClass.ORDINARY
                assert other[2] >= NOON + at * HOUR + CREDIT_GUARD
                assert one[2] - other[2] <= one[3]


@given(st.lists(credited, min_size=1, max_size=30), st.integers(0, 60))
def test_without_credits_the_pull_is_the_queue_s_own_order(rows: list[tuple[int, int, int, int]], at: int):
    found = places([(*row[:3], 0) for row in rows], at=at)
    assert sorted(found, key=lambda each: each[1]) == sorted(found, key=lambda each: each[0])


@given(st.integers(1, 10_000))
def test_a_negative_credit_cannot_be(minutes: int):
    with pytest.raises(ValueError, match="nobody is pushed back"):
        pull_key(
            queue_class=QueueClass.ORDINARY, due_at=NOON, spoke_at=NOON, number=1, credit=-minutes * HOUR, guarded_until=NOON
        )  # fmt: skip


@given(arrivals, st.integers(1, 3), st.integers(0, 12), st.integers(0, 3))
def test_with_credits_too_nobody_is_overtaken_without_end(
    matters: list[Waiting], colleagues: int, most: int, lifted: int
):
    """Proposition 2 with the bound of credits on top: T_i − T_min + b_max, however long somebody waits."""
    waiting, order, hour = list(matters), [], 0
    while waiting:
        guarded_until = NOON + hour * HOUR + CREDIT_GUARD
        here = sorted(
            (matter for matter in waiting if matter.spoke <= hour),
            key=lambda matter: pull_key(
                queue_class=matter.queue_class, due_at=matter.key[1], spoke_at=matter.key[2], number=matter.number,
                credit=most * HOUR if matter.number % 4 < lifted else 0 * HOUR, guarded_until=guarded_until,
            ),
        )  # fmt: skip
        for head in here[:colleagues]:
            waiting.remove(head)
            order.append(head)
        hour += 1
    for place, matter in enumerate(order):
        overtook = [other for other in order[:place] if other.spoke > matter.spoke]
        assert all(other.spoke <= matter.spoke + matter.promise - SHORTEST + most for other in overtook)
