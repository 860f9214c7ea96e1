"""Customers and the house's own fields at the API: who may, what narrows, what it costs (X33, C02, C03)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crm.actions import custom_fields
from crm.models import Customer
from crm.policy import Role
from tests.conftest import NOON
from tests.crm.actions.test_custom_fields import field
from tests.crm.api.door import client_for
from tests.crm.api.test_views import sql
from tests.crm.stories import app_user, colleague

pytestmark = pytest.mark.django_db
LIST = "/api/v1/customers/"


def test_staff_narrow_the_list_by_a_field_and_page_through_it_X33():
    lead = colleague(Role.LEAD)
    field(by=lead)
    field("seats", by=lead, kind="number", choices=[])
    for number in range(55):
        made = Customer.objects.create(display_name=f"C{number}", created_at=NOON + timedelta(minutes=number % 7))
        custom_fields.set_values(made.pk, {"size": "small", "seats": number % 2}, by=lead, at=NOON)
    client = client_for(lead)
    first = client.get(LIST, {"custom.size": "small"}).json()
    rest = client.get(LIST, {"custom.size": "small", "cursor": first["next_cursor"]}).json()
    assert (len(first["results"]), len(rest["results"]), rest["next_cursor"]) == (50, 5, None)
    assert len({row["id"] for row in first["results"] + rest["results"]}) == 55
    both = client.get(LIST, {"custom.size": "small", "custom.seats": "1.0"}).json()["results"]
    assert len(both) == 27
    assert both[0]["custom"] == {"size": "small", "seats": 1}
    assert client.get(LIST, {"custom.size": "large"}).json()["results"] == []


@pytest.mark.parametrize(
    "asked", ["custom.size=huge", "custom.height=1", "custom.size=", "custom.=x", "custom.size__gt=a"]
)
def test_what_no_field_can_hold_is_refused_kindly_X33_C02(asked):
    lead = colleague(Role.LEAD)
    field(by=lead)
    answer = client_for(lead).get(f"{LIST}?{asked}")
    assert answer.status_code == 400
    assert answer.json()["code"] in ("unusable_value", "invalid")


def test_a_customer_sees_what_is_meant_for_them_and_cannot_ask_by_anything_else_C02_P15():
    lead, one, other = colleague(Role.LEAD), app_user(), app_user()
    field(by=lead, seen_by="customer")
    field("note", by=lead, kind="text", choices=[])
    custom_fields.set_values(one.customer_id, {"size": "small", "note": "talks a lot"}, by=lead, at=NOON)
    custom_fields.set_values(other.customer_id, {"size": "small"}, by=lead, at=NOON)
    client = client_for(one)
    rows = client.get(LIST).json()["results"]
    assert [row["id"] for row in rows] == [str(one.customer.public_id)]
    assert rows[0]["custom"] == {"size": "small"}
    here = f"{LIST}{one.customer.public_id}/fields/"
    assert client.get(here).json() == {"custom": {"size": "small"}}
    assert client.get(f"{LIST}{other.customer.public_id}/fields/").status_code == 404
    assert client.get(LIST, {"custom.note": "talks a lot"}).status_code == 400
    assert [one["code"] for one in client.get("/api/v1/custom-fields/").json()["results"]] == ["size"]
    assert client.patch(here, {"custom": {"size": "large"}}, format="json").status_code == 403


@pytest.mark.parametrize(("role", "status"), [(None, 401), (Role.AGENT, 200), (Role.LEAD, 200), (Role.AUDITOR, 403)])
def test_who_may_fill_in_fields_at_the_api_X33(role, status):
    field(by=colleague(Role.LEAD))
    customer = Customer.objects.create(display_name="Carla", created_at=NOON)
    client = client_for(colleague(role) if role else None)
    here = f"{LIST}{customer.public_id}/fields/"
    assert client.patch(here, {"custom": {"size": "small"}}, format="json").status_code == status
    assert client.get(here).status_code == (401 if role is None else 200)
    customer.refresh_from_db()
    assert customer.custom == ({"size": "small"} if status == 200 else {})


def test_what_cannot_be_written_is_refused_with_its_code_C03():
    lead = colleague(Role.LEAD)
    field(by=lead)
    customer = Customer.objects.create(display_name="Carla", created_at=NOON)
    here, client = f"{LIST}{customer.public_id}/fields/", client_for(lead)
    refused = client.patch(here, {"custom": {"size": "huge"}}, format="json")
    assert (refused.status_code, refused.json()["code"]) == (400, "unusable_value")
    assert "Size" in refused.json()["detail"]
    for body in (
        {"custom": {"size": "small"}, "status": "erased"},
        {"custom": ["x"]},
        {},
        {"custom": {"size": {"a": 1}}},
    ):
        assert client.patch(here, body, format="json").status_code == 400
    Customer.objects.filter(pk=customer.pk).update(status="erased")
    assert client.patch(here, {"custom": {"size": "small"}}, format="json").status_code == 409
    assert client.get("/api/v1/custom-fields/", {"of": "promise"}).status_code == 400


def test_the_list_costs_the_same_for_one_and_for_twenty_GOAL15():
    lead = colleague(Role.LEAD)
    field(by=lead)
    client, counts = client_for(lead), []
    for number in range(20):
        Customer.objects.create(display_name=f"C{number}", created_at=NOON)
        if number in (0, 19):
            with CaptureQueriesContext(connection) as captured:
                assert client.get(LIST).status_code == 200
            counts.append(len(sql(captured)))
    assert counts[0] == counts[1] <= 5
