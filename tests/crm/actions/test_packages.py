"""A copy of everything about one person, for nobody else, for a week (P05, P06)."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from crm.actions import intake, package_contents, packages
from crm.models import (
    ContactPoint,
    Conversation,
    Customer,
    CustomerFile,
    CustomerImport,
    DataPackage,
    HistoryEntry,
    ImportedCustomer,
    ImportFinding,
    Interaction,
    OutgoingMessage,
    Reach,
    Representative,
)
from crm.policy import Direction, Role
from crm.policy.privacy import PackageState
from recovery.models import Case
from tests.conftest import NOON
from tests.crm.actions.test_erasure import settled
from tests.crm.api.door import client_for
from tests.crm.canaries import ADDRESS, CANARY, storage
from tests.crm.stories import app_user, colleague, message

pytestmark = pytest.mark.django_db
LATER = NOON + timedelta(days=30)
FRESH = [{"method": "password", "at": LATER.timestamp()}, {"method": "mfa", "at": LATER.timestamp()}]


def made(customer: Customer) -> tuple[dict[str, Any], str, zipfile.ZipFile]:
    target = io.BytesIO()
    package_contents.write(target, customer, at=LATER, progress=lambda done, parts: None)
    archive = zipfile.ZipFile(target)
    assert archive.testzip() is None
    return json.loads(archive.read("data.json")), archive.read("index.html").decode(), archive


def test_it_holds_everything_about_them_and_files_P05():
    ada = colleague(name="Ada Agent")
    case = settled(ada)
    point = ContactPoint.objects.filter(customer=case.customer).first()
    Reach.objects.create(contact_point=point, followers=4711, told_at=NOON)
    told, page, archive = made(case.customer)
    assert told["schema"] == 1
    tables = told["tables"]
    for label in ("crm.Interaction", "crm.Promise", "recovery.Case", "recovery.Grant", "crm.Consent", "crm.HistoryEntry",
                  "crm.OutgoingMessage", "crm.LifeEvent", "crm.RawItem"):  # fmt: skip
        assert tables[label], label
    assert tables["crm.Reach"][0]["followers"] == 4711  # P05
    assert any(row["direction"] == "internal" for row in tables["crm.Interaction"])  # notes are about the person
    assert "Ada Agent" in json.dumps(tables)
    assert ada.email not in json.dumps(told)
    names = archive.namelist()
    assert any(name.startswith("files/") for name in names)
    assert any(name.endswith(".eml") for name in names)
    assert CANARY in page
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page


def test_nothing_of_other_people_and_no_secret_is_in_it_P06():
    ada = colleague()
    case = settled(ada)
    other = intake.receive(message("My own story.", sender_address="tom@home.example"), at=NOON, origin="test")
    said = Interaction.objects.filter(conversation=case.conversation).order_by("pk")[0]
    Interaction.objects.create(
        conversation=case.conversation, direction=Direction.INBOUND, channel="email", source="mail:test", external_id="other",
        other_address="neighbour@home.example", text="I live next door.", full_text="I live next door.", spoke_at=NOON,
        ingested_at=NOON,
    )  # fmt: skip
    brought_by = CustomerImport.objects.create(source="shop", file_name="shop.csv", at=NOON, finished_at=NOON)
    ImportedCustomer.objects.create(
        brought_by=brought_by, source="shop", external_id="1", customer=case.customer, is_new=False
    )
    upload = CustomerFile.objects.create(
        file_name="shop.csv", size=1, by=ada, uploaded_at=NOON, state="kept", brought_by=brought_by, settled_at=NOON,
        looked={"samples": ["Tom Other"]},
    )  # fmt: skip
    ImportFinding.objects.create(upload=upload, kind="rejected", line=2, code="x", content="Tom Other,tom@home.example")
    Representative.objects.create(
        principal=other.conversation.customer, person=case.customer, authority="consented", scope="everything",
        source="customer", evidence="Tom told us about his illness.", valid_from=NOON, noted_by=ada, noted_at=NOON,
    )  # fmt: skip
    told, page, archive = made(case.customer)
    everything = json.dumps(told) + page
    for words in ("Tom Other", "his illness"):
        assert words not in everything, words
    for words in ("tom@home.example", "My own story.", "neighbour@home.example", "I live next door."):
        assert words not in everything, words
    assert package_contents.MASKED in everything
    for secret in ("password", "nonce", "digest"):
        assert all(secret not in row for rows in told["tables"].values() for row in rows), secret
    assert said.public_id
    assert other.conversation.pk not in [row["id"] for row in told["tables"]["crm.Conversation"]]
    assert not [name for name in archive.namelist() if "tom" in name]


def test_it_is_made_by_a_lane_told_to_every_address_and_removed_after_a_week_P06():
    ada = colleague(Role.LEAD)
    customer = Customer.objects.create(display_name="Carla", created_at=NOON)
    for number, gone in enumerate((None, NOON)):
        ContactPoint.objects.create(
            customer=customer, kind="email", address=f"carla{number}@home.example", created_at=NOON, unlinked_at=gone
        )
    package = packages.ask(customer.pk, note="passport", by=ada, at=LATER)
    assert packages.ask(customer.pk, note="again", by=ada, at=LATER) == package
    told = OutgoingMessage.objects.filter(customer=customer)
    assert set(told.values_list("address", flat=True)) == {"carla0@home.example", "carla1@home.example"}
    assert "a copy of everything we hold about you" in told[0].text
    assert "/package/" not in told[0].text
    assert told[0].headers == {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"}  # no absence note
    assert packages.work_batch(at=LATER) == 1
    package.refresh_from_db()
    assert (package.state, package.size > 500) == (PackageState.DONE, True)
    assert [file.name for file in storage().rglob("*.zip")]
    assert packages.remove_old(LATER + timedelta(days=7)) == 0
    assert packages.remove_old(LATER + timedelta(days=7, seconds=1)) == 1
    assert not list(storage().rglob("*.zip"))
    verbs = set(HistoryEntry.objects.filter(ref=f"package:{package.public_id}").values_list("verb", flat=True))
    assert verbs == {"package.asked", "package.made", "package.removed"}


def test_oneself_needs_a_second_factor_just_now_and_a_settled_address_P06():
    account = app_user()
    with pytest.raises(packages.NotProved):
        packages.ask_for_oneself(account, methods=FRESH[:1], at=LATER)
    with pytest.raises(packages.NotProved):
        packages.ask_for_oneself(account, methods=FRESH, at=LATER + timedelta(minutes=11))
    point = ContactPoint.objects.create(
        customer=account.customer, kind="email", address="new@home.example", created_at=LATER - timedelta(days=6)
    )
    with pytest.raises(packages.AddressIsNew):
        packages.ask_for_oneself(account, methods=FRESH, at=LATER)
    ContactPoint.objects.filter(pk=point.pk).update(created_at=LATER - timedelta(days=8))
    assert packages.ask_for_oneself(account, methods=FRESH, at=LATER).customer_id == account.customer_id
    with pytest.raises(packages.NoPackage):
        packages.ask_for_oneself(colleague(), methods=FRESH, at=LATER)


def test_one_that_fails_is_tried_again_and_then_waits_for_a_person(monkeypatch):
    ada = colleague(Role.LEAD)
    customer = Customer.objects.create(display_name="Carla", created_at=NOON)
    package = packages.ask(customer.pk, note="passport", by=ada, at=LATER)

    def fails(*given: Any, **more: Any) -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr(package_contents, "write", fails)
    at = LATER
    for _attempt in range(packages.TRIES):
        assert packages.work_batch(at=at) == 1
        at += packages.TRIED_AGAIN_AFTER
    package.refresh_from_db()
    assert (package.state, package.reason) == (PackageState.PARKED, "RuntimeError")
    monkeypatch.undo()
    packages.again(str(package.public_id), by=ada, at=at)
    assert packages.work_batch(at=at) == 1
    package.refresh_from_db()
    assert package.state == PackageState.DONE


def test_the_app_asks_and_fetches_with_its_own_account_alone_P06_P17(settings):
    account, other = app_user(), app_user()
    for nobody in (client_for(None), client_for(colleague())):
        assert nobody.get("/api/v1/me/data/").status_code in (401, 403)
        assert nobody.post("/api/v1/me/data/", {}, format="json").status_code in (401, 403)
    client = client_for(account)
    refused = client.post("/api/v1/me/data/", {}, format="json")
    assert (refused.status_code, refused.json()["code"]) == (403, "not_proved")
    assert client.post("/api/v1/me/data/", {"for": "x"}, format="json").status_code == 400
    assert not DataPackage.objects.exists()
    packages.ask_for_oneself(account, methods=FRESH, at=LATER)
    packages.work_batch(at=LATER)
    (one,) = client.get("/api/v1/me/data/").json()["packages"]
    answer = client.get(one["link"])
    assert answer.status_code == 200
    assert b"".join(answer.streaming_content)[:2] == b"PK"
    assert client_for(other).get(one["link"]).status_code == 404
    assert client_for(None).get(one["link"]).status_code == 401
    assert client.get("/api/v1/me/data/nonsense/").status_code == 404


def test_the_command_writes_a_file_that_only_its_owner_reads(tmp_path: Path):
    customer = Customer.objects.create(display_name="Carla", created_at=NOON)
    target = tmp_path / "carla.zip"
    call_command("customer_package", str(customer.public_id), to=target)
    assert target.stat().st_mode & 0o777 == 0o600
    assert "data.json" in zipfile.ZipFile(target).namelist()
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("customer_package", str(customer.public_id), to=target)
    with pytest.raises(CommandError, match="no customer"):
        call_command("customer_package", "nonsense", to=tmp_path / "x")


def test_merged_records_are_in_one_copy_P05():
    from crm.actions import persons

    ada = colleague()
    kept = Customer.objects.create(display_name="Carla", created_at=NOON)
    gone = Customer.objects.create(display_name="C. Customer", created_at=NOON)
    ContactPoint.objects.create(customer=gone, kind="email", address=ADDRESS, created_at=NOON)
    persons.merge(gone.pk, kept_id=kept.pk, because="same", take=[], opens_to_account=False, by=ada, at=NOON)
    gone.refresh_from_db()
    told, _page, _archive = made(gone)
    assert {row["display_name"] for row in told["tables"]["crm.Customer"]} == {"Carla", "C. Customer"}
    assert told["person"] == str(gone.public_id)
    assert not Conversation.objects.exists()
    assert not Case.objects.exists()
