"""Follow-ups of events: written with the event, worked off lane by lane, parked where people see them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from crm import dispatch, history
from crm.actions import lease
from crm.models import User, WorkItem
from crm.policy import ATTEMPTS_BEFORE_PARKING, WorkState, after_failure, next_attempt_at
from crm.together import new

logger = logging.getLogger(__name__)

DATABASE_AGAIN_AFTER = timedelta(seconds=5)
"""When an item is tried again for which the database was away or a row was locked; that attempt does not count."""

Handler = Callable[[str, str, datetime], None]
"""Called with the event, what it is about ("interaction:<public id>") and the time."""


class NotParked(Exception):
    """The work item is not parked (any more)."""

    code = "not_parked"


def items_after(event: str, *, ref: str, at: datetime) -> list[WorkItem]:
    """Make the work items an event leaves, to be written in the event's own statement."""
    return [
        new(WorkItem, key=f"{nudge.lane}:{event}:{ref}", lane=nudge.lane, event=event, ref=ref, due_at=at)
        for nudge in settings.EVENHAND_NUDGES[event]
        if nudge.keeps_row
    ]


def follow(event: str, *, ref: str, at: datetime) -> None:
    """Write an event's work items and ring their lanes after commit. A repeat adds nothing."""
    follow_each(event, refs=[ref], at=at)


def follow_each(event: str, *, refs: Iterable[str], at: datetime) -> None:
    """The same for an event that happened to several things at once; one statement."""
    items = [item for ref in refs for item in items_after(event, ref=ref, at=at)]
    if items:
        WorkItem.objects.bulk_create(items, ignore_conflicts=True)
    dispatch.after_commit(event)


def work_batch(lane: str, handle: Handler, *, at: datetime, size: int = 50) -> int:
    """Work off one batch of a lane's items; each item and what it causes are one transaction.

    Returns how many items were taken; 0 when the lane is empty.
    """
    due = (
        WorkItem.objects.filter(lane=lane, due_at__lte=at)
        .filter(lease.claimable(ready=WorkState.READY, claimed=WorkState.CLAIMED))
        .order_by("due_at", "id")
    )
    items = lease.claim(due, size=size, claimed_state=WorkState.CLAIMED)
    for item in items:
        if item.attempt > ATTEMPTS_BEFORE_PARKING:
            _park(item, _("The worker stopped without a word several times."))
            continue
        lease.guarded(partial(_do, item, handle, at), failed=partial(_failed, item, at))
    return len(items)


def retry(item_id: int, *, by: User, at: datetime) -> None:
    """Let a parked item be tried again from the start. Raises WorkItem.DoesNotExist, NotParked."""
    with transaction.atomic():
        item = WorkItem.objects.select_for_update().get(pk=item_id)
        if item.state != WorkState.PARKED:
            raise NotParked(_("This work is not parked any more."))
        item.state, item.reason, item.attempt, item.due_at = WorkState.READY, "", 0, at
        item.save(update_fields=["state", "reason", "attempt", "due_at"])
        history.record(None, "work.retried", ref=item.ref, by=by, at=at, detail={"lane": item.lane})


def _do(item: WorkItem, handle: Handler, at: datetime) -> None:
    with transaction.atomic():
        mine = WorkItem.objects.select_for_update().filter(pk=item.pk, attempt=item.attempt, state=WorkState.CLAIMED)
        if not mine.exists():
            return
        handle(item.event, item.ref, at)
        mine.delete()


def _failed(item: WorkItem, at: datetime, trouble: Exception) -> None:
    if lease.is_trouble_of_the_database(trouble):
        logger.warning("Work item %s waits for the database (%s).", item.pk, type(trouble).__name__)
        WorkItem.objects.filter(pk=item.pk, attempt=item.attempt).update(
            state=WorkState.READY, attempt=item.attempt - 1, due_at=at + DATABASE_AGAIN_AFTER, lease_until=None
        )
        return
    logger.exception("Work item %s failed for the %d. time.", item.pk, item.attempt, exc_info=trouble)
    state = after_failure(item.attempt)
    WorkItem.objects.filter(pk=item.pk, attempt=item.attempt).update(
        state=state,
        reason=f"{type(trouble).__name__}: {trouble}"[:300] if state == WorkState.PARKED else "",
        due_at=next_attempt_at(item.attempt, at=at, spread=0.0),
        lease_until=None,
    )


def _park(item: WorkItem, reason: str) -> None:
    WorkItem.objects.filter(pk=item.pk, attempt=item.attempt).update(
        state=WorkState.PARKED, reason=reason, lease_until=None
    )
