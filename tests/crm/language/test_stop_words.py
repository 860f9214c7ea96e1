"""Words that stop kindness, in the providers' and in further languages."""

from __future__ import annotations

import pytest

from crm.language.stop_words import START, STOP, STOP_OR_SOMETHING_ELSE, says_nothing_else, wish_of


def test_there_are_words_in_at_least_twelve_languages_H11():
    assert len(STOP) >= 12
    assert set(STOP) == set(START) == set(STOP_OR_SOMETHING_ELSE)


@pytest.mark.parametrize(
    "word", ["STOP", "STOPALL", "UNSUBSCRIBE", "REVOKE", "OPTOUT", "ARRET", "Stop.", " stop! ", "Arrêt", "STOPP"]
)
def test_what_providers_take_for_a_stop_word_is_one_H11(word: str):
    assert wish_of(word) == "stop"
    assert says_nothing_else(word)


@pytest.mark.parametrize("word", ["CANCEL", "END", "QUIT", "annuler", "Kündigen"])
def test_what_may_be_about_an_order_counts_as_both_H11(word: str):
    assert wish_of(word) == "stop"
    assert not says_nothing_else(word)


@pytest.mark.parametrize("word", ["START", "unstop", "Wznów"])
def test_start_words_H11(word: str):
    assert wish_of(word) == "start"


@pytest.mark.parametrize(
    "text",
    ["", "Yes", "Please stop by on Monday", "Stop sending me the wrong parcel", "My bus stop moved", "Help", "?!"],
)
def test_whoever_says_more_says_something_else_H11(text: str):
    assert wish_of(text) == ""


def test_no_word_both_stops_and_starts_H11():
    for some in (*STOP.values(), *STOP_OR_SOMETHING_ELSE.values()):
        assert {wish_of(word) for word in some} == {"stop"}
    assert {wish_of(word) for some in START.values() for word in some} == {"start"}
