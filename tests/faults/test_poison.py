"""F24 for cards: one that cannot be written stops no other; trouble of the database drops none."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError

from crm.actions import customers
from crm.models import ContactPoint
from loyalty import actions
from loyalty.models import Gesture, Programme
from loyalty.policy import GestureState
from tests.conftest import NOON
from tests.crm.allowing import allows


def planned(name: str) -> Gesture:
    """A card for today whose moment has come."""
    customer = customers.welcome(name, at=NOON)
    ContactPoint.objects.create(customer=customer, kind="email", address=f"{name}@home.example", created_at=NOON)
    allows(customer)
    customers.tell_birthday(customer, month=NOON.month, day=NOON.day, evidence="Asked for a card.", at=NOON)
    return Gesture.objects.create(
        key=f"birthday:{name}",
        programme=Programme.objects.get(),
        customer=customer,
        occasion_on=NOON.date(),
        send_at=NOON,
    )


def test_a_card_that_cannot_be_written_is_dropped_with_its_reason_and_the_others_leave(db: None, monkeypatch: Any):
    bad, good = planned("bad"), planned("good")
    render = actions.letters.render

    def rendering(template: str, **words: Any) -> Any:
        if words["name"] == "bad":
            raise UnicodeError("cannot be")
        return render(template, **words)

    monkeypatch.setattr(actions.letters, "render", rendering)
    actions.write_batch(at=NOON + timedelta(minutes=1))

    bad.refresh_from_db()
    good.refresh_from_db()
    assert (bad.state, bad.reason, bad.message_id) == (GestureState.DROPPED, "not_written: UnicodeError", None)
    assert good.state == GestureState.QUEUED


def test_a_database_that_is_busy_drops_no_card(db: None, monkeypatch: Any):
    card = planned("carla")

    def busy(*_given: Any, **_more: Any) -> Any:
        raise OperationalError("canceling statement due to lock timeout")

    monkeypatch.setattr(actions.outgoing, "queue_each", busy)
    with pytest.raises(OperationalError):
        actions.write_batch(at=NOON)

    card.refresh_from_db()
    assert card.state == GestureState.PLANNED
