"""The contact form, on our own page and on other sites: what a visitor sees, what a program gets, what nonsense does (nothing)."""

from __future__ import annotations

import re
import time
import uuid
from datetime import timedelta
from statistics import median
from typing import Any

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError
from django.test import Client

from crm.actions import calendars, forms, intake, set_aside
from crm.models import (
    Attachment,
    ContactPoint,
    Conversation,
    Customer,
    FormCount,
    Interaction,
    OutgoingMessage,
    Promise,
    RawItem,
    WebForm,
)
from crm.policy import LookedAs, Role
from tests.conftest import NOON, ROOT
from tests.crm.stories import colleague, message

pytestmark = pytest.mark.django_db

SHOP = "https://www.shop.example"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0"


def made(*origins: str, **more: Any) -> WebForm:
    draft = forms.Draft("On the shop's page", tuple(origins), **more)
    return forms.add(draft, by=colleague(Role.ADMINISTRATOR), at=NOON)


def key_on(page: str = "/contact/", **headers: Any) -> str:
    """The key that a page carries which a visitor has just opened."""
    found = re.search(r'name="key" value="([^"]+)"', Client().get(page, **headers).content.decode())
    assert found
    return found[1]


def filled(page: str = "/contact/", **changes: Any) -> dict[str, Any]:
    return {
        "email": "carla@home.example",
        "name": "Carla",
        "subject": "Lamp",
        "text": "It is broken.",
        "key": key_on(page),
        **changes,
    }


def page_of(form: WebForm) -> str:
    return f"/contact/{form.public_id}/"


def answer_to(content: bytes) -> str:
    """What somebody answers who reads the question."""
    found = re.search(r"How much is (\d) plus (\d)", content.decode())
    assert found
    return str(int(found[1]) + int(found[2]))


# --- taken in ---------------------------------------------------------------------------------------------------------


def test_a_message_comes_in_and_says_what_happens_now():
    colleague()
    with time_machine.travel(NOON, tick=False):
        answer = Client().post("/contact/", filled(), follow=True)
    ((thanks, status),) = answer.redirect_chain
    assert (thanks.partition("?")[0], status) == ("/contact/thanks/", 302)
    assert b"within eight hours" in answer.content
    assert b"Monday, 2 March 2026, 21:00 (CET)" in answer.content
    assert Conversation.objects.get().channel == "web_form"


def test_the_promise_on_the_page_is_the_promise_that_is_kept():
    with time_machine.travel(NOON, tick=False):
        Client().post("/contact/", filled())
    assert forms.promised_by(NOON) == Promise.objects.get(kind="first_response").due_at


def test_where_regions_have_hours_of_their_own_the_page_names_no_moment_W01(monkeypatch):
    monkeypatch.setattr(calendars, "differ_by_region", lambda _at: True)
    answer = Client().post("/contact/", filled(), follow=True)
    assert b"within eight hours of our service time" in answer.content
    assert b"at the latest" not in answer.content


def test_it_is_acknowledged_by_mail_in_the_language_of_the_page():
    with time_machine.travel(NOON, tick=False):
        Client().post("/contact/?language=de", filled("/contact/?language=de"))
    notice = OutgoingMessage.objects.get()
    assert (notice.kind, notice.address) == ("notice", "carla@home.example")
    assert "21:00" in notice.text
    assert "Danke" in notice.text
    assert Customer.objects.get().language == "de"


def test_an_address_gets_one_acknowledgement_a_day_whoever_types_it_in_W05_M26():
    for number in range(4):
        answer = Client().post("/contact/", filled(text=f"Number {number}."))
        assert answer.status_code == 302
    assert Interaction.objects.count() == 4
    assert OutgoingMessage.objects.count() == 1


def test_a_phone_number_alone_is_enough_and_one_beside_an_address_is_kept():
    Client().post("/contact/", filled(email="", phone="030 1234567"))
    assert ContactPoint.objects.get().address == "+49301234567"
    assert not OutgoingMessage.objects.exists()
    Client().post("/contact/", filled(phone="030 7654321"))
    assert "030 7654321" in Interaction.objects.latest("id").text


def test_a_double_click_is_one_message():
    form = filled()
    for _ in range(3):
        assert Client().post("/contact/", form).status_code == 302
    assert Interaction.objects.count() == 1
    assert OutgoingMessage.objects.count() == 1


