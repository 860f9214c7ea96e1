"""Whether words for everybody tell what only we and one customer know: compared with what we know, exactly and nearly.

No model; word lists in English, German and French. What counts and what does not:

- A mail address, a telephone number or a postal address counts in every notation we read, masked, or with one slip of the pen, also
  when the customer wrote it in public first.
- A reference counts from four digits, a value of a field of the house's own from five signs (a single word without a digit from
  eight). Years count as nothing.
- A name counts in full, with a title or an initial; alone from seven letters and written as a name. A first name alone never
  does, unless it is said whose: “your husband Peter”. What stands in the public name of whoever wrote is no secret.
- An amount counts with a currency or two decimals; a day of the year with its month.
- Words that tell of a gift or of something written in private count where we have such a thing with the customer, or where
  they are said of “you”; a diagnosis counts when it is said of “you”.
- Everything but contact data and addresses may be repeated where the customer told that very thing in the same public thread.

tests/crm/language/test_confidences.py measures what is found of what was planted, and how often ordinary words are stopped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Final

from rapidfuzz.distance import OSA

from crm.language import notations
from crm.language.notations import Folded, compact, folded, plain


class Kind(StrEnum):
    """What a draft tells."""

    EMAIL = "email"
    PHONE = "phone"
    HANDLE = "handle"
    ADDRESS = "address"
    NAME = "name"
    RELATIVE = "relative"
    REFERENCE = "reference"
    AMOUNT = "amount"
    DAY = "day"
    FIELD = "field"
    GIFT = "gift"
    PRIVATE = "private"
    HEALTH = "health"


CONTACT: Final = frozenset({Kind.EMAIL, Kind.PHONE, Kind.HANDLE, Kind.ADDRESS})
"""What stays a find although the customer wrote it in public themselves."""
LONG_ENOUGH_FOR_A_SLIP: Final = 8
"""Signs from which one slip of the pen still means the same; in shorter ones it means something else too often."""


@dataclass(frozen=True, slots=True)
class Known:
    """One thing that we know. value: as it is kept; a day is “MM-DD” or “YYYY-MM-DD”, an amount a number."""

    kind: Kind
    value: str


@dataclass(frozen=True, slots=True)
class Public:
    """What everybody can see already. names: how the customer calls themselves there; said: what they wrote in that thread."""

    names: Sequence[str] = ()
    said: Sequence[str] = ()


@dataclass(frozen=True, slots=True, order=True)
class Told:
    """Where a draft tells something: draft[start:end], and what kind of thing that is; never what we know of it."""

    start: int
    end: int
    kind: Kind = field(compare=False)


_YOU: Final = re.compile(
    r"\b(?:you|your|yours|sie|ihr|ihre|ihren|ihrem|ihrer|ihnen|du|dir|dich|dein|deine|deinen|deiner|deinem|vous|votre|vos|tu"
    r"|toi|ta"
    r"|ton|tes|te)\b"
)
_GIFT: Final = re.compile(
    r"\b(?:vouchers?|gift ?cards?|gifts?|goodwill|gesture|little (?:something|surprise)|surprise|compensation|greeting card"
    r"|bouquet|flowers|gutschein\w*|geschenk\w*|kulanz\w*|aufmerksamkeit|uberraschung|entschadigung\w*|wiedergutmachung|blumen\w*"
    r"|grusskarte|bons? d['’]achat|cheques?[- ]cadeaux?|cadeaux?|geste commercial|dedommagement\w*|fleurs|petite attention)\b"
)
_TO_YOU: Final = re.compile(
    r"\b(?:(?:sent|send|sending|gave|give|granted|paid|credited) (?:you|it to you|to you)|your|you(?:['’]ll| will| have|['’]ve)?"
    r" (?:get|got|receive|received)|ihre?[nmrs]?|(?:ihnen|dir) \w+|deine?[nmr]?|(?:erhalten|bekommen) sie|(?:erhaltst"
    r"|bekommst) du|votre|vos|ton"
    r"|vous (?:avez recu|recevrez|avons \w+|envoyons|offrons)|t['’]avons \w+)\b"
)
_PRIVATE: Final = re.compile(
    r"\b(?:your (?:case|ticket|file|claim)\b(?! of\b)|(?:case|ticket|file|claim) (?:number|no\.?|id)\b|in your (?:e-?mail"
    r"|letter|call|chat|phone call)"
    r"|your (?:earlier|previous|other|last|first) (?:complaints?|e-?mails?|calls?|letters?|cases?|orders?)"
    r"|(?:when you|you have|you['’]ve|you) (?:called|phoned|rang|e-?mailed|visited|chatted)|you (?:told|said"
    r"|wrote)[\w ]{0,30} (?:by phone|on the"
    r" phone|by e-?mail|in the (?:shop|store|chat))|we spoke on the phone"
    r"|(?:ihr|ihre|ihrem|ihres|ihren|dein|deine|deinem) (?:fall|vorgang|ticket|akte|vorgangs)\b|vorgangsnummer|aktenzeichen"
    r"|ticketnummer|fallnummer"
    r"|in (?:ihrer|deiner|ihrem|deinem) (?:e-?mail|anruf|brief|chat|schreiben)|(?:ihr|ihre|ihrem|dein|deine) (?:anruf"
    r"|fruhere\w* beschwerden?"
    r"|letzte\w* (?:beschwerde|bestellung|e-?mail))|(?:uns|mir) (?:am telefon|telefonisch|per e-?mail) \w+"
    r"|sie (?:haben )?(?:uns )?(?:angerufen"
    r"|angemailt)|votre (?:dossier|ticket|affaire)|numero de (?:dossier|ticket)|dans votre (?:e-?mail|mail|courriel|lettre|appel)"
    r"|votre (?:precedente|derniere|premiere) (?:reclamation|commande|lettre)|vous nous avez (?:appele\w*|telephone\w*"
    r"|ecrit par \w+)"
    r"|(?:dit|explique) (?:au|par) telephone)\b"
)
_HEALTH: Final = re.compile(
    r"\b(?:diagnos\w*|cancer|tumou?rs?|illness|disease|surgery|operation|chemo\w*|pregnan\w*|miscarriage|depression|burn-?out"
    r"|diabet\w*|asthma"
    r"|hiv|disab\w*|wheelchair|hospital|medication|allerg\w+|stroke|dementia|krebs\w*|krankheit\w*|erkrank\w*|schwanger\w*"
    r"|fehlgeburt|krankenhaus\w*"
    r"|klinik|depressi\w*|behinder\w*|rollstuhl|schlaganfall|demenz|medikament\w*|chimio\w*|maladie\w*|enceinte|grossesse"
    r"|fausse couche|hopital"
    r"|handicap\w*|fauteuil roulant|medicament\w*|asthme|avc)\b"
)
_OUR_DEVICE: Final = re.compile(r"\boperation\b|\ballerg\w+\b|\bdisab\w*\b|\bdiagnos\w*\b")
"""Words that machines have too: they count only when they are said as one's own."""
_OWN: Final = re.compile(
    r"\b(?:your|ihre?[nmrs]?|deine?[nmrs]?|votre|vos|ta|ton)\s+(?:\w+\s+){0,2}$|\b(?:you (?:were|are|have|had)|sie (?:sind"
    r"|haben)|vous (?:etes|avez))"
    r"\s+(?:\w+\s+){0,3}$"
)
_BIRTHDAY: Final = re.compile(r"\b(?:birthday|geburtstag\w*|(?:votre|ton|d['’]) ?anniversaire)\b")
_ENDING: Final = re.compile(
    r"\b(?:ending (?:in|with|on)|ends? (?:in|with)|last (?:four )?digits(?: are)?|endet auf|endend auf|mit den endziffern"
    r"|endziffern|letzten"
    r" ziffern|(?:se terminant|finissant|termine|finit) par)\s*:?\s*(\d{3,6})\b"
)
_TITLE: Final = r"(?:mr|mrs|ms|miss|herr|herrn|frau|familie|family|dr|prof|m|mme|mlle|madame|monsieur|famille)\.?\s+"
_RELATION: Final = (
    r"\b(?:your|ihre?[nmrs]?|deine?[nmrs]?|votre|ton|ta)\s+(?:\w+\s+)?(?:husband|wife|partner|son|daughter|mother|father"
    r"|child|sister|brother"
    r"|flatmate|neighbou?r|mann|frau|ehemann|ehefrau|partnerin|sohn|tochter|mutter|vater|kind|schwester|bruder|betreuer\w*"
    r"|anwalt|anwaltin|mari"
    r"|femme|epouse|epoux|fils|fille|mere|pere|soeur|frere|conjointe?|lawyer|carer|guardian)\s+"
)
_STREET_WORDS: Final = {
    "strasse": "str", "street": "st", "avenue": "ave", "av": "ave", "road": "rd", "platz": "pl", "place": "pl",
    "boulevard": "bd", "blvd": "bd", "lane": "ln", "drive": "dr", "allee": "al", "square": "sq", "gasse": "g", "chemin": "ch",
    "impasse": "imp", "r": "rue", "saint": "st", "sankt": "st",
}  # fmt: skip
_NO_SURNAME: Final = frozenset(
    {"customer", "customers", "service", "account", "private", "unknown", "kunde", "kundin", "client", "cliente"}
)
_TOKEN: Final = re.compile(r"[^\W_]+")
_SENTENCE: Final = re.compile(r"[^.!?\n]+")
_UK_POSTCODE: Final = re.compile(r"\b[a-z]{1,2}\d[a-z\d]? ?\d[a-z]{2}\b")


