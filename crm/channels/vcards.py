"""Address-book cards, vCard 2.1, 3.0 and 4.0 (RFC 2426, RFC 6350): only what says who somebody is and how to reach them.

Our own reader: programs write cards that no version allows (folds without a blank, quoted-printable with soft breaks, TYPE without
its name), and what is wanted of them is little. Pictures, keys and sounds are passed over unread.
"""

from __future__ import annotations

import quopri
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from crm.channels import handles

_LINE = re.compile(r"^(?:[\w-]+\.)?([A-Za-z][\w-]*)((?:;(?:\"[^\"]*\"|[^:;\"])*)*):(.*)$", re.DOTALL)
_LONGEST_CARD = 2_000_000
_KNOWN = frozenset(
    {"FN", "N", "EMAIL", "TEL", "ADR", "ORG", "BDAY", "UID", "LANG", "IMPP", "X-SOCIALPROFILE", "SOCIALPROFILE"}
)
_NETWORK = re.compile(r"(?:X-SERVICE-TYPE|SERVICE-TYPE|TYPE)=\"?([\w-]+)", re.IGNORECASE)
_NUMBER_THERE = re.compile(r"X-USER-?ID=\"?([^;\":]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Card:
    """One card. values: by our name of a field; line: where it began, from 1; is_whole: it has an end."""

    values: dict[str, list[str]]
    content: bytes
    line: int
    is_whole: bool


def read(lines: Iterable[bytes]) -> Iterator[Card]:
    """Read the cards of a file one by one; what stands outside a card is nothing. Memory: one card."""
    taken: list[bytes] = []
    began = size = 0
    for number, line in enumerate(lines, start=1):
        mark = line.decode("latin-1").replace("ï»¿", "").strip().upper()
        if mark == "BEGIN:VCARD":
            if taken:
                yield Card({}, b"".join(taken), began, is_whole=False)
            taken, began, size = [], number, 0
        if mark == "BEGIN:VCARD" or taken:
            size += len(line)
            taken.append(line if size <= _LONGEST_CARD else b"")
        if mark == "END:VCARD" and taken:
            content = b"".join(taken)
            yield Card(_values(content), content, began, is_whole=size <= _LONGEST_CARD)
            taken = []
    if taken:
        yield Card({}, b"".join(taken)[:10_000], began, is_whole=False)


def _unfolded(content: bytes) -> Iterator[bytes]:
    """Whole lines: a line that begins with a blank goes on the one before, as does what follows a soft break."""
    waiting = b""
    for line in content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
        if waiting and line[:1] in (b" ", b"\t"):
            waiting += line[1:]
        elif waiting.endswith(b"=") and b"QUOTED-PRINTABLE" in waiting.partition(b":")[0].upper():
            waiting = waiting[:-1] + line
        else:
            if waiting:
                yield waiting
            waiting = line
    if waiting:
        yield waiting


def _values(content: bytes) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}

    def add(field: str, value: str) -> None:
        value = " ".join(value.split())
        if value and value not in found.setdefault(field, []):
            found[field].append(value)

    for raw in _unfolded(content):
        # latin-1 keeps every byte, so that the value can be read in the card's own character set.
        told = _LINE.match(raw.decode("latin-1"))
        if told is None:
            continue
        name, marks = told[1].upper(), told[2].upper()
        if name not in _KNOWN:
            continue
        value = _text(told[3].encode("latin-1"), marks)
        parts = [_plain(part) for part in re.split(r"(?<!\\);", value)]
        if name == "FN":
            add("name", _plain(value))
        elif name == "N":
            add("family_name", parts[0])
            add("given_name", parts[1] if len(parts) > 1 else "")
        elif name == "ORG":
            add("company", parts[0])
        elif name == "EMAIL":
            add("email", _plain(value).removeprefix("mailto:"))
        elif name == "TEL" and "FAX" not in marks and "PAGER" not in marks:
            add("phone", unquote(_plain(value).removeprefix("tel:").partition(";")[0]))
        elif name == "ADR":
            parts = [*parts, *[""] * 7][:7]
            home = dict(zip(("street", "city", "region", "postcode", "country"), parts[2:], strict=True))
            home["more_street"] = parts[1]
            if found.get("street") or found.get("city"):  # a second home, whole
                add("postal", letter(home))
            else:
                for field, part in home.items():
                    add(field, part)
        elif name == "BDAY":
            add("birth_date", _plain(value))
        elif name == "UID":
            add("uid", _plain(value))
        elif name == "LANG":
            add("language", _plain(value))
        else:
            add(*_account(_plain(value), told[2]))
    return found


def letter(home: Mapping[str, str]) -> str:
    """An address in one line, in the order of a letter; home: its parts by our names of fields."""
    street = " ".join(filter(None, (home.get("house_number"), home.get("street"))))
    place = " ".join(filter(None, (home.get("postcode"), home.get("city"))))
    return ", ".join(filter(None, (street, home.get("more_street"), place, home.get("region"), home.get("country"))))


def _account(value: str, marks: str) -> tuple[str, str]:
    """An account at a network: the field, and its id there where the card says it, else what the card shows of it."""
    scheme, colon, rest = value.partition(":")
    named = [*_NETWORK.findall(marks), *([scheme] if colon and not rest.startswith("//") else [])]
    network = next(filter(None, map(handles.known, named)), "")
    number = _NUMBER_THERE.search(marks)
    if number and network:
        return f"handle.{network}", number[1].strip()
    return (f"handle.{network}" if network else "handle"), value


def _text(value: bytes, marks: str) -> str:
    """The value of a line in its character set: what the card says, else UTF-8, else what Western programs wrote."""
    if "QUOTED-PRINTABLE" in marks:
        value = quopri.decodestring(value)
    said = re.search(r"CHARSET=\"?([\w-]+)", marks)
    for charset in (said[1] if said else "utf-8", "utf-8", "cp1252", "latin-1"):
        try:
            return value.decode(charset)
        except (UnicodeDecodeError, LookupError):
            continue
    return value.decode("latin-1")


def _plain(value: str) -> str:
    return re.sub(r"\\(.)", lambda found: " " if found[1] in "nN" else found[1], value).strip()
