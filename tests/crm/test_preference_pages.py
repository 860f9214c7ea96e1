"""Customers' own page, the answer to a question, and the way there: narrow, without cookie or script (W01-W06, X38)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from crm import preference_pages
from crm.actions import (
    consent,
    customers,
    desk,
    identity,
    intake,
    outgoing,
    persons,
    preferences,
    questions,
    suppression,
)
from crm.models import Consent, ConsentProof, ContactPoint, Customer, HistoryEntry, OutgoingMessage, Suppression
from crm.policy import MessageKind, OutOfOrder
from crm.policy.consent import WORDS, WORDS_VERSION
from tests.conftest import NOON
from tests.crm.allowing import allows
from tests.crm.stories import colleague, message

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
ONE_CLICK = {"List-Unsubscribe": "<https://x.example>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


@pytest.fixture(autouse=True)
def _clock() -> Any:
    with time_machine.travel(NOON, tick=False):
        yield


def wrote(address: str = "carla@home.example") -> Customer:
    text = "My secret matter about a lamp for 80 EUR."
    return intake.receive(message(text, sender_address=address), at=NOON, origin="test").conversation.customer


def path_of(customer: Customer) -> str:
    point = customer.contact_points.get(kind="email")
    return preferences.link(customer.pk, point.pk, at=NOON).removeprefix("http://127.0.0.1:8000")


def field_of(page: str) -> str:
    found = re.search(r'name="field" value="([^"]+)"', Client().get(page).content.decode())
    assert found
    return found[1]


def press(page: str, what: str, client: Client | None = None, **more: Any) -> Any:
    return (client or Client(enforce_csrf_checks=True)).post(page, {"press": what, "field": field_of(page), **more})


def stands(customer: Customer) -> dict[tuple[str, str], bool]:
    return {line: event.allows for line, event in consent.counting(customer.pk).items()}


# --- what it shows -----------------------------------------------------------------------------------------------------


def test_it_shows_every_choice_in_its_words_and_nothing_of_the_customer_s_matters_W04():
    carla = wrote()
    answer = Client().get(path_of(carla))
    page = answer.content.decode()
    assert answer.status_code == 200
    for words in WORDS.values():
        assert f"<q>{words}</q>" in page
    assert "secret" not in page
    assert "80" not in page.replace("#", "")
    assert "Carla" not in page
    assert "<script" not in page
    assert not answer.cookies
    assert (answer["Referrer-Policy"], answer["Cache-Control"]) == ("no-referrer", "no-store")
    assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]


@pytest.mark.parametrize("language", ["de", "es", "fr", "it", "nl", "pl"])
def test_it_speaks_the_visitor_s_language_and_the_proof_says_which(language: str):
    carla = wrote()
    page = f"{path_of(carla)}?language={language}"
    shown = Client().get(page).content.decode()
    assert f'lang="{language}"' in shown
    assert "You have not said yes" not in shown
    press(page, "yes:birthday.email")
    proof = ConsentProof.objects.get()
    assert (proof.language, proof.version, proof.door) == (language, WORDS_VERSION, "page")
    assert proof.words in shown


def test_it_takes_as_many_statements_for_many_messages_as_for_one():
    carla = wrote()
    page = path_of(carla)
    sent_card(carla, "one")
    with CaptureQueriesContext(connection) as few:
        Client().get(page)
    for number in range(20):
        sent_card(carla, f"more{number}")
        consent.withdraw(carla, "birthday", evidence="x", at=NOON)
        allows(carla)
    with CaptureQueriesContext(connection) as many:
        Client().get(page)
    assert len(many) == len(few) <= 7


# --- what it changes ---------------------------------------------------------------------------------------------------


def test_yes_is_said_with_proof_and_no_takes_it_back_N7():
    carla = wrote()
    page = path_of(carla)
    answer = press(page, "yes:news.email")
    assert (answer.status_code, answer["Location"]) == (302, f"{page}?done=yes")
    assert "We have noted your yes." in Client().get(answer["Location"]).content.decode()
    proof = ConsentProof.objects.get()
    assert (proof.words, proof.network, proof.contact_point) == (
        "Yes, you may send me news and offers by e-mail.",
        "127.0.0.0/24",
        carla.contact_points.get(),
    )
    press(page, "yes:news.email")
    assert stands(carla) == {("news", "email"): True}
    assert Consent.objects.count() == 1
    press(page, "no:news.email")
    press(page, "no:news.email")
    assert stands(carla) == {("news", "email"): False}
    assert Consent.objects.count() == 2


def test_opening_it_in_any_way_changes_nothing_W02_W03():
    carla = wrote()
    allows(carla)
    page, before = path_of(carla), list(Consent.objects.values())
    for ask in ("get", "head", "options", "put", "patch", "delete"):
        getattr(Client(), ask)(f"{page}?press=no:birthday.email&field={field_of(page)}")
    assert list(Consent.objects.values()) == before
    assert not Suppression.objects.exists()


def test_a_press_that_was_not_on_this_page_changes_nothing_W02():
    carla, dan = wrote(), wrote("dan@home.example")
    page, other = path_of(carla), path_of(dan)
    german = field_of(f"{page}?language=de")
    for field in ("", "x", field_of(other), german):
        answer = Client().post(page, {"press": "yes:news.email", "field": field})
        assert answer.status_code == 400
        assert "Nothing was changed" in answer.content.decode()
    stale = field_of(page)
    with time_machine.travel(NOON + 2 * DAY, tick=False):
        assert Client().post(page, {"press": "yes:news.email", "field": stale}).status_code == 400
    for what in (
        "yes:news.call",
        "yes:",
        "nonsense",
        "pause:8",
        "pause:x",
        "no:all.email",
        "",
        "not-me:x.y",
    ):
        assert press(page, what).status_code == 400, what
    assert not Consent.objects.exists()
    assert not Suppression.objects.exists()


def test_an_old_wrong_or_foreign_link_is_not_there_and_looks_like_nothing_W04():
    carla, dan = wrote(), wrote("dan@home.example")
    page, point = path_of(carla), carla.contact_points.get()
    nothing = Client().get("/preferences/nothing/").content
    mixed = preferences.link(dan.pk, point.pk, at=NOON).removeprefix("http://127.0.0.1:8000")
    old = preferences.link(carla.pk, point.pk, at=NOON - 181 * DAY).removeprefix("http://127.0.0.1:8000")
    future = page[:-3] + "xx/"
    for wrong in (
        mixed,
        old,
        future,
        "/preferences/WzEsMV0:x/",
        "/preferences/1/",
        "/preferences/answer/x/",
        f"{page[:-1]}%00/",
    ):
        for ask in (Client().get, Client().post):
            answer = ask(wrong)
            assert answer.status_code == 404, wrong
        assert Client().get(wrong).content == nothing
    field = field_of(page)
    ContactPoint.objects.filter(pk=point.pk).update(unlinked_at=NOON)
    assert Client().get(page).status_code == 404
    assert Client().post(page, {"press": "yes:news.email", "field": field}).status_code == 404
    ContactPoint.objects.filter(pk=point.pk).update(unlinked_at=None)
    for status in ("deceased", "erased"):
        Customer.objects.filter(pk=carla.pk).update(status=status)
        assert Client().get(page).status_code == 404
    assert not Consent.objects.exists()


def test_after_two_records_were_made_one_the_link_leads_to_the_kept_one_and_after_a_parting_it_is_revoked_N12_W04():
    home, work = wrote("c@home.example"), wrote("c@work.example")
    page = path_of(work)
    made = persons.merge(work.pk, kept_id=home.pk, because="same", by=colleague(), at=NOON)
    press(page, "yes:news.email")
    assert stands(home) == {("news", "email"): True}
    persons.undo(made.pk, by=colleague(), at=NOON)
    assert Client().get(page).status_code == 200
    assert stands(work) == {}
    ContactPoint.objects.filter(customer=work).update(customer=home)  # given to somebody else
    assert Client().get(page).status_code == 404


def test_a_pause_stops_what_is_cheerful_until_it_ends_or_they_end_it():
    carla = wrote()
    allows(carla)
    page = path_of(carla)
    press(page, "pause:30")
    found = Suppression.objects.get()
    assert (found.scope, found.reason, found.until) == ("cheerful", "pause", NOON + 30 * DAY)
    assert "Until 1 Apr 2026 nothing cheerful" in Client().get(page).content.decode()
    press(page, "go-on:")
    found.refresh_from_db()
    assert found.lifted_at == NOON
    assert ConsentProof.objects.latest("pk").words == "Go on sending me cards and surprises."
    assert stands(carla) == {("birthday", "email"): True}


def test_no_gestures_ends_cards_and_surprises_by_every_medium_and_stops_the_address_X10():
    carla = wrote()
    for purpose, medium in (("birthday", "email"), ("birthday", "post"), ("surprise", "post"), ("news", "email")):
        allows(carla, purpose, medium)
    page = path_of(carla)
    press(page, "nothing:")
    assert stands(carla) == {
        ("birthday", "email"): False, ("birthday", "post"): False, ("surprise", "post"): False, ("news", "email"): True,
    }  # fmt: skip
    assert suppression.standing([("email", "carla@home.example")], at=NOON)[0].scope == "cheerful"
    assert "Nothing cheerful is sent to this address." in Client().get(page).content.decode()
    press(page, "yes:birthday.email")  # only they can take it back
    assert not suppression.standing([("email", "carla@home.example")], at=NOON)


# --- why did I get this ------------------------------------------------------------------------------------------------


def sent_card(customer: Customer, key: str, *, accepted: bool = True) -> OutgoingMessage:
    draft = outgoing.Draft(
        key=key, kind=MessageKind.GESTURE, purpose="birthday", channel="email", subject=f"Happy birthday {key}",
        address=customer.contact_points.get(kind="email").address, text="x", headers=ONE_CLICK,
    )  # fmt: skip
    card = outgoing.queue(draft, customer=customer, at=NOON)
    if accepted:
        OutgoingMessage.objects.filter(pk=card.pk).update(state="accepted", accepted_at=NOON)
    return card


def test_it_says_why_each_message_came_and_nothing_of_what_an_answer_was_about_W04():
    carla = wrote()
    allows(carla, words="Yes, a card for me.")
    sent_card(carla, "reached")
    sent_card(carla, "waits", accepted=False)
    matter = intake.receive(message("lamp", sender_address="carla@home.example"), at=NOON, origin="test").conversation
    desk.answer(matter.pk, text="A secret answer.", by=colleague(), at=NOON, out_of_order=OutOfOrder.KNOWS_IT)
    OutgoingMessage.objects.filter(kind="service").update(state="accepted", accepted_at=NOON, subject="Re: secret lamp")
    page = Client().get(path_of(carla)).content.decode()
    assert "Happy birthday reached" in page
    assert "waits" not in page
    assert "You said yes on 2 Mar 2026 to these words: “Yes, a card for me.”" in page
    assert "An answer to what you wrote to us." in page
    assert "secret" not in page


def test_that_was_not_me_takes_it_back_and_is_noted():
    carla = wrote()
    allows(carla)
    sent_card(carla, "card")
    page = path_of(carla)
    with time_machine.travel(NOON + DAY, tick=False):
        press(page, "not-me:birthday.email")
    assert stands(carla) == {("birthday", "email"): False}
    assert HistoryEntry.objects.get(verb="consent.disowned").customer == carla
    shown = Client().get(page).content.decode()
    assert "You said yes on 2 Mar 2026 to these words" in shown  # that was why it came then


# --- the answer to a question ------------------------------------------------------------------------------------------


def question_for(customer: Customer) -> str:
    found = questions.ask(customer, "birthday", "email", evidence="on the phone", at=NOON, by=colleague())
    return questions.link(found).removeprefix("http://127.0.0.1:8000")


def test_a_scanner_that_follows_every_link_says_nothing_W06():
    carla = wrote()
    page, scanner = question_for(carla), Client()
    outgoing.send_batch(at=NOON)
    links = re.findall(r"https?://[^\s\"<>]+", mail.outbox[-1].body)
    assert any(link.endswith(page) for link in links)
    for link in [page, *(link.removeprefix("http://127.0.0.1:8000") for link in links)]:
        for ask in (scanner.get, scanner.head, scanner.options):
            ask(f"{link}?press=yes")
    assert Client().post(page, {"press": "yes"}).status_code == 400  # a blind POST has not read the page
    assert stands(carla) == {}


def test_pressing_yes_says_yes_once_with_proof_and_the_link_is_gone_W04_W06():
    carla = wrote()
    page = question_for(carla)
    shown = Client().get(f"{page}?language=de")
    assert "Ja, bitte schicken Sie mir zum Geburtstag eine Karte" in shown.content.decode()
    assert (shown["Referrer-Policy"], shown["Cache-Control"], bool(shown.cookies)) == ("no-referrer", "no-store", False)
    answer = press(f"{page}?language=de", "yes")
    assert answer.status_code == 200
    proof = ConsentProof.objects.get()
    assert (proof.door, proof.language) == ("link", "de")
    assert proof.words.startswith("Ja, bitte schicken Sie mir zum Geburtstag")
    assert stands(carla) == {("birthday", "email"): True}
    assert Client().get(page).status_code == 404


def test_pressing_no_says_no_and_an_old_link_is_gone_W04():
    carla, dan = wrote(), wrote("dan@home.example")
    press(question_for(carla), "no")
    assert stands(carla) == {("birthday", "email"): False}
    late = question_for(dan)
    with time_machine.travel(NOON + 14 * DAY, tick=False):
        assert Client().get(late).status_code == 404
    assert Client().put(late).status_code == 405


# --- the way there -----------------------------------------------------------------------------------------------------


def test_the_link_is_mailed_to_the_address_and_the_answer_is_the_same_for_everybody_W01():
    wrote()
    known = Client().post("/preferences/", {"email": "Carla@Home.example"})
    unknown = Client().post("/preferences/", {"email": "nobody@home.example"})
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    outgoing.send_batch(at=NOON)
    (letter,) = mail.outbox
    assert letter.to == ["carla@home.example"]
    link = re.search(r"http://127\.0\.0\.1:8000(/preferences/\S+)", letter.body)
    assert link
    assert Client().get(link[1]).status_code == 200
    refused = Client().post("/preferences/", {"email": "nobody"})
    assert (refused.status_code, 'value="nobody"' in refused.content.decode()) == (400, True)
    assert not known.cookies


def test_asking_again_and_again_for_somebody_else_mails_little_W05():
    wrote()
    for minute in range(6):
        with time_machine.travel(NOON + timedelta(minutes=minute), tick=False):
            assert Client().post("/preferences/", {"email": "carla@home.example"}).status_code == 200
    assert OutgoingMessage.objects.count() == 3
    with time_machine.travel(NOON + timedelta(days=1, minutes=2), tick=False):
        Client().post("/preferences/", {"email": "carla@home.example"})
    assert OutgoingMessage.objects.count() == 4


@pytest.mark.parametrize("needed", [0.01, 0.06, 0.19])
def test_how_long_it_takes_does_not_tell_who_is_known_W01(needed: float, monkeypatch: pytest.MonkeyPatch):
    """However long the work took, the answer leaves at the same moment; the clock is ours, since machines are never quiet."""
    wrote()
    clock, answered_after = [0.0], []
    monkeypatch.setattr(preference_pages.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(preference_pages.time, "sleep", lambda seconds: answered_after.append(clock[0] + seconds))
    send_link = preferences.send_link

    def working(address: str, **more: Any) -> None:
        send_link(address, **more)
        clock[0] += needed if address.startswith("carla") else 0.001

    monkeypatch.setattr(preferences, "send_link", working)
    for address in ("carla@home.example", "nobody@home.example"):
        clock[0] = 0.0
        Client().post("/preferences/", {"email": address})
    assert answered_after == pytest.approx([preference_pages.SAME_FOR_ALL] * 2)


def test_nobody_is_mailed_who_has_died_and_junk_is_refused_W01():
    carla = wrote()
    Customer.objects.filter(pk=carla.pk).update(status="deceased")
    assert Client().post("/preferences/", {"email": "carla@home.example"}).status_code == 200
    assert not OutgoingMessage.objects.exists()
    with pytest.raises(identity.UnusableAddress):
        preferences.send_link("a@b@c", language="en", at=NOON)


def test_a_card_leads_to_the_page_of_whom_it_went_to_R166():
    from loyalty import actions as loyalty_actions

    carla = wrote()
    allows(carla)
    customers.tell_birthday(carla, month=3, day=2, evidence="on a form", at=NOON)
    loyalty_actions.plan_birthdays(NOON)
    while loyalty_actions.work_batch("gestures", at=NOON + timedelta(hours=6)):
        pass
    card = OutgoingMessage.objects.get(kind="gesture")
    link = re.search(r"http://127\.0\.0\.1:8000(/preferences/[^\s\"]+)", card.text)
    assert link
    assert link[1] in card.html
    assert Client().get(link[1]).status_code == 200