def told(draft: str, known: Sequence[Known], *, public: Public | None = None) -> list[Told]:
    """Say where a draft tells what only we and this customer know, in the order of the draft; [] when it may stand in public.

    known: all that we know of them. public: what everybody can see already.
    """
    public = public or Public()
    found = _told(draft, known, public)
    if found and public.said:
        repeated = [
            one for one in known if one.kind not in CONTACT and any(_told(said, [one], public) for said in public.said)
        ]
        left = [one for one in known if one not in repeated]
        again = _told(draft, left, public)
        found = [one for one in found if one.kind in CONTACT or one in again]
    return _outermost(found)


def confided(text: str) -> list[Known]:
    """What stands in words said in private and would tell of somebody in public: addresses, numbers, references, amounts."""
    whole = folded(text)
    found = [
        Known(Kind.EMAIL, f"{local}@{domain}")
        for local, domain, _s, _e in notations.mails(whole)
        if "*" not in local + domain
    ]
    found += [
        Known(Kind.PHONE, signs)
        for signs, _s, _e in notations.phones(text)
        if "*" not in signs and 9 <= len(signs) <= 15
    ]
    for match in re.finditer(r"[A-Za-z0-9](?:[A-Za-z0-9]|[-/_](?=[A-Za-z0-9]))*", text):
        if (
            sum(sign.isdigit() for sign in match[0]) >= 4
            and not _is_year(match[0])
            and not re.fullmatch(r"\d{4}-\d\d-\d\d", match[0])
        ):
            found.append(Known(Kind.REFERENCE, match[0]))
    return found


