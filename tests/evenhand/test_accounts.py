"""Links by which somebody sets a password: for one person, once, for three days, and always to the configured address."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.test import Client
from django.urls import get_resolver, reverse

from crm.models import User
from crm.policy import Role
from tests.conftest import NOON
from tests.crm.stories import app_user, colleague

pytestmark = pytest.mark.django_db
NEW = "an apple, two pears 7"


@pytest.fixture
def home(settings: Any) -> str:
    settings.PUBLIC_URL = "https://desk.shop.example"
    settings.ALLOWED_HOSTS = ["*"]
    return "https://desk.shop.example"


def asked(email: str, *, host: str = "testserver") -> str:
    """Ask for a new password; the body of the mail that comes of it."""
    answer = Client().post("/accounts/password/reset/", {"email": email}, HTTP_HOST=host)
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/password/reset/done/")
    [sent] = mail.outbox
    mail.outbox.clear()
    assert sent.to == [email]
    return f"{sent.subject}\n{sent.body}"


def link_of(body: str) -> str:
    """The path of the link in a mail."""
    found = re.search(r"https://desk\.shop\.example(/accounts/password/reset/key/\S+/)", body)
    assert found, body
    return found[1]


def opened(path: str, *, password: str = "") -> bytes:
    """Open a link as a browser does; with a password, also send the form behind it."""
    browser = Client()
    page = browser.get(path, follow=True)
    if password and b"password1" in page.content:
        there = page.redirect_chain[-1][0]
        browser.post(there, {"password1": password, "password2": password})
    return bytes(page.content)


def may_come_in(user: User, password: str) -> bool:
    user.refresh_from_db()
    return user.check_password(password)


def test_mails_lead_to_the_configured_address_whatever_the_request_claims_W08(home: str) -> None:
    user = colleague(Role.AGENT)
    for email in (user.email, "nobody@home.example"):
        body = asked(email, host="evil.example")
        assert "evil.example" not in body
        assert "[desk.shop.example]" in body
    assert "signup" not in body  # nobody signs up by themselves, so nobody is invited to


def test_a_link_sets_a_password_once_W10(home: str) -> None:
    user = colleague(Role.AGENT)
    path = link_of(asked(user.email))
    opened(path, password=NEW)
    assert may_come_in(user, NEW)
    assert b"password1" not in opened(path, password="quite another 8 ones")
    assert may_come_in(user, NEW)


def test_opening_a_link_changes_nothing_W02_W10(home: str) -> None:
    user = colleague(Role.AGENT)
    before = user.password
    path = link_of(asked(user.email))
    for _scanner in range(3):
        assert b"password1" in opened(path)
    user.refresh_from_db()
    assert user.password == before


def test_a_link_ends_after_three_days_W10(home: str) -> None:
    user = colleague(Role.AGENT)
    with time_machine.travel(NOON, tick=False):
        path = link_of(asked(user.email))
    with time_machine.travel(NOON + timedelta(hours=71), tick=False):
        assert b"password1" in opened(path)
    with time_machine.travel(NOON + timedelta(hours=73), tick=False):
        assert b"password1" not in opened(path, password=NEW)
    assert not may_come_in(user, NEW)


def test_a_link_is_of_one_person_W10(home: str) -> None:
    user, other = colleague(Role.AGENT), app_user()
    path = link_of(asked(user.email))
    mark, _dash, rest = path.removeprefix("/accounts/password/reset/key/").partition("-")
    for forged in (
        f"{other.pk}-{rest}",  # another person's number with a right key
        f"{mark}-0-{'0' * 32}/",  # "0e…"-like: no type is guessed
        f"{mark}-{rest[:-2]}/",  # one letter short
        f"{mark}-{rest.upper()}",
        f"{mark}-{rest.rstrip('/')}0/",
        f"{mark}-set-password/",  # the step after the link, without the link
        f"{mark}--/",
        f"99999999-{rest}",
    ):
        assert b"password1" not in opened(f"/accounts/password/reset/key/{forged}", password=NEW), forged
    for somebody in (user, other):
        assert not may_come_in(somebody, NEW)
    for nothing in (
        "/accounts/password/reset/key/-/",
        "/accounts/password/reset/key/",
        f"/accounts/password/reset/key/{mark}/",
    ):
        assert Client().get(nothing).status_code == 404


def test_a_newer_password_ends_older_links_W10(home: str) -> None:
    user = colleague(Role.AGENT)
    path = link_of(asked(user.email))
    user.set_password("something in between 3")
    user.save()
    assert b"password1" not in opened(path, password=NEW)
    assert may_come_in(user, "something in between 3")


def test_there_is_no_other_link_that_lets_somebody_in_W10() -> None:
    """Nobody is invited by a link, and a code that was never asked for is none, whatever it looks like."""
    names = {str(name) for name in get_resolver().reverse_dict if isinstance(name, str)}
    assert "account_reset_password_from_key" in names
    assert not {name for name in names if "invit" in name or name == "account_request_login_code"}
    colleague(Role.AGENT)
    for code in ("", "0", "0e1", "000000", "None", "[]"):
        browser = Client()
        browser.post(reverse("account_confirm_login_code"), {"code": code})
        assert browser.get("/admin/").status_code == 302
        answer = browser.post("/_allauth/app/v1/auth/code/confirm", {"code": code}, content_type="application/json")
        assert answer.status_code >= 400
