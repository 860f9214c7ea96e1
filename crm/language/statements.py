"""What an answer states: money offered, days named, a yes or a no to what we do; and whether two answers agree.

Word patterns in English and German, no model. It is made to ask a colleague once too seldom rather than too often: only plain
offers, plain refusals and plain days count; questions, conditions and what the customer paid do not.
tests/crm/language/test_statements.py measures how often it stops real follow-up answers where that data is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

MONTHS: Final = {
    name: number
    for number, names in enumerate(
        (
            "january januar jan", "february februar feb", "march märz mar", "april apr", "may mai", "june juni jun",
            "july juli jul", "august aug", "september sept sep", "october oktober oct okt", "november nov",
            "december dezember dec dez",
        ),
        1,
    )
    for name in names.split()
}  # fmt: skip
WEEKDAYS: Final = {
    name: number
    for number, names in enumerate(
        (
            "monday montag", "tuesday dienstag", "wednesday mittwoch", "thursday donnerstag", "friday freitag",
            "saturday samstag sonnabend", "sunday sonntag",
        )
    )
    for name in names.split()
}  # fmt: skip
NUMBERS: Final = {
    name: number
    for number, names in enumerate(
        (
            "one a an ein eine einem einer", "two zwei", "three drei", "four vier", "five fünf", "six sechs",
            "seven sieben", "eight acht", "nine neun", "ten zehn",
        ),
        1,
    )
    for name in names.split()
}  # fmt: skip
CURRENCIES: Final = {
    "€": "EUR", "eur": "EUR", "euro": "EUR", "euros": "EUR", "$": "USD", "usd": "USD", "dollar": "USD", "dollars": "USD",
    "£": "GBP", "gbp": "GBP", "pound": "GBP", "pounds": "GBP", "chf": "CHF", "franken": "CHF",
}  # fmt: skip


class Act(StrEnum):
    """What we do or refuse to do about a failure."""

    REFUND = "refund"
    REPLACE = "replace"
    REPAIR = "repair"
    REVERSE = "reverse"
    DELIVER = "deliver"


_ACTS: Final = {
    Act.REFUND: r"refund\w*|reimburs\w*|money back|(?:rück)?erstatt\w*|zurück(?:zu)?(?:zahl|überweis|erstatt)\w*|geld zurück",
    Act.REPLACE: r"replac\w*|exchang\w*|ersetz\w*|austausch\w*|umtausch\w*|ersatz\w*",
    Act.REPAIR: r"repair\w*|mend(?:ed|ing)?|reparier\w*|reparatur\w*",
    Act.REVERSE: r"revers\w*|undo|undone|rückgängig",
    Act.DELIVER: r"deliver\w*|arriv\w*|ship(?:ped|s|ping)?|geliefert|liefern\w*|lieferung|verschick\w*|versend\w*",
}  # fmt: skip
_ACT_WORDS: Final = {act: re.compile(rf"\b(?:{words})\b", re.IGNORECASE) for act, words in _ACTS.items()}
_BETWEEN: Final = r"(?:[^\w.!?;:]+\w+){0,5}[^\w.!?;:]+"
_NO_BEFORE: Final = (
    r"\b(?:cannot|can['’]t|can not|could not|couldn['’]t|unable to|not able to|won['’]t|will not|do not|don['’]t|are not"
    r"|aren['’]t|not (?:eligible|entitled)(?: for| to)?|not possible|no|never|kein\w*|nicht)"
    r"(?!\W+(?:yet|only|until|just|need|problem|doubt|longer|wait|hesitate|forget|worry|have|know|nur|länger)\b)"
)
_NO_AFTER: Final = (
    r"(?:is not|isn['’]t|not) (?:possible|available|offered)|impossible|(?:was |is |has been )?(?:declined|refused|denied)"
    r"|(?:leider )?nicht(?! nur)(?: möglich)?|ausgeschlossen|abgelehnt"
)
_NO: Final = {
    act: re.compile(rf"{_NO_BEFORE}{_BETWEEN}(?:{words})\b|\b(?:{words}){_BETWEEN}(?:{_NO_AFTER})\b", re.IGNORECASE)
    for act, words in _ACTS.items()
    if act != Act.DELIVER  # a day is named for it; that something did not arrive is no refusal
}
_NOT_DECIDED: Final = re.compile(
    r"\b(?:if|whether|may|might|could|would|check|see about|request(?:ed)?|ask(?:ed|ing)?|please|until|unless|once"
    r"|ob|falls|wenn|könnten?|würden?|prüfen?|bitte|sobald|earlier|sooner|before now|früher|noch nicht|not yet)\b",
    re.IGNORECASE,
)
_WE: Final = re.compile(r"\b(?:we|i|i['’]ll|we['’]ll|you|your|wir|ich|sie|ihnen|ihre?|du|dir|dein)\b", re.IGNORECASE)
_OFFER: Final = re.compile(
    r"\b(?:refund\w*|reimburs\w*|compensat\w*|goodwill|voucher|credit(?:ed)?|(?:we|i)(?:['’]ll| will| have|['’]ve|['’]re)?"
    r" (?:pay|paying|paid|transfer\w*|send|sent|give|gave|offer\w*|return\w*)|pay(?:s|ing)? (?:you|back)"
    r"|you(?:['’]ll| will)? (?:get|receive)|erstatt\w*|rückerstatt\w*|zurück(?:zahl|überweis)\w*|überweis\w*|überwiesen"
    r"|gutschr\w*|gutgeschrieben|gutschein\w*|entschädig\w*|kulanz\w*|(?:wir|ich) (?:zahlen?|geben?|bieten?)"
    r"|(?:zahlen|geben|bieten) wir|(?:sie|du) (?:bekommen|bekommst|erhalten|erhältst)|(?:bekommen|erhalten) sie)\b",
    re.IGNORECASE,
)
_PAID: Final = re.compile(
    r"(?:you (?:had )?paid|charged(?: you)?|cost|costs|price|worth|invoice|instead of|more than|order of|bezahlt|abgebucht"
    r"|berechnet|kostete?|preis|wert|rechnung|statt|mehr als)\W+(?:\w+\W+){0,3}$",
    re.IGNORECASE,
)
_NUMBER: Final = r"\d{1,3}(?:[.,' ]\d{3})+(?:[.,]\d{1,2})?|\d+(?:[.,]\d{1,2})?"
_MONEY: Final = re.compile(
    rf"(?P<before>€|\$|£|\b(?:EUR|USD|GBP|CHF))\s?(?P<a>{_NUMBER})(?!\d)"
    rf"|(?<![\w.,])(?P<b>{_NUMBER})(?:,-)?\s?(?P<after>€|\$|£|(?:EUR|USD|GBP|CHF|euros?|dollars?|pounds?|franken)\b)",
    re.IGNORECASE,
)
_ONE_PERSON: Final = re.compile(
    r"\b(?:exception\w*|(?:just|only) for you|special (?:favou?r|offer|treatment)|ausnahm\w*|nur für (?:sie|dich)"
    r"|sonderfall|extra für (?:sie|dich))\b",
    re.IGNORECASE,
)
_MONTH: Final = "|".join(sorted(MONTHS, key=len, reverse=True))
_DAY: Final = "|".join(WEEKDAYS)
_COUNT: Final = rf"(?:\d{{1,3}}|{'|'.join(NUMBERS)})"
_ISO: Final = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
_GERMAN: Final = re.compile(r"\b(\d{1,2})\.(\d{1,2})\.(\d{4})?(?!\d)")
_DAY_MONTH: Final = re.compile(
    rf"\b(\d{{1,2}})(?:st|nd|rd|th|\.)? (?:of )?({_MONTH})\b(?:,? (\d{{4}}))?", re.IGNORECASE
)
_MONTH_DAY: Final = re.compile(rf"\b({_MONTH}) (\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? (\d{{4}}))?", re.IGNORECASE)
_WEEKDAY: Final = re.compile(
    rf"\b(?:by|on|until|before|this|next|bis|am|spätestens|nächsten) (?:zum )?({_DAY})\b", re.IGNORECASE
)
_SPAN: Final = re.compile(
    rf"\b(?:within|in|inside|innerhalb(?: von)?|binnen) (?:the next |the |den nächsten |der nächsten )?(?:\d+ ?(?:-|to|bis) ?)?"
    rf"({_COUNT}) (?:(working|business) )?(hours?|days?|weeks?|stunden?|tagen?|werktagen?|arbeitstagen?|wochen?)\b",
    re.IGNORECASE,
)
_TOMORROW: Final = re.compile(r"\btomorrow\b|(?<!guten )(?<!jeden )\bmorgen\b", re.IGNORECASE)
_TODAY: Final = re.compile(r"\b(?:today|heute)\b", re.IGNORECASE)
_SENTENCE: Final = re.compile(r"(?<=[.!?])(?<!\d\.)\s+|\n+")


@dataclass(frozen=True, slots=True)
class Stated:
    """What one text states.

    amounts: (currency, amount, sentence) of every sum that is offered. yes, no: act to the sentence that says so.
    days: act to (the latest day named for it, sentence).
    """

    amounts: tuple[tuple[str, Decimal, str], ...] = ()
    yes: Mapping[Act, str] = field(default_factory=dict)
    no: Mapping[Act, str] = field(default_factory=dict)
    days: Mapping[Act, tuple[date, str]] = field(default_factory=dict)

    @property
    def offered(self) -> dict[str, Decimal]:
        """What is offered in all, by currency; a sum that the text adds up itself is not counted twice."""
        totals: dict[str, Decimal] = {}
        for currency in {currency for currency, _amount, _sentence in self.amounts}:
            parts = sorted({amount for known, amount, _sentence in self.amounts if known == currency})
            most, rest = parts[-1], sum(parts[:-1], Decimal(0))
            totals[currency] = most if rest == most else most + rest
        return totals


@dataclass(frozen=True, slots=True)
class Owing:
    """What is owed: money >= 0 in `currency`, and acts such as "refund", "reverse" or "repair_or_replace"."""

    amount: Decimal
    currency: str
    acts: frozenset[str] = frozenset()


class Clash(StrEnum):
    """How a draft does not go with what was said or is owed."""

    LESS = "less"
    NO_AFTER_YES = "no_after_yes"
    LATER = "later"
    BELOW_OWED = "below_owed"
    NO_THOUGH_OWED = "no_though_owed"


@dataclass(frozen=True, slots=True)
class Found:
    """One contradiction. draft: the sentence of the draft; earlier: what we said before, or "" where it is owed."""

    clash: Clash
    draft: str
    earlier: str = ""

    @property
    def is_owed(self) -> bool:
        return self.clash in (Clash.BELOW_OWED, Clash.NO_THOUGH_OWED)


def read(text: str, *, on: date | None = None) -> Stated:
    """Read what a text states. on: the day it was said, for "by Friday" and "within three days"; None reads no such days."""
    amounts: list[tuple[str, Decimal, str]] = []
    yes: dict[Act, str] = {}
    no: dict[Act, str] = {}
    days: dict[Act, tuple[date, str]] = {}
    for sentence in _sentences(text):
        open_ended = bool(_NOT_DECIDED.search(sentence))
        refused = [act for act, pattern in _NO.items() if pattern.search(sentence)]
        named = [act for act, pattern in _ACT_WORDS.items() if pattern.search(sentence) and act not in refused]
        if not open_ended:
            no.update(dict.fromkeys(refused, sentence))
            if _WE.search(sentence):
                yes.update(dict.fromkeys((act for act in named if act in _NO), sentence))
        if not refused and _OFFER.search(sentence):
            amounts += [(currency, amount, sentence) for currency, amount in _money(sentence)]
        known = _days(sentence, on=on) if on and named else []
        for act in named if known else ():
            latest = max(known)
            if act not in days or days[act][0] < latest:
                days[act] = (latest, sentence)
    return Stated(tuple(amounts), yes, no, days)


def contradictions(
    draft: str, *, on: date, earlier: Sequence[tuple[date, str]] = (), owed: Owing | None = None
) -> list[Found]:
    """Say where a draft does not go with what the customer was told before, or with what is owed.

    on: the day the draft is written. earlier: (day, text) of our answers, oldest first; the newest that states a thing counts
    for it, so that an answer corrected before is not held against its correction. Returns [] when all agrees.
    """
    said = read(draft, on=on)
    told = [read(text, on=day) for day, text in earlier]
    return [
        *_less(said, told, owed),
        *(
            Found(Clash.NO_AFTER_YES, sentence, told_yes)
            for act, sentence in said.no.items()
            if (told_yes := _newest_yes(told, act))
        ),
        *(
            Found(Clash.LATER, sentence, before[1])
            for act, (day, sentence) in said.days.items()
            if (before := next((known.days[act] for known in reversed(told) if act in known.days), None))
            and day > before[0]
        ),
        *(Found(Clash.NO_THOUGH_OWED, sentence) for sentence in _refused_though_owed(said, owed)),
    ]


def is_for_one_person(text: str) -> bool:
    """Say whether words speak of an exception for this one person."""
    return bool(_ONE_PERSON.search(text))


def _sentences(text: str) -> list[str]:
    parts = (" ".join(part.split()) for part in _SENTENCE.split(text))
    return [part for part in parts if part and not part.endswith("?")]


def _money(sentence: str) -> list[tuple[str, Decimal]]:
    found = []
    for match in _MONEY.finditer(sentence):
        if not _PAID.search(sentence[: match.start()]):
            sign = (match["before"] or match["after"]).casefold()
            found.append((CURRENCIES[sign], _number(match["a"] or match["b"])))
    return found


def _number(written: str) -> Decimal:
    """Read "1.200,50", "1,200.50", "1 200" and "12,5": a separator before one or two last digits is the decimal one."""
    whole, last = re.fullmatch(r"(.*?)(?:[.,](\d{1,2}))?", written).groups()  # type: ignore[union-attr]
    return Decimal(f"{re.sub('[^0-9]', '', whole)}.{last or 0}")


def _days(sentence: str, *, on: date) -> list[date]:
    found = [_day(int(y), int(m), int(d)) for y, m, d in _ISO.findall(sentence)]
    found += [_dated(int(d), int(m), y, on=on) for d, m, y in _GERMAN.findall(sentence)]
    found += [_dated(int(d), MONTHS[m.casefold()], y, on=on) for d, m, y in _DAY_MONTH.findall(sentence)]
    found += [_dated(int(d), MONTHS[m.casefold()], y, on=on) for m, d, y in _MONTH_DAY.findall(sentence)]
    found += [on + timedelta((WEEKDAYS[name.casefold()] - on.weekday()) % 7) for name in _WEEKDAY.findall(sentence)]
    for count, working, unit in _SPAN.findall(sentence):
        number = int(count) if count.isdigit() else NUMBERS[count.casefold()]
        found.append(_after(on, number, unit=unit.casefold(), working=bool(working)))
    if _TOMORROW.search(sentence):
        found.append(on + timedelta(1))
    if _TODAY.search(sentence):
        found.append(on)
    return [day for day in found if day is not None and day >= on]


def _after(on: date, number: int, *, unit: str, working: bool) -> date:
    if unit.startswith(("hour", "stunde")):
        return on + timedelta(hours=number)
    if unit.startswith(("week", "woche")):
        return on + timedelta(weeks=number)
    if not working and not unit.startswith(("werk", "arbeit")):
        return on + timedelta(number)
    day = on
    while number:
        day += timedelta(1)
        number -= day.weekday() < 5
    return day


def _dated(day: int, month: int, year: str, *, on: date) -> date | None:
    if year:
        return _day(int(year), month, day)
    found = _day(on.year, month, day)
    return _day(on.year + 1, month, day) if found is not None and found < on - timedelta(180) else found


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _less(said: Stated, told: Sequence[Stated], owed: Owing | None) -> list[Found]:
    found = []
    for currency, total in said.offered.items():
        sentence = next(words for known, _amount, words in said.amounts if known == currency)
        before = next((known for known in reversed(told) if currency in known.offered), None)
        names_a_part = before is not None and _parts(said, currency) < _parts(before, currency)
        if before is not None and total < before.offered[currency] and not names_a_part:
            quoted = next(words for known, _amount, words in before.amounts if known == currency)
            found.append(Found(Clash.LESS, sentence, quoted))
        if owed is not None and currency == owed.currency and total < owed.amount:
            told_in_full = before is not None and before.offered[currency] >= owed.amount
            if not (names_a_part and told_in_full):
                found.append(Found(Clash.BELOW_OWED, sentence))
    return found


def _parts(stated: Stated, currency: str) -> set[Decimal]:
    return {amount for known, amount, _sentence in stated.amounts if known == currency}


def _newest_yes(told: Sequence[Stated], act: Act) -> str:
    for known in reversed(told):
        if act in known.no:
            return ""
        if act in known.yes:
            return known.yes[act]
    return ""


def _refused_though_owed(said: Stated, owed: Owing | None) -> list[str]:
    if owed is None:
        return []
    found = []
    if Act.REFUND in said.no and (owed.amount > 0 or Act.REFUND in owed.acts):
        found.append(said.no[Act.REFUND])
    if Act.REVERSE in said.no and Act.REVERSE in owed.acts:
        found.append(said.no[Act.REVERSE])
    if "repair_or_replace" in owed.acts and Act.REPAIR in said.no and Act.REPLACE in said.no:
        found.append(said.no[Act.REPAIR])
    return list(dict.fromkeys(found))
