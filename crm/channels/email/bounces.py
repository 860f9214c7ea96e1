"""Reading what mail servers say about mail that did not arrive: who was not reached, and was that final.

A bounce is a claim like any mail: whoever acts on it checks our own return-path token first (M12).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from crm.channels.email import headers, parts

MAX_BOUNCED: Final = 100
_READ_CHARS: Final = 100_000  # of a report; servers write the verdict first
_ACTIONS: Final = frozenset({"failed", "delayed", "delivered", "relayed", "expanded"})  # RFC 3464 section 2.3.3

_STATUS: Final = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_REPLY_CODE: Final = re.compile(r"(?<![\d.])([45])\d\d[ -](?!\d)")
_ADDRESS: Final = re.compile(
    r"[^\s<>\"(),:;@\[\]\\|'=`*]{1,64}@[A-Za-z0-9\u0080-\uffff][A-Za-z0-9.\u0080-\uffff-]{0,254}",
)
_FIELD: Final = re.compile(
    (
        r"^[> \t]{0,10}(Final-Recipient|Original-Recipient|X-Actual-Recipient|Action"
        r"|Status)[ \t]*:[ \t]*(.{0,1000}(?:\n[ \t]+\S.{0,300}){0,3})"
    ),
    re.IGNORECASE | re.MULTILINE,
)
_DELAY: Final = re.compile(
    r"\bdelay(?:ed)?\b|will (?:keep trying|be retried|continue)|not (?:yet )?been delivered(?: yet)?"
    r"|still being retried|temporar(?:y|ily) (?:fail|prob|defer)"
    r"|warning[: ]+message|delivery (?:is )?pending|no action is required",
    re.IGNORECASE,
)
# From here on a report quotes the mail that failed; addresses below are not verdicts.
_ORIGINAL: Final = re.compile(
    r"^[ \t>]{0,4}(?:[-=_*#]{2,}[ \t]?.{0,60}(?:copy of|original|returned|unsent|undelivered|body of"
    r"|header|message follows|start of|below this line|included).{0,80}"
    r"|(?:included is|this is|below is|here is|the following is) (?:a |an |the )?(?:copy|header|original|body).{0,80}"
    r"|original (?:message|mail|e-mail)[^:\n]{0,60}:?.{0,40}|(?:the )?(?:body|header|text) of (?:your|the"
    r"|message).{0,80}|message (?:headers?|details|text) follow.{0,40}"
    r"|received:[ \t]*(?:from|by|\().{0,200}|return-path:[ \t]*<.{0,200})$",
    re.IGNORECASE | re.MULTILINE,
)
_TO: Final = re.compile(r"^[> \t]{0,6}to:[ \t]*(.{1,500})$", re.IGNORECASE | re.MULTILINE)
# Lines that name the one who was not reached; the address stands in the line or on the next ones.
_NAMES_RECIPIENT: Final = re.compile(
    (
        r"(?:deliver|undeliver|reach|recipient|rcpt|addressee|following|failed|errors?|rejected|unknown|user"
        r"|mailbox|account|to:|宛先|получател|доставлен|配信|送信|受信者)"
    ),
    re.IGNORECASE,
)
_OWN_LINE: Final = re.compile(
    r"^[ \t>*-]{0,10}(?:\"?[^\n\"<>@]{0,80}\"?[ \t]*)?<?[^\s<>@]{1,64}@[^\s<>@:]{1,255}>?[ \t]{0,3}(?:$"
    r"|[:;\[(…]|\.\.\.|\t| -| {2,})",
)
_SERVANTS: Final = re.compile(
    r"^(?:mailer-?daemon|post-?_?master|abuse|root|double-bounce|no-?reply|do-?not-?reply|mail-?daemon)@",
    re.IGNORECASE,
)


class Bounced(NamedTuple):
    """address: who was not reached; status: RFC 3463 code or empty; action: "failed", "delayed", "delivered",
    "relayed" or "expanded"."""

    address: str
    status: str
    action: str


def of(cut: parts.Parts, text: str, *, not_these: frozenset[str], written_to: frozenset[str]) -> tuple[Bounced, ...]:
    """Whom a bounce is about, at most 100.

    text: what the report says to people. not_these: addresses that are ours or the report's own sender's; written_to:
    whom the report was sent to, believed to have failed only when nobody else is named. Order of belief: the
    machine-readable report, its look-alike inside the text, a list in a header, a provider's JSON, an address that
    stands where reports name the one they could not reach.
    """
    report = "\n\n".join(
        cut.text(leaf)[:_READ_CHARS]
        for leaf in cut.leaves
        if leaf.content_type.startswith(("message/delivery-status", "message/global-delivery"))
    )
    said = f"{report}\n{text[:_READ_CHARS]}"
    found = list(_machine_readable(report)) or list(_machine_readable(text[:_READ_CHARS]))
    if found:
        first = {one.address: one for one in reversed(found)}
        return tuple(first[address] for address in dict.fromkeys(one.address for one in found))[:MAX_BOUNCED]
    listed = [address.address for value in cut.top.every("x-failed-recipients") for address in headers.addresses(value)]
    named = (
        listed
        or list(_in_json(text))
        or list(_named(text[:_READ_CHARS], not_these | written_to))
        or list(_enclosed(cut, not_these | written_to))
        or list(_named(text[:_READ_CHARS], not_these))
    )
    status = _status(said)
    action = _action("", status, f"{cut.top.text('subject')}\n{said}")
    return tuple(Bounced(address, status, action) for address in dict.fromkeys(named))[:MAX_BOUNCED]


def is_machine_readable(text: str) -> bool:
    """Whether the text holds the fields of RFC 3464, quoted or not."""
    names = {match[1].lower() for match in _FIELD.finditer(text[:_READ_CHARS])}
    return "final-recipient" in names and bool(names & {"action", "status"})


def provider_notice(text: str) -> str:
    """ "bounce", "complaint" or "delivery" when the text is a mail provider's JSON notice, else empty."""
    notice = _notice(text)
    kind = str(notice.get("notificationType") or notice.get("eventType") or "").lower()
    return {
        "bounce": "bounce",
        "complaint": "complaint",
        "delivery": "delivery",
        "deliverydelay": "bounce",
        "reject": "bounce",
    }.get(kind, "")


