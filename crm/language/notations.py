"""How people write numbers, amounts, days, telephone numbers and mail addresses, read wherever they stand in a text.

Every reader gives (what it is, where it begins, where it ends). English, German and French; no model.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Final

from crm.language.statements import CURRENCIES, MONTHS

MASK: Final = "*•xX…"
"""What stands for digits or letters that are not told."""
_FRENCH_MONTHS: Final = {
    "janvier": 1, "fevrier": 2, "mars": 3, "avril": 4, "mai": 5, "juin": 6, "juillet": 7, "aout": 8, "septembre": 9,
    "octobre": 10, "novembre": 11, "decembre": 12,
}  # fmt: skip
_UNITS: Final = {
    "en": "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen"
    " nineteen",
    "de": "ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn"
    " neunzehn",
    "fr": "un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept dix-huit dix-neuf",
}
_TENS: Final = {
    "en": "twenty thirty forty fifty sixty seventy eighty ninety",
    "de": "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig",
    "fr": "vingt trente quarante cinquante soixante soixante-dix quatre-vingt quatre-vingt-dix",
}


@dataclass(frozen=True, slots=True)
class Folded:
    """A text without case, accents and ligatures; `at[i]` is where the i-th sign of `text` stands in the original."""

    text: str
    at: tuple[int, ...]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where a part of the folded text stands in the original."""
        return self.at[start], self.at[end - 1] + 1


def folded(text: str) -> Folded:
    """Take away what the same words may differ in when they are written another time."""
    signs: list[str] = []
    places: list[int] = []
    for place, sign in enumerate(text):
        for part in unicodedata.normalize("NFKD", sign.casefold()):
            if not unicodedata.combining(part):
                signs.append(part)
                places.append(place)
    return Folded("".join(signs), tuple(places))


def plain(text: str) -> str:
    """The folded words alone."""
    return folded(text).text


def compact(text: str) -> str:
    """Folded letters and digits alone: “EV-2026 / 4711” is “ev20264711”."""
    return "".join(sign for sign in plain(text) if sign.isalnum())


@cache
def number_words() -> dict[str, int]:
    """Numbers up to a thousand as words, folded, with hyphens for what is written apart."""
    found: dict[str, int] = {}
    for language in _UNITS:
        units = dict(enumerate(plain(_UNITS[language]).split(), 1))
        tens = dict(zip(range(20, 100, 10), plain(_TENS[language]).split(), strict=True))
        below: dict[int, str] = {**units, **tens}
        for ten, word in tens.items():
            for unit in range(1, 10):
                if language == "de":
                    below[ten + unit] = f"{units[unit]}und{word}"
                elif language == "fr" and ten in (70, 90):
                    below[ten + unit] = f"{tens[ten - 10]}-{units[10 + unit]}"
                else:
                    below[ten + unit] = f"{word}-{units[unit]}"
        hundred, glue = {"en": ("hundred", "-"), "de": ("hundert", ""), "fr": ("cent", "-")}[language]
        for number, word in below.items():
            found.setdefault(word, number)
        for many in range(1, 10):
            head = hundred if many == 1 and language != "en" else f"{units[many]}{glue}{hundred}"
            found.setdefault(head, many * 100)
            for number, word in below.items():
                found.setdefault(f"{head}{glue}{word}", many * 100 + number)
                if language == "en":
                    found.setdefault(f"{head}-and-{word}", many * 100 + number)
    found |= {
        "hundred": 100,
        "a-hundred": 100,
        "einhundert": 100,
        "thousand": 1000,
        "a-thousand": 1000,
        "tausend": 1000,
    }
    found |= {"eintausend": 1000, "mille": 1000, "quatre-vingts": 80, "vingt-et-un": 21}
    return found


_SIGNS: Final = "|".join(re.escape(sign) for sign in sorted(CURRENCIES, key=len, reverse=True) if not sign.isalpha())
_WORDS: Final = "|".join(
    sorted({*filter(str.isalpha, CURRENCIES), "francs?", "livres?", "dollars?"}, key=len, reverse=True)
)
_CURRENCY: Final = rf"(?:{_SIGNS}|\b(?:{_WORDS})\b)"
_NUMBER: Final = r"\d{1,3}(?:[.,'’  ]\d{3})+(?:[.,]\d{1,2})?|\d+(?:[.,]\d{1,2})?"
_MONEY: Final = re.compile(
    rf"(?P<sign>{_CURRENCY})\s*(?P<a>{_NUMBER})(?!\d)|(?<![\w.,])(?P<b>{_NUMBER})(?:,[-–—]+|\.[-–—]+)?[\s-]*{_CURRENCY}"
    r"|(?<![\w.,])(?P<c>\d+[.,]\d\d)(?![\d.,]\d|%|\s*%)|(?<![\w.,])(?P<d>\d+),[-–—]+"
)
_SPOKEN: Final = re.compile(rf"(?P<words>[a-z]+(?:[ -][a-z]+){{0,6}})[ -]{_CURRENCY}")


