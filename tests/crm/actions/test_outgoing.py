"""What leaves: claimed under a lease, handed over once, with its true state; over SMTP, to a server that misbehaves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.db.models.functions import Now

from crm import history
from crm.actions import consent, customers, desk, holds, intake, outcomes, outgoing
from crm.channels.smtp import message_id
from crm.models import Conversation, Customer, HistoryEntry, OutgoingMessage, Promise
from crm.policy import ConversationState, MessageKind, OutgoingState
from tests.conftest import NOON
from tests.crm import stories
from tests.crm.allowing import allows
from tests.faults.harness import Sink, wait_for
from tests.faults.threads import at_once

LATER = NOON + timedelta(hours=5)
ONE_CLICK = {
    "List-Unsubscribe": "<https://shop.example/stop/x/>",
    "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
}


@pytest.fixture
def sink(tmp_path: Path, settings: Any) -> Iterator[Sink]:
    sink = Sink(tmp_path / "ledger")
    sink.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", sink.port, 20
    yield sink
    sink.release.set()
    sink.stop()


def customer(name: str = "Carla") -> Customer:
    return customers.welcome(name, at=NOON)


def draft(key: str = "k", **changes: Any) -> outgoing.Draft:
    plain: dict[str, Any] = {
        "key": key,
        "kind": MessageKind.SERVICE,
        "channel": "email",
        "address": f"{key}@home.example",
        "subject": "Your lamp",
        "text": "A new one leaves today.",
    }
    return outgoing.Draft(**{**plain, **changes})


def queued(key: str = "k", **changes: Any) -> OutgoingMessage:
    return outgoing.queue(draft(key, **changes), customer=customer(), at=NOON)


def answered(address: str = "carla@home.example") -> OutgoingMessage:
    """A customer's question and our answer to it, not sent yet."""
    received = intake.receive(stories.message(sender_address=address, text="Which size fits?"), at=NOON, origin="test")
    return desk.answer(received.conversation.pk, text="The small one.", by=stories.colleague(), at=NOON)


def now(message: OutgoingMessage) -> OutgoingMessage:
    return OutgoingMessage.objects.get(pk=message.pk)


def lose_worker_of(*messages: OutgoingMessage) -> None:
    """The lease of these rows has run out, as when their worker was killed."""
    OutgoingMessage.objects.filter(pk__in=[one.pk for one in messages]).update(lease_until=Now() - timedelta(seconds=1))


def first_answer(message: OutgoingMessage) -> Promise:
    return Promise.objects.get(conversation=message.conversation_id, kind="first_response")


@contextmanager
def beside(job: Callable[[], Any]) -> Iterator[threading.Thread]:
    """A worker in a thread of its own, waited for at the end."""

    def run() -> None:
        try:
            job()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield thread
    thread.join(30)
    assert not thread.is_alive()


def drain(at: Any = NOON) -> None:
    for _ in range(200):
        if not outgoing.send_batch(at=at):
            return
    raise AssertionError("the lane is never empty")


# --- once ----------------------------------------------------------------------------------------------------------


def test_workers_that_race_for_the_same_rows_send_each_once(transactional_db: None, sink: Sink):
    """Q4, I2."""
    messages = [queued(f"k{number}") for number in range(60)]

    assert not [trouble for trouble in at_once(*[drain] * 4) if trouble]

    assert sorted(line["to"] for line in sink.ledger.lines()) == sorted(one.address for one in messages)
    assert set(OutgoingMessage.objects.values_list("state", "unknown_outcomes", "attempt")) == {("accepted", 0, 1)}


def test_the_same_key_queued_by_eight_at_once_is_one_message(transactional_db: None):
    carla = customer()

    results = at_once(*[lambda: outgoing.queue(draft(), customer=carla, at=NOON).pk] * 8)

    assert len(set(results)) == 1
    assert OutgoingMessage.objects.count() == 1
    assert HistoryEntry.objects.filter(verb="message.queued").count() == 1


def test_the_same_key_with_other_words_is_refused_and_changes_nothing(db: None):
    message = queued()

    with pytest.raises(outgoing.DifferentContent):
        queued(text="Something else.")
    with pytest.raises(outgoing.DifferentContent):
        queued(address="somebody.else@home.example")

    assert (now(message).text, OutgoingMessage.objects.count()) == ("A new one leaves today.", 1)


