"""The erasure journal: a file outside the database that says who was erased, so that a restored backup brings nobody back (P08)."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext as _

from crm.models import ErasureEntry

_LOCK = 0x65726173  # of the advisory lock under which lines are numbered


class JournalBroken(Exception):
    """The file of the journal cannot be read as it was written: a line is missing, changed or cut off."""

    code = "journal_broken"


@dataclass(frozen=True, slots=True)
class Line:
    """One line: whose records went, by which version of the rules, when. addresses: keyed digests."""

    number: int
    customers: tuple[str, ...]
    addresses: tuple[str, ...]
    rule_version: int
    at: str
    before: str
    digest: str

    @classmethod
    def following(
        cls,
        before: str,
        *,
        number: int,
        customers: Sequence[UUID],
        addresses: Sequence[str],
        version: int,
        at: datetime,
    ) -> Line:
        """Write a line after the one with the digest `before`."""
        theirs, moment = [str(one) for one in customers], at.isoformat()
        said = [number, theirs, list(addresses), version, moment, before]
        digest = hashlib.sha256(json.dumps(said).encode()).hexdigest()
        return cls(number, tuple(theirs), tuple(addresses), version, moment, before, digest)

    def is_right(self, before: str) -> bool:
        """Whether the line is what it was and follows the one with the digest `before`."""
        said = [self.number, list(self.customers), list(self.addresses), self.rule_version, self.at, self.before]
        return self.before == before and hashlib.sha256(json.dumps(said).encode()).hexdigest() == self.digest


def path() -> Path:
    """Where the file lies."""
    return Path(settings.EVENHAND_ERASURE_JOURNAL)


def lines() -> list[Line]:
    """Read the file; [] where there is none. Raises JournalBroken."""
    try:
        written = path().read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    found: list[Line] = []
    for number, text in enumerate(written.splitlines(), start=1):
        try:
            told: dict[str, Any] = json.loads(text)
            told["customers"], told["addresses"] = tuple(told["customers"]), tuple(told["addresses"])
            line = Line(**told)
        except (ValueError, TypeError, KeyError) as trouble:
            raise JournalBroken(
                _("Line %(number)s of the erasure journal cannot be read.") % {"number": number}
            ) from trouble
        if line.number != number or not line.is_right(found[-1].digest if found else ""):
            raise JournalBroken(
                _("Line %(number)s of the erasure journal does not follow the one before it.") % {"number": number}
            )
        found.append(line)
    return found


def append(*, customers: Sequence[UUID], addresses: Sequence[str], version: int, at: datetime) -> ErasureEntry:
    """Note an erasure in the table and, safely on disk, in the file. The last thing done before the transaction commits.

    A file that is not there any more is written anew from the table. Raises JournalBroken, OSError; then nothing may be erased.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    known = lines()
    last = ErasureEntry.objects.order_by("-number").first()
    if known and (last is None or known[-1].number > last.number):
        raise JournalBroken(_("The erasure journal knows more than the database; replay it first."))
    before, number = (last.digest, last.number + 1) if last else ("", 1)
    line = Line.following(before, number=number, customers=customers, addresses=addresses, version=version, at=at)
    entry = keep(line)
    missing = [_line_of(one) for one in _entries_after(known[-1].number if known else 0, until=number)]
    if missing and missing[0].before != (known[-1].digest if known else ""):
        raise JournalBroken(_("The erasure journal and the database do not belong together."))
    _write([*missing, line])
    return entry


def keep(line: Line) -> ErasureEntry:
    """Note a line of the file in the table."""
    return ErasureEntry.objects.create(
        number=line.number,
        customers=[UUID(one) for one in line.customers],
        addresses=list(line.addresses),
        rule_version=line.rule_version,
        at=datetime.fromisoformat(line.at),
        digest=line.digest,
    )


def unknown() -> list[Line]:
    """The lines of the file that the database does not know: all that was erased after a restored backup was made.

    Raises JournalBroken, also when both know a line of the same number that is not the same.
    """
    written = lines()
    if not written:
        return []
    known = dict(ErasureEntry.objects.values_list("number", "digest"))
    for line in written:
        if known.get(line.number, line.digest) != line.digest:
            raise JournalBroken(_("The erasure journal and the database do not belong together."))
    return [line for line in written if line.number not in known]


def shut_because() -> str:
    """Why the service must not open: the code of what is wrong with the journal, "" when nothing is. Cheap to ask often."""
    try:
        last = _last_line()
        if last is not None and not ErasureEntry.objects.filter(number=last.number, digest=last.digest).exists():
            return "erasures_to_replay" if unknown() else ""
    except JournalBroken as trouble:
        return trouble.code
    return ""


def _last_line() -> Line | None:
    try:
        with path().open("rb") as file:
            file.seek(0, os.SEEK_END)
            if not file.tell():
                return None
    except FileNotFoundError:
        return None
    written = lines()
    return written[-1] if written else None


def _entries_after(number: int, *, until: int) -> list[ErasureEntry]:
    return list(ErasureEntry.objects.filter(number__gt=number, number__lt=until).order_by("number"))


def _line_of(entry: ErasureEntry) -> Line:
    earlier = ErasureEntry.objects.filter(number=entry.number - 1).values_list("digest", flat=True).first()
    return Line.following(
        earlier or "",
        number=entry.number,
        customers=entry.customers,
        addresses=entry.addresses,
        version=entry.rule_version,
        at=entry.at,
    )


def _write(fresh: Sequence[Line]) -> None:
    place = path()
    place.parent.mkdir(parents=True, exist_ok=True)
    is_new = not place.exists()
    descriptor = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        text = "".join(json.dumps(_told(line)) + "\n" for line in fresh)
        os.write(descriptor, text.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if is_new:
        folder = os.open(place.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _told(line: Line) -> dict[str, Any]:
    return {name: getattr(line, name) for name in Line.__slots__}
