"""Mail that a provider takes in for us, as bytes: the mail itself where the post holds it, else written by us from its fields.

Nothing that a stranger wrote is parsed before it is kept, and nothing here touches the network; what a post only names, the
caller fetches.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from crm.channels.email.writing import File, written_mail
from crm.channels.esp import one_line


@dataclass(frozen=True, slots=True)
class InboundMail:
    """One mail that a provider took in for us. content: RFC 5322 bytes; external_id: tells it from any other.

    envelope_to, envelope_from: "" where the provider does not say. has_null_sender: it says that nobody can be answered ("<>").
    spam_score: the provider's opinion, a fact to look at; is_spam: what it makes of that.
    """

    provider: str
    content: bytes
    external_id: str
    envelope_from: str = ""
    envelope_to: str = ""
    has_null_sender: bool = False
    event_at: datetime | None = None
    spam_score: float | None = None
    is_spam: bool | None = None


@dataclass(frozen=True, slots=True)
class Post:
    """What a provider posted. document: its JSON, None for a form; fields and files: those of a form; header: of the request."""

    document: Any = None
    fields: Mapping[str, str] = field(default_factory=dict)
    raw_fields: Mapping[str, bytes] = field(default_factory=dict)
    files: Mapping[str, File] = field(default_factory=dict)
    event_id: str = ""


Fetch = Callable[[Mapping[str, Any]], Any]
"""Gets what a post only names: the bytes of a mail, or the (content, type) of one of its files."""


def inbound(post: Post, *, provider: str, fetch: Fetch) -> list[InboundMail]:
    """Read the mails of one post. Raises KeyError, TypeError, ValueError, AttributeError, IndexError or LookupError when it is
    none of this provider's, and whatever `fetch` raises."""
    return [_identified(mail) for mail in _INBOUND[provider](post, fetch)]


def takes_mail_in(provider: str) -> bool:
    """Whether this provider can take mail in for us."""
    return provider in _INBOUND


def _identified(mail: InboundMail) -> InboundMail:
    if mail.external_id:
        return mail
    digest = hashlib.sha256(mail.envelope_to.encode("utf-8", "replace") + b"\n" + mail.content).hexdigest()
    return replace(mail, external_id=digest)


def _mail(provider: str, content: bytes, **facts: Any) -> InboundMail:
    return InboundMail(
        provider=provider,
        content=content,
        external_id=one_line(facts.get("id"), 200),
        envelope_from=one_line(facts.get("sender"), 320).strip("<>"),
        envelope_to=one_line(facts.get("recipient"), 320).strip("<>"),
        has_null_sender=one_line(facts.get("sender"), 320).strip() == "<>",
        event_at=facts.get("at"),
        spam_score=_number(facts.get("score")),
        is_spam=facts.get("is_spam"),
    )


def _number(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if abs(number) < 1e6 else None


def _moment(value: object) -> datetime | None:
    """A time as providers write it: seconds since 1970, or ISO 8601."""
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, tz=UTC)
        moment = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.tzinfo else None


def _bytes_of(text: str | bytes, *, is_base64: bool = False) -> bytes:
    content = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    return base64.b64decode(content) if is_base64 else content


def _is_yes(value: object) -> bool:
    return str(value or "").strip().lower().startswith("yes")


def _header(headers: Iterable[tuple[str, str]], wanted: str) -> str | None:
    return next((str(value) for name, value in headers if str(name).lower() == wanted), None)


