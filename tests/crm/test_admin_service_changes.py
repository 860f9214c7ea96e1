"""The pages on which colleagues record changes and put back what nobody asked for (R049)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crm.actions import intake, service_changes
from crm.models import Customer, Reversal, ServiceChange
from crm.policy import Role
from tests.conftest import NOON
from tests.crm.actions.test_service_changes import customer_of, record, told
from tests.crm.stories import app_user, colleague, message
from tests.crm.test_admin_mail import client_of

pytestmark = pytest.mark.django_db
ACTS = {Role.AGENT, Role.LEAD}
FORM = {"key": "f1", "code": "tariff", "changed_to": "Premium", "effective_at": "2026-03-01T00:00", "cost": "4.99",
        "currency": "EUR", "every": "month"}  # fmt: skip


@pytest.mark.parametrize("who", ["nobody", "customer", *Role])
def test_who_may_see_record_and_put_back_R049(who, client):
    change = record(customer_of())
    if who != "nobody":
        client = client_of(app_user() if who == "customer" else colleague(Role(who)))
    acts = 302 if who == "nobody" or who in ACTS else 403
    assert client.get("/admin/changes/").status_code == {"nobody": 302, "customer": 403}.get(who, 200)
    assert client.post(f"/admin/customer/{change.customer.public_id}/change/", FORM).status_code == acts
    assert ServiceChange.objects.count() == (2 if who in ACTS else 1)
    assert client.post("/admin/changes/", {"do": "put_back", "change": str(change.public_id)}).status_code == acts
    assert Reversal.objects.filter(change=change, state="reversed").exists() == (who in ACTS)


def test_a_change_is_recorded_with_the_customer_s_own_words_or_put_back_R049():
    heard = intake.receive(message(), at=NOON, origin="test")
    client = client_of(colleague())
    address = f"/admin/customer/{heard.conversation.customer.public_id}/change/"
    page = client.get(address)
    assert page.status_code == 200
    assert client.post(address, {**FORM, "changed_to": ""}).status_code == 400
    assert client.post(address, {**FORM, "every": ""}).status_code == 409
    asked = f"https://shop.example/admin/conversation/{heard.conversation.public_id}/"
    assert client.post(address, {**FORM, "asked_in": asked}).status_code == 302
    assert ServiceChange.objects.get().asked_in == heard.interaction
    client.post(address, {**FORM, "key": "f2"})
    assert Reversal.objects.get().change.key == "f2"
    beside = client.get(f"/admin/customer/{heard.conversation.customer.public_id}/").content.decode()
    assert "as they asked" in beside
    assert "to be put back" in beside


def test_one_click_puts_it_back_and_nowhere_stands_a_button_to_keep_it_R049_R056():
    change = record(customer_of())
    client = client_of(colleague())
    page = client.get("/admin/changes/").content.decode()
    assert "4.99 EUR a month" in page
    assert 'value="put_back"' in page
    assert "kept" not in page
    assert client.post("/admin/changes/", {"do": "kept", "change": str(change.public_id)}).status_code == 409
    assert client.post("/admin/changes/", {"do": "put_back", "change": "x"}).status_code == 404
    assert Reversal.objects.get().state == "open"
    client.post("/admin/changes/", {"do": "put_back", "change": str(change.public_id)})
    assert "Nothing waits to be put back." in client.get("/admin/changes/").content.decode()
    ended = client.get("/admin/changes/?ended=1").content.decode()
    assert "put back" in ended
    assert "to give back" in ended


def test_they_count_as_a_cause_by_month_kind_and_who_R049_R019():
    ada = colleague(name="Ada Agent")
    for number in range(3):
        record(customer_of(f"c{number}@home.example"), by=ada, key=f"k{number}")
    service_changes.record(
        [told(customer_of("late@home.example"), key="old")], by=ada, at=NOON - timedelta(days=900)
    )  # fmt: skip
    heard = intake.receive(message(), at=NOON, origin="test")
    record(heard.conversation.customer, by=ada, key="asked", asked_in=heard.interaction.public_id)
    from crm.admin.service_changes import _counts

    counted = _counts(NOON + timedelta(days=1))
    assert [(line["code"], line["system"], line["by__display_name"], line["number"]) for line in counted] == [
        ("account_package", "billing", "Ada Agent", 3)
    ]


def test_whoever_has_no_address_is_shown_and_told_otherwise_R049():
    change = record(Customer.objects.create(display_name="Paper", created_at=NOON))
    client = client_of(colleague())
    assert "no address: please call or write by post" in client.get("/admin/changes/").content.decode()
    client.post("/admin/changes/", {"do": "put_back", "change": str(change.public_id)})
    assert "not confirmed yet" in client.get("/admin/changes/?ended=1").content.decode()
    sent = {"do": "by_hand", "change": str(change.public_id)}
    assert client.post("/admin/changes/?ended=1", {**sent, "words": " "}).status_code == 409
    assert client.post("/admin/changes/?ended=1", {**sent, "words": "Letter by post."}).status_code == 302
    assert "Letter by post." in client.get("/admin/changes/?ended=1").content.decode()


def test_the_list_pages_by_key_with_as_many_statements_for_many_R049():
    ada = colleague()
    client = client_of(ada)
    record(customer_of("first@home.example"), by=ada, key="first")
    client.get("/admin/changes/")
    with CaptureQueriesContext(connection) as few:
        client.get("/admin/changes/")
    for number in range(55):
        record(customer_of(f"c{number}@home.example"), by=ada, key=f"k{number}")
    with CaptureQueriesContext(connection) as many:
        page = client.get("/admin/changes/").content.decode()
    assert len(few) == len(many) <= 15
    assert page.count('value="put_back"') == 50
    key = page.split("?after=")[1].split('"')[0].replace("%7E", "~").replace("%3A", ":").replace("%2B", "+")
    assert client.get("/admin/changes/", {"after": key}).content.decode().count('value="put_back"') == 6
