"""The demo's made-up past: written as doors and desk would have, and never beside a customer's own words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db.models import F

from crm.actions import intake, made_up
from crm.models import Closing, Conversation, Customer, HistoryEntry, IdentityCheck, Interaction, Promise
from crm.policy import PromiseState
from tests.conftest import NOON
from tests.crm.stories import colleague, message

pytestmark = pytest.mark.django_db


def matters(*hours: float) -> list[made_up.Matter]:
    ada, anna = colleague(), made_up.Person("Anna Abel", "anna@example.org", "+493023125001")
    return [
        made_up.Matter(
            anna, "phone" if number % 2 else "email", bool(number % 2), "", "A string", "Which one?", "The green one.",
            NOON + timedelta(minutes=number), NOON + timedelta(hours=each), NOON + timedelta(hours=each + 1), ada,
        )
        for number, each in enumerate(hours)
    ]  # fmt: skip


def test_each_is_asked_answered_promised_and_closed_and_one_person_is_one_customer():
    assert made_up.bring_in(matters(1, 30, 2), at=NOON) == 3
    assert Customer.objects.count() == 1
    assert (
        Conversation.objects.filter(state="closed", imported=False, first_answer_at=F("last_outbound_at")).count() == 3
    )
    assert Interaction.objects.count() == 6
    assert Closing.objects.filter(how="closed").count() == 3
    states = list(Promise.objects.order_by("conversation__spoke_at").values_list("state", flat=True))
    assert states == [PromiseState.MET, PromiseState.MET_LATE, PromiseState.MET]
    assert HistoryEntry.objects.filter(verb="conversation.closed").count() == 3


def test_steps_of_showing_who_they_are_stand_in_their_matter():
    shown = [replace(one, steps=number) for number, one in enumerate(matters(1, 2, 3))]
    made_up.bring_in(shown, at=NOON)
    by_matter = Conversation.objects.order_by("spoke_at").values_list("pk", flat=True)
    counted = [IdentityCheck.objects.filter(conversation=one, state="passed").count() for one in by_matter]
    assert counted == [0, 1, 2]


def test_where_somebody_has_spoken_nothing_is_made_up():
    intake.receive(message(spoke_at=NOON), at=NOON, origin="test")
    with pytest.raises(made_up.HouseInUse):
        made_up.bring_in(matters(1), at=NOON)
    assert Conversation.objects.count() == 1
