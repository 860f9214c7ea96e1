"""What the fuzzer spoils: real mails of the outside data where they are, and mails from a grammar of hostile constructs."""

from __future__ import annotations

import base64
import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MAX_SEED_BYTES = 20_000  # a longer mail is cut: it would only make the run slower

_LOOKS_LIKE_A_MAIL = re.compile(r"\A\s*(?:from|date|received|return-path|mime-version|subject)\s*:", re.IGNORECASE)
ORDINARY = (
    b"Return-Path: <ann@x.example>\r\nReceived: from x.example by mx.shop.example; Mon, 2 Mar 2026 12:00:00 +0000\r\n"
    b"From: =?utf-8?q?Ann_L=C3=A9e?= <ann@x.example>\r\nTo: Shop <support@shop.example>, bob@y.example\r\n"
    b"Subject: =?utf-8?b?TGFtcGUga2FwdXR0IPCfmKE=?=\r\nDate: Mon, 2 Mar 2026 11:59:00 +0000\r\n"
    b"Message-ID: <1.2@x.example>\r\nIn-Reply-To: <a@shop.example>\r\nReferences: <a@shop.example> <b@shop.example>\r\n"
    b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="out"\r\n\r\npreamble\r\n--out\r\n'
    b'Content-Type: multipart/alternative; boundary="in"\r\n\r\n--in\r\nContent-Type: text/plain; charset=utf-8\r\n'
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\nThe lamp broke. Caf=C3=A9 =\r\nclosed.\r\n\r\n"
    b"On Mon, 2 Mar 2026 at 10:15, Shop <support@shop.example> wrote:\r\n> Which lamp?\r\n-- \r\nAnn\r\n--in\r\n"
    b"Content-Type: text/html; charset=iso-8859-1\r\n\r\n<p>The lamp broke. Caf\xe9 closed.<blockquote>Which lamp?\r\n"
    b"--in--\r\n--out\r\nContent-Type: image/png; name*0*=utf-8''f%C3%BC; name*1=\"r.png\"\r\n"
    b"Content-Disposition: attachment;\r\n filename*=utf-8''f%C3%BCr.png\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    b"iVBORw0KGgoAAAANSUhEUg==\r\n--out--\r\nepilogue\r\n"
)


def real(folder: Path | None) -> list[bytes]:
    """Every real mail of the outside data, its texts as mails, and the mails inside its webhooks; at least one mail."""
    found = [ORDINARY]
    if folder is not None:
        found += [file.read_bytes() for file in sorted((folder / "mail").rglob("*.eml"))]
        for file in sorted((folder / "mail" / "email_reply_trimmer" / "emails").glob("*.txt")):
            found.append(
                b"From: Ann <ann@x.example>\nTo: support@shop.example\nSubject: Re: Lamp\n\n" + file.read_bytes()
            )
        for file in sorted((folder / "webhooks").rglob("*.json*")):
            for line in file.read_text("utf-8").splitlines() if file.suffix == ".jsonl" else [file.read_text("utf-8")]:
                found += _mails_in(json.loads(line))
        found += [file.read_bytes() for file in sorted((folder / "webhooks").rglob("*.txt"))]
    return [raw[:MAX_SEED_BYTES] for raw in dict.fromkeys(found)]


def _mails_in(given: Any) -> Iterator[bytes]:
    if isinstance(given, dict | list):
        for inner in given.values() if isinstance(given, dict) else given:
            yield from _mails_in(inner)
    elif isinstance(given, str) and len(given) > 100:
        if _LOOKS_LIKE_A_MAIL.match(given):
            yield given.encode("utf-8", "surrogateescape")
        elif given.lstrip().startswith("{"):
            try:
                yield from _mails_in(json.loads(given))
            except ValueError:
                # A notice that is not JSON after all is what such a mail's body looks like.
                yield b"From: notice@x.example\nSubject: Notice\n\n" + given.encode("utf-8", "replace")
        else:
            try:
                plain = base64.b64decode(given, validate=True).decode("utf-8", "strict")
            except ValueError:
                return
            if _LOOKS_LIKE_A_MAIL.match(plain):
                yield plain.encode()


# --- a grammar of what breaks programs that read mail -----------------------------------------------------------------


