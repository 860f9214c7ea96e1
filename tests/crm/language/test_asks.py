"""Words that ask for a public review name no reward, wish for no good ones, and take none back (R150, L12, L13)."""

from __future__ import annotations

import pytest

from crm.language.asks import not_to_be_said

REWARDS = [
    "Write a review and get a 10 voucher.", "A small gift for your review!", "Save 10 % with your review.",
    "Als Dankeschön gibt es einen Gutschein.", "Unter allen Bewertungen verlosen wir eine Reise.",
    "Un cadeau vous attend.", "Profitez d'une réduction en échange de votre avis.",
    "Participe en el sorteo.", "Reciba un descuento a cambio de su opinión.",
    "In cambio riceverà un buono sconto.", "Con la recensione vince un premio.",
    "U krijgt een cadeau voor uw recensie.", "Maak kans en win een tegoedbon.",
    "W zamian za opinię otrzymasz rabat.", "Wygraj nagrodę za opinię.",
]  # fmt: skip
GOOD_ONES = [
    "Please give us five stars.", "Leave a positive review.", "If you were happy, tell others.",
    "Geben Sie uns 5 Sterne!", "Wenn Sie zufrieden waren, sagen Sie es weiter.",
    "Si vous êtes satisfait, dites-le.", "Donnez-nous 5 étoiles.",
    "Si está satisfecho, cuéntelo.", "Denos cinco estrellas.",
    "Se è soddisfatto, lo racconti.", "Ci dia 5 stelle.",
    "Als u tevreden bent, vertel het.", "Geef ons vijf sterren.",
    "Jeśli jest Pan zadowolony, proszę to napisać.", "Prosimy o 5 gwiazdek.",
]  # fmt: skip
TAKEN_DOWN = [
    "Please remove your review.", "Our lawyers will read it.", "Bitte löschen Sie: Ihre Bewertung bitte löschen.",
    "Supprimez votre avis.", "Borre su reseña.", "Elimini la sua recensione.", "Laat uw recensie verwijderen.",
    "Proszę usunąć opinię.",
]  # fmt: skip
PLAIN = [
    "A matter of yours was settled. If you like, tell others how it was, whatever you think of us.",
    "Erzählen Sie anderen, wie es war, ganz gleich, was Sie von uns halten.",
    "Racontez aux autres comment cela s'est passé, quoi que vous en pensiez.",
    "Cuente a otras personas cómo fue, piense lo que piense de nosotros.",
    "Racconti agli altri com'è andata, qualunque cosa pensi di noi.",
    "Vertel anderen hoe het ging, wat u ook van ons vindt.",
    "Proszę opowiedzieć innym, jak było, cokolwiek Państwo o nas myślą.",
]


@pytest.mark.parametrize("text", REWARDS)
def test_a_reward_for_a_review_is_seen_in_every_language_L13(text: str):
    found = not_to_be_said(text)
    assert found is not None
    assert found[0] == "reward"


@pytest.mark.parametrize("text", GOOD_ONES)
def test_a_wish_for_good_reviews_is_seen_in_every_language_R150(text: str):
    found = not_to_be_said(text)
    assert found is not None
    assert found[0] == "good_ones"


@pytest.mark.parametrize("text", TAKEN_DOWN)
def test_a_wish_that_a_review_goes_is_seen_in_every_language_L12(text: str):
    found = not_to_be_said(text)
    assert found is not None
    assert found[0] == "taken_down"


@pytest.mark.parametrize("text", PLAIN)
def test_words_that_only_ask_may_be_said(text: str):
    assert not_to_be_said(text) is None
