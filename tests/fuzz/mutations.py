"""Ways to spoil a mail. Each takes chance and a mail, and gives another one; all are bounded."""

from __future__ import annotations

import base64
import random
import re
from collections.abc import Callable, Sequence

from tests.fuzz import seeds

MAX_BYTES = 300_000
_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n")
_LINES = re.compile(rb"(?<=\n)")

Mutation = Callable[[random.Random, bytes], bytes]


def _parted(raw: bytes) -> tuple[bytes, bytes]:
    match = _END_OF_HEADERS.search(raw)
    return (raw[: match.start()], raw[match.end() :]) if match else (raw, b"")


def _span(chance: random.Random, raw: bytes, longest: int) -> tuple[int, int]:
    start = chance.randrange(len(raw) + 1)
    return start, min(len(raw), start + chance.randrange(1, longest))


def change_bytes(chance: random.Random, raw: bytes) -> bytes:
    spoilt = bytearray(raw or b"x")
    for _ in range(chance.choice((1, 1, 4, 30, 200))):
        spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
    return bytes(spoilt)


def change_bytes_of_the_headers(chance: random.Random, raw: bytes) -> bytes:
    head, body = _parted(raw)
    return change_bytes(chance, head) + b"\r\n\r\n" + body


def insert_words(chance: random.Random, raw: bytes) -> bytes:
    for _ in range(chance.randrange(1, 12)):
        at = chance.randrange(len(raw) + 1)
        raw = raw[:at] + chance.choice(seeds.WORDS) + raw[at:]
    return raw


def insert_marks(chance: random.Random, raw: bytes) -> bytes:
    for _ in range(chance.randrange(1, 20)):
        at = chance.randrange(len(raw) + 1)
        mark = chance.choice(
            (b"\x00", b"\r", b"\n", b"\n\n", b"\r\n\r\n", b'"', b"<", b">", b"=?", b"?=", b"--", b";", b"=", b"@")
        )
        raw = raw[:at] + mark + raw[at + chance.randrange(4) :]
    return raw


def cut_end(chance: random.Random, raw: bytes) -> bytes:
    return raw[: chance.randrange(1, len(raw) + 2)]


def cut_out(chance: random.Random, raw: bytes) -> bytes:
    start, end = _span(chance, raw, 2_000)
    return raw[:start] + raw[end:]


def double(chance: random.Random, raw: bytes) -> bytes:
    start, end = _span(chance, raw, chance.choice((20, 200, 2_000)))
    return raw[:start] + raw[start:end] * chance.choice((2, 3, 50)) + raw[end:]


def shuffle_lines(chance: random.Random, raw: bytes) -> bytes:
    lines = _LINES.split(raw)
    start, end = _span(chance, raw, 30)
    start, end = start % len(lines), start % len(lines) + (end - start)
    some = lines[start:end]
    chance.shuffle(some)
    return b"".join([*lines[:start], *some, *lines[end:]])


def drop_header(chance: random.Random, raw: bytes) -> bytes:
    head, body = _parted(raw)
    lines = _LINES.split(head)
    del lines[chance.randrange(len(lines))]
    return b"".join(lines) + b"\r\n\r\n" + body


def add_header(chance: random.Random, raw: bytes) -> bytes:
    head, body = _parted(raw)
    added = chance.choice(seeds.HEADERS)(chance)
    first = chance.random() < 0.5
    return (added + b"\r\n" + head if first else head + b"\r\n" + added) + b"\r\n\r\n" + body


def change_header(chance: random.Random, raw: bytes) -> bytes:
    name = chance.choice(seeds.NAMES)
    spoilt = b": ".join((name, b" ".join(chance.choices(seeds.WORDS, k=chance.randrange(1, 6)))))
    return re.sub(rb"(?im)^" + name + rb":[^\n]*", lambda _match: spoilt, raw, count=chance.choice((0, 1)))


def change_charset(chance: random.Random, raw: bytes) -> bytes:
    charset = chance.choice(seeds.CHARSETS)
    return re.sub(rb"(?i)charset=\"?[\w-]+", lambda _match: b"charset=" + charset, raw)


def change_encoding(chance: random.Random, raw: bytes) -> bytes:
    encoding = b"Content-Transfer-Encoding: " + chance.choice(seeds.ENCODINGS)
    if re.search(rb"(?im)^content-transfer-encoding:", raw) is None:
        return encoding + b"\r\n" + raw
    return re.sub(rb"(?im)^content-transfer-encoding:[^\n]*", lambda _match: encoding, raw)


