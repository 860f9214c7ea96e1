"""Files of customers in the admin: who may, what each press does, a worker that dies, and what is exported (X31, X36, S06)."""

from __future__ import annotations

import csv
import io
import json
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from crm.actions import custom_fields, customer_exports, customer_files, customer_imports, import_portions
from crm.channels import contact_columns, contact_files
from crm.models import (
    Consent,
    ContactPoint,
    Customer,
    CustomerFile,
    CustomerImport,
    HistoryEntry,
    ImportFinding,
    PersonSuggestion,
)
from crm.models.customer_files import FileState
from crm.models.people import CustomerStatus
from crm.policy import Role
from tests.conftest import NOON
from tests.crm.test_admin import CUSTOMER, NOBODY, STAFF, WITHOUT_ROLE, browser, colleague, statements, stored

pytestmark = pytest.mark.django_db

EVERYBODY = [NOBODY, CUSTOMER, WITHOUT_ROLE, *STAFF]
MAY = (Role.LEAD, Role.ADMINISTRATOR)
ROWS = "Kundennr;Name;Mail;Born;News\n7;Ann Bell;ann@home.example;22.03.1980;yes\n8;Bob Ray;bob@home.example;01.02.1990;no\n9;;;;\n"
COLUMNS = {
    "column_0": "id", "column_1": "name", "column_2": "email", "column_3": "birth_date", "column_4": "consent",
    "verified_2": "on", "source": "shop", "date_format": "%d.%m.%Y", "encoding": "utf-8", "delimiter": ";",
}  # fmt: skip


def a_file(text: str | bytes = ROWS, name: str = "people.csv") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, text.encode() if isinstance(text, str) else text)


def uploaded(number: int = 0, text: str = ROWS) -> CustomerFile:
    boss = colleague(Role.ADMINISTRATOR, email=f"boss{number}@shop.example")
    return customer_files.upload("people.csv", a_file(text), by=boss, at=NOON)


def page(kept: CustomerFile, name: str = "customer_file") -> str:
    return reverse(f"admin:{name}", args=[kept.public_id])


def worked(kept: CustomerFile) -> CustomerFile:
    while customer_files.work_batch(at=timezone.now()):
        pass
    kept.refresh_from_db()
    return kept


@pytest.mark.parametrize("who", EVERYBODY)
def test_who_brings_customers_in_and_who_exports_them(who: str) -> None:
    kept, client, refused = uploaded(), browser(who), {NOBODY: 302}.get(who, 403)
    sees = [reverse("admin:customer_files"), reverse("admin:export_customers")]
    sees += [
        page(kept),
        page(kept, "customer_file_now"),
        page(kept, "customer_file_errors"),
        page(kept, "customer_file_duplicates"),
    ]
    before = stored()
    for url in sees:
        assert client.get(url).status_code == (200 if who in MAY else refused), url
    assert stored() == before  # looking changes nothing
    posts: list[tuple[str, dict[str, Any]]] = [
        (reverse("admin:customer_files"), {"file": a_file()}),
        (page(kept), {**COLUMNS, "do": "again"}),
        (page(kept), {**COLUMNS, "do": "try"}),
        (reverse("admin:export_customers"), {"columns": ["name"], "form": "csv"}),
    ]
    for url, given in posts:
        before = stored()
        answer = client.post(url, given)
        assert answer.status_code in ((200, 302) if who in MAY else (refused,)), url
        if who not in MAY:
            assert stored() == before


