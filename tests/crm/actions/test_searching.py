"""Looking for messages and customers: what is found, by whom, and that it is forgotten with the words (X35, P15)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from crm.actions import call_backs, customers, desk, intake, persons, search_index, searching
from crm.language.searching import UnusableSearch
from crm.models import Customer, Interaction, SearchDue, SearchedCustomer, SearchedMessage, SearchMark, User
from crm.policy import Role
from tests.conftest import NOON
from tests.crm.actions.test_persons import two
from tests.crm.stories import app_user, colleague, message

LATER = NOON + timedelta(hours=1)


def index(at=LATER) -> int:
    read = 0
    while done := search_index.read_batch(at=at):
        read += done
    return read


def heard(text: str, **changes):
    return intake.receive(message(text, **changes), at=NOON, origin="test")


def texts(user: User, typed: str, **page) -> list[str]:
    found = searching.messages(user, searching.read(typed), **page)
    return ["".join(piece for piece, _find in hit.pieces) for hit in found.hits]


def names(user: User, typed: str) -> list[str]:
    return [hit.title for hit in searching.customers(user, searching.read(typed)).hits]


@pytest.fixture
def agent(db) -> User:
    return colleague()


def test_messages_are_found_newest_first_by_words_phrases_and_beginnings_X35(agent):
    heard("The lamp arrived broken.", spoke_at=NOON - timedelta(days=2))
    heard("A broken, red Lämp!", spoke_at=NOON - timedelta(days=1))
    heard("Where is my delivery?")
    index()
    assert texts(agent, "LAMP broken") == ["A broken, red Lämp!", "The lamp arrived broken."]
    assert texts(agent, '"lamp arrived"') == ["The lamp arrived broken."]
    assert texts(agent, "broken -red") == ["The lamp arrived broken."]
    assert texts(agent, "deliv*") == ["Where is my delivery?"]
    assert texts(agent, "deliv") == []
    first = searching.messages(agent, searching.read("broken"), most=1)
    assert first.next is not None
    assert texts(agent, "broken", place=first.next) == ["The lamp arrived broken."]
    with pytest.raises(UnusableSearch):
        searching.read("-lamp")


def test_messages_are_narrowed_by_medium_speaker_day_and_open_matters_X35(agent):
    old = heard("lamp one", spoke_at=NOON - timedelta(days=40)).conversation
    heard("lamp two", channel="phone", source="calls")
    desk.note(old.pk, text="lamp note", by=agent, at=NOON)
    index()
    assert texts(agent, "lamp channel:phone") == ["lamp two"]
    assert texts(agent, "lamp from:note") == ["lamp note"]
    assert len(texts(agent, "lamp from:customer")) == 2
    assert texts(agent, f"lamp before:{(NOON - timedelta(days=39)).date()}") == ["lamp one"]
    assert texts(agent, f"lamp after:{(NOON - timedelta(days=39)).date()} from:customer") == ["lamp two"]
    assert len(texts(agent, "lamp is:open")) == 3
    type(old).objects.filter(pk=old.pk).update(state="closed")
    assert texts(agent, "lamp is:open") == ["lamp two"]


def test_every_rung_of_the_ladder_finds_the_same_in_the_same_order_GOAL9(agent, monkeypatch):
    for number in range(60):
        heard(f"{'lamp' if number % 7 == 0 else 'chair'} {number}", spoke_at=NOON - timedelta(days=3 * number))
    index()
    ask = lambda: texts(agent, "lamp") + texts(agent, "chair", most=20)  # noqa: E731
    walked = ask()
    assert len(walked) == 9 + 20
    for rows in (1, 3, 10, 40):
        monkeypatch.setattr(searching, "WALKED", rows)
        assert ask() == walked
        place, paged = None, []
        while True:
            found = searching.messages(agent, searching.read("chair"), place=place, most=4)
            paged += [hit.at for hit in found.hits]
            place = found.next
            if place is None:
                break
        assert len(paged) == 51
        assert paged == sorted(paged, reverse=True)
        assert len(set(paged)) == 51


def test_where_patience_ends_it_is_said_how_far_was_looked_and_the_rest_is_behind_it_GOAL9(agent, monkeypatch):
    for number in range(12):
        heard(f"not yet {number}" if number % 4 else "yet not", spoke_at=NOON - timedelta(days=5 * number))
    index()
    monkeypatch.setattr(searching, "WALKED", 1)
    monkeypatch.setattr(searching, "PATIENCE", "-1 second")
    found, days, place = [], [], None
    for _page in range(20):
        page = searching.messages(agent, searching.read('"yet not"'), place=place)
        found += page.hits
        days.append(page.looked_to)
        place = page.next
        if place is None:
            break
    assert len(found) == 3
    assert days[-1] is None
    assert len([day for day in days if day]) >= 1


def test_clearing_the_words_clears_what_they_are_found_by_in_the_same_transaction_X35(agent):
    said = heard("My secret is 4711.").interaction
    index()
    assert texts(agent, "4711")
    Interaction.objects.filter(pk=said.pk).update(text="", subject="")
    assert not SearchedMessage.objects.filter(pk=said.pk).exists()  # before anything else has run
    assert texts(agent, "4711") == []
    assert SearchDue.objects.count() == 1
    index()
    with connection.cursor() as cursor:
        cursor.execute("SELECT words::text FROM crm_searchedmessage WHERE number = %s", [said.pk])
        assert "4711" not in cursor.fetchone()[0]
    assert not SearchDue.objects.exists()


def test_words_that_change_are_found_as_they_are_now(agent):
    said = heard("the lamp").interaction
    index()
    Interaction.objects.filter(pk=said.pk).update(text="the chair")
    assert texts(agent, "lamp") == []
    index()
    assert texts(agent, "chair") == ["the chair"]
    assert call_backs  # whose words after the tone come later go the same way


def test_customers_are_found_by_names_addresses_numbers_and_ids_X35(agent):
    mine = heard(
        "Hello", sender_name="Zoë Müller-Lüdenscheidt", sender_address="zoe@home.example"
    ).conversation.customer
    heard("Hello", sender_name="Zora Miller", sender_kind="phone", sender_address="+4930123456")
    index()
    assert names(agent, "mul zo") == [str(mine)]
    assert names(agent, "LÜDEN") == [str(mine)]
    assert names(agent, " Zoe@Home.Example ") == [str(mine)]
    assert names(agent, "+49 (30) 12 34-56") == ["Zora Miller"]
    assert names(agent, f"https://shop.example/admin/customer/{mine.public_id}/") == [str(mine)]
    assert names(agent, "zo is:open") == []
    assert names(agent, "nobody") == []


def test_who_is_one_with_another_leads_to_the_kept_one_and_the_forgotten_never_appear_X35(agent):
    kept, gone = two()
    Customer.objects.filter(pk=gone.pk).update(display_name="Wilhelmina Oldname")
    index()
    persons.merge(gone.pk, kept_id=kept.pk, because="told us", by=agent, at=NOON)
    found = searching.customers(agent, searching.read("wilhelm"))
    assert [hit.public_id for hit in found.hits] == [kept.public_id]
    Customer.objects.filter(pk=kept.pk).update(status="erased")
    assert searching.customers(agent, searching.read("wilhelm")).hits == []
    said = Interaction.objects.filter(conversation__customer=kept).first()
    word = said.text.split()[0]
    assert not [
        hit for hit in searching.messages(agent, searching.read(word)).hits if hit.customer_id == kept.public_id
    ]


def test_a_name_that_is_taken_away_is_not_found_any_more(agent):
    customer = customers.welcome("Wilhelmina", at=NOON, by=agent)
    index()
    assert names(agent, "wilhelmina") == ["Wilhelmina"]
    Customer.objects.filter(pk=customer.pk).update(display_name="")
    assert not SearchedCustomer.objects.filter(pk=customer.pk).exists()
    assert names(agent, "wilhelmina") == []


def test_customers_find_their_own_public_words_and_nothing_else_P15(agent):
    one, other = app_user(), app_user()
    own = heard(
        "my lamp", sender_kind="app", sender_address=str(one.public_id), channel="app", source="app"
    ).conversation
    heard("their lamp", sender_kind="app", sender_address=str(other.public_id), channel="app", source="app")
    desk.note(own.pk, text="lamp is a note", by=agent, at=NOON)
    desk.answer(own.pk, text="lamp answer that has not left", by=agent, at=NOON)
    index()
    assert texts(one, "lamp") == ["my lamp"]
    assert texts(one, "note") == []
    assert names(one, "carla") == []
    assert texts(colleague(Role.AUDITOR), "lamp note") == ["lamp is a note"]
    nobody = User.objects.create(email="none@shop.example", is_staff=True)
    assert texts(nobody, "lamp") == []
    assert names(nobody, "carla") == []


def test_the_past_is_read_after_the_new_and_nothing_is_missed(agent, monkeypatch):
    for number in range(12):
        heard(f"old {number}")
    monkeypatch.setattr(search_index, "AT_ONCE", 2)
    assert search_index.read_batch(at=LATER, most=5)
    heard("brand new")
    search_index.read_batch(at=LATER, most=5)
    assert texts(agent, "brand") == ["brand new"]
    late = Interaction.objects.order_by("pk")[3]
    SearchedMessage.objects.filter(pk=late.pk).delete()
    while search_index.read_batch(at=LATER, most=5):
        pass
    assert SearchedMessage.objects.count() == 13
    assert SearchedCustomer.objects.count() == Customer.objects.count()
    mark = SearchMark.objects.get(of="crm_searchedmessage")
    assert (mark.behind, mark.ahead) == (0, Interaction.objects.order_by("-pk")[0].pk)
    assert search_index.left_behind() == 0


def test_a_neighbour_that_is_written_late_is_still_found(agent):
    first = heard("first").interaction
    index(at=NOON)  # too early to take for granted that all neighbours are there
    SearchedMessage.objects.filter(pk=first.pk).delete()  # as if it had been written only now
    heard("second")
    index(at=NOON)
    assert texts(agent, "first") == ["first"]


HOSTILE = [
    "'", "''", "\\", "%", "_", "'; DROP TABLE crm_customer; --", "a' OR '1'='1", "a:*", "!a", "a & b", "a | b", "(a", "<->",
    "a <-> b", "a <9999999> b", ":*", "a\\'b", "$$", "%s", "%(x)s", "{}", "\x00a", "\ud800a", "a" * 200, '"' * 50 + "a",
    "-" * 50 + "a", "’s", "before:9000-12-31 a", "after:1970-01-01 a", "before:2026-13-01 a", "after:9999-12-31 a", "channel:' a",
    "is:open is:open a", "🙂 a", "a\u200bb", "𝕏 ①²³", "١٢٣", "01234567-89ab-cdef-0123-456789abcdef", "#99999999999999999999",
    "case 9223372036854775808", "+49" * 40, "@", "@@a", "a@b", "1e400", "999999999.99",
]  # fmt: skip


@pytest.mark.parametrize("typed", HOSTILE)
def test_no_syntax_of_any_kind_reaches_the_database_Y01(typed, agent):
    heard("a lamp")
    index()
    try:
        search = searching.read(typed)
    except UnusableSearch:
        return
    searching.messages(agent, search)
    searching.customers(agent, search)
    for _kind, found in searching.elsewhere(agent, search):
        assert found.hits == [] or found.hits
