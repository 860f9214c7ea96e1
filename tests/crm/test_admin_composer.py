"""The place where answers are written: what the page shows, keeps and refuses."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from crm.actions import answers, desk, drafts, intake, outgoing
from crm.models import AnswerDraft, Conversation, Customer, OutgoingMessage, User
from crm.policy import Delivery, OutgoingState, Role
from tests.crm.stories import colleague, message
from tests.crm.test_admin import page_of, statements, stored

pytestmark = pytest.mark.django_db


def told(**changes: Any) -> Conversation:
    return intake.receive(message(**changes), at=timezone.now(), origin="test").conversation


def browser_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page(client: Client, conversation: Conversation) -> str:
    return client.get(page_of(conversation)).content.decode()


def value(content: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', content)
    assert found, name
    return found[1]


def press(client: Client, conversation: Conversation, does: str, **typed: Any) -> Any:
    return client.post(page_of(conversation), {"do": does, "key": "k", **typed}, follow=True)


def test_an_answer_shows_the_seconds_it_can_be_taken_back_and_comes_back_as_a_draft_X13_X23():
    ada, conversation = colleague(), told()
    client = browser_of(ada)

    content = press(client, conversation, "answer", answer="We are sory.").content.decode()

    assert re.search(r'data-leaves-in="1[0-5]"[^>]*>leaves in 1[0-5] s<', content)
    assert "until then you can take it back" in content
    message = OutgoingMessage.objects.get()
    url = reverse("admin:take_back", args=[message.public_id])
    assert f'action="{url}"' in content

    content = client.post(url, follow=True).content.decode()

    assert "taken back, the customer never saw it" in content
    assert "We are sory.</textarea>" in content
    assert "Kept " in content
    assert f'action="{url}"' not in content
    refused = client.post(url, follow=True).content.decode()
    assert "cannot be taken back any more" in refused


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": OutgoingState.CLAIMED}, "on its way"),
        ({"state": OutgoingState.HANDING}, "on its way"),
        ({"state": OutgoingState.ACCEPTED}, "accepted for delivery"),
        ({"state": OutgoingState.ACCEPTED, "delivery": Delivery.DELIVERED}, "delivered"),
        ({"state": OutgoingState.ACCEPTED, "delivery": Delivery.DEFERRED, "delivery_reason": "mailbox is full"}, "mailbox is full"),
        ({"state": OutgoingState.ACCEPTED, "delivery": Delivery.BOUNCED, "delivery_reason": "no such mailbox"}, "came back"),
        ({"state": OutgoingState.REFUSED, "reason": "the mail server answered 550"}, "the mail server answered 550"),
        ({"state": OutgoingState.HELD, "reason": "customer_deceased"}, "they have died"),
        ({"state": OutgoingState.UNKNOWN, "reason": "the line broke"}, "outcome unknown"),
        ({"state": OutgoingState.PARKED, "reason": "tried for days"}, "parked after several attempts"),
        ({"state": OutgoingState.READY, "failures": 1, "reason": "the mail server answered 451"}, "not sent yet, tried again"),
        ({"state": OutgoingState.CANCELLED}, "taken back, the customer never saw it"),
        ({"state": OutgoingState.CANCELLED, "unknown_outcomes": 1}, "an earlier try may have arrived"),
    ],
)  # fmt: skip
def test_every_message_shows_where_it_is_and_why_X23(changes, words):
    ada, conversation = colleague(), told()
    sent = desk.answer(conversation.pk, text="Tomorrow.", by=ada, at=timezone.now())
    later = timezone.now() + timedelta(hours=1)
    OutgoingMessage.objects.filter(pk=sent.pk).update(
        **{"reason": "", "lease_until": later, "accepted_at": later, "send_after": later, **changes}
    )
    content = page(browser_of(ada), conversation)
    assert words in content
    assert ("Take it back" in content) == (changes["state"] == OutgoingState.READY)


def test_what_is_begun_is_kept_by_the_page_itself_and_is_there_when_it_opens_again_X12():
    ada, conversation = colleague(), told()
    client = browser_of(ada)
    first = page(client, conversation)
    keep = reverse("admin:draft", args=[conversation.public_id])
    typed = {"key": value(first, "key"), "version": value(first, "version"), "answer": "Dear Carla, <b>"}

    kept = client.post(keep, typed).json()

    assert re.fullmatch(r"Kept \d\d:\d\d", kept["words"])
    content = page(client, conversation)
    assert "Dear Carla, &lt;b&gt;</textarea>" in content
    assert value(content, "version") == kept["version"]
    stale = client.post(keep, {**typed, "answer": "Dear"})
    assert stale.status_code == 409
    assert "changed in another window" in stale.json()["refused"]
    press(client, conversation, "answer", answer="Dear Carla.", key=typed["key"])
    late = client.post(keep, {**typed, "version": kept["version"]})
    assert (late.status_code, late.json()["words"]) == (200, "")
    assert not AnswerDraft.objects.exists()


@pytest.mark.parametrize("role", Role)
def test_only_those_who_answer_keep_drafts_and_only_by_a_post_with_its_token_X12(role):
    conversation = told()
    url = reverse("admin:draft", args=[conversation.public_id])
    user = colleague(role, takes=False)
    client = browser_of(user)
    answer = client.post(url, {"answer": "Dear"})
    assert answer.status_code == (200 if role in (Role.AGENT, Role.LEAD) else 403)
    assert AnswerDraft.objects.exists() == (answer.status_code == 200)
    assert client.get(url).status_code in (403, 405)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(user)
    before = stored()
    assert strict.post(url, {"answer": "Other"}).status_code == 403
    assert stored() == before


@pytest.mark.parametrize("role", Role)
def test_an_answer_of_a_colleague_is_taken_back_by_those_who_look_after_what_leaves_X13(role):
    conversation, writer = told(), colleague()
    now = timezone.now()
    sent = answers.answer(conversation.pk, text="Hm.", by=writer, at=now, send_after=now + timedelta(seconds=50))
    client = browser_of(colleague(role, takes=False))
    before = stored()
    content = client.post(reverse("admin:take_back", args=[sent.public_id]), follow=True).content.decode()
    sent.refresh_from_db()
    may = role in (Role.LEAD, Role.ADMINISTRATOR)
    assert (sent.state == OutgoingState.CANCELLED) == may
    if not may:
        assert "Only whoever wrote this answer" in content or role == Role.LOYALTY_MANAGER
        assert stored() == before


def test_a_draft_is_shown_to_colleagues_once_it_is_shared_and_they_go_on_with_it_X12():
    ada, ben, conversation = colleague(), colleague(name="Ben"), told()
    hers, his = browser_of(ada), browser_of(ben)
    drafts.keep(conversation.pk, text="We refund it.", by=ada, at=timezone.now())
    assert "We refund it." not in page(his, conversation)

    press(hers, conversation, "share", answer="We refund all of it.")

    content = page(his, conversation)
    assert "We refund all of it." in content
    assert "Ada Agent has begun an answer" in content
    press(his, conversation, f"take_over:{ada.public_id}", answer="Dear Carla,")
    assert AnswerDraft.objects.get().text == "Dear Carla,\n\nWe refund all of it."
    assert "Ben has begun an answer" in page(hers, conversation)
    press(his, conversation, "unshare", answer="Dear Carla,")
    assert "Ben has begun" not in page(hers, conversation)
    for nonsense in ("take_over:", "take_over:x", f"take_over:{ada.public_id}"):
        before = stored()
        assert "not shared any more" in press(his, conversation, nonsense).content.decode()
        assert stored() == before


def test_a_newer_message_is_shown_before_an_answer_leaves_and_a_second_press_sends_it():
    ada, conversation = colleague(), told()
    client = browser_of(ada)
    seen = value(page(client, conversation), "seen")
    intake.receive(message("I found the invoice."), at=timezone.now(), origin="test", conversation=conversation)

    refused = press(client, conversation, "answer", answer="Send the invoice.", seen=seen)

    assert refused.status_code == 409
    content = refused.content.decode()
    assert "I found the invoice." in content
    assert "send again if your answer still fits" in content
    assert "Send the invoice.</textarea>" in content
    assert not OutgoingMessage.objects.exists()
    press(client, conversation, "answer", answer="Send the invoice.", seen=value(content, "seen"))
    assert OutgoingMessage.objects.count() == 1


def planned_for(conversation: Conversation, client: Client, moment: str, **more: Any) -> str:
    content: str = press(client, conversation, "answer", answer="Did it arrive?", later=moment, **more).content.decode()
    return content


def test_an_answer_is_planned_on_the_customers_clock_and_stands_in_the_list_of_what_is_planned_X14():
    ada, conversation = colleague(), told()
    Customer.objects.filter(pk=conversation.customer_id).update(zone="Asia/Tokyo")
    answers.answer(conversation.pk, text="We look into it.", by=ada, at=timezone.now())
    outgoing.send_batch(at=timezone.now())
    client = browser_of(ada)
    assert "s clock (Asia/Tokyo)" in page(client, conversation)
    day = (timezone.now() + timedelta(days=3)).date()

    content = planned_for(conversation, client, f"{day}T09:00", stops="1")

    sent = OutgoingMessage.objects.get(state=OutgoingState.READY)
    assert f"{sent.send_after:%Y-%m-%d %H:%M}" == f"{day} 00:00"
    assert sent.stops_if_they_write
    assert "09:00 (Asia/Tokyo)" in content
    assert "not if they write first" in content
    listed = client.get(reverse("admin:outgoing") + "?show=planned").content.decode()
    assert "09:00 (Asia/Tokyo)" in listed
    assert reverse("admin:take_back", args=[sent.public_id]) in listed
    client.post(reverse("admin:take_back", args=[sent.public_id]), {"show": "planned"})
    assert "No answer is planned." in client.get(reverse("admin:outgoing") + "?show=planned").content.decode()


@pytest.mark.parametrize("moment", ["2020-01-01T09:00", "9999-12-31T23:59", "0001-01-01T00:00", "soon", "2126-03-29"])
def test_a_moment_that_cannot_be_is_refused_and_keeps_what_was_typed(moment):
    ada, conversation = colleague(), told()
    client = browser_of(ada)
    before = stored()
    refused = press(client, conversation, "answer", answer="Did it arrive?", later=moment)
    assert refused.status_code == 409
    assert "Did it arrive?</textarea>" in refused.content.decode()
    assert f'value="{moment}"' in refused.content.decode()
    assert 'name="stops" value="1">' in refused.content.decode()  # its tick had been taken away
    assert stored() == before


def test_how_an_answer_goes_is_said_before_anybody_types_X24():
    ada = colleague()
    client = browser_of(ada)
    assert "It goes by e-mail to carla@home.example." in page(client, told(sender_address="carla@home.example"))
    unreachable = told(sender_kind="phone", sender_address="+4930123456", channel="phone", subject="")
    assert "We have no address to write to yet." in page(client, unreachable)
    assert 'maxlength="100000"' in page(client, unreachable)


def test_the_page_costs_the_same_for_one_planned_answer_and_for_twenty():
    ada = colleague()
    client, found = browser_of(ada), []
    conversation = told()
    answers.answer(conversation.pk, text="Hello.", by=ada, at=timezone.now())
    for count in (1, 19):
        for number in range(count):
            now = timezone.now()
            answers.answer(
                conversation.pk, text=f"And {count} {number}", by=ada, at=now, send_after=now + timedelta(minutes=2)
            )
            drafts.keep(conversation.pk, text="Hm.", by=colleague(), at=now, is_shared=True)
        list_url = reverse("admin:outgoing") + "?show=planned"
        found.append((statements(client, page_of(conversation)), statements(client, list_url)))
    assert found[0] == found[1]
