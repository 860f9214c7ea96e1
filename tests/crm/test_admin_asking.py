"""Leads begin and end asking customers; whoever may see it sees how far it reaches, and can do the draw again (R150, R068)."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from crm.actions import asking
from crm.models import Ask, Asking
from crm.policy import Role
from tests.crm.actions.test_asking import ASKED, begun, said, sent, settled
from tests.crm.stories import colleague

pytestmark = pytest.mark.django_db

FORM = {"do": "begin", "kind": "review", "share": "25", "place": "Reviews", "link": "https://reviews.example/shop"}


def logged_in(role: Role) -> Client:
    client = Client()
    client.force_login(colleague(role))
    return client


def test_a_lead_begins_to_ask_with_place_share_and_own_words_R150():
    client = logged_in(Role.LEAD)
    assert client.get(reverse("admin:asking")).status_code == 200
    assert client.post(reverse("admin:asking"), {**FORM, "text-de": "Sagen Sie, wie es war."}).status_code == 302
    made = Asking.objects.get()
    assert (made.kind, made.share, made.not_again_for, made.place) == ("review", 25, 180, "Reviews")
    assert made.texts == {"de": "Sagen Sie, wie es war."}
    assert client.post(reverse("admin:asking"), {"do": "end", "asking": made.public_id}).status_code == 302
    made.refresh_from_db()
    assert made.ended_at is not None


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"link": "http://reviews.example"}, 409, "https://"),
        ({"text-en": "Win a voucher."}, 409, "nobody gets anything"),
        ({"share": "0"}, 400, ""),
    ],
)
def test_what_may_not_be_asked_is_refused_in_words_and_what_was_written_stays_R150(
    change: dict[str, str], status: int, words: str
):
    shown = logged_in(Role.LEAD).post(reverse("admin:asking"), {**FORM, **change})
    assert shown.status_code == status
    assert words in shown.content.decode()
    assert "https://reviews.example" in shown.content.decode() or "link" in change
    assert not Asking.objects.exists()


@pytest.mark.parametrize(("role", "sees"), [(Role.AGENT, 403), (Role.AUDITOR, 200)])
def test_only_leads_switch_it_and_auditors_see_it(role: Role, sees: int):
    client = logged_in(role)
    assert client.get(reverse("admin:asking")).status_code == sees
    assert client.post(reverse("admin:asking"), FORM).status_code == 403
    assert not Asking.objects.exists()


def test_the_page_of_an_asking_shows_coverage_answers_and_the_draw_done_again_R068():
    asked = begun()
    answered = sent(settled())
    settled(allowed=False)
    said(answered, csat=4, words="Well done.")
    asking.ask_settled(ASKED)
    client = logged_in(Role.AUDITOR)
    address = reverse("admin:asking_one", args=[asked.public_id])
    text = client.get(address).content.decode()
    assert "had not allowed it" in text
    assert "4 / 5" in text
    assert "Well done." in text
    assert asked.commitment in text
    assert asked.seed not in text
    assert "Done again: all 2 matters" in client.get(f"{address}?redraw=1").content.decode()
    asking.end(asked.pk, by=colleague(Role.LEAD), at=ASKED)
    assert asked.seed in client.get(address).content.decode()


def test_a_page_of_many_matters_takes_the_same_statements(django_assert_max_num_queries):
    asked = begun()
    for _each in range(3):
        settled()
    asking.ask_settled(ASKED)
    client, address = logged_in(Role.AUDITOR), reverse("admin:asking_one", args=[asked.public_id])
    client.get(address)
    with django_assert_max_num_queries(20):
        client.get(address)
    assert Ask.objects.count() == 3