def _flat(headers: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Headers as providers write them in an object: one text, or a list for a name that stands there several times."""
    return [
        (name, str(value))
        for name, values in headers.items()
        for value in (values if isinstance(values, list) else [values])
    ]


def _amazon_ses(post: Post, fetch: Fetch) -> list[InboundMail]:
    if post.document["Type"] != "Notification":
        return []
    told = json.loads(post.document["Message"])
    if told.get("notificationType") != "Received":
        raise ValueError("no mail that was taken in")
    receipt, mail = told.get("receipt", {}), told.get("mail", {})
    action = receipt.get("action", {})
    if action["type"] == "S3":
        content = fetch({"bucket": action["bucketName"], "object": action["objectKey"]})
    else:
        content = _bytes_of(told["content"], is_base64=action.get("encoding") == "BASE64")
    verdict = receipt.get("spamVerdict", {}).get("status")
    return [
        _mail(
            "amazon_ses",
            content,
            id=mail.get("messageId"),
            sender=mail.get("source"),
            recipient=next(iter(receipt.get("recipients") or []), ""),
            at=_moment(mail.get("timestamp")),
            is_spam={"PASS": False, "FAIL": True}.get(verdict),
        )
    ]


def _brevo(post: Post, fetch: Fetch) -> list[InboundMail]:
    mails = []
    for told in post.document["items"]:
        headers = _flat(told.get("Headers") or {})
        files = []
        for one in told.get("Attachments") or []:
            content, content_type = fetch({"token": one["DownloadToken"]})
            files.append(
                File(content, content_type or one.get("ContentType", ""), one.get("Name"), one.get("ContentID"))
            )
        mails.append(
            _mail(
                "brevo",
                written_mail(headers, text=told.get("RawTextBody"), html=told.get("RawHtmlBody"), files=files),
                id=next(iter(told.get("Uuid") or []), ""),
                sender=_header(headers, "return-path"),
                recipient=_header(headers, "delivered-to"),
                score=told.get("SpamScore"),
            )
        )
    return mails


def _mailersend(post: Post, fetch: Fetch) -> list[InboundMail]:
    if post.document.get("type") != "inbound.message":
        raise ValueError("no mail that was taken in")
    told = post.document["data"]
    recipients = (told.get("recipients") or {}).get("rcptTo") or [{}]
    return [
        _mail(
            "mailersend",
            _bytes_of(told["raw"]),
            id=told.get("id"),
            sender=(told.get("sender") or {}).get("email"),
            recipient=recipients[0].get("email"),
            at=_moment(told.get("created_at")),
        )
    ]


def _mailgun(post: Post, fetch: Fetch) -> list[InboundMail]:
    fields = post.fields
    if fields.get("event", "inbound") != "inbound":
        raise ValueError("no mail that was taken in")
    if "body-mime" in fields:
        content = post.raw_fields.get("body-mime") or _bytes_of(fields["body-mime"])
        headers: list[tuple[str, str]] = []
    else:
        headers = [(name, value) for name, value in json.loads(fields["message-headers"])]
        inline = {place: cid for cid, place in json.loads(fields.get("content-id-map") or "{}").items()}
        files = [
            File(one.content, one.content_type, one.name, inline.get(place))
            for place, one in sorted(post.files.items())
            if place.startswith("attachment-")
        ]
        content = written_mail(headers, text=fields.get("body-plain"), html=fields.get("body-html"), files=files)
    return [
        _mail(
            "mailgun",
            content,
            id=fields.get("token"),
            sender=fields.get("sender"),
            recipient=fields.get("recipient"),
            at=_moment(int(fields.get("timestamp") or 0)) if fields.get("timestamp") else None,
            score=_header(headers, "x-mailgun-sscore"),
            is_spam=_is_yes(_header(headers, "x-mailgun-sflag")) if headers else None,
        )
    ]


def _mailjet(post: Post, fetch: Fetch) -> list[InboundMail]:
    told = post.document
    headers = _flat(told.get("Headers") or {})
    files = []
    for part in told.get("Parts") or []:
        if "Attachment" in part.get("ContentRef", ""):
            about = _flat(part.get("Headers") or {})
            files.append(
                File.from_headers(
                    _bytes_of(told[part["ContentRef"]], is_base64=True),
                    content_type=_header(about, "content-type"),
                    disposition=_header(about, "content-disposition"),
                    content_id=_header(about, "content-id"),
                )
            )
    return [
        _mail(
            "mailjet",
            written_mail(headers, text=told.get("Text-part"), html=told.get("Html-part"), files=files),
            sender=told.get("Sender"),
            recipient=told["Recipient"],
            score=told.get("SpamAssassinScore"),
        )
    ]


def _mailtrap(post: Post, fetch: Fetch) -> list[InboundMail]:
    mails = []
    for told in post.document.get("events") or []:
        if told["event"].replace(".", "_") != "inbound_message_received":
            raise ValueError("no mail that was taken in")
        box = told.get("inbox_id")
        if box is None or box == 1:  # the provider's own trial of the address
            continue
        content = fetch({"inbox": box, "message": told["message_id"]})
        at = _moment(told["timestamp"] / 1000) if told.get("timestamp") else None
        mails.append(_mail("mailtrap", content, id=f"{box}/{told['message_id']}", at=at))
    return mails


def _mandrill(post: Post, fetch: Fetch) -> list[InboundMail]:
    mails = []
    for told in json.loads(post.fields["mandrill_events"]):
        if told.get("event") != "inbound":
            continue
        message = told["msg"]
        mails.append(
            _mail(
                "mandrill",
                _bytes_of(message["raw_msg"]),
                recipient=message.get("email"),
                at=_moment(told.get("ts")),
                score=(message.get("spam_report") or {}).get("score"),
            )
        )
    return mails


def _postal(post: Post, fetch: Fetch) -> list[InboundMail]:
    told = post.document
    return [
        _mail(
            "postal",
            _bytes_of(told["message"], is_base64=told.get("base64") is True),
            id=told.get("id"),
            sender=told.get("mail_from"),
            recipient=told.get("rcpt_to"),
        )
    ]


def _postmark(post: Post, fetch: Fetch) -> list[InboundMail]:
    told = post.document
    if told.get("RecordType", "Inbound") != "Inbound":
        raise ValueError("no mail that was taken in")
    headers = [(str(one["Name"]), str(one["Value"])) for one in told.get("Headers") or []]
    sender = ""
    # The first one is the envelope's; any other was written by the sender (anymail's finding).
    if headers and headers[0][0].lower() == "return-path":
        sender, headers = headers[0][1], headers[1:]
    if "RawEmail" in told:
        content = _bytes_of(told["RawEmail"])
    else:
        named = [
            ("From", [told["FromFull"]]),
            ("To", told.get("ToFull") or []),
            ("Cc", told.get("CcFull") or []),
        ]
        own = [(name, ", ".join(map(_postmark_address, people))) for name, people in named if people]
        own += [(name, str(told[key])) for name, key in _POSTMARK_FIELDS if told.get(key)]
        files = [
            File(
                _bytes_of(one.get("Content") or one["Data"], is_base64=True),
                one.get("ContentType", ""),
                one.get("Name"),
                one.get("ContentID"),
            )
            for one in told.get("Attachments") or []
        ]
        content = written_mail(
            [*own, *headers], text=told.get("TextBody"), html=told.get("HtmlBody") or None, files=files
        )
    return [
        _mail(
            "postmark",
            content,
            id=told.get("MessageID"),
            sender=sender,
            recipient=told.get("OriginalRecipient"),
            score=_header(headers, "x-spam-score"),
            is_spam=_is_yes(_header(headers, "x-spam-status")),
        )
    ]


_POSTMARK_FIELDS: Final = (("Subject", "Subject"), ("Date", "Date"), ("Reply-To", "ReplyTo"))


def _postmark_address(person: Mapping[str, str]) -> str:
    name, address = person.get("Name", ""), person.get("Email", "")
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{address}>' if name else address


def _resend(post: Post, fetch: Fetch) -> list[InboundMail]:
    told = post.document
    if told.get("type") != "email.received":
        raise ValueError("no mail that was taken in")
    content = fetch({"email": told["data"]["email_id"]})
    return [_mail("resend", content, id=told["data"]["email_id"] or post.event_id, at=_moment(told.get("created_at")))]


def _sendgrid(post: Post, fetch: Fetch) -> list[InboundMail]:
    fields = post.fields
    if "headers" in fields:
        headers = _lines_of(fields["headers"])
        about = json.loads(fields.get("attachment-info") or "{}")
        files = [
            File(one.content, one.content_type, one.name, (about.get(place) or {}).get("content-id"))
            for place, one in sorted(post.files.items())
        ]
        charsets = json.loads(fields.get("charsets") or "{}")
        text, html = (_sendgrid_text(post, name, charsets) for name in ("text", "html"))
        content = written_mail(headers, text=text, html=html, files=files)
    else:
        content = post.raw_fields.get("email") or _bytes_of(fields["email"])
    try:
        envelope = json.loads(fields.get("envelope") or "{}")
    except ValueError:
        envelope = {}
    return [
        _mail(
            "sendgrid",
            content,
            sender=envelope.get("from"),
            recipient=next(iter(envelope.get("to") or []), ""),
            score=fields.get("spam_score"),
        )
    ]


def _sendgrid_text(post: Post, name: str, charsets: Mapping[str, str]) -> str | None:
    raw = post.raw_fields.get(name)
    if raw is None:
        return post.fields.get(name)
    try:
        return raw.decode(charsets.get(name) or "utf-8", "replace")
    except LookupError:
        return raw.decode("utf-8", "replace")


def _lines_of(block: str) -> list[tuple[str, str]]:
    """Header lines, with the folded ones put back together."""
    headers: list[tuple[str, str]] = []
    for line in block.splitlines():
        if line[:1] in (" ", "\t") and headers:
            headers[-1] = (headers[-1][0], f"{headers[-1][1]} {line.strip()}")
        elif ":" in line:
            name, _colon, value = line.partition(":")
            headers.append((name, value.strip()))
    return headers


def _sparkpost(post: Post, fetch: Fetch) -> list[InboundMail]:
    mails = []
    for told in post.document:
        if not told["msys"]:  # the provider tries whether we are there
            continue
        relayed = told["msys"]["relay_message"]
        content = relayed["content"]
        mails.append(
            _mail(
                "sparkpost",
                _bytes_of(content["email_rfc822"], is_base64=bool(content.get("email_rfc822_is_base64"))),
                sender=relayed.get("msg_from"),
                recipient=relayed.get("rcpt_to"),
            )
        )
    return mails


_INBOUND: Final[dict[str, Callable[[Post, Fetch], list[InboundMail]]]] = {
    "amazon_ses": _amazon_ses,
    "brevo": _brevo,
    "mailersend": _mailersend,
    "mailgun": _mailgun,
    "mailjet": _mailjet,
    "mailtrap": _mailtrap,
    "mandrill": _mandrill,
    "postal": _postal,
    "postmark": _postmark,
    "resend": _resend,
    "sendgrid": _sendgrid,
    "sparkpost": _sparkpost,
}
UNREADABLE: Final = (
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    AttributeError,
    AssertionError,
    LookupError,
    ArithmeticError,
    RecursionError,
    binascii.Error,
)
"""What reading a post raises that is not what its provider documents."""
