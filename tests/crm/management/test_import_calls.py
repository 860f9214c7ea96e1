"""`manage.py import_calls`: Asterisk's records as they come, and as nobody would wish them (R084, R136, R137, R014)."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.core.management import CommandError, call_command

from crm.actions import call_backs, desk
from crm.channels import call_records
from crm.channels.rows import Rejected
from crm.models import Call, Conversation, Interaction, Promise, RawItem
from crm.policy import PromiseKind, WorkState
from tests.conftest import NOON
from tests.crm.stories import colleague

BERLIN = ZoneInfo("Europe/Berlin")
pytestmark = pytest.mark.django_db


def row(
    number: int = 1,
    *,
    src: str = "03012345601",
    began: datetime = NOON - timedelta(minutes=30),
    waited: int = 20,
    talked: int | None = 60,
    disposition: str = "",
    phone: str = "SIP/201-0001",
    context: str = "from-trunk",
    unique: str = "",
    clid: str = "",
    zone: ZoneInfo = BERLIN,
) -> str:
    """One line of Master.csv. talked: None when nobody answered; phone: which one was put through."""
    answered = began + timedelta(seconds=waited)
    ended = answered + timedelta(seconds=talked or 0)

    def local(moment: datetime | None) -> str:
        return "" if moment is None else moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")

    cells = [
        "", src, "100", context, clid or f'"Carla" <{src}>', "SIP/trunk-1", phone if talked is not None else "", "Dial",
        "SIP/201,30", local(began), local(answered if talked is not None else None), local(ended), waited + (talked or 0),
        talked or 0, disposition or ("ANSWERED" if talked is not None else "NO ANSWER"), "DOCUMENTATION",
        unique or f"{int(began.timestamp())}.{number}", "",
    ]  # fmt: skip
    return ",".join('"' + str(cell).replace('"', '""') + '"' if isinstance(cell, str) else str(cell) for cell in cells)


def imported(tmp_path: Path, *rows: str, **options: Any) -> dict[str, Any]:
    file = tmp_path / "Master.csv"
    file.write_text("".join(f"{line}\n" for line in rows), encoding="utf-8")
    out = StringIO()
    with time_machine.travel(NOON, tick=False):
        call_command("import_calls", str(file), stdout=out, **{"json": True, "zone": "Europe/Berlin", **options})
    return json.loads(out.getvalue())


def test_a_call_nobody_answered_becomes_a_contact_without_words_and_a_call_back_R137(tmp_path):
    colleague()
    began = NOON - timedelta(minutes=30)
    figures = imported(tmp_path, row(began=began, waited=45, talked=None))
    assert figures["new"] == {"answered": 0, "not_answered": 1, "followed_up": 1, "counted": 0}

    call_backs.recover_dropped_calls(NOON + timedelta(minutes=1))

    said = Interaction.objects.get()
    assert (said.channel, said.text, said.spoke_at, said.wait_seconds, said.call_seconds) == (
        "phone",
        "",
        began,
        45,
        None,
    )
    assert (said.contact_point.address, said.source) == ("+493012345601", "phone:asterisk")
    promise = Promise.objects.get(kind=PromiseKind.CALL_BACK)
    assert (promise.starts_at, promise.due_at) == (began, began + timedelta(hours=8))


@pytest.mark.parametrize("disposition", ["NO ANSWER", "BUSY", "FAILED", "CONGESTION", "no answer"])
def test_whatever_kept_the_caller_from_us_it_is_a_missed_call(tmp_path, disposition):
    imported(tmp_path, row(talked=None, disposition=disposition))
    call = Call.objects.get()
    assert (call.state, call.answered_at, call.waited(NOON)) == ("ended", None, timedelta(seconds=20))
    assert call.ended_by == ("unknown" if disposition.upper() == "NO ANSWER" else "network")


def test_a_queue_or_a_voice_mailbox_that_picked_up_is_nobody_of_ours(tmp_path):
    figures = imported(tmp_path, row(talked=90, phone=""))
    assert figures["new"]["not_answered"] == 1
    assert Call.objects.get().waited(NOON) == timedelta(seconds=110)


def test_an_answered_call_has_its_wait_and_its_length_and_waits_to_be_written_down_R084(tmp_path):
    imported(tmp_path, row(waited=200, talked=120))
    call = Call.objects.get()
    assert (call.waited(NOON), call.talked(NOON)) == (timedelta(seconds=200), timedelta(seconds=120))
    assert (call.rang_at, call.caller, call.caller_name) == (NOON - timedelta(minutes=30), "+493012345601", "Carla")
    call_backs.recover_dropped_calls(NOON + timedelta(minutes=1))
    assert Promise.objects.filter(kind=PromiseKind.CALL_BACK).exists()


def test_a_talk_that_a_colleague_noted_is_the_same_talk_and_nothing_more_is_owed(tmp_path):
    ada = colleague()
    talk = desk.Call(
        key="t", phone="030 12345601", said="The lamp broke.", agreed="", spoke_at=NOON - timedelta(minutes=29),
        spoke_at_known_from="phone display",
    )  # fmt: skip
    noted = desk.log_call(talk, by=ada, at=NOON - timedelta(minutes=20))
    imported(tmp_path, row())
    call_backs.recover_dropped_calls(NOON + timedelta(minutes=1))
    assert Call.objects.get().written_down == noted.interaction
    assert not Promise.objects.filter(kind=PromiseKind.CALL_BACK).exists()
    assert Interaction.objects.count() == 1


def test_what_is_older_than_a_day_is_counted_and_starts_no_clock(tmp_path):
    long_ago = NOON - timedelta(days=40)
    figures = imported(
        tmp_path, row(1, began=long_ago), row(2, began=long_ago + timedelta(hours=1), talked=None, src="")
    )
    assert figures["new"] == {"answered": 1, "not_answered": 1, "followed_up": 0, "counted": 2}
    first, second = Conversation.objects.order_by("spoke_at")
    assert (first.state, first.imported, first.spoke_at) == ("closed", True, long_ago)
    assert (first.first_answer_at, second.first_answer_at) == (long_ago + timedelta(seconds=20), None)
    assert second.customer.contact_points.count() == 0
    assert not Promise.objects.exists()
    assert not Call.objects.exists()


def test_the_last_day_too_is_only_counted_when_somebody_says_so(tmp_path):
    assert imported(tmp_path, row(), history=True)["new"]["counted"] == 1
    assert not Call.objects.exists()


def test_the_same_file_twice_and_the_rows_of_one_call_are_one_call_X7(tmp_path):
    began = NOON - timedelta(minutes=30)
    legs = [
        row(7, began=began, waited=15, talked=None),
        row(7, began=began + timedelta(seconds=15), waited=5, talked=40, unique=f"{int(began.timestamp())}.7"),
    ]
    old = row(8, began=NOON - timedelta(days=3))
    first = imported(tmp_path, *legs, old)
    assert (first["calls"], first["new"]["followed_up"], first["new"]["counted"]) == (2, 1, 1)
    again = imported(tmp_path, *legs, old)
    assert (again["known"], again["new"]["followed_up"] + again["new"]["counted"]) == (2, 0)
    call = Call.objects.get()
    assert (call.rang_at, call.waited(NOON), call.talked(NOON)) == (began, timedelta(seconds=20), timedelta(seconds=40))


def test_calls_from_our_own_phones_are_no_contacts(tmp_path):
    rows = [row(1, src="201"), row(2, src="alice"), row(3, src="03012345602", context="from-internal")]
    assert imported(tmp_path, *rows)["from_our_own_phones"] == 2
    with_context = imported(tmp_path, *rows, context=["from-trunk"])
    assert (with_context["from_our_own_phones"], with_context["new"]["followed_up"]) == (1, 2)


def test_a_dry_run_says_what_would_be_and_writes_nothing(tmp_path):
    figures = imported(tmp_path, row(1), row(2, began=NOON - timedelta(days=9)), "broken,row", dry_run=True)
    assert (figures["new"]["followed_up"], figures["new"]["counted"], figures["rejected"]) == (
        1,
        1,
        {"wrong_columns": 1},
    )
    assert not Call.objects.exists()
    assert not Interaction.objects.exists()
    assert not RawItem.objects.exists()


BROKEN = {
    "wrong_columns": "a,b,c",
    "unreadable_time": row().replace("2026-03-02", "02.03.2026"),
    "future": row(began=NOON + timedelta(hours=2)),
    "wrong_order": row().replace("12:30:20", "12:29:20"),
    "unreadable_length": row().replace(",80,60,", ",8O,60,"),
    "longer_than_itself": row().replace(",80,60,", ",60,80,"),
    "unknown_disposition": row(disposition="PARKED"),
    "damaged_id": row(unique="1.77245E+09"),
    "other_time": row(unique="1700000000.1"),
}


def test_every_row_that_cannot_be_is_refused_with_its_reason_and_stops_no_other(tmp_path):
    figures = imported(tmp_path, row(1), *BROKEN.values(), row(2, src="03012345602"))
    assert figures["rejected"] == dict.fromkeys(BROKEN, 1)
    assert figures["new"]["followed_up"] == 2
    assert set(BROKEN) == set(call_records.REASONS)
    errors = (tmp_path / "Master.errors.csv").read_text("utf-8-sig").splitlines()
    assert (errors[0], len(errors)) == ('"line","code","reason","row"', 1 + len(BROKEN))
    parked = RawItem.objects.filter(kind="call_record", state=WorkState.PARKED)
    assert {item.reason.partition(":")[0] for item in parked} == set(BROKEN)


def test_a_cell_of_the_errors_file_is_no_formula(tmp_path):
    imported(tmp_path, "=HYPERLINK(1),b")
    assert ",'=HYPERLINK" in (tmp_path / "Master.errors.csv").read_text("utf-8-sig").replace('"', "")


def test_a_file_in_another_time_zone_is_refused_whole(tmp_path):
    with pytest.raises(CommandError, match="--zone"):
        imported(tmp_path, row(1), row(2), zone="America/New_York")
    assert imported(tmp_path, row(1, zone=ZoneInfo("UTC")), zone="UTC")["new"]["followed_up"] == 1
    with pytest.raises(CommandError):
        imported(tmp_path, row(1), zone="Mars/Olympus")


@pytest.mark.parametrize("at", ["2025-10-26T00:30:00", "2025-10-26T01:30:00"])
def test_in_the_hour_that_comes_twice_the_id_says_which_it_was(at):
    began = datetime.fromisoformat(at).replace(tzinfo=UTC)
    (found,) = call_records.parse([row(began=began).encode()], zone=BERLIN, not_after=NOON)
    assert not isinstance(found, Rejected)
    assert (found.began_at, found.call_seconds) == (began, 60)


@pytest.mark.parametrize("columns", [16, 17, 18, 21])
def test_files_have_an_id_or_not_as_the_phone_system_is_set_up(columns):
    (cells,) = csv.reader([row()])
    line = ",".join(f'"{cell}"' for cell in [*cells, "peer", cells[16], "3"][:columns])
    (found,) = call_records.parse([line.encode()], zone=BERLIN, not_after=NOON)
    assert not isinstance(found, Rejected)
    assert (len(found.id) == 64) is (columns == 16)


def test_withheld_numbers_are_nobody_and_their_call_counts_all_the_same(tmp_path):
    imported(tmp_path, row(1, src="", clid='"Anonymous" <anonymous>', talked=None))
    call_backs.recover_dropped_calls(NOON + timedelta(minutes=1))
    conversation = Conversation.objects.get()
    assert (conversation.state, conversation.customer.contact_points.count()) == ("closed", 0)


def test_a_file_that_is_not_there_is_said_so():
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_calls", "/nowhere.csv")


def test_people_read_what_happened(tmp_path):
    file = tmp_path / "Master.csv"
    file.write_text(row() + "\nx,y\n", encoding="utf-8")
    out = StringIO()
    with time_machine.travel(NOON, tick=False):
        call_command("import_calls", str(file), stdout=out, stderr=StringIO(), zone="Europe/Berlin")
    assert "2 rows are 1 calls" in out.getvalue()
    assert "Not taken in: 1 ×" in out.getvalue()
