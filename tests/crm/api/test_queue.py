"""The queue's addresses: what a program of staff gets, and how it is refused."""

from __future__ import annotations

from datetime import timedelta

import pytest

from crm.actions import intake
from crm.models import Conversation, HandOff, Pull, User
from tests.conftest import NOON
from tests.crm.api.door import client_for
from tests.crm.stories import colleague, message

pytestmark = pytest.mark.django_db


def told(minutes: int = 0) -> Conversation:
    return intake.receive(message(), at=NOON + timedelta(minutes=minutes), origin="test").conversation


def test_the_next_is_given_until_nobody_waits_E09():
    client = client_for(colleague())
    first, second = told(), told(1)
    given = [client.post("/api/v1/queue/next/").json()["conversation"] for _ in range(3)]
    assert given == [str(first.public_id), str(second.public_id), None]


def test_out_of_order_is_refused_with_a_code_and_goes_with_a_reason_E09():
    client = client_for(colleague())
    told()
    url = f"/api/v1/conversations/{told(1).public_id}/"

    refused = client.post(f"{url}answers/", {"text": "Hello"}, format="json")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_next")
    assert "1 other customer stands before this one" in refused.json()["detail"]
    assert client.post(f"{url}take/", {}, format="json").json()["code"] == "not_next"
    unknown = client.post(f"{url}answers/", {"text": "Hello", "out_of_order": "vip"}, format="json")
    assert unknown.status_code == 400
    taken = client.post(f"{url}take/", {"out_of_order": "same_matter"}, format="json")
    assert taken.status_code == 204
    assert client.post(f"{url}answers/", {"text": "Hello"}, format="json").status_code == 201
    assert (Pull.objects.get().ahead, Pull.objects.get().reason) == (1, "same_matter")


def test_what_a_colleague_works_on_is_in_work_and_can_be_put_back():
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    one, other = client_for(ada), client_for(ben)
    url = f"/api/v1/conversations/{told().public_id}/"
    one.post("/api/v1/queue/next/")
    assert other.post(f"{url}answers/", {"text": "Hello"}, format="json").json()["code"] == "in_work"
    assert other.post(f"{url}put-back/", {"because": "missing"}, format="json").json()["code"] == "not_held"
    assert one.post(f"{url}put-back/", {"because": "missing"}, format="json").status_code == 204
    assert other.post(f"{url}answers/", {"text": "Hello"}, format="json").status_code == 201


def test_a_full_desk_is_refused_in_words_R115():
    ada = colleague(name="Ada")
    told()
    Conversation.objects.update(owner=None)
    User.objects.update(capacity_points=1)
    refused = client_for(ada).post("/api/v1/queue/next/")
    assert (refused.status_code, refused.json()["code"]) == (409, "overloaded")
    assert "0 of 1 effort points" in refused.json()["detail"]


def test_a_matter_is_offered_accepted_and_told_R008():
    ada, ben = colleague(name="Ada"), colleague(name="Ben")
    conversation = told()
    Conversation.objects.update(owner=ada)
    one, other = client_for(ada), client_for(ben)
    url = f"/api/v1/conversations/{conversation.public_id}/hand-offs/"
    words = {"to": str(ben.public_id), "reason": "knows_it", "context_note": "Ask the workshop."}

    assert one.post(url, {**words, "to": str(conversation.public_id)}, format="json").status_code == 400
    offered = one.post(url, words, format="json")
    assert (offered.status_code, offered.json()["state"]) == (201, "offered")
    number = offered.json()["id"]
    stranger = one.post(f"/api/v1/hand-offs/{number}/accept/")
    assert (stranger.status_code, stranger.json()["code"]) == (403, "not_yours")
    accepted = other.post(f"/api/v1/hand-offs/{number}/accept/").json()
    assert accepted["state"] == "accepted"
    assert accepted["customer_told_at"]
    again = other.post(f"/api/v1/hand-offs/{number}/decline/")
    assert (again.status_code, again.json()["code"]) == (409, "not_offered")
    back = other.post(url, {**words, "to": str(ada.public_id)}, format="json").json()["id"]
    assert other.post(f"/api/v1/hand-offs/{back}/withdraw/").json()["state"] == "withdrawn"
    assert HandOff.objects.count() == 2
