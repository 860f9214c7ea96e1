"""Asking others for news side by side: mailboxes, feeds, accounts at providers. One that hangs holds up no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final, TypeVar

from django.db import connections, models, transaction
from django.db.models import F
from django.db.models.functions import Now

Row = TypeVar("Row", bound=models.Model)

SIDE_BY_SIDE: Final = 8
"""How many of a kind one worker asks at the same time."""
AT_ONCE: Final = 16
"""How many of a kind all workers together ask at the same time."""
HELD_FOR: Final = 10.0
"""Seconds that a worker waits for its rounds; slower ones go on beside its other work, under their leases."""


@transaction.atomic
def claim(due: models.QuerySet[Row], *, leased_for: timedelta, **noted: Any) -> list[Row]:
    """Lease up to 8 rows that are due, while all workers together ask fewer than 16 of them. Each carries its new `attempt`.

    due: ordered; of a model with `attempt`, which fences what an older poller would write, and `lease_until`. noted: columns that
    are set besides.
    """
    rows = due.model._default_manager
    size = min(SIDE_BY_SIDE, AT_ONCE - rows.filter(lease_until__gte=Now()).count())
    found = list(due.select_for_update(skip_locked=True)[: max(size, 0)])
    if found:
        rows.filter(pk__in=[row.pk for row in found]).update(
            attempt=F("attempt") + 1, lease_until=Now() + leased_for, **noted
        )
    for row in found:
        row.attempt += 1  # type: ignore[attr-defined]
        for name, value in noted.items():
            setattr(row, name, value)
    return found


def side_by_side(claimed: Sequence[Row], poll: Callable[[Row], Any], *, held_for: float = HELD_FOR) -> int:
    """Poll claimed rows, each in a thread of its own. Returns how many.

    A round that takes longer than `held_for` seconds goes on by itself; its lease keeps others away until it ends or is lost.
    """

    def in_thread(row: Row) -> None:
        try:
            poll(row)
        finally:
            connections.close_all()

    rounds = [
        threading.Thread(target=in_thread, args=(row,), name=f"{row._meta.model_name}-{row.pk}", daemon=True)
        for row in claimed
    ]
    for each in rounds:
        each.start()
    ends = time.monotonic() + held_for
    for each in rounds:
        each.join(max(0.0, ends - time.monotonic()))
    return len(rounds)
