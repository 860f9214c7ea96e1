"""The pages of the nights' look at the queue: who sees them, what they say, what they cost."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from crm.actions import desk, outgoing
from crm.models import Pull, User
from crm.policy import OutOfOrder, Role
from recovery.actions import shadow
from recovery.admin.queue import DAYS_SHOWN
from recovery.models import QueueDay
from tests.conftest import NOON
from tests.crm.test_admin import CUSTOMER, NOBODY, STAFF, WITHOUT_ROLE, browser, colleague, statements, stored, told

pytestmark = pytest.mark.django_db

NIGHT = NOON + timedelta(hours=15)
DAY = "2026-03-02"


@pytest.fixture
def lead() -> tuple[Client, User]:
    person, client = colleague(Role.LEAD), Client()
    client.force_login(person)
    return client, person


def out_of_order(number: int, *, by: User) -> None:
    """So many matters, begun from the last to the first."""
    talks = [told(f"m{n}", address=f"m{n}@home.example", at=NOON + timedelta(minutes=n)) for n in range(number)]
    for minute, talk in enumerate(reversed(talks)):
        at = NOON + timedelta(hours=2, minutes=minute)
        desk.answer(talk.pk, text="We are on it.", by=by, at=at, out_of_order=OutOfOrder.KNOWS_IT)
        Pull.objects.filter(conversation=talk).update(reason="", ahead=0)  # as if no reason had been kept
        outgoing.send_batch(at=at)


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, WITHOUT_ROLE, *STAFF])
def test_only_those_who_audit_see_the_order_of_the_queue(who: str) -> None:
    shadow.look_at(date.fromisoformat(DAY), at=NIGHT)
    client = browser(who)
    may = who in (Role.LEAD, Role.AUDITOR, Role.ADMINISTRATOR)
    expected = 200 if may else 302 if who == NOBODY else 403
    for url in (reverse("admin:queue_days"), reverse("admin:queue_day", args=[DAY])):
        assert client.get(url).status_code == expected


def test_a_day_is_told_in_words_with_the_matters_to_look_at(lead: tuple[Client, User]) -> None:
    client, person = lead
    out_of_order(3, by=person)
    shadow.look_at(date.fromisoformat(DAY), at=NIGHT)
    listed = client.get(reverse("admin:queue_days")).content.decode()
    assert reverse("admin:queue_day", args=[DAY]) in listed
    assert "same order" in listed
    content = client.get(reverse("admin:queue_day", args=[DAY])).content.decode()
    found = QueueDay.objects.get()
    assert "the order was the same each time" in content
    assert "No reason is known" in content
    assert str(person) in content
    for line in found.gravest:
        assert reverse("admin:conversation", args=[line["passed"]["ref"]]) in content


def test_a_day_that_depended_on_the_channel_says_so(lead: tuple[Client, User], monkeypatch: Any) -> None:
    client, _person = lead
    for number in range(4):
        told(f"m{number}", address=f"m{number}@home.example", at=NOON + timedelta(minutes=number))
    monkeypatch.setattr(shadow, "_place", lambda arrival, stand, channel: (channel != "phone", NOON, arrival.number))
    monkeypatch.setattr(shadow.shadow, "swaps", lambda channels, **_given: [[*["email"] * 3, "phone"]])
    shadow.look_at(date.fromisoformat(DAY), at=NIGHT)
    content = client.get(reverse("admin:queue_day", args=[DAY])).content.decode()
    assert "With other channels the order came out differently" in content
    assert "another order" in client.get(reverse("admin:queue_days")).content.decode()


def test_days_are_paged_by_day_and_strange_addresses_are_not_there(lead: tuple[Client, User]) -> None:
    client, _person = lead
    assert "looked at tonight" in client.get(reverse("admin:queue_days")).content.decode()
    for number in range(DAYS_SHOWN + 2):
        shadow.look_at(date(2026, 3, 2) + timedelta(days=number), at=NIGHT + timedelta(days=number))
    first = client.get(reverse("admin:queue_days"))
    assert 'rel="next"' in first.content.decode()
    rest = client.get(reverse("admin:queue_days") + "?after=2026-03-04")
    assert [day.day.day for day in rest.context_data["days"]] == [3, 2]
    for url in (
        reverse("admin:queue_day", args=["2020-01-01"]),
        reverse("admin:queue_day", args=["yesterday"]),
        reverse("admin:queue_days") + "?after=x",
    ):
        assert client.get(url).status_code == 404


def test_looking_changes_nothing_and_costs_the_same_for_one_and_for_twenty(lead: tuple[Client, User]) -> None:
    client, person = lead
    out_of_order(2, by=person)
    shadow.look_at(date.fromisoformat(DAY), at=NIGHT)
    urls = [reverse("admin:queue_days"), reverse("admin:queue_day", args=[DAY])]
    few = [statements(client, url) for url in urls]
    before = stored()
    for number in range(1, 20):
        shadow.look_at(date(2026, 3, 2) + timedelta(days=number), at=NIGHT + timedelta(days=number))
    busy = QueueDay.objects.get(day=DAY)
    after = stored()
    assert before != after
    QueueDay.objects.bulk_create(
        [
            QueueDay(
                day=date(2026, 2, 1), looked_at=NIGHT, arrivals=20, begun=20, swaps=6, same_order=True,
                out_of_order=20, unexplained=20, counts=busy.counts * 20, gravest=busy.gravest * 20,
            )
        ]
    )  # fmt: skip
    after = stored()
    assert [statements(client, urls[0]), statements(client, reverse("admin:queue_day", args=["2026-02-01"]))] == few
    assert stored() == after
