"""Fetching from a real mail server: nothing is lost, nothing is taken twice, and no mailbox holds up another."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from crm.actions import fetching, mailboxes, mails
from crm.channels import imap
from crm.channels.email import parts
from crm.models import Alert, HistoryEntry, Interaction, Mailbox, RawItem, Source
from crm.policy import AfterFetch, MailboxSecurity, Role, WorkState
from crm.policy.mailboxes import asked_again_after
from tests.conftest import NOON
from tests.crm.channels import dovecot
from tests.crm.stories import colleague, raw_mail
from tests.faults.threads import at_once

pytestmark = pytest.mark.skipif(bool(dovecot.skip_reason()), reason=dovecot.skip_reason())

CAME = datetime(2026, 3, 2, 11, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[dovecot.Server]:
    folder = Path(tempfile.mkdtemp(prefix="evenhand-imap-", dir="/tmp"))
    try:
        with dovecot.running(folder) as running:
            yield running
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def user(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """An account of the server's that no other test uses."""
    monkeypatch.setenv("EVENHAND_MAILBOX_SECRET", dovecot.PASSWORD)
    return f"u{abs(hash(request.node.name)) % 10**9}"


def draft(server: dovecot.Server, user: str, **changes: Any) -> mailboxes.Draft:
    plain: dict[str, Any] = {
        "address": f"{user}@shop.example",
        "host": dovecot.HOST,
        "port": server.tls_port,
        "security": MailboxSecurity.TLS,
        "ca_file": server.ca_file,
        "username": user,
        "secret_from": "EVENHAND_MAILBOX_SECRET",
        "uses_token": False,
        "folder": "INBOX",
        "after_fetch": AfterFetch.DELETE,
        "move_to": "",
        "border_host": "",
    }
    return mailboxes.Draft(**{**plain, **changes})


def added(server: dovecot.Server, user: str, **changes: Any) -> Mailbox:
    return mailboxes.add(draft(server, user, **changes), by=colleague(Role.ADMINISTRATOR), at=NOON)


def poll(mailbox: Mailbox, at: datetime = NOON) -> Mailbox:
    """Claim and visit one mailbox, as a worker would."""
    Mailbox.objects.filter(pk=mailbox.pk).update(last_tried_at=None)
    claimed = [one for one in fetching.claim(at=at) if one.pk == mailbox.pk]
    assert claimed, "the mailbox was not to be had"
    fetching.poll(claimed[0], at=at)
    mailbox.refresh_from_db()
    return mailbox


def kept() -> list[bytes]:
    return [bytes(content) for content in RawItem.objects.order_by("id").values_list("content", flat=True)]


def some_mails(count: int) -> list[bytes]:
    return [raw_mail(f"This is mail {number}.") for number in range(count)]


def read_all() -> None:
    while mails.ingest_batch(at=NOON):
        pass


# --- what becomes of mails ------------------------------------------------------------------------------------------


def test_mails_are_kept_byte_for_byte_with_their_place_and_time_and_deleted_there_X8(db, server, user):
    sent = some_mails(3)
    server.deliver(user, *sent, at=CAME)

    mailbox = poll(added(server, user))

    assert kept() == sent
    assert server.there(user) == []
    item = RawItem.objects.order_by("id").first()
    assert (item.source, item.external_id) == (f"mail:{user}@shop.example", parts.digest(sent[0]))
    assert (item.mailbox, item.uid_validity, item.uid) == (mailbox, mailbox.uid_validity, 1)
    assert item.facts == {"internaldate": CAME.isoformat(), "size": len(sent[0])}
    assert (mailbox.fetched_count, mailbox.last_good_at, mailbox.error) == (3, NOON, "")
    assert (mailbox.waiting_count, mailbox.oldest_waiting_at, mailbox.lease_until) == (0, None, None)
    assert Source.objects.get(name=item.source, channel="email").last_good_at == NOON
    read_all()
    assert Interaction.objects.filter(raw=item).count() == 1


@pytest.mark.parametrize("security", MailboxSecurity)
def test_mails_can_be_moved_instead_and_over_starttls_too(db, server, user, security):
    sent = some_mails(2)
    server.deliver(user, *sent)
    server.inbox(user, "Fetched")
    port = server.tls_port if security == MailboxSecurity.TLS else server.starttls_port

    poll(added(server, user, after_fetch=AfterFetch.MOVE, move_to="Fetched", security=security, port=port))

    assert kept() == sent
    assert server.there(user) == []
    assert server.there(user, "Fetched") == sent


