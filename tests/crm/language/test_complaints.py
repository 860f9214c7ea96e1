"""Complaints are told from the words alone: quickly, without fail, and as often right as the module says."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.language import complaints

TROUBLE = [
    "My lamp arrived broken. Could you help? Thanks",
    "I was charged twice for one order.",
    "I never received my parcel.",
    "The parcel you sent has still not come and I need it on Friday.",
    "I have been waiting for three weeks for an answer. Thank you.",
    "You changed my plan without asking me.",
    "Die Lampe ist kaputt angekommen. Vielen Dank für Ihre Hilfe",
    "La lampe est cassée, merci de me rembourser",
    "El paquete nunca llegó.",
]
NO_TROUBLE = [
    "",
    "Hello, could you tell me what time you open tomorrow? Thank you!",
    "I would like to order two bags of coffee. No rush. Best regards",
    "Thank you so much for the lovely lamp, we love it.",
    "Please send me the invoice for my order of March 3. Kind regards, Jo",
    "We moved house last week. Our new address is 12 High Street. Please update it.",
    "Ich möchte gern wissen, wann Sie geöffnet haben.",
    "Bonjour, pouvez-vous me dire si le magasin est ouvert demain ?",
]


@pytest.mark.parametrize("text", TROUBLE)
def test_what_went_wrong_is_seen_and_shown(text: str) -> None:
    spotted = complaints.spot(text)
    assert spotted.is_complaint
    assert all(words.lower() in text.lower() for words in spotted.because)


@pytest.mark.parametrize("text", NO_TROUBLE)
def test_questions_orders_and_thanks_are_no_complaints(text: str) -> None:
    assert not complaints.spot(text).is_complaint


@given(st.lists(st.sampled_from([*TROUBLE[:6], *NO_TROUBLE[:6]]), max_size=4), st.integers(0, 40))
def test_shouting_changes_nothing(parts: list[str], marks: int) -> None:
    calm = " ".join(parts)
    shouted = "!" * marks + calm.upper().replace(".", "." + "!" * marks) + "!" * marks

    assert complaints.spot(shouted).is_complaint == complaints.spot(calm).is_complaint


@given(st.text())
def test_no_text_stops_it_and_the_same_text_says_the_same(text: str) -> None:
    spotted = complaints.spot(text)
    assert spotted == complaints.spot(text)
    assert len(spotted.because) <= 10


@pytest.mark.parametrize(
    "text",
    [
        "a ",
        "#",
        "#a",
        "was not ",
        "still not ",
        "bag is is ",
        "my very very long flight ",
        "no ",
        "for over ",
        "\u0130 ",
        "sue, ",
        "my lawyer and i ",
        "if not, the press. ",
        "\nbest\n\n\n",
        "urgent ",
    ],
)
def test_a_long_text_is_read_in_20_milliseconds(text: str) -> None:
    text = (text * 20_000)[:20_000]

    def seconds() -> float:
        began = time.process_time()
        complaints.spot(text)
        return time.process_time() - began

    assert min(seconds() for _ in range(5)) < 0.02


def test_it_is_as_often_right_on_labelled_messages_as_it_says(outside_data: Path) -> None:
    """Only odd row numbers: the even ones were read when the lists were made."""
    found, alarms = [], []
    with (outside_data / "labelled" / "airline_tweets_shared.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if int(row["row"]) % 2 == 0 or float(row["airline_sentiment_confidence"]) < 0.65:
                continue
            spotted = complaints.spot(row["text"]).is_complaint
            if row["airline_sentiment"] != "negative":
                alarms.append(spotted)
            elif row["negativereason"] not in ("", "Can't Tell"):
                found.append(spotted)
    recall, alarm = sum(found) / len(found), sum(alarms) / len(alarms)
    print(f"complaints found {recall:.3f} of {len(found)}, false alarms {alarm:.3f} of {len(alarms)}")
    assert recall >= 0.75
    assert alarm <= 0.12


@pytest.mark.parametrize(
    "words",
    [
        "What are your opening hours?",
        "Could you tell me your office hours over Christmas?",
        "Do you ship to Norway?",
        "I just wanted to say thank you. The repair sounds wonderful.",
        "I would love to hear the new dulcimer one day.",
        "Habt ihr am Samstag offen?",
    ],
)
def test_questions_thanks_and_wishes_are_no_complaints(words):
    assert not complaints.spot(words).is_complaint


@pytest.mark.parametrize(
    "words",
    [
        "My guitar came back with a broken neck.",
        "I was charged twice for the same strings.",
        "Her subscription was changed without asking.",
        "My parcel never arrived.",
        "Guten Tag, ich habe ein falsches Mundstück bekommen.",
        "Mon colis n'est jamais arrivé.",
    ],
)
def test_what_went_wrong_is_heard_in_any_trade(words):
    assert complaints.spot(words).is_complaint


@pytest.mark.parametrize(
    "signature",
    ["Best regards,\nCarla", "Kind regards\nCarla\nPhone: 030 1234567", "-- \nCarla\nhttps://carla.example"],
)
def test_a_polite_signature_hides_no_complaint(signature):
    assert complaints.spot(f"Your driver refused to take my guide dog.\n\n{signature}").is_complaint


@pytest.mark.parametrize(
    "threat",
    [
        "If you do not answer today, I will see you in court.",
        "I have four million followers and they all read this.",
        "My lawyer will write to you, and the press will be told.",
        "URGENT!!! ANSWER AT ONCE!!!",
    ],
)
def test_a_threat_or_a_boast_makes_no_complaint_of_a_question_and_hides_none_E05(threat):
    assert not complaints.spot(f"Could you tell me when you open on Saturday? {threat}").is_complaint
    assert complaints.spot(f"Nobody came to mend the roof. {threat}").is_complaint


def test_what_went_wrong_is_heard_in_the_same_sentence_as_a_threat_E05():
    assert complaints.spot("My parcel never arrived and my lawyer will write to you.").is_complaint
    assert complaints.spot("I have been waiting for three weeks, so I am telling the press.").is_complaint


def test_a_letter_without_a_small_form_of_its_own_length_keeps_capitals_from_being_heard_as_calm():
    assert complaints.spot("İSTANBUL: MY LAMP ARRIVED BROKEN").is_complaint