def test_columns_are_guessed_and_shown_with_their_first_values() -> None:
    client = browser(Role.LEAD)
    answer = client.post(
        reverse("admin:customer_files"), {"file": a_file(ROWS.replace("Ann", "Jürgen").encode("cp1252"))}
    )
    kept = CustomerFile.objects.get()
    assert answer.url == page(kept)
    assert kept.looked["guessed"] == {"name": ["Name"], "email": ["Mail"], "birth_date": ["Born"]}
    assert (kept.looked["encoding"], kept.looked["delimiter"], kept.looked["date_format"]) == (
        "cp1252",
        ";",
        "%d.%m.%Y",
    )
    shown = client.get(page(kept)).content.decode()
    assert "Jürgen Bell" in shown
    assert '<option value="birth_date" selected>' in shown
    wrong = client.post(page(kept), {**COLUMNS, "encoding": "cp1252", "delimiter": ",", "do": "again"})
    assert wrong.status_code == 302
    kept.refresh_from_db()
    assert len(kept.looked["columns"]) == 1


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("people.pdf", b"%PDF-1.7", "cannot be read"),
        ("people.csv", b"%PDF-1.7", "no file of rows"),
        ("people.xlsx", b"PK\x03\x04 nonsense", "not a workbook"),
        ("people.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old form"),
        ("people.csv", b"", "no line with the names"),
    ],
)
def test_files_of_other_kinds_are_refused_in_words_and_not_kept(name: str, content: bytes, words: str) -> None:
    answer = browser(Role.LEAD).post(reverse("admin:customer_files"), {"file": a_file(content, name)})
    assert answer.status_code == 400
    assert words in answer.content.decode()
    assert not CustomerFile.objects.exists()


def test_a_file_too_large_for_upload_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(customer_files, "LARGEST", 10)
    answer = browser(Role.LEAD).post(reverse("admin:customer_files"), {"file": a_file()})
    assert answer.status_code == 400
    assert "manage.py" in answer.content.decode()


