"""Drafts of rules, good and bad, for tests without a database."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from recovery.policy import ComplaintType, Facts, RemedyKind, Rule, Severity
from tests.conftest import ROOT

EVERYBODY = Rule(
    code="everybody",
    when={},
    remedies=("acknowledgement", "named_owner", "explanation", "written_confirmation", "recourse"),
    within={"first_response": 480, "resolution": 14400},
    because="Everybody is answered.",
)


def starter_rules() -> tuple[Rule, ...]:
    rows = json.loads((ROOT / "recovery/starter_policy.json").read_text(encoding="utf-8"))
    return tuple(
        Rule(
            code=row["code"],
            when=row["when"],
            remedies=tuple(row["remedies"]),
            goodwill=Decimal(row["goodwill"]),
            within=row["within_minutes"],
            severity=Severity(row["severity"]),
            because=row["because"],
        )
        for row in rows
    )


def rule(code: str = "planted", **changes: Any) -> Rule:
    """A rule that is fine but for what is changed."""
    return replace(Rule(code, {}, goodwill=Decimal("5.00"), because="It is fair."), **changes)


LOSSES = ("0.01", "10", "100.00", 1000)
DAYS = (1, 2, 7)
FAILURES = (1, 2, 3)
TYPES = (ComplaintType.UNSORTED, ComplaintType.DAMAGED_ITEM)

_conditions = st.fixed_dictionaries(
    {},
    optional={
        "complaint_type": st.one_of(
            st.fixed_dictionaries({"is": st.sampled_from([kind.value for kind in TYPES])}),
            st.just({"one_of": [kind.value for kind in TYPES]}),
        ),
        "currency": st.just({"one_of": ["EUR", "USD"]}),
        "loss": st.fixed_dictionaries({"at_least": st.sampled_from(LOSSES)}),
        "days_without": st.fixed_dictionaries({"at_least": st.sampled_from(DAYS)}),
        "our_failures": st.fixed_dictionaries({"at_least": st.sampled_from(FAILURES)}),
        **{
            name: st.fixed_dictionaries({"is": st.sampled_from([True, True, False])})
            for name in ("safety", "essential", "vulnerable")
        },
    },
)

_rules = st.builds(
    Rule,
    code=st.just("x"),
    when=_conditions,
    remedies=st.lists(st.sampled_from([kind.value for kind in RemedyKind]), max_size=3, unique=True).map(tuple),
    goodwill=st.sampled_from([Decimal("5.00"), Decimal("20.00"), Decimal("50.00")]),
    within=st.dictionaries(st.sampled_from(["first_response", "resolution"]), st.sampled_from([30, 240, 1440])),
    severity=st.sampled_from(Severity),
    because=st.just("It is fair."),
)


def numbered(rules: list[Rule]) -> tuple[Rule, ...]:
    return tuple(replace(found, code=f"rule_{number}") for number, found in enumerate(rules, start=1))


drafts = st.lists(_rules, min_size=1, max_size=6).map(numbered)
"""Random drafts, well-formed; whether they are total or monotone is for the checks to say."""

facts = st.builds(
    Facts,
    complaint_type=st.sampled_from(ComplaintType),
    loss=st.decimals(min_value=0, max_value=2000, places=2),
    currency=st.sampled_from(["EUR", "USD", "JPY"]),
    days_without=st.integers(0, 9),
    our_failures=st.integers(0, 4),
    safety=st.booleans(),
    essential=st.booleans(),
    vulnerable=st.booleans(),
)
