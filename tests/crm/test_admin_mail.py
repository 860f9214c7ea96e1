"""The pages for doubtful mail and for mail set aside: who may, what a press does, and that lists cost the same at any length."""

from __future__ import annotations

import pytest
from django.test import Client

from crm.actions import mails
from crm.models import Conversation, Doubt, Interaction, ReplyToken, SetAside
from crm.policy import DoubtCode, Role
from tests.conftest import NOON
from tests.crm.stories import app_user, colleague, raw_mail

pytestmark = pytest.mark.django_db
PAGES = ("/admin/doubts/", "/admin/set-aside/", "/admin/set-aside/?show=spam")


def client_of(user: object) -> Client:
    client = Client()
    client.force_login(user)
    return client


def taken_in(text: str = "My lamp.", **changes: str) -> Interaction:
    item = mails.keep_raw(raw_mail(text, **changes), source="mail:test", label="", at=NOON)
    mails.read_raw(item, at=NOON)
    return Interaction.objects.get(raw=item)


def spam(number: int = 0) -> str:
    raw = raw_mail(f"Cheap {number}", subject=f"<b>Offer</b> {number}", extra="X-Spam-Flag: YES\r\n")
    item = mails.keep_raw(raw, source="mail:test", label="", at=NOON)
    mails.read_raw(item, at=NOON)
    return f"/admin/set-aside/{item.public_id}/"


def doubt(number: int = 0) -> Doubt:
    about = taken_in("One.", sender=f"a{number}@home.example").conversation
    heard = taken_in("Two.", sender=f"b{number}@else.example")
    return Doubt.objects.create(interaction=heard, code=DoubtCode.MENTIONS_CASE, conversation=about, raised_at=NOON)


@pytest.mark.parametrize("page", PAGES)
def test_who_may_see_the_lists_Q8(page: str):
    assert Client().get(page).status_code == 302
    assert client_of(app_user()).get(page).status_code == 403
    assert client_of(colleague(Role.LEAD)).get(page).status_code == 200
    agent = client_of(colleague()).get(page).status_code
    assert agent == (200 if "doubts" in page else 403)


def test_a_doubt_is_settled_by_a_press_and_the_two_matters_show_each_other():
    one = doubt()
    client = client_of(colleague())
    here = f"/admin/conversation/{one.interaction.conversation.public_id}/"
    assert "May belong to" in client.get(here).content.decode()
    assert client.get(f"/admin/doubts/{one.public_id}/").status_code == 405
    answer = client.post(f"/admin/doubts/{one.public_id}/", {"do": "belongs", "from": "conversation"})
    assert answer.url == here
    one.refresh_from_db()
    assert one.is_linked is True
    for matter in (one.conversation, one.interaction.conversation):
        assert "Belongs together with" in client.get(f"/admin/conversation/{matter.public_id}/").content.decode()
    assert "already" in client.post(f"/admin/doubts/{one.public_id}/", follow=True).content.decode()


def test_reply_addresses_are_taken_back_by_a_press():
    matter = taken_in().conversation
    ReplyToken.objects.create(
        nonce="00" * 16, digest="x", conversation=matter, address="a@b.example",
        created_at=NOON, expires_at=NOON,
    )  # fmt: skip
    client = client_of(colleague())
    client.post(f"/admin/conversation/{matter.public_id}/reply-addresses/")
    assert ReplyToken.objects.get().revoked_at is not None


def test_mail_set_aside_is_read_escaped_and_taken_in_by_those_who_may():
    address = spam()
    lead = client_of(colleague(Role.LEAD))
    shown = lead.get("/admin/set-aside/?show=spam").content.decode()
    assert "&lt;b&gt;Offer" in shown
    assert "<b>Offer" not in shown
    assert "Cheap 0" in lead.get(address).content.decode()
    assert client_of(colleague(Role.ADMINISTRATOR)).post(address, {"do": "customer"}).status_code == 403
    assert not Conversation.objects.exists()
    answer = lead.post(address, {"do": "customer"})
    assert answer.url == f"/admin/conversation/{Conversation.objects.get().public_id}/"
    assert lead.post(address, {"do": "right"}).status_code == 409
    assert SetAside.objects.get().verdict == "wrong"


@pytest.mark.parametrize("page", PAGES)
def test_the_lists_cost_the_same_at_any_length_X35(page: str, django_assert_num_queries: object):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from crm.actions import set_aside

    client = client_of(colleague(Role.LEAD))
    counts = []
    for upto in (1, 8):
        for number in range(upto):
            spam(upto * 100 + number)
            doubt(upto * 100 + number)
        set_aside.sample(NOON)
        client.get(page)
        with CaptureQueriesContext(
            connection,
        ) as asked:
            client.get(page)
        counts.append(len(asked))
    assert counts[0] == counts[1] <= 8
