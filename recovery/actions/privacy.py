"""What recovery says before somebody is erased: nothing they are owed may be lost by it (P09)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal

from django.db.models import OuterRef, Subquery, Sum
from django.db.models.functions import Coalesce

from crm.policy.privacy import Obstacle
from recovery.models import Case, Decision, Grant
from recovery.policy import Outcome, Status


def in_the_way(records: Collection[int], *, at: datetime) -> list[str]:
    """Codes of what stands in the way of erasing these records: an open case, or money that was decided and not given."""
    theirs = Case.objects.filter(customer__in=records)
    found: list[str] = []
    if theirs.live().exists():
        found.append(Obstacle.OPEN_CASE)
    if any(_is_owed(case) for case in _with_money(theirs)):
        found.append(Obstacle.MONEY_OWED)
    return found


def _with_money(cases: object) -> list[Case]:
    newest = Decision.objects.filter(case=OuterRef("pk")).order_by("-pk")
    given = (
        Grant.objects.filter(case=OuterRef("pk"), beyond=None).values("case").annotate(all=Sum("amount")).values("all")
    )
    settled = Case.objects.filter(pk__in=cases, status=Status.RESOLVED, same_as=None).exclude(  # type: ignore[misc]
        outcome=Outcome.NOT_UPHELD
    )
    return list(
        settled.annotate(
            decided=Subquery(newest.values("entitlement__owed")[:1]), given=Coalesce(Subquery(given[:1]), Decimal(0))
        )
    )


def _is_owed(case: Case) -> bool:
    decided: str | None = case.decided  # type: ignore[attr-defined]
    return decided is not None and Decimal(decided) > case.given  # type: ignore[attr-defined]