def test_what_is_not_due_yet_waits(db: None, sink: Sink):
    message = outgoing.queue(draft(), customer=customer(), at=NOON, send_after=LATER)

    assert outgoing.send_batch(at=NOON) == 0
    drain(at=LATER)

    assert now(message).state == OutgoingState.ACCEPTED


# --- lost workers --------------------------------------------------------------------------------------------------


def test_a_row_whose_worker_died_before_handing_over_is_sent_by_the_next_without_any_doubt(db: None, sink: Sink):
    """F06."""
    message = queued()
    OutgoingMessage.objects.update(state=OutgoingState.CLAIMED, attempt=1, lease_until=Now())
    lose_worker_of(message)

    drain()

    assert (now(message).state, now(message).unknown_outcomes, now(message).attempt) == ("accepted", 0, 2)


def test_a_row_whose_worker_died_takes_no_other_with_it_F24(db: None, sink: Sink):
    several = [queued(f"note{number}", address=f"note{number}@home.example") for number in range(4)]
    for seconds, message in zip((9, 8), several[2:], strict=True):
        OutgoingMessage.objects.filter(pk=message.pk).update(
            state=OutgoingState.CLAIMED, attempt=1, lease_until=Now() - timedelta(seconds=seconds)
        )
    assert [outgoing.send_batch(at=NOON) for _again in range(4)] == [1, 1, 2, 0]
    assert [now(one).attempt for one in several] == [1, 1, 2, 2]
    assert [one["to"] for one in sink.ledger.lines()] == [several[number].address for number in (2, 3, 0, 1)]


def test_a_row_under_a_lease_is_nobody_else_s(db: None, sink: Sink):
    queued()
    OutgoingMessage.objects.update(state=OutgoingState.CLAIMED, attempt=1, lease_until=Now() + timedelta(seconds=60))

    assert outgoing.send_batch(at=NOON) == 0
    assert sink.ledger.lines() == []


def test_a_worker_that_died_while_handing_over_leaves_an_unknown_outcome_and_the_same_id_for_the_repeat(
    db: None, sink: Sink
):
    """F07."""
    message = queued()
    OutgoingMessage.objects.update(state=OutgoingState.HANDING, attempt=1, lease_until=Now())
    lose_worker_of(message)

    outgoing.send_batch(at=NOON)
    waiting = now(message)
    assert (waiting.state, waiting.unknown_outcomes) == (OutgoingState.READY, 1)
    assert waiting.send_after >= NOON + timedelta(minutes=5)
    drain(at=LATER)

    assert now(message).state == OutgoingState.ACCEPTED
    assert [line["message_id"] for line in sink.ledger.lines()] == [message_id(message.public_id)]


def test_value_with_an_unknown_outcome_is_held_until_a_person_decides(db: None, sink: Sink):
    """Q4."""
    message = queued(has_value=True)
    OutgoingMessage.objects.update(state=OutgoingState.HANDING, attempt=1, lease_until=Now())
    lose_worker_of(message)

    drain(at=LATER)
    assert (now(message).state, sink.ledger.lines()) == (OutgoingState.HELD, [])
    outgoing.release(message.pk, by=stories.colleague(), at=LATER)
    drain(at=LATER)

    assert now(message).state == OutgoingState.ACCEPTED


def test_a_sleeper_whose_row_was_only_put_back_still_knows_that_it_arrived(transactional_db: None, sink: Sink):
    """F09: nobody has taken the row up again, so the acceptance counts and nothing is sent twice."""
    message = queued()
    sink.behave(message.address, "accept and wait")
    with beside(lambda: outgoing.send_batch(at=NOON)):
        sink.wait_until_holding(message.address)
        lose_worker_of(message)
        outgoing.send_batch(at=NOON)
        assert now(message).state == OutgoingState.READY
        sink.release.set()

    assert (now(message).state, now(message).unknown_outcomes) == (OutgoingState.ACCEPTED, 1)
    assert len(sink.ledger.lines()) == 1


def test_a_sleeper_whose_row_another_worker_has_sent_changes_nothing(transactional_db: None, sink: Sink):
    """F09: the fence is the attempt's number."""
    message = queued()
    sink.behave(message.address, "accept and wait")
    with beside(lambda: outgoing.send_batch(at=NOON)):
        sink.wait_until_holding(message.address)
        lose_worker_of(message)
        drain(at=NOON)
        drain(at=LATER)
        assert now(message).accepted_at == LATER
        sink.release.set()

    assert (now(message).accepted_at, now(message).unknown_outcomes) == (LATER, 1)
    assert HistoryEntry.objects.filter(verb="message.accepted").count() == 1


