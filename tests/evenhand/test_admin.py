"""The admin as a whole: the page of today, the sidebar, the log-in, and what browsers may run."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib import admin
from django.core.mail import EmailMessage
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from crm.actions import customers, desk
from crm.admin.base import ReadOnlyAdmin
from crm.models import Hold, RawItem
from crm.policy import OutOfOrder, Role, WorkState
from evenhand import mailbox
from evenhand.admin_settings import UNFOLD
from loyalty import actions as loyalty_actions
from loyalty.models import Programme
from recovery import actions as recovery_actions
from recovery.policy import Facts
from tests.conftest import NOON, ROOT
from tests.crm.test_admin import (
    CUSTOMER,
    NOBODY,
    STAFF,
    STATEMENTS,
    WITHOUT_ROLE,
    browser,
    colleague,
    statements,
    stored,
    told,
)

pytestmark = pytest.mark.django_db

OWN_FILES = [*(ROOT / "templates" / "admin").rglob("*.html"), *(ROOT / "templates" / "account").rglob("*.html")]


@pytest.mark.parametrize("who", [NOBODY, CUSTOMER, WITHOUT_ROLE, *STAFF])
def test_today_opens_for_everybody_who_works_here(who: str) -> None:
    client = browser(who)
    home, numbers = client.get(reverse("admin:index")), client.get(reverse("admin:today"))
    if who in (NOBODY, CUSTOMER):
        assert home.status_code == 302
        assert numbers.status_code == {NOBODY: 302, CUSTOMER: 403}[who]
    else:
        assert (home.status_code, numbers.status_code) == (200, 200)
        folder = client.get(reverse("admin:mail_folder"))
        assert folder.status_code == (403 if who == WITHOUT_ROLE else 200)


def test_today_puts_promises_first_then_cases_then_kindness() -> None:
    conversation = told("a")
    recovery_actions.open_case(conversation.pk, facts=Facts(), seen_because=[], by=None, at=NOON)
    content = browser(Role.LEAD).get(reverse("admin:index")).content.decode()
    places = [content.index(words) for words in ("kept in time", "overdue", "cases open", "cards going out today")]
    assert places == sorted(places)


def test_every_number_leads_to_the_list_behind_it() -> None:
    recovery_actions.open_case(told("a").pk, facts=Facts(), seen_because=[], by=None, at=NOON)
    client = browser(Role.LEAD)
    links = re.findall(r'class="eh-tile[^"]*" href="([^"]+)"', client.get(reverse("admin:today")).content.decode())
    assert len(links) == 9
    for link in links:
        assert client.get(link.replace("&amp;", "&")).status_code == 200, link


def test_todays_numbers_are_those_of_the_lists() -> None:
    told("old", at=NOON)
    told("new", address="b@example.org", at=timezone.now() - timedelta(hours=7, minutes=30))
    content = browser(Role.AGENT).get(reverse("admin:today")).content.decode()
    for number, words in ((1, "overdue"), (1, "due within the hour"), (2, "waiting for us"), (2, "nobody&#x27;s yet")):
        assert re.search(rf"<b>{number}</b><span>{re.escape(words)}</span>", content), words


def test_a_card_of_today_is_counted_for_those_who_may_see_gestures() -> None:
    Programme.objects.update(is_active=True)
    customer, now = told("a").customer, timezone.now()
    local = timezone.localtime(now)
    customers.tell_birthday(customer, month=local.month, day=local.day, evidence="said so", at=now)
    loyalty_actions.plan_birthdays(now)
    words = "<b>1</b><span>cards going out today</span>"
    assert words in browser(Role.LOYALTY_MANAGER).get(reverse("admin:today")).content.decode()
    assert "cards going out" not in browser(Role.AGENT).get(reverse("admin:today")).content.decode()


def test_today_costs_the_same_with_one_matter_and_with_twenty() -> None:
    lead, client = colleague(Role.LEAD), Client()
    client.force_login(lead)
    told("a")
    one = statements(client, reverse("admin:index"))
    for number in range(20):
        conversation = told(f"n{number}", address=f"n{number}@example.org")
        recovery_actions.open_case(conversation.pk, facts=Facts(), seen_because=[], by=None, at=NOON)
        desk.answer(
            conversation.pk, text="Tomorrow.", by=lead, at=NOON, stays_open=True, out_of_order=OutOfOrder.KNOWS_IT
        )
    assert statements(client, reverse("admin:index")) == one
    assert one <= 2 * STATEMENTS


def test_what_came_in_and_could_not_be_read_shows_where_everybody_begins_F24() -> None:
    client, unread = browser(Role.LEAD), "could not be read"
    assert unread not in client.get(reverse("admin:index")).content.decode()
    RawItem.objects.create(
        source="hook:x",
        external_id="1",
        content=b"{",
        received_at=NOON,
        state=WorkState.PARKED,
        reason="JSONDecodeError",
    )
    assert unread in client.get(reverse("admin:index")).content.decode()
    listed = client.get(reverse("admin:crm_rawitem_changelist") + "?state__exact=parked")
    assert listed.status_code == 200
    assert "hook:x" in listed.content.decode()


def test_looking_at_today_changes_nothing() -> None:
    told("a")
    client = browser(Role.ADMINISTRATOR)
    before = stored()
    for name in ("index", "today", "mail_folder", "loyalty_gesture_changelist", "programmes"):
        assert client.get(reverse(f"admin:{name}")).status_code == 200
    assert stored() == before


@pytest.mark.parametrize("who", STAFF)
def test_the_sidebar_leads_only_where_one_may_go(who: str) -> None:
    client = browser(who)
    content = client.get(reverse("admin:index")).content.decode()
    side = content[content.index('id="nav-sidebar-apps"') : content.index('id="main"')]
    links = set(re.findall(r'href="(/admin/[^"]*)"', side))
    assert len(links) > 8
    assert (reverse("admin:log_call") in links) == (who in (Role.AGENT, Role.LEAD))
    for link in links:
        assert client.get(link).status_code == 200, link


def test_the_mail_folder_shows_mails_as_text() -> None:
    backend = mailbox.FolderBackend()
    backend.send_messages([EmailMessage("Your parcel", "It is <b>here</b>.", "shop@example.org", ["kim@example.org"])])
    content = browser(Role.AGENT).get(reverse("admin:mail_folder")).content.decode()
    assert "Your parcel" in content
    assert "It is &lt;b&gt;here&lt;/b&gt;." in content


def test_holds_are_told_in_words_on_the_customers_page() -> None:
    conversation = told("a")
    recovery_actions.open_case(conversation.pk, facts=Facts(), seen_because=[], by=None, at=NOON)
    assert Hold.objects.exists()
    content = browser(Role.AGENT).get(reverse("admin:customer", args=[conversation.customer.public_id]))
    assert "a case is open" in content.content.decode()


# --- what browsers may run ---------------------------------------------------------------------------------------------


def test_the_admin_and_the_log_in_are_given_the_themes_policy_and_nothing_else_is() -> None:
    client = browser(Role.AGENT)
    for path in ("/admin/", reverse("mfa_index"), "/admin/inbox/"):
        policy = client.get(path).headers["Content-Security-Policy"]
        assert "script-src 'self' 'unsafe-eval'" in policy
        assert "style-src 'self' 'unsafe-inline'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "img-src 'self' data:" in policy
    elsewhere = client.get("/contact/").headers["Content-Security-Policy"]
    assert "unsafe" not in elsewhere


def test_no_page_of_ours_carries_script_or_takes_anything_from_elsewhere() -> None:
    assert OWN_FILES
    for file in OWN_FILES:
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"<script(?![^>]*\bsrc=)", text), file
        assert not re.search(r"\son[a-z]+=|javascript:|https?://|\|safe\b|autoescape off", text), file


def test_everything_in_the_admin_is_only_read() -> None:
    assert all(isinstance(registered, ReadOnlyAdmin) for registered in admin.site._registry.values())


def test_the_log_in_wears_the_products_colours() -> None:
    style = (ROOT / "evenhand" / "static" / "evenhand" / "account.css").read_text(encoding="utf-8")
    for step, colour in UNFOLD["COLORS"]["primary"].items():
        assert f"--color-primary-{step}: {colour};" in style


def test_a_colleague_logs_in_on_a_page_of_ours_and_comes_to_today() -> None:
    user = colleague(Role.AGENT)
    user.set_password("a long enough one")
    user.save()
    client = Client()
    page = client.get("/admin/", follow=True)
    assert page.status_code == 200
    assert "evenhand/account.css" in page.content.decode()
    answer = client.post(
        page.request["PATH_INFO"], {"login": user.email, "password": "a long enough one", "next": "/admin/"}
    )
    assert answer["Location"] == "/admin/"
    wrong = Client().post("/accounts/login/", {"login": user.email, "password": "something else"})
    assert 'class="errorlist' in wrong.content.decode()


@pytest.mark.parametrize("name", ["account_logout", "mfa_index", "account_reauthenticate", "account_change_password"])
def test_the_pages_of_ones_own_account_wear_the_theme(name: str) -> None:
    client = Client()
    user = colleague(Role.AGENT)
    user.set_password("a long enough one")
    user.save()
    client.post("/accounts/login/", {"login": user.email, "password": "a long enough one"})
    page = client.get(reverse(name))
    assert page.status_code == 200
    assert "eh-account" in page.content.decode()


def test_a_password_can_be_asked_for_again() -> None:
    page = Client().get("/accounts/password/reset/")
    assert page.status_code == 200
    assert "eh-account" in page.content.decode()


def test_static_files_are_all_our_own() -> None:
    folder = ROOT / "evenhand" / "static" / "evenhand"
    for name in ("admin.css", "account.css", "admin.js", "inbox.js", "capture.js", "today.js", "favicon.svg"):
        text = Path(folder / name).read_text(encoding="utf-8")
        assert not re.search(r"@import|url\(|https?://(?!www\.w3\.org/2000/svg)", text), name