def test_mails_that_are_left_there_are_fetched_once_and_not_marked_as_read_X7(db, server, user):
    server.deliver(user, *some_mails(2))
    mailbox = poll(added(server, user, after_fetch=AfterFetch.LEAVE))
    server.deliver(user, *some_mails(1))

    poll(mailbox)
    poll(mailbox)

    assert RawItem.objects.count() == mailbox.fetched_count == 3
    assert mailbox.last_uid == 3
    assert len(server.there(user)) == 3
    assert not [file for file in (server.inbox(user) / "cur").iterdir() if "S" in file.name.partition(":2,")[2]]


def test_the_same_bytes_twice_in_a_mailbox_are_one_item_M18_X7(db, server, user):
    mail = raw_mail()
    server.deliver(user, mail, mail)

    mailbox = poll(added(server, user))
    server.deliver(user, mail.replace(b"\r\n", b"\n"))
    poll(mailbox)

    assert RawItem.objects.count() == mailbox.fetched_count == 1
    assert server.there(user) == []


def test_a_thousand_mails_come_in_several_rounds_with_the_same_memory_F34(db, server, user, monkeypatch):
    server.deliver(user, *some_mails(1000))
    mailbox = added(server, user)
    monkeypatch.setattr(fetching, "ROUND_FOR", 0.05)
    seen: list[int] = []

    for _round in range(200):
        poll(mailbox)
        seen.append(mailbox.fetched_count)
        assert (mailbox.error, mailbox.fetched_count + mailbox.waiting_count) == ("", 1000)
        if not mailbox.waiting_count:
            break
        assert mailbox.oldest_waiting_at is not None
        assert Mailbox.objects.due(NOON).get() == mailbox  # what is left is due at once

    assert RawItem.objects.count() == 1000
    assert server.there(user) == []
    assert len(seen) > 1


@pytest.mark.parametrize("after", [AfterFetch.DELETE, AfterFetch.LEAVE])
def test_a_large_folder_is_walked_through_piece_by_piece_F34(db, server, user, monkeypatch, after):
    """A folder of more mails than one search may list, with a gap in its numbers."""
    server.deliver(user, *some_mails(3))
    mailbox = poll(added(server, user))  # numbers 1 to 3 are used up
    sent = some_mails(450)
    server.deliver(user, *sent)
    monkeypatch.setattr(imap, "LISTED_AT_ONCE", 10)
    mailboxes.change(mailbox.pk, draft(server, user, after_fetch=after), by=colleague(Role.ADMINISTRATOR), at=NOON)

    poll(mailbox)
    poll(mailbox)

    assert sorted(kept()[3:]) == sorted(sent)
    assert len(server.there(user)) == (0 if after == AfterFetch.DELETE else 450)


def test_a_mail_too_large_to_be_read_is_parked_with_its_beginning_and_stays_there_M16(db, server, user):
    large = raw_mail(subject="All my pictures") + b"x" * parts.MAX_RAW_BYTES
    small = raw_mail()
    server.deliver(user, large, small)

    mailbox = poll(added(server, user))
    poll(mailbox)

    parked, read = RawItem.objects.order_by("id")
    assert (parked.state, parked.kind) == (WorkState.PARKED, "")
    assert "All of it is still in the mailbox" in parked.reason
    assert bytes(parked.content) == large[: parts.KEPT_OF_TOO_LARGE]
    assert bytes(read.content) == small
    assert server.there(user) == [large]
    assert (mailbox.error, mailbox.waiting_count, mailbox.fetched_count) == ("", 0, 2)


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_one_poison_mail_first_stops_no_other_M17(db, server, user, monkeypatch):
    poison, good = raw_mail("POISON"), some_mails(4)
    server.deliver(user, poison, *good)
    read = mails.reader.read

    def reading(content: bytes, **more: Any) -> Any:
        if b"POISON" in content:
            raise RecursionError("deep")
        return read(content, **more)

    monkeypatch.setattr(mails.reader, "read", reading)

    poll(added(server, user))
    for _attempt in range(4):
        mails.ingest_batch(at=NOON)

    assert server.there(user) == []
    assert RawItem.objects.get(content=poison).state == WorkState.PARKED
    assert Interaction.objects.count() == 4


