"""Which matters are settled because their case is; crm asks for it where it asks customers how it was (evenhand/duties.py)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from recovery.models import Settlement
from recovery.policy import Status


def matters(since: datetime, until: datetime) -> QuerySet[Settlement, Any]:
    """The keys of conversations whose case was settled after since and until then (aware), and has not come back."""
    standing = Settlement.objects.filter(reopened_at=None, case__status=Status.RESOLVED)
    return standing.filter(at__gt=since, at__lte=until).values("case__conversation")
