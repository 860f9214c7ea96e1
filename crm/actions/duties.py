"""Periodic work, done once per slot however many beats ring and however often."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F, Q
from django.db.models.functions import Now

from crm.models import DutyRun

logger = logging.getLogger(__name__)

DUTY_LEASE = timedelta(minutes=10)
"""How long a duty may run before another worker takes its slot over; the tasks' own time limit is the same."""


def once_per_slot(name: str, work: Callable[[datetime], object], *, at: datetime) -> bool:
    """Do a duty's work unless its slot is done or another worker has it; say whether it was done here.

    name: a key of the table of duties. work: called with `at`; safe to repeat, because a run that dies is repeated.
    Raises KeyError for an unknown name, and whatever the work raises; then the slot stays open.
    """
    slot = settings.EVENHAND_DUTIES[name].slot(at)
    DutyRun.objects.bulk_create([DutyRun(name=name)], ignore_conflicts=True)
    claimed = (
        DutyRun.objects.filter(name=name)
        .filter(Q(finished_slot__isnull=True) | Q(finished_slot__lt=slot))
        .filter(Q(lease_until__isnull=True) | Q(lease_until__lt=Now()))
        .update(claimed_slot=slot, lease_until=Now() + DUTY_LEASE)
    )
    if not claimed:
        return False
    try:
        work(at)
    except BaseException as trouble:
        # Give the slot back at once, so that the next bell tries again; the trouble itself goes on.
        DutyRun.objects.filter(name=name, claimed_slot=slot).update(
            lease_until=None, reason=f"{type(trouble).__name__}: {trouble}"[:300]
        )
        raise
    DutyRun.objects.filter(name=name, claimed_slot=slot).update(
        finished_slot=F("claimed_slot"), lease_until=None, finished_at=at, reason=""
    )
    return True
