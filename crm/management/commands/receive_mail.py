"""`manage.py receive_mail`: mails from files, folders, maildirs, mboxes or a mail server's pipe.

Every mail is kept as it came and committed before anybody reads it; what cannot be read or taken in stays parked with
its reason, and the next goes on. The same mail again, with other line ends or from an mbox, is the same delivery.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any, BinaryIO

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError
from django.utils import timezone
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from crm.actions import lease, mails
from crm.channels.email import Mail, parts
from crm.models import RawItem
from crm.policy import WorkState

SOURCE = "mail:file"
STDIN = "-"

NOTHING_DONE, NOT_ACCEPTED, TRY_AGAIN = 2, 65, 75  # 65 and 75 are EX_DATAERR and EX_TEMPFAIL of sysexits.h

_HEADER = re.compile(rb"[!-9;-~]{1,100}[ \t]*:")
_MAIL_HEADER = re.compile(
    rb"(?:received|return-path|message-id|delivered-to|mime-version|x-mailer)[ \t]*:", re.IGNORECASE
)  # what only programs write; "From:" and "Subject:" also head a forwarded mail in somebody's notes
_FROM_LINE = re.compile(rb"From (?:\S+ )?.{0,80}\d\d:\d\d.{0,40}\d{4}")
_QUOTED_FROM_LINE = re.compile(rb"^>(>*From )", re.MULTILINE)

CLASS_WORDS = {
    "human": "from people",
    "bounce": "say that a mail of ours did not arrive",
    "auto_reply": "answered by a machine",
    "own_notification": "written by ourselves",
    "unsubscribe": "want no more marketing",
    "complaint_report": "report a mail of ours as unwanted",
    "list": "from mailing lists",
    "spam": "marked as spam",
    "unparsable": "could not be read as a mail",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A file that holds one mail, or several (an mbox)."""

    path: Path
    is_mbox: bool


@dataclass(frozen=True, slots=True)
class Raw:
    """One mail's bytes; size: of the whole, content: only its beginning when it is too large; digest: of the whole."""

    label: str
    content: bytes
    size: int
    digest: str

    @property
    def is_too_large(self) -> bool:
        return self.size > parts.MAX_RAW_BYTES


@dataclass(slots=True)
class Tally:
    """What the summary tells."""

    classes: Counter[str] = field(default_factory=Counter)
    people: set[str] = field(default_factory=set)
    opened: int = 0
    joined: int = 0
    before: int = 0
    waiting: int = 0
    parked: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[str, str]] = field(default_factory=list)
    passed_over: int = 0
    not_kept: int = 0


