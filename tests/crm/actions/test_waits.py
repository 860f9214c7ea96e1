"""Waiting inside the house is our time: it is on record, and no clock of the customer's stops for it."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from crm.actions import intake, waits
from crm.models import HistoryEntry, InternalWait, Promise
from crm.policy import Department
from tests.conftest import NOON
from tests.crm.stories import colleague, message
from tests.faults.threads import at_once

pytestmark = pytest.mark.django_db


def test_a_wait_is_on_record_and_touches_no_promise_R148():
    conversation, ada = intake.receive(message(), at=NOON, origin="test").conversation, colleague()
    before = list(Promise.objects.values())
    wait = waits.begin(conversation.pk, department=Department.LEGAL, by=ada, at=NOON)
    with pytest.raises(waits.AlreadyWaiting):
        waits.begin(conversation.pk, department=Department.LEGAL, by=ada, at=NOON)
    waits.begin(conversation.pk, department=Department.FINANCE, by=ada, at=NOON)
    ended = waits.end(wait.pk, by=ada, at=NOON + timedelta(days=2))
    assert ended.until - ended.since == timedelta(days=2)
    with pytest.raises(waits.NotWaiting):
        waits.end(wait.pk, by=ada, at=NOON + timedelta(days=3))
    waits.begin(conversation.pk, department=Department.LEGAL, by=ada, at=NOON + timedelta(days=3))
    assert list(Promise.objects.values()) == before
    conversation.refresh_from_db()
    assert (conversation.state, conversation.due_at) == ("open", before[0]["due_at"])
    assert HistoryEntry.objects.filter(verb__startswith="wait.").count() == 4


def test_two_colleagues_noting_the_same_wait_at_once_note_one(transactional_db: None):
    conversation, ada = intake.receive(message(), at=NOON, origin="test").conversation, colleague()
    results = at_once(
        *[partial(waits.begin, conversation.pk, department=Department.LEGAL, by=ada, at=NOON) for _twice in range(2)]
    )
    assert sum(isinstance(result, waits.AlreadyWaiting) for result in results) == 1, results
    assert InternalWait.objects.count() == 1
