"""The public pages of a question: open to whoever holds the link, in the customer's language, and opening changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from crm.actions import consent, survey
from crm.models import Ask, Conversation, Customer, SurveyAnswer
from crm.policy import ConversationState
from tests.crm.actions.test_asking import begun, sent, settled, token

pytestmark = pytest.mark.django_db


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Ask:
    begun()
    made = sent(settled())
    monkeypatch.setattr("django.utils.timezone.now", lambda: made.at)
    return made


def page(ask: Ask) -> str:
    return f"/asked/{token(survey.answer_link(ask))}/"


def post(ask: Ask, **fields: Any) -> Any:
    return Client(enforce_csrf_checks=True).post(page(ask), fields)


def test_the_page_asks_five_questions_each_of_which_can_be_skipped_R068(ask: Ask):
    shown = Client().get(page(ask))
    text = shown.content.decode()
    assert shown.status_code == 200
    assert text.count("<fieldset") == text.count("<legend>") == 5
    assert text.count('value="" checked') == 5
    assert shown["Referrer-Policy"] == "no-referrer"
    assert shown["Cache-Control"] == "no-store"
    assert not shown.cookies
    assert not SurveyAnswer.objects.exists()  # a mail scanner may open it


def test_an_answer_is_kept_and_thanked_for_R068(ask: Ask):
    shown = post(ask, csat="5", outcome="4", effort="7", words="All good.", press="answer")
    assert shown.status_code == 200
    assert "Thank you" in shown.content.decode()
    kept = SurveyAnswer.objects.get()
    assert (kept.csat, kept.outcome, kept.process, kept.effort, kept.words) == (5, 4, None, 7, "All good.")
    assert "<fieldset" not in Client().get(page(ask)).content.decode()


def test_who_would_rather_not_say_is_not_asked_on_and_nothing_follows_R068(ask: Ask):
    post(ask, csat="1", press="skip")
    assert SurveyAnswer.objects.get().csat is None
    assert Conversation.objects.get().state == ConversationState.CLOSED


def test_a_tick_brings_an_answer(ask: Ask):
    post(ask, csat="5", wants_answer="yes", press="answer")
    assert Conversation.objects.get().state == ConversationState.OPEN


@pytest.mark.parametrize("given", ["9", "x", "0", "-1", "٣٣"])
def test_what_the_page_does_not_offer_is_refused_and_what_was_written_stays(ask: Ask, given: str):
    shown = post(ask, csat=given, words="Keep me.", press="answer")
    assert shown.status_code == 400
    assert "Keep me." in shown.content.decode()
    assert not SurveyAnswer.objects.exists()


@pytest.mark.parametrize(
    ("language", "words"),
    [("de", "Wie war es für Sie?"), ("fr", "Comment cela s’est-il passé pour vous"), ("pl", "Jak to wyglądało")],
)
def test_the_page_speaks_the_customer_s_language_and_the_one_they_choose(ask: Ask, language: str, words: str):
    Customer.objects.update(language=language)
    assert words in Client().get(page(ask)).content.decode()
    assert "How was it for you?" in Client().get(f"{page(ask)}?language=en").content.decode()


def test_no_more_questions_takes_a_press_of_theirs_or_of_their_mail_program_W03(ask: Ask):
    address = f"/asked/stop/{token(survey.stop_link(ask))}/"
    customer = Customer.objects.get()
    assert Client().get(address).status_code == 200
    assert consent.counting(customer.pk)["survey", "email"].allows
    one_click = Client(enforce_csrf_checks=True).post(address, {"List-Unsubscribe": "One-Click"})
    assert one_click.status_code == 200
    assert not consent.counting(customer.pk)["survey", "email"].allows


@pytest.mark.parametrize("address", ["/asked/x/", "/asked/stop/x/"])
def test_a_link_that_is_not_ours_is_not_there_W04(address: str):
    assert Client().get(address).status_code == 404
    assert Client().post(address).status_code == 404


def test_another_way_to_ask_is_refused(ask: Ask):
    assert Client().put(page(ask)).status_code == 405
