"""Names of languages (BCP 47 tags): what somebody told us, and which of the languages we have words in comes closest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from django.conf.locale import LANG_INFO

MAX_CHARS: Final = 16
_READ_CHARS: Final = 500
_TAG: Final = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}")
_RIGHT_TO_LEFT: Final = frozenset({"ar", "ckb", "dv", "fa", "he", "ks", "ps", "sd", "syr", "ug", "ur", "yi"})
_RIGHT_TO_LEFT_SCRIPTS: Final = frozenset({"adlm", "arab", "hebr", "nkoo", "rohg", "syrc", "thaa"})


def normalised(tag: str) -> str:
    """The one form a tag is stored in: “de_at ” is “de-AT”, “zh-hant” is “zh-Hant”; "" for what is no tag.

    Source: RFC 5646 2.1.1, for language, script and region. At most 16 characters.
    """
    told = tag.strip().replace("_", "-")
    if len(told) > MAX_CHARS or not _TAG.fullmatch(told):
        return ""
    language, *others = told.split("-")
    return "-".join([language.lower(), *(_subtag(other) for other in others)])


def _subtag(subtag: str) -> str:
    if len(subtag) == 4 and subtag.isalpha():
        return subtag.capitalize()
    return subtag.upper() if len(subtag) == 2 else subtag.lower()


def told(header: str) -> tuple[str, ...]:
    """The languages that an Accept-Language or Content-Language header names, most wanted first; junk names none.

    Source: RFC 9110 12.5.4 and 8.5, RFC 3282. Reads 500 characters and 20 tags.
    """
    found: list[tuple[float, str]] = []
    for entry in header[:_READ_CHARS].split(",")[:20]:
        tag, _semicolon, weight = entry.partition(";")
        quality = re.fullmatch(r"\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*", weight, re.IGNORECASE)
        wanted = float(quality[1]) if quality else 1.0
        if wanted > 0 and normalised(tag):
            found.append((wanted, normalised(tag)))
    return tuple(tag for _wanted, tag in sorted(found, key=lambda pair: -pair[0]))


def closest(wanted: Iterable[str], *, offered: Sequence[str]) -> str:
    """The first of the wanted languages that we have words in, by dropping subtags from the right; else the first offered.

    “de-AT” finds “de”, “pt” does not find “pt-BR”. Source: RFC 4647 3.4, lookup. Raises ValueError when none is offered.
    """
    if not offered:
        raise ValueError("No language is offered.")
    known = {normalised(tag): tag for tag in offered}
    for tag in wanted:
        subtags = normalised(tag).split("-")
        for kept in range(len(subtags), 0, -1):
            if (found := "-".join(subtags[:kept])) in known:
                return known[found]
    return offered[0]


def direction(tag: str) -> str:
    """How a language is written: "rtl" from the right, as Arabic, Hebrew and Persian; else "ltr"."""
    language, *others = normalised(tag).split("-")
    script = next((other.lower() for other in others if len(other) == 4 and other.isalpha()), "")
    if script:
        return "rtl" if script in _RIGHT_TO_LEFT_SCRIPTS else "ltr"
    return "rtl" if language in _RIGHT_TO_LEFT else "ltr"


def own_name(tag: str) -> str:
    """What a language calls itself, “Français” for “fr”; the tag itself where Django does not know it."""
    known: dict[str, str] = LANG_INFO.get(tag.lower(), {})
    return known.get("name_local", tag).capitalize()


def known_tags() -> list[str]:
    """The tags of all languages whose own name we know, in the order of those names."""
    named = (normalised(tag) for tag, known in LANG_INFO.items() if "name_local" in known)
    return sorted((tag for tag in named if tag), key=lambda tag: own_name(tag).casefold())
