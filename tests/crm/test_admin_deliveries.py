"""What became of a message, and whether an address is doubtful, on the staff's pages (X23)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from crm.actions import deliveries
from crm.models import DeliveryEvent, OutgoingMessage
from crm.policy import Role
from tests.conftest import NOON
from tests.crm.actions.test_deliveries import LATER, SOON, accepted, news
from tests.crm.actions.test_outgoing import answered, now
from tests.crm.stories import colleague

pytestmark = pytest.mark.django_db


def logged_in(role: Role) -> Client:
    client = Client()
    client.force_login(colleague(role), backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def bounced(number: int = 1) -> OutgoingMessage:
    message = accepted(answered(f"carla{number}@home.example"), provider_id=f"pm-{number}")
    deliveries.report(news("deferred", provider_id=f"pm-{number}", event_at=SOON, event_id=f"a{number}"), at=LATER)
    deliveries.report(news(provider_id=f"pm-{number}", event_id=f"b{number}"), at=LATER)
    return now(message)


def test_the_list_says_what_became_of_a_message_and_why():
    bounced()

    page = logged_in(Role.LEAD).get(reverse("admin:outgoing")).content.decode()

    assert "came back" in page
    assert "What was reported" in page
    assert page.index("not delivered yet") < page.index("for good")
    assert "smtp;550 5.1.1 unknown" in page


def test_whoever_may_not_read_reports_sees_the_state_only():
    bounced()
    client = logged_in(Role.LOYALTY_MANAGER)

    answer = client.get(reverse("admin:outgoing"))

    if answer.status_code == 200:
        assert "came back" in answer.content.decode()
        assert "What was reported" not in answer.content.decode()


def test_the_list_costs_the_same_for_one_message_and_for_twenty():
    client = logged_in(Role.LEAD)
    counts = []
    for numbers in (range(1), range(1, 20)):
        for number in numbers:
            bounced(number)
        client.get(reverse("admin:outgoing"))
        with CaptureQueriesContext(connection) as queries:
            client.get(reverse("admin:outgoing"))
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert DeliveryEvent.objects.count() == 40


@pytest.mark.parametrize("page", ["customer", "conversation"])
def test_a_doubtful_address_says_so_where_it_stands(page: str):
    message = bounced()
    client = logged_in(Role.AGENT)
    shown = message.customer if page == "customer" else message.conversation
    address = reverse(f"admin:{page}", args=[shown.public_id])

    told = client.get(address).content.decode()

    assert "unconfirmed since 2 Mar" in told
    deliveries.address_works(message.customer.contact_points.get(), at=LATER + timedelta(days=1))
    assert "unconfirmed since" not in client.get(address).content.decode()
    assert now(message).delivery_at == NOON + timedelta(hours=1)


def test_the_conversation_shows_that_an_answer_came_back():
    message = bounced()

    told = (
        logged_in(Role.AGENT).get(reverse("admin:conversation", args=[message.conversation.public_id])).content.decode()
    )

    assert "came back" in told
