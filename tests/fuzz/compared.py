"""Our reading of headers and parts held against the standard library's, on the same mails: time, failures, differences.

Run by `python -m tests.fuzz --compare`; docs/adr/0020 gives the numbers and what was decided by them.
"""

from __future__ import annotations

import email as standard
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable
from email import policy
from email.header import decode_header, make_header
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime

from crm.channels.email import headers, parts

MAX_SECONDS = 5.0  # of computing for one mail; a reader that needs more is stopped and has raised TimeoutError

Read = tuple[str, tuple[str, ...], str]  # subject, addresses in From, text of the plain parts


def ours(raw: bytes) -> Read:
    cut = parts.cut(raw)
    top = cut.top
    for name in ("to", "cc", "reply-to"):
        headers.addresses(top.first(name))
    headers.time_of(top.first("date"))
    parts.attachments(cut)
    sender = tuple(one.address for value in top.every("from") for one in headers.addresses(value))
    return top.text("subject"), sender, parts.bodies(cut)[0]


def compat32(raw: bytes) -> Read:
    """The old interface, which leaves decoding to its caller; written as its documentation says."""
    return _theirs(standard.message_from_bytes(raw, policy=policy.compat32), decode=True)


def default(raw: bytes) -> Read:
    """The new interface, which decodes by itself."""
    return _theirs(standard.message_from_bytes(raw, policy=policy.default), decode=False)


def _theirs(mail: Message, *, decode: bool) -> Read:
    def text(value: object) -> str:
        return str(make_header(decode_header(value))) if decode else str(value)  # type: ignore[arg-type]

    for name in ("to", "cc", "reply-to"):
        getaddresses([text(value) for value in mail.get_all(name, [])])
    if mail["date"]:
        parsedate_to_datetime(str(mail["date"]))
    said = []
    for part in mail.walk():
        if part.is_multipart():
            continue
        part.get_filename()
        content = part.get_payload(decode=True) or b""
        if part.get_content_type() == "text/plain" and isinstance(content, bytes):
            said.append(content.decode(part.get_content_charset() or "utf-8", "replace"))
    sender = tuple(address for _, address in getaddresses([text(value) for value in mail.get_all("from", [])]))
    return text(mail["subject"] or ""), sender, "\n".join(said)


READERS: dict[str, Callable[[bytes], Read]] = {"ours": ours, "compat32": compat32, "default": default}


def compare(mails: Iterable[bytes]) -> str:
    """A table: milliseconds of computing per mail, mails that raised and what, and how often the result is ours."""
    spent = dict.fromkeys(READERS, 0.0)
    slowest = dict.fromkeys(READERS, 0.0)
    raised: dict[str, Counter[str]] = {name: Counter() for name in READERS}
    same: dict[str, Counter[str]] = {name: Counter() for name in READERS}
    count = 0
    signal.signal(signal.SIGPROF, _stop)
    for raw in mails:
        count += 1
        read: dict[str, Read] = {}
        for name, reader in READERS.items():
            began = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, MAX_SECONDS)
            try:
                read[name] = reader(raw)
            except Exception as trouble:  # noqa: BLE001  to count what it raises is what this is for
                raised[name][type(trouble).__name__] += 1
            signal.setitimer(signal.ITIMER_PROF, 0)
            took = time.process_time() - began
            spent[name] += took
            slowest[name] = max(slowest[name], took)
        for name, result in read.items():
            if "ours" in read:
                for field, theirs, mine in zip(("subject", "sender", "text"), result, read["ours"], strict=True):
                    same[name][field] += _plain(theirs) == _plain(mine)
    lines = [f"{count} mails"]
    for name in READERS:
        fails = sum(raised[name].values())
        lines.append(
            f"{name}: {spent[name] / count * 1000:.2f} ms a mail, slowest {slowest[name] * 1000:.0f} ms, raised {fails} "
            f"({100 * fails / count:.1f} %) {dict(raised[name].most_common(6))}; as ours: "
            + ", ".join(f"{field} {100 * same[name][field] / max(1, count - fails):.1f} %" for field in same[name])
        )
    return "\n".join(lines)


def _stop(*_given: object) -> None:
    raise TimeoutError


def _plain(value: str | tuple[str, ...]) -> object:
    return " ".join(value.split()) if isinstance(value, str) else tuple(one.lower() for one in value if one)
