"""The parts of a mail: cut at its boundaries, decoded, each loop bounded.

We cut ourselves instead of building the standard library's message tree: its parser does work for every line times
every level of nesting and reads the type header of every part several times with a quadratic reader, so a 25 MB mail
of short lines or of ten thousand nested parts holds it for minutes (M16). Here the boundaries are found by one search
per level. tests/crm/channels/test_email.py holds both readings against each other over real mails.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from crm.channels import Part
from crm.channels.email import files, headers, html, reasons
from crm.channels.email.reasons import FileTrouble

MAX_RAW_BYTES: Final = 25 * 1024 * 1024  # of one mail; the rest is not read
KEPT_OF_TOO_LARGE: Final = 64 * 1024  # bytes: the headers, so that people see who wrote and may ask for a smaller one
MAX_DEPTH: Final = 20  # levels of multipart in multipart
MAX_PARTS: Final = 300  # parts looked at
MAX_TEXT_CHARS: Final = 400_000  # of text kept
MAX_HTML_CHARS: Final = 2_000_000  # of HTML kept
MAX_CONTENT_ID_CHARS: Final = 300
MAX_BOUNDARY_BYTES: Final = 200  # RFC 2046 says 70; some programs write more

_LINE_ENDS_OF: Final = headers.MAX_HEADER_BYTES  # from these the line ends of a mail are told
_COMPARED_CHARS: Final = 20_000
_COMPARED_WORDS: Final = 5  # fewer words are a logo, not a message

_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,60}/[a-z0-9!#$&^_.+-]{1,100}")
_NOT_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/=\s]|(?<=\S)[ \t](?=\S)")
_BASE64_TOLD_FROM: Final = 4_096  # bytes
_WORD: Final = re.compile(r"\w{3,40}")


@dataclass(frozen=True, slots=True)
class Leaf:
    """One part that holds no parts. within: the nearest multipart/alternative it is in, 0 for none; is_cut: bytes are
    missing."""

    headers: headers.Headers
    content_type: str
    parameters: dict[str, str]
    start: int
    end: int
    within: int
    is_cut: bool


@dataclass(frozen=True, slots=True)
class Parts:
    """A mail in its parts. raw has "\\n" or "\\r\\n" line ends; faults: stable words for what was left out or
    repaired."""

    raw: bytes
    top: headers.Headers
    body_start: int
    leaves: tuple[Leaf, ...]
    faults: tuple[str, ...]

    def body_of(self, leaf: Leaf) -> bytes:
        return self.raw[leaf.start : leaf.end]

    def content(self, leaf: Leaf) -> bytes:
        """The decoded bytes of one part; what cannot be decoded stays as it came."""
        body = self.body_of(leaf)
        encoding = leaf.headers.token("content-transfer-encoding").strip('"')
        try:
            if encoding == "base64":
                return headers.unbase64(body) if _looks_like_base64(body) else body
            if encoding == "quoted-printable":
                return binascii.a2b_qp(body)
        except (binascii.Error, ValueError):
            return body
        return body

    def text(self, leaf: Leaf) -> str:
        content = self.content(leaf)[: 4 * MAX_HTML_CHARS]
        return headers.text_of(content, leaf.parameters.get("charset", "")).replace("\r\n", "\n").replace("\r", "\n")


def digest(raw: bytes) -> str:
    """A delivery's id: the hash of its bytes without what copying between systems changes (line ends, "From " line)."""
    same = raw.replace(b"\r\n", b"\n").strip(b"\n")
    if same.startswith(b"From "):
        same = same.partition(b"\n")[2]
    return hashlib.sha256(same).hexdigest()


def _looks_like_base64(body: bytes) -> bool:
    """Some programs say base64 and send the words as they are; decoded, nothing or nonsense would be left of them.

    Words have a space or a foreign letter at least every twenty characters; base64 has neither, damaged a few.
    """
    start = body[:_BASE64_TOLD_FROM].strip()
    return len(_NOT_BASE64.findall(start)) * 20 <= len(start)