def _times(chance: random.Random, *some: int) -> int:
    """One of a few sizes, the larger the rarer: most of a run's time would go into the large ones."""
    return some[min(int(chance.expovariate(1.2)), len(some) - 1)]


WORDS = (
    b"ann@x.example", b"<ann@x.example>", b"Ann", b'"Ann \\" Lee"', b"(a (nested) comment", b",", b";", b":", b"<", b">",
    b"@", b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"=?utf-8?q?=ED=A0=80?=", b"=?utf-8?b?4pi?=", b"=?", b"?=", b"=?x?q?",
    b"=?utf-8?B?" + b"A" * 900 + b"?=", b"=?iso-2022-jp?b?GyRCJEQ?=", b"=?unknown-8bit?q?=FF?=", b"=?utf-7?q?+2AD-?=",
    b"undisclosed-recipients:;", b"group: a@x.example, b@x.example;", b"[<1@x.example>]", b"<[1@x.example]>",
    b"xn--80ak6aa92e.com", "Раypal <ann@x.example>".encode(), "\u202egnp.exe".encode(), b"\r", b"\x1b[2J", b"\t\t",
    b"..", b"a" * 300 + b"@x.example", b"mailto:ann@x.example", b"@relay,@b:ann@x.example", "ann@bücher.example".encode(),
    b"<>", b"<@>", b'""@x.example', b"postmaster", b"MAILER-DAEMON@x.example", b"%s%n", b"{{7*7}}", b"\x7f" * 20,
)  # fmt: skip
NAMES = (
    b"From", b"To", b"Cc", b"Subject", b"Date", b"Message-ID", b"In-Reply-To", b"References", b"Reply-To", b"Sender",
    b"Received", b"Return-Path", b"Authentication-Results", b"Content-Type", b"Content-Disposition",
    b"Content-Transfer-Encoding", b"Auto-Submitted", b"X-Failed-Recipients", b"List-Id", b"Delivered-To", b"MIME-Version",
    b"X-Original-Sender", b"Content-ID", b"X-Spam-Flag",
)  # fmt: skip
CHARSETS = (
    b"utf-8", b"us-ascii", b"iso-8859-1", b"utf-7", b"utf-16", b"utf-32", b"iso-2022-jp", b"iso-2022-kr", b"hz", b"big5",
    b"gb2312", b"koi8-r", b"punycode", b"idna", b"unicode_escape", b"raw_unicode_escape", b"base64", b"hex", b"zlib", b"rot13",
    b"bz2", b"undefined", b"mbcs", b"x-unknown", b"\x00", b"utf-8''", b"../../etc/passwd", b"\xff", b"", b"a" * 1_000,
    b"cp-850", b"utf_8_sig", b"uu", b"quopri", b"palmos", b"cp65001",
)  # fmt: skip
ENCODINGS = (
    b"base64",
    b"quoted-printable",
    b"7bit",
    b"8bit",
    b"binary",
    b"x-uuencode",
    b"BASE64 ",
    b'"base64"',
    b"\xff",
    b"",
)
TYPES = (
    b"text/plain", b"text/html", b"multipart/mixed", b"multipart/alternative", b"multipart/report", b"multipart/digest",
    b"message/rfc822", b"message/delivery-status", b"message/feedback-report", b"message/partial", b"message/external-body",
    b"application/pdf", b"application/ms-tnef", b"image/svg+xml", b"text/calendar", b"text", b"/", b"text/", b"multipart/",
    b"message/disposition-notification", b"multipart/signed", b"application/octet-stream",
)  # fmt: skip


def _value(chance: random.Random) -> bytes:
    return chance.choice((b" ", b"", b", ", b"\r\n ", b"\n\t")).join(chance.choices(WORDS, k=chance.randrange(1, 8)))


def _type(chance: random.Random) -> bytes:
    value = chance.choice(TYPES)
    for _ in range(chance.randrange(4)):
        value += chance.choice((b"; ", b";", b";\r\n\t", b" ;; ")) + chance.choice(PARAMETERS)(chance)
    return value


