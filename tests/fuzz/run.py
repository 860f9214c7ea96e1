"""Read many spoilt mails in reading processes and say what became of each."""

from __future__ import annotations

import email as standard
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.errors import MissingHeaderBodySeparatorDefect
from email.policy import compat32
from pathlib import Path

from crm.channels import email
from crm.channels.email import reader
from tests.fuzz import mutations, seeds

MAX_SECONDS = 5.0
MAX_TEXTLESS = 0.001  # of all mails: at least 99.9 % have text or say why not
OWN = frozenset({"support@shop.example", "hello@shop.example"})
BORDER = frozenset({"mx.shop.example"})
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
CHUNK = 250

FINE, CRASHED, STUCK, LOST, SPOILT = "fine", "crashed", "stuck", "lost", "spoilt"
BAD = (CRASHED, STUCK, LOST, SPOILT)


@dataclass(frozen=True, slots=True)
class Finding:
    """A mail that was not treated as it should be. what: one of BAD; why: in words."""

    number: int
    what: str
    why: str
    raw: bytes


@dataclass(slots=True)
class Tally:
    """What a run found. kinds: how often each kind of mail; textless: mails without text whose reason for that is another."""

    mails: int = 0
    seconds: float = 0.0
    bytes_read: int = 0
    slowest: float = 0.0
    slowest_number: int = -1
    textless: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.mails += other.mails
        self.bytes_read += other.bytes_read
        self.textless += other.textless
        self.kinds += other.kinds
        self.findings += other.findings
        if other.slowest > self.slowest:
            self.slowest, self.slowest_number = other.slowest, other.slowest_number

    def count(self, what: str) -> int:
        return sum(finding.what == what for finding in self.findings)

    @property
    def is_good(self) -> bool:
        return not self.findings


def run(
    count: int,
    *,
    seed: int,
    outside: Path | None,
    workers: int | None = None,
    told: Callable[[Tally], None] | None = None,
) -> Tally:
    """Read mails 0 to count of this seed on several processes; `told` hears of every finished chunk."""
    started = time.monotonic()
    tally = Tally()
    with ProcessPoolExecutor(workers or os.cpu_count()) as processes:
        chunks = [
            processes.submit(_chunk, range(first, min(count, first + CHUNK)), seed, outside)
            for first in range(0, count, CHUNK)
        ]
        for chunk in as_completed(chunks):
            tally.add(chunk.result())
            tally.seconds = time.monotonic() - started
            if told is not None:
                told(tally)
    return tally


_SURROGATE = re.compile("[\ud800-\udfff]")
_SENTENCE = re.compile(r"(?![!-~]+[ \t]*:|From |FROM |from )[^\W\d_]{2,}\W+[^\W\d_]{2,}")
_whole: dict[Path | None, list[bytes]] = {}


def whole_mails(outside: Path | None) -> list[bytes]:
    if outside not in _whole:
        _whole[outside] = seeds.real(outside)
    return _whole[outside]


def _chunk(numbers: range, seed: int, outside: Path | None) -> Tally:
    tally = Tally()
    _read(seeds.ORDINARY)  # the start of the reading process is no mail's time
    for number in numbers:
        raw = mutations.mail(number, seed=seed, whole=whole_mails(outside))
        began = time.monotonic()
        told = _read(raw)
        took = time.monotonic() - began
        if took > MAX_SECONDS:  # others may have had the processor: once more
            began = time.monotonic()
            told = _read(raw)
            took = min(took, time.monotonic() - began)
        tally.mails += 1
        tally.bytes_read += len(raw)
        tally.kinds[told.kind] += 1
        tally.textless += not told.text.strip()
        if took > tally.slowest:
            tally.slowest, tally.slowest_number = took, number
        what, why = judged(raw, told, took)
        if what != FINE:
            tally.findings.append(Finding(number, what, why, raw))
    return tally


def _read(raw: bytes) -> email.Mail:
    return reader.read(raw, own_addresses=OWN, border_hosts=BORDER, received_at=NOON)


def judged(raw: bytes, told: email.Mail, seconds: float) -> tuple[str, str]:
    """What became of one mail, and in which way it was wrong; (FINE, "") when it was treated well."""
    code = told.reason.partition(":")[0]
    if code in {"reader_failed", "reader_lost", "too_much_memory"}:
        return CRASHED, told.reason
    if code == "too_costly" or seconds > MAX_SECONDS:
        return STUCK, f"{seconds:.1f} s; {told.reason}"
    for wrong in _spoilt(told):
        return SPOILT, wrong
    if not told.text.strip() and not has_reason(told) and (said := standard_text(raw)):
        return LOST, f"the standard library reads {said[:200]!r}"
    return FINE, ""


def has_reason(told: email.Mail) -> bool:
    """Whether a mail without text says why: no person wrote it, its headers are too long, a file says what became of it."""
    if "headers_cut" in told.faults:
        return True
    return told.kind != "human" or any(part.state == "stored" or part.reason for part in told.attachments)


def _spoilt(told: email.Mail) -> Iterator[str]:
    if ": " not in told.reason:
        yield f"no reason: {told.reason!r}"
    if told.opens_or_joins_conversation != (told.kind == "human") or (told.kind == "human" and not told.customer):
        yield f"{told.kind} from {told.customer!r}"
    for text in (
        told.subject, told.customer or "", told.customer_name, told.text, told.quoted, told.full_text, told.html,
        told.message_id, told.reason, *told.in_reply_to, *told.recipients, *(one.address for one in told.bounced),
        *(part.name for part in told.attachments), *(part.content_type for part in told.attachments),
    ):  # fmt: skip
        if "\x00" in text or _SURROGATE.search(text):
            yield f"cannot be stored: {text[:200]!r}"
    if any(letter in f"{told.subject}{told.customer_name}{told.message_id}" for letter in "\r\n"):
        yield f"more than one line: {told.subject[:200]!r}"
    for part in told.attachments:
        if not part.name or "/" in part.name or len(part.name) > 150 or not (part.state == "stored" or part.reason):
            yield f"file {part.name!r}: {part.state} {part.reason!r}"
    for at in (told.spoke_at, told.claimed_at):
        if at is not None and at.tzinfo is None:
            yield f"a time without zone: {at}"


def standard_text(raw: bytes) -> str:
    """The sentences the standard library finds in a mail's text parts; an oracle that shares no code with our reader.

    A sentence: a line of two words that is no header and does not continue one. The two differ about where broken headers
    end (it ends them at the first line that is none, we at the blank line), and no text is lost by that.
    "" where it finds none or cannot read the mail itself.
    """
    # The library ends a line at every carriage return; here they end one only before a line feed, or where there is no other.
    raw = re.sub(rb"\r+\n", b"\n", raw)
    if raw.count(b"\r") <= raw.count(b"\n"):
        raw = raw.replace(b"\r", b" ")
    has_blank_line = b"\n\n" in raw
    try:
        parsed = standard.message_from_bytes(raw[:200_000], policy=compat32)
        for part in parsed.walk():
            if part.get_content_type() != "text/plain" or part.get_filename():
                continue
            separated = not any(isinstance(one, MissingHeaderBodySeparatorDefect) for one in part.defects)
            if not separated and (has_blank_line or not parsed.keys()):
                continue
            text = (part.get_payload(decode=True) or b"").decode("utf-8", "ignore").replace("\x00", "")
            if said := "\n".join(line for line in text.splitlines() if _SENTENCE.match(line)):
                return said
    except Exception:  # noqa: BLE001  what it raises on such mails is why we do not use it
        return ""
    return ""
