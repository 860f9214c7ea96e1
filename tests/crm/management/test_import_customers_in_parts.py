"""`manage.py import_customers`: people whom we have already, files larger than a portion, and what a file may never bring."""

from __future__ import annotations

import csv
import io
import re
import time
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from crm.actions import custom_fields, customer_imports, import_portions, intake
from crm.channels import contact_files
from crm.models import Consent, ContactPoint, Customer, CustomerImport, ImportedCustomer, PersonSuggestion
from crm.models.people import ContactKind
from crm.policy import Role
from tests.conftest import NOON
from tests.crm.management.test_import_customers import FEBRL as ONE_FILE
from tests.crm.management.test_import_customers import brought, pairs, true_pairs, written
from tests.crm.stories import message
from tests.crm.test_admin import colleague

pytestmark = pytest.mark.django_db

FEBRL = ONE_FILE.replace("[options]", '[options]\nsource = "febrl"')
WITHOUT_KEYS = FEBRL.replace('verified = ["soc_sec_id"]', "")


def halves(path: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The rows of a file, every second one in another."""
    rows = list(csv.reader(path.open(encoding="utf-8"), skipinitialspace=True))
    found = []
    for number in (0, 1):
        half = tmp_path / f"half{number}.csv"
        with half.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([rows[0], *rows[1 + number :: 2]])
        found.append(half)
    return found[0], found[1]


@pytest.mark.parametrize(
    ("name", "table", "recall"), [("dataset3", WITHOUT_KEYS, 0.85), ("dataset3", FEBRL, 0.97)], ids=["likeness", "keys"]
)
def test_people_whom_we_have_are_found_in_a_later_file_R080(name, table, recall, outside_data, tmp_path, capsys):
    """X31: half of the file first; of the other half, whoever is in the first has to be found again."""
    path = outside_data / f"contacts/febrl/{name}.csv"
    first, second = halves(path, tmp_path)
    brought(first, table)
    known = {
        str(row.customer.public_id): set(
            ImportedCustomer.objects.filter(customer=row.customer).values_list("external_id", flat=True)
        )
        for row in ImportedCustomer.objects.select_related("customer")
    }
    truth = true_pairs(path)
    belongs = {one: row["rec_id"] for row in csv.DictReader(second.open()) for one in [row["rec_id"]]}
    wanted = {
        (row, customer)
        for row in belongs
        for customer, ids in known.items()
        if any((min(row, other), max(row, other)) in truth for other in ids)
    }
    began = time.monotonic()
    told = brought(second, table)
    took = time.monotonic() - began
    suggested = {(row, customer) for row, customer, _score in told["suggested_known"]}
    joined = {
        (line.external_id, str(line.customer.public_id))
        for line in ImportedCustomer.objects.filter(brought_by__public_id=told["import"]).select_related("customer")
        if str(line.customer.public_id) in known
    }
    precise = len(suggested & wanted) / max(len(suggested), 1)
    found = len((suggested | joined) & wanted) / len(wanted)
    with capsys.disabled():
        print(
            f"\n{name}, second half against the first: {len(wanted)} rows of a customer we have; {len(joined)} joined by a key, "
            f"{len(suggested)} suggested, precision {precise:.4f}; together recall {found:.4f}; {took:.1f} s"
        )
    assert joined <= wanted
    assert precise >= 0.95
    assert found >= recall


KEYED = '[columns]\nname = "name"\nemail = "email"\n[keys]\nverified = ["email"]\n'


def test_a_file_larger_than_a_portion_comes_in_as_the_same_file_in_one_X31(tmp_path, monkeypatch):
    rows = [f"Person {n % 7},p{n % 7}@home.example" for n in range(20)]
    path = written(tmp_path, "name,email\n" + "\n".join([*rows, " ,,", "x,y,z"]) + "\n")
    whole = brought(path, KEYED, "--dry-run")
    monkeypatch.setattr(customer_imports, "PORTION", 4)
    tried = brought(path, KEYED, "--dry-run")
    assert not Customer.objects.exists()
    told = brought(path, KEYED)
    for name in ("created", "updated", "rejected", "left_out"):
        assert whole[name] == tried[name] == told[name], name
    assert pairs(whole["automatic"]) == pairs(tried["automatic"]) == pairs(told["automatic"])
    assert len(whole["automatic"]) == 6 * 3 + 1
    assert Customer.objects.count() == 7
    done = CustomerImport.objects.get()
    assert (done.rows_done, done.counts["created"], done.finished_at is not None) == (21, 7, True)


def test_an_interrupted_import_goes_on_behind_its_last_portion_X31(tmp_path, monkeypatch):
    path = written(tmp_path, "name,email\n" + "".join(f"Person {n},p{n}@home.example\n" for n in range(10)))
    table = tmp_path / "t.toml"
    table.write_text(KEYED)
    monkeypatch.setattr(customer_imports, "PORTION", 4)
    write, calls = import_portions.Portion._write, []

    def dies(self, *args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        write(self, *args)

    monkeypatch.setattr(import_portions.Portion, "_write", dies)
    with pytest.raises(KeyboardInterrupt):
        call_command("import_customers", str(path), "--map", str(table))
    begun = CustomerImport.objects.get()
    assert (begun.rows_done, Customer.objects.count(), begun.finished_at) == (8, 8, None)
    going_on = ["--map", str(table), "--resume", str(begun.public_id)]
    call_command("import_customers", str(path), *going_on, stdout=io.StringIO())
    begun.refresh_from_db()
    assert (begun.rows_done, begun.counts["created"], Customer.objects.count()) == (10, 10, 10)
    for wrong in (str(begun.public_id), "nonsense"):
        with pytest.raises(CommandError, match="no interrupted import"):
            call_command("import_customers", str(path), "--resume", wrong)


def test_accounts_devices_and_whole_addresses_become_contact_points_C06(tmp_path):
    rows = (
        "name,tw,masto,wa,handle,device,postal,postal 2\n"
        "Ann Bell,2244994945,@Ann@Mastodon.example,+49 170 1234567,telegram:123456789 ::: @ann,dev-1 ::: dev-2,"
        '"Torstr. 7; 10115  Berlin.","Bell Ltd, 1 High St, SW1A 1AA London"\n'
        "Bob Ray,bobray,,,,,,\n"
    )
    table = """[columns]
name = "name"
handle.twitter = "tw"
handle.mastodon = "masto"
"handle.whatsapp" = "wa"
device = "device"
postal = ["postal", "postal 2"]
[keys]
verified = ["tw"]
"""
    told = brought(written(tmp_path, rows), table)
    ann = Customer.objects.get(display_name="Ann Bell")
    points = {(p.kind, p.address): p.verified_at is not None for p in ann.contact_points.all()}
    assert points == {
        ("handle", "x:2244994945"): True,
        ("handle", "mastodon:ann@mastodon.example"): False,
        ("phone", "+491701234567"): False,
        ("device", "dev-1"): False,
        ("device", "dev-2"): False,
        ("postal", "Ann Bell, Torstr. 7, 10115 Berlin"): False,
        ("postal", "Ann Bell, Bell Ltd, 1 High St, SW1A 1AA London"): False,
    }
    assert told["left_out"] == {"name_of_account": 1}
    bob = ImportedCustomer.objects.get(customer__display_name="Bob Ray")
    assert bob.claims == [["handle_name", "x:bobray"]]
    assert not bob.customer.contact_points.exists()


def test_an_account_that_wrote_to_us_is_suggested_and_never_made_one_by_a_claim_C06(tmp_path):
    said = message(sender_kind="handle", sender_address="x:2244994945")
    heard = intake.receive(said, at=NOON, origin="test").conversation
    table = '[columns]\nname = "name"\nhandle.x = "number"\n[keys]\nverified = ["number"]\n'
    told = brought(written(tmp_path, "name,number\nAnn Bell,2244994945\n"), table)
    assert told["created"] == 1  # who wrote has proved nothing to us
    assert ["handle", "x:2244994945"] in ImportedCustomer.objects.get().claims
    assert ContactPoint.objects.get(address="x:2244994945").customer_id == heard.customer_id


def test_what_a_file_says_of_permissions_stays_unknown_N7_R056(tmp_path):
    rows = "name,email,consent.newsletter,consent.calls\nAnn,ann@home.example,granted,yes\nBob,bob@home.example,,no\n"
    told = brought(written(tmp_path, rows))
    assert told["unknown"] == 3
    assert not Consent.objects.exclude(state="unknown").exists()
    ann = ImportedCustomer.objects.get(customer__display_name="Ann")
    assert ann.claims == [["consent.newsletter", "granted"], ["consent.calls", "yes"]]
    event = Consent.objects.get()  # one that can be allowed here, and it allows nothing
    assert (event.customer_id, event.purpose, event.medium, event.proof) == (ann.customer_id, "news", "email", None)


def test_nothing_on_the_way_of_a_file_knows_how_permissions_are_given_N7():
    root = Path(customer_imports.__file__).parent
    for name in (
        "customer_imports.py",
        "import_portions.py",
        "customer_rows.py",
        "customer_files.py",
        "likely_customers.py",
    ):
        text = (root / name).read_text("utf-8")
        assert not re.search(r"consent\.grant|\bConsent\b|ConsentState\.GRANTED", text), name


def test_fields_of_our_own_come_in_and_bad_values_are_refused_with_the_reason_X33(tmp_path):
    boss = colleague(Role.ADMINISTRATOR)
    custom_fields.define("customer", code="size", label="Size", kind="number", by=boss, at=NOON)
    rows = "name,email,custom.size,custom.gone\nAnn,ann@home.example,42,x\nBob,bob@home.example,huge,\n"
    told = brought(written(tmp_path, rows))
    assert (told["created"], told["rejected"], told["left_out"]) == (1, {"wrong_custom_value": 1}, {"no_such_field": 1})
    assert "Size: please give a number" in (tmp_path / "people.errors.csv").read_text("utf-8-sig")
    ann = Customer.objects.get()
    assert ann.custom == {"size": 42}
    table = '[columns]\nname = "name"\nemail = "email"\ncustom.size = "custom.size"\n[keys]\nverified = ["email"]\n'
    ContactPoint.objects.update(verified_at=NOON)
    again = brought(written(tmp_path, "name,email,custom.size\nAnn,ann@home.example,50\n", "more.csv"), table)
    ann.refresh_from_db()
    assert (again["updated"], ann.custom) == (1, {"size": 42})  # what stands is not overwritten


def test_taking_a_file_back_takes_its_values_of_our_own_fields_too_X33(tmp_path):
    boss = colleague(Role.ADMINISTRATOR)
    for code in ("size", "hat"):
        custom_fields.define("customer", code=code, label=code, kind="number", by=boss, at=NOON)
    had = Customer.objects.create(display_name="Had", created_at=NOON)
    ContactPoint.objects.create(
        customer=had, kind="email", address="had@home.example", verified_at=NOON, created_at=NOON
    )
    table = '[columns]\nemail = "email"\ncustom.size = "s"\ncustom.hat = "h"\n[keys]\nverified = ["email"]\n'
    told = brought(written(tmp_path, "email,s,h\nhad@home.example,42,7\n"), table)
    custom_fields.set_values(had.pk, {"hat": 8}, by=boss, at=NOON)
    call_command("import_customers", "--undo", told["import"], stdout=io.StringIO())
    had.refresh_from_db()
    assert had.custom == {"hat": 8}


def test_a_slip_in_a_mail_address_and_a_name_suggests_a_customer_we_have_R080(tmp_path):
    brought(written(tmp_path, "name,email\nAnnabel Bellweather,annabel@home.example\n"))
    told = brought(written(tmp_path, "name,email\nAnnabel Bellweather,annabel@hone.example\n", "second.csv"))
    assert len(told["suggested_known"]) == 1
    assert PersonSuggestion.objects.count() == 1


def test_cards_bring_accounts_and_a_second_home_R080(tmp_path):
    card = (
        "BEGIN:VCARD\nVERSION:3.0\nFN:Ann Bell\nX-SOCIALPROFILE;type=twitter;x-userid=2244994945:http://twitter.com/ann\n"
        "IMPP;X-SERVICE-TYPE=Telegram:telegram:123456789\nIMPP:xmpp:ann@home.example\n"
        "ADR;TYPE=home:;;Torstr. 7;Berlin;;10115;DE\nADR;TYPE=work:;;1 High St;London;;SW1A 1AA;UK\nEND:VCARD\n"
    )
    brought(written(tmp_path, card, "ann.vcf"))
    assert set(ContactPoint.objects.values_list("kind", "address")) == {
        (ContactKind.HANDLE, "x:2244994945"),
        (ContactKind.HANDLE, "telegram:123456789"),
        (ContactKind.POSTAL, "Ann Bell, Torstr. 7, 10115 Berlin, DE"),
        (ContactKind.POSTAL, "Ann Bell, 1 High St, SW1A 1AA London, UK"),
    }


def test_files_above_a_limit_are_refused_with_a_code_before_they_are_read_X31(tmp_path, monkeypatch):
    monkeypatch.setattr(contact_files, "LARGEST", 5)
    with pytest.raises(CommandError, match="cut it into several"):
        brought(written(tmp_path, "name\nAnn\n"))
    assert contact_files.FileTooLarge.code == "file_too_large"
    assert not CustomerImport.objects.exists()


def test_a_file_of_which_a_later_line_is_in_another_encoding_brings_nothing_X31(tmp_path, monkeypatch):
    monkeypatch.setattr(customer_imports, "PORTION", 1)
    (tmp_path / "late.csv").write_bytes(b"name\nAnn\nBob\n" + "Jürgen\n".encode("cp1252"))
    with pytest.raises(CommandError, match="encoding"):
        brought(tmp_path / "late.csv")
    assert not Customer.objects.exists()


def test_a_portion_is_smaller_where_many_customers_are_like_its_rows_so_that_memory_stays_bounded():
    assert customer_imports.next_size(10_000, compared=10_000) == 10_000
    assert customer_imports.next_size(10_000, compared=16_000) == 10_000
    assert customer_imports.next_size(10_000, compared=40_000) == 4_000
    assert customer_imports.next_size(4_000, compared=16_000) == 4_000  # it settles
    assert customer_imports.next_size(1_000, compared=200_000) == 1_000
    assert customer_imports.next_size(1_000, compared=1_000) == 10_000
