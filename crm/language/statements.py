"""What an answer states: money offered, days named, a yes or a no to what we do; and whether two answers agree.

Word patterns in the seven languages customers are written to in, no model. It is made to ask a colleague once too seldom rather
than too often: only plain offers, plain refusals and plain days count; questions, conditions and what the customer paid do not.
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
            "january januar jan janvier enero gennaio januari stycznia",
            "february februar feb février fevrier febrero febbraio februari lutego", "march märz mar mars marzo maart marca",
            "april apr avril abril aprile kwietnia", "may mai mayo maggio mei maja", "june juni jun juin junio giugno czerwca",
            "july juli jul juillet julio luglio lipca", "august aug août aout agosto augustus sierpnia",
            "september sept sep septembre septiembre settembre września",
            "october oktober oct okt octobre octubre ottobre października",
            "november nov novembre noviembre listopada", "december dezember dec dez décembre decembre diciembre dicembre grudnia",
        ),
        1,
    )
    for name in names.split()
}  # fmt: skip
WEEKDAYS: Final = {
    name: number
    for number, names in enumerate(
        (
            "monday montag lundi lunes lunedì maandag poniedziałek poniedziałku",
            "tuesday dienstag mardi martes martedì dinsdag wtorek wtorku",
            "wednesday mittwoch mercredi miércoles mercoledì woensdag środa środę środy",
            "thursday donnerstag jeudi jueves giovedì donderdag czwartek czwartku",
            "friday freitag vendredi viernes venerdì vrijdag piątek piątku",
            "saturday samstag sonnabend samedi sábado sabato zaterdag sobota sobotę soboty",
            "sunday sonntag dimanche domingo domenica zondag niedziela niedzielę niedzieli",
        )
    )
    for name in names.split()
}  # fmt: skip
NUMBERS: Final = {
    name: number
    for number, names in enumerate(
        (
            "one a an ein eine einem einer un une uno una een jeden", "two zwei deux dos due twee dwa dwóch",
            "three drei trois tres tre drie trzy trzech", "four vier quatre cuatro quattro cztery czterech",
            "five fünf cinq cinco cinque vijf pięć pięciu", "six sechs seis sei zes sześć sześciu",
            "seven sieben sept siete sette zeven siedem siedmiu", "eight acht huit ocho otto osiem ośmiu",
            "nine neun neuf nueve nove negen dziewięć dziewięciu", "ten zehn dix diez dieci tien dziesięć dziesięciu",
        ),
        1,
    )
    for name in names.split()
}  # fmt: skip
CURRENCIES: Final = {
    "€": "EUR", "eur": "EUR", "euro": "EUR", "euros": "EUR", "$": "USD", "usd": "USD", "dollar": "USD", "dollars": "USD",
    "£": "GBP", "gbp": "GBP", "pound": "GBP", "pounds": "GBP", "chf": "CHF", "franken": "CHF",
    "zł": "PLN", "pln": "PLN", "złotych": "PLN", "złote": "PLN",
}  # fmt: skip


class Act(StrEnum):
    """What we do or refuse to do about a failure."""

    REFUND = "refund"
    REPLACE = "replace"
    REPAIR = "repair"
    REVERSE = "reverse"
    DELIVER = "deliver"


_ACTS: Final = {
    Act.REFUND: r"refund\w*|reimburs\w*|money back|(?:rück)?erstatt\w*|zurück(?:zu)?(?:zahl|überweis|erstatt)\w*|geld zurück"
    r"|rembours\w*|reembols\w*|devolv\w* el dinero|devolución del dinero|rimbors\w*|terug(?:betal|betaal|gestort|stort)\w*"
    r"|(?:zwrot\w*|zwróci\w*|zwraca\w*) (?:\w+ ){0,2}(?:pieni\w+|środk\w+|koszt\w+|kwot\w+|należno\w+|\d[\d.,]* ?zł)",
    Act.REPLACE: r"replac\w*|exchang\w*|ersetz\w*|austausch\w*|umtausch\w*|ersatz\w*"
    r"|rempla[cç]\w*|échang\w*|reemplaz\w*|sustitu\w*|sostitu\w*|vervang\w*|omruil\w*|wymien\w*|wymian\w*",
    Act.REPAIR: r"repair\w*|mend(?:ed|ing)?|reparier\w*|reparatur\w*"
    r"|répar\w*|repar(?:ar|amos|ación|ado|ada)\w*|ripar(?:are|iamo|azione|erem|at)\w*|reparer\w*|reparatie\w*|herstellen|napraw\w*",
    Act.REVERSE: r"revers\w*|undo|undone|rückgängig|annul(?:er|ons|é)\w*|anular\w*"
    r"|annull\w*|storn\w*|terugdraai\w*|ongedaan|cofn\w*|anuluj\w*",
    Act.DELIVER: r"deliver\w*|arriv\w*|ship(?:ped|s|ping)?|geliefert|liefern\w*|lieferung|verschick\w*|versend\w*"
    r"|livr(?:er|é|ée|aison|ons)\w*|expédi\w*|entreg\w*|enviar\w*|enviamos|consegn\w*|spedi\w*|geleverd|leveren|levering|bezorg\w*|verstuur\w*"
    r"|verzend\w*|dostarcz\w*|dostaw\w*|wyśle\w*|wysył\w*",
}  # fmt: skip
_ACT_WORDS: Final = {act: re.compile(rf"\b(?:{words})\b", re.IGNORECASE) for act, words in _ACTS.items()}
_BETWEEN: Final = r"(?:[^\w.!?;:]+\w+){0,5}[^\w.!?;:]+"
_NO_BEFORE: Final = (
    r"\b(?:cannot|can['’]t|can not|could not|couldn['’]t|unable to|not able to|won['’]t|will not|do not|don['’]t|are not"
    r"|aren['’]t|not (?:eligible|entitled)(?: for| to)?|not possible|no|never|kein\w*|nicht"
    r"|n(?:e |['’])(?!hésit)\w+(?: \w+)? pas|non (?:possiamo|posso|è possibile|siamo in grado di)|(?<!nog )(?:niet|geen)"
    r"|nie (?:możemy|mogę|jest możliw\w*|ma możliwości))"
    r"(?!\W+(?:yet|only|until|just|need|problem|doubt|longer|wait|hesitate|forget|worry|have|know|nur|länger|encore|besoin"
    r"|dude\w*|olvide\w*|solo|sólo|todavía|aún|hay problema|alleen|probleem|langer)\b)"
)
_NO_AFTER: Final = (
    r"(?:is not|isn['’]t|not) (?:possible|available|offered)|impossible|(?:was |is |has been )?(?:declined|refused|denied)"
    r"|(?:leider )?nicht(?! nur)(?: möglich)?|ausgeschlossen|abgelehnt"
    r"|n['’]est (?:malheureusement )?pas (?:possible|prévue?)|a été refusée?"
    r"|no (?:es posible|procede)|ha sido (?:denegad|rechazad)[oa]"
    r"|non è (?:possibile|previst[oa])|è stat[oa] (?:rifiutat|respint)[oa]"
    r"|(?:is )?(?:helaas )?niet mogelijk|is (?:afgewezen|geweigerd)|nie jest (?:niestety )?możliw[aey]|został[aoy]? odrzucon[aey]"
)
_NO: Final = {
    act: re.compile(rf"{_NO_BEFORE}{_BETWEEN}(?:{words})\b|\b(?:{words}){_BETWEEN}(?:{_NO_AFTER})\b", re.IGNORECASE)
    for act, words in _ACTS.items()
    if act != Act.DELIVER  # a day is named for it; that something did not arrive is no refusal
}
_NOT_DECIDED: Final = re.compile(
    r"\b(?:if|whether|may|might|could|would|check|see about|request(?:ed)?|ask(?:ed|ing)?|please|until|unless|once"
    r"|ob|falls|wenn|könnten?|würden?|prüfen?|bitte|sobald|earlier|sooner|before now|früher|noch nicht|not yet"
    r"|si|pourr\w+|peut-être|veuillez|vérifi\w+|dès que|pas encore|demander|podría\w*|quizás?|por favor|comprob\w+|en cuanto"
    r"|una vez|cuando|se (?:possiamo|dovess\w*|il|la|è)|potre\w+|per favore|verific\w+"
    r"|appena|una volta|quando|als (?:u|we|wij|het|de)|indien"
    r"|misschien|zouden?|zodra|wanneer|kunt u|alstublieft|nog niet|jeśli|jeżeli|gdy|może (?:pan|pani)|mogłob\w+"
    r"|proszę|prosimy|sprawdz\w+|czy|jeszcze nie)\b",
    re.IGNORECASE,
)
_WE: Final = re.compile(
    r"\b(?:we|i|i['’]ll|we['’]ll|you|your|wir|ich|sie|ihnen|ihre?|du|dir|dein"
    r"|nous|vous|je|votre|le|les|usted|ustedes|su|hemos|\w+(?:amos|emos|imos)|vi|abbiamo|\w+iamo|\w+eremo|wij|u|uw|jij|je|jou|państw\w*|pan\w*"
    r"|my|\w+(?:emy|imy|amy))\b",
    re.IGNORECASE,
)
_OFFER: Final = re.compile(
    r"\b(?:refund\w*|reimburs\w*|compensat\w*|goodwill|voucher|credit(?:ed)?|(?:we|i)(?:['’]ll| will| have|['’]ve|['’]re)?"
    r" (?:pay|paying|paid|transfer\w*|send|sent|give|gave|offer\w*|return\w*)|pay(?:s|ing)? (?:you|back)"
    r"|you(?:['’]ll| will)? (?:get|receive)|erstatt\w*|rückerstatt\w*|zurück(?:zahl|überweis)\w*|überweis\w*|überwiesen"
    r"|gutschr\w*|gutgeschrieben|gutschein\w*|entschädig\w*|kulanz\w*|(?:wir|ich) (?:zahlen?|geben?|bieten?)"
    r"|(?:zahlen|geben|bieten) wir|(?:sie|du) (?:bekommen|bekommst|erhalten|erhältst)|(?:bekommen|erhalten) sie"
    r"|rembours\w*|dédommag\w*|bon d['’]achat|geste commercial|(?:vous )?(?:recevrez|versons|verserons|créditons|crédité)"
    r"|reembols\w*|indemniz\w*|abonamos|abonaremos|recibirán?|rimbors\w*|indennizz\w*|accredit\w*|buono|riceverete|riceverà"
    r"|terug(?:betal|betaal|gestort|stort)\w*|vergoed\w*|tegoedbon|cadeaubon|u (?:ontvangt|krijgt)|(?:ontvangt|krijgt) u"
    r"|zwrot\w*|zwróci\w*|zwraca\w*|rekompensat\w*|otrzyma\w*)\b",
    re.IGNORECASE,
)
_PAID: Final = re.compile(
    r"(?:you (?:had )?paid|charged(?: you)?|cost|costs|price|worth|invoice|instead of|more than|order of|bezahlt|abgebucht"
    r"|berechnet|kostete?|preis|wert|rechnung|statt|mehr als"
    r"|\b(?:payé|facturée?s?|prix|coût\w*|valeur|plus de|au lieu de|pagado|pagó|pagaste|cobrad[oa]|precio|valor"
    r"|más de|en lugar de|pagato|addebitat[oi]|prezzo|valore|più di|invece di"
    r"|betaalde?|afgeschreven|prijs|waarde|meer dan|in plaats van|zapłac\w*|pobran\w*"
    r"|cen[ay]|wartoś\w*|więcej niż|zamiast))\W+(?:\w+\W+){0,3}$",
    re.IGNORECASE,
)
_NUMBER: Final = r"\d{1,3}(?:[.,' ]\d{3})+(?:[.,]\d{1,2})?|\d+(?:[.,]\d{1,2})?"
_MONEY: Final = re.compile(
    rf"(?P<before>€|\$|£|\b(?:EUR|USD|GBP|CHF|PLN))\s?(?P<a>{_NUMBER})(?!\d)"
    rf"|(?<![\w.,])(?P<b>{_NUMBER})(?:,-)?\s?(?P<after>€|\$|£|(?:EUR|USD|GBP|CHF|PLN|euros?|dollars?|pounds?|franken|zł|złotych|złote)\b)",
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
    rf"\b(\d{{1,2}})(?:st|nd|rd|th|er|\.)? (?:of |de )?({_MONTH})\b(?:,? (\d{{4}}))?", re.IGNORECASE
)
_MONTH_DAY: Final = re.compile(rf"\b({_MONTH}) (\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? (\d{{4}}))?", re.IGNORECASE)
_WEEKDAY: Final = re.compile(
    rf"\b(?:by|on|until|before|this|next|bis|am|spätestens|nächsten|avant|d['’]ici|le|ce|el|este|antes del|entro|il|questo|op|voor"
    rf"|uiterlijk|we?|do|na) (?:zum |op )?({_DAY})\b",
    re.IGNORECASE,
)
_SPAN: Final = re.compile(
    rf"\b(?:within|in|inside|innerhalb(?: von)?|binnen|sous|dans|d['’]ici|dentro de|en(?: un plazo de)?|entro|w ciągu)"
    rf" (?:the next |the |den nächsten |der nächsten |les |los |de |i )?(?:\d+ ?(?:-|to|bis|à|a|tot|do) ?)?({_COUNT})"
    rf" (?:(working|business) )?(hours?|days?|weeks?|stunden?|tagen?|werktagen?|arbeitstagen?|wochen?"
    rf"|heures?|jours?|semaines?|horas?|días?|semanas?|or[ae]|giorn[oi]|settiman[ae]|uur|dag(?:en)?|werkdagen|weken|godzin\w*|dni|tygodni\w*)\b"
    rf"(?: (ouvr(?:és|ables)|hábiles|laborables|lavorativi|robocz(?:ych|e)))?",
    re.IGNORECASE,
)
_HOURS: Final = ("hour", "stunde", "heure", "hora", "ora", "ore", "uur", "godzin")
_WEEKS: Final = ("week", "woche", "semaine", "semana", "settiman", "weken", "tygodni")
_TOMORROW: Final = re.compile(
    r"\btomorrow\b|(?<!guten )(?<!jeden )(?<!goede )\bmorgen\b"
    r"|\bdemain\b|(?<!\bla )(?<!\besta )\bmañana\b|\bdomani\b|\bjutro\b",
    re.IGNORECASE,
)
_TODAY: Final = re.compile(r"\b(?:today|heute|aujourd['’]hui|hoy|oggi|vandaag|dzisiaj|dziś)\b", re.IGNORECASE)
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
    MORE = "more"
    YES_AFTER_NO = "yes_after_no"
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

    @property
    def is_better(self) -> bool:
        """Whether the customer only gains by it; which of the two holds has to be said all the same."""
        return self.clash in (Clash.MORE, Clash.YES_AFTER_NO)


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
            if (told_yes := _newest(told, act, is_yes=True))
        ),
        *(
            Found(Clash.YES_AFTER_NO, sentence, told_no)
            for act, sentence in said.yes.items()
            if act not in said.no and (told_no := _newest(told, act, is_yes=False))
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
    for count, working, unit, counted in _SPAN.findall(sentence):
        number = int(count) if count.isdigit() else NUMBERS[count.casefold()]
        found.append(_after(on, number, unit=unit.casefold(), working=bool(working or counted)))
    if _TOMORROW.search(sentence):
        found.append(on + timedelta(1))
    if _TODAY.search(sentence):
        found.append(on)
    return [day for day in found if day is not None and day >= on]


def _after(on: date, number: int, *, unit: str, working: bool) -> date:
    if unit.startswith(_HOURS):
        return on + timedelta(hours=number)
    if unit.startswith(_WEEKS):
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
        if (
            before is not None
            and total > before.offered[currency]
            and not _parts(before, currency) <= _parts(said, currency)
        ):
            quoted = next(words for known, _amount, words in before.amounts if known == currency)
            found.append(Found(Clash.MORE, sentence, quoted))
        if owed is not None and currency == owed.currency and total < owed.amount:
            told_in_full = before is not None and before.offered[currency] >= owed.amount
            if not (names_a_part and told_in_full):
                found.append(Found(Clash.BELOW_OWED, sentence))
    return found


def _parts(stated: Stated, currency: str) -> set[Decimal]:
    return {amount for known, amount, _sentence in stated.amounts if known == currency}


def _newest(told: Sequence[Stated], act: Act, *, is_yes: bool) -> str:
    """The sentence with which the newest answer that says anything of an act says yes (or no); "" when it says the other."""
    for known in reversed(told):
        if act in known.no:
            return "" if is_yes else known.no[act]
        if act in known.yes:
            return known.yes[act] if is_yes else ""
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
