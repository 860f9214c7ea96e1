"""Several versions of the rules, so that a promise is tried in every one of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from recovery import policy
from recovery.models import PolicyRule, PolicyVersion
from recovery.policy import Policy, Rule, Severity
from tests.conftest import ROOT

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
    """Store one more version of the rules, in force from then on. The one place where the parity tests make versions."""
    rows = change(starter_rows())
    version = PolicyVersion.objects.create(
        number=number,
        effective_from=effective_from,
        content_hash=policy.fingerprint({"rules": rows}),
        note="For tests.",
    )
    PolicyRule.objects.bulk_create(
        PolicyRule(version=version, position=position, **{**row, "goodwill": Decimal(row["goodwill"])})
        for position, row in enumerate(rows, start=1)
    )
    return version
