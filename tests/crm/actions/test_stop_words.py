"""STOP and START by text message and WhatsApp: kindness ends or begins again, what is owed goes on (H11)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine

from crm.actions import consent, desk, outgoing, suppression
from crm.language.stop_words import STOP
from crm.models import (
    Consent,
    ContactPoint,
    Conversation,
    Customer,
    HistoryEntry,
    Interaction,
    OutgoingMessage,
    RawItem,
)
from crm.policy import OutgoingState, OutOfOrder
from tests.conftest import NOON
from tests.crm.allowing import allows
from tests.crm.channels.provided import EXAMPLES, account_of, phone_of, post, say, url_of
from tests.crm.channels.provided import twilio_sms as twilio
from tests.crm.stories import colleague

pytestmark = pytest.mark.django_db

TWILIO = EXAMPLES["twilio_sms"]
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _clock() -> Any:
    with time_machine.travel(NOON, tick=False):
        yield


def knows(name: str = "carla", *purposes: str) -> Customer:
    """Somebody whose number we know, and who allowed us some things."""
    address = phone_of(name)[1]
    customer = Customer.objects.create(display_name=name, created_at=NOON - 30 * MINUTE)
    ContactPoint.objects.create(customer=customer, kind="phone", address=address, created_at=NOON - 30 * MINUTE)
    for purpose in purposes or ("birthday", "news"):
        allows(customer, purpose, at=NOON - 20 * MINUTE)
    return customer


def allowed(customer: Customer) -> dict[str, str]:
    newest = Consent.objects.filter(customer=customer).order_by("purpose", "-at", "-id").distinct("purpose")
    return {one.purpose: one.state for one in newest}


STOPPED, GRANTED = {"birthday": "withdrawn", "news": "withdrawn"}, {"birthday": "granted", "news": "granted"}


def whatsapp() -> Any:
    return account_of(TWILIO, own_id="whatsapp:+4930555000", channel="chat")


@pytest.mark.parametrize("word", [words[0] for words in STOP.values()], ids=list(STOP))
def test_stop_in_twelve_languages_ends_kindness_and_nobody_asks_back_H11(word: str) -> None:
    carla = knows()
    assert say(account_of(TWILIO), TWILIO, word.upper()).status_code == 200
    assert allowed(carla) == STOPPED
    (against,) = suppression.standing([("phone", phone_of("carla")[1])], at=NOON)
    assert (against.scope, against.reason) == ("all_but_owed", "unsubscribe")
    newest = Consent.objects.filter(customer=carla).latest("pk")
    assert (newest.actor, word.upper() in newest.evidence) == ("customer", True)
    assert HistoryEntry.objects.filter(customer=carla, verb="customer.wrote_stop").count() == 1
    assert not OutgoingMessage.objects.exists()  # no “are you sure?”
    assert not Conversation.objects.exists()  # nobody has to answer it
    assert RawItem.objects.get().kind == "wish"


def test_stop_by_whatsapp_is_the_same_H11() -> None:
    carla, account = knows(), whatsapp()
    form = {
        "MessageSid": "SM1", "From": "whatsapp:" + phone_of("carla")[1], "To": account.own_id, "Body": "Stop",
        "AccountSid": twilio.ACCOUNT, "NumMedia": "0",
    }  # fmt: skip
    assert post(account, twilio.signed(form, secret=TWILIO.secret, url=url_of(account))).status_code == 200
    assert allowed(carla) == STOPPED


def test_what_the_provider_itself_takes_for_a_stop_word_is_one_H11() -> None:
    carla = knows()
    say(account_of(TWILIO), TWILIO, "Bitte nix mehr", fields={"OptOutType": "STOP"})
    assert allowed(carla) == STOPPED
    say(account_of(TWILIO), TWILIO, "HELP", fields={"OptOutType": "HELP"})
    assert Interaction.objects.get().text == "HELP"  # a person answers


def test_stop_from_another_number_ends_nothing_of_anybody_else_H11() -> None:
    carla, dan = knows("carla"), knows("dan")
    say(account_of(TWILIO), TWILIO, "STOP", by="dan")
    say(account_of(TWILIO), TWILIO, "STOP", by="somebody nobody knows")
    assert (allowed(carla), allowed(dan)) == (GRANTED, STOPPED)
    assert Customer.objects.count() == 2


def test_in_the_middle_of_a_matter_it_is_a_message_too_and_answers_go_on_H11() -> None:
    carla, account = knows(), account_of(TWILIO)
    say(account, TWILIO, "My parcel is broken.")
    say(account, TWILIO, "STOP")
    assert allowed(carla) == STOPPED
    assert set(Interaction.objects.values_list("text", flat=True)) == {"My parcel is broken.", "STOP"}
    matter = Conversation.objects.get()
    desk.answer(matter.pk, text="We send a new one.", by=colleague(), at=NOON, out_of_order=OutOfOrder.KNOWS_IT)
    assert outgoing.send_batch(at=NOON)
    assert OutgoingMessage.objects.get().state == OutgoingState.ACCEPTED


def test_a_word_that_can_be_about_an_order_is_a_message_too_H11() -> None:
    carla = knows()
    say(account_of(TWILIO), TWILIO, "Cancel")
    assert allowed(carla) == STOPPED
    assert Interaction.objects.get().text == "Cancel"


def test_start_gives_back_what_the_stop_word_ended_and_nothing_else_H11() -> None:
    carla, account = knows(), account_of(TWILIO)
    consent.withdraw(carla, "news", evidence="On our page.", at=NOON - 5 * MINUTE)
    say(account, TWILIO, "STOP")
    with time_machine.travel(NOON + MINUTE, tick=False):
        say(account, TWILIO, "START", at=NOON + MINUTE)
    assert allowed(carla) == {"birthday": "granted", "news": "withdrawn"}
    proof = Consent.objects.filter(customer=carla, state="granted").latest("pk").proof
    assert proof is not None
    assert (proof.door, proof.contact_point, proof.words) == (
        "word", carla.contact_points.get(), "“START”, after their stop word of 2026-03-02.",
    )  # fmt: skip
    assert not suppression.standing([("phone", phone_of("carla")[1])], at=NOON + MINUTE)
    assert HistoryEntry.objects.filter(customer=carla, verb="customer.wrote_start").count() == 1
    dan = knows("dan", "birthday")
    consent.withdraw(dan, "birthday", evidence="On our page.", at=NOON)
    with time_machine.travel(NOON + 2 * MINUTE, tick=False):
        say(account, TWILIO, "START", by="dan", at=NOON + 2 * MINUTE)
    assert allowed(dan) == {"birthday": "withdrawn"}
    assert Interaction.objects.get().text == "START"  # it ended nothing before, so a person reads it


def test_the_same_stop_word_again_changes_nothing_H11_H03() -> None:
    carla, account = knows(), account_of(TWILIO)
    for _number in range(3):
        say(account, TWILIO, "STOP", external_id="7")
    assert Consent.objects.filter(customer=carla, state="withdrawn").count() == 2
    assert HistoryEntry.objects.filter(verb="customer.wrote_stop").count() == 1


def test_words_with_a_picture_or_in_a_sentence_are_a_message_only_H11() -> None:
    carla, account = knows(), account_of(TWILIO)
    picture = {"NumMedia": "1", "MediaUrl0": "https://api.twilio.com/x", "MediaContentType0": "image/png"}
    say(account, TWILIO, "Stop", fields=picture)
    say(account, TWILIO, "Stop sending me the wrong parcel")
    assert allowed(carla) == GRANTED
    assert Interaction.objects.count() == 2
