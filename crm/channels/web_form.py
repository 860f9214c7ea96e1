"""The web form: what a visitor's browser sends, told apart from what a program sends. Pure; the page is crm/pages.py."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from email.message import EmailMessage
from typing import Final
from urllib.parse import urlsplit

from crm.channels import Channel, Message, Part
from crm.channels.email import files

SOURCE: Final = "form"
"""Where messages of the house's own contact page are from; those of a form are from "form:<its public id>"."""
MOST_BYTES: Final = files.MAX_ATTACHED_BYTES + 3 * 1024 * 1024
"""Of one post: what the files of one message may have together, and words around them."""
_HOST: Final = re.compile(r"(?:\*\.)?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What somebody sent by a form. email, phone: at least one, as typed. language: the one they read the page in.

    key: the page's own, which makes two presses one message; "" where another site's page sent it.
    """

    source: str
    key: str
    email: str
    phone: str
    name: str
    subject: str
    text: str
    language: str
    files: tuple[Part, ...] = ()


def as_message(sent: Sent, *, external_id: str) -> Message:
    """Translate. A phone number beside an e-mail address stands below the words, where a colleague reads it."""
    text = sent.text
    if sent.email.strip() and sent.phone.strip():
        text = f"{text}\n\n☎ {sent.phone.strip()}"
    return Message(
        channel=Channel.WEB_FORM,
        source=sent.source,
        external_id=external_id,
        sender_kind="email" if sent.email.strip() else "phone",
        sender_address=sent.email if sent.email.strip() else sent.phone,
        sender_name=sent.name,
        subject=sent.subject,
        text=text,
        full_text=text,
        language=sent.language,
        attachments=sent.files,
    )


def judged(given: Sequence[tuple[str, str, bytes]]) -> tuple[Part, ...]:
    """Judge files as those of a mail are. given: name as sent, type as sent, and bytes of each, in order."""
    parts: list[Part] = []
    for number, (name, declared, content) in enumerate(given, start=1):
        kept = [part for part in parts if part.state != "refused"]
        parts.append(
            files.part(
                given_name=name,
                declared=declared,
                content=content,
                number=number,
                kept=len(kept),
                kept_bytes=sum(part.size for part in kept),
            )
        )
    return tuple(parts)


def words_key(sent: Sent, *, on: date) -> str:
    """The dedupe key of a message that brought none: the same words with the same files on one day (UTC) are one message."""
    digest = hashlib.sha256()
    address = (sent.email or sent.phone).strip().lower()
    for word in (address, sent.name, sent.subject, sent.text, on.isoformat()):
        digest.update(hashlib.sha256(word.encode("utf-8", "replace")).digest())
    for part in sent.files:
        digest.update(hashlib.sha256(part.content).digest())
    return f"words:{digest.hexdigest()}"


def as_mail(sent: Sent, *, own_address: str) -> bytes:
    """Write what was sent as the bytes of a mail, so that whoever looks through mail set aside reads it there as well.

    Files are only named: what a program pours in must not fill the disk (W07).
    """
    mail = EmailMessage()
    mail["From"] = _header(sent.email).encode("ascii", "ignore").decode() or "nobody@invalid.invalid"
    mail["To"] = _header(own_address)
    mail["Subject"] = _header(sent.subject) or "-"
    named = [f"[{part.name}, {part.size:,} bytes]" for part in sent.files]
    who = [line for line in (sent.name.strip(), sent.phone.strip()) if line]
    mail.set_content("\n".join([sent.text, "", *who, *named]), charset="utf-8")
    return mail.as_bytes()


def _header(value: str) -> str:
    line = " ".join(value.split())
    return "".join(letter for letter in line if letter.isprintable())[:300]


def network_digest(network: str, *, on: date, secret: str) -> str:
    """What a network is counted under: nobody without our key can tell which it was, and each day it is another word."""
    return hmac.new(secret.encode(), f"form network {on.isoformat()} {network}".encode(), hashlib.sha256).hexdigest()[
        :32
    ]


def question(key: str, *, secret: str) -> tuple[int, int]:
    """Two numbers from 1 to 9 to be added up; they follow from the page's key, so that nothing is kept about a visitor."""
    digest = hmac.new(secret.encode(), f"form question {key}".encode(), hashlib.sha256).digest()
    return digest[0] % 9 + 1, digest[1] % 9 + 1


def is_right(answer: str, numbers: tuple[int, int]) -> bool:
    """Whether somebody added up rightly; digits of any script count."""
    answer = answer.strip().rstrip(".")
    return answer.isdecimal() and len(answer) < 6 and int(answer) == sum(numbers)


def origin(given: str) -> str:
    """One site that may show a form, as browsers write it: scheme, host and port. "" for what is none.

    “https://*.shop.example” stands for all hosts below; http only for a machine of one's own.
    """
    given = given.strip().lower().rstrip("/")
    try:
        parts = urlsplit(given)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    is_local = host in ("localhost", "127.0.0.1")
    if parts.scheme not in ("https", "http") or (parts.scheme == "http" and not is_local):
        return ""
    if parts.path or parts.query or parts.fragment or "@" in parts.netloc or not _HOST.fullmatch(host):
        return ""
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")


def is_from(sender: str, allowed: Sequence[str]) -> bool:
    """Whether a browser's Origin header names one of the allowed sites."""
    sender = sender.strip().lower()
    for one in allowed:
        scheme, _mark, host = one.partition("://")
        if sender == one or (
            host.startswith("*.") and sender.startswith(f"{scheme}://") and sender.endswith(host[1:]) and sender != one
        ):
            return True
    return False