def test_other_words_from_the_same_page_become_a_message_of_their_own_with_one_more_press():
    form = filled()
    Client().post("/contact/", form)
    answer = Client().post("/contact/", form | {"text": "And the other lamp, too."})
    assert (answer.status_code, b"And the other lamp" in answer.content) == (409, True)
    key = re.search(r'name="key" value="([^"]+)"', answer.content.decode())[1]
    assert Client().post("/contact/", form | {"text": "And the other lamp, too.", "key": key}).status_code == 302
    assert Interaction.objects.count() == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"email": ""},
        {"email": "nobody"},
        {"email": "", "phone": "12"},
        {"text": ""},
        {"text": " "},
        {"subject": "s" * 301},
        {"text": "a\x00b"},
        {"name": "n" * 201},
        {"key": "k" * 201},
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
    form = filled()
    answer = Client().post("/contact/", form)
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert b"It is broken." in answer.content
    assert b"in a moment" in answer.content
    monkeypatch.undo()
    kept = re.search(r'name="key" value="([^"]+)"', answer.content.decode())[1]
    Client().post("/contact/", form)  # it had arrived after all
    Client().post("/contact/", form | {"key": kept})
    assert Interaction.objects.count() == 1


def test_a_page_that_stood_open_too_long_asks_for_one_more_press():
    with time_machine.travel(NOON, tick=False):
        form = filled()
    with time_machine.travel(NOON + timedelta(hours=13), tick=False):
        answer = Client().post("/contact/", form)
    assert (answer.status_code, b"It is broken." in answer.content) == (400, True)
    assert not Interaction.objects.exists()


# --- files ------------------------------------------------------------------------------------------------------------


def test_files_are_judged_as_those_of_a_mail_are_M22_M23():
    sent = [
        SimpleUploadedFile("photo.png", PNG, "image/png"),
        SimpleUploadedFile("invoice.pdf.exe", b"MZ\x90\0", "application/pdf"),
        SimpleUploadedFile("photo.jpg", b"<html><script>alert(1)</script>", "image/jpeg"),
        SimpleUploadedFile("large.png", PNG + b"\0" * (15 * 2**20), "image/png"),
        SimpleUploadedFile("../../etc/passwd", b"root", "text/plain"),
    ]
    assert Client().post("/contact/", filled(files=sent)).status_code == 302
    found = {a.name: a.state for a in Attachment.objects.order_by("id")}
    assert found == {
        "photo.png": "stored",
        "invoice.pdf.exe": "quarantined",
        "photo.jpg": "quarantined",
        "large.png": "refused",
        "passwd": "stored",
    }
    told = OutgoingMessage.objects.get(key__startswith="files:")
    assert "invoice.pdf.exe" not in told.text  # nobody proved whose address that is


def test_more_than_we_can_take_is_refused_before_it_is_read_W07():
    form = {"key": "x", "text": "a"}
    answer = Client().generic(
        "POST", "/contact/", b"", content_type="multipart/form-data; boundary=b", CONTENT_LENGTH=str(2**30)
    )
    assert (answer.status_code, b"go back" in answer.content) == (413, True)
    many = form | {f"f{number}": "x" for number in range(10_000)}
    assert Client().post("/contact/", many).status_code == 413
    assert Client().post("/contact/", b"--b\r\nnonsense", content_type="multipart/form-data").status_code == 413
    assert not Interaction.objects.exists()
    assert not RawItem.objects.exists()


# --- programs ---------------------------------------------------------------------------------------------------------


def test_what_a_program_fills_in_is_set_aside_for_a_person_and_looks_the_same_to_it_X52():
    colleague()
    with time_machine.travel(NOON, tick=False):
        caught = Client().post("/contact/", filled(website="https://pills.example", text="Buy pills"), follow=True)
        person = Client().post("/contact/", filled(), follow=True)
    assert caught.content == person.content
    item = RawItem.objects.get()
    assert (item.kind, item.state, Interaction.objects.count()) == ("spam", "done", 1)

    received = set_aside.look(item.pk, verdict=LookedAs.WRONG, by=colleague(), at=NOON + timedelta(hours=2))

    assert (received.interaction.channel, received.interaction.source) == ("web_form", "form")
    assert "Buy pills" in received.interaction.text
    assert Promise.objects.get(conversation=received.conversation).starts_at == NOON


def test_nobody_is_asked_anything_until_many_come_from_one_network():
    for number in range(5):
        assert b"How much is" not in Client().get("/contact/").content
        assert Client().post("/contact/", filled(text=f"Number {number}.")).status_code == 302
    shown = Client().get("/contact/")
    assert b"How much is" in shown.content  # it says so before somebody chooses files

    form = filled(text="Number 6.")
    asked = Client().post("/contact/", form)
    assert (asked.status_code, b"Number 6." in asked.content) == (429, True)
    wrong = Client().post("/contact/", form | {"answer": "1"})
    assert wrong.status_code == 429
    assert Interaction.objects.count() == 5

    key = re.search(r'name="key" value="([^"]+)"', asked.content.decode())[1]
    right = form | {"key": key, "answer": answer_to(asked.content)}
    assert Client().post("/contact/", right).status_code == 302
    assert Interaction.objects.count() == 6
    # Its answer was lost on the way: the same press again is the same message, and nobody is asked again.
    assert Client().post("/contact/", right | {"answer": ""}).status_code == 302
    assert Interaction.objects.count() == 6
    # One right answer is good for one message.
    assert Client().post("/contact/", right | {"text": "Number 7."}).status_code == 409
    # Another network, and another form, are not asked.
    assert Client().post("/contact/", filled(text="Far away."), REMOTE_ADDR="203.0.113.9").status_code == 302
    form_page = page_of(made())
    assert Client().post(form_page, filled(form_page)).status_code == 302