def _told(draft: str, known: Sequence[Known], public: Public) -> list[Told]:
    whole = folded(draft)
    found: list[tuple[Kind, int, int]] = []
    finders = {
        Kind.EMAIL: _mail, Kind.PHONE: _phone, Kind.HANDLE: _handle, Kind.ADDRESS: _address, Kind.REFERENCE: _reference,
        Kind.AMOUNT: _amount, Kind.DAY: _day, Kind.FIELD: _field,
    }  # fmt: skip
    tokens = [(match.start(), match.end()) for match in _TOKEN.finditer(whole.text)]
    seen: set[Known] = set()
    for one in known:
        if one in seen or not one.value.strip():
            continue
        seen.add(one)
        if one.kind in finders:
            found += [(one.kind, start, end) for start, end in finders[one.kind](whole, tokens, one.value)]
        elif one.kind in (Kind.NAME, Kind.RELATIVE):
            found += [(one.kind, start, end) for start, end in _name(draft, whole, tokens, one, public)]
    kinds = {one.kind for one in known}
    found += [*_of_gifts(whole, has_gift=Kind.GIFT in kinds), *_of_talks(whole), *_of_health(whole)]
    if Kind.DAY in kinds:
        found += [(Kind.DAY, match.start(), match.end()) for match in _BIRTHDAY.finditer(whole.text)]
    return [Told(*whole.span(start, end), kind=kind) for kind, start, end in found if end > start]