def test_what_is_fetched_is_taken_in_at_once_and_rings_no_bell(db, server, user):
    server.deliver(user, *some_mails(3))

    poll(added(server, user))

    assert Interaction.objects.count() == 3
    assert set(RawItem.objects.values_list("state", "attempt", "lease_until")) == {(WorkState.DONE, 1, None)}


def test_what_is_kept_is_taken_in_though_it_could_not_be_cleared_away_M18(db, server, user, monkeypatch):
    server.deliver(user, *some_mails(2))
    mailbox = added(server, user)
    with monkeypatch.context() as broken:
        broken.setattr(imap.Session, "remove", refuses)
        poll(mailbox)
    assert mailbox.error
    assert Interaction.objects.count() == 2

    poll(mailbox)

    assert (server.there(user), RawItem.objects.count(), Interaction.objects.count()) == ([], 2, 2)


def refuses(*_told: Any) -> None:
    raise imap.MailboxTrouble("refused", "It refuses to delete.")


def test_what_cannot_be_taken_in_within_the_round_is_left_to_the_lane_F34(db, server, user, monkeypatch):
    server.deliver(user, *some_mails(3))
    monkeypatch.setattr(fetching, "ROUND_FOR", 0.0)
    mailbox = added(server, user)
    monkeypatch.setattr(fetching.time, "monotonic", lambda: 5.0)  # begun just in time, and over with the first moment
    keep = fetching._keep

    def slowly(*told: Any) -> None:
        keep(*told)
        monkeypatch.setattr(fetching.time, "monotonic", lambda: 6.0)

    monkeypatch.setattr(fetching, "_keep", slowly)
    poll(mailbox)

    assert Interaction.objects.count() == 0
    assert set(RawItem.objects.values_list("state", "attempt", "lease_until")) == {(WorkState.READY, 0, None)}
    assert mails.ingest_batch(at=NOON) == 3
    assert Interaction.objects.count() == 3


def test_mails_of_a_poller_that_died_before_taking_them_in_are_taken_in_by_the_lane_F24(db, server, user, monkeypatch):
    server.deliver(user, *some_mails(3))
    monkeypatch.setattr(mails, "take_in_claimed", lambda *_reading, **_until: None)
    poll(added(server, user))
    assert mails.ingest_batch(at=NOON) == 0  # its lease still runs
    RawItem.objects.update(lease_until=CAME)

    while mails.ingest_batch(at=NOON):
        pass

    assert Interaction.objects.count() == 3


def test_a_poller_killed_between_keeping_and_deleting_leaves_one_item_M18_F34(transactional_db, server, user):
    server.deliver(user, *some_mails(2))
    mailbox = added(server, user)

    connections.close_all()
    child = os.fork()
    if child == 0:  # a worker that is killed the moment its mails are committed
        imap.Session.remove = lambda *_given: os._exit(9)  # type: ignore[method-assign]
        fetching.poll(fetching.claim(at=NOON)[0], at=NOON)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert RawItem.objects.count() == len(server.there(user)) == 2

    assert fetching.claim(at=NOON + timedelta(hours=1)) == []  # the dead one's lease runs
    Mailbox.objects.update(lease_until=Now() - timedelta(seconds=1))
    poll(mailbox)

    assert RawItem.objects.count() == mailbox.fetched_count == 2
    assert server.there(user) == []


def test_eight_pollers_at_once_fetch_once_M18(transactional_db, server, user):
    server.deliver(user, *some_mails(30))
    mailbox = added(server, user)

    asked = at_once(*[partial(fetching.poll_due, at=NOON, held_for=60)] * 8)

    assert sorted(asked) == [0] * 7 + [1]
    mailbox.refresh_from_db()
    assert RawItem.objects.count() == mailbox.fetched_count == 30
    assert (mailbox.attempt, mailbox.error) == (1, "")


def test_a_poller_that_overslept_its_lease_keeps_and_deletes_nothing_M18(db, server, user):
    server.deliver(user, *some_mails(1))
    mailbox = added(server, user)
    slow = fetching.claim(at=NOON)[0]
    Mailbox.objects.update(lease_until=Now() - timedelta(seconds=1), attempt=slow.attempt + 1)

    fetching.poll(slow, at=NOON)

    assert RawItem.objects.count() == 0
    assert len(server.there(user)) == 1
    mailbox.refresh_from_db()
    assert (mailbox.last_good_at, mailbox.error) == (None, "")


