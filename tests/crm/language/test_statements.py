"""What an answer states, and whether two answers agree."""

from __future__ import annotations

import csv
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.language.statements import Act, Clash, Owing, contradictions, is_for_one_person, read

MONDAY = date(2026, 3, 2)
OWED = Owing(Decimal(100), "EUR", frozenset({"refund"}))


def clashes(draft: str, *earlier: str, owed: Owing | None = None, on: date = MONDAY) -> list[Clash]:
    return [found.clash for found in contradictions(draft, on=on, earlier=[(MONDAY, it) for it in earlier], owed=owed)]


@pytest.mark.parametrize(
    ("text", "currency", "amount"),
    [
        ("We refund you 80 euros.", "EUR", "80"),
        ("You will receive €1,200.50 back.", "EUR", "1200.50"),
        ("Wir erstatten Ihnen 1.200,50 €.", "EUR", "1200.50"),
        ("Sie erhalten einen Gutschein über 20,- Euro.", "EUR", "20"),
        ("We paid you £ 12.5 yesterday.", "GBP", "12.5"),
        ("A credit of USD 1 000 is on its way.", "USD", "1000"),
        ("We refund 80 euros and add 20 euros of goodwill, 100 euros in all.", "EUR", "100"),
        ("We refund 80 euros. On top you get 20 euros.", "EUR", "100"),
    ],
)
def test_money_that_is_offered_is_read(text: str, currency: str, amount: str) -> None:
    assert read(text).offered == {currency: Decimal(amount)}


@pytest.mark.parametrize(
    "text",
    [
        "You paid 80 euros on Monday.",
        "We saw that you were charged 80 euros.",
        "Shall we refund 80 euros?",
        "We cannot refund the 80 euros.",
        "Ihr Stuhl hat 80 Euro gekostet.",
        "Order 80 arrived.",
    ],
)
def test_money_that_is_no_offer_is_not_read(text: str) -> None:
    assert not read(text).offered


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        ("We will refund you.", {Act.REFUND}, set()),
        ("Wir ersetzen Ihnen den Stuhl.", {Act.REPLACE}, set()),
        ("Wir machen die Buchung rückgängig, das versprechen wir Ihnen.", {Act.REVERSE}, set()),
        ("We cannot refund this.", set(), {Act.REFUND}),
        ("A refund is not possible.", set(), {Act.REFUND}),
        ("Eine Erstattung ist leider nicht möglich.", set(), {Act.REFUND}),
        ("Wir können den Stuhl nicht reparieren.", set(), {Act.REPAIR}),
        ("We have not yet refunded you.", set(), set()),
        ("If we cannot repair it, you hear from us.", set(), set()),
        ("We check whether we could refund you.", set(), set()),
        ("Please do not hesitate to ask for a refund.", set(), set()),
        ("No problem, we repair it for you.", {Act.REPAIR}, set()),
    ],
)
def test_a_yes_and_a_no_are_told_apart(text: str, yes: set[Act], no: set[Act]) -> None:
    stated = read(text, on=MONDAY)
    assert (set(stated.yes), set(stated.no)) == (yes, no)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("We refund you by Friday.", date(2026, 3, 6)),
        ("We refund you within three days.", date(2026, 3, 5)),
        ("We refund you within 5 working days.", date(2026, 3, 9)),
        ("We refund you tomorrow.", date(2026, 3, 3)),
        ("We refund you on 2026-03-12.", date(2026, 3, 12)),
        ("We refund you by March 12th.", date(2026, 3, 12)),
        ("Wir erstatten es Ihnen bis zum 12. März.", date(2026, 3, 12)),
        ("Wir erstatten es Ihnen bis zum 12.3.", date(2026, 3, 12)),
        ("Wir erstatten es Ihnen innerhalb von zwei Wochen.", date(2026, 3, 16)),
        ("Guten Morgen, wir erstatten es Ihnen heute.", MONDAY),
    ],
)
def test_the_day_that_is_named_is_read(text: str, day: date) -> None:
    assert read(text, on=MONDAY).days[Act.REFUND][0] == day


@pytest.mark.parametrize(
    ("draft", "earlier", "clash"),
    [
        ("We refund you 60 euros.", "We refund you 80 euros.", Clash.LESS),
        ("We cannot refund you.", "We will refund you.", Clash.NO_AFTER_YES),
        ("Eine Reparatur ist nicht möglich.", "Wir reparieren Ihnen den Stuhl.", Clash.NO_AFTER_YES),
        ("We refund you by 20 March.", "We refund you by 12 March.", Clash.LATER),
        ("We refund you 100 euros.", "We refund you 80 euros.", Clash.MORE),
        ("We will refund you.", "We cannot refund you.", Clash.YES_AFTER_NO),
    ],
)
def test_what_goes_back_on_an_earlier_answer_is_found_with_its_sentence(draft: str, earlier: str, clash: Clash) -> None:
    found = contradictions(draft, on=MONDAY, earlier=[(MONDAY, f"Hello. {earlier} Bye.")])
    assert [(one.clash, one.earlier, one.is_owed) for one in found] == [(clash, earlier, False)]


