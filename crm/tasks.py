"""When crm's work happens: lanes are emptied after a bell or a sweep, duties once per slot. Safe to lose, safe to repeat."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from celery import shared_task
from django.utils import timezone

from crm.actions import call_backs, desk, duties, intake, outgoing, promises, sources

BATCHES: dict[str, Callable[[datetime], int]] = {
    "ingest": lambda at: intake.ingest_batch(at=at),
    "send": lambda at: outgoing.send_batch(at=at),
    "promises": lambda at: promises.breach_batch(at=at),
}


@shared_task
def run_due(*, lane: str) -> None:
    """Empty one lane: claim due rows in batches under a lease until none is left."""
    while BATCHES[lane](timezone.now()):
        pass


@shared_task
def sweep_orphans() -> None:
    """Give unowned conversations an owner."""
    duties.once_per_slot("sweep_orphans", desk.give_orphans_an_owner, at=timezone.now())


@shared_task
def recover_dropped_calls() -> None:
    """Promise a call-back where nobody answered or a talk was cut off."""
    duties.once_per_slot("recover_dropped_calls", call_backs.recover_dropped_calls, at=timezone.now())


@shared_task
def watch_ingest_lag() -> None:
    """See how late each source reaches us."""
    duties.once_per_slot("watch_ingest_lag", sources.watch_ingest_lag, at=timezone.now())