def test_a_file_is_tried_brought_in_and_taken_back_X31() -> None:
    client = browser(Role.LEAD)
    client.post(reverse("admin:customer_files"), {"file": a_file()})
    kept = CustomerFile.objects.get()
    client.post(page(kept), {**COLUMNS, "do": "try"})
    shown = client.get(page(kept)).content.decode()
    assert "customer_file.js" in shown
    assert "Look again" in shown
    worked(kept)
    assert kept.state == FileState.TRIED
    assert not Customer.objects.exists()
    tried = dict(kept.counts)
    assert (tried["created"], tried["rejected"], tried["unknown"]) == (2, {"nobody": 1}, 2)
    assert "nothing was written" in client.get(page(kept)).content.decode()

    client.post(page(kept), {**COLUMNS, "do": "keep"})
    worked(kept)
    assert kept.state == FileState.KEPT
    assert kept.counts == tried
    assert set(Customer.objects.values_list("display_name", flat=True)) == {"Ann Bell", "Bob Ray"}
    assert ContactPoint.objects.get(address="ann@home.example").verified_at is not None
    assert not Consent.objects.exclude(state="unknown").exists()
    assert kept.brought_by is not None
    assert kept.brought_by.by is not None
    errors = b"".join(client.get(page(kept, "customer_file_errors")).streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    assert [row["code"] for row in csv.DictReader(io.StringIO(errors))] == ["nobody"]

    assert client.post(page(kept), {"do": "keep"}).status_code == 409
    client.post(page(kept), {"do": "undo"})
    worked(kept)
    assert kept.state == FileState.TAKEN_BACK
    assert Customer.objects.filter(status=CustomerStatus.TAKEN_BACK).count() == 2
    verbs = list(
        HistoryEntry.objects.filter(ref=f"customer_file:{kept.public_id}").order_by("pk").values_list("verb", flat=True)
    )
    assert verbs == [
        f"customer_file.{what}" for what in ("uploaded", "try", "tried", "keep", "kept", "undo", "taken_back")
    ]


def test_who_may_be_whom_is_a_download_and_leads_to_the_suggestions_X31() -> None:
    kept = uploaded(text="Kundennr;Name;Mail;Born;News\n7;Ann Bell;ann@home.example;;\n8;Ann Bell;ann@home.exampel;;\n")
    client = browser(Role.LEAD)
    client.post(page(kept), {**{k: v for k, v in COLUMNS.items() if k != "verified_2"}, "do": "keep"})
    worked(kept)
    assert PersonSuggestion.objects.count() == 1
    shown = client.get(page(kept)).content.decode()
    assert reverse("admin:persons") in shown
    rows = b"".join(client.get(page(kept, "customer_file_duplicates")).streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    assert [(row["id"], row["other"], row["how"]) for row in csv.DictReader(io.StringIO(rows))] == [
        ("7", "8", "suggested")
    ]


def test_a_worker_that_dies_loses_a_portion_and_the_next_one_goes_on_X31(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Kundennr;Name;Mail;Born;News\n" + "".join(f"{n};Person {n};p{n}@home.example;;\n" for n in range(10))
    kept = uploaded(text=text)
    monkeypatch.setattr(customer_imports, "PORTION", 4)
    customer_files.ask(kept.pk, wanted="keep", by=kept.by, at=NOON, table=_table(kept))
    write, calls = import_portions.Portion._write, []

    def dies(self: Any, *args: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        write(self, *args)

    monkeypatch.setattr(import_portions.Portion, "_write", dies)
    with pytest.raises(KeyboardInterrupt):
        customer_files.work_batch(at=timezone.now())
    kept.refresh_from_db()
    assert (kept.state, kept.rows_done, Customer.objects.count()) == (FileState.CLAIMED, 4, 4)
    assert customer_files.work_batch(at=timezone.now()) == 0  # its lease has not run out
    CustomerFile.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    worked(kept)
    assert (kept.state, kept.rows_done, kept.counts["created"], Customer.objects.count()) == (
        FileState.KEPT,
        10,
        10,
        10,
    )
    assert CustomerImport.objects.count() == 1


def _table(kept: CustomerFile) -> dict[str, Any]:
    return {"columns": {"name": ["Name"], "email": ["Mail"]}, "id": "Kundennr", "source": "shop", "delimiter": ";"}


def test_a_worker_that_slept_past_its_lease_changes_nothing_X31(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = uploaded()
    customer_files.ask(kept.pk, wanted="keep", by=kept.by, at=NOON, table=_table(kept))
    write = import_portions.Portion._write

    def slow(self: Any, *args: Any) -> None:
        CustomerFile.objects.filter(pk=kept.pk).update(attempt=7)  # somebody else has claimed it meanwhile
        write(self, *args)

    monkeypatch.setattr(import_portions.Portion, "_write", slow)
    customer_files.work_batch(at=timezone.now())
    assert not Customer.objects.exists()
    assert CustomerFile.objects.get().state == FileState.CLAIMED


def test_a_file_that_stops_every_worker_is_set_aside_with_the_reason() -> None:
    kept = uploaded()
    customer_files.ask(kept.pk, wanted="keep", by=kept.by, at=NOON, table=_table(kept))
    CustomerFile.objects.update(failed=3)
    worked(kept)
    assert kept.state == FileState.PARKED
    assert "several times" in kept.reason


def test_a_file_that_turns_out_unreadable_says_so() -> None:
    kept = uploaded()
    customer_files.ask(
        kept.pk, wanted="try", by=kept.by, at=NOON, table={**_table(kept), "columns": {"name": ["Gone"]}}
    )
    worked(kept)
    assert kept.state == FileState.REFUSED
    assert "Gone" in kept.reason
    with pytest.raises(contact_files.NotThisShape):
        customer_files.ask(kept.pk, wanted="try", by=kept.by, at=NOON, table={"columns": {"shoe": ["Name"]}})


def test_the_file_is_removed_some_days_after_and_what_was_found_in_it() -> None:
    kept = uploaded()
    customer_files.ask(kept.pk, wanted="keep", by=kept.by, at=timezone.now(), table=_table(kept))
    worked(kept)
    storage, name = kept.file.storage, str(kept.file.name)
    assert storage.exists(name)
    assert customer_files.forget(at=timezone.now()) == 0
    assert ImportFinding.objects.exists()
    assert customer_files.forget(at=timezone.now() + timedelta(days=15)) == 1
    kept.refresh_from_db()
    assert not storage.exists(name)
    assert not kept.file
    assert (kept.looked, kept.state) == ({}, FileState.KEPT)
    assert not ImportFinding.objects.exists()
    assert browser(Role.LEAD).get(page(kept)).status_code == 200


def test_pages_of_files_cost_the_same_for_one_and_for_twenty() -> None:
    client = browser(Role.LEAD)
    kept = uploaded()
    one = statements(client, reverse("admin:customer_files"))
    alone = statements(client, page(kept))
    for number in range(1, 20):
        uploaded(number)
    assert statements(client, reverse("admin:customer_files")) == one <= 15
    assert statements(client, page(kept)) == alone <= 15


# --- export -----------------------------------------------------------------------------------------------------------


def exported(client: Client, query: str = "", **given: Any) -> bytes:
    answer = client.post(
        reverse("admin:export_customers") + query, {"columns": ["id", "name", "email"], "form": "csv"} | given
    )
    assert answer.status_code == 200
    return b"".join(answer.streaming_content)  # type: ignore[attr-defined]


def some(number: int, **more: Any) -> list[Customer]:
    made = [Customer.objects.create(display_name=f"Person {n}", created_at=NOON, **more) for n in range(number)]
    for one in made:
        ContactPoint.objects.create(customer=one, kind="email", address=f"p{one.pk}@home.example", created_at=NOON)
    return made


def test_what_the_filter_shows_is_exported_and_written_down_X36(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(customer_exports, "BATCH", 2)
    some(5)
    some(2, status=CustomerStatus.CLOSED)
    client = browser(Role.LEAD)
    listed = client.get(reverse("admin:crm_customer_changelist") + "?status__exact=closed").content.decode()
    assert "?status__exact=closed" in listed
    assert "Export what is shown" in listed
    rows = list(csv.DictReader(io.StringIO(exported(client, "?status__exact=closed").decode("utf-8-sig"))))
    assert [row["name"] for row in rows] == ["Person 0", "Person 1"]
    begun, done = HistoryEntry.objects.filter(verb__startswith="customers.export").order_by("pk")
    assert begun.by is not None
    assert begun.detail["filters"] == {"status__exact": "closed"}
    assert done.detail == {"rows": 2, "is_whole": True}
    assert begun.ref == done.ref
    assert len(exported(client).splitlines()) == 8
    found = exported(client, "?q=Person 3").decode()
    assert found.count("Person 3") == 1
    kept = HistoryEntry.objects.filter(verb="customers.export_begun").latest("pk").detail["filters"]["q"]
    assert kept.startswith("hmac:")  # what was searched for may be a name, and history is never emptied
    assert (
        client.post(reverse("admin:export_customers") + "?nonsense=1", {"columns": ["id"], "form": "csv"}).status_code
        == 400
    )
    assert client.post(reverse("admin:export_customers"), {"columns": ["secret"], "form": "csv"}).status_code == 400


def test_an_export_that_breaks_off_is_written_down_with_how_many_left_X36(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(customer_exports, "BATCH", 2)
    some(5)
    lines = customer_exports.lines(
        customer_exports.every(), chosen=["name"], form="jsonl", filters={}, by=None, origin="test", clock=lambda: NOON
    )
    next(lines)
    lines.close()  # type: ignore[attr-defined]
    assert HistoryEntry.objects.get(verb="customers.exported").detail == {"rows": 2, "is_whole": False}


def test_agents_see_no_way_to_export() -> None:
    some(1)
    assert (
        "Export what is shown" not in browser(Role.AGENT).get(reverse("admin:crm_customer_changelist")).content.decode()
    )


def test_an_export_costs_two_statements_a_batch_however_many_rows() -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as captured:
            b"".join(
                customer_exports.lines(
                    customer_exports.every(), chosen=["name", "email"], form="csv", filters={}, by=None, origin="test",
                    clock=lambda: NOON,
                )
            )  # fmt: skip
        return len(captured)

    some(1)
    one = cost()
    some(19)
    assert cost() == one


def test_our_own_export_brings_the_same_values_again_S06_X32(tmp_path: Any) -> None:
    boss = colleague(Role.ADMINISTRATOR)
    custom_fields.define("customer", code="size", label="Size", kind="number", by=boss, at=NOON)
    custom_fields.define("customer", code="vip", label="Card", kind="yes_no", by=boss, at=NOON)
    ann = Customer.objects.create(
        display_name="=HYPERLINK(1)", language="de", created_at=NOON, custom={"size": -3, "vip": True}
    )
    bob = Customer.objects.create(display_name='\'@Bob; "=x", -Ray', created_at=NOON)
    cy = Customer.objects.create(display_name="Cy Dee", created_at=NOON)
    addresses = [
        (ann, "email", "+ann@home.example"), (ann, "email", "ann@work.example"), (ann, "phone", "+491701234567"),
        (ann, "handle", "x:2244994945"), (ann, "handle", "shop kunde 7"), (bob, "handle", "blog.example/bob"),
        (bob, "device", "-dev"), (cy, "postal", "Cy Dee, Torstr. 7, 10115 Berlin"),
    ]  # fmt: skip
    for customer, kind, address in addresses:
        ContactPoint.objects.create(customer=customer, kind=kind, address=address, created_at=NOON)

    def kept() -> list[Any]:
        found = Customer.objects.filter(status=CustomerStatus.ACTIVE).order_by("display_name")
        return [
            (
                one.display_name,
                one.language,
                one.custom,
                sorted(one.contact_points.filter(unlinked_at=None).values_list("kind", "address")),
            )
            for one in found
        ]

    before = kept()
    path = tmp_path / "own.csv"
    path.write_bytes(
        b"".join(
            customer_exports.lines(
                customer_exports.every(), chosen=list(customer_exports.columns()), form="csv", filters={}, by=None,
                origin="test", clock=lambda: NOON,
            )
        )
    )  # fmt: skip
    text = path.read_text("utf-8-sig")
    assert '"\'=HYPERLINK(1)"' in text
    assert "2026-03-02T12:00:00Z" in text
    ContactPoint.objects.all().delete()
    Customer.objects.update(status=CustomerStatus.CLOSED)
    customer_imports.bring_in(
        contact_files.parse(path, contact_columns.Mapped()), source="own", file_name="own.csv", at=NOON
    )
    assert kept() == before


def test_json_lines_hold_each_address_by_itself() -> None:
    (one,) = some(1)
    ContactPoint.objects.create(customer=one, kind="email", address="second@home.example", created_at=NOON)
    row = json.loads(exported(browser(Role.LEAD), form="jsonl"))
    assert row["email"] == [f"p{one.pk}@home.example", "second@home.example"]


@pytest.mark.django_db(transaction=True)
def test_a_portion_that_takes_longer_than_the_lease_is_not_taken_by_another_worker_X31(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    kept = uploaded()
    customer_files.ask(kept.pk, wanted="keep", by=kept.by, at=NOON, table=_table(kept))
    write, others = import_portions.Portion._write, []

    def another_worker() -> None:
        try:
            others.append(customer_files.work_batch(at=timezone.now()))
        finally:
            connection.close()

    def slow(self: Any, *args: Any) -> None:
        thread = threading.Thread(target=another_worker)
        thread.start()
        thread.join(timeout=20)
        write(self, *args)

    monkeypatch.setattr(import_portions.Portion, "_write", slow)
    settings.EVENHAND_LEASE = timedelta(seconds=-1)  # it has run out before the portion is compared
    worked(kept)
    assert others == [0]
    assert (kept.state, Customer.objects.count()) == (FileState.KEPT, 2)