@pytest.mark.parametrize("after", [AfterFetch.DELETE, AfterFetch.LEAVE])
def test_when_the_server_numbers_anew_everything_is_looked_at_and_nothing_is_taken_twice_F34(db, server, user, after):
    server.deliver(user, *some_mails(3))
    mailbox = poll(added(server, user, after_fetch=AfterFetch.LEAVE))
    first = mailbox.uid_validity
    server.recreate(user)
    server.deliver(user, *some_mails(1))
    mailboxes.change(mailbox.pk, draft(server, user, after_fetch=after), by=colleague(Role.ADMINISTRATOR), at=NOON)

    poll(mailbox)

    assert mailbox.uid_validity != first
    assert RawItem.objects.count() == mailbox.fetched_count == 4
    assert set(RawItem.objects.values_list("uid_validity", flat=True)) == {mailbox.uid_validity}
    assert len(server.there(user)) == (0 if after == AfterFetch.DELETE else 4)
    assert HistoryEntry.objects.filter(verb="mailbox.numbered_anew").count() == 1


def test_a_number_given_again_to_another_mail_hides_nothing_F34(db, server, user):
    """A server that breaks the rule: the same UIDVALIDITY and UID, and another mail."""
    server.deliver(user, *some_mails(2))
    mailbox = poll(added(server, user, after_fetch=AfterFetch.LEAVE))
    mailboxes.change(mailbox.pk, draft(server, user), by=colleague(Role.ADMINISTRATOR), at=NOON)
    older = {"facts": {"size": 1, "internaldate": ""}, "external_id": "x", "content": b"an older mail"}
    RawItem.objects.filter(uid=1).update(**older)

    poll(mailbox)

    assert RawItem.objects.count() == 3
    assert RawItem.objects.filter(mailbox=None).count() == 1
    assert server.there(user) == []


def test_what_cannot_be_deleted_is_not_fetched_again_and_is_told_F34(db, server, user):
    server.deliver(user, *some_mails(2))
    mailbox = added(server, user, after_fetch=AfterFetch.MOVE, move_to="Nowhere")

    poll(mailbox)
    poll(mailbox)

    assert (RawItem.objects.count(), mailbox.fetched_count) == (2, 2)
    assert len(server.there(user)) == 2
    assert mailbox.error == "Mails that we have kept could not be deleted or moved there."
    server.inbox(user, "Nowhere")
    assert poll(mailbox).error == ""
    assert len(server.there(user, "Nowhere")) == 2


@pytest.mark.parametrize("after", [6_000, 40_000, 200_000])
def test_a_line_that_breaks_in_the_middle_of_a_mail_loses_none_F34(db, server, user, after):
    sent = [raw_mail(f"{number} " + "long " * 2_000) for number in range(60)]
    server.deliver(user, *sent)
    with dovecot.Cutter(server.tls_port, after=after, times=2) as line:
        mailbox = added(server, user, port=line.port)
        for _round in range(3):
            poll(mailbox)
            assert len(kept()) + len(server.there(user)) >= len(sent)
            if not mailbox.error:
                break
        assert line.connections >= 3

    assert mailbox.error == ""
    assert sorted(kept()) == sorted(sent)
    assert server.there(user) == []


def test_a_mail_at_which_the_server_breaks_off_stops_no_other_M17(db, server, user, monkeypatch):
    server.deliver(user, *some_mails(5))
    fetch = imap.Session.fetch

    def fetching_it(session: imap.Session, group: Any) -> Any:
        if any(mail.uid == 2 for mail in group):
            session._line.sock.shutdown(2)
        return fetch(session, group)

    monkeypatch.setattr(imap.Session, "fetch", fetching_it)

    mailbox = poll(added(server, user))

    assert RawItem.objects.count() == 4
    assert len(server.there(user)) == 1
    assert mailbox.error == "The server did not give us 1 of its mails; the first has the number 2 there."
    assert mailbox.waiting_count == 1


def test_a_mailbox_that_hangs_does_not_hold_up_the_next_one(transactional_db, server, user):
    server.deliver(user, *some_mails(3))
    with dovecot.Cutter(server.tls_port, after=0, falls_silent=True) as line:
        hangs = added(server, "hangs", port=line.port)
        well = added(server, user)
        began = time.monotonic()

        assert fetching.poll_due(at=NOON, held_for=3) == 2

        assert time.monotonic() - began < 5
        assert RawItem.objects.count() == 3
        well.refresh_from_db()
        assert well.last_good_at == NOON
        for thread in threading.enumerate():
            if thread.name == f"mailbox-{hangs.pk}":
                thread.join(20)
        hangs.refresh_from_db()
        assert "does not answer" in hangs.error


