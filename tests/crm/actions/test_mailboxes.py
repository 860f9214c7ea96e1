"""Setting up mailboxes: what is refused, what a test of the connection says, what a change does to a poller at work."""

from __future__ import annotations

import dataclasses
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from crm.actions import fetching, mailboxes
from crm.channels import imap
from crm.models import HistoryEntry, Mailbox, RawItem
from crm.policy import AfterFetch, MailboxSecurity, Role
from tests.conftest import NOON
from tests.crm.channels import dovecot
from tests.crm.stories import colleague
from tests.crm.test_admin import stored

real = pytest.mark.skipif(bool(dovecot.skip_reason()), reason=dovecot.skip_reason())


@pytest.fixture(scope="module")
def server() -> Iterator[dovecot.Server]:
    folder = Path(tempfile.mkdtemp(prefix="evenhand-imap-", dir="/tmp"))
    try:
        with dovecot.running(folder) as running:
            yield running
    finally:
        shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENHAND_MAILBOX_SECRET", dovecot.PASSWORD)


PLAIN = mailboxes.Draft(
    address="help@shop.example",
    host=dovecot.HOST,
    port=993,
    security=MailboxSecurity.TLS,
    ca_file="",
    username="help",
    secret_from="EVENHAND_MAILBOX_SECRET",
    uses_token=False,
    folder="INBOX",
    after_fetch=AfterFetch.DELETE,
    move_to="",
    border_host="",
)


def draft(server: dovecot.Server | None = None, **changes: Any) -> mailboxes.Draft:
    if server is not None:
        changes = {"port": server.tls_port, "ca_file": server.ca_file, **changes}
    return dataclasses.replace(PLAIN, **changes)


# --- the test of a connection -----------------------------------------------------------------------------------------


@real
def test_the_test_of_a_connection_counts_what_waits_and_changes_nothing(db, server):
    server.deliver("help", b"Subject: one\r\n\r\n1", b"Subject: two\r\n\r\n2")
    before = stored()

    tried = mailboxes.try_now(draft(server))

    assert (tried.code, tried.waiting) == ("", 2)
    assert tried.said == "It works: we can log in and open the folder. Mails there now: 2."
    assert len(server.there("help")) == 2
    assert stored() == before


@real
@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"ca_file": ""}, "certificate", "Nobody we trust vouches for the certificate of localhost."),
        ({"host": "127.0.0.1"}, "certificate", "was made for another server than 127.0.0.1"),
        ({"host": "no-such-server.invalid"}, "name_not_found", "There is no server by the name of"),
        ({"host": "two..dots"}, "name_not_found", "There is no server by the name of"),
        ({"ca_file": "/nowhere/ca.pem"}, "authority_file", "cannot be read: /nowhere/ca.pem"),
        ({"folder": "Archive/2020"}, "folder_missing", "There is no folder “Archive/2020” that we may open."),
        ({"after_fetch": AfterFetch.MOVE, "move_to": "Gone"}, "folder_missing", "There is no folder “Gone”"),
        ({"secret_from": "EVENHAND_MAILBOX_OTHER"}, "secret_missing", "No secret stands in EVENHAND_MAILBOX_OTHER"),
        ({"uses_token": True}, "log_in_refused", "did not accept the log-in name and the access token"),
    ],
)  # fmt: skip
def test_the_test_of_a_connection_says_in_plain_words_what_is_wrong(db, server, changes, code, says):
    tried = mailboxes.try_now(draft(server, **changes))
    assert tried.code == code
    assert says in tried.said


@real
def test_a_wrong_password_is_refused_and_never_repeated(db, server, monkeypatch, caplog):
    monkeypatch.setenv("EVENHAND_MAILBOX_SECRET", "open-sesame")
    tried = mailboxes.try_now(draft(server))
    assert (tried.code, tried.said) == (
        "log_in_refused",
        "The server did not accept the log-in name and the password.",
    )
    with pytest.raises(imap.MailboxTrouble) as refused, imap.opened(mailboxes._place(draft(server)), within=10):
        pass
    seen: BaseException | None = refused.value
    while seen is not None:
        assert "open-sesame" not in repr(seen)
        seen = seen.__cause__ or seen.__context__
    assert "open-sesame" not in caplog.text


@real
def test_starttls_is_demanded_and_a_plain_port_is_told_from_an_encrypted_one(db, server):
    starts = {"security": MailboxSecurity.STARTTLS, "port": server.starttls_port}
    assert mailboxes.try_now(draft(server, **starts)).code == ""
    assert mailboxes.try_now(draft(server, port=server.starttls_port)).code == "not_encrypted"
    assert mailboxes.try_now(draft(server, **{**starts, "ca_file": ""})).code == "certificate"


