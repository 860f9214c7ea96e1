"""What holds for the product as a whole: health, headers, accounts, the demo's mail folder, the demo itself."""

from __future__ import annotations

import io
import stat
from urllib.parse import urlsplit

import pytest
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.management import call_command
from django.test import Client
from django.urls import get_resolver

from crm.actions import channel_sending
from crm.models import (
    Alert,
    ChannelAccount,
    Conversation,
    Customer,
    HistoryEntry,
    OutgoingMessage,
    Promise,
    PublicPost,
    User,
)
from crm.policy import Role
from evenhand import mailbox
from evenhand.management import demo_channels, demo_past
from evenhand.management.commands import demo
from recovery.actions import certificates
from recovery.models import Case, Correction, Decision, ParityAudit, ParityCertificate, ParityFinding, ResponseTimes
from recovery.parity import stored
from recovery.policy import CertificateResult, FindingState
from tests.conftest import NOON, ROOT
from tests.crm.stories import app_user, colleague

PUBLIC = [
    "/api/v1/me/",
    "/_allauth/app/v1/config",
    "/contact/",
    "/contact/thanks/",
    "/accounts/login/",
    "/livez",
    "/readyz",
    "/api/v1/docs/",
    "/nowhere/",
]


@pytest.mark.django_db
def test_it_says_whether_it_is_alive_and_ready():
    assert Client().get("/livez").content == b"ok\n"
    assert Client().get("/readyz").json() == {"ready": True}


@pytest.mark.django_db
@pytest.mark.parametrize("url", PUBLIC)
def test_every_page_carries_its_protective_headers_W13_Y03(url):
    answer = Client().get(url)
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]
    assert "unsafe-inline" not in answer["Content-Security-Policy"].partition("script-src")[2].partition(";")[0]
    assert answer["Referrer-Policy"] == "same-origin"


@pytest.mark.django_db
def test_nobody_signs_up_by_themselves():
    answer = Client().post(
        "/accounts/signup/", {"email": "a@b.example", "password1": "right horse 9", "password2": "right horse 9"}
    )
    assert answer.status_code in (200, 403, 404)
    api = Client().post(
        "/_allauth/app/v1/auth/signup",
        {"email": "a@b.example", "password": "right horse 9"},
        content_type="application/json",
    )
    assert api.status_code >= 400
    assert not User.objects.exists()


@pytest.mark.django_db
def test_wrong_passwords_are_limited_S09_C08():
    user = app_user()
    answers = [
        Client().post(
            "/_allauth/app/v1/auth/login",
            {"email": user.email, "password": f"wrong {n}"},
            content_type="application/json",
        )
        for n in range(15)
    ]
    assert {answer.status_code for answer in answers} <= {400, 429}
    assert "too_many_login_attempts" in answers[-1].content.decode()


@pytest.mark.django_db
def test_the_admin_asks_to_log_in_where_everybody_does():
    colleague()
    answer = Client().get("/admin/")
    assert answer.status_code == 302
    assert "/accounts/login/" in answer["Location"] or "/admin/login/" in answer["Location"]


def test_a_mail_folder_that_is_there_but_empty_is_no_trouble(settings):
    settings.MAIL_FOLDER.mkdir(parents=True)
    message = EmailMultiAlternatives("Hello", "Hello", "shop@evenhand.example", ["l@home.example"])
    assert get_connection("evenhand.mailbox.FolderBackend").send_messages([message]) == 1
    assert len(mailbox.newest(limit=5)) == 1


def test_the_demos_mail_lands_in_a_folder_and_can_be_read_there():
    message = EmailMultiAlternatives("Grüße ✂", "Hallo Łukasz", "shop@evenhand.example", ["l@home.example"])
    message.attach_alternative("<p>Hallo</p>", "text/html")
    get_connection("evenhand.mailbox.FolderBackend").send_messages([message])
    kept = mailbox.newest(limit=5)
    assert [(mail.to, mail.subject, mail.text) for mail in kept] == [("l@home.example", "Grüße ✂", "Hallo Łukasz")]


