"""Rows of imported files that were not taken in: kept with the reason where people see them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime

from crm.channels.rows import Rejected
from crm.models import RawItem
from crm.policy import WorkState


def keep(rejected: Iterable[Rejected], *, source: str, kind: str, file_name: str, at: datetime) -> int:
    """Park rows with their reason. The same bytes from the same source are one item. Returns how many are new."""
    rows = {
        hashlib.sha256(one.content).hexdigest(): RawItem(
            source=source[:120],
            external_id=hashlib.sha256(one.content).hexdigest(),
            content=one.content,
            label=f"{file_name}:{one.line}"[:300],
            received_at=at,
            state=WorkState.PARKED,
            kind=kind,
            reason=f"{one.code}: {one.reason}"[:300],
        )
        for one in rejected
    }
    known = set(RawItem.objects.filter(source=source[:120], external_id__in=rows).values_list("external_id", flat=True))
    new = [row for key, row in rows.items() if key not in known]
    RawItem.objects.bulk_create(new, ignore_conflicts=True, batch_size=500)
    return len(new)