def _outermost(found: list[Told]) -> list[Told]:
    """Each place once: what lies inside another find is told by that one."""
    kept: list[Told] = []
    for one in sorted(found, key=lambda it: (it.start, -it.end)):
        if not kept or one.start >= kept[-1].end:
            kept.append(one)
    return kept


def _alike(one: str, other: str) -> bool:
    """The same, or the same but for one slip where it is long enough."""
    if one == other:
        return True
    return min(len(one), len(other)) >= LONG_ENOUGH_FOR_A_SLIP and OSA.distance(one, other, score_cutoff=1) <= 1


def _windows(whole: Folded, tokens: Sequence[tuple[int, int]], most: int) -> Iterator[tuple[str, int, int]]:
    """Up to so many words in a row, letters and digits alone."""
    for first, (start, _end) in enumerate(tokens):
        joined = ""
        for begins, ends in tokens[first : first + most]:
            joined += whole.text[begins:ends]
            yield joined, start, ends


def _mail(whole: Folded, tokens: Sequence[tuple[int, int]], value: str) -> Iterator[tuple[int, int]]:
    local, _at, domain = plain(value).rpartition("@")
    if not local:
        return
    for its_local, its_domain, start, end in notations.mails(whole):
        if any(sign in "*•…" for sign in its_local + its_domain):
            pattern = ".*".join(map(re.escape, re.split(r"[*•…]+", f"{its_local}@{its_domain}")))
            if re.fullmatch(pattern, f"{local}@{domain}"):
                yield start, end
            continue
        same_box = (its_local == local and len(local) >= 4) or its_local.endswith((f".{local}", f"-{local}"))
        if same_box or _alike(f"{its_local}@{its_domain}", f"{local}@{domain}"):
            yield start, end
    bare = compact(f"{local}{domain}")
    spoken = compact(local)
    for joined, start, end in _windows(whole, tokens, 8):
        if joined == bare or (
            joined == spoken
            and len(spoken) >= 6
            and re.search(r"[.\d_+-]", local)
            and re.search(r"[.\d_+-]", whole.text[start:end])
        ):
            yield start, end


def _national(digits: str) -> str:
    """A telephone number without what differs by where one dials from."""
    return digits.removeprefix("00").lstrip("0")


def _phone(whole: Folded, tokens: Sequence[tuple[int, int]], value: str) -> Iterator[tuple[int, int]]:
    digits = _national(re.sub(r"\D", "", value))
    if len(digits) < 6:
        return
    for signs, start, end in notations.phones(whole.text):
        shown = _national(signs)
        if "*" in shown:
            parts = shown.split("*")
            if sum(map(len, parts)) >= 4 and _masked(parts, digits):
                yield start, end
            continue
        same_end = digits.endswith(shown) or shown.endswith(digits)
        slipped = (_alike(shown, digits[cut:]) for cut in range(4) if len(digits) - cut >= LONG_ENOUGH_FOR_A_SLIP)
        if (same_end and len(shown) >= min(7, len(digits))) or (len(shown) > LONG_ENOUGH_FOR_A_SLIP and any(slipped)):
            yield start, end
    yield from _ending(whole, digits)