@pytest.mark.parametrize(
    ("draft", "earlier"),
    [
        ("We refund you 80 euros.", "We refund you 80 euros."),
        ("We refund you 80 euros, and 20 euros of goodwill.", "We refund you 80 euros."),
        ("The refund of 80 euros left today.", "We refund you 80 euros. On top you get 20 euros."),
        ("We refund you by 10 March.", "We refund you by 12 March."),
        ("The new one arrives by 20 March.", "We refund you by 12 March."),
        ("We refund you 70 dollars.", "We refund you 80 euros."),
        ("We hope you like it.", "We refund you 80 euros."),
    ],
)
def test_answers_that_agree_pass(draft: str, earlier: str) -> None:
    assert not clashes(draft, earlier)


def test_an_answer_corrected_before_is_not_held_against_its_correction() -> None:
    assert not clashes("We refund you 60 euros.", "We refund you 80 euros.", "We refund you 60 euros.")
    assert not clashes("We cannot repair it.", "We repair it for you.", "We cannot repair it.")


AMOUNTS = {
    "de": ("Wir erstatten Ihnen {} Euro.", "Sie haben {} Euro bezahlt."),
    "en": ("We refund you {} euros.", "You paid {} euros."),
    "es": ("Le reembolsaremos {} euros.", "Ha pagado {} euros."),
    "fr": ("Nous vous remboursons {} euros.", "Vous avez payé {} euros."),
    "it": ("Vi rimborsiamo {} euro.", "Avete pagato {} euro."),
    "nl": ("Wij betalen u {} euro terug, u krijgt {} euro.", "U heeft {} euro betaald, de prijs was {} euro."),
    "pl": ("Otrzymają Państwo zwrot kwoty {} zł.", "Cena to {} zł."),
}
DECIDED = {
    "de": (
        "Wir erstatten Ihnen den Betrag.",
        "Eine Erstattung ist leider nicht möglich.",
        "Wir prüfen, ob wir erstatten.",
    ),
    "en": ("We will refund you.", "We cannot refund you.", "We check whether we can refund you."),
    "es": (
        "Le reembolsaremos el importe.",
        "No podemos reembolsar el importe.",
        "Si llega, le reembolsaremos el importe.",
    ),
    "fr": (
        "Nous vous remboursons.",
        "Nous ne pouvons pas vous rembourser.",
        "N'hésitez pas à demander un remboursement.",
    ),
    "it": (
        "Vi rimborsiamo l'importo.",
        "Non possiamo rimborsare l'importo.",
        "Verifichiamo e appena pronto vi rimborsiamo.",
    ),
    "nl": (
        "Wij gaan het u terugbetalen.",
        "Wij kunnen het niet terugbetalen.",
        "Wij hebben het nog niet terugbetaald.",
    ),
    "pl": ("Wymienimy Państwu krzesło.", "Nie możemy wymienić krzesła.", "Jeśli dotrze, wymienimy krzesło."),
}
DAYS = {
    "de": ("Wir erstatten es Ihnen bis zum 12. März.", "Wir erstatten es Ihnen innerhalb von drei Wochen."),
    "en": ("We refund you by 12 March.", "We refund you within three weeks."),
    "es": ("Le reembolsaremos antes del 12 de marzo.", "Le reembolsaremos en un plazo de tres semanas."),
    "fr": ("Nous vous remboursons avant le 12 mars.", "Nous vous remboursons sous trois semaines."),
    "it": ("Vi rimborsiamo entro il 12 marzo.", "Vi rimborsiamo entro tre settimane."),
    "nl": ("Wij gaan het u terugbetalen voor 12 maart.", "Wij gaan het u terugbetalen binnen drie weken."),
    "pl": ("Wymienimy Państwu krzesło do 12 marca.", "Wymienimy Państwu krzesło w ciągu trzech tygodni."),
}