def test_of_a_network_nothing_is_kept_but_a_count_under_a_word_of_the_day():
    for address in ("198.51.100.7", "198.51.100.99", "2001:db8:0:1::5", "2001:db8:0:1f::6"):
        Client().post("/contact/", filled(text=address), REMOTE_ADDR=address)
    counts = dict(FormCount.objects.values_list("network", "number"))
    assert sorted(counts.values()) == [2, 2, 4]
    assert not [word for word in counts if "198" in word.split() or ":" in word]
    with time_machine.travel(NOON + timedelta(days=4000), tick=False):
        Client().post("/contact/", filled(), REMOTE_ADDR="198.51.100.7")
    assert FormCount.objects.count() == 2


# --- nothing is told --------------------------------------------------------------------------------------------------


def test_known_and_unknown_people_read_the_same_words_W01():
    with time_machine.travel(NOON, tick=False):
        first = Client().post("/contact/", filled(), follow=True).content
        again = Client().post("/contact/", filled(), follow=True).content
    assert first == again


def test_whether_somebody_is_known_cannot_be_told_by_the_clock_W01():
    """The median time to an answer differs by less than 5 ms; 60 of each, alternating."""
    colleague()
    intake.receive(message(sender_address="known@home.example"), at=NOON, origin="test")
    taken: dict[str, list[float]] = {"known": [], "new": []}
    for number in range(60):
        for who in taken:
            address = "known@home.example" if who == "known" else f"new{number}@home.example"
            form = filled(email=address, text=f"{who} {number}")
            OutgoingMessage.objects.all().delete()  # each is acknowledged
            client = Client(REMOTE_ADDR=f"198.{number}.1.1")
            began = time.perf_counter()
            assert client.post("/contact/", form).status_code == 302
            taken[who].append(time.perf_counter() - began)
    assert abs(median(taken["known"]) - median(taken["new"])) < 0.005


def test_looking_at_the_page_changes_nothing_and_sets_no_cookie():
    form = made(SHOP)
    for page in ("/contact/", "/contact/thanks/", page_of(form), f"{page_of(form)}thanks/"):
        answer = Client().get(page)
        assert answer.status_code == 200
        assert not answer.cookies
        assert "Set-Cookie" not in answer.headers
    assert not Client().post(page_of(form), filled(page_of(form))).cookies
    assert Interaction.objects.count() == 1


def test_the_page_asks_nothing_of_anybody_else_and_needs_no_script():
    content = Client().get("/contact/").content.decode()
    assert "<script" not in content
    assert not re.findall(r'(?:src|href|action)="(?:https?:)?//', content)


def test_what_a_visitor_types_is_shown_as_text():
    answer = Client().post("/contact/", filled(email="x", text="<script>alert(1)</script>"))
    assert b"<script>alert(1)" not in answer.content


# --- on other sites ---------------------------------------------------------------------------------------------------


def test_a_form_stands_in_a_frame_of_the_sites_it_names_and_nowhere_else_W13():
    answer = Client().get(page_of(made(SHOP, "https://*.shop.example")))
    assert f"frame-ancestors {SHOP} https://*.shop.example" in answer["Content-Security-Policy"]
    assert "script-src 'self'" in answer["Content-Security-Policy"]
    assert "X-Frame-Options" not in answer
    for page in ("/contact/", page_of(made())):
        answer = Client().get(page)
        assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]
        assert answer["X-Frame-Options"] == "DENY"


def test_a_form_in_a_frame_runs_no_script_so_no_message_of_another_window_reaches_it_W14():
    content = Client().get(page_of(made(SHOP)) + "?frame=1").content.decode()
    assert "<script" not in content
    assert not re.search(r"<[a-z]+ [^>]*\bon[a-z]+=", content)
    scripts = (ROOT / "evenhand" / "static").rglob("*.js")
    heard = [
        path.name for path in scripts if re.search(r"[\"']message[\"']|onmessage", path.read_text(encoding="utf-8"))
    ]
    assert heard == []  # nor does any page of staff listen


SNIPPET = {"email": "carla@home.example", "text": "It is broken."}


