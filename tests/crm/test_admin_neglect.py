"""The page of those nobody answered in time, and what the first page says of them (R032)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from crm.actions.deadlines import miss_batch
from crm.models import Promise
from crm.policy import Role
from tests.crm.test_admin import (
    CUSTOMER,
    NOBODY,
    STAFF,
    STATEMENTS,
    WITHOUT_ROLE,
    browser,
    colleague,
    statements,
    stored,
    told,
)

pytestmark = pytest.mark.django_db

PAGE = "admin:neglect"


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, WITHOUT_ROLE, *STAFF])
def test_who_sees_the_page(who: str) -> None:
    told("a")
    expected = {NOBODY: 302, CUSTOMER: 403, WITHOUT_ROLE: 403}.get(who, 200)
    client = browser(who)
    before = stored()
    assert client.get(reverse(PAGE)).status_code == expected
    assert stored() == before


def test_the_first_page_says_per_channel_how_many_nobody_answered_and_that_the_target_is_0_R032() -> None:
    told("a", at=timezone.now())
    client = browser(Role.AGENT)
    assert "<b>0</b> now; the target is 0" in client.get(reverse("admin:today")).content.decode()
    told("b", address="b@example.org", at=timezone.now() - timedelta(days=9))
    miss_batch(at=timezone.now())
    content = client.get(reverse("admin:today")).content.decode()
    assert "<b>1</b> now; the target is 0" in content
    assert "<b>1</b> Email" in content
    assert "1 without a reason for more than a day" in content
    assert reverse(PAGE) in content


def test_a_reason_is_written_on_the_page_with_the_name_of_its_writer_R032() -> None:
    told("a", at=timezone.now() - timedelta(days=9))
    miss_batch(at=timezone.now())
    promise = Promise.objects.get()
    client = browser(Role.AGENT)
    assert "Write down why" in client.get(reverse(PAGE)).content.decode()

    for wrong in ({"reason": "not_seen", "words": " "}, {"reason": "", "words": "We slept."}):
        refused = client.post(reverse(PAGE), {"promise": promise.pk, **wrong})
        assert refused.status_code == 409
        promise.refresh_from_db()
        assert promise.explanation == ""
    client.post(reverse(PAGE), {"promise": promise.pk, "reason": "not_seen", "words": "We slept."})

    content = client.get(reverse(PAGE)).content.decode()
    assert "We slept." in content
    assert "A agent" in content
    assert "Write down why" not in content


@pytest.mark.parametrize("number", ["", "x", "0", "9" * 30])
def test_a_promise_that_is_not_there_cannot_be_explained_R032(number: str) -> None:
    sent = {"promise": number, "reason": "not_seen", "words": "We slept."}
    assert browser(Role.AGENT).post(reverse(PAGE), sent).status_code == 404


def test_an_auditor_reads_and_does_not_write_R032() -> None:
    told("a", at=timezone.now() - timedelta(days=9))
    miss_batch(at=timezone.now())
    client = browser(Role.AUDITOR)
    assert "Write down why" not in client.get(reverse(PAGE)).content.decode()
    sent = {"promise": Promise.objects.get().pk, "reason": "not_seen", "words": "We slept."}
    assert client.post(reverse(PAGE), sent).status_code == 403


def test_the_page_costs_the_same_with_one_and_with_many_and_goes_on_by_key_R032() -> None:
    client = browser(Role.LEAD)
    colleague(Role.AGENT)
    told("a", at=timezone.now() - timedelta(days=9))
    one = statements(client, reverse(PAGE))
    for number in range(60):
        told(f"n{number}", address=f"n{number}@example.org", at=timezone.now() - timedelta(days=9))
    miss_batch(at=timezone.now())
    assert statements(client, reverse(PAGE)) == one <= STATEMENTS
    first = client.get(reverse(PAGE))
    following = client.get(reverse(PAGE), {"after": first.context["next_key"]})
    shown = [row["promise"].pk for page in (first, following) for row in page.context["rows"]]
    assert len(shown) == len(set(shown)) == 61
