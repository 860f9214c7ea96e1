"""Mail headers read tolerantly: split, decoded and cleaned one by one, so that a broken one spoils no other.

Nothing here uses the standard library's header objects: they raise on mails that occur every day (cpython #105802,
#151857, 148518) and can be made to run for ever (#138223). Every loop is bounded by a constant below.
"""

from __future__ import annotations

import binascii
import codecs
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

MAX_HEADER_BYTES: Final = 256 * 1024  # of all headers of one part; what follows is not read
MAX_HEADERS: Final = 1_000
MAX_VALUE_BYTES: Final = 32 * 1024  # of one header
MAX_ADDRESSES: Final = 100  # recipients kept
MAX_MESSAGE_IDS: Final = 100
MAX_TEXT_CHARS: Final = 998  # subject, name or message id kept; the line limit of RFC 5322 section 2.1.1
MAX_ADDRESS_CHARS: Final = 320  # 64 + "@" + 255, RFC 5321 section 4.5.3.1

# Names that mail programs use and Python does not know.
_CHARSETS: Final = {
    "unicode-1-1-utf-7": "utf-7",
    "iso-8859-8-i": "iso-8859-8",
    "iso-8859-8-e": "iso-8859-8",
    "x-sjis": "cp932",
    "shift_jis": "cp932",
    "x-euc-jp": "euc_jp",
    "iso-2022-jp": "iso2022_jp_ext",
    "ks_c_5601-1987": "cp949",
    "ks_c_5601": "cp949",
    "euc-kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "us-ascii": "utf-8",
    "ascii": "utf-8",
    "ansi_x3.4-1968": "utf-8",
    "x-mac-roman": "mac_roman",
    "macintosh": "mac_roman",
    "x-windows-1252": "cp1252",
    "windows-874": "cp874",
    "unknown-8bit": "utf-8",
    "x-unknown": "utf-8",
    "default": "utf-8",
}
# Python calls these text, but no mail is written in them and some take quadratic time.
_NO_CHARSETS: Final = frozenset(
    {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"}
)

_BLANK_LINE: Final = re.compile(rb"\n(?:\r?\n|\r\r?\n)")
_NAME: Final = re.compile(rb"([\x21-\x39\x3b-\x7e]{1,200})[ \t]*:")
_ENCODED_WORD: Final = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]{0,2000})\?=")
_BETWEEN_WORDS: Final = re.compile(r"(\?=)\s{1,20}(?==\?[^?\s]{1,60}\?[bBqQ]\?)")
# Everything that ends a line or moves the reading direction somewhere: a subject is one line wherever it is shown or
# sent.
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_TOKEN: Final = re.compile(
    r'"((?:[^"\\]|\\.){0,500})"|(\((?:[^()\\]|\\.){0,500}\))|<([^<>]{0,500})>|([,;:])|([^",;:<>()]{1,500})|(.)',
    re.DOTALL,
)
_ADDRESS: Final = re.compile(r"[^\s<>\"(),:;@\[\]\\]{1,64}@[^\s<>\"(),:;@\\\[\]]{1,255}")
_MESSAGE_ID: Final = re.compile(r"<([^<>\s]{1,998})>")
_BY: Final = re.compile(r"(?:^|\s)by\s+([A-Za-z0-9.:_-]{1,255})", re.IGNORECASE)
_FROM: Final = re.compile(r"^\s*from\s+\S+", re.IGNORECASE)  # the word after it is what the other side called itself
_COMMENT: Final = re.compile(r"\([^()]{0,500}\)")


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox. address: lower-case, the domain in ASCII form; name: what the writer calls the mailbox, never an
    identity."""

    address: str
    name: str


class Headers:
    """The headers of one part in their order, names in lower case, values still as sent."""

    __slots__ = ("_first", "fields", "is_cut")

    def __init__(self, fields: list[tuple[str, str]], *, is_cut: bool = False) -> None:
        self.fields = fields
        self.is_cut = is_cut  # more headers came than we read
        self._first: dict[str, str] = {}
        for name, value in fields:
            self._first.setdefault(name, value)

    def __contains__(self, name: str) -> bool:
        return name in self._first

    def __len__(self) -> int:
        return len(self.fields)

    def first(self, name: str) -> str:
        """The topmost value as sent, unfolded; empty when there is none."""
        return self._first.get(name, "")

    def every(self, name: str) -> list[str]:
        return [value for given, value in self.fields if given == name]

    def text(self, name: str) -> str:
        """The topmost value decoded to one clean line."""
        return line(decoded(self.first(name)))

    def token(self, name: str) -> str:
        """The first word of the topmost value, lower case: "auto-replied" of "Auto-Replied (vacation)"."""
        return re.split(r"[\s;(]", self.first(name).strip().lower(), maxsplit=1)[0]


def end_of_headers(raw: bytes, start: int, end: int) -> tuple[int, int]:
    """Where the headers of raw[start:end] end and where its body begins: after a blank line; where there is none, at the
    first line that is no header."""
    if raw[start : start + 1] == b"\n" or raw[start : start + 2] == b"\r\n":
        return start, min(end, start + (1 if raw[start : start + 1] == b"\n" else 2))
    match = _BLANK_LINE.search(raw, start, end)
    if match:
        return match.start() + 1, match.end()
    body = _without_blank_line(raw, start, end)
    return body, body


def _without_blank_line(raw: bytes, start: int, end: int) -> int:
    at, is_header, continues = start, False, False
    for each in raw[start : min(end, start + MAX_HEADER_BYTES)].split(b"\n"):
        if is_header and not continues and each[:1] not in (b" ", b"\t", b"") and not _NAME.match(each):
            return at
        is_header = is_header or bool(_NAME.match(each))
        continues = each.rstrip().endswith(b";")
        at += len(each) + 1
    return end


def parse(raw: bytes, start: int, end: int) -> Headers:
    """Read the header lines of raw[start:end]; a line that is no header ends nothing and is passed over."""
    block = raw[start : min(end, start + MAX_HEADER_BYTES)]
    fields: list[tuple[str, list[bytes]]] = []
    for number, each in enumerate(block.split(b"\n")):
        if len(fields) >= MAX_HEADERS:
            return Headers(_unfolded(fields), is_cut=True)
        if each[:1] in (b" ", b"\t"):
            if fields:
                fields[-1][1].append(each)
            continue
        match = _NAME.match(each)
        if match is None and fields and fields[-1][1][-1].rstrip().endswith(b";"):
            fields[-1][1].append(each)  # some programs forget to indent "boundary=…"
            continue
        if match is None or (number == 0 and each.startswith((b"From ", b">From "))):
            continue
        fields.append((match[1].decode("ascii").lower(), [each[match.end() :]]))
    return Headers(_unfolded(fields), is_cut=end - start > MAX_HEADER_BYTES)


def _unfolded(fields: list[tuple[str, list[bytes]]]) -> list[tuple[str, str]]:
    unfolded = []
    for name, pieces in fields:
        value = pieces[0] if len(pieces) == 1 else b" ".join(piece.strip(b"\r") for piece in pieces)
        unfolded.append((name, text_of(value[:MAX_VALUE_BYTES].strip(), "")))
    return unfolded


def charset_of(name: str) -> str:
    """The codec for a declared charset, or an empty string when no codec should be trusted with it."""
    name = name.strip(" \t\"'").lower().split("*")[0][:60]
    name = _CHARSETS.get(name, name)
    if name.startswith("cp-"):
        name = name.replace("-", "", 1)
    try:
        codec = codecs.lookup(name)
    except (LookupError, ValueError):
        return ""
    return name if codec.name not in _NO_CHARSETS and getattr(codec, "_is_text_encoding", True) else ""


def text_of(content: bytes, charset: str) -> str:
    """Decode content by its declared charset, else by what it looks like; always storable, never raises.

    Order: as declared, UTF-8, then the declared one with marks for what is broken when that is little, then
    Windows-1252, which reads every byte (WHATWG encoding standard: the web's answer to undeclared text).
    """
    declared = charset_of(charset) if charset else ""
    for strict in (declared, "utf-8"):
        if strict:
            try:
                return storable(content.decode(strict))
            except (UnicodeError, ValueError):
                continue
    if declared:
        try:
            repaired = content.decode(declared, "replace")
        except (UnicodeError, ValueError):
            repaired = "\ufffd"
        if repaired.count("\ufffd") * 20 <= len(repaired):
            return storable(repaired)
    repaired = content.decode("utf-8", "replace")
    if repaired.count("\ufffd") * 50 <= len(repaired):
        return storable(repaired)
    return storable(content.decode("cp1252", "replace"))


def storable(text: str) -> str:
    """The same text without what PostgreSQL refuses: NUL is dropped, half characters become U+FFFD."""
    if "\x00" in text:
        text = text.replace("\x00", "")
    return _SURROGATES.sub("\ufffd", text)


def line(text: str, *, limit: int = MAX_TEXT_CHARS) -> str:
    """One clean line of at most `limit` characters: no line ends, controls or direction marks (M27: nothing to
    inject)."""
    return " ".join(_CONTROLS.sub(" ", storable(text[: limit * 4])).split())[:limit].rstrip()


def decoded(value: str) -> str:
    """Decode RFC 2047 words; pieces of one charset are joined before decoding, since senders cut inside characters."""
    if "=?" not in value:
        return value
    value = _BETWEEN_WORDS.sub(r"\1", value)
    result: list[str] = []
    pending, charset, at = b"", "", 0
    for match in _ENCODED_WORD.finditer(value):
        if match.start() > at or match[1].lower() != charset:
            result.append(text_of(pending, charset))
            result.append(value[at : match.start()])
            pending, charset = b"", match[1].lower()
        pending += _word(match[3], base64=match[2] in "bB")
        at = match.end()
    result += [text_of(pending, charset), value[at:]]
    return "".join(result)


def _word(word: str, *, base64: bool) -> bytes:
    content = word.encode("utf-8", "replace")
    try:
        return unbase64(content) if base64 else binascii.a2b_qp(content, header=True)
    except (binascii.Error, ValueError):
        return content


def unbase64(content: bytes) -> bytes:
    """Decode base64 as far as it goes: foreign characters are skipped, missing padding is added."""
    kept = re.sub(rb"[^A-Za-z0-9+/]", b"", content)
    if len(kept) % 4 == 1:
        kept = kept[:-1]
    return binascii.a2b_base64(kept + b"=" * (-len(kept) % 4))


def parameters(value: str) -> tuple[str, dict[str, str]]:
    """Read "text/plain; charset=x; name*0*=…" into the main word and its parameters (RFC 2045, 2231), both lower case
    names.

    At most 64 parameters of the first 8,000 characters are read; raises nothing.
    """
    value = _BETWEEN_WORDS.sub(r"\1 ", value[:8_000])
    main, _, rest = value.partition(";")
    found: dict[str, str] = {}
    at = 0
    pattern = re.compile(
        r"[;\s]{0,20}([^=;\s\"]{1,80})\s{0,20}=\s{0,20}(?:\"((?:[^\"\\]|\\.){0,4000})\"?|([^;]{0,4000}))", re.DOTALL
    )
    while len(found) < 64 and (match := pattern.search(rest, at)) and match.end() > at:
        quoted = match[2]
        given = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else (match[3] or "").strip()
        found.setdefault(match[1].lower(), given)
        at = match.end()
    return main.strip().lower()[:100], _joined_parameters(found) if any("*" in name for name in found) else found


def _joined_parameters(found: dict[str, str]) -> dict[str, str]:
    joined: dict[str, str] = {name: value for name, value in found.items() if "*" not in name}
    pieces: dict[str, list[tuple[int, bool, str]]] = {}
    for name, value in found.items():
        stem, star, rest = name.partition("*")
        if star:
            number = rest.rstrip("*")
            order = int(number) if number.isascii() and number.isdigit() and len(number) < 4 else 0
            pieces.setdefault(stem, []).append((order, rest == "" or rest.endswith("*"), value))
    for stem, parts in pieces.items():
        content, charset = b"", ""
        for _, is_encoded, value in sorted(parts, key=lambda part: part[0]):
            if is_encoded and not content and value.count("'") >= 2:
                charset, _, value = value.split("'", 2)
            octets = value.encode("utf-8", "replace")
            content += (
                re.sub(rb"%([0-9A-Fa-f]{2})", lambda hexed: bytes([int(hexed[1], 16)]), octets)
                if is_encoded
                else octets
            )
        joined[stem] = text_of(content, charset)
    return joined


def addresses(value: str, *, limit: int = MAX_ADDRESSES) -> list[Address]:
    """Read a list of mailboxes: quotes, comments, angle brackets and group syntax; what is no address is passed over.

    The structure is read before encoded words are decoded: a decoded name may contain anything, brackets too.
    """
    found: list[Address] = []
    words: list[str] = []
    bracketed: str | None = None
    comment = ""
    for match in _TOKEN.finditer(value[:MAX_VALUE_BYTES]):
        quoted, remark, inside, mark, plain, other = match.groups()
        if mark in (",", ";"):
            _add(found, bracketed, words, comment)
            words, bracketed, comment = [], None, ""
            if len(found) >= limit:
                return found
        elif mark == ":":
            # Group syntax ("undisclosed: a@b;"): what stood before names the group, not a person.
            words = []
        elif inside is not None:
            bracketed = inside if bracketed is None or "@" not in bracketed else bracketed
        elif remark is not None:
            comment = comment or remark[1:-1]
        elif quoted is not None:
            words.append(re.sub(r"\\(.)", r"\1", quoted))
        else:
            words.append(plain or other)
    _add(found, bracketed, words, comment)
    return found[:limit]


def _add(found: list[Address], bracketed: str | None, words: list[str], comment: str) -> None:
    name = "".join(
        word if at == 0 or word[:1].isspace() or words[at - 1][-1:].isspace() else f" {word}"
        for at, word in enumerate(words)
    )
    address = normal_address(bracketed or "")
    if not address:
        match = _ADDRESS.search(name) if bracketed is None else None
        if match is None:
            return
        address = normal_address(match[0])
        name = name[: match.start()] + name[match.end() :] if name.strip() != match[0] else comment
        name = name.strip() or comment
    if address:
        found.append(Address(address, line(decoded(name.strip(" '\"")), limit=150).strip(" '\"")))


def normal_address(text: str) -> str:
    """Lower-case the address, the domain as IDNA ASCII; empty when it is none.

    Names of mailboxes are case-sensitive by RFC 5321, nowhere in practice; two writings of one address must be one
    customer.
    """
    text = storable(decoded(text)).strip().strip("<>\"' ")
    text = text.removeprefix("mailto:").rsplit(":", 1)[-1] if text.startswith(("mailto:", "@")) else text
    match = _ADDRESS.fullmatch(text)
    if match is None or len(text) > MAX_ADDRESS_CHARS or _CONTROLS.search(text):
        return ""
    local, _, domain = text.rpartition("@")
    domain = domain.strip(".").lower()
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode("ascii")
        except UnicodeError:
            return ""
    return f"{local.lower()}@{domain}" if domain else ""


def message_ids(value: str) -> list[str]:
    """Every "<…>" of an In-Reply-To or References header without brackets; a hint about threads, never a proof
    (M03)."""
    found = [storable(match[1]) for match in _MESSAGE_ID.finditer(value)]
    return found[:MAX_MESSAGE_IDS]


def message_id(value: str) -> str:
    """The message id without brackets, also when they are missing or wrong."""
    return (message_ids(value) or [line(value).strip("<>[] ")])[0]


def time_of(value: str) -> datetime | None:
    """Read a mail date; aware, UTC when no zone is given; None when it makes no sense."""
    try:
        at = parsedate_to_datetime(value[:100].strip())
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError, AttributeError):
        return None


def received(value: str) -> tuple[str, datetime | None]:
    """The host that wrote a Received header ("by …", lower case) and when."""
    route, _, stamp = value.rpartition(";")
    match = _BY.search(_FROM.sub(" ", _COMMENT.sub(" ", _COMMENT.sub(" ", route[:4_000]))))
    return (match[1].lower().rstrip(".") if match else ""), time_of(re.sub(r"\s+", " ", stamp))
