"""Gates: placed by whoever has a reason, read by whoever would begin something new. Neither knows the other (R071)."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from crm import history
from crm.models import Gate


@transaction.atomic
def close(key: str, *, reason: str, at: datetime) -> Gate:
    """Let nothing new begin. The same key twice is one gate, with the newest reason."""
    gate = Gate.objects.select_for_update().filter(key=key, until=None).first()
    if gate is not None:
        if gate.reason != reason[:300]:
            gate.reason = reason[:300]
            gate.save(update_fields=["reason"])
        return gate
    gate = Gate.objects.create(key=key, reason=reason[:300], since=at)
    history.record(None, "gate.closed", ref=f"gate:{key}", by=None, at=at)
    return gate


@transaction.atomic
def reopen(key: str, *, at: datetime) -> None:
    """Take a gate away; nothing happens where none stands."""
    gate = Gate.objects.select_for_update().filter(key=key, until=None).first()
    if gate is not None:
        gate.until = max(at, gate.since)
        gate.save(update_fields=["until"])
        history.record(None, "gate.opened", ref=f"gate:{key}", by=None, at=at)


def reasons() -> list[str]:
    """Why nothing new may begin now; empty when it may."""
    return list(Gate.objects.filter(until=None).order_by("pk").values_list("reason", flat=True))