def test_a_server_that_gives_a_byte_now_and_then_is_cut_off_in_time(db, server, user, monkeypatch):
    monkeypatch.setattr(fetching, "ROUND_ENDS", 2.0)
    with dovecot.Cutter(server.tls_port, drips=0.05) as line:
        mailbox = added(server, user, port=line.port)
        began = time.monotonic()

        poll(mailbox)

    assert time.monotonic() - began < 6
    assert "so slowly" in mailbox.error


# --- when, and who is told ------------------------------------------------------------------------------------------


def test_a_mailbox_is_due_after_twenty_seconds_and_slower_while_it_fails(db, server, user):
    mailbox = added(server, user)
    second = timedelta(seconds=1)
    for failing_for, waiting in [
        (None, 0), (None, 7), (0 * second, 0), (60 * second, 3), (100 * second, 0), (600 * second, 0), (9_000 * second, 0),
    ]:  # fmt: skip
        wait = asked_again_after(failing_for, more_is_waiting=waiting > 0)
        Mailbox.objects.filter(pk=mailbox.pk).update(
            last_tried_at=NOON,
            waiting_count=waiting,
            failing_since=None if failing_for is None else NOON - failing_for,
            error="" if failing_for is None else "x",
        )
        assert Mailbox.objects.with_due_at().get(pk=mailbox.pk).due_at == NOON + wait
        assert not Mailbox.objects.due(NOON + wait - timedelta(milliseconds=1)).exists()
        assert Mailbox.objects.due(NOON + wait).exists()


def test_mailboxes_that_are_well_come_before_those_that_fail(db, server, user):
    added(server, "a" + user)
    failing, never = added(server, "b" + user), added(server, "c" + user)
    Mailbox.objects.filter(pk=failing.pk).update(
        last_tried_at=NOON - timedelta(hours=1), failing_since=NOON - timedelta(hours=2), error="x"
    )
    never = mailboxes.switch(never.pk, on=False, by=colleague(), at=NOON)
    assert [mailbox.username[0] for mailbox in Mailbox.objects.due(NOON)] == ["a", "b"]


def test_leads_and_administrators_are_told_once_after_five_minutes_and_it_ends_by_itself(db, server, user, monkeypatch):
    mailbox = added(server, user)
    administrators = 1
    monkeypatch.setenv("EVENHAND_MAILBOX_SECRET", "wrong")
    for minutes in (0, 1, 4):
        poll(mailbox, NOON + timedelta(minutes=minutes))
    assert mailbox.error == "The server did not accept the log-in name and the password."
    assert mailbox.failing_since == NOON
    assert not Alert.objects.exists()

    for minutes in (5, 6, 60):
        poll(mailbox, NOON + timedelta(minutes=minutes))
    assert Alert.objects.filter(kind="mailbox_fails").count() == 1 + administrators
    assert {alert.detail["name"] for alert in Alert.objects.all()} == {mailbox.address}

    monkeypatch.setenv("EVENHAND_MAILBOX_SECRET", dovecot.PASSWORD)
    poll(mailbox, NOON + timedelta(minutes=61))
    assert (mailbox.error, mailbox.failing_since) == ("", None)
    monkeypatch.setenv("EVENHAND_MAILBOX_SECRET", "wrong")
    for minutes in (62, 68):
        poll(mailbox, NOON + timedelta(minutes=minutes))
    assert Alert.objects.count() == 2 * (1 + administrators)  # another incident
    verbs = (
        HistoryEntry.objects.filter(ref=f"mailbox:{mailbox.public_id}").order_by("id").values_list("verb", flat=True)
    )
    assert list(verbs) == ["mailbox.added", "mailbox.fails", "mailbox.well_again", "mailbox.fails"]


def test_a_round_costs_the_same_number_of_statements_for_few_and_for_many_mails(db, server, user, monkeypatch):
    """Besides what each mail costs that is taken in."""
    monkeypatch.setattr(mails, "take_in_claimed", lambda *_reading, **_until: None)
    counts = []
    mailbox = poll(added(server, user))
    for number in (2, 50):
        server.deliver(user, *some_mails(number))
        with CaptureQueriesContext(connection) as asked:
            poll(mailbox)
        counts.append(len(asked))
    assert counts[0] == counts[1] <= 30
