"""What may be allowed, which of several answers counts, and what stops a message all the same (R056, N7, N12)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.networks import PROOF, network_of
from crm.policy import NEEDS_A_YES, MessageKind, StopFacts, reason_to_stop
from crm.policy.consent import WORDS, Medium, Purpose
from crm.policy.ledger import ConsentState, strictest
from crm.policy.suppression import SuppressionScope, scopes_that_stop

STATES = st.one_of(st.none(), st.sampled_from(ConsentState.values))


def test_everything_that_can_be_allowed_has_words_and_is_asked_for_one_purpose_over_one_medium():
    assert {purpose for purpose, _medium in WORDS} == set(Purpose)
    assert {medium for _purpose, medium in WORDS} == set(Medium)
    assert len({str(words) for words in WORDS.values()}) == len(WORDS)


@given(st.lists(STATES, max_size=4))
def test_of_several_records_a_no_is_a_no_and_only_a_yes_of_all_is_a_yes_N12(states: list[str | None]):
    counts = strictest(*states)
    assert (counts == "withdrawn") == ("withdrawn" in states)
    assert (counts == "granted") == (bool(states) and set(states) == {"granted"})
    if counts == "granted":
        assert all(strictest(state) == "granted" for state in states)


@given(st.sampled_from(Purpose.values), st.sampled_from(Medium.values))
def test_what_wants_nothing_but_what_is_owed_gets_nothing_else(purpose: str, medium: str):
    scopes = scopes_that_stop(purpose, medium)
    assert SuppressionScope.ALL_BUT_OWED in scopes
    assert (SuppressionScope.CALLS in scopes) == (medium == "call")
    assert (SuppressionScope.MARKETING in scopes) == (purpose in ("news", "review"))
    assert (SuppressionScope.CHEERFUL in scopes) == (purpose in ("birthday", "surprise"))


@pytest.mark.parametrize("kind", MessageKind)
def test_an_objection_beats_a_yes_and_never_stops_what_is_owed_X10_P10(kind: MessageKind):
    facts = StopFacts(kind, "active", has_outreach_hold=False, has_consent=True, has_objection=True)
    assert reason_to_stop(facts) == ("suppressed" if kind in NEEDS_A_YES else "")


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("unix", ""),
        ("", ""),
    ],
)
def test_a_proof_keeps_the_network_and_not_the_machine(address: str, kept: str):
    assert network_of(address, bits=PROOF) == kept
