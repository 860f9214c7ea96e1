"""The judge is judged first: what is planted in its inputs must come out."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.faults.oracle import Stored, judge, read_ledger

SPOKE = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ANSWERED = SPOKE + timedelta(hours=2)


def told(key: str = "k1", **changes: Any) -> dict[str, Any]:
    """One line of the edge ledger: a form that was acknowledged."""
    line = {"kind": "form", "id": key, "complaint": True, "sent_at": SPOKE.isoformat(), "at": SPOKE.isoformat()}
    return {**line, **changes}


def delivered(message: str = "m1") -> dict[str, Any]:
    return {"message_id": f"<{message}@evenhand.example>", "to": "carla@home.example"}


def a_good_day() -> Stored:
    """One complaint by form, its case, its promises, and the answer that was accepted."""
    return Stored(
        heard=[{"id": "i1", "source": "form", "external_id": "k1", "conversation": 1, "spoke_at": SPOKE, "mail": None}],
        promises=[
            {"conversation": 1, "kind": "first_response", "given_by": "everybody", "starts_at": SPOKE,
             "due_at": SPOKE + timedelta(hours=8), "state": "met", "met_at": ANSWERED, "breached_at": None},
            {"conversation": 1, "kind": "ownership", "given_by": "decision:7", "starts_at": SPOKE,
             "due_at": SPOKE + timedelta(minutes=90), "state": "running", "met_at": None, "breached_at": None},
        ],
        outgoing=[{"id": "m1", "state": "accepted", "unknown_outcomes": 0, "has_value": False, "channel": "email",
                   "conversation": 1, "accepted_at": ANSWERED}],
        cases=[{"id": 3, "conversation": 1, "spoke_at": SPOKE}],
        decisions=[{"id": 7, "conversation": 1, "spoke_at": SPOKE,
                    "entitlement": {"within_minutes": {"ownership": 90}}}],
    )  # fmt: skip


def test_a_day_without_faults_has_none():
    assert judge([told()], [delivered()], a_good_day()).faults == {}


def test_a_lost_a_doubled_and_a_moved_promise_are_all_reported_at_once():
    stored = a_good_day()
    stored.promises[0]["due_at"] += timedelta(seconds=1)

    verdict = judge([told(), told("never stored")], [delivered(), delivered()], stored)

    assert (len(verdict.lost), len(verdict.doubled), len(verdict.moved)) == (1, 1, 1)
    assert set(verdict.faults) == {"lost", "doubled", "moved"}


def test_a_repeat_is_allowed_only_where_an_unknown_outcome_is_recorded_and_never_for_value():
    stored = a_good_day()
    stored.outgoing[0]["unknown_outcomes"] = 1

    assert judge([told()], [delivered()] * 2, stored).faults == {}
    assert judge([told()], [delivered()] * 3, stored).doubled
    stored.outgoing[0]["has_value"] = True
    assert judge([told()], [delivered()] * 2, stored).doubled


def test_one_delivery_heard_twice_is_doubled():
    stored = a_good_day()
    stored.heard.append({**stored.heard[0], "id": "i2"})

    assert judge([told()], [delivered()], stored).doubled


def test_an_answer_that_was_acknowledged_and_is_nowhere_is_lost():
    assert judge([told(), {"kind": "answer", "id": "m9"}], [delivered()], a_good_day()).lost == ["answer m9"]


def test_a_complaint_without_a_case_and_a_case_without_a_complaint_are_reported():
    without = a_good_day()
    without.cases.clear()

    assert judge([told()], [delivered()], without).unseen
    assert judge([told(complaint=False)], [delivered()], a_good_day()).phantom


def test_a_delivery_that_the_database_does_not_know_is_a_phantom():
    assert judge([told()], [delivered(), delivered("m2")], a_good_day()).phantom


def test_accepted_without_a_delivery_and_kept_without_an_answer_are_untrue():
    stored = a_good_day()
    assert judge([told()], [], stored).untrue

    stored.promises[0]["met_at"] = ANSWERED - timedelta(minutes=1)
    assert judge([told()], [delivered()], stored).untrue


def test_a_clock_that_starts_late_is_a_moved_promise_even_when_the_arithmetic_fits():
    stored = a_good_day()
    late = timedelta(minutes=5)
    stored.heard[0]["spoke_at"] += late
    stored.promises[0]["starts_at"] += late
    stored.promises[0]["due_at"] += late

    assert judge([told()], [delivered()], stored).moved


def test_a_promise_of_a_kind_the_judge_has_not_heard_of_is_reported_rather_than_passed_over():
    stored = a_good_day()
    stored.promises[1]["given_by"] = "whim:1"

    assert judge([told()], [delivered()], stored).moved


def test_a_ledger_line_cut_short_by_a_crash_was_never_acknowledged(tmp_path: Path):
    ledger = tmp_path / "ledger"
    ledger.write_text(json.dumps(told()) + "\n" + json.dumps(told("k2"))[:-5])

    assert [line["id"] for line in read_ledger(ledger)] == ["k1"]
