"""Cards that leave together: begun and accepted by one commit each, and still asked about one by one (P01, Q4, F07, F28)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from crm.actions import consent, customers, holds, kindness, outgoing
from crm.channels.smtp import MailSender
from crm.models import HistoryEntry, OutgoingMessage, WorkItem
from crm.policy import MessageKind, OutgoingState
from tests.conftest import NOON
from tests.crm.allowing import allows
from tests.faults.harness import Sink

pytestmark = pytest.mark.django_db


@pytest.fixture
def sink(tmp_path: Path, settings: Any) -> Iterator[Sink]:
    sink = Sink(tmp_path / "ledger")
    sink.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", sink.port, 20
    yield sink
    sink.release.set()
    sink.stop()


def card(number: int) -> OutgoingMessage:
    customer = customers.welcome(f"Carla {number}", at=NOON)
    allows(customer, "birthday", at=NOON)
    return outgoing.queue(
        outgoing.Draft(
            key=f"card{number}",
            kind=MessageKind.GESTURE,
            purpose="birthday",
            channel="email",
            address=f"card{number}@home.example",
            subject="Happy birthday",
            text="All the best.",
            concerns=f"gesture:{number}",
            headers={"List-Unsubscribe": "<https://x.example>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
        ),
        customer=customer,
        at=NOON,
    )


def states() -> list[str]:
    return list(OutgoingMessage.objects.order_by("pk").values_list("state", flat=True))


def delivered(sink: Sink) -> list[str]:
    return sorted(one["to"] for one in sink.ledger.lines())


def test_cards_are_begun_and_accepted_together_and_each_is_written_down(sink: Sink):
    for number in range(10):
        card(number)
    with CaptureQueriesContext(connection) as asked:
        assert outgoing.send_batch(at=NOON) == 10
    assert states() == [OutgoingState.ACCEPTED] * 10
    assert len(delivered(sink)) == 10
    assert HistoryEntry.objects.filter(verb="message.accepted").count() == 10
    assert WorkItem.objects.filter(event="outgoing.accepted", lane="gestures").count() == 10
    writes = [one["sql"] for one in asked if "UPDATE" in one["sql"].upper()]
    assert sum("SET state = 'handing'" in sql for sql in writes) == 1
    assert sum("SET state = 'accepted'" in sql for sql in writes) == 1


def test_one_that_may_not_leave_is_held_and_stops_no_other_P01(sink: Sink):
    several = [card(number) for number in range(4)]
    consent.withdraw(several[1].customer, "birthday", evidence="said so", at=NOON)
    holds.place(several[2].customer, key="case:1", reason="case", at=NOON)
    outgoing.send_batch(at=NOON)
    assert states() == [OutgoingState.ACCEPTED, OutgoingState.HELD, OutgoingState.HELD, OutgoingState.ACCEPTED]
    assert len(delivered(sink)) == 2


def test_a_no_that_comes_between_beginning_and_its_turn_counts_P01(sink: Sink, monkeypatch: pytest.MonkeyPatch):
    first, second, third = (card(number) for number in range(3))
    send = MailSender.send

    def and_then_they_say_no(self: MailSender, outbound: Any, **more: Any) -> Any:
        if outbound.address == first.address:
            consent.withdraw(second.customer, "birthday", evidence="said so", at=NOON)
        return send(self, outbound, **more)

    monkeypatch.setattr(MailSender, "send", and_then_they_say_no)
    outgoing.send_batch(at=NOON)
    assert states() == [OutgoingState.ACCEPTED, OutgoingState.READY, OutgoingState.ACCEPTED]
    outgoing.send_batch(at=NOON)
    second.refresh_from_db()
    assert (second.state, second.reason, second.unknown_outcomes) == (OutgoingState.HELD, "no_consent", 0)
    assert delivered(sink) == sorted([first.address, third.address])


def test_those_whose_turn_comes_late_are_put_back_without_a_doubt_F28(sink: Sink, monkeypatch: pytest.MonkeyPatch):
    for number in range(3):
        card(number)
    monkeypatch.setattr(kindness, "BEGUN_FOR", 0.0)
    outgoing.send_batch(at=NOON)
    assert states() == [OutgoingState.READY] * 3
    monkeypatch.undo()
    outgoing.send_batch(at=NOON)
    assert states() == [OutgoingState.ACCEPTED] * 3
    assert sum(OutgoingMessage.objects.values_list("unknown_outcomes", flat=True)) == 0
    assert len(delivered(sink)) == 3


def test_a_worker_that_dies_before_writing_down_leaves_recorded_doubts_and_the_same_ids_Q4_F07(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
):
    for number in range(3):
        card(number)
    monkeypatch.setattr(kindness.Together, "note", lambda self: None)  # it died here
    outgoing.send_batch(at=NOON)
    monkeypatch.undo()
    assert states() == [OutgoingState.HANDING] * 3
    OutgoingMessage.objects.update(lease_until=Now() - timedelta(seconds=1))
    for hours in range(3):
        outgoing.send_batch(at=NOON + timedelta(hours=hours))
    assert states() == [OutgoingState.ACCEPTED] * 3
    assert list(OutgoingMessage.objects.values_list("unknown_outcomes", flat=True)) == [1, 1, 1]
    assert HistoryEntry.objects.filter(verb="message.outcome_unknown").count() == 3
    ids = [one["message_id"] for one in sink.ledger.lines()]
    assert len(ids) == 6
    assert len(set(ids)) == 3


def test_cards_for_a_medium_without_a_provider_are_held_with_their_reason(sink: Sink):
    for number in range(3):
        card(number)
    OutgoingMessage.objects.update(channel="letter")
    outgoing.send_batch(at=NOON)
    assert set(OutgoingMessage.objects.values_list("state", "reason")) == {(OutgoingState.HELD, "no_provider")}


def test_what_has_value_begins_and_is_accepted_by_itself_Q4(sink: Sink):
    several = [card(number) for number in range(2)]
    OutgoingMessage.objects.update(has_value=True)
    together = kindness.Together()
    together.begin(several and list(OutgoingMessage.objects.all()), at=NOON)
    assert together.begun == set()
