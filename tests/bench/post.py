"""Mails as people write them, for measuring: seven in ten begin something new, three in ten answer to a reply address.

Sizes, encodings and headers are those of common mail programs (2–20 KB, plain or with an HTML page, quoted-printable,
base64 or 8 bit, three Received lines, a signature of the sending domain, our border's own word). The same seed makes the
same mails, but for the numbers in them.
"""

from __future__ import annotations

import base64
import random
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import format_datetime
from quopri import encodestring

from django.utils import timezone

BORDER = "mx.evenhand.example"
"""Our own receiving server; EVENHAND_BORDER_HOSTS while mails are measured."""
SENTENCE = (
    "lamp order parcel blue broken yesterday delivery number please table switch light warm colour return money week "
    "neighbour package corner shade cable bulb Müller café señor straße kitchen living room friendly regards thanks "
    "could you tell me when it arrives because we are away from Monday and nobody would be at home to take it"
)
WORDS = tuple(re.findall(r"\w+", SENTENCE))
STYLE = "font-family:Calibri,Arial,sans-serif;font-size:11pt;color:#222222;margin:0cm 0cm 8pt"


@dataclass(frozen=True, slots=True)
class Matter:
    """A matter that a mail may answer in: its customer's address, the reply address we gave, the id of what we wrote.

    ticket: what the peer puts into the subject, "[support-17]"; empty for the product.
    """

    address: str
    reply_address: str
    message_id: str
    ticket: str = ""


def mails(*, seed: str, known: Iterator[str], matters: Iterator[Matter], by_headers: bool = False) -> Iterator[bytes]:
    """Write mails without end: of seven new ones every other from a `known` address, three answers in `matters`.

    by_headers: answers come to our usual address and say only by their headers what they answer.
    """
    chosen = random.Random(seed)
    number = 0
    while True:
        kinds = ["new"] * 7 + ["answer"] * 3
        chosen.shuffle(kinds)
        for kind in kinds:
            number += 1
            if kind == "answer":
                yield answer(next(matters), chosen, mark=f"{seed}-{number}", by_headers=by_headers)
            else:
                sender = next(known) if chosen.random() < 0.5 else f"{seed}.new{number}@home.example"
                yield _mail(
                    chosen, sender=sender, to="support@evenhand.example", subject=f"Order {chosen.randrange(10**6)}",
                    mark=f"{seed}-{number}", quoted="", answers="",
                )  # fmt: skip


def answer(matter: Matter, chosen: random.Random, *, mark: str, by_headers: bool = False) -> bytes:
    """One answer to a mail of ours, with what we wrote quoted below."""
    quoted = "\n".join(f"> {line}" for line in _lines(chosen, 600))
    return _mail(
        chosen, sender=matter.address, to="support@evenhand.example" if by_headers else matter.reply_address,
        subject=" ".join(filter(None, ("Re:", matter.ticket, "Your order"))), mark=mark, answers=matter.message_id,
        quoted=f"\n\nOn Tue, 3 Nov 2026 at 10:12, Evenhand Demo Shop <support@evenhand.example> wrote:\n\n{quoted}\n",
    )  # fmt: skip


def _lines(chosen: random.Random, size: int) -> list[str]:
    said: list[str] = []
    length = 0
    while length < size:
        sentence = " ".join(chosen.choices(WORDS, k=chosen.randrange(6, 16))).capitalize() + "."
        length += len(sentence) + 1
        said.append(sentence)
    return textwrap.wrap(" ".join(said), 76)


def _mail(
    chosen: random.Random, *, sender: str, to: str, subject: str, mark: str, quoted: str, answers: str
) -> bytes:  # fmt: skip
    size = int(chosen.triangular(300, 6000, 900))
    text = "Hello,\n\n" + "\n".join(_lines(chosen, size)) + "\n\nKind regards\nCarla Muster\n" + quoted
    host = sender.rpartition("@")[2]
    now = format_datetime(timezone.now())
    signature = base64.b64encode(chosen.randbytes(256)).decode()
    head = [
        f"Return-Path: <{sender}>",
        f"Delivered-To: {to}",
        f"Authentication-Results: {BORDER}; dkim=pass header.d={host}; spf=pass smtp.mailfrom={sender};",
        f" dmarc=pass (p=NONE) header.from={host}",
        f"Received: from out.{host} (out.{host} [192.0.2.7])",
        f" by {BORDER} (Postfix) with ESMTPS id {chosen.getrandbits(40):010X}",
        f" for <{to}>; {now}",
        f"Received: from relay.{host} ([10.0.0.12]) by out.{host} with ESMTPSA id {chosen.getrandbits(40):x}; {now}",
        f"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d={host}; s=sel1; h=from:to:subject:date;",
        *(f"\t{part}" for part in textwrap.wrap(f"b={signature}", 70)),
        f"Date: {now}",
        f"From: {_display_name(chosen)} <{sender}>",
        f"To: Evenhand Demo Shop <{to}>",
        f"Message-ID: <{mark}.{chosen.getrandbits(32):x}@{host}>",
        *([f"In-Reply-To: <{answers}>", f"References: <{answers}>"] if answers else []),
        f"Subject: {subject}",
        "User-Agent: Mozilla Thunderbird",
        "MIME-Version: 1.0",
    ]
    if chosen.random() < 0.4:
        return _bytes([*head, *_part("text/plain", text, chosen)])
    boundary = f"------------{chosen.getrandbits(64):016x}"
    page = (
        "<html><head><meta http-equiv='content-type' content='text/html; charset=UTF-8'><style>p{margin:0}</style></head><body>"
        + "".join(f'<p style="{STYLE}">{line}</p>\n' for line in text.splitlines())
        + "</body></html>\n"
    )
    return _bytes(
        [
            *(
                *head,
                f'Content-Type: multipart/alternative; boundary="{boundary}"',
                "",
                "This is a multi-part message.",
            ),
            *(f"--{boundary}", *_part("text/plain", text, chosen)),
            *(f"--{boundary}", *_part("text/html", page, chosen), f"--{boundary}--", ""),
        ]
    )


def _display_name(chosen: random.Random) -> str:
    return chosen.choice(
        ["Carla Muster", '"Muster, Carla"', "=?UTF-8?Q?Carla_M=C3=BCller?=", "=?utf-8?b?SsO8cmdlbg==?="]
    )


def _part(kind: str, text: str, chosen: random.Random) -> list[str]:
    way = chosen.choice(["quoted-printable", "quoted-printable", "base64", "8bit"])
    content = text.encode()
    if way == "quoted-printable":
        content = encodestring(content)
    elif way == "base64":
        content = base64.encodebytes(content)
    return [
        f"Content-Type: {kind}; charset=UTF-8" + ("; format=flowed" if kind == "text/plain" else ""),
        f"Content-Transfer-Encoding: {way}",
        "",
        content.decode(),
    ]


def _bytes(lines: list[str]) -> bytes:
    return "\r\n".join("\n".join(lines).splitlines()).encode() + b"\r\n"
