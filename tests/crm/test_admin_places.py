"""The pages of places where customers talk: who may, one press, and that a list costs the same at any length (R027)."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from crm.actions import listening_places
from crm.models import ListeningPlace, PlaceCheck
from crm.policy import Role
from tests.crm.actions.test_listening_places import feed, listed
from tests.crm.stories import app_user, colleague
from tests.crm.test_admin_mail import client_of

pytestmark = pytest.mark.django_db
PAGE = "/admin/places/"


def test_who_may_see_list_and_look_Q8():
    place = listed()
    assert Client().get(PAGE).status_code == 302
    assert client_of(app_user()).get(PAGE).status_code == 403
    for role in (Role.AGENT, Role.LEAD, Role.AUDITOR, Role.ADMINISTRATOR):
        assert client_of(colleague(role)).get(PAGE).status_code == 200
    for role, may_list, may_look in ((Role.AGENT, 403, 302), (Role.LEAD, 200, 302), (Role.AUDITOR, 403, 403)):
        client = client_of(colleague(role))
        assert client.get(f"{PAGE}new/").status_code == may_list
        assert client.get(f"{PAGE}{place.public_id}/").status_code == may_list
        assert client.post(f"{PAGE}{place.public_id}/looked/", {"found": "0"}).status_code == may_look
    assert client_of(colleague()).get(f"{PAGE}{place.public_id}/looked/").status_code == 405


def test_a_look_by_hand_is_one_press_and_ends_the_gap_R027():
    place, lead = listed(), client_of(colleague(Role.LEAD))
    listening_places.watch(timezone.now())
    assert "listening gap" in client_of(colleague()).get(PAGE).content.decode()
    assert "Guitar forum" in lead.get("/admin/channels/").content.decode()
    assert "places where nobody listens" in lead.get("/admin/").content.decode()
    assert "nobody listens where customers talk" in lead.get("/admin/alerts/").content.decode().lower()
    assert "Guitar forum" in lead.get("/admin/sources/").content.decode()

    done = client_of(colleague()).post(f"{PAGE}{place.public_id}/looked/", {"found": "2"}, follow=True)

    assert "somebody listens" in done.content.decode()
    assert PlaceCheck.objects.get().found == 2
    assert "Somebody listens at every place" in lead.get("/admin/channels/").content.decode()
    assert "places where nobody listens" not in lead.get("/admin/").content.decode()
    strange = client_of(colleague()).post(f"{PAGE}{place.public_id}/looked/", {"found": "many"}, follow=True)
    assert "whole number" in strange.content.decode()


def test_a_lead_lists_changes_and_takes_off_R027():
    client, own = client_of(colleague(Role.LEAD)), feed()
    form = {"name": "<b>Blog</b>", "channel": "blog", "url": "https://blog.example/", "listens": "by_hand"}
    assert client.post(f"{PAGE}new/", {**form, "listens": "feed:nonsense"}).status_code == 400
    assert not ListeningPlace.objects.exists()
    assert client.post(f"{PAGE}new/", form).url == PAGE
    assert "&lt;b&gt;Blog" in client.get(PAGE).content.decode()
    assert "listed already" in client.post(f"{PAGE}new/", form).content.decode()
    place = ListeningPlace.objects.get()
    here = f"{PAGE}{place.public_id}/"
    client.post(here, {**form, "listens": f"feed:{own.public_id}"})
    place.refresh_from_db()
    assert (place.cover, place.feed) == ("feed", own)
    assert f'value="feed:{own.public_id}" selected' in client.get(here).content.decode()
    client.post(f"{here}listed/", {"listed": "0"})
    assert "Blog" not in client.get(PAGE).content.decode()
    assert "Blog" in client.get(f"{PAGE}?show=unlisted").content.decode()


def test_the_list_costs_the_same_at_any_length_and_pages_by_key():
    client = client_of(colleague(Role.LEAD))
    listed()
    client.get(PAGE)

    def statements() -> int:
        with CaptureQueriesContext(
            connection,
        ) as told:
            client.get(PAGE)
        return len(told)

    one = statements()
    for number in range(60):
        listed(name=f"Place {number:02}", url=f"https://p.example/{number}")
    assert statements() == one
    first = client.get(PAGE).content.decode()
    link = re.search(r'rel="next" href="([^"]+)"', first)
    assert link
    following = client.get(PAGE + link[1]).content.decode()
    assert "Place 48" in first
    assert "Place 59" in following
    assert "Place 48" not in following
