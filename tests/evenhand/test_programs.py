"""The short way of programs answers as the way of pages does, save for what only pages need."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.test import Client

from evenhand.viewer import NOT_A_PAGE
from tests.crm.api.door import client_for
from tests.crm.stories import app_user, colleague

pytestmark = pytest.mark.django_db
OF_PAGES = {"X-Frame-Options", "Set-Cookie"}


@pytest.fixture
def went(monkeypatch):
    """The paths that went through the middlewares of pages."""
    paths = []

    class Watched:
        def __init__(self, get_response):
            self.get_response = get_response

        def __call__(self, request):
            paths.append(request.path_info)
            return self.get_response(request)

    monkeypatch.setattr("evenhand.pages.Watched", Watched, raising=False)
    monkeypatch.setattr(
        settings, "MIDDLEWARE", [settings.MIDDLEWARE[0], "evenhand.pages.Watched", *settings.MIDDLEWARE[1:]]
    )
    return paths


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize(("path", "status"), [("/api/v1/me/", 200), ("/api/v1/nothing/", 404)])
def test_an_answer_by_token_has_the_headers_of_one_by_session(path, status, secure, went, monkeypatch):
    monkeypatch.setattr(settings, "SECURE_HSTS_SECONDS", 60)
    agent = colleague()
    pages, programs = Client(), client_for(agent)
    pages.force_login(agent)
    went.clear()
    by_session, by_token = (each.get(path, secure=secure) for each in (pages, programs))
    assert went == [path]
    assert by_session.status_code == by_token.status_code == status
    ours, theirs = dict(by_session.headers), dict(by_token.headers)
    varies, varies_by_token = (set(headers.pop("Vary").split(", ")) for headers in (ours, theirs))
    assert varies - {"Cookie"} == varies_by_token
    assert {name: value for name, value in ours.items() if name not in OF_PAGES} == theirs
    assert ("Strict-Transport-Security" in ours) is secure
    assert by_session.content == by_token.content


def test_a_program_must_name_a_host_of_ours(went):
    client = client_for(app_user())
    went.clear()
    assert client.get("/api/v1/me/", HTTP_HOST="elsewhere.example").status_code == 400
    assert went == []


def test_a_forgotten_slash_is_mended(went):
    answer = client_for(app_user()).get("/api/v1/me")
    assert (answer.status_code, answer["Location"], went[-1]) == (301, "/api/v1/me/", "/api/v1/me")


@pytest.mark.parametrize("scheme", ["", "Basic abc", "bearer x", "Bearer"])
def test_whoever_brings_no_token_goes_the_way_of_pages(scheme, went):
    Client().get("/api/v1/me/", **({"HTTP_AUTHORIZATION": scheme} if scheme else {}))
    assert went == ["/api/v1/me/"]


def test_a_token_elsewhere_changes_nothing(went):
    Client().get("/contact/", HTTP_AUTHORIZATION="Bearer x")
    Client().get("/admin/", HTTP_AUTHORIZATION="Bearer x")
    assert went == ["/contact/", "/admin/"]


def test_what_a_provider_posts_goes_the_short_way_and_is_kept_out_of_caches(went):
    nobody = "/hooks/channel/018f0000-0000-7000-8000-000000000000/"
    answer = Client().post(nobody, b"{}", content_type="application/json")
    assert (answer.status_code, went) == (404, [])
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in answer["Cache-Control"]
    assert answer["Content-Security-Policy"] == NOT_A_PAGE
    assert Client().get(nobody).status_code == 404
    assert went == [nobody]
    assert (
        Client().post(nobody, b"{}", content_type="application/json", HTTP_HOST="elsewhere.example").status_code == 400
    )