def test_in_a_slow_batch_each_row_has_a_whole_lease_and_a_time_of_its_own(transactional_db: None, sink: Sink):
    """F28: what is accepted at the end of a slow batch was not accepted when the batch began."""
    slow, behind = queued("slow"), queued("behind")
    sink.behave(slow.address, "accept and wait")
    sink.behave(behind.address, "accept and wait")
    with beside(lambda: outgoing.send_batch(at=NOON)):
        sink.wait_until_holding(slow.address)
        lose_worker_of(behind)
        time.sleep(1.1)  # at least a whole second passes
        sink.release.set()
        sink.wait_until_holding(behind.address)

    assert now(slow).accepted_at >= NOON + timedelta(seconds=1)
    assert now(behind).accepted_at >= NOON + timedelta(seconds=1)
    assert (now(behind).state, now(behind).unknown_outcomes) == (OutgoingState.ACCEPTED, 0)


def test_a_row_that_begins_to_be_handed_over_has_its_whole_lease(transactional_db: None, sink: Sink):
    message = queued()
    sink.behave(message.address, "accept and wait")
    with beside(lambda: outgoing.send_batch(at=NOON)):
        sink.wait_until_holding(message.address)
        left = OutgoingMessage.objects.filter(
            state=OutgoingState.HANDING, lease_until__gt=Now() + timedelta(seconds=30)
        )
        assert left.exists()
        sink.release.set()


# --- what the other side says --------------------------------------------------------------------------------------


def test_an_answer_keeps_its_promise_when_it_is_accepted_and_not_before(db: None, sink: Sink):
    message = answered()
    assert first_answer(message).met_at is None

    drain(at=NOON + timedelta(hours=1))

    assert first_answer(message).met_at == NOON + timedelta(hours=1)


def test_a_temporary_refusal_waits_longer_each_time_and_is_given_up_after_four_days(db: None, sink: Sink):
    """F29: and then the matter is back on its owner's desk, its promise unkept."""
    message = answered()
    sink.behave(message.address, *["451"] * 40)
    at, waits = NOON, []
    while now(message).state == OutgoingState.READY:
        drain(at=at)
        waits.append(now(message).send_after - at)
        at = max(now(message).send_after, at + timedelta(minutes=1))

    assert waits[:3] == sorted(waits[:3])
    assert timedelta(minutes=5) <= waits[0] <= timedelta(minutes=5.5)
    assert (now(message).state, now(message).unknown_outcomes) == (OutgoingState.PARKED, 0)
    assert timedelta(days=4) < at - NOON < timedelta(days=4, hours=9)
    assert first_answer(message).met_at is None
    assert Conversation.objects.get(pk=message.conversation_id).state == ConversationState.OPEN
    assert HistoryEntry.objects.filter(verb="message.parked").count() == 1


def test_a_refusal_for_good_puts_the_matter_back_and_fails_nobody_else(db: None, sink: Sink):
    """F30."""
    message, other = answered(), answered("other@home.example")
    sink.behave(message.address, "550")

    drain()

    assert (now(message).state, now(other).state) == (OutgoingState.REFUSED, OutgoingState.ACCEPTED)
    assert Conversation.objects.get(pk=message.conversation_id).state == ConversationState.OPEN
    assert first_answer(message).met_at is None


def test_a_server_that_hangs_up_with_its_refusal_leaves_no_doubt_about_the_next_message(db: None, sink: Sink):
    """F29: after 421 the line is dead; what comes next goes over a new one instead of counting as unknown."""
    first, second = queued("first"), queued("second", has_value=True)
    sink.behave(first.address, "421")

    drain()

    assert (now(first).state, now(first).unknown_outcomes) == (OutgoingState.READY, 0)
    assert (now(second).state, now(second).unknown_outcomes) == (OutgoingState.ACCEPTED, 0)


def test_a_line_that_breaks_after_the_words_is_an_unknown_outcome(db: None, sink: Sink):
    """F32."""
    message = queued()
    sink.behave(message.address, "accept and close")

    drain()

    assert (now(message).state, now(message).unknown_outcomes) == (OutgoingState.READY, 1)


def test_a_server_that_says_nothing_ends_by_time_limit_and_the_next_message_goes_on(
    db: None, sink: Sink, settings: Any
):
    """F28."""
    settings.EMAIL_TIMEOUT = 1
    silent, behind = queued("silent"), queued("behind")
    sink.behave(silent.address, "hang")

    drain()

    assert (now(silent).state, now(silent).unknown_outcomes) == (OutgoingState.READY, 1)
    assert now(behind).state == OutgoingState.ACCEPTED