def test_no_folder_means_no_mails():
    assert mailbox.newest(limit=5) == []


@pytest.fixture
def demo_places(tmp_path, monkeypatch, settings):
    places = type("P", (), {"data": tmp_path})()
    monkeypatch.setattr(demo, "PLACES", places)
    monkeypatch.setattr(demo_channels, "PLACES", places)
    settings.EVENHAND_SECRET_FOLDERS = (str(tmp_path / "secrets"),)
    for part in ("tell", "look_back", "look_tonight"):  # the past has a test of its own, see below
        monkeypatch.setattr(demo_past, part, lambda *args, **kwargs: None)


@pytest.mark.django_db
def test_the_demo_shows_the_same_failure_by_mail_and_by_phone_treated_alike(tmp_path, demo_places):
    call_command("demo", verbosity=0, stdout=io.StringIO())
    guitar, violin = Case.objects.order_by("pk")[:2]
    owed = [Decision.objects.filter(case=case).order_by("-pk")[0].entitlement for case in (guitar, violin)]
    assert owed[0] == owed[1]
    assert {guitar.conversation.channel, violin.conversation.channel} == {"email", "phone"}
    assert guitar.confirmed_at is not None
    assert Conversation.objects.waiting_for_us().exists()
    assert OutgoingMessage.objects.filter(state="accepted").exists()
    assert Promise.objects.filter(kind="call_back").count() == 1
    assert "agent@evenhand.example" in (tmp_path / "demo-logins.txt").read_text()


@pytest.mark.django_db
def test_the_demo_shows_channels_at_work_and_lets_nothing_leave(tmp_path, demo_places):
    call_command("demo", verbosity=0, stdout=io.StringIO())
    assert {(one.channel, one.is_sandbox) for one in ChannelAccount.objects.all()} == {
        ("chat", True), ("sms", True), ("social_public", True)
    }  # fmt: skip
    assert not ChannelAccount.objects.exclude(error="").exists()
    live = PublicPost.objects.filter(imported=False)
    assert live.filter(verdict="none").count() == 1
    assert live.filter(verdict="", answered_at=None).exists()
    assert PublicPost.objects.filter(imported=True, answered_at__isnull=False).count() > 50
    answers = OutgoingMessage.objects.exclude(account=None)
    assert {one.reason for one in answers} == {channel_sending.SANDBOX}
    for secret in (tmp_path / "secrets").iterdir():
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600


@pytest.mark.django_db
def test_the_demos_past_has_a_slow_phone_that_was_found_put_right_and_is_gone_and_a_red_month_R070_R081():
    ada, ben, lena = colleague(), colleague(), colleague(Role.LEAD)
    demo_past.tell(NOON, ada=ada, ben=ben)
    demo_past.look_back(NOON, lead=lena)
    demo_past.look_tonight(NOON)
    found = ParityFinding.objects.get(metric="first_response", channel="phone")
    assert not found.is_favoured
    assert (found.state, found.said_by) == (FindingState.VERIFIED, lena)
    first, newest = (ParityAudit.objects.order_by(key).first().report["contrasts"] for key in ("id", "-id"))
    before, now = (
        next(line["estimate"] for line in lines if (line["metric"], line["channel"]) == ("first_response", "phone"))
        for lines in (first, newest)
    )
    assert before > 1.8
    assert 0.8 < now < 1.25
    assert ParityCertificate.objects.earliest("month").result == CertificateResult.DIFFERS
    assert ParityCertificate.objects.count() == 2
    assert certificates.is_public()
    assert not Alert.objects.filter(kind__in=demo_past.SEEN, seen_at=None).exists()
    mended = Correction.objects.get(finding=found, kind="ingest_fix")
    assert (mended.agreed_by, mended.state) == (lena, "ended")
    assert mended.ratio_before > 1.8
    assert mended.ratio_after < 1.25
    assert not Correction.objects.filter(state="proposed").exists()
    for look in ParityAudit.objects.order_by("id"):  # the page says of the mix what the report notes
        lines = {(line["channel"], line["metric"]) for line in look.report["contrasts"]}
        mixed = {
            f"{metric}, {channel} against others: case mix {found}"
            for channel, metric in lines
            if (found := stored.mix(channel, metric, adjusted=look.report["contrasts"], crude=look.report["crude"]))
        }
        assert mixed == {
            note.split(":")[0] + ":" + note.split(":")[1] for note in look.report["notes"] if "case mix" in note
        }
    assert {line["channel"] for line in ResponseTimes.objects.get().lines if line["median_minutes"]} >= {
        "phone",
        "email",
    }


