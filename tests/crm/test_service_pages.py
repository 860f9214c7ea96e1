"""The customer's own page about a change that they did not ask for: looking changes nothing, one press does (R049, R056)."""

from __future__ import annotations

import pytest

from crm.actions import service_changes
from crm.models import OutgoingMessage, Reversal
from tests.conftest import NOON
from tests.crm.actions.test_service_changes import customer_of, record, token_of
from tests.crm.stories import colleague

pytestmark = pytest.mark.django_db


def test_opening_the_link_changes_nothing_however_often_R049(client):
    change = record(customer_of())
    for _time in range(3):
        page = client.get(f"/changes/{token_of(change)}/")
        assert page.status_code == 200
        client.head(f"/changes/{token_of(change)}/")
    words = page.content.decode()
    assert "Basic account" in words
    assert "4.99 EUR a month" in words
    assert Reversal.objects.get().state == "open"
    assert OutgoingMessage.objects.count() == 1
    assert page["Cache-Control"] == "no-store"
    assert page["Referrer-Policy"] == "no-referrer"
    assert not page.cookies


def test_the_page_tells_nothing_but_the_change_R049(client):
    change = record(customer_of())
    words = client.get(f"/changes/{token_of(change)}/").content.decode()
    for hidden in ("Carla", "carla@home.example", str(change.customer.public_id), "billing", str(change.by)):
        assert hidden not in words


@pytest.mark.parametrize(
    ("pressed", "state", "words"),
    [
        ("reversed", "reversed", "It was put back"),
        ("kept", "kept", "It stays, as you told us"),
        ("already_back", "already_back", "put back"),
    ],
)
def test_one_press_says_what_becomes_of_it_and_a_second_one_nothing_more_R049_R056(client, pressed, state, words):
    change = record(customer_of())
    address = f"/changes/{token_of(change)}/"
    assert words in client.post(address, {"do": pressed}).content.decode()
    reversal = Reversal.objects.get()
    assert (reversal.state, reversal.by_customer) == (state, True)
    client.post(address, {"do": "reversed"})
    client.post(address, {"do": "kept"})
    reversal.refresh_from_db()
    assert reversal.state == state
    assert OutgoingMessage.objects.count() == 2


def test_a_press_of_nothing_or_a_forged_link_does_nothing_R049(client):
    change = record(customer_of())
    for pressed in ("", "open", "gold"):
        assert client.post(f"/changes/{token_of(change)}/", {"do": pressed}).status_code == 400
    assert client.put(f"/changes/{token_of(change)}/").status_code == 405
    for method in (client.get, client.post):
        assert method("/changes/nonsense/").status_code == 404
    assert Reversal.objects.get().state == "open"


def test_the_page_speaks_the_customer_s_language_unless_they_choose_another_X48(client):
    change = record(customer_of(language="de"))
    assert "Rückgängig machen" in client.get(f"/changes/{token_of(change)}/").content.decode()
    assert "Deshacer el cambio" in client.get(f"/changes/{token_of(change)}/?language=es").content.decode()
    service_changes.put_back(change.pk, by=colleague(), at=NOON)
    assert "rückgängig gemacht" in client.get(f"/changes/{token_of(change)}/").content.decode()
