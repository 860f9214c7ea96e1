"""Words that tell of a death, in the languages of our letters. They propose to a person and decide nothing (R168)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

LONGEST: Final = 20_000
"""Characters of a message that are looked through."""

_RELATIVES: Final[Mapping[str, str]] = {
    "en": r"(?:husband|wife|partner|spouse|mother|mom|mum|father|dad|son|daughter|child|baby|brother|sister|"
    r"grand(?:mother|father|ma|pa)|parents?|uncle|aunt|friend|fiance|fiancee)",
    "de": r"(?:mann|frau|partner(?:in)?|mutter|mama|vater|papa|sohn|tochter|kind|bruder|schwester|oma|opa|gross?mutter|gross?vater|"
    r"freund(?:in)?|tante|onkel|lebensgefahrt(?:e|in)|ehemann|ehefrau)",
    "fr": r"(?:mari|femme|epou(?:x|se)|conjoint|compagn(?:on|e)|mere|maman|pere|papa|fils|fille|enfant|frere|s(?:oe|o)ur|"
    r"grand-?mere|grand-?pere|ami(?:e)?)",
    "es": r"(?:marido|mujer|espos[oa]|pareja|madre|mama|padre|papa|hij[oa]|herman[oa]|abuel[oa]|ti[oa]|amig[oa])",
    "it": r"(?:marito|moglie|compagn[oa]|madre|mamma|padre|papa|figli[oa]|fratello|sorella|nonn[oa]|zi[oa]|amic[oa])",
    "nl": r"(?:man|vrouw|partner|moeder|mama|vader|papa|zoon|dochter|kind|broer|zus(?:ter)?|oma|opa|vriend(?:in)?)",
    "pl": r"(?:maz|zona|partner(?:ka)?|matka|mama|ojciec|tata|syn|corka|dziecko|brat|siostra|babcia|dziadek|przyjaciel(?:ka)?)",
}

_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "en": (
        r"passed away",
        r"(?:my|our|his|her|their|the) (?:late|deceased) " + _RELATIVES["en"],
        rf"(?:my|our|his|her|their) (?:\w+ )?{_RELATIVES['en']} (?:has |had |just |recently |suddenly )*died",
        rf"(?:death|passing|loss) of (?:my|our|his|her|their) (?:\w+ )?{_RELATIVES['en']}",
        rf"lost (?:my|our|his|her|their) (?:\w+ )?{_RELATIVES['en']}",
        r"(?:he|she|the customer|your customer|the account holder) (?:has |had |just |recently )*died",
        r"bereave(?:d|ment)",
        r"death certificate",
        r"executor of (?:the|his|her|their) (?:will|estate)",
    ),
    "de": (
        r"verstorben(?:e|en|er|es)?",
        rf"{_RELATIVES['de']}\b[^.!?\n]{{0,60}}\b(?:gestorben|starb)",
        rf"(?:gestorben|starb)\b[^.!?\n]{{0,40}}\b{_RELATIVES['de']}",
        r"todesfall(?:s|es)?",
        r"trauerfall(?:s|es)?",
        r"sterbeurkunde",
        rf"\btod (?:mein|unser|sein|ihr)(?:es|er) (?:\w+ )?{_RELATIVES['de']}(?:s|es)?",
    ),
    "fr": (
        r"decede(?:e|s|es)?",
        r"deces (?:de|du)",
        r"acte de deces",
        rf"{_RELATIVES['fr']} (?:est|vient de|nous a) (?:mort(?:e)?|mourir|quittes)",
        rf"perdu (?:mon|ma|notre|son|sa) {_RELATIVES['fr']}",
        r"defunt(?:e)?",
    ),
    "es": (
        r"ha fallecido",
        r"fallecio",
        r"fallecimiento",
        r"(?:mi|nuestr[oa]|su) (?:difunt[oa]) \w+",
        rf"{_RELATIVES['es']} (?:ha muerto|murio)",
        r"certificado de defuncion",
    ),
    "it": (
        r"decedut[oa]",
        r"deceso",
        r"certificato di morte",
        rf"{_RELATIVES['it']} (?:e|ci) (?:mort[oa]|mancat[oa]|ha lasciat[oi])",
        r"venut[oa] a mancare",
        r"e scompars[oa] mi[oa]",
    ),
    "nl": (
        r"overleden",
        r"overlijden van",
        r"overlijdensakte",
        rf"{_RELATIVES['nl']} is (?:gestorven|ons ontvallen)",
    ),
    "pl": (
        r"zmarl(?:a|o|y)?",
        r"smierc (?:mojego|mojej|mego|naszego|naszej|jego|jej)",
        r"akt zgonu",
        r"nie zyje (?:moj|moja|nasz|nasza)",
        rf"(?:moj|moja|nasz|nasza) {_RELATIVES['pl']} nie zyje",
    ),
}
"""What people write when somebody has died. A telephone or a battery that died is not among it."""


_STEMS: Final = (
    "passed away", " late ", "deceased", "died", "death", "passing", "loss of", "lost ", "bereave", "executor",
    "verstorben", "gestorben", "starb", "todesf", "trauerf", "sterbeurk", "tod ", "decede", "deces", " mort", " mour", "perdu ",
    "quittes", "defunt", "fallec", "difunt", "muert", "murio", "defunci", "decedut", "decess", "mancat", "lasciat", "mancare",
    "scompars", "overl", "ontvallen", "zmarl", "smierc", "zgonu", "zyje", "di morte",
)  # fmt: skip
"""One of these stands in every text that the patterns find; most texts have none, and are done with quickly."""


def _plain(text: str) -> str:
    """Without capitals and accents, as people type in haste."""
    return _ACCENTS.sub("", unicodedata.normalize("NFKD", text.casefold())).translate(_LETTERS)


def _in_place(text: str) -> str:
    """The same with one character for each of the text, so that what is found stands where it stood."""
    return "".join((_plain(letter) or " ")[0] for letter in text)


_DEATH: Final = re.compile(rf"\b(?:{'|'.join(word for words in _WORDS.values() for word in words)})\b")
_ACCENTS: Final = re.compile("[\u0300-\u036f]")
_LETTERS: Final = str.maketrans("ł’", "l'")


def words_of_a_death(text: str) -> str:
    """The words of a text that may tell of a death, as they stand there; "" for none. It may be wrong either way.

    text: what somebody wrote, without what they quoted.
    """
    looked = text[:LONGEST]
    plain = looked.lower() if looked.isascii() else _plain(looked)
    if not any(stem in plain for stem in _STEMS) or not _DEATH.search(plain):
        return ""
    found = _DEATH.search(plain if len(plain) == len(looked) else _in_place(looked))
    return looked[found.start() : found.end()] if found else ""
