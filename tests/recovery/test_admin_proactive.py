"""The share of cases we opened before the customer spoke, month by month (R058)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from crm.actions import intake
from crm.models import Conversation, Interaction
from crm.policy import Role
from recovery import actions
from recovery.admin.proactive import months
from recovery.models import Case
from recovery.policy import Facts
from tests.conftest import NOON
from tests.crm.actions.test_service_changes import customer_of, record
from tests.crm.stories import message
from tests.crm.test_admin import CUSTOMER, NOBODY, STAFF, STATEMENTS, WITHOUT_ROLE, browser, statements, stored

pytestmark = pytest.mark.django_db

PAGE = "admin:proactive"


def told(*, at: datetime = NOON) -> Case:
    conversation = intake.receive(message(), at=at, origin="test").conversation
    return actions.open_case(conversation.pk, facts=Facts(), seen_because=["broken"], by=None, at=at)


def found_by_us(address: str = "kim@home.example", *, key: str = "k") -> Case:
    change = record(customer_of(address), key=key)
    while actions.work_batch("recovery", at=NOON):
        pass
    return Case.objects.get(conversation=change.conversation)


def last(at: datetime = NOON) -> tuple[int, int]:
    newest = months(at)[-1]
    return newest.ours, newest.cases


def test_a_case_counts_as_ours_when_the_customer_had_said_nothing_R058() -> None:
    told()
    found_by_us()
    assert last() == (1, 2)


def test_what_they_say_later_takes_nothing_back_and_what_they_had_said_before_counts_as_said_R058() -> None:
    case = found_by_us()
    heard = intake.receive(message(), at=NOON, origin="test").interaction
    Interaction.objects.filter(pk=heard.pk).update(conversation=case.conversation, spoke_at=NOON + timedelta(hours=1))
    assert last() == (1, 1)
    Interaction.objects.filter(pk=heard.pk).update(spoke_at=NOON - timedelta(minutes=1))
    assert last() == (0, 1)


@pytest.mark.parametrize(("before", "ours"), [(timedelta(days=2), 0), (timedelta(days=8), 1)])
def test_in_doubt_they_spoke_first_R058(before: timedelta, ours: int) -> None:
    case = found_by_us()
    other = intake.receive(message(), at=NOON - before, origin="test").conversation
    Conversation.objects.filter(pk=other.pk).update(customer=case.customer)
    assert last() == (ours, 1)


def test_months_are_those_of_the_shops_clock_and_second_cases_of_an_incident_count_once_R058() -> None:
    first, second = told(), told(at=NOON + timedelta(minutes=1))
    Case.objects.filter(pk=second.pk).update(same_as=first)
    assert last() == (0, 1)
    found = months(datetime(2026, 1, 31, 23, 30, tzinfo=UTC))
    assert settings.EVENHAND_ZONE == "Europe/Berlin"
    assert (found[0].label, found[-1].label, len(found)) == ("Mar 2025", "Feb 2026", 12)


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, WITHOUT_ROLE, *STAFF])
def test_who_sees_the_page(who: str) -> None:
    client, expected = browser(who), {NOBODY: 302, CUSTOMER: 403, WITHOUT_ROLE: 403}.get(who, 200)
    before = stored()
    assert client.get(reverse(PAGE)).status_code == expected
    assert stored() == before


def test_the_page_says_the_share_its_interval_and_whether_it_rises_at_one_cost_R058() -> None:
    client = browser(Role.AUDITOR)
    one = statements(client, reverse(PAGE))
    told(at=timezone.now())
    for number in range(5):
        told(at=timezone.now() - timedelta(days=30 * number))
    assert statements(client, reverse(PAGE)) == one <= STATEMENTS
    content = client.get(reverse(PAGE)).content.decode()
    assert "opened before the customer spoke: 0 of 6" in content
    assert "Too few cases to say whether it rises." in content
    assert "0.0–65.8 %" in content or "0.0–79.3 %" in content
