"""The bytes of a mail of ours: two bodies that say the same, written at once instead of built up and folded header by header.

Python's own writer spends more on a card than rendering, asking and sending it together (docs/performance.md, goal 12). What
it would write and what is written here are read as the same by it; tests compare them.
"""

from __future__ import annotations

import base64
import quopri
from collections.abc import Mapping
from email.header import Header
from email.utils import formatdate
from typing import Final

_LINE: Final = 78  # characters that a header line should not pass (RFC 5322 2.1.1)
_LONGEST: Final = 998  # octets that no line may pass


def written(headers: Mapping[str, str], *, text: str, html: str, mark: str) -> bytes:
    """Write a mail with its headers in their order; Date and what says its form are added.

    headers: single lines; a value that is not ASCII is encoded as words (RFC 2047). html: "" for a mail of text alone.
    mark: unlike anything in the bodies, such as a random id; it parts them. Lines end with CRLF.
    """
    top = [_header(name, value) for name, value in headers.items()]
    if "date" not in {name.lower() for name in headers}:
        top.append(f"Date: {formatdate()}")
    top.append("MIME-Version: 1.0")
    if not html:
        return "\r\n".join(top).encode("ascii") + b"\r\n" + _part(text, "plain")
    top.append(f'Content-Type: multipart/alternative; boundary="=_{mark}"')
    between = f"\r\n--=_{mark}".encode("ascii")
    return b"".join(
        [
            "\r\n".join(top).encode("ascii"),
            b"\r\n",
            between,
            b"\r\n",
            _part(text, "plain"),
            between,
            b"\r\n",
            _part(html, "html"),
            between,
            b"--\r\n",
        ]
    )


def _header(name: str, value: str) -> str:
    line = f"{name}: {value}"
    if not value.isascii():
        return f"{name}: {Header(value, 'utf-8', header_name=name).encode(linesep=chr(13) + chr(10))}"
    if len(line) <= _LINE:
        return line
    folded: list[str] = []
    rest = line
    while len(rest) > _LINE:
        at = rest.rfind(" ", len(name) + 2 if not folded else 1, _LINE)
        if at <= 0:  # no space early enough: the first one there is
            at = rest.find(" ", _LINE)
        if at <= 0:
            break
        folded.append(rest[:at])
        rest = rest[at:]  # begins with the space that marks a line that goes on
    return "\r\n".join([*folded, rest])


def _part(body: str, kind: str) -> bytes:
    content = "\r\n".join(body.splitlines()).encode("utf-8", "replace")
    form, encoded = "8bit", content
    if content.isascii():
        form = "7bit"
    if any(len(line) > _LONGEST for line in content.split(b"\r\n")):
        form = "quoted-printable"
        encoded = b"\r\n".join(quopri.encodestring(line) for line in content.split(b"\r\n"))
    if b"\x00" in content:
        form, encoded = "base64", base64.encodebytes(content).replace(b"\n", b"\r\n")
    head = f'Content-Type: text/{kind}; charset="utf-8"\r\nContent-Transfer-Encoding: {form}\r\n\r\n'
    return head.encode("ascii") + encoded + b"\r\n"
