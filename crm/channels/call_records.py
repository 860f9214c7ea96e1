"""Call records of Asterisk: Master.csv as its module cdr_csv writes it, rows in, calls out.

The columns are accountcode, src, dst, dcontext, clid, channel, dstchannel, lastapp, lastdata, start, answer, end, duration,
billsec, disposition, amaflags; then uniqueid and userfield where cdr.conf asks for them (loguniqueid, loguserfield), and
peeraccount, linkedid and sequence with newcdrcolumns. There is no row of names, times are local unless usegmtime is on.

A call may leave several rows (each phone that was tried). ANSWERED says that somebody or something picked up: a menu, a queue
or a voice mailbox does so too. Somebody of ours talked only where a phone was put through, which dstchannel names.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from crm.channels.rows import Rejected, Row, read

COLUMNS: Final = (
    "accountcode", "src", "dst", "dcontext", "clid", "channel", "dstchannel", "lastapp", "lastdata", "start", "answer", "end",
    "duration", "billsec", "disposition", "amaflags", "uniqueid", "userfield", "peeraccount", "linkedid", "sequence",
)  # fmt: skip
_LEAST: Final = 16
_DISPOSITIONS: Final = frozenset({"ANSWERED", "NO ANSWER", "BUSY", "FAILED", "CONGESTION"})
_UNIQUE: Final = re.compile(r"(?:[\w.-]{1,60}-)?(\d{9,11})\.\d{1,10}")
_ROUNDED: Final = re.compile(r"\d(?:[.,]\d+)?[eE]\+?\d+")
_NAMED: Final = re.compile(r'\s*"?([^"<]*?)"?\s*<([^>]*)>')
_INTERNAL: Final = re.compile(r"\d{1,5}|[A-Za-z][\w.-]*")
_WITHHELD: Final = frozenset({"", "anonymous", "unknown", "unavailable", "restricted", "private", "s", "asterisk"})
_CLOCKS: Final = timedelta(seconds=2)
_WRONG_ZONE: Final = timedelta(minutes=10)

REASONS: Final = {
    "wrong_columns": "The row has another number of cells than a record of a call has.",
    "unreadable_time": "A time of the call cannot be read.",
    "future": "The call lies in the future.",
    "wrong_order": "The call was answered before it began, or ended before.",
    "unreadable_length": "The length of the call, or of the talk, is no number.",
    "longer_than_itself": "The talk is longer than the call, or the call than the time from its beginning to its end.",
    "unknown_disposition": "How the call went is said in a word that we do not know.",
    "damaged_id": "The id went through a spreadsheet and lost its last digits.",
    "other_time": "The id of the call names another time than the row; another time zone may be the right one.",
}
"""Why a row is not taken in: a stable code and the sentence for people."""


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call. id: the same one twice is one call; caller: as recorded, "" when withheld; name: as the line showed it.

    began_at, answered_at, ended_at: aware; answered_at only where somebody of ours talked. is_ours: a call from one of our own
    phones. Seconds of waiting and talking follow from the times.
    """

    id: str
    caller: str
    name: str
    called: str
    context: str
    began_at: datetime
    answered_at: datetime | None
    ended_at: datetime
    disposition: str
    is_ours: bool

    @property
    def is_cut_by_network(self) -> bool:
        """Whether the line itself kept the caller from us: it was busy, or there was none."""
        return self.disposition in ("BUSY", "FAILED", "CONGESTION")

    @property
    def wait_seconds(self) -> int:
        """How long it rang, or waited in a queue, before somebody talked or the caller gave up."""
        return int(((self.answered_at or self.ended_at) - self.began_at).total_seconds())

    @property
    def call_seconds(self) -> int | None:
        """How long the talk was; None when there was none."""
        return None if self.answered_at is None else int((self.ended_at - self.answered_at).total_seconds())


def parse(
    lines: Iterable[bytes], *, zone: ZoneInfo, not_after: datetime, contexts: Collection[str] = ()
) -> Iterator[CallRecord | Rejected]:
    """Read a file row by row, in its order; a row of names is passed over.

    zone: in which its times are written. not_after: aware; no call lies later. contexts: where calls of customers arrive
    (dcontext); without any, a call is ours when its number is a short one of the house.
    """
    for row in read(lines):
        if isinstance(row, Rejected):
            yield row
        elif [cell.lower() for cell in row.cells[:3]] != ["accountcode", "src", "dst"]:
            found = _record(row, zone=zone, not_after=not_after, contexts=contexts)
            yield row.rejected(found, REASONS[found]) if isinstance(found, str) else found


