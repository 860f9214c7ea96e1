"""The pages on life events, deaths, households and representatives: who may do what, refusals, and what is shown first."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from crm.models import Bereavement, Customer, HouseholdMember, LifeEvent, OutgoingMessage, Representative
from crm.policy import Role
from crm.policy.bereavement import WhoDied
from crm.policy.lives import LifeEventKind
from tests.crm.actions.test_bereavement import at_home, reported, spotted, wrote
from tests.crm.actions.test_life_events import somebody, told
from tests.crm.actions.test_representatives import _inbound, acts, two  # noqa: F401 – a fixture for mail
from tests.crm.stories import app_user, colleague
from tests.crm.test_admin_mail import client_of

pytestmark = pytest.mark.django_db
WEDDING = {
    "kind": "wedding",
    "words": "We marry in May!",
    "source": "customer",
    "precision": "yearly",
    "day": 9,
    "month": 5,
    "purpose": "card",
}


def here(customer: Customer, name: str = "") -> str:
    return f"/admin/customer/{customer.public_id}/{name}"


# --- life events --------------------------------------------------------------------------------------------------------


def test_an_event_is_noted_and_shows_on_the_customers_page_R167():
    customer, client = somebody(), client_of(colleague())
    assert client.post(here(customer, "life/"), {**WEDDING, "words": ""}).status_code == 400
    refused = client.post(here(customer, "life/"), {**WEDDING, "day": 31, "month": 2})
    assert refused.status_code == 409
    assert "We marry in May!" in refused.content.decode()  # what was typed is kept
    assert client.post(here(customer, "life/"), WEDDING).status_code == 302
    assert LifeEvent.objects.get().source == "customer"
    assert "We marry in May!" in client.get(here(customer)).content.decode()
    assert not OutgoingMessage.objects.exists()


def test_a_source_that_nobody_told_is_refused_R167():
    customer, client = somebody(), client_of(colleague())
    for source in ("inferred", "purchases", ""):
        assert client.post(here(customer, "life/"), {**WEDDING, "source": source}).status_code == 400
    assert not LifeEvent.objects.exists()


@pytest.mark.parametrize("role", Role)
def test_only_leads_and_whoever_looks_after_it_read_of_an_illness(role: Role):
    customer, ada = somebody(), colleague()
    told(customer, LifeEventKind.ILLNESS, words="chemotherapy", handled_by=ada)
    client = client_of(colleague(role))
    pages = ("", "life/")
    shown = ["chemotherapy" in client.get(here(customer, page)).content.decode() for page in pages]
    shown.append("chemotherapy" in client.get("/admin/moments/").content.decode())
    shown.append("illness" in client.get("/admin/crm/lifeevent/").content.decode())
    assert shown == [role == Role.LEAD] * 4
    mine = client_of(ada)
    assert all("chemotherapy" in mine.get(here(customer, page)).content.decode() for page in pages)


def test_the_most_urgent_stands_first_and_is_taken_or_settled_R168():
    ada = colleague()
    told(somebody(), words="a wedding")
    told(somebody(), LifeEventKind.ILLNESS, words="an illness", handled_by=ada)
    told(somebody(), LifeEventKind.MOVE, words="a move")
    reported(wrote(), WhoDied.CLOSE, by=ada)
    client = client_of(ada)
    page = client.get("/admin/moments/").content.decode()
    order = [page.index(words) for words in ("His sister told us", "an illness", "a move", "a wedding")]
    assert order == sorted(order)
    wedding = LifeEvent.objects.get(kind="wedding")
    act = f"/admin/life-event/{wedding.public_id}/"
    assert client.post(act, {"do": "give", "from": "moments"}).url == "/admin/moments/"
    wedding.refresh_from_db()
    assert wedding.handled_by == ada
    client.post(act, {"do": "done", "because": "wrote a card"})
    wedding.refresh_from_db()
    assert wedding.moment == "done"
    assert client.post(act, {"do": "anything"}).status_code == 404
    assert client.get(act).status_code == 405


def test_what_waits_is_shown_with_equal_statements_for_one_and_for_many():
    ada = colleague()
    client = client_of(ada)

    def more(number: int) -> None:
        for _each in range(number):
            told(somebody(), words="a wedding", handled_by=ada, by=ada)
            spotted()

    more(1)
    client.get("/admin/moments/")
    with CaptureQueriesContext(connection) as few:
        client.get("/admin/moments/")
    more(19)
    with CaptureQueriesContext(connection) as many:
        client.get("/admin/moments/")
    assert len(many) == len(few) <= 15


def test_what_waits_pages_by_key():
    ada = colleague()
    for number in range(53):
        told(somebody(), words=f"wedding number {number}.", by=ada)
    client = client_of(ada)
    page = client.get("/admin/moments/").content.decode()
    assert page.count("wedding number") == 50
    after = page.split("?after=")[1].split('"')[0]
    assert client.get(f"/admin/moments/?after={after}").content.decode().count("wedding number") == 3
    assert client.get("/admin/moments/?after=1~x~2").status_code == 200


# --- a death ------------------------------------------------------------------------------------------------------------

DEATH = {"who_died": "customer", "source": "representative", "evidence": "His sister called."}


def test_a_death_is_reported_and_the_page_says_what_comes_next_R168():
    customer, client = wrote(), client_of(colleague(name="Ada Agent"))
    assert client.post(here(customer, "bereavement/"), {**DEATH, "evidence": ""}).status_code == 400
    assert client.post(here(customer, "bereavement/"), DEATH).status_code == 302
    again = client.post(here(customer, "bereavement/"), DEATH)
    assert again.status_code == 409
    page = client.get(here(customer)).content.decode()
    assert "Nothing cheerful leaves" in page
    assert "writes to them by hand" in page
    customer.refresh_from_db()
    assert customer.status == "deceased"


def test_words_that_may_tell_of_it_are_looked_at_from_the_list_P02():
    found = spotted()
    client = client_of(colleague())
    assert "words that may tell of it" in client.get("/admin/moments/").content.decode()
    assert "passed away" in client.get(here(found.customer)).content.decode()
    matter = f"/admin/conversation/{found.customer.conversations.get().public_id}/"
    assert "Look and decide" in client.get(matter).content.decode()
    decide = f"/admin/bereavement/{found.public_id}/"
    client.post(decide, {"do": "dismiss", "because": " "})
    assert Bereavement.objects.get().state == "proposed"
    client.post(decide, {"do": "dismiss", "because": "her cat"})
    assert Bereavement.objects.get().state == "dismissed"


def test_confirming_the_question_makes_it_stand():
    found = spotted()
    client_of(colleague()).post(here(found.customer, "bereavement/"), {**DEATH, "who_died": "household"})
    one = Bereavement.objects.get()
    assert (one.pk, one.state, one.who_died) == (found.pk, "standing", "household")


@pytest.mark.parametrize("role", [Role.AGENT, Role.LEAD, Role.AUDITOR, Role.LOYALTY_MANAGER, Role.ADMINISTRATOR])
def test_who_may_end_the_news_of_a_death_P02(role: Role):
    found = reported(wrote())
    client = client_of(colleague(role))
    answer = client.post(f"/admin/bereavement/{found.public_id}/", {"do": "mistaken", "because": "he called"})
    assert (answer.status_code == 302) == (role == Role.LEAD)
    assert Bereavement.objects.get().state == ("lifted" if role == Role.LEAD else "standing")


# --- household and representatives --------------------------------------------------------------------------------------


def test_a_home_is_shared_and_left_on_its_page():
    ada, bob = wrote(sender_address="ada@home.example"), wrote(sender_address="bob@home.example")
    client = client_of(colleague())
    assert client.post(here(ada, "household/"), {"with": "nobody@x.example", "because": "x"}).status_code == 409
    assert client.post(here(ada, "household/"), {"with": "bob@home.example", "because": " "}).status_code == 409
    assert client.post(here(ada, "household/"), {"with": "bob@home.example", "because": "told us"}).status_code == 302
    assert str(bob.public_id) in client.get(here(ada)).content.decode()
    member = HouseholdMember.objects.get(customer=bob)
    leave = f"/admin/household/{member.pk}/leave/"
    back = client.post(leave, {"do": "mistake", "because": "mixed up", "from": str(ada.public_id)})
    assert back.url == here(ada, "household/")
    member.refresh_from_db()
    assert member.was_mistake
    assert client.post("/admin/household/999999/leave/").status_code == 404


ACTS: dict[str, Any] = {
    "person": "ruth@home.example",
    "authority": "power_of_attorney",
    "scope": "everything",
    "source": "representative",
    "evidence": "We saw the paper.",
    "valid_until": "2099-12-31",
}


def test_somebody_who_acts_for_a_customer_is_noted_and_their_matter_given_to_the_customer_R089():
    theirs, carers = two()
    client = client_of(colleague())
    page = here(theirs.customer, "representatives/")
    assert client.post(page, {**ACTS, "evidence": ""}).status_code == 400
    assert client.post(page, {**ACTS, "person": "nobody@x.example"}).status_code == 409
    assert client.post(page, ACTS).status_code == 302
    noted = Representative.objects.get()
    assert "power of attorney until 31 Dec 2099" in client.get(here(theirs.customer)).content.decode()

    matter = f"/admin/conversation/{carers.public_id}/"
    assert "This is about" in client.get(matter).content.decode()
    client.post(f"{matter}place/", {"for": str(noted.public_id)})
    carers.refresh_from_db()
    assert carers.customer == theirs.customer
    shown = client.get(matter).content.decode()
    assert f"{noted} for {theirs.customer}" in shown
    assert "This matter is the writer's own" in shown
    client.post(f"{matter}place/", {"do": "put_back"})
    carers.refresh_from_db()
    assert carers.customer != theirs.customer
    client.post(f"/admin/representative/{noted.public_id}/end/", {"because": "revoked"})
    noted.refresh_from_db()
    assert noted.ended_because == "revoked"


def test_an_answer_goes_to_whom_the_composer_says_R089():
    theirs, carers = two()
    noted = acts(theirs.customer, carers.customer)
    client = client_of(colleague())
    matter = f"/admin/conversation/{theirs.public_id}/"
    assert "It goes to" in client.get(matter).content.decode()
    form = {"do": "answer", "answer": "On its way.", "out_of_order": "knows_it", "stays": "customer"}
    wrong = client.post(matter, {**form, "goes_to": str(uuid.uuid4())})
    assert wrong.status_code == 409
    client.post(matter, {**form, "goes_to": str(noted.public_id)})
    message = OutgoingMessage.objects.exclude(signed_by=None).get()
    assert (message.address, message.representative) == ("ruth@home.example", noted)


def test_the_customers_page_stays_within_its_statements_with_all_of_it():
    customer, partner, ada = wrote(), wrote(), colleague(Role.LEAD)
    client = client_of(ada)
    client.get(here(customer))
    with CaptureQueriesContext(connection) as few:
        client.get(here(customer))
    at_home(customer, partner)
    for _each in range(6):
        told(customer, by=ada)
        acts(customer, partner, by=ada)
    reported(customer, WhoDied.CLOSE, by=ada)
    with CaptureQueriesContext(connection) as many:
        client.get(here(customer))
    assert len(many) == len(few) <= 15


# --- who may ------------------------------------------------------------------------------------------------------------


PAGES = ("life/", "bereavement/", "household/", "representatives/")


@pytest.mark.parametrize("page", PAGES)
def test_who_may_read_and_who_may_note(page: str):
    customer = somebody()
    url = here(customer, page)
    assert Client().get(url).status_code == 302
    assert Client().post(url).status_code == 302
    assert client_of(app_user()).get(url).status_code == 403
    for role in Role:
        client = client_of(colleague(role))
        assert client.get(url).status_code == 200, role
        noting = client.post(url, {})
        assert (noting.status_code == 403) == (role not in (Role.AGENT, Role.LEAD)), role
    assert client_of(colleague()).get(f"/admin/customer/{uuid.uuid4()}/{page}").status_code == 404
    assert not LifeEvent.objects.exists()
    assert not Bereavement.objects.exists()


def test_looking_changes_nothing():
    customer, partner = wrote(), wrote()
    at_home(customer, partner)
    ada = colleague(Role.LEAD)
    told(customer, by=ada)
    acts(customer, partner, by=ada)
    reported(partner, WhoDied.CLOSE, by=ada)
    client = client_of(ada)
    tables = (LifeEvent, Bereavement, HouseholdMember, Representative)
    before = [list(table.objects.order_by("pk").values()) for table in tables]
    for page in ("", *PAGES):
        assert client.get(here(customer, page)).status_code == 200
    assert client.get("/admin/moments/").status_code == 200
    assert [list(table.objects.order_by("pk").values()) for table in tables] == before