@pytest.mark.parametrize("language", sorted(AMOUNTS))
def test_amounts_that_contradict_are_found_in_every_language_customers_are_written_to_R082(language: str) -> None:
    offer, paid = AMOUNTS[language]
    assert clashes(offer.format(60, 60), offer.format(80, 80)) == [Clash.LESS]
    assert clashes(offer.format(90, 90), offer.format(80, 80)) == [Clash.MORE]
    assert clashes(offer.format(80, 80), offer.format(80, 80)) == []
    assert clashes(paid.format(60, 60), offer.format(80, 80)) == []


@pytest.mark.parametrize("language", sorted(DECIDED))
def test_a_yes_and_a_no_that_contradict_are_found_in_every_language_R082(language: str) -> None:
    yes, no, open_ended = DECIDED[language]
    assert clashes(no, yes) == [Clash.NO_AFTER_YES]
    assert clashes(yes, no) == [Clash.YES_AFTER_NO]
    assert clashes(yes, yes) == clashes(no, no) == []
    assert clashes(open_ended, yes) == clashes(open_ended, no) == []


@pytest.mark.parametrize("language", sorted(DAYS))
def test_a_later_day_is_found_in_every_language_and_a_promise_kept_early_is_none_R082(language: str) -> None:
    sooner, later = DAYS[language]
    assert clashes(later, sooner) == [Clash.LATER]
    assert clashes(sooner, later) == []


def test_nothing_goes_below_what_is_owed() -> None:
    assert clashes("We refund you 80 euros.", owed=OWED) == [Clash.BELOW_OWED]
    assert clashes("We refund you 80 euros and 20 euros.", owed=OWED) == []
    assert clashes("We refund you 120 euros.", owed=OWED) == []
    assert clashes("We cannot refund you.", owed=OWED) == [Clash.NO_THOUGH_OWED]
    either = Owing(Decimal(0), "EUR", frozenset({"repair_or_replace"}))
    assert clashes("We cannot repair it. We replace it for you.", owed=either) == []
    assert clashes("We cannot repair it. We cannot replace it.", owed=either) == [Clash.NO_THOUGH_OWED]
    undone = Owing(Decimal(0), "EUR", frozenset({"reverse"}))
    assert clashes("We cannot reverse it.", owed=undone) == [Clash.NO_THOUGH_OWED]


def test_words_for_one_person_are_known() -> None:
    assert is_for_one_person("We make an exception just for you.")
    assert is_for_one_person("Das bekommen Sie ausnahmsweise.")
    assert not is_for_one_person("Whoever lost money through a failure of ours gets it back.")


MONEY = st.integers(min_value=1, max_value=10_000_00).map(lambda cents: Decimal(cents) / 100)


@given(MONEY, MONEY)
def test_another_amount_is_found_exactly_when_it_is_another_R082(told: Decimal, now: Decimal) -> None:
    found = clashes(f"We refund you {now:.2f} EUR.", f"We refund you {told:.2f} EUR.")
    assert found == ([Clash.LESS] if now < told else [Clash.MORE] if now > told else [])


@given(MONEY)
def test_an_amount_reads_the_same_in_both_notations(amount: Decimal) -> None:
    english, german = f"{amount:,.2f}", f"{amount:,.2f}".translate(str.maketrans(",.", ".,"))
    assert read(f"We refund {english} EUR.").offered == read(f"Wir erstatten {german} EUR.").offered == {"EUR": amount}


@given(st.text(max_size=400))
def test_no_text_breaks_the_reading(text: str) -> None:
    assert contradictions(text, on=MONDAY, earlier=[(MONDAY, text)], owed=OWED) is not None


def test_real_follow_up_answers_are_hardly_ever_stopped(outside_data: Path) -> None:
    """Of the follow-up answers of real companies on social media, fewer than one in a hundred is stopped.

    They seldom name money or days there, so this measures false alarms alone, not how much is found.
    """
    with (outside_data / "social" / "twcs_shared.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["tweet_id"]: row for row in csv.DictReader(file)}

    def day(row: dict[str, str]) -> date:
        return datetime.strptime(row["created_at"], "%a %b %d %H:%M:%S %z %Y").date()

    follow_ups = stopped = 0
    for row in rows.values():
        if row["inbound"] != "False":
            continue
        earlier: list[tuple[date, str]] = []
        before = rows.get(row["in_response_to_tweet_id"])
        while before is not None:
            if before["author_id"] == row["author_id"]:
                earlier.insert(0, (day(before), before["text"]))
            before = rows.get(before["in_response_to_tweet_id"])
        if earlier:
            follow_ups += 1
            stopped += bool(contradictions(row["text"], on=day(row), earlier=earlier))
    print(f"{stopped} of {follow_ups} real follow-up answers are stopped")
    assert follow_ups > 400
    assert stopped / follow_ups < 0.01