class Command(BaseCommand):
    """Keeps each mail, reads it, and lets it open or join a conversation when a person wrote it."""

    help = (
        "Receive mails: files, folders with *.eml and other mails in them, maildirs, mboxes, or - for one mail on "
        f"standard input. Exit codes: {NOTHING_DONE} a path is not there or no mail, nothing was done; {TRY_AGAIN} a "
        f"mail could not be kept, try again; {NOT_ACCEPTED} the mail on standard input is larger than "
        f"{parts.MAX_RAW_BYTES >> 20} MB."
    )
    requires_system_checks = ()  # a mail server waits for us

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("paths", nargs="+", metavar="PATH", help="a file, a folder, a maildir, an mbox, or -")
        parser.add_argument("--dry-run", action="store_true", help="only say what each mail is; uses no database")
        parser.add_argument("--json", action="store_true", help="print one JSON object a mail, one a line")

    def handle(self, *args: object, **options: Any) -> None:
        self.dry_run: bool = options["dry_run"]
        self.as_json: bool = options["json"]
        self.tally = Tally()
        paths: list[str] = options["paths"]
        places = [place for path in paths if path != STDIN for place in self._places(path)]
        if STDIN in paths:
            self._standard_input()
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True, quiet=self.as_json or not places),
        ) as progress:
            bar = progress.add_task("Reading" if self.dry_run else "Receiving", total=len(places))
            for place in places:
                try:
                    for raw in _mails_in(place):
                        self._receive(raw)
                except OSError as trouble:
                    self._refuse(_shown(place.path), f"unreadable: {trouble.strerror or trouble}.")
                progress.advance(bar)
        if not self.as_json:
            self._summarise(is_piped=STDIN in paths and not places)
        if self.tally.not_kept:
            raise CommandError("Some mails could not be kept; run the same command again.", returncode=TRY_AGAIN)

    # --- where mails are -----------------------------------------------------------------------------------------

    def _places(self, name: str) -> list[Place]:
        path = Path(name)
        try:
            if path.is_dir():
                return list(self._in_folder(path))
            if path.is_file():
                place = _place(path)
                if place is not None:
                    return [place]
                raise CommandError(f"{name} is no mail and no mbox; nothing was received.", returncode=NOTHING_DONE)
        except OSError as trouble:
            raise CommandError(
                f"{name} cannot be read ({trouble.strerror}); nothing was received.", returncode=NOTHING_DONE
            ) from trouble
        found = "is not a file or a folder" if path.exists() else "is not there"
        raise CommandError(f"{name} {found}; nothing was received.", returncode=NOTHING_DONE)

    def _in_folder(self, folder: Path) -> Iterator[Place]:
        os.listdir(folder)  # says at once when it may not be read
        for name, folders, files in os.walk(folder):
            here = Path(name)
            if {"cur", "new"} <= set(folders) and "tmp" in folders:
                folders.remove("tmp")  # what is still being delivered to a maildir
            folders.sort()
            is_maildir = here.name in ("cur", "new") and all((here.parent / each).is_dir() for each in ("cur", "new"))
            for each in sorted(files):
                path = here / each
                if not path.is_file():
                    continue
                try:
                    place = Place(path, is_mbox=False) if is_maildir and not each.startswith(".") else _place(path)
                except OSError:
                    place = Place(path, is_mbox=False)  # reading it says why it cannot be read
                if place is None:
                    self.tally.passed_over += 1
                else:
                    yield place

    # --- one mail ------------------------------------------------------------------------------------------------

    def _standard_input(self) -> None:
        """Take the one mail a mail server hands over; it may forget it only when we end with 0."""
        raw = _loaded(sys.stdin.buffer, "standard input")
        self._receive(raw)
        if self.tally.not_kept:
            raise CommandError("The mail could not be kept; please try again later.", returncode=TRY_AGAIN)
        if raw.is_too_large:
            raise CommandError(
                f"The mail is larger than {parts.MAX_RAW_BYTES >> 20} MB and was not accepted.", returncode=NOT_ACCEPTED
            )

    def _receive(self, raw: Raw) -> None:
        at = timezone.now()
        if raw.is_too_large:
            self._too_large(raw)
            return
        if self.dry_run:
            mail = mails.read_mail(raw.content, received_at=at, own_addresses=settings.EVENHAND_OWN_ADDRESSES)
            reason = mails.refusal(mail) if mail.opens_or_joins_conversation else ""
            self._tell(raw, mail, is_taken_in=not reason, reason=reason)
            return
        with mails.reading(raw.content, at=at) as read:
            self._keep_and_read(raw, read, at=at)

    def _keep_and_read(self, raw: Raw, read_mail: Callable[[], Mail] | None, *, at: datetime) -> None:
        kept: list[RawItem] = []

        def keep() -> None:
            kept.append(
                mails.keep_raw(raw.content, source=SOURCE, label=raw.label, at=at, external_id=raw.digest, leased=True)
            )

        if not lease.guarded(keep, failed=lambda trouble: self._not_kept(raw, trouble)):
            return
        item = kept[0]
        if item.received_at != at and item.state in (WorkState.DONE, WorkState.PARKED):
            self.tally.before += 1
            is_parked = item.state == WorkState.PARKED
            mail = read_mail() if read_mail else mails.read_mail(raw.content, received_at=item.received_at)
            self._tell(raw, mail, is_taken_in=not is_parked, reason=item.reason if is_parked else "")
            return
        outcome = mails.ReadNow(None, None, waits=True)

        def read() -> None:
            nonlocal outcome
            outcome = mails.read_now(item, at=at, read=read_mail)

        lease.guarded(read, failed=lambda _trouble: None)  # it is kept: the lane reads it when the database is back
        if outcome.received is not None:
            self.tally.opened += outcome.received.opened
            self.tally.joined += outcome.received.created and not outcome.received.opened
        if outcome.waits:
            self.tally.waiting += 1
            self._print(raw.label, outcome.mail, is_taken_in=True, reason="waits: It is kept and will be read later.")
        else:
            self._tell(raw, outcome.mail, is_taken_in=not outcome.refused, reason=outcome.refused)

    def _too_large(self, raw: Raw) -> None:
        """Keep only the beginning, enough to see who wrote; who piped it in hears that it was not accepted."""
        reason = f"too_large: It has {raw.size:,} bytes; at most {parts.MAX_RAW_BYTES:,} are read."
        if not self.dry_run:

            def park() -> None:
                _item, is_new = mails.park_unread(
                    raw.content,
                    source=SOURCE,
                    label=raw.label,
                    external_id=raw.digest,
                    reason=reason,
                    at=timezone.now(),
                )
                self.tally.before += not is_new

            if not lease.guarded(park, failed=lambda trouble: self._not_kept(raw, trouble)):
                return
        self._refuse(raw.label, reason)

    def _not_kept(self, raw: Raw, trouble: Exception) -> None:
        if isinstance(trouble, OperationalError | InterfaceError):
            raise CommandError(
                "The database does not answer. Try the same again later: nothing is received twice.",
                returncode=TRY_AGAIN,
            ) from trouble
        self.tally.not_kept += 1
        self._refuse(raw.label, f"not_kept: {type(trouble).__name__}.")

    def _refuse(self, label: str, reason: str) -> None:
        self.tally.refused.append((label, reason))
        self._print(label, None, is_taken_in=False, reason=reason)

    # --- what is told --------------------------------------------------------------------------------------------

    def _tell(self, raw: Raw, mail: Mail | None, *, is_taken_in: bool, reason: str) -> None:
        self.tally.classes[mail.kind if mail else "unparsable"] += 1
        if mail is not None:
            if mail.kind == "human" and mail.customer:
                self.tally.people.add(mail.customer)
            if mail.kind == "unparsable":
                reason = reason or mail.reason
        if reason:
            self.tally.parked[reason.partition(": ")[2] or reason] += 1
        self._print(raw.label, mail, is_taken_in=is_taken_in, reason=reason)

    def _print(self, label: str, mail: Mail | None, *, is_taken_in: bool, reason: str) -> None:
        if not self.as_json:
            return
        told = {
            "file": label,
            "class": mail.kind if mail else "unparsable",
            "opens_or_joins_conversation": mail.opens_or_joins_conversation and is_taken_in if mail else False,
            "customer": mail.customer if mail else None,
            "subject": mail.subject if mail else "",
            "text": mail.text if mail else "",
            "attachments": [
                {"name": part.name, "size": part.size, "state": part.state}
                for part in (mail.attachments if mail else ())
            ],
            "bounced": [{"address": one.address, "status": one.status} for one in (mail.bounced if mail else ())],
            "reason": reason or (mail.reason if mail else ""),
        }
        line = json.dumps(told, ensure_ascii=False).encode("utf-8", "replace").decode()
        self.stdout.write(line)

    def _summarise(self, *, is_piped: bool) -> None:
        tally = self.tally
        console = Console(file=_stream(self.stdout), highlight=False, markup=False, soft_wrap=True)
        mails = tally.classes.total() + len(tally.refused) + tally.waiting
        if is_piped and not tally.refused and not tally.parked:
            return
        console.print(f"{mails:,} mails{' (dry run: nothing was kept)' if self.dry_run else ''}.")
        for kind, count in tally.classes.most_common():
            console.print(f"  {count:>7,}  {CLASS_WORDS.get(kind, kind)}")
        console.print(f"{len(tally.people):,} people wrote.")
        if not self.dry_run:
            console.print(f"{tally.opened:,} conversations opened, {tally.joined:,} times one was joined.")
            console.print(f"{tally.before:,} had been received before.")
        if tally.waiting:
            console.print(f"{tally.waiting:,} mails are kept and will be read by the worker.")
        console.print(f"Parked for a person to see: {tally.parked.total():,}.")
        for reason, count in tally.parked.most_common(20):
            console.print(f"  {count:>7,}  {reason}")
        if tally.refused:
            console.print(f"{len(tally.refused):,} files were refused.")
            for label, reason in tally.refused[:20]:
                console.print(f"  {label}: {reason.partition(': ')[2] or reason}")
        if tally.passed_over:
            console.print(f"{tally.passed_over:,} files in these folders are no mails and were passed over.")


