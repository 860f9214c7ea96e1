"""Mail: raw bytes in, one judged mail out.

`read` never raises on any input and its time is bounded by the limits in headers.py, parts.py, files.py and html.py.
What a mail says about itself (From, Date, threads, priorities, authentication) is a claim; only what our own border
servers wrote is taken as true, and only from the topmost header that names them (M13, M28).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from crm.channels import Channel, Message, Part
from crm.channels.email import bounces, headers, kinds, parts
from crm.channels.email.bounces import Bounced
from crm.channels.email.headers import Address
from crm.channels.email.kinds import Kind
from crm.language import quoting, tags

__all__ = ["Bounced", "Kind", "Mail", "as_message", "glance", "read"]

_QUOTED_OR_COMMENT: Final = re.compile(r'"(?:[^"\\]|\\.){0,1000}"|\([^()]{0,1000}\)', re.DOTALL)
_GLANCED_BYTES: Final = 32 * 1024
_CLOCKS_APART: Final = timedelta(minutes=5)  # how far a border stamp may lie after the time of receipt


@dataclass(frozen=True, slots=True)
class Mail:
    """One inbound mail, read and judged.

    kind, reason: what it is and why, the reason as "code: Sentence."; opens_or_joins_conversation: true only for a
    person.
    customer: the one address the mail is from, lower case with an ASCII domain, None when there is none; a claim unless
    is_authenticated (our border found DMARC to pass). customer_name: a name as given, never an identity.
    subject: one line, at most 998 characters; text: the new part; quoted: the rest; full_text: both as they came;
    html: as sent.
    bounced: for a bounce, (address, status, action) of each recipient; an action "delayed" is no failure.
    message_id, in_reply_to: ids without brackets; hints (M03). recipients: To and Cc, at most 100, nobody is
    subscribed by them (M02). delivered_to: where the mail servers on the way say they delivered it.
    spoke_at: aware, from our border's Received stamp, else the received_at given, else None; claimed_at: the Date
    header.
    language: BCP 47 tag of Content-Language, "" without one; a claim, good enough to choose words by.
    automatic: the headers that say a machine wrote it; faults: stable words for what was repaired, cut or looks forged.
    """

    kind: Kind
    reason: str
    opens_or_joins_conversation: bool
    customer: str | None
    customer_name: str
    is_authenticated: bool
    subject: str
    text: str
    quoted: str
    full_text: str
    html: str
    attachments: tuple[Part, ...]
    bounced: tuple[Bounced, ...]
    message_id: str
    in_reply_to: tuple[str, ...]
    recipients: tuple[str, ...]
    delivered_to: tuple[str, ...]
    spoke_at: datetime | None
    claimed_at: datetime | None
    language: str
    automatic: tuple[str, ...]
    faults: tuple[str, ...]


def read(
    raw: bytes,
    *,
    own_addresses: frozenset[str] = frozenset(),
    border_hosts: frozenset[str] = frozenset(),
    received_at: datetime | None = None,
    told: frozenset[kinds.Told] = frozenset(),
) -> Mail:
    """Read a raw mail, whatever it is.

    own_addresses: every address we write from or are written to. border_hosts: names of our own receiving servers as
    they stand in "by" of Received and at the start of Authentication-Results. received_at: aware, when we got it, if
    known. told: what the provider that took it in says of it besides.
    Raises nothing: what cannot be read has the kind "unparsable" and a reason. At most 25 MB are read.

    Who the customer is: the first From mailbox (the one Sender names, when From has several). Reply-To is not heard,
    because anybody could then speak for somebody else, except when From is one of our own addresses, as web forms and
    groups that
    pass mail on write it: then X-Original-Sender, X-Original-From and Reply-To, in this order.
    """
    own_addresses = frozenset(filter(None, map(headers.normal_address, own_addresses)))
    border_hosts = frozenset(host.lower().rstrip(".") for host in border_hosts)
    cut = parts.cut(raw)
    top = cut.top
    faults = list(cut.faults)
    sender, customer, sender_faults = _who(top, own_addresses)
    faults += sender_faults
    full_text, page, differ = parts.bodies(cut)
    faults += ["alternatives_differ"] if differ else []
    new, quoted = quoting.split(full_text)
    attachments = parts.attachments(cut)
    recipients = tuple(
        dict.fromkeys(
            one.address for name in ("to", "cc") for value in top.every(name) for one in headers.addresses(value)
        )
    )
    delivered = tuple(
        dict.fromkeys(
            one.address
            for name in ("delivered-to", "x-original-to", "envelope-to")
            for one in headers.addresses(top.first(name), limit=5)
        )
    )
    subject = top.text("subject")
    is_forwarded_by_us = customer is not None and sender is not None and customer.address != sender.address
    seen = kinds.Evidence(
        cut=cut,
        subject=subject,
        text=full_text,
        new=new,
        sender=sender,
        recipients=(*recipients, *delivered),
        own_addresses=own_addresses,
        is_forwarded_by_us=is_forwarded_by_us,
        files=len(attachments),
        told=told,
    )
    judged = kinds.judge(seen)
    bounced: tuple[Bounced, ...] = ()
    if judged.kind == "bounce":
        bounced = bounces.of(
            cut,
            full_text,
            not_these=own_addresses | ({sender.address} if sender else set()),
            written_to=frozenset(recipients),
        )
    return Mail(
        kind=judged.kind,
        reason=judged.reason,
        opens_or_joins_conversation=judged.kind == "human",
        customer=customer.address if customer else None,
        customer_name=customer.name if customer else "",
        # DMARC speaks for one From address: it says nothing of several, or of a customer whose mail another passed on.
        is_authenticated=customer == sender
        and "several_senders" not in faults
        and sender is not None
        and _is_authenticated(top, border_hosts),
        subject=subject,
        text=new,
        quoted=quoted,
        full_text=full_text,
        html=page,
        attachments=attachments,
        bounced=bounced,
        message_id=headers.message_id(top.first("message-id")),
        in_reply_to=tuple(
            dict.fromkeys(one for name in ("in-reply-to", "references") for one in headers.message_ids(top.first(name)))
        ),
        recipients=recipients[: headers.MAX_ADDRESSES],
        delivered_to=delivered,
        spoke_at=_spoke_at(top, border_hosts, received_at),
        claimed_at=headers.time_of(top.first("date")) if "date" in top else None,
        language=(tags.told(top.first("content-language")) or ("",))[0],
        automatic=tuple(dict.fromkeys(name for name, _ in top.fields if kinds.is_automatic_sign(name))),
        faults=tuple(dict.fromkeys(faults)),
    )


def glance(raw: bytes) -> tuple[str, str]:
    """Read only who a mail says it is from, and its subject: two clean lines, perhaps empty. Raises nothing."""
    start = raw[:_GLANCED_BYTES]
    end, _body = headers.end_of_headers(start, 0, len(start))
    top = headers.parse(start, 0, end)
    return top.text("from"), top.text("subject")


def as_message(mail: Mail, *, source: str, external_id: str) -> Message:
    """Translate a read mail into the shape every door uses.

    source: which mailbox, e.g. "mail:support@shop.example"; external_id: dedupe key within it (uidvalidity and uid, or
    a hash).
    """
    return Message(
        channel=Channel.EMAIL,
        source=source,
        external_id=external_id,
        sender_kind="email",
        sender_address=mail.customer or "",
        sender_name=mail.customer_name,
        subject=mail.subject,
        text=mail.text,
        full_text=mail.full_text,
        html=mail.html,
        spoke_at=mail.spoke_at,
        attachments=mail.attachments,
        in_reply_to=mail.in_reply_to,
        message_id=mail.message_id,
        language=mail.language,
        recipients=mail.recipients,
        is_vouched=mail.is_authenticated,
    )


def _who(top: headers.Headers, own_addresses: frozenset[str]) -> tuple[Address | None, Address | None, list[str]]:
    """Whom From names, who the customer is, and what is odd about it."""
    faults: list[str] = []
    written = top.every("from")
    named = [one for value in written[:10] for one in headers.addresses(value, limit=10)]
    if len(written) > 1 or len({one.address for one in named}) > 1:
        faults.append("several_senders")  # M14: DMARC judges one of them, we must not trust another
    if not named:
        return None, None, [*faults, "no_sender"]
    sender = named[0]
    if len({one.address for one in named}) > 1:
        responsible = {one.address for one in headers.addresses(top.first("sender"), limit=1)}
        sender = next((one for one in named if one.address in responsible), sender)
    if any("@" in one.name and one.address not in one.name.lower() for one in named):
        faults.append("name_shows_other_address")
    if (
        sender.address.rpartition("@")[2].startswith("xn--")
        or ".xn--" in sender.address
        or (not sender.name.isascii() and _mixes_scripts(sender.name))
    ):
        faults.append("look_alike")
    if sender.address not in own_addresses:
        return sender, sender, faults
    for name in ("x-original-sender", "x-original-from", "reply-to"):
        for one in headers.addresses(top.first(name), limit=5):
            if one.address not in own_addresses:
                return sender, Address(one.address, one.name or sender.name), faults
    return sender, sender, faults


def _mixes_scripts(name: str) -> bool:
    """Latin letters in one word with Cyrillic or Greek ones, as in a forged "Раypal"."""
    latin = {word for word in name.split() if any("a" <= letter.lower() <= "z" for letter in word)}
    return any("\u0370" <= letter <= "\u04ff" for word in latin for letter in word)


def _is_authenticated(top: headers.Headers, border_hosts: frozenset[str]) -> bool:
    """DMARC pass as our own border states it, read after RFC 8601.

    A second header in our border's name is a forgery, and then nothing is believed (M13). Quoted strings and comments
    are taken out first: the sender's own words can stand in them.
    """
    ours: list[list[str]] = []
    for value in top.every("authentication-results"):
        server, *results = _QUOTED_OR_COMMENT.sub(" ", value.lower()).split(";")
        if (server.split() or [""])[0].rstrip(".") in border_hosts:
            ours.append([word for result in results for word in result.split()[:1]])
    return len(ours) == 1 and [word for word in ours[0] if word.startswith("dmarc=")] == ["dmarc=pass"]


def _spoke_at(top: headers.Headers, border_hosts: frozenset[str], received_at: datetime | None) -> datetime | None:
    for value in top.every("received")[:50] if border_hosts else []:
        host, at = headers.received(value)
        if host in border_hosts and at is not None:
            return received_at if received_at is not None and at > received_at + _CLOCKS_APART else at
    return received_at
