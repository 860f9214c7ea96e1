"""crm's decisions, without a database."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from crm import policy
from crm.policy import (
    CONVERSATION_NEXT,
    OUTGOING_NEXT,
    ConversationState,
    MessageKind,
    OutgoingState,
    PromiseKind,
    StopFacts,
    WorkState,
)
from tests.conftest import NOON

times = st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2040, 1, 1), timezones=st.just(UTC))


def test_every_state_has_its_line_in_the_table_of_moves():
    assert set(CONVERSATION_NEXT) == set(ConversationState)
    assert set(OUTGOING_NEXT) == set(OutgoingState)


def test_what_was_accepted_or_stopped_for_good_moves_no_more():
    assert not OUTGOING_NEXT[OutgoingState.ACCEPTED]
    assert not OUTGOING_NEXT[OutgoingState.CANCELLED]


@given(times, st.booleans())
def test_everybody_is_promised_a_first_answer_within_the_same_time(spoke_at, spoken):
    promised = {p.kind: p.due_at for p in policy.default_promises(spoke_at, spoken=spoken, calendar=policy.ALWAYS)}
    assert promised[PromiseKind.FIRST_RESPONSE] == spoke_at + timedelta(hours=8)
    assert (PromiseKind.CONFIRMATION in promised) == spoken


@given(st.lists(st.tuples(st.integers(0, 1), times, times, st.integers(1, 10**6)), min_size=2, max_size=30))
def test_the_queue_serves_critical_harm_then_the_earliest_promise_then_who_spoke_first(places):
    keys = sorted(policy.queue_key(queue_class=c, due_at=d, spoke_at=s, number=n) for c, d, s, n in places)
    for earlier, later in pairwise(keys):
        assert earlier <= later
        assert earlier[0] <= later[0]
        if earlier[0] == later[0]:
            assert earlier[1] <= later[1]


def test_a_returning_customer_reaches_the_same_person_R135():
    assert policy.owner_for("any", staff=[1, 2, 3], previous_owner=2) == 2
    assert policy.owner_for("any", staff=[1, 3], previous_owner=2) in (1, 3)
    assert policy.owner_for("any", staff=[], previous_owner=2) is None


def test_new_conversations_are_spread_evenly_and_always_the_same_way():
    shares = Counter(policy.owner_for(f"c{n}", staff=[1, 2, 3, 4], previous_owner=None) for n in range(4000))
    assert all(850 < share < 1150 for share in shares.values())
    assert policy.owner_for("c1", staff=[4, 3, 2, 1], previous_owner=None) == policy.owner_for(
        "c1", staff=[1, 2, 3, 4], previous_owner=None
    )


def test_promises_only_become_earlier():
    assert policy.appended(None, due_at=NOON)
    assert policy.appended(NOON, due_at=NOON - timedelta(seconds=1))
    assert not policy.appended(NOON, due_at=NOON)
    assert not policy.appended(NOON, due_at=NOON + timedelta(hours=1))


@given(st.integers(1, 60), st.floats(0, 1))
def test_waiting_between_attempts_grows_and_stays_bounded_F29(attempt, spread):
    wait = policy.next_attempt_at(attempt, at=NOON, spread=spread) - NOON
    assert timedelta(minutes=5) <= wait <= timedelta(minutes=264)


def test_words_may_be_repeated_value_waits_for_a_person_Q4():
    assert policy.after_unknown_outcome(has_value=False) == OutgoingState.READY
    assert policy.after_unknown_outcome(has_value=True) == OutgoingState.HELD


def test_service_is_owed_and_kindness_needs_leave_R168():
    def reason(**changes: object) -> str:
        facts = {
            "kind": MessageKind.GESTURE,
            "customer_status": "active",
            "has_outreach_hold": False,
            "has_consent": True,
        }
        return policy.reason_to_stop(StopFacts(**{**facts, **changes}))

    assert reason() == ""
    assert reason(has_outreach_hold=True) == "outreach_on_hold"
    assert reason(has_consent=False) == "no_consent"
    assert reason(customer_status="deceased") == "customer_deceased"
    assert reason(kind=MessageKind.SERVICE, has_outreach_hold=True, has_consent=False) == ""
    assert reason(kind=MessageKind.SERVICE, customer_status="erased") == "customer_erased"


def test_bad_work_is_parked_after_three_attempts_F24():
    assert [policy.after_failure(n) for n in (1, 2, 3)] == [WorkState.READY, WorkState.READY, WorkState.PARKED]


def test_a_conversation_closes_only_when_nothing_is_promised():
    assert policy.may_close([])
    assert not policy.may_close([PromiseKind.FIRST_RESPONSE])


@given(st.lists(st.one_of(st.none(), times), max_size=5))
def test_the_earliest_of_some_due_times(due):
    known = [moment for moment in due if moment is not None]
    assert policy.earliest(due) == (min(known) if known else None)
