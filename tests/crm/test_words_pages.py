"""Pages around words: the visitor's language, one's own signature, the customer's language."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from crm.actions import customers, staff
from crm.models import Customer, HistoryEntry, User
from crm.policy import Role
from tests.conftest import NOON
from tests.crm.stories import app_user, colleague
from tests.words.catalogues import LANGUAGES, translations

pytestmark = pytest.mark.django_db


def of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


# --- public pages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_contact_page_speaks_the_visitors_language_X48(language):
    page = Client(headers={"Accept-Language": f"{language}-XX,{language};q=0.9,en;q=0.5"}).get("/contact/")
    assert f'<html lang="{language}"' in page.content.decode()
    assert translations(language)[("Write to us", "")] in page.content.decode()
    assert page["Content-Language"] == language
    assert "Accept-Language" in page["Vary"]


def test_a_visitor_can_choose_and_the_choice_stays_on_the_way_and_in_no_cookie():
    client = Client(headers={"Accept-Language": "fr"})
    key = re.search(r'name="key" value="([^"]+)"', client.get("/contact/?language=de").content.decode())
    form = {"email": "carla@home.example", "name": "", "subject": "", "text": "Kaputt.", "key": key[1]}
    assert not client.get("/contact/?language=de").cookies.get("django_language")
    answer = client.post("/contact/?language=de", form, follow=True)
    ((thanks, status),) = answer.redirect_chain
    assert (thanks.startswith("/contact/thanks/?language=de"), status) == (True, 302)
    assert "Vielen Dank" in answer.content.decode()
    assert Customer.objects.get().language == "de"


@pytest.mark.parametrize("junk", ["xx", "<script>", "de\r\nX: y", "a" * 5000])
def test_nonsense_as_a_language_is_ours(junk):
    page = Client().get("/contact/", {"language": junk})
    assert (page.status_code, page["Content-Language"]) == (200, "en")


def test_a_refusal_is_in_the_visitors_language():
    client = Client(headers={"Accept-Language": "nl"})
    key = re.search(r'name="key" value="([^"]+)"', client.get("/contact/").content.decode())
    page = client.post("/contact/", {"email": "nobody", "text": "x", "key": key[1]})
    assert "geen e-mailadres waarnaar wij kunnen schrijven" in page.content.decode()


def test_staff_pages_and_the_api_stay_english():
    page = Client(headers={"Accept-Language": "de"}).get("/accounts/login/")
    assert page["Content-Language"] == "en"
    assert Client(headers={"Accept-Language": "de"}).get("/api/v1/nothing/")["Content-Language"] == "en"


# --- signatures -----------------------------------------------------------------------------------------------------


def test_a_colleague_keeps_their_signature_and_sees_it_before_R134():
    ada = colleague()
    page = of(ada).post(reverse("admin:my_signature"), {"signature": "Parcels\n\n--\n<b>bold</b>", "do": "look"})
    assert "Parcels<br>&lt;b&gt;bold&lt;/b&gt;" in page.content.decode()
    assert User.objects.get(pk=ada.pk).signature == ""
    of(ada).post(reverse("admin:my_signature"), {"signature": "Parcels\r\n\r\n--\r\n+49 30 1", "do": "keep"})
    assert User.objects.get(pk=ada.pk).signature == "Parcels\n+49 30 1"
    entry = HistoryEntry.objects.get(verb="staff.signature")
    assert (entry.by, entry.detail) == (ada, {"before": "", "after": "Parcels\n+49 30 1"})


@pytest.mark.parametrize("signature", ["\n".join("abcdefg"), "x" * 81, "\n".join(["y" * 79] * 6 + ["z"])])
def test_a_signature_that_is_too_long_is_refused_and_nothing_changed(signature):
    ada = colleague()
    staff.sign_as(ada.pk, signature="Parcels", by=ada, at=NOON)
    with pytest.raises(staff.UnusableSignature):
        staff.sign_as(ada.pk, signature=signature, by=ada, at=NOON)
    assert of(ada).post(reverse("admin:my_signature"), {"signature": signature, "do": "keep"}).status_code == 409
    assert User.objects.get(pk=ada.pk).signature == "Parcels"
    assert HistoryEntry.objects.filter(verb="staff.signature").count() == 1


def test_the_same_signature_again_is_no_news():
    ada = colleague()
    for _time in range(2):
        staff.sign_as(ada.pk, signature="Parcels", by=ada, at=NOON)
    assert HistoryEntry.objects.filter(verb="staff.signature").count() == 1


def test_a_customers_account_has_no_signature():
    with pytest.raises(User.DoesNotExist):
        staff.sign_as(app_user().pk, signature="x", by=colleague(), at=NOON)


def test_who_may_write_whose_signature():
    ada, mine = colleague(), reverse("admin:my_signature")
    theirs = reverse("admin:one_of_us", args=[ada.public_id])
    assert Client().get(mine).status_code == 302
    for user, own, others in [
        (app_user(), 403, 403),
        (colleague(Role.AUDITOR), 403, 403),
        (colleague(Role.AGENT), 200, 403),
        (colleague(Role.LEAD), 200, 302),
        (colleague(Role.ADMINISTRATOR), 403, 302),
    ]:
        assert of(user).get(mine).status_code == own, user.email
        assert of(user).post(theirs, {"signature": user.email, "do": "sign"}).status_code == others, user.email
        assert (User.objects.get(pk=ada.pk).signature == user.email) is (others == 302), user.email


def test_looking_at_the_signature_page_changes_nothing():
    ada = colleague()
    before = HistoryEntry.objects.count()
    assert of(ada).get(reverse("admin:my_signature")).status_code == 200
    assert HistoryEntry.objects.count() == before


# --- the customer's language ----------------------------------------------------------------------------------------


def test_a_colleague_notes_a_customers_language():
    ada, carla = colleague(), Customer.objects.create(display_name="Carla", created_at=NOON)
    way = reverse("admin:customer_language", args=[carla.public_id])
    of(ada).post(way, {"language": "pt_br"})
    assert Customer.objects.get().language == "pt-BR"
    assert HistoryEntry.objects.get(verb="customer.language").detail == {"before": "", "after": "pt-BR"}
    page = of(ada).get(reverse("admin:customer", args=[carla.public_id])).content.decode()
    assert '<option value="pt-BR" selected>' in page
    assert of(ada).get(way).status_code == 405
    assert of(colleague(Role.AUDITOR)).post(way, {"language": "de"}).status_code == 403
    assert Customer.objects.get().language == "pt-BR"


@pytest.mark.parametrize("language", ["?", "klingonisch, bitte", "de\nX: y", "<b>"])
def test_what_is_no_language_is_refused_and_nothing_changed(language):
    carla = Customer.objects.create(display_name="Carla", language="de", created_at=NOON)
    with pytest.raises(customers.NotALanguage):
        customers.set_language(carla.pk, language=language, by=colleague(), at=NOON)
    assert Customer.objects.get().language == "de"
    assert not HistoryEntry.objects.filter(verb="customer.language").exists()
