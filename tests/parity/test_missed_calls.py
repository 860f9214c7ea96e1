"""Somebody who rang and reached nobody is treated as somebody who wrote in that second, through the real doors (R012, R048, Q7)."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine

from crm.actions import call_backs
from crm.models import Conversation, Promise
from crm.policy import PromiseKind
from recovery import actions
from tests.conftest import NOON
from tests.crm.api.door import client_for
from tests.crm.stories import colleague
from tests.parity.doors import DOORS, newest
from tests.parity.test_every_door import treated

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _staff() -> None:
    colleague(name="Ada")
    colleague(name="Bob")


def rings(number: int, *, seconds: int = 0) -> None:
    """A phone system reports a ring that nobody answers."""
    with time_machine.travel(NOON + timedelta(seconds=seconds), tick=False):
        event = {
            "system": "main",
            "call": f"c{number}",
            "event": "e",
            "what": "rang",
            "caller": f"030 12345{number:02}",
        }
        answer = client_for(colleague(name="On the phone", takes=False)).post(
            "/api/v1/call-events/", event, format="json"
        )
        assert answer.status_code == 200, answer.content


@pytest.mark.parametrize("door", [door for door in DOORS if door != "phone"])
def test_a_missed_call_is_treated_as_words_of_the_same_second_R048(door):
    with time_machine.travel(NOON, tick=False):
        DOORS[door]("Could you tell me your opening hours?", "words@home.example")
    written = newest()
    rings(1)
    call_backs.recover_dropped_calls(NOON + timedelta(minutes=2))
    missed = newest()
    while actions.work_batch("triage", at=NOON + timedelta(minutes=2)):
        pass

    theirs, ours = treated(missed), treated(written)
    call_back = Promise.objects.get(conversation=missed, kind=PromiseKind.CALL_BACK)
    assert call_back.due_at == ours["place"][1]
    for one in (theirs, ours):  # who speaks after the tone is called back, too
        one["promises"] = {promise for promise in one["promises"] if promise[0] != PromiseKind.CALL_BACK}
    assert theirs == ours


def test_in_the_queue_missed_calls_stand_between_mails_in_the_order_of_their_seconds_R059():
    for second in range(0, 8, 2):
        with time_machine.travel(NOON + timedelta(seconds=second), tick=False):
            DOORS["mail"]("Could you tell me your opening hours?", f"m{second}@home.example")
        rings(second, seconds=second + 1)
    call_backs.recover_dropped_calls(NOON + timedelta(hours=1))
    spoken = list(Conversation.objects.in_due_order().values_list("spoke_at", "channel"))
    assert spoken == [(NOON + timedelta(seconds=n), "phone" if n % 2 else "email") for n in range(8)]