@pytest.mark.django_db
def test_the_demo_never_touches_an_evenhand_that_is_in_use():
    Customer.objects.create(display_name="Carla", created_at="2026-01-01T00:00Z")
    before = HistoryEntry.objects.count()
    call_command("demo", "--if-empty", verbosity=0)
    with pytest.raises(SystemExit):
        call_command("demo", verbosity=0, stderr=io.StringIO())
    assert HistoryEntry.objects.count() == before
    assert not User.objects.exists()


@pytest.mark.django_db
def test_no_colleague_has_an_address_on_the_domain_of_our_reply_addresses_M08(settings):
    from evenhand import checks
    from tests.crm.stories import colleague

    settings.EVENHAND_INBOUND_DOMAIN = "in.shop.example"
    assert checks.nobody_works_on_the_inbound_domain(None, databases=["default"]) == []
    colleague(email="ada@in.shop.example")
    assert [one.id for one in checks.nobody_works_on_the_inbound_domain(None, databases=["default"])] == [
        "evenhand.E007"
    ]


def test_without_anything_that_tells_who_wrote_start_up_warns_M13(settings):
    from evenhand import checks

    settings.EVENHAND_INBOUND_DOMAIN, settings.EVENHAND_BORDER_HOSTS = "", frozenset()
    assert [one.id for one in checks.mail_can_be_trusted(None)] == ["evenhand.W001"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example/", "//evil.example/", "https:evil.example", "/\\evil.example", "javascript:alert(1)", "\thttps://evil.example"],
)  # fmt: skip
@pytest.mark.parametrize("page", ["/accounts/login/", "/admin/login/", "/accounts/logout/"])
def test_nobody_is_sent_on_to_another_site_W09(page: str, elsewhere: str):
    colleague()
    somebody = User.objects.get()
    somebody.set_password("right horse 9 battery")
    somebody.save()
    given = {"login": somebody.email, "password": "right horse 9 battery", "next": elsewhere, "RelayState": elsewhere}
    browser = Client()
    for answer in (
        browser.get(page, {"next": elsewhere}),
        browser.post(page, given, query_params={"next": elsewhere}),
        browser.get(page, {"next": elsewhere}),  # by now perhaps logged in
        browser.post("/accounts/logout/", {"next": elsewhere}),
    ):
        where = answer.headers.get("Location", "")
        assert urlsplit(where).netloc in ("", "testserver"), where
        assert urlsplit(where).scheme in ("", "http"), where
        assert not where.startswith(("//", "/\\"))


def test_no_address_of_ours_tells_that_a_mail_was_opened_or_asks_by_link_W11():
    """There is nothing to be called with somebody else's ids: no counting picture, no survey that a link answers."""
    mails = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "templates" / "email").rglob("*.html"))
    assert "<img" not in mails
    assert "url(" not in mails
    named = {str(pattern.pattern) for pattern in get_resolver().url_patterns}
    assert not [name for name in named if any(word in name for word in ("track", "pixel", "open", "survey"))]