def cut(raw: bytes) -> Parts:
    """Cut a raw mail at its boundaries; at most 25 MB, 300 parts and 20 levels are read. Raises nothing."""
    faults: list[str] = []
    is_cut = len(raw) > MAX_RAW_BYTES
    if is_cut:
        raw = raw[:MAX_RAW_BYTES]
        faults.append("too_large")
    if raw.count(b"\r", 0, _LINE_ENDS_OF) > raw.count(b"\r\n", 0, _LINE_ENDS_OF) + raw.count(b"\n", 0, _LINE_ENDS_OF):
        # Line ends of old Macintosh programs; a mailbox file or a server on the way may have added a line of its own.
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    blank = len(raw) - len(raw.lstrip(b"\r\n"))
    head_end, body_start = headers.end_of_headers(raw, blank, len(raw))
    top = headers.parse(raw, blank, head_end)
    if not len(top):
        body_start = blank  # no header at all: everything is body
    if top.is_cut:
        faults.append("headers_cut")
    leaves: list[Leaf] = []
    waiting: list[tuple[headers.Headers, int, int, int, int, str]] = [(top, body_start, len(raw), 0, 0, "text/plain")]
    alternatives = 0
    while waiting:
        head, start, end, depth, within, default = waiting.pop()
        content_type, parameters = headers.parameters(head.first("content-type"))
        if not _TYPE.fullmatch(content_type):
            content_type = default  # RFC 2045 section 5.2
        if len(leaves) + len(waiting) > MAX_PARTS:
            faults.append("too_many_parts")
            break
        boundary = parameters.get("boundary", "").strip() if content_type.startswith("multipart/") else ""
        if boundary and depth >= MAX_DEPTH:
            faults.append("too_deep")
            continue
        regions = _regions(raw, start, end, boundary.encode("utf-8", "replace")) if boundary else []
        if not regions:
            if content_type.startswith("multipart/"):
                content_type = "text/plain"  # announced parts but has none: what is there is the text
                faults.append("no_parts")
            leaves.append(Leaf(head, content_type, parameters, start, end, within, is_cut and end == len(raw)))
            continue
        if content_type == "multipart/alternative":
            alternatives += 1
            within = alternatives
        default = "message/rfc822" if content_type == "multipart/digest" else "text/plain"
        if len(regions) > MAX_PARTS:
            faults.append("too_many_parts")
        for region_start, region_end in reversed(regions[:MAX_PARTS]):
            inner_end, inner_start = headers.end_of_headers(raw, region_start, region_end)
            waiting.append(
                (headers.parse(raw, region_start, inner_end), inner_start, region_end, depth + 1, within, default)
            )
    if not leaves and "too_deep" in faults:
        # Whoever nests so deep means harm or fell over a broken program; what is there is shown as it came.
        leaves.append(Leaf(top, "text/plain", {}, body_start, len(raw), 0, is_cut))
    return Parts(raw, top, body_start, tuple(leaves), tuple(dict.fromkeys(faults)))


def _regions(raw: bytes, start: int, end: int, boundary: bytes) -> list[tuple[int, int]]:
    delimiter = re.compile(rb"^--" + re.escape(boundary[:MAX_BOUNDARY_BYTES]) + rb"(--)?[ \t]*\r?$", re.MULTILINE)
    regions: list[tuple[int, int]] = []
    opened: int | None = None
    for match in delimiter.finditer(raw, start, end):
        if opened is not None:
            stop = match.start() - 1
            if raw[stop - 1 : stop] == b"\r":
                stop -= 1
            regions.append((opened, max(opened, stop)))
        if match[1] or len(regions) > MAX_PARTS:
            return regions
        opened = match.end() + 1
    if opened is not None and opened <= end:
        regions.append((opened, end))
    return regions


