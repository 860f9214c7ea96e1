"""The page of mailboxes: who may do what, what the form keeps, what the page costs."""

from __future__ import annotations

import socket
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from crm.actions import mailboxes
from crm.models import HistoryEntry, Mailbox
from crm.policy import Role
from tests.conftest import NOON
from tests.crm.actions.test_mailboxes import draft
from tests.crm.test_admin import CUSTOMER, NOBODY, STAFF, WITHOUT_ROLE, browser, colleague, statements, stored

pytestmark = pytest.mark.django_db

SEE = (Role.LEAD, Role.AUDITOR, Role.ADMINISTRATOR)
MANAGE = (Role.LEAD, Role.ADMINISTRATOR)
TYPED = {
    "address": "help@shop.example", "host": "imap.example.org", "security": "tls", "port": "993", "username": "help",
    "secret_from": "EVENHAND_MAILBOX_HELP", "folder": "INBOX", "after_fetch": "move", "move_to": "Fetched",
    "border_host": "mx.example.org", "ca_file": "",
}  # fmt: skip


def added(number: int = 0) -> Mailbox:
    boss = colleague(Role.ADMINISTRATOR, email=f"boss{number}@shop.example")
    return mailboxes.add(draft(address=f"box{number}@shop.example", username=f"u{number}"), by=boss, at=NOON)


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, WITHOUT_ROLE, *STAFF])
def test_who_sees_mailboxes_and_who_changes_them(who: str) -> None:
    mailbox, client = added(), browser(who)
    refused = {NOBODY: 302}.get(who, 403)
    lists, new, one = (
        reverse("admin:mailboxes"),
        reverse("admin:mailbox_new"),
        reverse("admin:mailbox", args=[mailbox.public_id]),
    )
    switch = reverse("admin:mailbox_switch", args=[mailbox.public_id])
    before = stored()
    assert client.get(lists).status_code == (200 if who in SEE else refused)
    for url in (new, one):
        assert client.get(url).status_code == (200 if who in MANAGE else refused)
    assert client.get(switch).status_code == (405 if who in MANAGE else refused)
    assert stored() == before  # looking changes nothing
    for url, given in ((new, TYPED), (one, TYPED | {"username": "other"}), (switch, {"on": "0"})):
        before = stored()
        answer = client.post(url, given)
        assert answer.status_code == (302 if who in MANAGE else refused), url
        assert (stored() != before) is (who in MANAGE)


def test_a_mailbox_is_set_up_changed_and_switched_by_the_pages() -> None:
    client = browser(Role.ADMINISTRATOR)
    client.post(reverse("admin:mailbox_new"), TYPED)
    mailbox = Mailbox.objects.get()
    assert (mailbox.address, mailbox.move_to, mailbox.border_host) == ("help@shop.example", "Fetched", "mx.example.org")
    one = reverse("admin:mailbox", args=[mailbox.public_id])
    assert 'value="EVENHAND_MAILBOX_HELP"' in client.get(one).content.decode()

    client.post(one, TYPED | {"folder": "Orders", "do": "keep"})
    client.post(reverse("admin:mailbox_switch", args=[mailbox.public_id]), {"on": "0"})

    mailbox.refresh_from_db()
    assert (mailbox.folder, mailbox.is_active) == ("Orders", False)
    verbs = (
        HistoryEntry.objects.filter(ref=f"mailbox:{mailbox.public_id}").order_by("id").values_list("verb", flat=True)
    )
    assert list(verbs) == ["mailbox.added", "mailbox.changed", "mailbox.switched"]
    assert "switched off" in client.get(reverse("admin:mailboxes")).content.decode()


def test_the_test_of_the_connection_keeps_what_was_typed_and_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENHAND_MAILBOX_HELP", "s3cret-word")
    client = browser(Role.LEAD)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    before = stored()

    answer = client.post(reverse("admin:mailbox_new"), TYPED | {"host": "localhost", "port": port, "do": "try"})

    page = answer.content.decode()
    assert answer.status_code == 200
    assert f"localhost takes no connections at port {port}." in page
    for typed in ("help@shop.example", "EVENHAND_MAILBOX_HELP", "Fetched", "mx.example.org", port):
        assert f'value="{typed}"' in page
    assert "s3cret-word" not in page
    assert stored() == before


def test_what_is_refused_is_told_and_what_was_typed_stays() -> None:
    client = browser(Role.LEAD)
    for changes, says in [
        ({"move_to": ""}, "Please name the folder into which fetched mails are moved."),
        ({"address": "nobody"}, "is not an e-mail address we could write to."),
        ({"port": "0"}, "Ensure this value is greater than or equal to 1."),
    ]:
        before = stored()
        answer = client.post(reverse("admin:mailbox_new"), TYPED | changes)
        page = answer.content.decode()
        assert says in page
        assert 'value="imap.example.org"' in page
        assert stored() == before
    client.post(reverse("admin:mailbox_new"), TYPED)
    answer = client.post(reverse("admin:mailbox_new"), TYPED)
    assert answer.status_code == 409
    assert "We fetch from this folder of this account already." in answer.content.decode()


def test_each_mailbox_shows_how_it_fares() -> None:
    now = timezone.now()
    well, ill, new = added(1), added(2), added(3)
    Mailbox.objects.filter(pk=well.pk).update(last_good_at=now, fetched_count=41)
    Mailbox.objects.filter(pk=ill.pk).update(
        error="The connection to localhost broke.", failing_since=now - timedelta(minutes=10), waiting_count=7,
        oldest_waiting_at=now - timedelta(hours=3), last_good_at=now - timedelta(minutes=11),
    )  # fmt: skip
    page = browser(Role.AUDITOR).get(reverse("admin:mailboxes")).content.decode()
    for words in ("41", "cannot be read", "The connection to localhost broke.", "not asked yet", new.address, "3 h"):
        assert words in page
    assert "Switch off" not in page  # an auditor changes nothing


def test_the_page_costs_the_same_for_one_and_for_twenty_mailboxes() -> None:
    client = browser(Role.LEAD)
    added(0)
    one = statements(client, reverse("admin:mailboxes"))
    for number in range(1, 21):
        added(number)
    assert statements(client, reverse("admin:mailboxes")) == one <= 10


def test_mailboxes_are_paged_by_key() -> None:
    for number in range(55):
        added(number)
    client = browser(Role.LEAD)
    first = client.get(reverse("admin:mailboxes"))
    second = client.get(reverse("admin:mailboxes"), {"after": first.context["next_key"]})
    shown = [row["mailbox"].pk for page in (first, second) for row in page.context["rows"]]
    assert len(shown) == len(set(shown)) == 55
    assert client.get(reverse("admin:mailboxes"), {"after": "nonsense"}).status_code == 200