def _masked(parts: list[str], digits: str) -> bool:
    """Whether a number of which parts are masked can be this one; its beginning may lack the code of the country."""
    pattern = r"\d+".join(map(re.escape, parts))
    return bool(re.fullmatch(rf"\d{{0,4}}{pattern}", digits))


def _ending(whole: Folded, digits: str) -> Iterator[tuple[int, int]]:
    for match in _ENDING.finditer(whole.text):
        if digits.endswith(match[1]):
            yield match.start(), match.end()


def _handle(whole: Folded, tokens: Sequence[tuple[int, int]], value: str) -> Iterator[tuple[int, int]]:
    name = plain(value).lstrip("@").partition(":")[2] or plain(value).lstrip("@")
    if len(name) >= 4:
        for match in re.finditer(rf"(?<!\w)@?{re.escape(name)}(?!\w)", whole.text):
            if match[0].startswith("@") or len(name) >= LONG_ENOUGH_FOR_A_SLIP or re.search(r"[\d_]", name):
                yield match.start(), match.end()


def _street(words: Sequence[str]) -> str:
    """A street without what it may be abbreviated to."""
    if not words:
        return ""
    joined = "".join(_STREET_WORDS.get(word, word) for word in words)
    return re.sub(r"strasse$", "str", joined)


def _address(whole: Folded, tokens: Sequence[tuple[int, int]], value: str) -> Iterator[tuple[int, int]]:
    for line in re.split(r"[,;\n]", plain(value)):
        words = _TOKEN.findall(line)
        code = _UK_POSTCODE.search(line)
        for word in words:
            if word.isdigit() and 4 <= len(word) <= 5:
                yield from _number_alone(whole, word)
        if code is not None:
            wanted = code[0].replace(" ", "")
            for match in _UK_POSTCODE.finditer(whole.text):
                if match[0].replace(" ", "") == wanted:
                    yield match.start(), match.end()
        names = [word for word in words if not word[0].isdigit()]
        has_number = any(word[0].isdigit() and len(word) <= 4 for word in words)
        street = _street(names)
        if code is not None or not has_number or len(street) < 5:
            continue
        for first, (start, _end) in enumerate(tokens):
            for last in range(first, min(first + len(names) + 2, len(tokens))):
                end = tokens[last][1]
                here = _street([whole.text[a:b] for a, b in tokens[first : last + 1]])
                if _alike(here, street):
                    yield start, end


def _number_alone(whole: Folded, digits: str) -> Iterator[tuple[int, int]]:
    if _is_year(digits):
        return
    for match in re.finditer(rf"(?<![\d.,]){digits}(?![\d]|[.,]\d)", whole.text):
        yield match.start(), match.end()


def _is_year(written: str) -> bool:
    return len(written) == 4 and written.isdigit() and 1900 <= int(written) <= 2099


def _reference(whole: Folded, tokens: Sequence[tuple[int, int]], value: str) -> Iterator[tuple[int, int]]:
    wanted = compact(value)
    digits = sum(sign.isdigit() for sign in wanted)
    if digits < 3 or len(wanted) < 4 or _is_year(wanted):
        return
    short = len(wanted) < 6
    for joined, start, end in _windows(whole, tokens, 1 if short else 8):
        if len(joined) > len(wanted) + 1:
            continue
        if joined == wanted or (sum(sign.isdigit() for sign in joined) >= digits - 1 and _alike(joined, wanted)):
            yield start, end
    parts = {part for part in re.findall(r"\d+", wanted) + re.findall(r"\d+", value) if part != wanted}
    for part in parts:
        bare = part.lstrip("0")
        if len(bare) >= 4 and not _is_year(bare):
            for match in re.finditer(rf"(?<!\d)0*{bare}(?!\d)", whole.text):
                yield match.start(), match.end()
    trailing = re.search(r"\d+$", wanted)
    if trailing is not None:
        yield from _ending(whole, trailing[0])


