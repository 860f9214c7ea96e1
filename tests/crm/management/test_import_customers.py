"""`manage.py import_customers`: files of other programs, and how well people are found in them (R080, N7, R056)."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import defaultdict
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from crm.actions import consent, intake
from crm.models import (
    Consent,
    ContactPoint,
    Customer,
    CustomerImport,
    HistoryEntry,
    ImportedCustomer,
    LifeEvent,
    PersonSuggestion,
)
from crm.models.people import ContactKind, CustomerStatus
from tests.conftest import NOON
from tests.crm.stories import message

pytestmark = pytest.mark.django_db

FEBRL = """
[columns]
given_name = "given_name"
family_name = "surname"
house_number = "street_number"
street = "address_1"
more_street = "address_2"
city = "suburb"
postcode = "postcode"
region = "state"
birth_date = "date_of_birth"

[keys]
verified = ["soc_sec_id"]

[options]
id = "rec_id"
delimiter = ","
"""


def brought(path: Path, table: str = "", *more: str) -> dict[str, Any]:
    out = io.StringIO()
    options: list[str] = []
    if table:
        beside = path.with_suffix(".map.toml")
        beside.write_text(table, encoding="utf-8")
        options = ["--map", str(beside)]
    call_command("import_customers", str(path), *options, "--json", *more, stdout=out)
    return json.loads(out.getvalue())


def copied(outside: Path, tmp_path: Path) -> Path:
    """A copy of a file in a folder of the test's own, where files may be written beside it."""
    copy = tmp_path / outside.name
    copy.write_bytes(outside.read_bytes())
    return copy


