"""The pages on which fields of the house's own are set up, filled in, and lists are narrowed by them (X33)."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from crm.actions import custom_fields
from crm.models import Customer, CustomField
from crm.policy import Role
from tests.conftest import NOON
from tests.crm.actions.test_custom_fields import field
from tests.crm.stories import colleague
from tests.crm.test_admin_mail import client_of

pytestmark = pytest.mark.django_db
FORM = {
    "label": "Shirt size",
    "of": "customer",
    "code": "size",
    "kind": "choice",
    "choices": "S\nM",
    "seen_by": "staff",
    "place": "1",
}


@pytest.mark.parametrize(
    ("role", "sees", "manages"),
    [(Role.AGENT, 200, 403), (Role.LEAD, 200, 200), (Role.AUDITOR, 200, 403), (Role.ADMINISTRATOR, 200, 200)],
)
def test_who_sees_and_who_sets_up_fields_X33(role, sees, manages):
    made = field("shoe", by=colleague(Role.LEAD))
    client = client_of(colleague(role))
    assert client.get(reverse("admin:custom_fields")).status_code == sees
    assert client.get(reverse("admin:custom_field_new")).status_code == manages
    assert client.get(reverse("admin:custom_field", args=[made.public_id])).status_code == manages
    done = client.post(reverse("admin:custom_field_new"), FORM)
    assert done.status_code == (302 if manages == 200 else 403)
    assert client.get(reverse("admin:custom_field_retire", args=[made.public_id])).status_code in (403, 405)


def test_a_field_is_set_up_described_differently_retired_and_used_again_X33():
    client = client_of(colleague(Role.LEAD))
    new = reverse("admin:custom_field_new")
    assert client.post(new, {**FORM, "label": ""}).status_code == 400
    refused = client.post(new, {**FORM, "code": "Shirt Size"})
    assert refused.status_code == 409
    assert "Shirt Size" in refused.content.decode()
    assert client.post(new, FORM).status_code == 302
    made = CustomField.objects.get()
    here = reverse("admin:custom_field", args=[made.public_id])
    client.post(here, {**FORM, "label": "Size", "choices": "S\nM\nL", "code": "other"})
    client.post(reverse("admin:custom_field_retire", args=[made.public_id]))
    made.refresh_from_db()
    assert (made.code, made.label, made.choices, made.is_active) == ("size", "Size", ["S", "M", "L"], False)
    client.post(here, FORM)
    made.refresh_from_db()
    assert made.is_active


def test_a_customers_fields_are_shown_and_filled_in_and_mistakes_keep_the_words_X33():
    lead = colleague(Role.LEAD)
    field(by=lead)
    field("seats", by=lead, kind="number", choices=[])
    customer = Customer.objects.create(display_name="Carla", created_at=NOON)
    client = client_of(colleague())
    page, form = (reverse(f"admin:{name}", args=[customer.public_id]) for name in ("customer", "customer_fields"))
    assert "Noted by us" in client.get(page).content.decode()
    refused = client.post(form, {"custom_size": "small", "custom_seats": "<b>many</b>"})
    assert refused.status_code == 400
    assert "&lt;b&gt;many&lt;/b&gt;" in refused.content.decode()
    assert client.post(form, {"custom_size": "small", "custom_seats": "4"}).status_code == 302
    customer.refresh_from_db()
    assert customer.custom == {"size": "small", "seats": 4}
    custom_fields.change(CustomField.objects.get(code="size").pk, label="Size", choices=["large"], by=lead, at=NOON)
    assert client.post(form, {"custom_size": "small", "custom_seats": ""}).status_code == 302
    customer.refresh_from_db()
    assert customer.custom == {"size": "small"}  # what has left the list since stays until it is changed
    assert client_of(colleague(Role.AUDITOR)).get(form).status_code == 403


def test_the_list_is_narrowed_by_each_kind_of_field_and_costs_the_same_X33_GOAL15():
    lead = colleague(Role.LEAD)
    field(by=lead)
    for code, kind in [("seats", "number"), ("nick", "text"), ("since", "date"), ("vegan", "yes_no")]:
        field(code, by=lead, kind=kind, choices=[])
    carla = Customer.objects.create(display_name="Carla", created_at=NOON)
    values = {"size": "small", "seats": 4, "nick": "Caz", "since": "2026-01-31", "vegan": True}
    custom_fields.set_values(carla.pk, values, by=lead, at=NOON)
    Customer.objects.create(display_name="Dora", created_at=NOON)
    client, here = client_of(colleague()), reverse("admin:crm_customer_changelist")
    asked = {
        "size": ("small", "large"),
        "seats": ("4.0", "5"),
        "nick": ("Caz", "caz"),
        "since": ("2026-01-31", "x"),
        "vegan": ("yes", "no"),
    }
    for code, (found, missed) in asked.items():
        shown = client.get(here, {f"custom.{code}": found}).content.decode()
        assert ">Carla<" in shown, code
        assert ">Dora<" not in shown, code
        assert ">Carla<" not in client.get(here, {f"custom.{code}": missed}).content.decode(), code
    with CaptureQueriesContext(connection) as few:
        client.get(here)
    for number in range(20):
        Customer.objects.create(display_name=f"C{number}", created_at=NOON)
    with CaptureQueriesContext(connection) as many:
        client.get(here)
    assert len(few) == len(many) <= 15
