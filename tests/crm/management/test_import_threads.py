"""`import_threads`: what a file says is in the database once, and the figures are the file's."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from crm.models import Conversation, Interaction, Promise, RawItem, WorkItem
from crm.policy import WorkState

pytestmark = pytest.mark.django_db

HEAD = "tweet_id,author_id,inbound,created_at,text,response_tweet_id,in_response_to_tweet_id\n"


def imported(path: Path) -> dict[str, Any]:
    out = io.StringIO()
    call_command("import_threads", str(path), "--json", stdout=out)
    return json.loads(out.getvalue())  # type: ignore[no-any-return]


def day(clock: str) -> str:
    return f"Tue Oct 31 {clock} +0000 2017"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.csv"
    path.write_text(
        HEAD
        + f"2,Shop,False,{day('10:07:30')},@77 Sorry!,,1\n"
        + f"1,77,True,{day('10:00:00')},@Shop my lamp is broken,2,\n"
        + f"3,78,True,{day('11:00:00')},@Shop hello?,,\n"
        + f",79,True,{day('11:00:00')},no id,,\n"
        + "5,79,True,yesterday,no date,,\n"
        + f"1,79,True,{day('11:00:00')},the same id,,\n"
    )
    return path


def test_a_file_becomes_closed_conversations_that_promise_and_send_nothing(small: Path) -> None:
    figures = imported(small)

    assert figures["per_company"] == {
        "Shop": {"opening": 2, "answered": 1, "no_reply": 1, "median_minutes": 7.5, "p90_minutes": 7.5}
    }
    assert figures["new"] == {"customers": 2, "conversations": 2, "interactions": 3, "rejected": 3}
    assert {one.state for one in Conversation.objects.all()} == {"closed"}
    assert not Promise.objects.exists()
    assert not WorkItem.objects.exists()


def test_bad_rows_are_kept_with_their_reason_and_the_next_go_on(small: Path) -> None:
    figures = imported(small)

    assert figures["rejected"] == {"missing_id": 1, "unreadable_date": 1, "duplicate_id": 1}
    parked = RawItem.objects.filter(source="threads:small.csv", state=WorkState.PARKED)
    assert parked.count() == 3
    assert b"yesterday" in bytes(parked.get(reason__startswith="unreadable_date").content)


def test_the_second_run_adds_nothing_and_says_the_same(small: Path) -> None:
    first, second = imported(small), imported(small)

    assert second.pop("new") == {"customers": 0, "conversations": 0, "interactions": 0, "rejected": 0}
    first.pop("new")
    assert second == first


@pytest.mark.parametrize("content", [b"", b"name,age\nJo,7\n", b"\x89PNG\r\n\x1a\n\x00\x00"])
def test_another_kind_of_file_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.csv"
    path.write_bytes(content)

    with pytest.raises(CommandError) as refusal:
        imported(path)

    assert refusal.value.returncode == 2
    assert "\n" not in str(refusal.value)
    assert not RawItem.objects.exists()


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as refusal:
        imported(tmp_path / "nowhere.csv")
    assert refusal.value.returncode == 2


def test_the_summary_is_readable(small: Path) -> None:
    out = io.StringIO()
    call_command("import_threads", str(small), stdout=out)
    assert "Shop" in out.getvalue()
    assert "Not taken in: 1 × The message has no id." in out.getvalue()


def test_a_real_export_gives_the_figures_computed_without_the_product(outside_data: Path) -> None:
    path = outside_data / "social" / "twcs_shared.csv"
    expected = json.loads((outside_data / "expected.json").read_text())["twcs"]

    figures = imported(path)
    again = imported(path)

    assert {key: figures[key] for key in ("rows", "threads", "inbound", "customers", "companies")} == {
        key: expected[key] for key in ("rows", "threads", "inbound", "customers", "companies")
    }
    for company, right in expected["companies_frt"].items():
        assert figures["per_company"][company] == {
            "opening": right["opening_tweets"],
            "answered": right["answered"],
            "no_reply": right["no_reply_in_sample"],
            "median_minutes": right["frt_median_min"],
            "p90_minutes": right["frt_p90_min"],
        }
    assert figures["rejected"] == {}
    assert figures["new"] == {"customers": 748, "conversations": 657, "interactions": 2640, "rejected": 0}
    assert again["new"] == {"customers": 0, "conversations": 0, "interactions": 0, "rejected": 0}
    assert Interaction.objects.filter(imported=True).count() == 2640
    answered = sum(one["answered"] for one in figures["per_company"].values())
    assert Conversation.objects.filter(first_answer_at__isnull=False).count() == answered
