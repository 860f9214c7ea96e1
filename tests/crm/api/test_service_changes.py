"""The door for programs that change what customers have (R049, N7)."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from crm.actions import intake
from crm.models import Reversal, ServiceChange
from crm.policy import Role
from tests.conftest import NOON
from tests.crm.actions.test_service_changes import customer_of
from tests.crm.api.door import client_for
from tests.crm.stories import app_user, colleague, message

pytestmark = pytest.mark.django_db
URL = "/api/v1/service-changes/"


def change(customer: Any, **changes: Any) -> dict[str, Any]:
    return {
        "customer": str(customer.public_id), "key": "k1", "code": "tariff", "changed_from": "Basic", "changed_to": "Premium",
        "effective_at": "2026-01-01T00:00:00Z", "cost": 499, "currency": "EUR", "every": "month", **changes,
    }  # fmt: skip


def post(client: Any, *changes: dict[str, Any], **more: Any) -> Any:
    return client.post(URL, {"system": "billing", "changes": list(changes), **more}, format="json")


@pytest.mark.parametrize("who", ["nobody", "customer", *Role])
def test_only_those_with_the_right_record_changes_R049(who):
    customer = customer_of()
    user = None if who == "nobody" else app_user() if who == "customer" else colleague(Role(who))
    status = post(client_for(user), change(customer)).status_code
    assert status == {"nobody": 401, Role.AGENT: 201, Role.LEAD: 201}.get(who, 403)
    assert ServiceChange.objects.exists() == (status == 201)


def test_changes_with_and_without_a_request_and_the_same_again_R049():
    heard = intake.receive(message(), at=NOON, origin="test")
    client = client_for(colleague())
    asked = change(heard.conversation.customer, asked_in=str(heard.interaction.public_id))
    unasked = change(customer_of(), key="k2")
    first = post(client, asked, unasked)
    assert first.status_code == 201, first.content
    told = first.json()["changes"]
    assert [(one["key"], one["is_requested"], one["reversal"]) for one in told] == [
        ("k1", True, None),
        ("k2", False, "open"),
    ]
    assert told[1]["put_back_by"]
    assert post(client, asked, unasked).json() == first.json()
    assert ServiceChange.objects.count() == 2
    again = post(client, {**unasked, "changed_to": "Gold"})
    assert (again.status_code, again.json()["code"]) == (422, "idempotency_key_reused")


def test_a_claim_of_somebody_else_s_words_is_no_request_R049_N7():
    heard = intake.receive(message(), at=NOON, origin="test")
    told = post(client_for(colleague()), change(customer_of(), asked_in=str(heard.interaction.public_id)))
    assert told.json()["changes"][0]["is_requested"] is False
    assert Reversal.objects.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"customer": str(uuid.uuid4())}, {"changed_to": ""}, {"currency": "XXX"}, {"every": ""}, {"cost": 0}, {"followers": 9},
        {"effective_at": "soon"}, {"code": "no code"},
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_whole_R049(wrong):
    customer = customer_of()
    answer = post(client_for(colleague()), change(customer), {**change(customer, key="k2"), **wrong})
    assert answer.status_code == 400, answer.content
    assert answer["Content-Type"].startswith("application/problem+json")
    assert not ServiceChange.objects.exists()


def test_no_more_than_a_hundred_at_a_time_R049():
    customer = customer_of()
    answer = post(client_for(colleague()), *[change(customer, key=f"k{n}") for n in range(101)])
    assert answer.status_code == 400