def _machine_readable(text: str) -> Iterator[Bounced]:
    group: dict[str, str] = {}
    for match in _FIELD.finditer(text):
        name, value = match[1].lower(), " ".join(match[2].split())
        recipient = name.endswith("-recipient")
        if recipient and (name in group or "action" in group or "status" in group) and _address_in(group):
            yield _verdict(group)
            group = {}
        group.setdefault(name, value)
    if _address_in(group):
        yield _verdict(group)


def _address_in(group: dict[str, str]) -> str:
    for name in ("final-recipient", "original-recipient", "x-actual-recipient"):
        value = group.get(name, "")
        kind, mark, rest = value.partition(";")
        address = re.sub(r"^@[^:\s]{1,255}:", "", (rest if mark else kind).strip().strip("<>\"' "))
        if normal := headers.normal_address(address):
            return normal
        if match := _ADDRESS.search(address):
            return headers.normal_address(match[0])
    return ""


def _verdict(group: dict[str, str]) -> Bounced:
    status = _status(group.get("status", ""))
    return Bounced(_address_in(group), status, _action(group.get("action", ""), status, ""))


def _status(text: str) -> str:
    match = _STATUS.search(text)
    return match[1] if match else ""


def _action(said: str, status: str, text: str) -> str:
    word = re.split(r"[\s(;]", said.strip().lower(), maxsplit=1)[0]
    if word in _ACTIONS:
        return word
    if status.startswith("2"):
        return "delivered"
    final = status.startswith("5") or any(match[1] == "5" for match in _REPLY_CODE.finditer(text))
    return "delayed" if not final and _DELAY.search(text) else "failed"


def _notice(text: str) -> dict[str, object]:
    start = text.find("{")
    if start < 0 or start > 200 or "ecipient" not in text:
        return {}
    try:
        notice, _ = json.JSONDecoder().raw_decode(text[start : start + _READ_CHARS].replace("\n", ""))
    except (ValueError, RecursionError):
        return {}
    inner = notice.get("Message") if isinstance(notice, dict) else None
    if isinstance(inner, str):
        try:
            notice = json.loads(inner)
        except (ValueError, RecursionError):
            return {}
    return notice if isinstance(notice, dict) else {}


def _in_json(text: str) -> Iterator[str]:
    notice = _notice(text)
    for kind, key in (
        ("bounce", "bouncedRecipients"),
        ("complaint", "complainedRecipients"),
        ("deliveryDelay", "delayedRecipients"),
    ):
        about = notice.get(kind)
        for recipient in (about.get(key) or []) if isinstance(about, dict) else []:
            if isinstance(recipient, dict) and (
                address := headers.normal_address(str(recipient.get("emailAddress", "")))
            ):
                yield address


def _named(text: str, not_these: frozenset[str]) -> Iterator[str]:
    original = _ORIGINAL.search(text, 1)
    verdict = text[: original.start()] if original else text
    lines = [each[:1_000] for each in verdict.split("\n")[:200]]
    alone, beside, any_other = [], [], []
    for at, each in enumerate(lines):
        before = lines[at - 1] if at else ""
        for match in _ADDRESS.finditer(each):
            address = headers.normal_address(match[0].rstrip(".'"))
            if (
                not address
                or address in not_these
                or _SERVANTS.match(address)
                or re.match(r"\s*(?:from|mail from|sender|reply-to|subject|message-id)\b", each, re.IGNORECASE)
            ):
                continue
            if _OWN_LINE.match(each) or re.match(r"\s*(?:rcpt to|to|recipients?)\b", each, re.IGNORECASE):
                alone.append(address)
            elif _NAMES_RECIPIENT.search(each) or _NAMES_RECIPIENT.search(before):
                beside.append(address)
            else:
                any_other.append(address)
    yield from alone or beside[:1] or any_other[:1]
    if not (alone or beside or any_other) and original:
        written = _TO.search(text[original.start() :])
        yield from _only(written[1] if written else "", not_these)


def _enclosed(cut: parts.Parts, not_these: frozenset[str]) -> Iterator[str]:
    """Some reports say only that it failed and enclose the mail: then it is the one that mail was written to."""
    for leaf in cut.leaves:
        if leaf.content_type in {"message/rfc822", "text/rfc822-headers", "message/rfc822-headers"}:
            enclosed = cut.content(leaf)[: headers.MAX_HEADER_BYTES]
            start, _ = headers.end_of_headers(enclosed, 0, len(enclosed))
            yield from _only(headers.parse(enclosed, 0, start).first("to"), not_these)


def _only(value: str, not_these: frozenset[str]) -> Iterator[str]:
    written = headers.addresses(value, limit=2)
    if len(written) == 1 and written[0].address not in not_these:
        yield written[0].address
