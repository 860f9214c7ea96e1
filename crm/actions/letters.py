"""What customers read from us: every letter is written here, in their language, whole or not at all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import css_inline
from django.conf import settings
from django.template import Context, Engine, Template, engines
from django.utils import translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from crm.actions import stencils
from crm.language import signatures, tags
from crm.models import User

SEVERAL_LINES: Final = frozenset({"text"})
"""Words that may hold line ends; of every other one a line end is a space (M27)."""
MAY_BE_EMPTY: Final = frozenset(
    {"answer_by", "changed_from", "cost", "is_owner", "name", "owed", "own", "owner", "signature", "subject"}
)
"""What a letter can do without; each template says what it writes instead."""
SMALL_NAMES: Final = frozenset({"it", "pl"})
"""Languages that write days and months small within a sentence although Django's names of them begin large."""
_INCLUDED: Final = re.compile(r'\{% include "([a-z_/.]+)" %\}')
_BLANK: Final = re.compile(r"\{\{[^{}\n]{0,80}\}\}|\{%[^{}\n]{0,80}%\}")
_NOT_FILLED: Final = "\ufffe%s\ufffe"  # no character of any text


class Unfilled(Exception):
    """A letter with a blank in it; it is not written."""

    code = "unfilled_words"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A letter ready to be sent. subject: one line; text and html say the same."""

    subject: str
    text: str
    html: str


class _Words(Context):
    """The words of one letter. Remembers each name that a template asked for in vain.

    Django shows nothing for a name it does not know and takes it for false in a condition; a letter must not.
    """

    def __init__(self, words: dict[str, Any], *, autoescape: bool) -> None:
        self.missing: set[str] = set()
        super().__init__(words, autoescape=autoescape)

    def __getitem__(self, key: Any) -> Any:
        try:
            return super().__getitem__(key)
        except KeyError:
            self._miss(str(key))
            raise

    def __contains__(self, key: Any) -> bool:
        found: bool = super().__contains__(key)
        if not found:
            self._miss(str(key))
        return found

    def _miss(self, key: str) -> None:
        if key != "forloop":  # a loop looks by itself whether it stands in another one
            self.missing.add(key)


def language_for(told: str) -> str:
    """The language in which a customer is written to: what they told us where we have words in it, “de” for “de-AT”, else ours.

    told: BCP 47 tag or "". Returns one of EVENHAND_CUSTOMER_LANGUAGES, whose first is ours.
    """
    return _closest(told, tuple(settings.EVENHAND_CUSTOMER_LANGUAGES))


@lru_cache(maxsize=1024)
def _closest(told: str, offered: tuple[str, ...]) -> str:
    return tags.closest([told], offered=offered)


def render(template: str, *, language: str, zone: str = "", **words: Any) -> Rendered:
    """Write one letter from templates/email/<template>.{subject.txt,txt,html}.

    language: the customer's own tag, or ""; zone: where they live, an IANA name, or "" for ours: moments among the words are
    written as a date and time there. Every template knows shop, imprint, language and direction besides.
    Raises Unfilled when a word is missing or empty that may not be, or a blank is left in `text`; nothing is half written.
    """
    chosen = language_for(language)
    empty = {name for name, value in words.items() if value is None or (value in ("", ()) and name not in MAY_BE_EMPTY)}
    if empty:
        raise _unfilled(empty)
    check_blanks(words.get("text", ""))
    known: dict[str, Any] = {name: _said(name, value, zone=zone, language=chosen) for name, value in words.items()}
    shop, imprint = _one_line(settings.EVENHAND_MAIL_NAME), tuple(settings.EVENHAND_MAIL_IMPRINT)
    shape = stencils.shape_of(known)
    parts: list[str] = []
    for part, autoescape in (("subject.txt", False), ("txt", False), ("html", True)):
        name = f"{template}.{part}"
        if shape is not None and stencils.fits(_compiled(name), known):
            written = _stencil(name, chosen, shop, imprint, autoescape, shape).filled(known)
        else:
            written = _rendered(name, known, language=chosen, shop=shop, imprint=imprint, autoescape=autoescape)
        parts.append(_whole_words(written, missing=set()))
    subject, text, html = parts
    return Rendered(subject=_one_line(subject), text=text.strip("\n") + "\n", html=html.strip())


@lru_cache(maxsize=512)
def _stencil(
    name: str, language: str, shop: str, imprint: tuple[str, ...], autoescape: bool, shape: tuple[tuple[str, Any], ...]
) -> stencils.Stencil:
    rendered = _rendered(name, dict(shape), language=language, shop=shop, imprint=imprint, autoescape=autoescape)
    return stencils.Stencil(rendered, escapes=autoescape)


def signed(by: User) -> dict[str, Any]:
    """The words with which a colleague signs: their name and the lines they put below it (R134)."""
    return {"signed_by": str(by), "signature": signatures.lines(by.signature)}


def check_blanks(text: str) -> None:
    """Refuse words in which somebody left a blank of a template, such as “{{ name }}”. Raises Unfilled (X9)."""
    if found := _BLANK.search(text):
        raise Unfilled(
            _("There is still a blank in this message: %(blank)s. Please fill it in, or take it out.")
            % {"blank": found[0]}
        )


def _said(name: str, value: Any, *, zone: str, language: str) -> Any:
    if isinstance(value, datetime):
        with translation.override(language):
            return moment(value, zone=zone)
    if isinstance(value, str):
        return value if name in SEVERAL_LINES else _one_line(value)
    return value


def moment(at: datetime, *, zone: str) -> str:
    """A moment as the active language writes it in a letter, where the customer lives: “Tuesday, 3 March 2026, 14:00 (CET)”."""
    try:
        there = ZoneInfo(zone or settings.EVENHAND_ZONE)
    except (ZoneInfoNotFoundError, ValueError):
        there = ZoneInfo(settings.EVENHAND_ZONE)
    return _written(at.astimezone(there).replace(second=0, microsecond=0), there.key, translation.get_language() or "")


@lru_cache(maxsize=500)
def _written(local: datetime, _zone: str, language: str) -> str:
    """A minute in the active language; many letters of a day name the same. Moments are equal whatever their zone."""
    # Translators: how a moment is written in a letter, in the letters of Django's date filter.
    written = str(date_format(local, pgettext("moment in a letter", "l, j F Y, H:i")))
    return f"{written.lower() if language in SMALL_NAMES else written} ({local:%Z})"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _rendered(
    name: str, words: dict[str, Any], *, language: str, shop: str, imprint: tuple[str, ...], autoescape: bool
) -> str:
    known = {"shop": shop, "imprint": imprint, "language": language, "direction": tags.direction(language)}
    context = _Words(words | known, autoescape=autoescape)
    with translation.override(language):
        return _whole_words(_compiled(name).render(context), missing=context.missing)


def _whole_words(written: str, *, missing: set[str]) -> str:
    blanks = missing | set(re.findall("\ufffe(.*?)\ufffe", written)) if missing or "\ufffe" in written else missing
    if blanks:
        raise _unfilled(blanks)
    return written


def _unfilled(names: set[str]) -> Unfilled:
    return Unfilled(
        _("This message still lacks something, so it was not written: %(what)s.") % {"what": ", ".join(sorted(names))}
    )


@cache
def _engine() -> Engine:
    """Django's own engine with the product's templates, but for one thing: a blank inside a value is seen, too."""
    ours: Any = engines["django"].engine  # type: ignore[attr-defined]
    return Engine(
        dirs=ours.dirs, app_dirs=False, string_if_invalid=_NOT_FILLED, libraries=ours.libraries, builtins=ours.builtins
    )


@cache
def _compiled(name: str) -> Template:
    """One part of a letter, compiled once a process; a page has its style sheet inlined before that, once for everybody.

    Mail programs drop style sheets, so every element carries its own; only the rules for dark screens stay in one.
    """
    source = _whole(f"email/{name}")
    if name.endswith(".html"):
        source = css_inline.CSSInliner(load_remote_stylesheets=False, keep_at_rules=True).inline(source)
    return Template(source, name=f"email/{name}", engine=_engine())


def _whole(name: str) -> str:
    """The source of a template with what it includes put in its place, so that one style sheet reaches all of it."""
    source: str = _engine().get_template(name).source
    return _INCLUDED.sub(lambda found: _whole(found[1]), source)