def written(tmp_path: Path, text: str, name: str = "people.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def pairs(found: list[list[Any]]) -> set[tuple[Any, Any]]:
    return {tuple(sorted(pair[:2])) for pair in found}  # type: ignore[misc]


def true_pairs(path: Path) -> set[tuple[str, str]]:
    same: dict[str, list[str]] = defaultdict(list)
    for row in csv.DictReader(path.open(encoding="utf-8"), skipinitialspace=True):
        same[re.match(r"rec-(\d+)-", row["rec_id"])[1]].append(row["rec_id"])  # type: ignore[index]
    return {tuple(sorted(pair)) for rows in same.values() for pair in combinations(rows, 2)}  # type: ignore[misc]


@pytest.mark.parametrize(("name", "rows", "true"), [("dataset1", 1000, 500), ("dataset3", 5000, 6538)])
def test_people_are_found_as_well_as_is_promised_R080(name, rows, true, outside_data, tmp_path, capsys):
    path = copied(outside_data / f"contacts/febrl/{name}.csv", tmp_path)
    truth = true_pairs(path)
    assert len(truth) == true

    told = brought(path, FEBRL)

    automatic, suggested = pairs(told["automatic"]), pairs(told["suggested"])
    precise = len(automatic & truth) / len(automatic)
    found = len((automatic | suggested) & truth) / len(truth)
    right = len(suggested & truth) / len(suggested)
    with capsys.disabled():
        print(
            f"\n{name}: {len(automatic)} automatic pairs, precision {precise:.4f}; {len(suggested)} suggested, precision "
            f"{right:.4f}; together {found:.4f} of the true pairs"
        )
    assert precise >= 0.999
    assert found >= 0.99
    assert right >= 0.95
    assert not automatic & suggested
    assert all(0 <= score <= 1 for _one, _other, score in told["suggested"])
    assert told["created"] + told["updated"] == rows
    assert not told["rejected"]
    assert Customer.objects.filter(status=CustomerStatus.ACTIVE).count() == told["created"]
    assert PersonSuggestion.objects.count() >= 1


def test_without_any_verified_key_nobody_is_made_one_and_people_are_still_found_R080(outside_data, tmp_path):
    path = copied(outside_data / "contacts/febrl/dataset1.csv", tmp_path)
    told = brought(path, FEBRL.replace('verified = ["soc_sec_id"]', ""), "--dry-run")
    assert told["automatic"] == []
    assert told["created"] == 1000
    suggested, truth = pairs(told["suggested"]), true_pairs(path)
    assert len(suggested & truth) / len(truth) >= 0.9
    assert len(suggested & truth) / len(suggested) >= 0.95
    assert not Customer.objects.exists()


def test_address_books_of_real_programs_R080(outside_data, tmp_path):
    books = sorted((outside_data / "contacts/vcard").glob("*.vcf"))
    whole = tmp_path / "book.vcf"
    whole.write_bytes(b"\r\n".join(book.read_bytes() for book in books))
    number = {}
    count = 0
    for book in books:
        number[book.stem] = count + 1
        count += book.read_bytes().upper().count(b"BEGIN:VCARD")
    assert number["rfc6350-example"] - number["outlook-2003"] == 1
    assert number["outlook-2003"] - number["gmail-list"] == 3

    told = brought(whole, "", "--dry-run")

    gmail, iphone, outlook = (number[f"John_Doe_{name}"] for name in ("GMAIL", "IPHONE", "MS_OUTLOOK"))
    assert told["created"] == count
    assert told["automatic"] == []
    assert pairs(told["suggested"]) == {(gmail, iphone), (gmail, outlook), (iphone, outlook)}
    proved = brought(whole, '[keys]\nverified = ["email"]\n', "--dry-run")
    assert pairs(proved["automatic"]) == {(gmail, iphone)}
    assert (gmail, outlook) in pairs(proved["suggested"])


def test_cards_are_read_whatever_program_wrote_them_R080(outside_data, tmp_path):
    for book in sorted((outside_data / "contacts/vcard").glob("*.vcf")):
        brought(copied(book, tmp_path))
    assert Customer.objects.filter(display_name="Simon Perreault").count() == 1
    known = dict(ContactPoint.objects.values_list("address", "kind"))
    assert known["simon.perreault@viagenie.ca"] == ContactKind.EMAIL
    assert known["+14182626501"] == ContactKind.PHONE
    assert {"asmithk@gmail.com", "chrisy55d@yahoo.com", "dwhite@gmail.com", "custom@example.com"} <= set(known)
    assert not [address for address in known if "Phone" in address]
    assert "Simon Perreault, 2875 Laurier, Suite D2-630, G1V 2M2 Quebec, QC, Canada" in known
    claims = ImportedCustomer.objects.exclude(claims=[]).values_list("claims", flat=True)
    assert ["email", "john.doe@ibm.com"] in [claim for each in claims for claim in each]


def test_files_for_sending_are_recognised_by_their_columns_R080(outside_data, tmp_path):
    folder = outside_data / "contacts/csv"
    told = {
        path.stem: brought(copied(path, tmp_path), "", "--dry-run")
        for path in sorted(folder.glob("*.csv"))
        if path.stem != "govuk_notify_multiple_letter"
    }
    assert {name: one["created"] for name, one in told.items()} == {
        "chatwoot_import-contacts-sample": 25, "chatwoot_with_emoji": 1, "govuk_notify_email": 1, "govuk_notify_sms": 1,
    }  # fmt: skip
    letters = brought(copied(folder / "govuk_notify_multiple_letter.csv", tmp_path), "", "--dry-run")
    assert letters["rejected"] == {"wrong_columns": 10}


def test_a_shared_number_alone_makes_nobody_one_R080(outside_data, tmp_path):
    told = brought(copied(outside_data / "contacts/csv/chatwoot_import-contacts-sample.csv", tmp_path))
    assert told["automatic"] == []
    assert told["suggested"] == []
    assert ["phone", "+15417543011"] in [c for row in ImportedCustomer.objects.exclude(claims=[]) for c in row.claims]


def test_a_dry_run_writes_nothing_and_says_the_same_N7(tmp_path):
    path = written(tmp_path, "id,name,email\n1,Ann Bell,ann@home.example\n2,Ann Bell,ann@home.example\n3,,\n3,x,y\n")
    table = '[columns]\nname = "name"\nemail = "email"\n[keys]\nverified = ["email"]\n[options]\nid = "id"\n'
    first = brought(path, table, "--dry-run")
    assert not Customer.objects.exists()
    assert not CustomerImport.objects.exists()
    second = brought(path, table)
    assert {k: v for k, v in first.items() if k not in ("dry_run", "import")} == {
        k: v for k, v in second.items() if k not in ("dry_run", "import")
    }
    assert second["created"] == 2
    assert second["updated"] == 1
    assert second["automatic"] == [["1", "2"]]
    assert second["rejected"] == {"nobody": 1}
    assert second["left_out"] == {"unusable_email": 1}
    errors = (tmp_path / "people.errors.csv").read_text(encoding="utf-8-sig")
    assert "nobody" in errors
    point = ContactPoint.objects.get(kind=ContactKind.EMAIL)
    assert point.verified_at is not None


def test_a_file_opts_nobody_in_and_knows_no_birthdays_R056_N7(tmp_path):
    path = written(tmp_path, "name,email,birthday,consent\nAnn Bell,ann@home.example,1980-03-22,yes\n")
    brought(path)
    assert not Consent.objects.exists()
    assert not LifeEvent.objects.exists()
    assert ContactPoint.objects.get().verified_at is None
    assert HistoryEntry.objects.get().verb == "customer.imported"


def test_a_second_file_finds_whom_the_first_brought_and_overwrites_nothing_R080(tmp_path):
    table = '[columns]\nname = "name"\nemail = "email"\n[options]\nid = "id"\nsource = "shop"\n'
    brought(written(tmp_path, "id,name,email\nA,Ann Bell,ann@home.example\nB,,bob@home.example\n"), table)
    told = brought(
        written(tmp_path, "id,name,email\nA,Ann Other,ann@work.example\nB,Bob Ray,bob@home.example\nC,Cy,\n"), table
    )
    assert (told["created"], told["updated"]) == (1, 2)
    ann = Customer.objects.get(display_name="Ann Bell")
    assert set(ann.contact_points.values_list("address", flat=True)) == {"ann@home.example", "ann@work.example"}
    assert Customer.objects.filter(display_name="Bob Ray").count() == 1
    assert told["suggested_known"] == []


def test_whoever_wrote_to_us_is_suggested_and_never_made_one_by_a_claim_C06(tmp_path):
    heard = intake.receive(message(sender_address="carla@home.example"), at=NOON, origin="test").conversation
    table = '[columns]\nname = "name"\nemail = "email"\n[keys]\nverified = ["email"]\n'
    told = brought(written(tmp_path, "name,email\nCarla Customer,carla@home.example\n"), table)
    assert told["created"] == 1
    assert [known for _id, known, _score in told["suggested_known"]] == [str(heard.customer.public_id)]
    suggestion = PersonSuggestion.objects.get()
    assert {suggestion.one_id, suggestion.other_id} >= {heard.customer_id}
    assert ["email", "carla@home.example"] in ImportedCustomer.objects.get().claims
    assert "carla" not in json.dumps(suggestion.evidence).lower()


def test_a_proved_address_joins_the_customer_who_proved_it_R080(tmp_path):
    ann = Customer.objects.create(display_name="Ann Bell", created_at=NOON)
    ContactPoint.objects.create(
        customer=ann, kind="email", address="ann@home.example", verified_at=NOON, created_at=NOON
    )
    table = '[columns]\nname = "n"\nemail = "m"\nphone = "p"\n[keys]\nverified = ["m"]\n'
    told = brought(written(tmp_path, "n,m,p\nAnn B.,ANN@home.example,030 1234567\n"), table)
    assert (told["created"], told["updated"]) == (0, 1)
    assert set(ann.contact_points.values_list("address", flat=True)) == {"ann@home.example", "+49301234567"}


def test_a_key_is_kept_as_a_fingerprint_and_placeholders_join_nobody_R080(tmp_path):
    rows = "name,card\nAnn Bell,A-1042\nCy Dee,n/a\nEd Fox,n/a\nGus Hay,0000\nIda Jay,0000\nAnn Bell,a 1042\n"
    told = brought(written(tmp_path, rows), '[columns]\nname = "name"\n[keys]\nverified = ["card"]\n')
    assert told["automatic"] == [[1, 6]]
    assert not ContactPoint.objects.filter(address__icontains="1042").exists()
    assert ContactPoint.objects.filter(kind=ContactKind.KEY).count() == 1


def test_records_that_share_a_key_and_contradict_each_other_are_left_to_a_person_R080(tmp_path):
    rows = (
        "name,born,mail,card\nAnn Bell,1980-03-22,ann@home.example,77812345\n"
        "Zebulon Quix,1941-12-07,zeb@other.example,77812345\n"
    )
    table = '[columns]\nname = "name"\nbirth_date = "born"\nemail = "mail"\n[keys]\nverified = ["card"]\n'
    told = brought(written(tmp_path, rows), table, "--dry-run")
    assert told["automatic"] == []
    assert pairs(told["suggested"]) == {(1, 2)}


def test_an_import_is_taken_back_except_for_whom_something_hangs_on_R080(tmp_path):
    had = Customer.objects.create(display_name="", created_at=NOON)
    ContactPoint.objects.create(
        customer=had, kind="email", address="had@home.example", verified_at=NOON, created_at=NOON
    )
    table = '[columns]\nname = "n"\nemail = "m"\nphone = "p"\n[keys]\nverified = ["m"]\n'
    told = brought(
        written(
            tmp_path,
            "n,m,p\nAnn,ann@home.example,\nBob,bob@home.example,\nHad,had@home.example,030 1234567\nAnn Bo,ann@home.exampl,\n",
        ),
        table,
    )
    intake.receive(message(sender_address="bob@home.example"), at=NOON, origin="test")

    out = io.StringIO()
    call_command("import_customers", "--undo", told["import"], stdout=out)

    assert "2 customers are gone again; 2 stay" in out.getvalue()
    assert list(Customer.objects.filter(status=CustomerStatus.TAKEN_BACK).values_list("display_name", flat=True)) == [
        "",
        "",
    ]
    assert not ContactPoint.objects.filter(address="ann@home.example").exists()
    assert ContactPoint.objects.get(address="bob@home.example").unlinked_at is None
    assert ContactPoint.objects.get(address="+49301234567").unlinked_at is not None
    had.refresh_from_db()
    assert had.display_name == ""
    with pytest.raises(CommandError, match="taken back before"):
        call_command("import_customers", "--undo", told["import"])
    with pytest.raises(CommandError):
        call_command("import_customers", "--undo", "nonsense")
    assert brought(written(tmp_path, "n,m,p\nAnn,ann@home.example,\n"), table)["created"] == 1


def test_consent_that_stands_is_not_touched_by_a_file_N7(tmp_path):
    ann = Customer.objects.create(display_name="Ann", created_at=NOON)
    ContactPoint.objects.create(
        customer=ann, kind="email", address="ann@home.example", verified_at=NOON, created_at=NOON
    )
    consent.withdraw(ann, "birthday", evidence="by phone", at=NOON)
    brought(
        written(tmp_path, "n,m\nAnn,ann@home.example\n"), '[columns]\nname="n"\nemail="m"\n[keys]\nverified=["m"]\n'
    )
    assert list(Consent.objects.values_list("state", flat=True)) == ["withdrawn"]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("[columns", "cannot be read"),
        ('[columns]\nshoe_size = "x"', "shoe_size"),
        ('[columns]\nname = "nobody has this"', "nobody has this"),
        ('[options]\nencoding = "klingon"', "klingon"),
        ("[columns]\nname = 3", "needs the name of a column"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_in_words_R080(table, words, tmp_path):
    with pytest.raises(CommandError, match=words):
        brought(written(tmp_path, "name\nAnn\n"), table)


def test_files_in_other_forms_are_read_R080(tmp_path):
    from openpyxl import Workbook

    book = Workbook()
    for row in [
        ("Name", "PLZ", "Strasse", "Ort", "Geburtsdatum"),
        ("Ann Bell", 10115, "Torstr. 7", "Berlin", "22.03.1980"),
    ]:
        book.active.append(row)
    book.save(tmp_path / "book.xlsx")
    assert brought(tmp_path / "book.xlsx")["created"] == 1
    assert ContactPoint.objects.get().address == "Ann Bell, Torstr. 7, 10115 Berlin"
    tabbed = written(tmp_path, "name\temail\nCy\tcy@home.example\n", "people.tsv")
    assert brought(tabbed, "", "--dry-run")["created"] == 1
    latin = tmp_path / "latin.csv"
    latin.write_bytes("name;email\nJürgen;j@home.example\n".encode("cp1252"))
    with pytest.raises(CommandError, match="encoding"):
        brought(latin)
    brought(latin, '[options]\nencoding = "cp1252"\n')
    assert Customer.objects.filter(display_name="Jürgen").exists()
    (tmp_path / "broken.xlsx").write_bytes(b"PK\x03\x04 nonsense")
    with pytest.raises(CommandError, match="workbook"):
        brought(tmp_path / "broken.xlsx")


def test_who_may_be_one_person_is_written_down_with_the_evidence_R080(tmp_path):
    path = written(tmp_path, "name,email\nAnn Bell,ann@home.example\nAnn Bell,ann@home.exampel\n")
    report = tmp_path / "pairs.csv"
    brought(path, "", "--dry-run", "--duplicates", str(report))
    assert "email" in report.read_text(encoding="utf-8-sig")


def test_people_read_in_words_what_came_of_a_file_R080(tmp_path):
    rows = "name,email,phone\nAnn Bell,ann@home.example,\nAnn Bell,ann@home.exampel,words\n,,\n"
    path = written(tmp_path, rows + "a,b,c,d\n")
    out = io.StringIO()
    call_command("import_customers", str(path), "--errors", str(tmp_path / "left.csv"), stdout=out)
    said = out.getvalue()
    assert "people.csv: 2 customers new, 0 rows belong to customers who are there." in said
    assert "To be looked at: 1 pairs of rows, 0 of a row and a customer." in said
    assert "Not taken in: 1 × The row has more cells than the file has columns." in said
    assert "Left out: 1 × unusable phone" in said
    assert "--undo" in said
    assert "wrong_columns" in (tmp_path / "left.csv").read_text(encoding="utf-8-sig")
    with pytest.raises(CommandError, match="Name a file"):
        call_command("import_customers")
