"""The doors a customer can come through, each used as its user uses it, from the outside."""

from __future__ import annotations

import io
import re
import sys
import uuid
from collections.abc import Callable

from django.core.management import call_command
from django.test import Client

from crm.models import Conversation
from tests.crm.api.door import client_for
from tests.crm.stories import app_user, colleague, raw_mail

Door = Callable[[str, str], None]
"""Called with the words and the customer's e-mail address; the clock stands still."""


def by_mail(words: str, address: str) -> None:
    """A mail server pipes the bytes in."""
    given = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(raw_mail(words, sender=address, subject="")))
    try:
        with _exit_status_is_fine():
            call_command("receive_mail", "-", stdout=io.StringIO(), stderr=io.StringIO())
    finally:
        sys.stdin = given


def by_form(words: str, address: str) -> None:
    """The contact page, as a browser sends it."""
    # A visitor of a network of their own, who has opened the page.
    visitor = Client(REMOTE_ADDR=f"10.{uuid.uuid4().int % 250}.{uuid.uuid4().int % 250}.7")
    key = re.search(r'name="key" value="([^"]+)"', visitor.get("/contact/").content.decode())
    assert key
    answer = visitor.post("/contact/", {"email": address, "name": "Carla", "text": words, "key": key[1]})
    assert answer.status_code == 302, answer.content


def by_phone(words: str, address: str) -> None:
    """A colleague writes the call down in the staff tool."""
    call = {"key": str(uuid.uuid4()), "phone": f"030 {uuid.uuid4().int % 10**7:07}", "said": words}
    answer = client_for(colleague(name="On the phone", takes=False)).post("/api/v1/calls/", call, format="json")
    assert answer.status_code == 201, answer.content


def by_app(words: str, address: str) -> None:
    """The customers' app, logged in."""
    answer = client_for(app_user(email=address)).post("/api/v1/messages/", {"text": words}, format="json")
    assert answer.status_code == 201, answer.content


class _exit_status_is_fine:
    """A command that pipes a mail in ends the process with its exit status; 0 is all right."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        return isinstance(error, SystemExit) and error.code in (0, None)


DOORS: dict[str, Door] = {"mail": by_mail, "web form": by_form, "phone": by_phone, "app": by_app}


def newest() -> Conversation:
    """The conversation that the last message opened."""
    return Conversation.objects.order_by("-pk")[0]
