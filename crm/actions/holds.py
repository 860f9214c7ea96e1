"""Holds on outreach: placed by whoever has a reason, asked before anything but what is owed leaves."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils.module_loading import import_string

from crm import history
from crm.models import Customer, Hold, User


def not_greeted() -> list[QuerySet[Any, Any]]:
    """Queries of the customers who get no gesture and are asked nothing: whoever gives, draws or sums up leaves these out."""
    return [import_string(each)() for each in settings.EVENHAND_NOT_GREETED]


@transaction.atomic
def place(customer: Customer, *, key: str, reason: str, at: datetime, by: User | None = None) -> Hold:
    """Hold back everything that is not owed to a customer. The same key twice is one hold; a lifted one starts again."""
    Customer.objects.select_for_update().get(pk=customer.pk)
    hold, new = Hold.objects.get_or_create(
        key=key, defaults={"customer": customer, "reason": reason, "starts_at": at, "placed_by": by}
    )
    if not new and hold.until is not None:
        hold.until = None
        hold.save(update_fields=["until"])
    elif not new:
        return hold
    history.record(customer, "hold.placed", ref=f"hold:{key}", by=by, at=at, detail={"reason": reason})
    return hold


@transaction.atomic
def lift(key: str, *, at: datetime, by: User | None = None) -> None:
    """End a hold; nothing happens when there is none or it has ended."""
    hold = Hold.objects.select_for_update().filter(key=key, until=None).select_related("customer").first()
    if hold is None:
        return
    hold.until = max(at, hold.starts_at)
    hold.save(update_fields=["until"])
    history.record(hold.customer, "hold.lifted", ref=f"hold:{key}", by=by, at=at)
