"""What somebody looks for, and the words of a text: one way to cut and to fold both, so that one finds the other.

Pure. What comes in may be anything; what is not understood as syntax is looked for as words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from django.utils.translation import gettext as _

QUERY_AT_MOST: Final = 200
TERMS_AT_MOST: Final = 12
WORDS_AT_MOST: Final = 8_000
"""Words of one text that are found; PostgreSQL counts places up to 16,383."""
WORD_AT_MOST: Final = 40
PREFIX_AT_LEAST: Final = 3
PLACES_AT_MOST: Final = 200
"""Places kept of one word in one text; PostgreSQL keeps 255."""
SNIPPET: Final = 200
"""Characters shown around the first find."""
SHOWN_OF: Final = 20_000
"""Characters of a text in which finds are marked."""

# Chinese and Japanese are written without spaces: each sign is a word, and several are looked for as a phrase.
_SIGN = "\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_SIGN}]|[^\W_{_SIGN}](?:[^\W_{_SIGN}]|[\u0300-\u036f])*")
_UNREADABLE = re.compile(r"[\x00\ud800-\udfff]")
_ALIKE = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d", "ı": "i"})
_TERM = re.compile(r'(?P<no>-?)(?:"(?P<phrase>[^"]*)"?|(?P<plain>[^\s"]+))')
_FIELD = re.compile(r"(?P<name>from|channel|before|after|is):(?P<value>\S+)", re.IGNORECASE)
SAID_BY: Final = {"customer": "in", "us": "out", "note": "internal"}
"""What may stand behind `from:`, and the direction it means."""


class UnusableSearch(ValueError):
    """Nothing can be looked for like this."""

    code = "unusable_search"


@dataclass(frozen=True, slots=True)
class Term:
    """Words that stand beside each other. is_beginning: the last one may go on. is_absent: they must not be there."""

    words: tuple[str, ...]
    is_beginning: bool = False
    is_absent: bool = False

    def written(self) -> str:
        """As PostgreSQL reads it; words are letters and figures only."""
        found = " <-> ".join(f"'{word}'" for word in self.words) + (":*" if self.is_beginning else "")
        return f"!({found})" if self.is_absent else f"({found})" if len(self.words) > 1 else found


@dataclass(frozen=True, slots=True)
class Search:
    """What somebody looks for. said_by: a direction or ""; before, after: days, the first of which is left out."""

    text: str
    terms: tuple[Term, ...]
    channel: str = ""
    said_by: str = ""
    before: date | None = None
    after: date | None = None
    is_open: bool = False

    @property
    def is_about_messages(self) -> bool:
        """Whether it asks by what only messages have."""
        return bool(self.channel or self.said_by or self.before or self.after or self.is_open)

    def written(self) -> str:
        """The words of a message as PostgreSQL looks for them."""
        marks = [f"'{mark(one)}'" for one in (self.channel, self.said_by) if one]
        return " & ".join([*(term.written() for term in self.terms), *marks])

    def written_for_names(self) -> str:
        """The words of a name, each of which may go on."""
        terms = [
            Term((word,), is_beginning=len(word) > 1, is_absent=term.is_absent)
            for term in self.terms
            for word in term.words
        ]
        return " & ".join(term.written() for term in terms)


def mark(name: str) -> str:
    """A word that no text has, for what is no word of it: its medium, who said it, its day."""
    return f"@{name}"


def read(text: str, *, media: Collection[str]) -> Search:
    """Read what somebody typed. media: what may stand behind `channel:`. Raises UnusableSearch, in words for them."""
    text = " ".join(_UNREADABLE.sub(" ", text).split())
    if len(text) > QUERY_AT_MOST:
        raise UnusableSearch(_("Please look for %(most)s characters at most.") % {"most": QUERY_AT_MOST})
    search = Search(text, ())
    for found in _TERM.finditer(text):
        plain = found["plain"] or ""
        field = _FIELD.fullmatch(plain) if not found["no"] else None
        if field is not None:
            search = _narrowed(search, field["name"].lower(), field["value"].lower(), media)
            continue
        words = tuple(word for word, _start, _end in cut(plain or found["phrase"] or ""))
        if words:
            goes_on = plain.endswith("*") and len(words[-1]) >= PREFIX_AT_LEAST
            term = Term(words, is_beginning=goes_on, is_absent=bool(found["no"]))
            search = replace(search, terms=(*search.terms, term))
    if len(search.terms) > TERMS_AT_MOST or sum(len(term.words) for term in search.terms) > 3 * TERMS_AT_MOST:
        raise UnusableSearch(_("Please look for fewer words at once."))
    if not any(not term.is_absent for term in search.terms):
        raise UnusableSearch(_("Please type at least one word, name, address or number to look for."))
    return search


def _narrowed(search: Search, name: str, value: str, media: Collection[str]) -> Search:
    if name == "channel" and value in media:
        return replace(search, channel=value)
    if name == "from" and value in SAID_BY:
        return replace(search, said_by=SAID_BY[value])
    if name == "is" and value == "open":
        return replace(search, is_open=True)
    if name in ("before", "after"):
        try:
            day = date.fromisoformat(value)
        except ValueError:
            day = None
        if day is not None and 1970 <= day.year <= 9000:
            return replace(search, before=day) if name == "before" else replace(search, after=day)
        raise UnusableSearch(_("Please write a day such as %(name)s:2026-03-31.") % {"name": name})
    known = {"channel": sorted(media), "from": sorted(SAID_BY), "is": ["open"]}[name]
    raise UnusableSearch(
        _("Behind %(name)s: can stand %(known)s.") % {"name": name, "known": ", ".join(map(str, known))}
    )


def cut(text: str) -> Iterator[tuple[str, int, int]]:
    """The words of a text, folded, each with its place in the text as `composed` gives it."""
    for found in _WORD.finditer(composed(text)):
        word = fold(found[0])
        if word:
            yield word, found.start(), found.end()


def composed(text: str) -> str:
    """A text in which a letter and its accent are one sign where there is one; places of words count in it."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def fold(word: str) -> str:
    """A word without case and accents; letters and figures only."""
    if word.isascii():
        return word.lower()[:WORD_AT_MOST]
    plain = unicodedata.normalize("NFKD", word.casefold()).translate(_ALIKE)
    return "".join(sign for sign in plain if sign.isalnum())[:WORD_AT_MOST]


