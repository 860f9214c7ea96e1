"""The page on which colleagues search (X35)."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from crm.actions import intake, search_index
from crm.models import Customer
from crm.policy import Role
from tests.conftest import NOON
from tests.crm.actions.test_searching import HOSTILE
from tests.crm.stories import app_user, colleague, message
from tests.crm.test_admin_mail import client_of

pytestmark = pytest.mark.django_db


def heard(text: str, **changes):
    return intake.receive(message(text, **changes), at=NOON, origin="test")


def index() -> None:
    while search_index.read_batch(at=NOON + timedelta(hours=1)):
        pass


def page(client: Client, typed: str, **more: str) -> str:
    answer = client.get(reverse("admin:find"), {"q": typed, **more})
    assert answer.status_code == 200
    return answer.content.decode()


def test_finds_stand_in_groups_with_what_was_looked_for_marked_and_escaped_X35():
    said = heard("The <script>alert(1)</script> Lämp & more", sender_name="Lampe <b>Müller</b>")
    index()
    shown = page(client_of(colleague()), "lamp*")
    assert "<mark>Lämp</mark>" in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt; <mark>" in shown
    assert "<script>alert" not in shown
    assert "<mark>Lampe</mark> &lt;b&gt;" in shown
    assert reverse("admin:conversation", args=[said.conversation.public_id]) in shown
    assert reverse("admin:customer", args=[said.conversation.customer.public_id]) in shown


def test_one_kind_is_paged_by_key_and_nothing_is_counted_X35():
    for number in range(30):
        heard(f"lamp {number}")
    index()
    client = client_of(colleague())
    together = page(client, "lamp")
    assert together.count("data-find") == 8
    assert "Show more" in together
    first = page(client, "lamp", of="message")
    after = (
        html.unescape(re.search(r"after=([^\"]+)", first)[1])
        .replace("%7E", "~")
        .replace("%3A", ":")
        .replace("%2B", "+")
    )
    rest = page(client, "lamp", of="message", after=after)
    assert (first.count("data-find"), rest.count("data-find")) == (25, 5)
    assert "Back to the newest" in rest
    assert page(client, "lamp", of="message", after="x~y").count("data-find") == 25


def test_nothing_found_and_nothing_understood_are_said_in_words_X35():
    client = client_of(colleague())
    assert "Nothing is found by this." in page(client, "zeppelin")
    assert "Nothing is found" not in page(client, "")
    refused = client.get(reverse("admin:find"), {"q": "lamp before:<soon>"})
    assert refused.status_code == 400
    assert "Please write a day" in refused.content.decode()
    assert "before:&lt;soon&gt;" in refused.content.decode()


@pytest.mark.parametrize("typed", HOSTILE)
def test_no_syntax_gives_more_than_a_refusal_Y01(typed):
    answer = client_of(colleague()).get(reverse("admin:find"), {"q": typed.encode("utf-8", "replace").decode()})
    assert answer.status_code in (200, 400)


@pytest.mark.parametrize(("who", "status"), [(None, 302), ("customer", 403), (Role.AGENT, 200), (Role.AUDITOR, 200)])
def test_who_may_open_the_page_X35(who, status):
    heard("lamp")
    index()
    client = Client()
    if who is not None:
        client.force_login(app_user() if who == "customer" else colleague(who))
    assert client.get(reverse("admin:find"), {"q": "lamp"}).status_code == status


def test_the_box_stands_on_every_page_of_those_who_may_search_X35():
    shown = client_of(colleague()).get(reverse("admin:inbox")).content.decode()
    assert 'role="search"' in shown
    assert "data-search" in shown
    assert page(client_of(colleague()), "").count("data-search") == 1  # the page has one of its own


def test_the_page_costs_the_same_for_one_find_and_for_twenty_GOAL15():
    client, counts = client_of(colleague()), []
    for number in range(20):
        heard("lamp", sender_name="Lampe")
        if number in (0, 19):
            index()
            page(client, "lamp")
            with CaptureQueriesContext(connection) as captured:
                page(client, "lamp")
            counts.append(len(captured))
    assert counts[0] == counts[1] <= 15
    assert Customer.objects.count() >= 20
