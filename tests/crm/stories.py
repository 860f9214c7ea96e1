"""Rows that many tests start from, made by the product's own actions."""

from __future__ import annotations

import itertools
from typing import Any

from django.test import Client

from crm.actions import staff
from crm.channels import Channel, Message
from crm.models import Customer, User
from crm.policy import Role
from tests.conftest import NOON

_numbers = itertools.count(1)


def colleague(role: Role = Role.AGENT, *, name: str = "Ada Agent", takes: bool = True, email: str = "") -> User:
    """A colleague with one role."""
    return staff.enrol(
        email or f"colleague{next(_numbers)}@shop.example",
        role=role,
        name=name,
        password="right horse",
        at=NOON,
        takes_conversations=takes,
    )


def app_user(*, name: str = "Carla Customer", email: str = "") -> User:
    """A customer with an account for the app."""
    customer = Customer.objects.create(display_name=name, created_at=NOON)
    return staff.give_app_account(
        customer, email=email or f"customer{next(_numbers)}@home.example", password="right horse", at=NOON
    )


def message(text: str = "My parcel arrived broken.", **changes: Any) -> Message:
    """One message, as a door would translate it."""
    number = next(_numbers)
    plain: dict[str, Any] = {
        "channel": Channel.EMAIL,
        "source": "mail:test",
        "external_id": f"m{number}",
        "sender_kind": "email",
        "sender_address": f"customer{number}@home.example",
        "sender_name": "Carla Customer",
        "subject": "My parcel",
        "text": text,
        "full_text": text,
        "html": "",
        "spoke_at": None,
        "attachments": (),
        "in_reply_to": (),
        "message_id": "",
        "language": "",
        "recipients": (),
    }
    return Message(**{**plain, **changes})


def raw_mail(
    text: str = "My parcel arrived broken.",
    *,
    sender: str = "carla@home.example",
    subject: str = "My parcel",
    extra: str = "",
) -> bytes:
    """The bytes of a plain mail to our support address. extra: more header lines, each with CRLF."""
    head = (
        f"From: Carla Customer <{sender}>\r\nTo: support@evenhand.example\r\nSubject: {subject}\r\n"
        f"Message-ID: <{next(_numbers)}.{sender}>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n{extra}\r\n"
    )
    return head.encode() + text.encode()


def client_of(role: Role = Role.AGENT) -> Client:
    """A browser in which a new colleague of that role is logged in."""
    client = Client()
    client.force_login(colleague(role))
    return client