def calls(records: Iterable[CallRecord]) -> list[CallRecord]:
    """Put the rows of one call together: it began with the first, was answered when the first of ours did, ended with the last."""
    together: dict[str, CallRecord] = {}
    for record in records:
        before = together.get(record.id)
        if before is None:
            together[record.id] = record
            continue
        answers = [one for one in (before.answered_at, record.answered_at) if one is not None]
        first = min(before, record, key=lambda one: one.began_at)
        together[record.id] = replace(
            first,
            answered_at=min(answers, default=None),
            ended_at=max(before.ended_at, record.ended_at),
            disposition=before.disposition if before.answered_at else record.disposition,
        )
    return list(together.values())


def _record(row: Row, *, zone: ZoneInfo, not_after: datetime, contexts: Collection[str]) -> CallRecord | str:
    """Read one row; a key of REASONS when that cannot be."""
    if not _LEAST <= len(row.cells) <= len(COLUMNS):
        return "wrong_columns"
    cell = dict(zip(COLUMNS, row.cells, strict=False))
    unique, linked = cell.get("uniqueid", ""), cell.get("linkedid", "")
    if _ROUNDED.fullmatch(unique) or _ROUNDED.fullmatch(linked):
        return "damaged_id"
    if len(row.cells) == _LEAST + 1 and not _UNIQUE.fullmatch(unique):
        unique = ""  # the one column more is the userfield
    stamp = _UNIQUE.fullmatch(unique)
    epoch = datetime.fromtimestamp(int(stamp[1]), UTC) if stamp else None
    began, answered, ended = (_time(cell[name], zone=zone, near=epoch) for name in ("start", "answer", "end"))
    if began is None or (ended is None and cell["end"]) or (answered is None and cell["answer"]):
        return "unreadable_time"
    if epoch is not None and abs(began - epoch) > _WRONG_ZONE:
        return "other_time"
    if not (cell["duration"].isdecimal() and cell["billsec"].isdecimal()):
        return "unreadable_length"
    duration, billed = (timedelta(seconds=min(int(cell[name]), 10**7)) for name in ("duration", "billsec"))
    ended = ended or began + duration
    if ended > not_after + _CLOCKS:
        return "future"
    if ended < began or (answered is not None and not began <= answered <= ended):
        return "wrong_order"
    if billed > duration or duration > ended - began + _CLOCKS:
        return "longer_than_itself"
    disposition = cell["disposition"].upper().replace("_", " ")
    if disposition not in _DISPOSITIONS:
        return "unknown_disposition"
    talked = disposition == "ANSWERED" and bool(cell["dstchannel"])
    caller, name = _caller(cell)
    return CallRecord(
        id=(linked or unique or hashlib.sha256(row.content.strip()).hexdigest())[:160],
        caller=caller,
        name=name,
        called=cell["dst"],
        context=cell["dcontext"],
        began_at=began,
        answered_at=(answered or ended - billed) if talked else None,
        ended_at=ended,
        disposition=disposition,
        is_ours=cell["dcontext"] not in contexts if contexts else bool(caller and _INTERNAL.fullmatch(caller)),
    )


def _caller(cell: dict[str, str]) -> tuple[str, str]:
    named = _NAMED.fullmatch(cell["clid"])
    caller, name = cell["src"] or (named[2] if named else ""), named[1].strip() if named else ""
    if caller.lower() in _WITHHELD:
        caller = ""
    return caller, "" if name.lower() in _WITHHELD or name == caller else name[:200]


def _time(written: str, *, zone: ZoneInfo, near: datetime | None) -> datetime | None:
    """A moment of the file. In the hour that the clocks go back, the id of the call says which of the two it is."""
    try:
        local = datetime.fromisoformat(written)
    except ValueError:
        return None
    if local.tzinfo is not None or len(written) != len("2026-03-02 12:00:00"):
        return None
    first, second = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return second if near is not None and abs(second - near) < abs(first - near) else first


def wrong_zone_share(rejected: Sequence[Rejected], read_rows: int) -> float:
    """Which share of a file's rows says by its ids that the time zone is another one."""
    return sum(one.code == "other_time" for one in rejected) / max(1, read_rows)