PARAMETERS: tuple[Callable[[random.Random], bytes], ...] = (
    lambda chance: b"charset=" + chance.choice(CHARSETS),
    lambda chance: b'charset="' + chance.choice(CHARSETS),
    lambda chance: b'boundary="b%d"' % chance.randrange(3),
    lambda _chance: b"boundary=",
    lambda _chance: b'boundary="' + b"-" * 300 + b'"',
    lambda chance: b"x" * 64 + b"*%d*=" % chance.randrange(99) + b"%41" * 64,  # cpython issue 138223
    lambda chance: b"".join(b"%s*%d*=utf-8''%%FF;" % (b"n" * 64, n) for n in range(_times(chance, 1, 20, 400))),
    lambda _chance: b"name*=utf-8'en'%ED%A0%80%00",
    lambda _chance: b"name*1*=b; name*0*=nonsense'x'%zz; name*=c",
    lambda _chance: b"filename*99999999999999999999=x",
    lambda _chance: "name*٣=x".encode(),
    lambda _chance: b'name="' + b'\\"' * 200,
    lambda _chance: b"format=flowed; delsp=yes",
    lambda _chance: b"report-type=delivery-status",
    lambda _chance: b'filename="../../\x00.exe"',
)


def _header(chance: random.Random) -> bytes:
    name = chance.choice(NAMES)
    if name == b"Content-Type":
        value = _type(chance)
    elif name == b"Content-Transfer-Encoding":
        value = chance.choice(ENCODINGS)
    elif name == b"Date" and chance.random() < 0.7:
        value = chance.choice(
            (
                b"Mon, 99 Foo 99999 25:61:61 +9999",
                b"0",
                b"-1",
                b"Mon, 2 Mar 2026 12:00:00 -0000 (x",
                b"1 Jan 1 00:00 +2400",
            )
        )
    else:
        value = _value(chance)
    return name + chance.choice((b": ", b":", b" : ", b"\t:", b":\r\n ")) + value


HEADERS: tuple[Callable[[random.Random], bytes], ...] = (
    _header,
    _header,
    _header,
    _header,
    lambda chance: b"Content-Type: " + _type(chance),
    lambda chance: b"Cc: " + b", ".join(b"c%d@y.example" % n for n in range(_times(chance, 3, 200, 5_000))),
    lambda chance: b"Cc: " + b"(" * _times(chance, 3, 600, 20_000),
    lambda chance: b"To: " + b'"' * _times(chance, 3, 601, 20_001),
    lambda chance: b"From: " + b"<" * _times(chance, 3, 600, 20_000) + b"ann@x.example",
    lambda chance: b"References: " + b" ".join(b"<%d@x.example>" % n for n in range(_times(chance, 3, 300, 5_000))),
    lambda chance: b"Subject: " + b"=?utf-8?q?=41?= " * _times(chance, 3, 300, 3_000),
    lambda chance: b"Subject: " + b"=?utf-8?b?" * _times(chance, 3, 300, 3_000),
    lambda chance: b"Subject:" + b" \r\n" * _times(chance, 3, 300, 9_000) + b" x",
    lambda chance: b"X-Long: " + b"y" * _times(chance, 1_000, 40_000, 300_000),
    lambda chance: b"\r\n".join(b"X-%d: y" % n for n in range(_times(chance, 10, 300, 3_000))),
    lambda chance: b"Received: from " + b"a(" * _times(chance, 9, 3_000) + b" by mx.shop.example; x",
    lambda _chance: b"Authentication-Results: mx.shop.example; dmarc=pass; " + b'"(' * 2_000,
    lambda _chance: b"~~~ !!",
    lambda _chance: b": nameless",
    lambda _chance: b"N\xc3\xa4me: x",
    lambda _chance: b"Message-ID: <[weird]@[127.0.0.1]>",  # cpython issue 105802
)
BODIES: tuple[Callable[[random.Random], bytes], ...] = (
    lambda _chance: b"The lamp broke.",
    lambda chance: bytes(chance.randrange(256) for _ in range(chance.randrange(1, 400))),
    lambda chance: b"".join(chance.choices(WORDS, k=60)),
    lambda chance: b"<div>" * _times(chance, 5, 500, 9_000) + b"The lamp broke.",
    lambda chance: b"<p>x<blockquote>" * _times(chance, 5, 500, 5_000) + b"</blockquote>",
    lambda chance: b"<!--" * _times(chance, 5, 500, 9_000) + b"The lamp broke.",
    lambda chance: b"<style>" * _times(chance, 5, 500, 9_000) + b"The lamp broke.",
    lambda chance: b"<a b='" * _times(chance, 5, 500, 9_000),
    lambda chance: b"&#x110000;&#55296;&#0;&amp" * _times(chance, 5, 500, 3_000),
    lambda chance: b"> " * _times(chance, 5, 500, 20_000) + b"x",
    lambda chance: b"> a\n\nb\n" * _times(chance, 5, 500, 5_000),
    lambda chance: b"On Mon, 2 Mar 2026 at 10:15, Bob <b@y.example> wrote:\n" * _times(chance, 1, 50, 2_000),
    lambda chance: b"wrote <" * _times(chance, 5, 500, 20_000),
    lambda chance: b"-----Original Message-----\nFrom: a\nSent: b\nTo: c\nSubject: d\n" * _times(chance, 1, 50, 900),
    lambda chance: b"_" * _times(chance, 5, 500, 50_000),
    lambda chance: b"TGFtcGU" * _times(chance, 1, 50, 5_000) + chance.choice((b"", b"=", b"===", b"\x00", b"!")),
    lambda chance: b"=C3=A9=\r\n=ZZ=" * _times(chance, 1, 50, 3_000),
    lambda chance: b'{"notificationType":"Bounce","bouncedRecipients":' + b"[" * _times(chance, 1, 900, 40_000),
    lambda _chance: (
        b'{"Message": "{\\"eventType\\": [1], \\"Recipient\\": null}", "bounce": {"bouncedRecipients": [7]}}'
    ),
    lambda _chance: b"Final-Recipient: rfc822;\nAction: \nStatus: 5.\nFinal-Recipient: ;;@\n" * 20,
    lambda chance: b"550 5.1.1 user unknown <" + b"a" * _times(chance, 5, 500, 50_000) + b"@x.example>",
    lambda chance: b"received: from x\n" * _times(chance, 2, 500, 5_000),
    lambda chance: b"begin 644 a.txt\n" + b"M" * _times(chance, 5, 5_000),
    lambda chance: "\u0130\u1e9e\ufb03\u202e".encode() * _times(chance, 5, 500, 9_000),
    lambda _chance: "The lamp broke. \U0001f621".encode("utf-16"),
    lambda _chance: b"",
)


