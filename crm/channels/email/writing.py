"""Writing the bytes of a mail from the fields that a provider gives instead of the mail itself.

Everything in it was written by strangers: names, values and counts are bounded, no line breaks out of its header, bodies and
files are base64 so that no boundary can be forged. Python's own writer can run for ever on such input (cpython 138223).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import quote, unquote

MOST_HEADERS: Final = 500
MOST_OF_A_HEADER: Final = 20_000  # characters
MOST_FILES: Final = 200
_NAME: Final = re.compile(r"[!-9;-~]{1,100}")
_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,60}/[a-z0-9][a-z0-9!#$&^_.+-]{0,60}")
_FILE_NAME: Final = re.compile(
    r"(?:file)?name\*?=(?:(?:utf-8|iso-8859-1)'[^']*')?(?:\"([^\"]{0,400})\"|([^;\s]{1,400}))", re.I
)
_REPORTS: Final = frozenset(("message/delivery-status", "message/feedback-report", "message/rfc822"))
_OWN: Final = frozenset(
    ("mime-version", "content-type", "content-transfer-encoding", "content-disposition", "content-id")
)
_BREAKS: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]+")


@dataclass(frozen=True, slots=True)
class File:
    """A file of a mail. name and content_id as the sender wrote them, None where there is none."""

    content: bytes
    content_type: str = ""
    name: str | None = None
    content_id: str | None = None

    @classmethod
    def from_headers(
        cls, content: bytes, *, content_type: str | None, disposition: str | None, content_id: str | None
    ) -> Self:
        """Make a file whose name stands in one of its headers."""
        match = _FILE_NAME.search(disposition or "") or _FILE_NAME.search(content_type or "")
        name = unquote(match[1] or match[2] or "") if match else None
        return cls(content, (content_type or "").partition(";")[0], name, content_id or None)


def written_mail(
    headers: Iterable[tuple[str, str]], *, text: str | None, html: str | None, files: Sequence[File] = ()
) -> bytes:
    """Write a mail: its headers in their order without those about its form, both bodies as UTF-8, then its files.

    A header that cannot be one is left out, its value is one line of at most 20,000 characters in UTF-8 (RFC 6532).
    Raises nothing.
    """
    top = [_header(name, value) for name, value in list(headers)[:MOST_HEADERS] if _is_kept(name)]
    bodies = [
        _part(body, f"text/{kind}; charset=utf-8")
        for kind, body in (("plain", text), ("html", html))
        if body is not None
    ]
    alternatives = _together("alternative", bodies or [_part("", "text/plain; charset=utf-8")], mark="b")
    parts = [alternatives, *map(_file, files[:MOST_FILES])]
    return b"".join([*top, b"MIME-Version: 1.0\r\n", _together("mixed", parts, mark="a")])


def _is_kept(name: str) -> bool:
    return _NAME.fullmatch(str(name)) is not None and str(name).lower() not in _OWN


def _header(name: str, value: str) -> bytes:
    return f"{name}: {_line(value)[:MOST_OF_A_HEADER]}\r\n".encode("utf-8", "replace")


def _line(text: object) -> str:
    return _BREAKS.sub(" ", str(text)).strip()


def _part(body: str, content_type: str) -> bytes:
    return _encoded(body.encode("utf-8", "replace"), [f"Content-Type: {content_type}"])


def _file(file: File) -> bytes:
    stated = file.content_type.partition(";")[0].strip().lower()
    is_plain = _TYPE.fullmatch(stated) is not None and not stated.startswith(("multipart/", "message/"))
    kind = stated if is_plain or stated in _REPORTS else "application/octet-stream"
    content_id = re.sub(r"[^!-;=?-~]", "", file.content_id or "")[:300]
    named = f"; filename*=utf-8''{quote(_line(file.name)[:200], safe='')}" if file.name else ""
    lines = [f"Content-Type: {kind}", f"Content-Disposition: {'inline' if content_id else 'attachment'}{named}"]
    return _encoded(file.content, [*lines, *([f"Content-ID: <{content_id}>"] if content_id else [])])


def _encoded(content: bytes, lines: list[str]) -> bytes:
    head = "\r\n".join([*lines, "Content-Transfer-Encoding: base64"]).encode("ascii", "replace")
    return head + b"\r\n\r\n" + base64.encodebytes(content).replace(b"\n", b"\r\n")


def _together(kind: str, parts: list[bytes], *, mark: str) -> bytes:
    boundary = f"=_evenhand_{mark}_=".encode()  # cannot stand in base64
    opened = [b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts]
    head = f'Content-Type: multipart/{kind}; boundary="'.encode() + boundary + b'"\r\n\r\n'
    return head + b"".join(opened) + b"--" + boundary + b"--\r\n"
