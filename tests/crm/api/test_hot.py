"""The short way of a plain request answers as the long way does."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from rest_framework.views import APIView

from crm.actions import intake
from crm.api.views import IsCustomer
from crm.models import ContactPoint, Conversation, Interaction
from tests.crm.api.door import client_for
from tests.crm.stories import app_user, colleague

pytestmark = pytest.mark.django_db
LONG = {"HTTP_ACCEPT": "application/json; q=0.9"}
"""Asks for our form in a way that has to be weighed."""
BODIES = {
    "words": b'{"text": "My lamp does not work.", "key": "k"}',
    "no words": b'{"text": "  "}',
    "unknown field": b'{"text": "Hello", "channel": "phone"}',
    "not JSON": b'{"text": ',
    "a name twice": b'{"text": "a", "text": "b"}',
    "not an object": b"[]",
    "empty": b"",
    "too long a subject": b'{"text": "a", "subject": "' + b"s" * 301 + b'"}',
}


@pytest.fixture
def ways(monkeypatch):
    """Which way every request went."""
    went = []
    usual = APIView.dispatch
    monkeypatch.setattr(APIView, "dispatch", lambda *args, **kwargs: went.append("long") or usual(*args, **kwargs))
    return went


@pytest.mark.parametrize("body", BODIES)
def test_both_ways_answer_alike(body, ways):
    told = []
    for way in ({}, LONG):
        client = client_for(app_user())
        ways.clear()
        answer = client.generic("POST", "/api/v1/messages/", BODIES[body], content_type="application/json", **way)
        told.append((answer.status_code, answer["Content-Type"], sorted(answer.json()), answer.json().get("errors")))
        told[-1] += (answer.json().get("code"), answer.json().get("detail"), answer["Cache-Control"])
        assert ways == (["long"] if way or answer.status_code >= 400 else [])
    assert told[0] == told[1]
    assert Interaction.objects.count() == (2 if body == "words" else 0)


def test_who_may_not_ask_is_refused_either_way():
    for way in ({}, LONG):
        nobody = client_for(None).post("/api/v1/messages/", {"text": "Hello"}, format="json", **way)
        wrong = client_for(None)
        wrong.credentials(HTTP_AUTHORIZATION="Bearer not.a.token")
        stranger = wrong.post("/api/v1/messages/", {"text": "Hello"}, format="json", **way)
        agent = client_for(colleague()).post("/api/v1/messages/", {"text": "Hello"}, format="json", **way)
        assert [nobody.status_code, stranger.status_code, agent.status_code] == [401, 401, 403]
        assert {"Bearer"} == {nobody["WWW-Authenticate"], stranger["WWW-Authenticate"]}
    assert not Conversation.objects.exists()


def test_a_refusal_of_the_action_is_one_problem_document_and_is_not_asked_twice(ways, monkeypatch):
    client = client_for(app_user())
    asked = []

    def away(*args, **kwargs):
        asked.append(args)
        raise OperationalError("the database is away")

    monkeypatch.setattr(intake, "receive", away)
    ways.clear()
    answer = client.post("/api/v1/messages/", {"text": "Hello"}, format="json")
    assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (503, "busy", "2")
    assert answer["Content-Type"] == "application/problem+json"
    assert (len(asked), ways) == (1, [])


def test_who_speaks_is_read_with_the_account_and_is_the_same_customer():
    customer = app_user()
    client = client_for(customer)
    for key in ("first", "second"):
        client.post("/api/v1/messages/", {"text": "Hello", "key": key}, format="json")
    with CaptureQueriesContext(connection) as captured:
        client.post("/api/v1/messages/", {"text": "Hello again", "key": "third"}, format="json")
    sent = [query["sql"].split()[0] for query in captured.captured_queries]
    assert [word for word in sent if word not in ("SAVEPOINT", "RELEASE")] == ["SELECT", "WITH"]
    point = ContactPoint.objects.get(kind="app")
    assert point.customer_id == customer.customer_id
    assert set(Conversation.objects.values_list("customer", flat=True)) == {customer.customer_id}
    assert set(Interaction.objects.values_list("contact_point", flat=True)) == {point.pk}


def test_a_customer_has_no_rights_and_a_colleagues_are_read_when_asked_for(monkeypatch):
    seen, usual = {}, IsCustomer.has_permission

    def looked_at(self, request, view):
        seen[request.user.pk] = request.user.get_all_permissions()
        return usual(self, request, view)

    monkeypatch.setattr(IsCustomer, "has_permission", looked_at)
    customer, agent = app_user(), colleague()
    customer.user_permissions.set(Permission.objects.all()[:3])
    for account in (customer, agent):
        client_for(account).post("/api/v1/messages/", {"text": "Hello"}, format="json")
    assert seen == {customer.pk: set(), agent.pk: agent.get_all_permissions()}
    assert seen[agent.pk]


def test_a_request_by_token_uses_no_session_and_pages_keep_theirs(client):
    agent = colleague()
    client.force_login(agent)
    assert client.get("/api/v1/me/").status_code == 200
    by_both = client.get("/api/v1/me/", HTTP_AUTHORIZATION="Bearer not.a.token")
    assert by_both.status_code == 401
    page = client.get("/admin/", HTTP_AUTHORIZATION="Bearer not.a.token")
    assert page["X-Frame-Options"] == "DENY"
    assert "script-src" in page["Content-Security-Policy"]
