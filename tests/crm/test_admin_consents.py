"""What a colleague sees of permissions, and that they may ask and take away but never give (N7, R056)."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from crm.actions import consent, intake, suppression
from crm.models import Consent, ConsentQuestion, Customer, OutgoingMessage
from crm.policy import Role
from crm.policy.suppression import SuppressionScope
from tests.conftest import NOON
from tests.crm.allowing import allows
from tests.crm.stories import app_user, colleague, message
from tests.crm.test_admin_mail import client_of

pytestmark = pytest.mark.django_db
MAY = {Role.AGENT, Role.LEAD}


def wrote() -> Customer:
    return intake.receive(message(sender_address="carla@home.example"), at=NOON, origin="test").conversation.customer


def page_of(customer: Customer) -> str:
    return f"/admin/customer/{customer.public_id}/"


def test_the_ledger_shows_words_place_and_who_and_what_stands_against_an_address_N7():
    carla, ada = wrote(), colleague(name="Ada Agent")
    allows(carla, words="Yes, a <b>card</b>.")
    allows(carla, "news")
    consent.withdraw(carla, "news", evidence="She rang on Monday.", at=NOON, by=ada)
    consent.unknown(carla, "survey", "email", evidence="old-shop.csv", at=NOON)
    suppression.suppress("email", "carla@home.example", scope=SuppressionScope.MARKETING, reason="legal", at=NOON)
    page = client_of(ada).get(page_of(carla)).content.decode()
    for words in (
        "Yes, a &lt;b&gt;card&lt;/b&gt;.", "their own page", "She rang on Monday.", "Ada Agent", "old-shop.csv", "unknown",
        "news and offers", "the law, or a list of objections",
    ):  # fmt: skip
        assert words in page


def test_a_colleague_notes_a_no_with_its_reason_and_asks_but_has_no_way_to_say_yes_N7():
    carla, client = wrote(), client_of(colleague())
    allows(carla)
    way = f"{page_of(carla)}consent/"
    client.post(f"{way}withdraw/", {"about": "birthday.email", "evidence": " "})
    assert consent.counting(carla.pk)["birthday", "email"].allows
    client.post(f"{way}withdraw/", {"about": "birthday.email", "evidence": "She rang."})
    assert not consent.counting(carla.pk)["birthday", "email"].allows
    client.post(f"{way}ask/", {"about": "news.email", "evidence": "She asked for it."})
    assert ConsentQuestion.objects.get().purpose == "news"
    assert OutgoingMessage.objects.get().address == "carla@home.example"
    page = client.post(f"{way}ask/", {"about": "news.email", "evidence": "Again."}, follow=True).content.decode()
    assert "They have been asked already." in page
    for about in ("news.call", "", "x", "birthday"):
        assert client.post(f"{way}ask/", {"about": about, "evidence": "x"}).status_code == 404
    assert client.post(f"{way}grant/", {"about": "news.email", "evidence": "x"}).status_code == 404
    assert not [event for event in consent.counting(carla.pk).values() if event.allows]


def test_noting_a_birthday_says_that_the_customer_was_asked_or_why_not_N7():
    carla, client = wrote(), client_of(colleague())
    told = {"day": 3, "month": 3, "evidence": "On the phone: “a card would be lovely”."}
    page = client.post(page_of(carla), told, follow=True).content.decode()
    assert "the question whether they want a card is on its way" in page
    assert consent.counting(carla.pk) == {}
    page = client.post(page_of(carla), told, follow=True).content.decode()
    assert "no question was mailed. They have been asked already." in page


@pytest.mark.parametrize("who", [None, "customer", *Role])
def test_who_may_ask_and_take_away(who: Role | str | None):
    carla = wrote()
    allows(carla)
    user = app_user() if who == "customer" else colleague(who) if who else None
    client = client_of(user) if user else Client()
    for way in ("withdraw", "ask"):
        answer = client.post(f"{page_of(carla)}consent/{way}/", {"about": "birthday.email", "evidence": "x"})
        assert answer.status_code == (302 if who in MAY or who is None else 403)
        assert client.get(f"{page_of(carla)}consent/{way}/").status_code in (302, 403, 405)
    assert consent.counting(carla.pk)["birthday", "email"].allows == (who not in MAY)


def test_no_page_of_the_admin_adds_or_changes_a_permission_N7():
    carla = wrote()
    allows(carla)
    client = client_of(colleague(Role.ADMINISTRATOR))
    number = Consent.objects.get().pk
    for way in ("add/", f"{number}/change/", f"{number}/delete/"):
        client.post(f"/admin/crm/consent/{way}", {"purpose": "news", "medium": "email", "state": "granted"})
    assert Consent.objects.count() == 1
    assert client.get("/admin/crm/consent/").status_code == 200


def test_the_page_takes_as_many_statements_for_a_long_ledger_as_for_a_short_one():
    carla, client = wrote(), client_of(colleague())
    allows(carla)
    client.get(page_of(carla))
    with CaptureQueriesContext(connection) as few:
        client.get(page_of(carla))
    for _again in range(10):
        consent.withdraw(carla, "birthday", evidence="x", at=NOON)
        allows(carla)
    with CaptureQueriesContext(connection) as many:
        client.get(page_of(carla))
    assert len(many) == len(few) <= 15
