"""When recovery's work happens. Safe to lose, safe to repeat."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from crm.actions import duties
from recovery import actions


@shared_task
def run_due(*, lane: str) -> None:
    """Empty one lane of recovery."""
    while actions.work_batch(lane, at=timezone.now()):
        pass


@shared_task
def replay_decisions() -> None:
    """Decide every live case again and compare."""
    duties.once_per_slot("replay_decisions", actions.replay_decisions, at=timezone.now())


@shared_task
def channel_swap_shadow() -> None:
    """Serve yesterday again with other channels, and explain who was served out of order."""
    duties.once_per_slot("channel_swap_shadow", actions.channel_swap_shadow, at=timezone.now())


@shared_task
def parity_nightly() -> None:
    """Compare how customers of each channel were treated in the last 28 days."""
    duties.once_per_slot("parity_nightly", actions.parity_nightly, at=timezone.now())


@shared_task
def parity_rollup() -> None:
    """Count what became of the matters of the last days into cells."""
    duties.once_per_slot("parity_rollup", actions.parity_rollup, at=timezone.now())


@shared_task
def refresh_ledger() -> None:
    """Sum the last weeks of the special-treatment ledger again."""
    duties.once_per_slot("refresh_ledger", actions.refresh_ledger, at=timezone.now())


@shared_task
def compare_linked_cases() -> None:
    """Compare linked cases of different customers again."""
    duties.once_per_slot("compare_linked_cases", actions.compare_linked_cases, at=timezone.now())