def amounts(text: Folded) -> Iterator[tuple[Decimal, int, int]]:
    """Every sum of money: 80 €, EUR 80.00, 80,-, 80,00, eighty euros."""
    for match in _MONEY.finditer(text.text):
        written = match["a"] or match["b"] or match["c"] or match["d"]
        yield _number(written), match.start(), match.end()
    for match in _SPOKEN.finditer(text.text):
        words = re.split(r"[ -]", match["words"])
        for first in range(len(words)):
            number = number_words().get("-".join(words[first:]))
            if number is not None:
                yield Decimal(number), match.start() + len(" ".join(words[:first])) + bool(first), match.end()
                break


def _number(written: str) -> Decimal:
    whole, last = re.fullmatch(r"(.*?)(?:[.,](\d{1,2}))?", written).groups()  # type: ignore[union-attr]
    return Decimal(f"{re.sub('[^0-9]', '', whole) or 0}.{last or 0}")


_MONTH_NUMBERS: Final = {**{plain(name): number for name, number in MONTHS.items()}, **_FRENCH_MONTHS}
_MONTH: Final = "|".join(sorted(_MONTH_NUMBERS, key=len, reverse=True))
_DAY_MONTH: Final = re.compile(
    rf"(?<!\d)(\d{{1,2}})(?:st|nd|rd|th|er|\.)?[\s-]*(?:of\s|de\s)?\s*(?:the\s)?({_MONTH})\b\.?(?:,?[\s-]+(\d{{4}}))?"
)
_MONTH_DAY: Final = re.compile(rf"\b({_MONTH})\.?\s+(?:the\s)?(\d{{1,2}})(?:st|nd|rd|th)?\b(?:,?\s+(\d{{4}}))?")
_ISO: Final = re.compile(r"(?<!\d)(\d{4})[-./](\d{1,2})[-./](\d{1,2})(?!\d)")
_NUMERIC: Final = re.compile(
    r"(?<![\d.,])(\d{1,2})\s?([./-])\s?(\d{1,2})(?:\s?\2\s?(\d{4}|\d{2})(?!\d)|\.(?!\d)|(?![\d.,/-]))"
)


def days(text: Folded) -> Iterator[tuple[tuple[int, int, int | None], int, int]]:
    """Every day of the year that is named: (day, month, year or None). 3/4 is the third of April and the fourth of March."""
    for match in _DAY_MONTH.finditer(text.text):
        yield (int(match[1]), _MONTH_NUMBERS[match[2]], _year(match[3])), match.start(), match.end()
    for match in _MONTH_DAY.finditer(text.text):
        yield (int(match[2]), _MONTH_NUMBERS[match[1]], _year(match[3])), match.start(), match.end()
    for match in _ISO.finditer(text.text):
        yield (int(match[3]), int(match[2]), int(match[1])), match.start(), match.end()
    for match in _NUMERIC.finditer(text.text):
        if match[2] == "." and match[4] is None and not match[0].endswith("."):
            continue  # 4.5 is a number
        if match[2] == "-" and match[4] is None:
            continue  # 2-3 is a span
        one, other, year = int(match[1]), int(match[3]), _year(match[4])
        yield (one, other, year), match.start(), match.end()
        if match[2] == "/":
            yield (other, one, year), match.start(), match.end()


def _year(written: str | None) -> int | None:
    if not written:
        return None
    return int(written) if len(written) == 4 else None


_PHONE: Final = re.compile(rf"\+?\(?[\d{MASK}](?:[\s()/.\-–]{{0,3}}[\d{MASK}]){{4,20}}")


def phones(text: str) -> Iterator[tuple[str, int, int]]:
    """Whatever may be a telephone number or another long number: its digits, with “*” for each run that is masked."""
    for match in _PHONE.finditer(text):
        signs = re.sub(rf"[{re.escape(MASK)}]+", "*", re.sub(r"[\s()/.\-–+]", "", match[0].replace("(0)", "")))
        if sum(sign.isdigit() for sign in signs) >= 4:
            yield signs, match.start(), match.end()


_AT: Final = r"\s*(?:@|[(\[{<]\s*(?:at|aet|a|@|arobase|chez)\s*[)\]}>]|\s(?:at|aet|arobase|klammeraffe)\s)\s*"
_DOT: Final = r"\s*(?:\.|[(\[{<]\s*(?:dot|punkt|point|\.)\s*[)\]}>]|\s(?:dot|punkt|point)\s)\s*"
_MAIL: Final = re.compile(
    rf"(?P<local>[\w+*•…-]+(?:(?:\.|{_DOT})[\w+*•…-]+){{0,4}}){_AT}(?P<domain>[\w*•…-]+(?:{_DOT}[\w*•…-]+){{1,4}})"
)


def mails(text: Folded) -> Iterator[tuple[str, str, int, int]]:
    """Whatever may be a mail address, also “anna (at) home dot example”: before the sign, after it, where."""
    for match in _MAIL.finditer(text.text):
        local, domain = (re.sub(_DOT, ".", match[part]) for part in ("local", "domain"))
        yield local, domain, match.start(), match.end()
