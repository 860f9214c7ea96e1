"""When a copy may be asked for, and what stays of our own notes (P06, P07)."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from crm.policy.privacy import (
    NEW_ADDRESS_WAITS,
    PROVED_WITHIN,
    Obstacle,
    address_is_settled,
    obstacle_words,
    proved_lately,
    without_words,
)
from tests.conftest import NOON


def proof(method: str, ago: timedelta) -> dict[str, Any]:
    return {"method": method, "at": (NOON - ago).timestamp()}


def test_a_second_factor_within_the_last_minutes_is_proof_and_nothing_else_P06():
    assert proved_lately([proof("mfa", timedelta(minutes=1))], at=NOON)
    assert not proved_lately([proof("password", timedelta(0))], at=NOON)
    assert not proved_lately([proof("mfa", PROVED_WITHIN + timedelta(seconds=1))], at=NOON)
    assert not proved_lately([proof("mfa", timedelta(minutes=-5))], at=NOON)
    assert not proved_lately([{"method": "mfa"}, {"method": "mfa", "at": "now"}], at=NOON)
    assert not proved_lately([], at=NOON)


def test_a_week_passes_after_a_change_of_address_P06():
    assert address_is_settled(None, at=NOON)
    assert not address_is_settled(NOON - NEW_ADDRESS_WAITS, at=NOON)
    assert address_is_settled(NOON - NEW_ADDRESS_WAITS - timedelta(seconds=1), at=NOON)


def test_every_obstacle_is_said_in_words_and_an_unknown_one_is_shown_P09():
    assert all(len(words) > 20 for words in obstacle_words(list(Obstacle)))
    assert obstacle_words(["something_new"]) == ["something_new"]


def test_of_a_note_of_ours_numbers_ids_times_and_codes_stay_P07():
    kept = {"owner": 3, "before": None, "promise": 7, "due_at": "2026-03-02T12:00:00+00:00", "kind": "first_response",
            "message": "01900000-0000-7000-8000-000000000000"}  # fmt: skip
    told = {**kept, "name": "Carla", "reason": "550 carla@home.example unknown", "list": ["Carla", 3]}
    assert without_words(told) == {name: value for name, value in kept.items() if value is not None} | {"list": [3]}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["kind", "name", "at", "x"]), inner),
)


@given(_JSON)
def test_what_stays_is_part_of_what_was_and_says_no_free_words_P07(value: Any):
    kept = without_words(value)
    assert without_words(kept) == kept
    if "canary bird" in json.dumps(value):
        assert "canary bird" not in json.dumps(kept)


@given(
    st.text(min_size=3).filter(lambda text: not text.islower() or "@" in text), st.sampled_from(["kind", "name", "why"])
)
def test_free_words_never_stay_under_whatever_name_P07(text: str, name: str):
    assert without_words({name: f"Carla {text}"}) == {}
