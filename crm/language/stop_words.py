"""Words that alone in a message say that somebody wants nothing more by way of kindness, or wants it again."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Final, Literal

Wish = Literal["", "stop", "start"]

LONGEST: Final = 40
"""Characters of a message that can be such a word; anything longer says more."""

STOP: Final[Mapping[str, tuple[str, ...]]] = {
    "en": ("stop", "stopall", "stop all", "unsubscribe", "optout", "opt out", "opt-out", "revoke", "stop ads"),
    "de": ("stopp", "abmelden", "austragen", "keine werbung", "keine werbung mehr"),
    "fr": ("arrêt", "stop pub", "désabonner", "me désabonner", "désinscrire", "désinscription"),
    "es": ("parar", "detener", "baja", "darme de baja", "no más publicidad"),
    "it": ("ferma", "disiscrivimi", "cancellami", "basta pubblicità"),
    "nl": ("afmelden", "uitschrijven", "stoppen"),
    "pl": ("zatrzymaj", "wypisz", "wypisz mnie"),
    "pt": ("sair", "descadastrar", "remover inscrição", "pare"),
    "sv": ("avregistrera", "avanmäl", "avprenumerera"),
    "da": ("afmeld", "frameld"),
    "nb": ("avmeld", "meld av"),
    "fi": ("lopeta", "peru tilaus"),
    "cs": ("odhlásit", "odhlásit odběr"),
    "tr": ("dur", "durdur", "üyelikten çık"),
}
"""What providers document (STOP, STOPALL, UNSUBSCRIBE, OPTOUT, REVOKE, ARRET) and the same in further languages."""

STOP_OR_SOMETHING_ELSE: Final[Mapping[str, tuple[str, ...]]] = {
    "en": ("cancel", "end", "quit", "remove"),
    "de": ("abbestellen", "kündigen", "halt"),
    "fr": ("annuler", "fin"),
    "es": ("cancelar", "alto"),
    "it": ("annulla", "basta"),
    "nl": ("annuleren", "opzeggen"),
    "pl": ("anuluj", "rezygnuję"),
    "pt": ("cancelar",),
    "sv": ("avsluta",),
    "da": ("annuller",),
    "nb": ("avslutt",),
    "fi": ("peruuta",),
    "cs": ("zrušit",),
    "tr": ("iptal",),
}
"""Providers take some of these for a stop word, and they can just as well be about an order: they count as both."""

START: Final[Mapping[str, tuple[str, ...]]] = {
    "en": ("start", "unstop", "optin", "opt in", "subscribe"),
    "de": ("wieder anmelden", "starten"),
    "fr": ("reprendre", "non arrêt"),
    "es": ("reanudar", "alta"),
    "it": ("riprendi",),
    "nl": ("hervatten",),
    "pl": ("wznów",),
    "pt": ("retomar",),
    "sv": ("starta",),
    "da": ("genoptag",),
    "nb": ("gjenoppta",),
    "fi": ("aloita",),
    "cs": ("obnovit",),
    "tr": ("başlat",),
}

_EDGES: Final = re.compile(r"^[\W_]+|[\W_]+$")


def _plain(text: str) -> str:
    """Without capitals, accents, marks around it and double spaces, as people type on a telephone."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(_EDGES.sub("", bare).split())


def _all(words: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    return frozenset(_plain(word) for some in words.values() for word in some)


_STOP, _EITHER, _START = _all(STOP), _all(STOP_OR_SOMETHING_ELSE), _all(START)


def wish_of(text: str) -> Wish:
    """What a message that is one such word, in any language, wishes; "" for everything that says more."""
    if len(text.strip()) > LONGEST:
        return ""
    said = _plain(text)
    if said in _STOP or said in _EITHER:
        return "stop"
    return "start" if said in _START else ""


def says_nothing_else(text: str) -> bool:
    """Whether a stop word cannot be about anything else, such as an order."""
    return _plain(text) in _STOP