def _place(path: Path) -> Place | None:
    """What a file holds, told from its name and its first lines; None for something else."""
    with path.open("rb") as file:
        head = file.read(8192)
    if path.suffix.lower() == ".eml":
        return Place(path, is_mbox=False)
    lines = head.lstrip(b"\r\n").splitlines()
    is_mbox = bool(lines) and lines[0].startswith(b"From ")
    if is_mbox:
        lines = lines[1:]
    if not lines or not _HEADER.match(lines[0]):
        return None
    for line in lines:
        if not line.strip():
            break
        if _MAIL_HEADER.match(line):
            return Place(path, is_mbox=is_mbox)
    return None


def _mails_in(place: Place) -> Iterator[Raw]:
    label = _shown(place.path)
    with place.path.open("rb") as file:
        if not place.is_mbox:
            yield _loaded(file, label)
            return
        for number, content in enumerate(_split(file), start=1):
            yield _raw([content], f"{label}#{number}")


def _split(file: BinaryIO) -> Iterator[bytes]:
    """The mails of an mbox without their "From " lines; a "From " line stands at the start or after an empty line.

    Of a mail that is too large one byte too much is read, so that it is known to be.
    """
    lines: list[bytes] = []
    size = 0
    was_blank, has_begun = True, False
    for line in file:
        if was_blank and line.startswith(b"From ") and (not has_begun or _FROM_LINE.match(line)):
            if has_begun:
                yield _unquoted(lines)
            lines, size, has_begun = [], 0, True
        elif has_begun and size <= parts.MAX_RAW_BYTES:
            lines.append(line)
            size += len(line)
        was_blank = not line.strip(b"\r\n")
    if has_begun:
        yield _unquoted(lines)


