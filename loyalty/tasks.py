"""When loyalty's work happens. Safe to lose, safe to repeat."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from crm.actions import duties
from loyalty import actions


@shared_task
def run_due(*, lane: str) -> None:
    """Empty the lane of gestures."""
    while actions.work_batch(lane, at=timezone.now()):
        pass


@shared_task
def plan_birthdays() -> None:
    """Plan the birthday cards of the day."""
    duties.once_per_slot("plan_birthdays", actions.plan_birthdays, at=timezone.now())
