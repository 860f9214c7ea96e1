"""Fetching mail from an IMAP server: bytes exactly as they lie there, over verified TLS, with a limit on everything.

What goes wrong is told in plain words of our own; the server's words are never passed on, since they may repeat what was sent to
it. Nothing is deleted or moved but what the caller names, after the caller has kept it (F34).
"""

from __future__ import annotations

import imaplib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from imap_tools.errors import ImapToolsError, MailboxFolderSelectError, MailboxLoginError
from imap_tools.utils import encode_folder

from crm.channels.email.parts import KEPT_OF_TOO_LARGE, MAX_RAW_BYTES
from crm.channels.imap.line import VARIABLE_PREFIX, Account, Deadline, Place, secret
from crm.channels.imap.words import (
    MailboxTrouble,
    in_words,
    may_only_read,
    no_folder,
    not_cleared,
    not_served,
    not_understood,
    refused_log_in,
)

LISTED_AT_ONCE: Final = 5_000  # mails of a folder that are listed by one search; a larger one is walked through
PAGE: Final = 200
WIDEST: Final = 1_000_000  # unique ids asked for by one search of a large folder
GROUP_MAILS, GROUP_BYTES = 50, 8 * 1024 * 1024  # of mails fetched together

_RECORD: Final = re.compile(rb"(\d+) \(")
_UID: Final = re.compile(rb"\bUID (\d+)")
_SIZE: Final = re.compile(rb"\bRFC822\.SIZE (\d+)")
_DATE: Final = re.compile(rb'\bINTERNALDATE "([^"]{10,40})"')


@dataclass(frozen=True, slots=True)
class Listed:
    """One mail of a folder. number: its place among all, from 1. size: bytes, as the server says. internal_date: aware."""

    uid: int
    number: int
    size: int
    internal_date: datetime | None


@dataclass(frozen=True, slots=True)
class Fetched:
    """One mail's bytes; only their beginning when it is too large to be read."""

    mail: Listed
    content: bytes
    is_too_large: bool


@contextmanager
def opened(place: Place, *, within: float) -> Iterator[Session]:
    """Log in and open the folder; everything together, closing included, ends after `within` seconds.

    Raises MailboxTrouble, also from what the caller does with the session.
    """
    deadline = Deadline(within)
    session: Session | None = None
    try:
        with in_words(place.host, place.port, has_passed=lambda: deadline.has_passed):
            password = secret(place.secret_from)
            session = Session(Account(place, deadline), place, deadline)
            session.log_in(password)
            session.select()
        yield session
        session.hang_up(politely=True)
    finally:
        if session is not None:
            session.hang_up(politely=False)
        deadline.release()