def _unquoted(lines: list[bytes]) -> bytes:
    if lines and not lines[-1].strip(b"\r\n"):
        lines.pop()  # the empty line that ends a mail in an mbox
    return _QUOTED_FROM_LINE.sub(rb"\1", b"".join(lines))


def _loaded(file: IO[bytes], label: str) -> Raw:
    return _raw(iter(lambda: file.read(1 << 20), b""), label)


def _raw(chunks: Iterable[bytes], label: str) -> Raw:
    """Read a mail to its end; of one that is too large only the beginning is held."""
    held: list[bytes] = []
    size = 0
    whole = hashlib.sha256()
    for chunk in chunks:
        size += len(chunk)
        whole.update(chunk)
        if size <= parts.MAX_RAW_BYTES:
            held.append(chunk)
        else:
            held = [b"".join(held or [chunk])[: parts.KEPT_OF_TOO_LARGE]]
    if size > parts.MAX_RAW_BYTES:
        return Raw(label, held[0], size, whole.hexdigest())
    content = b"".join(held)
    return Raw(label, content, size, parts.digest(content))


def _shown(path: Path) -> str:
    """A file's name as people may read it, whatever bytes it is made of."""
    return os.fsencode(path).decode("utf-8", "replace")


def _stream(wrapped: Any) -> IO[str]:
    """The stream under Django's wrapper."""
    return getattr(wrapped, "_out", wrapped)  # type: ignore[no-any-return]
