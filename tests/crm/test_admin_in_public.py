"""The composer says that everybody can read an answer, and asks a second person where one tells personal things (P03, P04)."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from crm.channels import Channel
from crm.models import AnswerDraft, Conversation, OutgoingMessage, PublicLook
from crm.policy import Role
from tests.crm.actions.test_in_public import PLAIN, WORDS, _clock, asked_in, knows
from tests.crm.stories import app_user, colleague

pytestmark = pytest.mark.django_db
__all__ = ["_clock"]
ASKS_OPEN = """<details class="eh-fold" open>
          <summary>Ask a colleague whether this may stand in public"""


def client_of(role: Role, **changes: Any) -> Client:
    client = Client()
    client.force_login(colleague(role, **changes))
    return client


def press(client: Client, matter: Conversation, does: str, **fields: str) -> Any:
    form = {"do": does, "key": "k", "public": "everybody", **fields}
    return client.post(reverse("admin:conversation", args=[matter.public_id]), form)


def page(client: Client, matter: Conversation) -> str:
    return client.get(reverse("admin:conversation", args=[matter.public_id])).content.decode()


def test_the_button_says_that_everybody_can_read_it_P04() -> None:
    ada = client_of(Role.AGENT)
    public, private = page(ada, asked_in()), page(ada, asked_in(Channel.CHAT))
    assert "Send it: everybody can read this</button>" in public
    assert 'name="public" value="everybody"' in public
    assert "Send the answer</button>" in private
    assert 'name="public" value="customer"' in private


def test_a_page_that_showed_another_visibility_or_none_is_refused_with_its_words_kept_P04() -> None:
    ada, matter = client_of(Role.AGENT), asked_in()
    for shown in ("customer", "", "nonsense"):
        answer = press(ada, matter, "answer", answer=PLAIN, public=shown)
        assert answer.status_code == 409
        assert PLAIN in answer.content.decode()
        assert "Everybody can read this answer." in answer.content.decode()
        assert ASKS_OPEN not in answer.content.decode()  # what was refused is nothing that a colleague can release
    assert not OutgoingMessage.objects.exists()
    assert press(ada, matter, "answer", answer=PLAIN).status_code == 302


def test_what_tells_personal_things_is_refused_and_a_second_person_releases_it_P03() -> None:
    ada, lead, matter = client_of(Role.AGENT), client_of(Role.LEAD, name="Lea Lead"), asked_in()
    knows(matter.customer, "phone", "+491701234567")
    refused = press(ada, matter, "answer", answer=WORDS)
    content = refused.content.decode()
    assert refused.status_code == 409
    assert "a telephone number (“0170 1234567”)" in content
    assert ASKS_OPEN in content
    assert press(ada, matter, "ask_look", answer=WORDS, look_because="It is ours.").status_code == 302
    look = PublicLook.objects.get()
    assert f"release_look:{look.public_id}" not in page(ada, matter)
    assert f"release_look:{look.public_id}" in page(lead, matter)
    assert '<details class="eh-fold eh-begun" open>' in page(lead, matter)  # the words to judge stand there
    assert press(lead, matter, f"release_look:{look.public_id}", release_because="").status_code == 409
    assert press(lead, matter, "release_look:nonsense", release_because="x").status_code == 409
    assert press(lead, matter, f"release_look:{look.public_id}", release_because="Ours.").status_code == 302
    assert press(ada, matter, "answer", answer=WORDS).status_code == 302
    assert OutgoingMessage.objects.get().is_public


@pytest.mark.parametrize(("role", "status"), [(Role.AGENT, 403), (Role.AUDITOR, 403), (Role.LEAD, 302), (None, 302)])
def test_only_who_has_the_right_releases_P03(role: Role | None, status: int) -> None:
    ada, matter = client_of(Role.AGENT), asked_in()
    knows(matter.customer, "phone", "+491701234567")
    press(ada, matter, "ask_look", answer=WORDS, look_because="It is ours.")
    look = PublicLook.objects.get()
    client = client_of(role) if role else Client()
    assert press(client, matter, f"release_look:{look.public_id}", release_because="Ours.").status_code == status
    look.refresh_from_db()
    assert (look.released_at is not None) is (role == Role.LEAD)


def test_the_api_asks_for_the_agreement_and_keeps_the_words_P03_P04() -> None:
    ada, matter = colleague(), asked_in()
    knows(matter.customer, "phone", "+491701234567")
    client = APIClient()
    client.force_authenticate(ada)
    url = f"/api/v1/conversations/{matter.public_id}/answers/"

    def code(**given: Any) -> tuple[int, str]:
        answer = client.post(url, given, format="json")
        return answer.status_code, answer.json().get("code", "")

    assert code(text=PLAIN) == (409, "other_visibility")
    assert code(text=PLAIN, public=False) == (409, "other_visibility")
    assert code(text=WORDS, public=True) == (409, "tells_personal_things")
    assert AnswerDraft.objects.get(author=ada).text == WORDS
    stranger = APIClient()
    stranger.force_authenticate(app_user())
    assert stranger.post(url, {"text": PLAIN, "public": True}, format="json").status_code in (403, 404)
    assert code(text=PLAIN, public=True)[0] == 201