def kept(texts: Sequence[str], marks: Sequence[str] = ()) -> str:
    """What is kept of texts to find them by: each word with its places, as PostgreSQL reads a tsvector. Phrases end with a text."""
    places: dict[str, list[int]] = {}
    number = 0
    for text in texts:
        for word, _start, _end in cut(text):
            number += 1
            if number > WORDS_AT_MOST:
                break
            found = places.setdefault(word, [])
            if len(found) < PLACES_AT_MOST:
                found.append(number)
        number += 1
    words = [f"'{word}':{','.join(map(str, found))}" for word, found in places.items()]
    return " ".join([*words, *(f"'{mark(one)}'" for one in marks)])


def snippet(text: str, search: Search) -> list[tuple[str, bool]]:
    """The part of a text around the first find, as pieces in their order; True for what was looked for. Plain text, not escaped."""
    shown = composed(text[:SHOWN_OF])
    finds = _finds(shown, search)
    start = max(0, finds[0][0] - SNIPPET // 3) if finds else 0
    if start:
        start = shown.rfind(" ", 0, start) + 1 or start
    end = min(len(shown), start + SNIPPET)
    pieces: list[tuple[str, bool]] = [("… ", False)] if start else []
    here = start
    for first, last in finds:
        if first < here:
            continue
        if last > end:
            break
        pieces += [(shown[here:first], False), (shown[first:last], True)]
        here = last
    pieces.append((shown[here:end] + (" …" if end < len(text) else ""), False))
    return [(piece, is_find) for piece, is_find in pieces if piece]


def _finds(shown: str, search: Search) -> list[tuple[int, int]]:
    """Where the words stand that were looked for."""
    cuts = list(cut(shown))
    found: set[tuple[int, int]] = set()
    for term in search.terms:
        if term.is_absent:
            continue
        size = len(term.words)
        for number in range(len(cuts) - size + 1):
            words = tuple(word for word, _s, _e in cuts[number : number + size])
            last = words[-1].startswith(term.words[-1]) if term.is_beginning else words[-1] == term.words[-1]
            if last and words[:-1] == term.words[:-1]:
                found |= {(start, end) for _word, start, end in cuts[number : number + size]}
    return sorted(found)
