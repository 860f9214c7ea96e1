"""The pages about people's own data: who may, what is refused, what it costs (P05–P09, P19)."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from crm.actions import erasure, packages
from crm.models import Customer, DataPackage, Erasure, HistoryEntry, Hold, RetentionRule, User
from crm.policy import Role
from tests.conftest import NOON
from tests.crm.actions.test_journal import somebody
from tests.crm.stories import app_user, colleague
from tests.crm.test_admin_mail import client_of

pytestmark = pytest.mark.django_db
ASK = {"do": "ask", "asked_by": "customer", "words": "rang, known voice", "reason": "wants to go"}


@pytest.fixture(autouse=True)
def journal_file(settings: Any, tmp_path: Path) -> None:
    settings.EVENHAND_ERASURE_JOURNAL = tmp_path / "erasures.journal"


@pytest.fixture(autouse=True)
def shipped_rules(db: None) -> None:
    """The rules as shipped, also when an earlier test has emptied the tables."""
    importlib.import_module("crm.migrations.0022_privacy").write_rules(apps, None)


def url(customer: Customer) -> str:
    return f"/admin/customer/{customer.public_id}/data/"


def test_who_may_do_what_with_a_customers_data_P06():
    mine = app_user()
    customer = mine.customer
    assert customer is not None
    assert Client().get(url(customer)).status_code == 302
    assert client_of(mine).get(url(customer)).status_code == 403
    may_see = {Role.AGENT: 200, Role.LEAD: 200, Role.ADMINISTRATOR: 200, Role.AUDITOR: 403, Role.LOYALTY_MANAGER: 403}
    may_copy = {Role.LEAD, Role.ADMINISTRATOR}
    for role, status in may_see.items():
        client = client_of(colleague(role))
        assert client.get(url(customer)).status_code == status, role
        copied = client.post(url(customer), {"do": "copy", "note": "passport at the counter"})
        assert copied.status_code == (302 if role in may_copy else 403), role
        held = client.post(url(customer), {"do": "hold"})
        assert held.status_code == (302 if role in may_copy else 403), role
        rules = client.get("/admin/retention/").status_code
        assert rules == (200 if role in may_copy | {Role.AUDITOR} else 403), role
        noted = client.post("/admin/retention/", {"kind": "raw", "keep_days": "30", "basis": "enough"})
        assert noted.status_code == (302 if role == Role.ADMINISTRATOR else 403), role
        asked = client.get("/admin/erasures/").status_code
        assert asked == (200 if role in may_copy | {Role.AUDITOR} else 403), role


def test_asking_and_carrying_out_are_two_steps_with_a_look_before_P07():
    customer = somebody()
    agent, lead = client_of(colleague()), client_of(colleague(Role.LEAD))
    wrong = agent.post(url(customer), {**ASK, "words": ""})
    assert wrong.status_code == 400
    assert "wants to go" in wrong.content.decode()
    assert agent.post(url(customer), ASK).status_code == 302
    asked = Erasure.objects.get()
    told = {"do": "carry_out", "request": asked.pk}
    assert agent.post(url(customer), told).status_code == 403
    page = lead.get(url(customer)).content.decode()
    assert "Have it carried out" in page
    assert "contact point" in page
    assert lead.post(url(customer), told).status_code == 302
    again = lead.post(url(customer), told)
    assert again.status_code == 409
    assert erasure.work_batch(at=timezone.now()) == 1
    page = lead.get(url(customer)).content.decode()
    assert "Have it carried out" not in page
    assert "erased" in page
    assert "erased" in client_of(colleague(Role.AUDITOR)).get("/admin/erasures/").content.decode()


def test_a_hold_refuses_it_in_words_and_it_waits_P09():
    customer = somebody()
    lead = client_of(colleague(Role.LEAD))
    lead.post(url(customer), {"do": "hold"})
    lead.post(url(customer), ASK)
    refused = lead.post(url(customer), {"do": "carry_out", "request": Erasure.objects.get().pk})
    assert refused.status_code == 409
    assert "legal hold stands" in refused.content.decode()
    lead.post(url(customer), {"do": "lift"})
    assert Hold.objects.get().until is not None
    erasure.look_again(timezone.now())
    assert Erasure.objects.get().state == "ready"


def test_a_copy_is_fetched_by_whoever_the_link_was_made_for_and_by_nobody_else_P06_P17():
    customer = somebody()
    ada, ben = colleague(Role.LEAD), colleague(Role.LEAD)
    client = client_of(ada)
    assert client.post(url(customer), {"do": "copy", "note": " "}).status_code == 409
    client.post(url(customer), {"do": "copy", "note": "passport"})
    assert packages.work_batch(at=timezone.now()) == 1
    page = client.get(url(customer)).content.decode()
    link = page.split("/admin/package/")[1].split('"')[0]
    answer = client.get(f"/admin/package/{link}")
    assert answer.status_code == 200
    assert answer["Content-Disposition"].startswith("attachment")
    assert "no-store" in answer["Cache-Control"]
    assert client_of(ben).get(f"/admin/package/{link}").status_code == 404
    assert Client().get(f"/admin/package/{link}").status_code == 302
    assert client.get("/admin/package/nonsense/").status_code == 404
    assert HistoryEntry.objects.filter(verb="package.fetched", by=ada).count() == 1


def test_rules_show_what_would_go_before_they_are_switched_on_P19():
    client = client_of(colleague(Role.ADMINISTRATOR))
    page = client.get("/admin/retention/").content.decode()
    assert page.count("Nothing would go now.") == RetentionRule.objects.count() == 7
    assert not RetentionRule.objects.filter(is_active=True).exists()
    wrong = client.post("/admin/retention/", {"kind": "raw", "keep_days": "0", "basis": "x"})
    assert wrong.status_code == 400
    client.post("/admin/retention/", {"kind": "raw", "keep_days": "30", "basis": "enough", "is_active": "on"})
    rule = RetentionRule.objects.get(kind="raw")
    assert (rule.keep_days, rule.is_active) == (30, True)
    assert HistoryEntry.objects.get(verb="retention.changed").detail["before"] == [90, False]
    assert client.post("/admin/retention/", {"kind": "nothing", "keep_days": "3", "basis": "x"}).status_code == 404


@pytest.mark.parametrize("where", ["/admin/retention/", "/admin/erasures/", "data"])
def test_pages_take_few_statements_however_much_there_is_GOAL15(where: str):
    lead: User = colleague(Role.LEAD)
    client, customer = client_of(lead), somebody()
    where = url(customer) if where == "data" else where

    def more(number: int) -> None:
        for one in range(number):
            other = somebody(address=f"more{number}{one}@home.example")
            erasure.ask(other.pk, asked_by="us", words="x", reason="y", by=lead, at=NOON)  # type: ignore[arg-type]
            DataPackage.objects.create(
                customer=customer, asked_by=lead, note="x", asked_at=NOON, due_at=NOON, state="gone"
            )

    more(1)
    client.get(where)
    with CaptureQueriesContext(connection) as few:
        client.get(where)
    more(20)
    with CaptureQueriesContext(connection) as many:
        client.get(where)
    assert len(many) == len(few)
    assert len(many) <= 15, [one["sql"][:90] for one in many]


def test_looking_changes_nothing_P05():
    customer = somebody()
    client = client_of(colleague(Role.ADMINISTRATOR))
    before = HistoryEntry.objects.count()
    for where in (url(customer), "/admin/retention/", "/admin/erasures/"):
        client.get(where)
    assert HistoryEntry.objects.count() == before