def _parts(chance: random.Random, depth: int = 0) -> bytes:
    boundary = b"b%d" % chance.randrange(3)
    kind = chance.choice((b"mixed", b"alternative", b"related", b"report", b"digest", b"signed"))
    whole = b"Content-Type: multipart/" + kind + b'; boundary="' + boundary + b'"\r\n\r\n'
    for _ in range(_times(chance, 1, 2, 3, 4)):
        whole += b"--" + boundary + b"\r\n"
        if depth < 4 and chance.random() < 0.3:
            whole += _parts(chance, depth + 1)
        else:
            whole += b"".join(chance.choice(HEADERS)(chance) + b"\r\n" for _ in range(chance.randrange(4)))
            whole += b"\r\n" + chance.choice(BODIES)(chance)
        whole += b"\r\n"
    return whole + chance.choice((b"--" + boundary + b"--\r\n", b"", b"--" + boundary, b"--b"))


def _nested(chance: random.Random) -> bytes:
    depth = _times(chance, 3, 19, 20, 21, 22, 400, 3_000)
    return b"".join(b'Content-Type: multipart/mixed; boundary="n%d"\n\n--n%d\n' % (n, n) for n in range(depth)) + b"\nx"


def from_grammar(chance: random.Random) -> bytes:
    """A mail made of hostile constructs alone; mostly with a sender, so that it is read to its end."""
    head = [chance.choice(HEADERS)(chance) for _ in range(chance.randrange(1, 8))]
    if chance.random() < 0.8:
        head.insert(0, b"From: Ann <ann@x.example>")
    start = chance.choice((b"\r\n", b"\n")).join(head) + b"\r\n"
    kind = chance.random()
    if kind < 0.5:
        return start + b"\r\n" + chance.choice(BODIES)(chance)
    return start + (_parts(chance) if kind < 0.95 else _nested(chance))
