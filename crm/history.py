"""The one writer of the one history table."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from crm.models import Customer, HistoryEntry, User
from crm.together import new


def entry(
    customer: Customer | None,
    verb: str,
    *,
    ref: str,
    by: User | None,
    at: datetime,
    origin: str = "",
    detail: dict[str, Any] | None = None,
) -> HistoryEntry:
    """Make a history entry to be written with other rows (`together.insert_together`).

    verb: what happened, "case.resolved". ref: what it is about, "case:<public id>". by: the colleague or customer who did it,
    None when the product did. origin: the door ("admin", "api", "mail", "worker"); told from `by` when empty.
    detail: ids and states before and after; never what somebody wrote.
    """
    if not origin:
        origin = "worker" if by is None else "staff" if by.is_staff else "customer"
    return new(HistoryEntry, customer=customer, verb=verb, ref=ref, by=by, origin=origin, at=at, detail=detail or {})


def insert_from(rows: str, *, verb: str) -> str:
    """SQL that writes an entry for each row of a common table expression, by the product itself.

    rows: its name; it has customer_id, ref, at and detail.
    """
    return (
        "INSERT INTO crm_historyentry (customer_id, verb, ref, by_id, origin, at, detail) "  # noqa: S608
        f"SELECT customer_id, '{verb}', ref, NULL, 'worker', at, detail FROM {rows}"
    )


def record(
    customer: Customer | None,
    verb: str,
    *,
    ref: str,
    by: User | None,
    at: datetime,
    origin: str = "",
    detail: dict[str, Any] | None = None,
) -> HistoryEntry:
    """Write one history entry; arguments as for `entry`. The entry can never be changed or removed."""
    written = entry(customer, verb, ref=ref, by=by, at=at, origin=origin, detail=detail)
    written.save(force_insert=True)
    return written
