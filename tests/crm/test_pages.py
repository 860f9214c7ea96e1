"""The contact page: what a visitor sees, and what nonsense does (nothing)."""

from __future__ import annotations

import uuid

import pytest
from django.db import OperationalError
from django.test import Client

from crm.actions import intake
from crm.models import Conversation, Interaction
from tests.crm.stories import colleague

pytestmark = pytest.mark.django_db


def filled(**changes: str) -> dict[str, str]:
    return {
        "email": "carla@home.example",
        "name": "Carla",
        "subject": "Lamp",
        "text": "It is broken.",
        "key": str(uuid.uuid4()),
        **changes,
    }


def test_a_message_comes_in_and_says_what_happens_now():
    colleague()
    answer = Client().post("/contact/", filled(), follow=True)
    assert answer.redirect_chain == [("/contact/thanks/", 302)]
    assert b"within eight hours" in answer.content
    assert Conversation.objects.get().channel == "web_form"


def test_a_double_click_is_one_message():
    form = filled()
    for _ in range(3):
        assert Client().post("/contact/", form).status_code == 302
    assert Interaction.objects.count() == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"email": ""},
        {"email": "nobody"},
        {"text": ""},
        {"text": " "},
        {"key": "x"},
        {"subject": "s" * 301},
        {"text": "a\x00b"},
        {"name": "n" * 201},
    ],
)
def test_what_cannot_be_taken_is_said_kindly_and_nothing_is_lost_or_stored(changes):
    answer = Client().post("/contact/", filled(**changes))
    assert answer.status_code == 400
    if "text" not in changes:
        assert b"It is broken." in answer.content
    assert not Interaction.objects.exists()


def test_when_the_database_is_away_the_words_stay_and_nothing_is_claimed_F12(monkeypatch):
    def away(*_arguments: object, **_more: object) -> None:
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr(intake, "receive", away)
    answer = Client().post("/contact/", filled())
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert b"It is broken." in answer.content
    assert b"in a moment" in answer.content


def test_the_form_wants_its_own_page_W02():
    assert Client(enforce_csrf_checks=True).post("/contact/", filled()).status_code == 403


def test_known_and_unknown_people_read_the_same_words_W01():
    first = Client().post("/contact/", filled(), follow=True).content
    again = Client().post("/contact/", filled(), follow=True).content
    assert first == again


def test_looking_at_the_page_changes_nothing():
    Client().get("/contact/")
    Client().get("/contact/thanks/")
    assert not Interaction.objects.exists()


def test_what_a_visitor_types_is_shown_as_text():
    answer = Client().post("/contact/", filled(email="x", text="<script>alert(1)</script>"))
    assert b"<script>alert(1)" not in answer.content