def _amount(whole: Folded, tokens: Sequence[tuple[int, int]], value: str) -> Iterator[tuple[int, int]]:
    try:
        wanted = Decimal(value)
    except InvalidOperation:
        return
    if wanted > 0:
        yield from ((start, end) for amount, start, end in notations.amounts(whole) if amount == wanted)


def _day(whole: Folded, tokens: Sequence[tuple[int, int]], value: str) -> Iterator[tuple[int, int]]:
    *year, month, day = map(int, value.split("-"))
    for (its_day, its_month, its_year), start, end in notations.days(whole):
        if (its_day, its_month) == (day, month) and (not year or its_year is None or its_year == year[0]):
            yield start, end


def _field(whole: Folded, tokens: Sequence[tuple[int, int]], value: str) -> Iterator[tuple[int, int]]:
    iso = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)", value)
    if iso is not None:
        yield from _day(whole, tokens, value)
        return
    wanted = compact(value)
    if sum(sign.isdigit() for sign in wanted) >= 3:
        yield from _reference(whole, tokens, value)
        return
    words = _TOKEN.findall(plain(value))
    if len(wanted) < (LONG_ENOUGH_FOR_A_SLIP if len(words) == 1 and wanted.isalpha() else 5) or len(words) > 12:
        return
    for joined, start, end in _windows(whole, tokens, len(words) + 1):
        if _alike(joined, wanted):
            yield start, end


def _name(
    draft: str, whole: Folded, tokens: Sequence[tuple[int, int]], one: Known, public: Public
) -> Iterator[tuple[int, int]]:
    words = [word for word in _TOKEN.findall(plain(one.value)) if len(word) > 1 and not word.isdigit()]
    if one.kind == Kind.RELATIVE and words:
        for match in re.finditer(rf"{_RELATION}{re.escape(words[0])}\b", whole.text):
            yield match.start(), match.end()
    if len(words) < 2 or _shown(words, public):
        return
    first, last = words[0], words[-1]
    names = {"".join(words), first + last, last + first}
    for joined, start, end in _windows(whole, tokens, len(words)):
        if joined.isalpha() and any(_alike(joined, name) for name in names):
            yield start, end
    if len(last) < 3:
        return
    for match in re.finditer(rf"\b(?:{_TITLE}(?:\w+\s+)?|{re.escape(first[0])}\.\s*){re.escape(last)}\b", whole.text):
        yield match.start(), match.end()
    if len(last) >= 7 and last not in _NO_SURNAME:
        for match in re.finditer(rf"\b{re.escape(last)}s?\b", whole.text):
            if draft[whole.at[match.start()]].isupper():
                yield match.start(), match.end()


def _shown(words: Sequence[str], public: Public) -> bool:
    """Whether somebody's name stands in the name they use in public."""
    return any(
        words[-1] in compact(name) and (words[0] in compact(name) or len(words[-1]) >= 5) for name in public.names
    )


def _sentences(whole: Folded) -> Iterator[tuple[int, str]]:
    for match in _SENTENCE.finditer(whole.text):
        yield match.start(), match[0]


def _of_gifts(whole: Folded, *, has_gift: bool) -> Iterator[tuple[Kind, int, int]]:
    for begins, sentence in _sentences(whole):
        for match in _GIFT.finditer(sentence):
            if has_gift or _TO_YOU.search(sentence):
                yield Kind.GIFT, begins + match.start(), begins + match.end()


def _of_talks(whole: Folded) -> Iterator[tuple[Kind, int, int]]:
    yield from ((Kind.PRIVATE, match.start(), match.end()) for match in _PRIVATE.finditer(whole.text))


def _of_health(whole: Folded) -> Iterator[tuple[Kind, int, int]]:
    for begins, sentence in _sentences(whole):
        for match in _HEALTH.finditer(sentence):
            own = _OWN.search(sentence[: match.start()])
            if own or (_YOU.search(sentence) and not _OUR_DEVICE.fullmatch(match[0])):
                yield Kind.HEALTH, begins + match.start(), begins + match.end()
