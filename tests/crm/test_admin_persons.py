"""The pages on which colleagues say who is one person (R080, N12)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crm.actions import intake
from crm.models import Conversation, Customer, Merge, PersonSuggestion
from crm.policy import Role
from tests.conftest import NOON
from tests.crm.actions.test_persons import two
from tests.crm.stories import app_user, colleague, message
from tests.crm.test_admin_mail import client_of

pytestmark = pytest.mark.django_db
EVIDENCE = [["email", 2, 9.1], ["family_name", 3, 6.2], ["city", 0, -2.1]]


def suggested(one: Customer, other: Customer, likelihood: str = "0.9312") -> PersonSuggestion:
    first, second = sorted((one, other), key=lambda customer: customer.pk)
    return PersonSuggestion.objects.create(
        one=first, other=second, likelihood=likelihood, evidence=EVIDENCE, made_at=NOON
    )


def test_what_may_be_one_shows_with_its_evidence_and_is_decided_R080():
    home, work = two()
    found = suggested(home, work)
    client = client_of(colleague())
    page = client.get("/admin/persons/").content.decode()
    assert "93%" in page
    assert "mail address alike" in page
    assert '<span class="eh-chip eh-good">family name</span>' in page
    assert "differs:" in page
    client.post(f"/admin/persons/{found.public_id}/two/")
    assert "Nobody looks like somebody else." in client.get("/admin/persons/").content.decode()
    found.refresh_from_db()
    assert found.state == "apart"


def test_the_list_pages_by_key_with_as_many_statements_for_many_R080():
    client = client_of(colleague())
    customers = [Customer.objects.create(display_name=f"Somebody {number}", created_at=NOON) for number in range(60)]
    suggested(customers[0], customers[1], "0.5")
    client.get("/admin/persons/")
    with CaptureQueriesContext(
        connection,
    ) as few:
        client.get("/admin/persons/")
    for one, other in pairwise(customers[1:]):
        suggested(one, other, "0.75")
    with CaptureQueriesContext(connection) as many:
        page = client.get("/admin/persons/").content.decode()
    assert len(many) == len(few)
    assert page.count(">Compare</a>") == 50
    rest = client.get("/admin/persons/", {"after": page.split("?after=")[1].split('"')[0].replace("%7E", "~")})
    assert rest.content.decode().count(">Compare</a>") == 9
    assert client.get("/admin/persons/", {"after": "x~y"}).status_code == 200


def test_two_records_are_compared_made_one_and_taken_apart_on_their_pages_N12():
    home, work = two()
    client = client_of(colleague())
    here = f"/admin/customer/{home.public_id}/merge/"
    assert "The other record" in client.get(here).content.decode()
    page = client.get(here, {"with": "carla@work.example"}).content.decode()
    assert "1 × conversation" in page
    assert "C. Customer" in page
    assert not Merge.objects.exists()  # looking changes nothing
    refused = client.post(here, {"with": str(work.public_id), "because": " "})
    assert refused.status_code == 409
    done = client.post(
        here,
        {
            "with": f"https://shop.example/admin/customer/{work.public_id}/",
            "because": "told us",
            "take_display_name": "gone",
        },
        follow=True,
    )
    shown = done.content.decode()
    assert "They are one person from now on" in shown
    assert "Take it back" in shown
    assert shown.count("Two records were made one") == 1
    home.refresh_from_db()
    assert home.display_name == "C. Customer"
    led = client.get(f"/admin/customer/{work.public_id}/")
    assert led.status_code == 302
    assert str(home.public_id) in led.url
    made = Merge.objects.get()
    assert client.get(f"/admin/merge/{made.public_id}/take-back/").status_code == 405
    back = client.post(f"/admin/merge/{made.public_id}/take-back/", follow=True).content.decode()
    assert "They are two records again" in back
    assert Conversation.objects.filter(customer=work).count() == 1


def test_an_account_that_would_see_more_is_said_before_C04():
    user = app_user()
    heard = intake.receive(message(sender_address="carla@work.example"), at=NOON, origin="test").conversation
    client = client_of(colleague())
    here = f"/admin/customer/{user.customer.public_id}/merge/"
    page = client.get(here, {"with": "carla@work.example"}).content.decode()
    assert 'name="opens_to_account" required' in page
    form = {"with": str(heard.customer.public_id), "because": "told us"}
    assert client.post(here, form).status_code == 409
    assert client.post(here, {**form, "opens_to_account": "on"}).status_code == 302


def test_part_of_a_record_gets_a_record_of_its_own_R080():
    home, _work = two()
    client = client_of(colleague())
    here = f"/admin/customer/{home.public_id}/part/"
    assert "carla@home.example" in client.get(here).content.decode()
    matter = Conversation.objects.get(customer=home)
    assert client.post(here, {"because": "two people", "name": "Dora"}).status_code == 409
    assert client.post(here, {"because": "two people", "matters": ["x", "-1"]}).status_code == 409
    client.post(here, {"because": "two people", "name": "Dora", "matters": [str(matter.pk)]})
    matter.refresh_from_db()
    assert matter.customer.display_name == "Dora"


def test_only_who_may_do_it_sees_it_and_strangers_find_nothing_R080():
    home, work = two()
    found = suggested(home, work)
    places = [
        "/admin/persons/", f"/admin/customer/{home.public_id}/merge/", f"/admin/customer/{home.public_id}/part/",
    ]  # fmt: skip
    for role in (Role.AUDITOR, Role.LOYALTY_MANAGER):
        client = client_of(colleague(role))
        assert {client.get(place).status_code for place in places} == {403}
        assert client.post(f"/admin/persons/{found.public_id}/two/").status_code == 403
        assert "Two people in this record" not in client.get(f"/admin/customer/{home.public_id}/").content.decode()
    customer = client_of(app_user())
    assert {customer.get(place).status_code for place in places} == {403}
    nobody = "/admin/customer/00000000-0000-0000-0000-000000000000/merge/"
    lead = client_of(colleague(Role.LEAD))
    assert lead.get(nobody).status_code == 404
    assert lead.get(places[0]).status_code == 200
    assert "We know no customer by this" in lead.get(places[1], {"with": "nobody@x.example"}).content.decode()


@pytest.mark.parametrize(
    ("likelihood", "shown"), [("0.9312", "93%"), ("0.9900", "99%"), ("0.9999", "over 99 %"), ("1.0000", "over 99 %")]
)
def test_what_a_person_has_to_decide_is_never_shown_as_certain(likelihood: str, shown: str) -> None:
    one, other = (Customer.objects.create(display_name=name, created_at=NOON) for name in ("Ann", "Anne"))
    suggested(one, other, likelihood)
    page = client_of(colleague(Role.LEAD)).get("/admin/persons/").content.decode()
    assert f">{shown}<" in page
    assert "100%" not in page
