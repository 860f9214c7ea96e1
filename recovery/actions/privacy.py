"""What recovery says before somebody is erased: nothing they are owed may be lost by it (P09)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from crm.policy.privacy import Obstacle
from recovery.actions import back_pay
from recovery.models import Case


def in_the_way(records: Collection[int], *, at: datetime) -> list[str]:
    """Codes of what stands in the way of erasing these records: an open case, or money that was decided and not given."""
    theirs = Case.objects.filter(customer__in=records)
    found: list[str] = []
    if theirs.live().exists():
        found.append(Obstacle.OPEN_CASE)
    if back_pay.short(theirs).exists():
        found.append(Obstacle.MONEY_OWED)
    return found
