"""Claiming due rows: under a lease by the database's clock, with a fence, so that two workers never do the same row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, models, transaction
from django.db.models import F, Q
from django.db.models.functions import Now

Row = TypeVar("Row", bound=models.Model)


def claim(due: models.QuerySet[Row], *, size: int, claimed_state: str) -> list[Row]:
    """Lease up to `size` of the due rows; rows that another worker holds are passed over.

    due: ordered. Each row returned carries its new `attempt`, which fences every later write:
    a worker that slept past its lease finds another attempt number and changes nothing.
    A row whose worker was lost is taken up alone: should it have been the reason, it takes no others with it (F24).
    """
    with transaction.atomic():
        rows = list(due.select_for_update(skip_locked=True, of=("self",))[:size])
        rows = next(([row] for row in rows if row.state == claimed_state), rows)  # type: ignore[attr-defined]
        if rows:
            due.model._default_manager.filter(pk__in=[row.pk for row in rows]).update(
                state=claimed_state, attempt=F("attempt") + 1, lease_until=Now() + settings.EVENHAND_LEASE
            )
    for row in rows:
        row.attempt += 1  # type: ignore[attr-defined]
        row.state = claimed_state  # type: ignore[attr-defined]
    return rows


def claimable(*, ready: str, claimed: str) -> Q:
    """Rows that wait, and rows whose worker has not come back within its lease."""
    return Q(state=ready) | Q(state=claimed, lease_until__lt=Now())


def guarded(work: Callable[[], Any], *, failed: Callable[[Exception], None]) -> bool:
    """Do one row's work; when it raises, let `failed` write that down, so that one bad row never stops the others.

    Returns whether the work was done. The only place that catches everything: a poison row may raise anything (F24).
    """
    try:
        work()
    except Exception as trouble:  # noqa: BLE001
        failed(trouble)
        return False
    return True


def is_trouble_of_the_database(trouble: Exception) -> bool:
    """Say whether work failed because the database was away or a lock was not free, which is no fault of its row.

    A statement that ran out of time is one: it would do so again.
    """
    ran_out_of_time = getattr(trouble.__cause__, "sqlstate", "") == "57014"  # query_canceled
    return isinstance(trouble, OperationalError | InterfaceError) and not ran_out_of_time
