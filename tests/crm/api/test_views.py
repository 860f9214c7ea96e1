"""The API door: what each account may do, what a request costs, and how it refuses."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from crm.actions import intake
from crm.models import Conversation, HistoryEntry, Interaction, OutgoingMessage, Promise, User
from crm.policy import Direction, Role
from recovery.actions import open_case
from recovery.policy import Facts
from tests.conftest import NOON, ROOT
from tests.crm.api.door import client_for
from tests.crm.stories import app_user, colleague, message

pytestmark = pytest.mark.django_db


def sql(captured: Any) -> list[str]:
    """The statements a request sent, without transaction control."""
    control = ("SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT")
    return [query["sql"] for query in captured.captured_queries if not query["sql"].startswith(control)]


def test_a_customer_tells_us_something_and_sees_what_is_promised():
    agent, customer = colleague(), app_user()
    client = client_for(customer)

    answer = client.post("/api/v1/messages/", {"text": "My lamp does not work.", "key": "k1"}, format="json")

    assert answer.status_code == 201
    conversation = Conversation.objects.get()
    assert str(conversation.public_id) == answer.json()["conversation"]
    assert conversation.owner == agent
    assert [p["kind"] for p in answer.json()["promises"]] == ["first_response"]
    detail = client.get(f"/api/v1/conversations/{conversation.public_id}/").json()
    assert [said["text"] for said in detail["interactions"]] == ["My lamp does not work."]
    assert client.get("/api/v1/conversations/").json()["results"][0]["id"] == str(conversation.public_id)


def test_the_same_key_twice_is_one_message_and_with_other_words_a_refusal_C11():
    client = client_for(app_user())
    first = client.post("/api/v1/messages/", {"text": "Hello", "key": "k"}, format="json")
    again = client.post("/api/v1/messages/", {"text": "Hello", "key": "k"}, format="json")
    other = client.post("/api/v1/messages/", {"text": "Something else", "key": "k"}, format="json")

    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 422)
    assert again.json()["interaction"] == first.json()["interaction"]
    assert other.json()["code"] == "idempotency_key_reused"
    assert Interaction.objects.count() == 1


def test_keys_belong_to_one_account_C11():
    one = client_for(app_user()).post("/api/v1/messages/", {"text": "Hello", "key": "k"}, format="json")
    two = client_for(app_user()).post("/api/v1/messages/", {"text": "Good day", "key": "k"}, format="json")
    assert (one.status_code, two.status_code) == (201, 201)


@pytest.mark.parametrize("rows", [1, 20])
def test_what_a_request_costs_does_not_depend_on_how_much_there_is_GOAL15(rows, django_assert_max_num_queries):
    agent, customer = colleague(Role.AGENT), app_user()
    staff, app = client_for(agent), client_for(customer)
    for _ in range(rows):
        intake.receive(message(sender_address="c@home.example"), at=NOON, origin="test")
        app.post("/api/v1/messages/", {"text": "It is broken."}, format="json")
    conversation = Conversation.objects.filter(customer=customer.customer_id).first()
    for number in range(rows):
        intake.receive(
            message(f"more {number}", sender_kind="app", sender_address=str(customer.public_id)),
            at=NOON,
            origin="test",
            conversation=conversation,
        )
    limits = {
        "inbox": (5, lambda: staff.get("/api/v1/inbox/")),
        "conversations": (5, lambda: app.get("/api/v1/conversations/")),
        "detail, customer": (5, lambda: app.get(f"/api/v1/conversations/{conversation.public_id}/")),
        "detail, staff": (5, lambda: staff.get(f"/api/v1/conversations/{conversation.public_id}/")),
        "timeline": (5, lambda: staff.get(f"/api/v1/customers/{conversation.customer.public_id}/timeline/")),
        "create": (6, lambda: app.post("/api/v1/messages/", {"text": "And another thing."}, format="json")),
        "reply": (12, lambda: staff.post(f"/api/v1/conversations/{conversation.public_id}/answers/", {"text": "Hi.", "out_of_order": "knows_it"}, format="json")),
        "cases": (5, lambda: staff.get("/api/v1/cases/")),
    }  # fmt: skip
    for what, (limit, ask) in limits.items():
        with django_assert_max_num_queries(40) as captured:
            answer = ask()
        assert answer.status_code in (200, 201), (what, answer.content)
        statements = sql(captured)
        assert len(statements) <= limit, (what, statements)


def test_the_inbox_pages_by_key_in_due_order_without_gaps_GOAL7():
    agent = colleague()
    for number in range(120):
        at = NOON + timedelta(minutes=number % 7)
        intake.receive(message(f"Nummer {number}"), at=at, origin="test")
    client, seen, cursor = client_for(agent), [], ""
    while True:
        page = client.get("/api/v1/inbox/", {"cursor": cursor} if cursor else {}).json()
        seen += [row["id"] for row in page["results"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    in_order = [str(c.public_id) for c in Conversation.objects.in_due_order()]
    assert seen == in_order


@pytest.mark.parametrize("cursor", ["x", "W10", "WyJhIl0", "bnVsbA", "W251bGwsbnVsbCxudWxsLG51bGxd", "👋"])
def test_a_page_marker_that_is_not_ours_is_refused_C12(cursor):
    answer = client_for(colleague()).get("/api/v1/inbox/", {"cursor": cursor})
    assert answer.status_code == 400
    assert answer.json()["code"] == "bad_cursor"


BAD_BODIES = [
    b"", b"{", b"[]", b"null", b'"text"', b'{"text": NaN}', b'{"text": 1e400}', b'{"text": "a", "text": "b"}', b'{"text": null}',
    b'{"text": "a\\u0000b"}', b'{"text": "\\ud800"}', b'{"text": ""}', b'{"text": "  "}', b'{"text": {"a": 1}}', b'{"text": ["x"]}',
    b'{"text": "ok", "severity": "critical"}', b'{"text": "ok", "customer": 1}', b'{"text": "ok", "is_staff": true}',
    b"\xff\xfe", b'{"text": "' + b"x" * 100_001 + b'"}', b"[" * 100_000, b'{"text": "ok", "subject": "' + b"s" * 301 + b'"}',
]  # fmt: skip


@pytest.mark.parametrize("body", BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_nonsense_gets_a_problem_document_and_changes_nothing_C03_C12(body):
    client = client_for(app_user())
    answer = client.generic("POST", "/api/v1/messages/", body, content_type="application/json")
    assert 400 <= answer.status_code < 500, answer.content
    document = answer.json()
    assert answer["Content-Type"] == "application/problem+json"
    assert set(document) == {"type", "title", "status", "code", "detail", "instance", "errors"}
    assert document["status"] == answer.status_code
    assert document["code"]
    assert not Interaction.objects.exists()


def test_forms_and_other_bodies_are_not_json():
    client = client_for(app_user())
    answer = client.post("/api/v1/messages/", {"text": "x"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


STAFF_ONLY = [
    ("get", "/api/v1/inbox/"),
    ("post", "/api/v1/calls/"),
    ("post", "/api/v1/conversations/{c}/answers/"),
    ("post", "/api/v1/conversations/{c}/notes/"),
    ("post", "/api/v1/conversations/{c}/close/"),
    ("post", "/api/v1/conversations/{c}/take/"),
    ("post", "/api/v1/conversations/{c}/put-back/"),
    ("post", "/api/v1/conversations/{c}/hand-offs/"),
    ("post", "/api/v1/hand-offs/{c}/accept/"),
    ("post", "/api/v1/hand-offs/{c}/decline/"),
    ("post", "/api/v1/hand-offs/{c}/withdraw/"),
    ("post", "/api/v1/queue/next/"),
    ("post", "/api/v1/conversations/{c}/case/"),
    ("post", "/api/v1/cases/{k}/own/"),
    ("post", "/api/v1/cases/{k}/facts/"),
    ("post", "/api/v1/cases/{k}/resolve/"),
]
READ = [
    "/api/v1/me/",
    "/api/v1/conversations/",
    "/api/v1/conversations/{c}/",
    "/api/v1/cases/",
    "/api/v1/cases/{k}/",
    "/api/v1/customers/{u}/timeline/",
]


@pytest.fixture
def told() -> dict[str, Any]:
    """One customer who told us something, and their case."""
    colleague()
    customer = app_user()
    received = intake.receive(
        message(sender_kind="app", sender_address=str(customer.public_id)), at=NOON, origin="test", by=customer
    )
    case = open_case(received.conversation.pk, facts=Facts(), seen_because=[], by=None, at=NOON)
    names = {"c": received.conversation.public_id, "k": case.public_id, "u": received.conversation.customer.public_id}
    return {"customer": customer, "names": names}


def test_nobody_gets_in_without_logging_in(told):
    client = client_for(None)
    for method, url in [*STAFF_ONLY, *(("get", url) for url in READ), ("post", "/api/v1/messages/")]:
        answer = getattr(client, method)(url.format(**told["names"]))
        assert answer.status_code == 401, url
        assert answer["WWW-Authenticate"].startswith("Bearer")
        assert answer.json()["code"] == "not_authenticated"


def test_a_customer_does_nothing_that_is_for_staff_C01(told):
    client = client_for(told["customer"])
    before = HistoryEntry.objects.count()
    for method, url in STAFF_ONLY:
        assert getattr(client, method)(url.format(**told["names"]), {}, format="json").status_code == 403, url
    assert client.get(f"/api/v1/customers/{told['names']['u']}/timeline/").status_code == 403
    assert HistoryEntry.objects.count() == before


def test_somebody_elses_is_the_same_as_not_there_C01_Q8(told):
    stranger = client_for(app_user())
    nowhere = {"c": "01900000-0000-7000-8000-000000000000", "k": "01900000-0000-7000-8000-000000000000"}
    for url in ["/api/v1/conversations/{c}/", "/api/v1/cases/{k}/"]:
        theirs, none = stranger.get(url.format(**told["names"])), stranger.get(url.format(**nowhere))
        assert theirs.status_code == none.status_code == 404
        drop = ("instance",)
        assert {k: v for k, v in theirs.json().items() if k not in drop} == {
            k: v for k, v in none.json().items() if k not in drop
        }
    wrote = stranger.post(f"/api/v1/conversations/{told['names']['c']}/messages/", {"text": "hello"}, format="json")
    assert wrote.status_code == 404
    assert stranger.get("/api/v1/conversations/").json()["results"] == []
    assert stranger.get("/api/v1/cases/").json()["results"] == []


@pytest.mark.parametrize("role", list(Role))
def test_each_role_may_what_its_table_says(role, told):
    client = client_for(colleague(role, takes=False))
    answers = role in (Role.AGENT, Role.LEAD)
    assert client.get("/api/v1/inbox/").status_code == 200
    assert client.get(f"/api/v1/conversations/{told['names']['c']}/").status_code == 200
    answer = client.post(f"/api/v1/conversations/{told['names']['c']}/answers/", {"text": "Hello!"}, format="json")
    assert answer.status_code == (201 if answers else 403)


def test_notes_are_for_colleagues_only(told):
    staff = client_for(colleague())
    url = f"/api/v1/conversations/{told['names']['c']}/"
    assert staff.post(f"{url}notes/", {"text": "Looks like the courier."}, format="json").status_code == 201
    assert Direction.INTERNAL in [said["direction"] for said in staff.get(url).json()["interactions"]]
    mine = client_for(told["customer"]).get(url).json()
    assert Direction.INTERNAL not in [said["direction"] for said in mine["interactions"]]


def test_an_account_that_was_closed_or_logged_out_is_out_at_once_C10(told):
    user: User = told["customer"]
    client = client_for(user)
    assert client.get("/api/v1/me/").status_code == 200
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert client.get("/api/v1/me/").status_code == 401
    User.objects.filter(pk=user.pk).update(is_active=True)
    assert client.get("/api/v1/me/").status_code == 200
    user.set_password("another horse")
    user.save()
    assert client.get("/api/v1/me/").status_code == 401


def test_logging_out_ends_the_access_token_too_C10():
    client = client_for(app_user())
    login = client.get("/_allauth/app/v1/auth/session")
    assert client.get("/api/v1/me/").status_code == 200
    client.delete("/_allauth/app/v1/auth/session")
    assert login.status_code in (200, 401)
    assert client.get("/api/v1/me/").status_code == 401


def test_a_refusal_of_an_action_is_a_409_with_its_code_and_changes_nothing(told):
    staff = client_for(colleague())
    url = f"/api/v1/conversations/{told['names']['c']}/close/"
    answer = staff.post(url)
    assert (answer.status_code, answer.json()["code"]) == (409, "still_promised")
    assert "first answer" in answer.json()["detail"]
    assert Conversation.objects.get(public_id=told["names"]["c"]).state == "open"


def test_a_case_is_decided_and_settled_over_the_api(told):
    staff = client_for(colleague())
    url = f"/api/v1/cases/{told['names']['k']}/"
    facts = {"complaint_type": "damaged_item", "loss": 8000, "days_without": 3}
    decided = staff.post(f"{url}facts/", facts, format="json").json()
    assert decided["decision"]["entitlement"]["owed"] == 10000
    assert decided["severity"] == "high"
    assert staff.post(f"{url}resolve/", {"outcome": "upheld", "explanation": " "}, format="json").status_code == 400
    assert staff.post(f"{url}facts/", {**facts, "loss": -1}, format="json").status_code == 400
    assert (
        staff.post(f"{url}facts/", {**facts, "currency": "XXX"}, format="json").json()["errors"][0]["code"]
        == "unknown_currency"
    )
    resolved = staff.post(f"{url}resolve/", {"outcome": "upheld", "explanation": "We send a new one."}, format="json")
    assert resolved.json()["status"] == "resolved"
    assert OutgoingMessage.objects.get().interaction.text == "We send a new one."
    again = staff.post(f"{url}resolve/", {"outcome": "upheld", "explanation": "Twice."}, format="json")
    assert (again.status_code, again.json()["code"]) == (409, "wrong_status")


def test_a_call_is_written_down_over_the_api():
    staff = client_for(colleague())
    call = {
        "key": "c1",
        "phone": "030 123456",
        "email": "c@home.example",
        "said": "It is broken.",
        "agreed": "We will look.",
    }
    assert staff.post("/api/v1/calls/", call, format="json").status_code == 201
    assert staff.post("/api/v1/calls/", call, format="json").status_code == 200
    assert {p.kind for p in Promise.objects.all()} == {"first_response", "confirmation"}
    assert OutgoingMessage.objects.get().address == "c@home.example"
    assert (
        staff.post("/api/v1/calls/", {**call, "key": "c2", "phone": "12"}, format="json").json()["code"]
        == "unusable_address"
    )


def test_pages_that_are_not_there_answer_in_the_one_error_shape():
    answer = Client().get("/api/v1/nowhere/")
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "not_found"


def test_api_answers_are_never_cached_P16(told):
    for url in ("/api/v1/me/", "/api/v1/conversations/"):
        assert client_for(told["customer"]).get(url)["Cache-Control"] == "no-store"


def test_the_schema_describes_every_address_without_a_warning(tmp_path):
    out = tmp_path / "schema.json"
    call_command("spectacular", "--format", "openapi-json", "--validate", "--fail-on-warn", "--file", str(out))
    schema = json.loads(out.read_text())
    assert schema["openapi"].startswith("3.1")
    assert len(schema["paths"]) == 48
    assert all("4XX" in operation["responses"] for path in schema["paths"].values() for operation in path.values())


def test_the_schema_in_the_docs_is_the_one_in_force(tmp_path):
    """Write it anew with: manage.py spectacular --file docs/openapi.yaml"""
    out = tmp_path / "openapi.yaml"
    call_command("spectacular", "--file", str(out))
    assert out.read_text(encoding="utf-8") == (ROOT / "docs/openapi.yaml").read_text(encoding="utf-8")


def test_schema_and_docs_pages_answer():
    client = Client()
    assert client.get("/api/v1/schema/").status_code == 200
    assert client.get("/api/v1/docs/").status_code == 200


@pytest.mark.django_db
def test_an_answer_that_takes_something_back_is_refused_with_its_own_code():
    conversation = intake.receive(message(), at=NOON, origin="test").conversation
    client, url = client_for(colleague()), f"/api/v1/conversations/{conversation.public_id}/answers/"
    assert client.post(url, {"text": "We refund you 80 euros."}, format="json").status_code == 201
    less = {"text": "We refund you 60 euros, we miscounted."}
    refused = client.post(url, less, format="json")
    assert (refused.status_code, refused.json()["code"]) == (409, "contradicts")
    assert "We refund you 80 euros." in refused.json()["detail"]
    assert client.post(url, {**less, "correction": "we miscounted"}, format="json").status_code == 201
