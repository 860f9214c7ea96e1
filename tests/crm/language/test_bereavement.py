"""Words that tell of a death, in the languages of our letters (R168)."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.language.bereavement import words_of_a_death


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("My husband passed away last week.", "passed away"),
        ("I lost my dear wife in May.", "lost my dear wife"),
        ("After the death of our father we found your bill.", "death of our father"),
        ("I am writing for my late mother.", "my late mother"),
        ("Mein Mann ist am Montag gestorben.", "Mann ist am Montag gestorben"),
        ("Meine Großmutter ist VERSTORBEN", "VERSTORBEN"),
        ("wegen eines Todesfalls in der Familie", "Todesfalls"),
        ("Mon père est décédé hier.", "décédé"),
        ("Ma grand-mère est morte.", "grand-mère est morte"),
        ("Mi madre ha fallecido.", "ha fallecido"),
        ("Mio padre è mancato ieri.", "padre è mancato"),
        ("Mijn moeder is overleden.", "overleden"),
        ("Mój mąż zmarł w piątek.", "zmarł"),
        ("Moja mama nie żyje.", "Moja mama nie żyje"),
    ],
)
def test_words_of_a_death_are_found_as_they_stand_there_R168(text, words):
    assert words_of_a_death(text) == words


@pytest.mark.parametrize(
    "text",
    [
        "My phone died after two days.",
        "The battery has died.",
        "Der Akku ist gestorben.",
        "Ma batterie est morte.",
        "I would die for this cake.",
        "We lost my parcel.",
        "It was dead on arrival.",
        "What is the deadline?",
        "Wir sterben vor Hunger.",
        "Se murió el motor.",
        "",
    ],
)
def test_a_thing_that_died_is_no_death(text):
    assert words_of_a_death(text) == ""


@given(st.text(max_size=400))
def test_it_gives_back_words_of_the_text_and_takes_every_text(text):
    assert words_of_a_death(text) in text


@pytest.mark.parametrize("part", ["my ", "mann ", "é mot ", "tod meines ", "ł"])
def test_a_long_text_is_looked_through_quickly(part):
    began = time.perf_counter()
    words_of_a_death(part * (200_000 // len(part)))
    assert time.perf_counter() - began < 0.5
