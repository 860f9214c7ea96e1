"""The doors a customer can come through, each used as its user uses it, from the outside."""

from __future__ import annotations

import csv
import io
import re
import sys
import tempfile
import uuid
from collections.abc import Callable
from email.utils import format_datetime
from pathlib import Path
from xml.sax.saxutils import escape

from django.core.management import call_command
from django.test import Client
from django.test.utils import override_settings
from django.utils import timezone

from crm.actions import feeds, listening, staff
from crm.channels import Channel
from crm.channels.provided import all_of_them
from crm.models import Conversation, User
from crm.policy import Role
from tests.crm.api.door import client_for
from tests.crm.channels import provided
from tests.crm.channels.web_server import Page, entry, rss, serving
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


def _somebody(role: Role) -> User:
    """A colleague who works here and takes no conversations; nobody logs in with a password, so none is hashed."""
    email = f"{uuid.uuid4()}@shop.example"
    return staff.enrol(email, role=role, name="Who wrote it down", password=None, at=timezone.now())


def _captured(words: str, channel: str, **given: str) -> None:
    """A colleague notes it on the page for that, from a telephone or a desk."""
    browser = Client()
    browser.force_login(_somebody(Role.AGENT))
    note = {"key": str(uuid.uuid4()), "channel": channel, "said": words, **given}
    answer = browser.post("/admin/capture/", note)
    assert answer.status_code == 302, answer.content


def by_counter(words: str, address: str) -> None:
    """Said at the till; they leave their e-mail address."""
    _captured(words, "store", email=address, name="Carla")


def by_letter(words: str, address: str) -> None:
    """A letter that is opened now."""
    _captured(words, "letter", email=address, name="Carla")


def by_link(words: str, address: str) -> None:
    """Somebody pastes the link of a post that no machine of ours reads."""
    _captured(words, "social_public", url=f"https://forum.example/{uuid.uuid4()}", account=address)


def by_review_file(words: str, address: str) -> None:
    """A review site's export, brought in at the moment it was written."""
    with tempfile.TemporaryDirectory() as folder:
        table, file = Path(folder) / "columns.toml", Path(folder) / "reviews.csv"
        table.write_text('site = "r.example"\n[columns]\nid = "id"\nauthor = "by"\ntext = "text"\ndate = "at"\n')
        with file.open("w", newline="") as out:
            csv.writer(out).writerows(
                [["id", "by", "text", "at"], [uuid.uuid4(), address, words, timezone.now().isoformat()]]
            )
        call_command("import_reviews", str(file), columns=table, stdout=io.StringIO(), json=True)


def by_feed(words: str, address: str) -> None:
    """A blog's feed, asked in the moment of its publication."""
    now = format_datetime(timezone.now())
    with serving() as site, override_settings(EVENHAND_OUTBOUND_HOSTS=frozenset({site.host})):
        site.pages["/feed"] = Page(rss(entry(uuid.uuid4().int, said=escape(words), author=address, at=now)))
        draft = feeds.Draft(site.url(), "A blog", Channel.BLOG)
        feeds.add(draft, by=_somebody(Role.ADMINISTRATOR), at=timezone.now())
        claimed = listening.claim(at=timezone.now())
        assert [listening.poll(feed, at=timezone.now()).news for feed in claimed][-1:] == [1]


class _exit_status_is_fine:
    """A command that pipes a mail in ends the process with its exit status; 0 is all right."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        return isinstance(error, SystemExit) and error.code in (0, None)


def through(provider: str) -> Door:
    """A provider posts what somebody wrote to our account there."""

    def by_provider(words: str, address: str) -> None:
        example = provided.EXAMPLES[provider]
        answer = provided.say(provided.account_of(example), example, words, by=address, at=timezone.now())
        assert answer.status_code == 200, answer.content

    return by_provider


DOORS: dict[str, Door] = {
    "mail": by_mail,
    "web form": by_form,
    "phone": by_phone,
    "app": by_app,
    "counter": by_counter,
    "letter": by_letter,
    "link": by_link,
    "review file": by_review_file,
    "feed": by_feed,
    **{provider: through(provider) for provider in all_of_them()},
}
WITHOUT_A_WAY_BACK = frozenset({"phone", "link", "review file", "feed"})
"""Doors after which nothing can be written to the customer until they have told us where."""


def newest() -> Conversation:
    """The conversation that the last message opened."""
    return Conversation.objects.order_by("-pk")[0]