def test_when_nobody_answers_no_attempt_is_burnt(db: None, sink: Sink):
    """F31."""
    messages = [queued(f"k{number}") for number in range(3)]
    sink.stop()

    assert outgoing.send_batch(at=NOON) == 0

    for message in messages:
        assert (now(message).state, now(message).failures, now(message).unknown_outcomes) == (OutgoingState.READY, 0, 0)
        assert now(message).send_after == NOON + outcomes.UNREACHABLE_AGAIN_AFTER


def test_a_message_that_cannot_be_handed_over_at_all_stops_no_other_and_is_parked_after_three_times(
    db: None, sink: Sink
):
    """F24: an address that no mail program can write to (one from before intake refused it); the owner gets it back."""
    poison, behind = answered("carla@home.example"), answered("other@home.example")
    OutgoingMessage.objects.filter(pk=poison.pk).update(address="carla@x@home.example")

    drain()
    assert now(behind).state == OutgoingState.ACCEPTED
    assert now(poison).state == OutgoingState.READY
    drain(at=LATER)
    drain(at=LATER + timedelta(hours=1))

    assert now(poison).state == OutgoingState.PARKED
    assert "carla" not in now(poison).reason
    assert Conversation.objects.get(pk=poison.conversation_id).state == ConversationState.OPEN
    assert HistoryEntry.objects.filter(verb="message.outcome_unknown").count() == 3


def test_after_three_unknown_outcomes_a_person_looks_before_there_may_be_a_fourth_copy(db: None, sink: Sink):
    """F28, Q4: a server that takes the words and never says so gets them three times, not for four days."""
    message = answered()
    sink.behave(message.address, *["accept and close"] * 9)
    for hours in range(0, 100, 5):
        drain(at=NOON + timedelta(hours=hours))

    assert (now(message).state, now(message).unknown_outcomes) == (OutgoingState.PARKED, 3)
    assert len(sink.ledger.lines()) == 3
    assert Conversation.objects.get(pk=message.conversation_id).state == ConversationState.OPEN
    assert first_answer(message).met_at is None


# --- stopped, held, released ----------------------------------------------------------------------------------------


def gesture(for_whom: Customer) -> OutgoingMessage:
    card = draft("card", kind=MessageKind.GESTURE, purpose="birthday", headers=ONE_CLICK)
    return outgoing.queue(card, customer=for_whom, at=NOON)


@pytest.mark.parametrize("missing", ["List-Unsubscribe", "List-Unsubscribe-Post"])
def test_kindness_that_cannot_be_stopped_with_one_click_is_not_even_written_W03(db: None, missing: str):
    """RFC 8058, X10: on everything that is no service mail."""
    headers = {name: value for name, value in ONE_CLICK.items() if name != missing}

    with pytest.raises(outgoing.NoWayOut):
        queued("card", kind=MessageKind.GESTURE, purpose="birthday", headers=headers)

    assert not OutgoingMessage.objects.exists()
    assert not HistoryEntry.objects.filter(verb="message.queued").exists()


def test_kindness_leaves_only_with_consent(db: None, sink: Sink):
    carla = customer()
    message = gesture(carla)

    drain()

    assert (now(message).state, now(message).reason) == (OutgoingState.HELD, "no_consent")


def test_a_permission_taken_back_between_writing_and_sending_counts(db: None, sink: Sink):
    carla = customer()
    allows(carla, "birthday", at=NOON)
    message = gesture(carla)
    consent.withdraw(carla, "birthday", evidence="She said no.", at=NOON)

    drain()

    assert (now(message).state, now(message).reason, sink.ledger.lines()) == (OutgoingState.HELD, "no_consent", [])


def test_kindness_waits_while_a_hold_stands_and_what_is_owed_does_not(db: None, sink: Sink):
    carla = customer()
    allows(carla, "birthday", at=NOON)
    holds.place(carla, key="case:1", reason="open_case", at=NOON)
    card, owed = gesture(carla), outgoing.queue(draft("owed"), customer=carla, at=NOON)

    drain()

    assert (now(card).state, now(card).reason) == (OutgoingState.HELD, "outreach_on_hold")
    assert now(owed).state == OutgoingState.ACCEPTED


