"""What the tables refuse, and who sees which rows."""

from __future__ import annotations

import uuid

import pytest
from django.db import IntegrityError, transaction

from crm.actions import intake
from crm.models import ContactPoint, Conversation, Customer, Interaction, OutgoingMessage, User
from crm.models.ids import uuid7
from crm.policy import Role
from tests.conftest import NOON
from tests.crm.stories import app_user, colleague, message


def test_public_ids_are_version_7_and_in_time_order():
    ids = [uuid7() for _ in range(50)]
    assert all(i.version == 7 and i.variant == uuid.RFC_4122 for i in ids)
    assert len(set(ids)) == 50
    assert [i.int >> 80 for i in ids] == sorted(i.int >> 80 for i in ids)


@pytest.mark.django_db
def test_an_account_is_a_colleagues_or_a_customers_never_both():
    user = app_user()
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(pk=user.pk).update(is_staff=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(pk=user.pk).update(takes_conversations=True)


@pytest.mark.django_db
def test_one_address_belongs_to_one_customer():
    one, two = (Customer.objects.create(display_name=n, created_at=NOON) for n in "ab")
    ContactPoint.objects.create(customer=one, kind="email", address="a@home.example", created_at=NOON)
    with pytest.raises(IntegrityError), transaction.atomic():
        ContactPoint.objects.create(customer=two, kind="email", address="a@home.example", created_at=NOON)
    ContactPoint.objects.update(unlinked_at=NOON)
    ContactPoint.objects.create(customer=two, kind="email", address="a@home.example", created_at=NOON)


@pytest.mark.django_db
def test_what_waits_for_us_always_has_a_promised_time_R007():
    received = intake.receive(message(), at=NOON, origin="test")
    with pytest.raises(IntegrityError), transaction.atomic():
        Conversation.objects.filter(pk=received.conversation.pk).update(due_at=None)


@pytest.mark.django_db
def test_the_same_delivery_is_stored_once_M18():
    received = intake.receive(message(external_id="one"), at=NOON, origin="test")
    with pytest.raises(IntegrityError), transaction.atomic():
        Interaction.objects.create(
            conversation=received.conversation, direction="in", channel="email", source="mail:test", external_id="one",
            spoke_at=NOON, ingested_at=NOON,
        )  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize("state", ["accepted", "claimed", "handing", "held", "parked", "refused"])
def test_an_outgoing_message_is_in_no_state_without_what_belongs_to_it(state):
    customer = Customer.objects.create(display_name="a", created_at=NOON)
    with pytest.raises(IntegrityError), transaction.atomic():
        OutgoingMessage.objects.create(
            key="k", kind="service", channel="email", address="a@home.example", customer=customer, subject="s", text="t",
            created_at=NOON, send_after=NOON, state=state,
        )  # fmt: skip


@pytest.mark.django_db
def test_everybody_sees_what_is_theirs_Q8():
    lead, mine, other = colleague(Role.LEAD), app_user(), app_user()
    theirs = intake.receive(message(sender_kind="app", sender_address=str(mine.public_id)), at=NOON, origin="test")
    seen = {
        name: list(Conversation.objects.visible_to(user))
        for name, user in [("lead", lead), ("mine", mine), ("other", other)]
    }
    assert seen == {"lead": [theirs.conversation], "mine": [theirs.conversation], "other": []}
    assert list(Customer.objects.visible_to(mine)) == [theirs.conversation.customer]
    without_role = User.objects.create_user("new@shop.example", "x", is_staff=True)
    assert not Conversation.objects.visible_to(without_role)
