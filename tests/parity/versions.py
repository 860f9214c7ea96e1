"""Several versions of the rules, so that a promise is tried in every one of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from crm.policy import Role
from recovery import actions
from recovery.models import PolicyVersion
from recovery.policy import Policy, Rule, Severity
from tests.conftest import ROOT
from tests.crm.stories import colleague

Rows = list[dict[str, Any]]
Change = Callable[[Rows], Rows]


def starter_rows() -> Rows:
    rows: Rows = json.loads((ROOT / "recovery/starter_policy.json").read_text(encoding="utf-8"))
    return rows


def more_goodwill(rows: Rows) -> Rows:
    """Everybody we failed gets 5, and whoever waited 30."""
    return [
        {**row, "goodwill": "30.00" if row["code"] == "days_without" else "5.00" if row["code"] == "everybody" else row["goodwill"]}
        for row in rows
    ]  # fmt: skip


def faster(rows: Rows) -> Rows:
    """Every time is halved."""
    return [{**row, "within_minutes": {kind: m // 2 for kind, m in row["within_minutes"].items()}} for row in rows]


def plainer(rows: Rows) -> Rows:
    """Without the rules for what failed again and for conduct, and in another order."""
    return [row for row in reversed(rows) if row["code"] not in ("failed_again", "conduct")]


CHANGES: tuple[Change, ...] = (more_goodwill, faster, plainer)


def as_policy(rows: Rows, number: int = 1) -> Policy:
    """The rules as the evaluator takes them, without a database."""
    return Policy(
        number,
        tuple(
            Rule(
                code=row["code"], when=row["when"], remedies=tuple(row["remedies"]), goodwill=Decimal(row["goodwill"]),
                within=row["within_minutes"], severity=Severity(row["severity"]), because=row["because"],
            )
            for row in rows
        ),
    )  # fmt: skip


POLICIES = (as_policy(starter_rows()), *(as_policy(change(starter_rows())) for change in CHANGES))


def approved(number: int, *, effective_from: datetime, change: Change) -> PolicyVersion:
    """Draft, check, try and approve one more version of the rules. The one place where the parity tests make versions."""
    drafter, second = colleague(Role.LEAD, takes=False), colleague(Role.LEAD, takes=False)
    at = effective_from - timedelta(hours=1)
    draft = actions.begin_draft(copy_of=1, note="For tests.", by=drafter, at=at)
    assert draft.number == number
    wanted = as_policy(change(starter_rows())).rules
    for code in {row["code"] for row in starter_rows()} - {rule.code for rule in wanted}:
        actions.remove_rule(number, code, by=drafter, at=at)
    for place, rule in enumerate(wanted, start=1):
        actions.put_rule(number, rule, replaces=rule.code, by=drafter, at=at)
        actions.move_rule(number, rule.code, to=place, by=drafter, at=at)
    actions.check(number, by=drafter, at=at)
    actions.what_if(number, by=drafter, at=at)
    return actions.approve(number, starts_at=effective_from, by=second, at=at)