@pytest.mark.parametrize("status", ["deceased", "erased"])
def test_nothing_leaves_to_somebody_who_died_or_was_erased(db: None, sink: Sink, status: str):
    message = answered()
    Customer.objects.filter(pk=message.customer_id).update(status=status)

    drain()

    assert (now(message).state, now(message).reason) == (OutgoingState.HELD, f"customer_{status}")
    assert sink.ledger.lines() == []


def test_a_medium_without_a_provider_is_held_with_its_reason(db: None):
    message = queued(channel="sms")

    drain()

    assert (now(message).state, now(message).reason) == (OutgoingState.HELD, "no_provider")


@pytest.mark.parametrize("state", ["ready", "claimed", "handing", "accepted", "cancelled"])
def test_only_what_was_stopped_can_be_released(db: None, state: str):
    message = queued()
    OutgoingMessage.objects.update(state=state, lease_until=Now(), accepted_at=NOON)

    with pytest.raises(outgoing.WrongState):
        outgoing.release(message.pk, by=stories.colleague(), at=LATER)

    assert now(message).state == state


@pytest.mark.parametrize("state", ["held", "parked", "refused"])
def test_what_was_stopped_is_sent_when_a_person_releases_it(db: None, sink: Sink, state: str):
    message = queued()
    OutgoingMessage.objects.update(state=state, reason="somebody stopped it", failures=3)

    outgoing.release(message.pk, by=stories.colleague(), at=LATER)
    drain(at=LATER)

    assert (now(message).state, now(message).failures) == (OutgoingState.ACCEPTED, 0)


@pytest.mark.parametrize("state", ["handing", "accepted", "refused", "cancelled"])
def test_what_may_have_left_cannot_be_cancelled(db: None, state: str):
    message = queued()
    OutgoingMessage.objects.update(state=state, lease_until=Now(), accepted_at=NOON, reason="because")

    with pytest.raises(outgoing.WrongState):
        outgoing.cancel(message.pk, by=stories.colleague(), at=LATER)

    assert now(message).state == state


def test_a_cancelled_answer_puts_the_matter_back_on_the_desk(db: None, sink: Sink):
    message = answered()

    outgoing.cancel(message.pk, by=stories.colleague(), at=NOON)
    drain(at=LATER)

    assert (now(message).state, sink.ledger.lines()) == (OutgoingState.CANCELLED, [])
    assert Conversation.objects.get(pk=message.conversation_id).state == ConversationState.OPEN


def test_cancelling_while_workers_send_ends_in_one_of_the_two_and_nobody_waits_for_the_other(
    transactional_db: None, sink: Sink
):
    """Either it left or it was stopped; and no lock order lets the two wait for each other."""
    ada, carla = stories.colleague(), customer()
    messages = [outgoing.queue(draft(f"k{number}"), customer=carla, at=NOON) for number in range(40)]

    def cancel_all() -> list[str]:
        stopped = []
        for message in reversed(messages):
            try:
                outgoing.cancel(message.pk, by=ada, at=NOON)
                stopped.append(message.address)
            except outgoing.WrongState:
                pass
        return stopped

    began = time.monotonic()
    stopped, *sent = at_once(cancel_all, drain, drain)

    assert not isinstance(stopped, Exception), stopped
    assert sent == [None, None]
    delivered = {line["to"] for line in sink.ledger.lines()}
    assert delivered.isdisjoint(stopped)
    assert delivered | set(stopped) == {message.address for message in messages}
    assert set(OutgoingMessage.objects.values_list("state", flat=True)) <= {"accepted", "cancelled"}
    assert time.monotonic() - began < 20


def test_stopping_a_message_in_the_moment_it_begins_to_leave_is_no_deadlock(transactional_db: None):
    """Its row is locked by whoever stops it, who then writes history about the customer that the sender has locked."""
    message = queued()
    OutgoingMessage.objects.update(state=OutgoingState.CLAIMED, attempt=1, lease_until=Now() + timedelta(seconds=60))
    claimed = now(message)
    went_on: list[Any] = []

    def stop() -> None:
        with transaction.atomic():
            OutgoingMessage.objects.select_for_update().get(pk=message.pk)
            locked.set()
            wait_for(somebody_waits_for_a_lock, "the sender waits for the row", within=10, every=0.02)
            history.record(message.customer, "message.cancelled", ref="outgoing:x", by=None, at=NOON)

    def send() -> None:
        assert locked.wait(10)
        went_on.append(outgoing._begin_handing(claimed, at=NOON))

    locked = threading.Event()
    assert at_once(stop, send) == [None, None]
    assert went_on == [True]


def somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])
