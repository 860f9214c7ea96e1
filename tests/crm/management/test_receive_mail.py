"""`receive_mail`: whatever lies in a folder, each mail is kept, read once, and never stops the others."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from crm.actions import intake, mails
from crm.channels.email import parts
from crm.models import Attachment, Conversation, Customer, Interaction, RawItem
from crm.policy import WorkState

MAIL = (
    b"Return-Path: <%(who)s@example.org>\r\nFrom: Ada <%(who)s@example.org>\r\nTo: shop@example.net\r\n"
    b"Subject: %(subject)s\r\nMessage-ID: <%(who)s@example.org>\r\nMIME-Version: 1.0\r\n\r\n%(text)s\r\n"
)


def mail(who: str = "ada", subject: str = "Lamp", text: str = "The lamp is broken.") -> bytes:
    return MAIL % {b"who": who.encode(), b"subject": subject.encode(), b"text": text.encode()}


def received(*paths: Path | str, dry_run: bool = False) -> list[dict[str, Any]]:
    out = io.StringIO()
    call_command("receive_mail", *map(str, paths), "--json", *(["--dry-run"] if dry_run else []), stdout=out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def summary(*paths: Path | str) -> str:
    out = io.StringIO()
    call_command("receive_mail", *map(str, paths), stdout=out)
    return out.getvalue()


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Lay bytes on standard input."""

    def lay(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return lay


# --- what becomes of a mail -----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_mail_opens_a_conversation_and_is_described_in_one_line_of_json(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(mail())

    (told,) = received(tmp_path)

    assert list(told) == [
        "file",
        "class",
        "opens_or_joins_conversation",
        "customer",
        "subject",
        "text",
        "attachments",
        "bounced",
        "reason",
    ]
    assert told["file"] == str(tmp_path / "a.eml")
    assert (told["class"], told["opens_or_joins_conversation"]) == ("human", True)
    assert (told["customer"], told["subject"], told["text"]) == ("ada@example.org", "Lamp", "The lamp is broken.")
    assert bytes(RawItem.objects.get().content) == mail()
    assert Interaction.objects.get().raw == RawItem.objects.get()


@pytest.mark.django_db
def test_three_deliveries_of_one_mail_are_one_interaction(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(mail())
    (tmp_path / "b.eml").write_bytes(mail().replace(b"\r\n", b"\n"))
    (tmp_path / "c.mbox").write_bytes(
        b"From ada@example.org Mon Mar  2 12:00:00 2026\n" + mail().replace(b"\r\n", b"\n")
    )

    told = received(tmp_path)

    assert [each["opens_or_joins_conversation"] for each in told] == [True, True, True]
    assert Interaction.objects.count() == Conversation.objects.count() == RawItem.objects.count() == 1


@pytest.mark.django_db
def test_a_poison_mail_is_parked_and_the_others_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "1.eml").write_bytes(mail(subject="Poison"))
    (tmp_path / "2.eml").write_bytes(mail("bea"))
    (tmp_path / "3.eml").write_bytes(b"\x00\xff not a mail \x80")
    (tmp_path / "4.eml").write_bytes(mail("cy"))
    read = mails.read_mail

    def poisoned(content: bytes, **rest: Any) -> Any:
        if b"Poison" in content:
            raise RecursionError("too deep\x00")
        return read(content, **rest)

    monkeypatch.setattr(mails, "read_mail", poisoned)
    monkeypatch.setattr(mails, "reading", lambda content, at: nullcontext(lambda: poisoned(content, received_at=at)))

    told = received(tmp_path)

    assert [each["opens_or_joins_conversation"] for each in told] == [False, True, False, True]
    parked = RawItem.objects.filter(state=WorkState.PARKED).order_by("id")
    assert [one.reason.partition(":")[0] for one in parked] == ["RecursionError", "no_headers"]
    assert Interaction.objects.count() == 2


@pytest.mark.django_db
def test_what_cannot_be_taken_in_is_parked_with_its_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(mail(subject="", text=""))

    (told,) = received(tmp_path)
    (again,) = received(tmp_path)
    (dry,) = received(tmp_path, dry_run=True)

    item = RawItem.objects.get()
    assert item.state == WorkState.PARKED
    assert item.reason.startswith("nothing_said: ")
    assert told["reason"] == again["reason"] == dry["reason"] == item.reason
    assert not any(each["opens_or_joins_conversation"] for each in (told, again, dry))
    assert not Interaction.objects.exists()


@pytest.mark.django_db
def test_trouble_of_the_database_while_reading_leaves_the_mail_to_the_lane(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.eml").write_bytes(mail())

    def locked(*_args: object, **_kwargs: object) -> None:
        raise OperationalError("canceling statement due to lock timeout")

    monkeypatch.setattr(intake, "write", locked)
    received(tmp_path)

    item = RawItem.objects.get()
    assert (item.state, item.reason) == (WorkState.CLAIMED, "")
    assert item.lease_until is not None


@pytest.mark.django_db
def test_a_mail_of_more_than_25_mb_is_refused_and_its_beginning_parked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MAX_RAW_BYTES", 70_000)
    (tmp_path / "a.eml").write_bytes(mail(text="long " * 20_000))
    (tmp_path / "b.eml").write_bytes(mail("bea"))

    first, second = received(tmp_path)
    received(tmp_path)

    assert first["reason"].startswith("too_large: ")
    assert second["opens_or_joins_conversation"]
    item = RawItem.objects.get(state=WorkState.PARKED)
    assert len(item.content) == 64 * 1024
    assert "1 files were refused" in summary(tmp_path)


# --- where mails are ------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_mbox_is_cut_at_its_from_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "box"
    path.write_bytes(
        b"From a@example.org Mon Mar  2 12:00:00 2026\n"
        + mail(text="One.\n\nFrom here on it is broken.\n>From the start.").replace(b"\r\n", b"\n")
        + b"\nFrom - Mon Mar  2 12:01:00 2026\n"
        + mail("bea", text="Two.").replace(b"\r\n", b"\n")
        + b"\n"
    )

    told = received(path)

    assert [each["file"] for each in told] == [f"{path}#1", f"{path}#2"]
    assert [each["text"] for each in told] == ["One.\n\nFrom here on it is broken.\nFrom the start.", "Two."]


@pytest.mark.django_db
def test_a_maildir_is_read_and_what_is_being_delivered_is_not(tmp_path: Path) -> None:
    for name in ("cur", "new", "tmp"):
        (tmp_path / "box" / name).mkdir(parents=True)
        (tmp_path / "box" / name / f"1700.{name}:2,S").write_bytes(mail(name))
    (tmp_path / "box" / "dovecot.index").write_bytes(b"\x01\x02")

    assert {each["customer"] for each in received(tmp_path)} == {"cur@example.org", "new@example.org"}


@pytest.mark.django_db
def test_other_files_of_a_folder_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "noext").write_bytes(mail())
    (tmp_path / "notes.txt").write_text("From: me\nSubject: what I thought\n\n…")
    (tmp_path / "list.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty").touch()

    told = summary(tmp_path)

    assert "1 mails." in told
    assert "1 conversations opened, 0 times one was joined." in told
    assert "3 files in these folders are no mails" in told


@pytest.mark.parametrize("bad", ["nowhere.eml", "table.csv"])
def test_a_bad_path_stops_everything_before_it_starts(tmp_path: Path, bad: str) -> None:
    (tmp_path / "a.eml").write_bytes(mail())
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")

    with pytest.raises(CommandError) as refusal:  # no database is allowed here: nothing was asked of it
        received(tmp_path / "a.eml", tmp_path / bad)

    assert refusal.value.returncode == 2
    assert "\n" not in str(refusal.value)


def test_a_dry_run_needs_no_database(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(mail())

    (told,) = received(tmp_path, dry_run=True)

    assert told["opens_or_joins_conversation"]


# --- a mail server's pipe -------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_piped_mail_is_kept_and_read(piped: Callable[[bytes], None]) -> None:
    piped(b"From ada@example.org Mon Mar  2 12:00:00 2026\n" + mail())

    (told,) = received("-")

    assert told["customer"] == "ada@example.org"
    assert Interaction.objects.count() == 1


@pytest.mark.parametrize("trouble", [OperationalError("no connection"), RuntimeError("anything")])
def test_a_piped_mail_that_cannot_be_kept_is_tried_again_by_the_server(
    piped: Callable[[bytes], None], monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    def not_kept(*_args: object, **_kwargs: object) -> None:
        raise trouble

    monkeypatch.setattr(mails, "keep_raw", not_kept)
    piped(mail())

    with pytest.raises(CommandError) as refusal:
        received("-")

    assert refusal.value.returncode == 75


@pytest.mark.django_db
def test_a_piped_mail_that_was_kept_is_accepted_whatever_happens_while_it_is_read(
    piped: Callable[[bytes], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_kwargs: object) -> None:
        raise OperationalError("the connection is lost")

    monkeypatch.setattr(mails, "read_now", broken)
    piped(mail())

    received("-")

    assert RawItem.objects.get().state == WorkState.CLAIMED


@pytest.mark.django_db
def test_a_piped_mail_that_is_too_large_is_not_accepted(
    piped: Callable[[bytes], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MAX_RAW_BYTES", 100)
    piped(mail())

    with pytest.raises(CommandError) as refusal:
        received("-")

    assert refusal.value.returncode == 65
    assert RawItem.objects.get().state == WorkState.PARKED


# --- real mails -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_all_real_mails_end_as_expected_and_a_second_run_adds_nothing(outside_data: Path) -> None:
    folder = outside_data / "mail"
    told = {str(Path(each["file"]).relative_to(folder)): each for each in received(folder)}

    assert len(told) == 225
    with (folder / "expected_outcomes.csv").open(newline="") as file:
        for right in csv.DictReader(file):
            each = told[right["file"]]
            assert each["class"] == right["class"].replace("malformed", "unparsable"), right["file"]
            assert each["opens_or_joins_conversation"] == (right["opens_or_joins_conversation"] == "yes"), right["file"]
            assert right["customer_identity"] in ("", each["customer"]), right["file"]
            assert each["subject"].startswith(right["subject"].partition("…")[0]), right["file"]
            assert right["body_or_reply_contains"] in each["text"], right["file"]
            assert bool(each["attachments"]) or right["attachments"] != "1+", right["file"]
    with (folder / "sisimai" / "expected.csv").open(newline="") as file:
        for right in csv.DictReader(file):
            opens = told[f"sisimai/{right['file']}"]["opens_or_joins_conversation"]
            assert opens == (right["expected_class"] == "human"), right["file"]
    assert RawItem.objects.filter(state=WorkState.PARKED).count() == 1  # broken.eml, visibly

    tables = (RawItem, Interaction, Conversation, Customer, Attachment)
    before = [table.objects.count() for table in tables]
    again = {str(Path(each["file"]).relative_to(folder)): each for each in received(folder)}
    assert again == told
    assert [table.objects.count() for table in tables] == before
