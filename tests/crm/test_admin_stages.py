"""The pages on which colleagues see where a relationship stands and say otherwise (R087)."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crm.actions import intake, stages
from crm.models import RelationshipRole, RelationshipStage
from crm.policy import Role
from crm.policy.stages import Stage
from tests.conftest import NOON
from tests.crm.stories import app_user, colleague, message
from tests.crm.test_admin_mail import client_of

pytestmark = pytest.mark.django_db
NOTES = {Role.AGENT, Role.LEAD}


def conversation():
    return intake.receive(message(), at=NOON, origin="test").conversation


@pytest.mark.parametrize("who", ["nobody", "customer", *Role])
def test_who_may_see_and_say_where_it_stands_R087(who, client):
    customer = conversation().customer
    if who != "nobody":
        client = client_of(app_user() if who == "customer" else colleague(Role(who)))
    address = f"/admin/customer/{customer.public_id}/stage/"
    sees = {"nobody": 302, "customer": 403}.get(who, 200)
    assert client.get(address).status_code == sees
    sent = client.post(address, {"do": "stage", "stage": "loyal", "because": "Known for years."})
    assert sent.status_code == (302 if who == "nobody" or who in NOTES else 403)
    assert RelationshipStage.objects.exists() == (who in NOTES)


def test_the_stage_its_reason_and_its_hint_stand_beside_customer_and_conversation_R087():
    talk = conversation()
    ada = colleague()
    client = client_of(ada)
    assert "Not looked at yet" in client.get(f"/admin/customer/{talk.customer.public_id}/").content.decode()
    stages.note(talk.customer_id, Stage.STRAINED, because="The parcel was lost twice.", by=ada, at=NOON)
    stages.add_role(talk.customer_id, "press", evidence="Card on file.", by=ada, at=NOON)
    page = client.get(f"/admin/customer/{talk.customer.public_id}/").content.decode()
    for words in ("strained", "The parcel was lost twice.", "Begin with what happens now", "writes for the press"):
        assert words in page
    beside = client.get(f"/admin/conversation/{talk.public_id}/").content.decode()
    assert "How to talk" in beside
    assert "Begin with what happens now" in beside
    assert not RelationshipStage.objects.exclude(by=ada).exists()  # looking derives nothing


def test_it_is_said_otherwise_with_a_reason_and_refused_without_R087():
    customer = conversation().customer
    stages.derive_all(NOON)
    client = client_of(colleague())
    address = f"/admin/customer/{customer.public_id}/stage/"
    refused = client.post(address, {"do": "stage", "stage": "loyal", "because": " ", "evidence": "kept words"})
    assert refused.status_code == 409
    assert "Please write why you see it so." in refused.content.decode()
    assert 'value="kept words"' in refused.content.decode()
    assert client.post(address, {"do": "stage", "stage": "hero", "because": "x"}).status_code == 409
    assert client.post(address, {"do": "stage", "stage": "loyal", "because": "Known <b>long</b>."}).status_code == 302
    assert client.post(address, {"do": "role", "role": "supplier", "role_evidence": "Contract 7."}).status_code == 302
    page = client.get(address).content.decode()
    for words in (
        "with us for long",
        "Known &lt;b&gt;long&lt;/b&gt;.",
        "Contract 7.",
        "They first talked to us within 90 days.",
    ):
        assert words in page
    role = RelationshipRole.objects.get()
    assert client.post(address, {"do": "end_role", "number": str(role.pk)}).status_code == 302
    assert client.post(address, {"do": "end_role", "number": "999999"}).status_code == 404
    assert "no more since" in client.get(address).content.decode()


def test_the_page_takes_as_many_statements_for_one_change_as_for_many_R087():
    customer = conversation().customer
    ada = colleague()
    stages.note(customer.pk, Stage.LOYAL, because="a", by=ada, at=NOON)
    client = client_of(ada)
    address = f"/admin/customer/{customer.public_id}/stage/"
    client.get(address)
    with CaptureQueriesContext(connection) as few:
        client.get(address)
    for number in range(60):
        stages.note(customer.pk, (Stage.ACTIVE, Stage.LOYAL)[number % 2], because="b", by=ada, at=NOON)
    with CaptureQueriesContext(connection) as many:
        page = client.get(address).content.decode()
    assert len(few) == len(many) <= 15
    rest = client.get(
        address,
        {"after": page.split("?after=")[1].split('"')[0].replace("%7E", "~").replace("%3A", ":").replace("%2B", "+")},
    )
    assert rest.content.decode().count('data-label="From"') == 11


def test_the_customer_s_page_takes_no_more_statements_for_it_R087():
    talk = conversation()
    ada = colleague()
    client = client_of(ada)
    address = f"/admin/customer/{talk.customer.public_id}/"
    client.get(address)
    with CaptureQueriesContext(connection) as before:
        client.get(address)
    stages.note(talk.customer_id, Stage.STRAINED, because="a", by=ada, at=NOON)
    stages.add_role(talk.customer_id, "press", evidence="b", by=ada, at=NOON)
    with CaptureQueriesContext(connection) as after:
        client.get(address)
    assert len(before) == len(after) <= 15