class Session:
    """An open folder. uid_validity: which numbering its unique ids belong to; count: mails in it; uid_next: 0 when not told."""

    def __init__(self, account: Account, place: Place, deadline: Deadline) -> None:
        self._account, self._place, self._deadline = account, place, deadline
        self._line: Any = account.client
        self._is_open = True
        self._capabilities: frozenset[bytes] = frozenset()
        self.uid_validity = self.uid_next = self.count = 0

    def log_in(self, password: str) -> None:
        """Raises MailboxTrouble; no word of the server and no part of the password is in it."""
        name, trouble = self._place.username, None
        try:
            if self._place.uses_token:
                self._account.xoauth2(name, password, initial_folder=None)
            elif name.isascii() and password.isascii():
                self._account.login(name, password, initial_folder=None)
            else:
                self._account.login_utf8(name, password, initial_folder=None)
        except imaplib.IMAP4.abort:
            raise
        except (imaplib.IMAP4.error, MailboxLoginError) as refusal:
            trouble = refused_log_in(refusal, uses_token=self._place.uses_token)
        if trouble is not None:  # outside the handler: what the server said shall not hang on it
            raise trouble
        _typ, told = self._line.capability()  # after the log-in there are more
        self._capabilities = frozenset(b" ".join(line for line in told if line).upper().split())

    def select(self) -> None:
        """Open the folder, or look at it again. Raises MailboxTrouble."""
        with self._in_words():
            try:
                self._account.folder.set(self._place.folder, readonly=self._place.only_reads)
            except MailboxFolderSelectError:
                raise no_folder(self._place.folder) from None
            except imaplib.IMAP4.readonly:
                raise may_only_read() from None
        self.count = self._told_number("EXISTS")
        self.uid_validity, self.uid_next = self._told_number("UIDVALIDITY"), self._told_number("UIDNEXT")

    def look_for_move_folder(self) -> None:
        """See that the folder is there into which fetched mails are moved. Raises MailboxTrouble."""
        if self._place.move_to:
            with self._in_words():
                typ, _data = self._line.status(encode_folder(self._place.move_to), "(MESSAGES)")
            if typ != "OK":
                raise no_folder(self._place.move_to)

    def listed(self, after: int) -> Iterator[list[Listed]]:
        """Go through the mails whose unique id is beyond `after`, in pages of 200, in order; memory stays the same."""
        if self.count <= LISTED_AT_ONCE or not self.uid_next:
            found = self._search(f"{after + 1}:*")
            yield from self._pages(
                uid for uid in found if uid > after
            )  # "n:*" also names the last one when it is before n
            return
        low, width = after + 1, 2 * PAGE
        while low < self.uid_next:
            found = self._search(f"{low}:{low + width - 1}")
            yield from self._pages(found)
            low += width
            width = 2 * PAGE if found else min(4 * width, WIDEST)

    def details(self, uids: Iterable[int]) -> list[Listed]:
        """What the server says about some mails, in order; those that are gone are missing."""
        wanted = sorted(set(uids))
        if not wanted:
            return []
        found: dict[int, Listed] = {}
        for number, head, _content in self._fetch(wanted, "(UID RFC822.SIZE INTERNALDATE)"):
            uid, size = _UID.search(head), _SIZE.search(head)
            if uid and size and int(uid[1]) in wanted:
                found.setdefault(int(uid[1]), Listed(int(uid[1]), number, int(size[1]), _moment(head)))
        return [found[uid] for uid in sorted(found)]

    def fetch(self, mails: Sequence[Listed]) -> list[Fetched]:
        """Take the bytes of some mails without marking them as read; those that are gone are missing.

        mails: a group (`groups`). Raises MailboxTrouble: "not_served" when the server will not give them, though it answers.
        """
        found: dict[int, Fetched] = {}
        whole = {mail.uid: mail for mail in mails if mail.size <= MAX_RAW_BYTES}
        beginning = {mail.uid: mail for mail in mails if mail.size > MAX_RAW_BYTES}
        for some, part in ((whole, ""), (beginning, f"<0.{KEPT_OF_TOO_LARGE}>")):
            if not some:
                continue
            # Servers are known to count a mail's bytes wrong by a little.
            self._line.bytes_allowed = sum(min(mail.size, MAX_RAW_BYTES) * 2 for mail in some.values()) + (1 << 20)
            for _number, head, content in self._fetch(some, f"(UID BODY.PEEK[]{part})"):
                uid = _UID.search(head)
                mail = some.get(int(uid[1])) if uid else None
                if mail is not None and content is not None and mail.uid not in found:
                    is_too_large = bool(part) or len(content) > MAX_RAW_BYTES
                    content = content[:KEPT_OF_TOO_LARGE] if is_too_large else content
                    found[mail.uid] = Fetched(mail, content, is_too_large)
        return [found[mail.uid] for mail in mails if mail.uid in found]

    def remove(self, uids: Iterable[int]) -> None:
        """Delete these mails for good and no others. Raises MailboxTrouble."""
        for some in _chunks(uids):
            with self._in_words():
                self._command("STORE", some, "+FLAGS.SILENT", r"(\Deleted)")
                if b"UIDPLUS" in self._capabilities:  # RFC 4315
                    self._command("EXPUNGE", some)
                    continue
                # Without it everything marked goes; what somebody else has marked must have been fetched first.
                marked = self._search("1:*", "DELETED")
                if set(marked) <= set(some) and self._line.expunge()[0] != "OK":
                    raise not_cleared()

    def move(self, uids: Iterable[int]) -> None:
        """Move these mails to the other folder and no others. Raises MailboxTrouble."""
        folder = encode_folder(self._place.move_to)
        for some in _chunks(uids):
            with self._in_words():
                if b"MOVE" in self._capabilities:  # RFC 6851
                    self._command("MOVE", some, folder)
                else:
                    self._command("COPY", some, folder)
                    self.remove(some)

    def hang_up(self, *, politely: bool) -> None:
        """Close the connection; nothing that goes wrong with that matters any more."""
        if not self._is_open:
            return
        self._is_open = False
        with suppress(imaplib.IMAP4.error, OSError, ImapToolsError):
            if politely:
                self._line.sock.settimeout(2)
                self._line.logout()
        with suppress(OSError):
            self._line.shutdown()

    # --- what goes over the line --------------------------------------------------------------------------------------

    def _search(self, uids: str, also: str = "") -> list[int]:
        with self._in_words():
            typ, told = self._line.uid("SEARCH", *([also] if also else []), "UID", uids)
            if typ != "OK":
                raise not_understood()
        return sorted({int(uid) for line in told if line for uid in line.split()})

    def _pages(self, uids: Iterable[int]) -> Iterator[list[Listed]]:
        for some in _chunks(uids):
            page = self.details(some)
            if page:
                yield page

    def _fetch(self, uids: Iterable[int], what: str) -> list[tuple[int, bytes, bytes | None]]:
        """One FETCH: each record's message number, its line without the bytes, and the bytes."""
        with self._in_words():
            typ, told = self._line.uid("FETCH", ",".join(map(str, uids)), what)
        if typ != "OK":
            raise not_served()
        records: list[tuple[int, bytes, bytes | None]] = []
        for piece in told:
            line, content = piece if isinstance(piece, tuple) else (piece, None)
            begun = _RECORD.match(line) if isinstance(line, bytes) else None
            if begun:
                records.append((int(begun[1]), line, content))
            elif records and isinstance(line, bytes):  # what follows the bytes belongs to the same record
                number, head, standing = records[-1]
                records[-1] = (number, head + line, standing)
        return records

    def _command(self, name: str, uids: Iterable[int], *more: Any) -> None:
        try:
            typ, _told = self._line.uid(name, ",".join(map(str, uids)), *more)
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error:
            typ = "BAD"
        if typ != "OK":
            raise not_cleared()

    def _told_number(self, name: str) -> int:
        _name, told = self._line.response(name)
        numbers = [int(value) for value in told or () if value and value.isdigit()]
        return numbers[-1] if numbers else 0

    def _in_words(self) -> Any:
        return in_words(self._place.host, self._place.port, has_passed=lambda: self._deadline.has_passed)


def groups(mails: Iterable[Listed]) -> Iterator[list[Listed]]:
    """Mails to be fetched together: at most 50, and 8 MB together unless one alone has more."""
    group: list[Listed] = []
    size = 0
    for mail in mails:
        counted = min(mail.size, MAX_RAW_BYTES)
        if group and (len(group) == GROUP_MAILS or size + counted > GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(mail)
        size += counted
    if group:
        yield group


def _chunks(uids: Iterable[int]) -> Iterator[list[int]]:
    some: list[int] = []
    for uid in uids:
        some.append(uid)
        if len(some) == PAGE:
            yield some
            some = []
    if some:
        yield some


def _moment(head: bytes) -> datetime | None:
    written = _DATE.search(head)
    if not written:
        return None
    try:
        moment = parsedate_to_datetime(written[1].decode("ascii", "replace").strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


__all__ = ["VARIABLE_PREFIX", "Fetched", "Listed", "MailboxTrouble", "Place", "Session", "groups", "opened", "secret"]