def test_a_server_without_encryption_gets_no_password(db):
    """A server, or somebody in the way, that leaves STARTTLS out."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        said: list[bytes] = []

        def serve() -> None:
            line, _address = listening.accept()
            with line:
                line.sendall(b"* OK [CAPABILITY IMAP4rev1] hello\r\n")
                while piece := line.recv(4096):
                    said.append(piece)
                    tag = piece.split()[0]
                    line.sendall(b"* CAPABILITY IMAP4rev1\r\n" + tag + b" OK done\r\n")

        threading.Thread(target=serve, daemon=True).start()
        place = {"port": listening.getsockname()[1], "security": MailboxSecurity.STARTTLS}
        tried = mailboxes.try_now(draft(**place))
    assert tried.code == "not_encrypted"
    assert "nothing was sent to it" in tried.said
    assert dovecot.PASSWORD.encode() not in b"".join(said)


def test_a_port_where_nobody_listens_and_one_that_never_answers_are_told_apart(db, monkeypatch):
    monkeypatch.setattr("crm.channels.imap.line.ANSWERS_WITHIN", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert mailboxes.try_now(draft(port=silent.getsockname()[1])).code == "no_answer"
        free = silent.getsockname()[1]
    assert mailboxes.try_now(draft(port=free)).code == "no_connection"


# --- passwords --------------------------------------------------------------------------------------------------------


@real
def test_a_password_is_read_from_a_file_each_time_and_only_from_the_folders_for_secrets(
    db, server, settings, tmp_path, monkeypatch
):
    inside, outside = tmp_path / "secrets", tmp_path / "other"
    inside.mkdir()
    outside.write_text(dovecot.PASSWORD)
    (inside / "help").write_text(f"{dovecot.PASSWORD}\n")
    (inside / "link").symlink_to(outside)
    settings.EVENHAND_SECRET_FOLDERS = (str(inside),)

    assert mailboxes.try_now(draft(server, secret_from=str(inside / "help"))).code == ""
    (inside / "help").write_text("changed")
    assert mailboxes.try_now(draft(server, secret_from=str(inside / "help"))).code == "log_in_refused"
    for path in (str(outside), str(inside / "link"), f"{inside}/../other"):
        assert mailboxes.try_now(draft(server, secret_from=path)).code == "secret_place"
    assert mailboxes.try_now(draft(server, secret_from=str(inside / "none"))).code == "secret_missing"


@pytest.mark.parametrize("name", ["EVENHAND_SECRET_KEY", "DATABASE_URL", "PATH"])
def test_no_other_secret_of_ours_can_be_sent_to_a_server(db, monkeypatch, name):
    """Whoever may set up a mailbox names its server too, and so could have anything sent there."""
    monkeypatch.setenv(name, "the crown jewels")
    with pytest.raises(imap.MailboxTrouble) as refused:
        imap.secret(name)
    assert refused.value.code == "secret_place"


# --- add, change, switch ----------------------------------------------------------------------------------------------


def test_a_mailbox_is_added_in_one_form_and_recorded(db):
    boss = colleague(Role.ADMINISTRATOR)
    mailbox = mailboxes.add(
        draft(address=" Help@Shop.example ", host=" IMAP.Example.org. ", move_to="x"), by=boss, at=NOON
    )
    assert (mailbox.address, mailbox.host, mailbox.move_to) == ("help@shop.example", "imap.example.org", "")
    entry = HistoryEntry.objects.get(verb="mailbox.added")
    assert (entry.by, entry.ref) == (boss, f"mailbox:{mailbox.public_id}")
    assert entry.detail["secret_from"] == "EVENHAND_MAILBOX_SECRET"
    assert list(Mailbox.objects.due(NOON)) == [mailbox]


@pytest.mark.parametrize(
    "changes",
    [
        {"address": "nobody"}, {"host": " "}, {"username": ""}, {"folder": ""}, {"secret_from": ""}, {"port": 0},
        {"port": 70_000}, {"folder": "a\r\nA1 DELETE INBOX"}, {"username": "a\nb"}, {"host": "h" * 256},
        {"after_fetch": AfterFetch.MOVE}, {"after_fetch": AfterFetch.MOVE, "move_to": "INBOX"},
    ],
)  # fmt: skip
def test_what_cannot_be_a_mailbox_is_refused_and_nothing_changes(db, changes):
    boss = colleague(Role.ADMINISTRATOR)
    standing = mailboxes.add(draft(), by=boss, at=NOON)
    before = stored()
    for act in (
        lambda: mailboxes.add(draft(**changes), by=boss, at=NOON),
        lambda: mailboxes.change(standing.pk, draft(**changes), by=boss, at=NOON),
        lambda: mailboxes.try_now(draft(**changes)),
    ):
        with pytest.raises(mailboxes.UnusableMailbox):
            act()
    assert stored() == before


def test_the_same_folder_of_the_same_account_is_fetched_from_once(db):
    boss = colleague(Role.ADMINISTRATOR)
    mailboxes.add(draft(), by=boss, at=NOON)
    other = mailboxes.add(draft(folder="Orders"), by=boss, at=NOON)
    before = stored()
    with pytest.raises(mailboxes.MailboxKnown):
        mailboxes.add(draft(address="other@shop.example"), by=boss, at=NOON)
    with pytest.raises(mailboxes.MailboxKnown):
        mailboxes.change(other.pk, draft(), by=boss, at=NOON)
    assert stored() == before


def test_a_change_begins_anew_and_turns_away_a_poller_that_is_at_it(db):
    boss = colleague(Role.ADMINISTRATOR)
    mailbox = mailboxes.add(draft(), by=boss, at=NOON)
    Mailbox.objects.update(uid_validity=7, last_uid=9, error="x", failing_since=NOON)
    claimed = fetching.claim(at=NOON)[0]

    mailboxes.change(mailbox.pk, draft(folder="Orders"), by=boss, at=NOON)
    fetching._failed(fetching._Round(claimed, NOON, 0, 0), imap.MailboxTrouble("cut_off", "too late"))

    mailbox.refresh_from_db()
    assert (mailbox.uid_validity, mailbox.last_uid, mailbox.error, mailbox.last_tried_at) == (None, 0, "", None)
    assert HistoryEntry.objects.get(verb="mailbox.changed").detail == {"folder": ["INBOX", "Orders"]}
    before = stored()
    mailboxes.change(mailbox.pk, draft(folder="Orders"), by=boss, at=NOON)
    assert stored() == before


def test_a_mailbox_that_is_switched_off_is_not_asked(db):
    boss = colleague(Role.ADMINISTRATOR)
    mailbox = mailboxes.add(draft(), by=boss, at=NOON)
    for on in (False, False, True):
        mailboxes.switch(mailbox.pk, on=on, by=boss, at=NOON)
        assert Mailbox.objects.due(NOON).exists() is on
    assert [entry.detail for entry in HistoryEntry.objects.filter(verb="mailbox.switched").order_by("id")] == [
        {"on": False},
        {"on": True},
    ]


def test_the_addresses_of_mailboxes_are_ours_X8(db, settings, django_assert_num_queries):
    mailboxes.add(draft(), by=colleague(Role.ADMINISTRATOR), at=NOON)
    mailboxes.forget()
    with django_assert_num_queries(1):
        for _time in range(3):
            assert mailboxes.own_addresses() == {"help@shop.example"} | settings.EVENHAND_OWN_ADDRESSES


# --- what a server may say --------------------------------------------------------------------------------------------


def test_groups_hold_fifty_mails_and_eight_megabytes_at_most():
    def sizes(*mails: int) -> list[list[int]]:
        listed = [imap.Listed(uid, uid, size, None) for uid, size in enumerate(mails, 1)]
        return [[mail.size for mail in group] for group in imap.groups(listed)]

    assert [len(group) for group in sizes(*[10] * 120)] == [50, 50, 20]
    assert sizes(5_000_000, 5_000_000, 1, 20_000_000, 1) == [[5_000_000], [5_000_000, 1], [20_000_000], [1]]


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        (b' 2-Mar-2026 12:30:00 +0100', datetime(2026, 3, 2, 11, 30, tzinfo=UTC)),
        (b'02-Mar-2026 11:30:00 -0000', datetime(2026, 3, 2, 11, 30, tzinfo=UTC)),
        (b'99-Foo-2026 12:30:00 +0100', None),
    ],
)  # fmt: skip
def test_the_servers_own_time_is_read_or_left_out(written, moment):
    assert imap._moment(b'1 (UID 4 INTERNALDATE "' + written + b'" RFC822.SIZE 3)') == moment


@real
def test_a_fetch_names_the_mail_it_brings_whatever_order_the_server_answers_in(db, server, monkeypatch):
    """Unasked records and attributes before or after the bytes are common among servers."""
    server.deliver("odd", *[f"Subject: {number}\r\n\r\n".encode() for number in range(3)])
    with imap.opened(mailboxes._place(draft(server, username="odd")), within=20) as session:
        page = next(session.listed(0))
        answer = [
            (b"1 (BODY[] {6}", b"first!"), b" UID 1)",
            b"2 (FLAGS (\\Seen))",
            (b"2 (UID 2 BODY[] {7}", b"UID 3 x"), b" FLAGS ())",
            (b"2 (UID 2 BODY[] {5}", b"again"), b")",
            (b"9 (UID 99 BODY[] {5}", b"other"), b")",
        ]  # fmt: skip
        monkeypatch.setattr(session._line, "uid", lambda *_asked: ("OK", answer))
        assert [(one.mail.uid, one.content) for one in session.fetch(page)] == [(1, b"first!"), (2, b"UID 3 x")]


@real
def test_a_server_without_uidplus_and_move_loses_only_what_was_kept_F34(db, server):
    server.deliver("bare", *[f"Subject: {number}\r\n\r\n".encode() for number in range(4)])
    server.inbox("bare", "Done")
    place = mailboxes._place(draft(server, username="bare", after_fetch=AfterFetch.MOVE, move_to="Done"))
    with imap.opened(place, within=20) as session:
        session._capabilities = frozenset()
        session._line.uid("STORE", "3", "+FLAGS", r"(\Deleted)")  # somebody else's mark
        session.move([1])
        assert len(server.there("bare")) == 4  # marked, and not gone while another's mark stands
        session.remove([1, 2, 3])
    assert server.there("bare") == [b"Subject: 3\r\n\r\n"]
    assert server.there("bare", "Done") == [b"Subject: 0\r\n\r\n"]
    assert not RawItem.objects.exists()