def change_type(chance: random.Random, raw: bytes) -> bytes:
    found = list(re.finditer(rb"(?im)^content-type:[^\n;]*", raw))
    if not found:
        return b"Content-Type: " + chance.choice(seeds.TYPES) + b"\r\n" + raw
    one = chance.choice(found)
    return raw[: one.start()] + b"Content-Type: " + chance.choice(seeds.TYPES) + raw[one.end() :]


def change_boundary(chance: random.Random, raw: bytes) -> bytes:
    found = re.findall(rb"(?i)boundary=\"?([^\s\";]+)", raw)
    if not found:
        return raw
    other = chance.choice((b"", b"b", b" ", b"x" * 250, b"\xff", found[0] + b"x", found[-1], b"*"))
    return raw.replace(chance.choice(found), other, chance.choice((1, 2, 100)))


def change_line_ends(chance: random.Random, raw: bytes) -> bytes:
    plain = raw.replace(b"\r\n", b"\n")
    return plain.replace(b"\n", chance.choice((b"\n", b"\r\n", b"\r", b"\r\r\n", b"\n\r", b"\x85", b"\r\n\r\n")))


def change_case(chance: random.Random, raw: bytes) -> bytes:
    head, body = _parted(raw)
    return chance.choice((bytes.upper, bytes.lower, bytes.swapcase))(head) + b"\r\n\r\n" + body


def fold_everywhere(chance: random.Random, raw: bytes) -> bytes:
    head, body = _parted(raw)
    return head.replace(b" ", chance.choice((b"\r\n ", b"\n\t", b"\r\n \r\n "))) + b"\r\n\r\n" + body


def as_other_characters(chance: random.Random, raw: bytes) -> bytes:
    text = raw.decode("latin-1")
    return text.encode(chance.choice(("utf-16", "utf-8-sig", "utf-8", "utf-7", "utf-32-le")), "replace")


def wrap(chance: random.Random, raw: bytes) -> bytes:
    start = b"From: Ann <ann@x.example>\r\nSubject: Fwd\r\n"
    kind = chance.randrange(4)
    if kind == 0:
        return start + b"Content-Type: message/rfc822\r\n\r\n" + raw
    if kind == 1:
        encoded = base64.encodebytes(raw)
        return start + b"Content-Transfer-Encoding: base64\r\n\r\n" + encoded[: chance.randrange(len(encoded) + 1)]
    if kind == 2:
        for level in range(chance.choice((1, 5, 25))):
            raw = b'Content-Type: multipart/mixed; boundary="w%d"\r\n\r\n--w%d\r\n' % (level, level) + raw
        return start + raw
    return start + b"\r\n" + b"".join(b"> " + line for line in _LINES.split(raw))


def as_mailbox(_chance: random.Random, raw: bytes) -> bytes:
    return b"From ann@x.example Mon Mar  2 12:00:00 2026\n" + raw


def change_body(chance: random.Random, raw: bytes) -> bytes:
    return _parted(raw)[0] + b"\r\n\r\n" + chance.choice(seeds.BODIES)(chance)


EVERY: tuple[Mutation, ...] = (
    change_bytes, change_bytes_of_the_headers, insert_words, insert_marks, cut_end, cut_out, double, shuffle_lines, drop_header,
    add_header, change_header, change_charset, change_encoding, change_type, change_boundary, change_line_ends, change_case,
    fold_everywhere, as_other_characters, wrap, as_mailbox, change_body,
)  # fmt: skip


def mail(number: int, *, seed: int, whole: Sequence[bytes]) -> bytes:
    """The same mail for the same number, seed and whole mails: three of four spoilt from a whole one, else from the grammar."""
    chance = random.Random(f"{seed}:{number}")
    if chance.random() < 0.25:
        raw = seeds.from_grammar(chance)
    else:
        raw = chance.choice(whole)
        if chance.random() < 0.1:
            raw = _parted(raw)[0] + b"\r\n\r\n" + _parted(chance.choice(whole))[1]
    for _ in range(chance.choice((1, 1, 2, 3, 5))):
        raw = chance.choice(EVERY)(chance, raw)[:MAX_BYTES]
    return raw