@pytest.mark.parametrize("origin", [SHOP, "https://de.shop.example"])
def test_a_plain_form_on_their_page_is_taken_at_once_and_twice_is_once(origin):
    page = page_of(made(SHOP, "https://*.shop.example"))
    for _ in range(2):
        answer = Client(enforce_csrf_checks=True).post(page, SNIPPET, headers={"Origin": origin})
        assert answer.status_code == 302
    assert Interaction.objects.count() == 1


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://www.shop.example.evil.example", "http://www.shop.example", "null", ""]
)
def test_from_elsewhere_it_is_only_shown_and_the_visitor_presses_send_W02_W14(origin):
    page = page_of(made(SHOP))
    answer = Client().post(page, SNIPPET, headers={"Origin": origin} if origin else {})
    assert (answer.status_code, b"It is broken." in answer.content) == (400, True)
    assert not Interaction.objects.exists()
    key = re.search(r'name="key" value="([^"]+)"', answer.content.decode())[1]
    assert Client().post(page, SNIPPET | {"key": key}).status_code == 302


def test_a_key_belongs_to_one_form_and_cannot_be_made_up_W04():
    one, other = made(), made()
    for key in (key_on(page_of(other)), str(uuid.uuid4()), "form|x:1:y"):
        answer = Client().post(page_of(one), SNIPPET | {"key": key})
        assert answer.status_code == 400
    assert not Interaction.objects.exists()


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"text": ""}, 400, "invalid"),
        ({"email": "", "phone": ""}, 400, "invalid"),
        ({"email": "nobody"}, 400, "unusable_address"),
        ({"key": ""}, 400, "page_unknown"),
        ({"key": "form|x:1:y"}, 400, "page_unknown"),
    ],
)
def test_what_is_refused_says_so_with_a_status_and_a_code_and_keeps_what_was_typed_Q11(changes, status, code):
    typed = filled(subject="My green lamp", phone="+4930111222") | {"text": "It is broken.", **changes}
    if "email" in changes:
        typed["phone"] = ""
    answer = Client().post("/contact/", typed)
    assert (answer.status_code, answer["X-Refusal"]) == (status, code)
    page = answer.content.decode()
    assert all(typed[name] in page for name in ("subject", "text", "email"))
    assert 'role="alert"' in page or 'aria-invalid="true"' in page
    assert not Interaction.objects.exists()


def test_the_same_press_with_other_words_says_so_with_its_code_Q11():
    first = filled()
    assert Client().post("/contact/", first).status_code == 302
    answer = Client().post("/contact/", first | {"text": "It is broken, and burnt."})
    assert (answer.status_code, answer["X-Refusal"]) == (409, intake.DifferentContent.code)
    assert "It is broken, and burnt." in answer.content.decode()


def test_a_form_that_is_closed_or_was_never_there_is_the_same_nothing_W01():
    form = made()
    forms.switch(form.pk, on=False, by=colleague(), at=NOON)
    closed, never = Client().get(page_of(form)), Client().get(f"/contact/{uuid.uuid4()}/")
    assert (closed.status_code, never.status_code) == (404, 404)
    assert closed.content == never.content
    assert Client().post(page_of(form), SNIPPET).status_code == 404


def test_a_forged_moment_is_not_shown():
    answer = Client().get("/contact/thanks/", {"by": "2031-01-01T00:00:00+00:00:forged"})
    assert b"2031" not in answer.content


@pytest.mark.parametrize(
    "origin", ["shop.example", "https://shop.example/page", "javascript:alert(1)", "https://a b", "http://shop.example", "*",
               "https://*", "https://me@shop.example", "https://shop.example; script-src *"]
)  # fmt: skip
def test_what_is_no_site_cannot_be_named(origin):
    with pytest.raises(forms.UnusableForm):
        made(origin)
    assert not WebForm.objects.exists()


def test_whoever_looks_through_what_was_set_aside_reads_it_and_takes_it_in_X52():
    colleague()
    Client().post("/contact/", filled(website="x", text="My lamp broke,\nreally.", name="Carla & <b>"))
    lead = Client()
    lead.force_login(colleague(Role.LEAD))
    item = RawItem.objects.get()
    listed = lead.get("/admin/set-aside/", {"show": "spam"}).content.decode()
    assert "carla@home.example" in listed
    assert "A field that people do not see was filled in." in listed
    page = f"/admin/set-aside/{item.public_id}/"
    shown = lead.get(page).content.decode()
    assert "My lamp broke," in shown
    assert "Carla &amp; &lt;b&gt;" in shown
    assert lead.post(page, {"do": "customer"}).status_code == 302
    assert Conversation.objects.get().channel == "web_form"
    # And should the visitor press Send again, now as a person: it is the same message.
    assert lead.post(page, {"do": "customer"}).status_code == 409
