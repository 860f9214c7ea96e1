"""Answers through the API: planned, taken back, kept as a draft, and what each account sees of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from crm.actions import answers, drafts, intake, outgoing
from crm.models import AnswerDraft, Conversation, Customer, HistoryEntry, OutgoingMessage, User
from crm.policy import Delivery, OutgoingState, Role
from tests.crm.api.door import client_for
from tests.crm.stories import app_user, colleague, message

pytestmark = pytest.mark.django_db


def told(user: User | None = None) -> Conversation:
    changes: dict[str, Any] = {"sender_kind": "app", "sender_address": str(user.public_id)} if user else {}
    return intake.receive(message(**changes), at=timezone.now(), origin="test").conversation


def address(conversation: Conversation, rest: str) -> str:
    return f"/api/v1/conversations/{conversation.public_id}/{rest}/"


def shown(client: Any, conversation: Conversation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"/api/v1/conversations/{conversation.public_id}/").json()["interactions"]
    return found


def test_an_answer_can_be_taken_back_for_a_moment_and_the_app_never_shows_it_before_it_left_X13():
    agent, customer = colleague(), app_user()
    staff, app, conversation = client_for(agent), client_for(customer), told(customer)

    sent = staff.post(address(conversation, "answers"), {"text": "It is on its way."}, format="json").json()

    assert (sent["state"], sent["channel"], sent["can_be_taken_back"]) == ("ready", "app", True)
    leaves = datetime.fromisoformat(sent["send_after"]) - timezone.now()
    assert timedelta(seconds=5) < leaves <= timedelta(seconds=15)
    assert [said["text"] for said in shown(app, conversation)] == ["My parcel arrived broken."]
    assert [said["text"] for said in shown(staff, conversation)][1:] == ["It is on its way."]

    taken = staff.post(f"/api/v1/outgoing/{sent['id']}/take-back/").json()
    assert (taken["state"], taken["can_be_taken_back"]) == ("cancelled", False)
    assert staff.get(address(conversation, "draft")).json()["text"] == "It is on its way."
    assert len(shown(app, conversation)) == 1
    assert shown(staff, conversation)[1]["outgoing"]["state"] == "cancelled"

    again = staff.post(address(conversation, "answers"), {"text": "It is on its way!"}, format="json").json()
    outgoing.send_batch(at=datetime.fromisoformat(again["send_after"]))
    seen = shown(app, conversation)
    assert [said["text"] for said in seen] == ["My parcel arrived broken.", "It is on its way!"]
    assert datetime.fromisoformat(seen[1]["spoke_at"]) == OutgoingMessage.objects.get(state="accepted").accepted_at
    assert seen[1]["outgoing"] is None  # how it travelled is for colleagues
    refused = staff.post(f"/api/v1/outgoing/{again['id']}/take-back/")
    assert (refused.status_code, refused.json()["code"]) == (409, "too_late")


@pytest.mark.parametrize("state", [s for s in OutgoingState if s != OutgoingState.ACCEPTED])
def test_only_what_has_left_is_shown_to_the_customer(state):
    customer = app_user()
    conversation = told(customer)
    sent = answers.answer(conversation.pk, text="Not yet.", by=colleague(), at=timezone.now())
    OutgoingMessage.objects.filter(pk=sent.pk).update(state=state, reason="r", lease_until=timezone.now())
    assert len(shown(client_for(customer), conversation)) == 1


def test_with_the_moment_switched_off_an_answer_leaves_at_once(settings):
    settings.EVENHAND_UNDO_FOR = timedelta(0)
    staff, conversation = client_for(colleague()), told()
    staff.post(address(conversation, "answers"), {"text": "Hello."}, format="json")
    outgoing.send_batch(at=timezone.now())
    assert OutgoingMessage.objects.get().state == OutgoingState.ACCEPTED


def settled(zone: str = "Asia/Tokyo") -> tuple[User, Conversation]:
    agent, conversation = colleague(), told()
    Customer.objects.filter(pk=conversation.customer_id).update(zone=zone)
    answers.answer(conversation.pk, text="We look into it.", by=agent, at=timezone.now())
    outgoing.send_batch(at=timezone.now())
    return agent, conversation


def test_a_time_without_an_offset_is_meant_on_the_customers_clock_X14():
    agent, conversation = settled()
    day = (timezone.now() + timedelta(days=3)).date()
    for moment in (f"{day}T09:00", f"{day}T09:00:00+09:00", f"{day}T00:00:00Z"):
        sent = client_for(agent).post(
            address(conversation, "answers"),
            {"text": f"Did it arrive? {moment}", "send_after": moment, "stops_if_they_write": True},
            format="json",
        ).json()  # fmt: skip
        assert sent["send_after"] == f"{day}T00:00:00Z"
        assert sent["stops_if_they_write"] is True


@pytest.mark.parametrize(
    ("moment", "status", "code"),
    [
        ("yesterday", 400, "invalid"), ("", 400, "invalid"), ("2020-01-01T09:00", 409, "not_then"),
        ("9999-12-31T23:59", 409, "not_then"),
        ("0001-01-01T00:00", 400, "no_such_time"), ("0001-01-01T00:00+14:00", 409, "not_then"),
    ],
)  # fmt: skip
def test_a_moment_that_is_none_is_refused_and_nothing_is_written(moment, status, code):
    agent, conversation = settled()
    before = OutgoingMessage.objects.count(), HistoryEntry.objects.count()
    answer = client_for(agent).post(
        address(conversation, "answers"), {"text": "x", "send_after": moment}, format="json"
    )
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (OutgoingMessage.objects.count(), HistoryEntry.objects.count()) == before


def test_nothing_is_planned_behind_what_is_promised_X14():
    staff, conversation = client_for(colleague()), told()
    moment = (conversation.due_at + timedelta(minutes=1)).isoformat()
    answer = staff.post(address(conversation, "answers"), {"text": "x", "send_after": moment}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_then")
    assert "promised by" in answer.json()["detail"]


def test_who_has_not_seen_the_newest_is_told_so():
    staff, conversation = client_for(colleague()), told()
    body = {"text": "Hello.", "seen": 0}
    answer = staff.post(address(conversation, "answers"), body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (409, "newer_said")
    assert staff.post(address(conversation, "answers"), {**body, "seen": 1}, format="json").status_code == 201


WHO = ["nobody", "customer", "stranger", *Role]


def client_of(who: str, customer: User) -> Any:
    if who == "nobody":
        return client_for(None)
    if who in ("customer", "stranger"):
        return client_for(customer if who == "customer" else app_user())
    return client_for(colleague(Role(who), takes=False))


@pytest.mark.parametrize("who", WHO)
def test_drafts_are_for_those_who_answer_X12(who):
    customer = app_user()
    conversation, client = told(customer), client_of(who, customer)
    for ask in (
        lambda: client.put(address(conversation, "draft"), {"text": "Dear"}, format="json"),
        lambda: client.get(address(conversation, "draft")),
        lambda: client.delete(address(conversation, "draft")),
    ):
        answer = ask()
        if who in (Role.AGENT, Role.LEAD):
            assert answer.status_code in (200, 204)
        else:
            assert answer.status_code == (401 if who == "nobody" else 403)
            assert not AnswerDraft.objects.exists()


@pytest.mark.parametrize("who", WHO)
def test_a_colleagues_answer_is_taken_back_by_those_who_look_after_what_leaves_X13(who):
    customer, writer = app_user(), colleague()
    conversation = told(customer)
    now = timezone.now()
    sent = answers.answer(conversation.pk, text="Hm.", by=writer, at=now, send_after=now + timedelta(seconds=15))
    before = HistoryEntry.objects.count()
    client = client_of(who, customer)
    before += HistoryEntry.objects.count() - before  # enrolling somebody is history too

    answer = client.post(f"/api/v1/outgoing/{sent.public_id}/take-back/")

    sent.refresh_from_db()
    if who in (Role.LEAD, Role.ADMINISTRATOR):
        assert (answer.status_code, sent.state) == (200, OutgoingState.CANCELLED)
        assert AnswerDraft.objects.get().author == writer
        return
    assert answer.status_code == (401 if who == "nobody" else 403)
    assert (sent.state, HistoryEntry.objects.count()) == (OutgoingState.READY, before)
    if who in (Role.AGENT, Role.AUDITOR):
        assert answer.json()["code"] == "not_theirs"


def test_a_draft_is_kept_shared_and_dropped_X12():
    ada, ben = colleague(), colleague(name="Ben")
    conversation, client = told(), client_for(ada)
    assert client.get(address(conversation, "draft")).json() == {
        "by": "Ada Agent", "version": "", "text": "", "is_shared": False, "kept_at": None, "shared": [],
    }  # fmt: skip
    drafts.keep(conversation.pk, text="From Ben", by=ben, at=timezone.now(), is_shared=True)
    drafts.keep(conversation.pk, text="Not shown", by=colleague(), at=timezone.now())

    kept = client.put(
        address(conversation, "draft"), {"text": " Dear\n", "is_shared": True, "expects": ""}, format="json"
    ).json()
    assert (kept["text"], kept["is_shared"]) == (" Dear\n", True)
    stale = client.put(address(conversation, "draft"), {"text": "x", "expects": ""}, format="json")
    assert (stale.status_code, stale.json()["code"]) == (409, "draft_changed")
    found = client.get(address(conversation, "draft")).json()
    assert (found["text"], [draft["text"] for draft in found["shared"]]) == (" Dear\n", ["From Ben"])

    assert client.delete(address(conversation, "draft")).status_code == 204
    assert not AnswerDraft.objects.filter(author=ada).exists()


@pytest.mark.parametrize(
    "body", [{}, {"text": None}, {"text": "a\x00b"}, {"text": "x" * 100_001}, {"text": "a", "author": 1}]
)
def test_nonsense_is_no_draft(body):
    conversation = told()
    answer = client_for(colleague()).put(address(conversation, "draft"), body, format="json")
    assert answer.status_code == 400
    assert not AnswerDraft.objects.exists()


def test_staff_read_what_became_of_an_answer_X23():
    agent, conversation = settled()
    OutgoingMessage.objects.update(
        delivery=Delivery.BOUNCED, delivery_reason="no such mailbox", delivery_at=timezone.now()
    )
    sent = shown(client_for(agent), conversation)[1]["outgoing"]
    assert (sent["state"], sent["delivery"], sent["delivery_reason"]) == ("accepted", "bounced", "no such mailbox")
