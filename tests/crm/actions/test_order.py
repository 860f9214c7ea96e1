"""Every open matter stands where its promises place it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.actions import intake, order, promises
from crm.channels import Channel
from crm.models import Alert, Conversation, HistoryEntry, Promise
from crm.policy import AlertKind, PromiseKind, QueueClass, critical_share_is_high, queue_due
from tests.conftest import NOON
from tests.crm.stories import message

pytestmark = pytest.mark.django_db


def heard(number: int, *, channel: Channel = Channel.EMAIL) -> Conversation:
    said = message(external_id=str(number), channel=channel, spoke_at=NOON)
    return intake.receive(said, at=NOON, origin="test").conversation


def test_matters_that_stand_right_are_left_alone_and_one_that_does_not_is_put_right_and_told_F20():
    matters = [heard(number, channel=[Channel.EMAIL, Channel.PHONE][number % 2]) for number in range(6)]
    promises.append(
        matters[0].pk,
        [(PromiseKind.RESOLUTION, timedelta(hours=2))],
        starts_at=NOON,
        given_by="d:1",
        critical=False,
        at=NOON,
    )
    assert order.put_right(NOON) == 0
    Conversation.objects.filter(pk=matters[1].pk).update(due_at=NOON + timedelta(days=9))
    assert order.put_right(NOON) == 1
    assert order.put_right(NOON) == 0
    assert Alert.objects.get(kind=AlertKind.PLACE_WRONG).detail == {"number": 1}
    assert HistoryEntry.objects.filter(verb="conversation.place_righted").count() == 1
    for matter in Conversation.objects.all():
        unmet = Promise.objects.filter(conversation=matter).unmet().values_list("kind", "due_at")
        assert matter.due_at == queue_due(unmet)


def test_too_much_critical_harm_is_told_once_a_day():
    for number in range(20):
        heard(number)
    Conversation.objects.filter(pk__in=Conversation.objects.values("pk")[:4]).update(queue_class=QueueClass.CRITICAL)
    order.put_right(NOON)
    order.put_right(NOON + timedelta(minutes=5))
    assert Alert.objects.get(kind=AlertKind.CRITICAL_SHARE).detail == {"all": 20, "critical": 4}


@given(st.integers(0, 500), st.integers(0, 500))
def test_the_critical_share_is_judged_from_twenty_matters_on(critical, waiting):
    assert critical_share_is_high(critical=critical, waiting=waiting) == (waiting >= 20 and critical / waiting > 0.15)