def is_attachment(leaf: Leaf) -> bool:
    """Whether a part is a file rather than what the sender wrote; inline images are files."""
    disposition, given = headers.parameters(leaf.headers.first("content-disposition"))
    if leaf.content_type in {"text/plain", "text/html"}:
        return (
            disposition == "attachment"
            or bool(given.get("filename"))
            or (bool(leaf.parameters.get("name")) and disposition != "inline")
        )
    return not leaf.content_type.startswith(
        ("message/delivery-status", "message/global-delivery", "message/feedback-report")
    )


def bodies(parts: Parts) -> tuple[str, str, bool]:
    """What the sender wrote as (text, html, differ): of alternatives the plain one, else the text of the HTML.

    When the two alternatives do not say the same, a reader of either would miss something: then text holds both, and
    differ is true.
    """
    texts: list[str] = []
    pages: list[str] = []
    plain: dict[int, str] = {}
    differ = False
    for leaf in parts.leaves:
        if leaf.content_type not in {"text/plain", "text/html"} or is_attachment(leaf):
            continue
        text = parts.text(leaf)
        if leaf.content_type == "text/plain":
            text = _unflowed(text) if leaf.parameters.get("format", "").lower() == "flowed" else text
            if leaf.within:
                plain[leaf.within] = plain.get(leaf.within, "") + text
            texts.append(text)
            continue
        pages.append(text)
        read = html.to_text(text)
        if not leaf.within or not plain.get(leaf.within, "").strip():
            texts.append(read)
        elif _says_more(read, plain[leaf.within]):
            differ = True
            texts.append(read)
    text = "\n".join(each.strip("\n") for each in texts if each.strip())
    return html.shortened(text, limit=MAX_TEXT_CHARS), "\n".join(pages)[:MAX_HTML_CHARS], differ


def _says_more(page: str, plain: str) -> bool:
    """Whether most words of the page are missing from the plain text; "see the HTML version" is such a plain text."""
    words = set(_WORD.findall(page[:_COMPARED_CHARS].lower()))
    return len(words) >= _COMPARED_WORDS and len(words & set(_WORD.findall(plain.lower()))) * 2 < len(words)


def _unflowed(text: str) -> str:
    """Undo space-stuffing (RFC 3676 section 4.4); soft line breaks stay, they do no harm to a reader."""
    return "\n".join(each[1:] if each.startswith((" >", " From ")) else each for each in text.split("\n"))


def attachments(parts: Parts) -> tuple[Part, ...]:
    """Every attached file in order, judged; an attached mail is one file and is not looked into."""
    found: list[Part] = []
    kept = kept_bytes = 0
    for leaf in parts.leaves:
        if not is_attachment(leaf) or leaf.content_type in {"message/delivery-status", "text/rfc822-headers"}:
            continue
        _, given = headers.parameters(leaf.headers.first("content-disposition"))
        name = headers.decoded(given.get("filename") or leaf.parameters.get("name") or "")
        content = parts.content(leaf)
        if leaf.content_type in {"message/rfc822", "message/global"} and not name:
            name = "message.eml"
        judged = files.part(
            given_name=name,
            declared=leaf.content_type,
            content=content,
            number=len(found) + 1,
            kept=kept,
            kept_bytes=kept_bytes,
            fault=reasons.written(FileTrouble.CUT_OFF) if leaf.is_cut else "",
            content_id=headers.message_id(leaf.headers.first("content-id"))[:MAX_CONTENT_ID_CHARS],
        )
        if judged.state != "refused":
            kept, kept_bytes = kept + 1, kept_bytes + judged.size
        found.append(judged)
    if "too_many_parts" in parts.faults or "too_deep" in parts.faults:
        found.append(
            Part(
                "more-parts",
                "application/octet-stream",
                "multipart/mixed",
                0,
                b"",
                "refused",
                "The mail has more parts than we read.",
            )
        )
    return tuple(found)
