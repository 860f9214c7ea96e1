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
def certificate_monthly() -> None:
    """Issue a certificate for every month that ended a week ago and has none."""
    duties.once_per_slot("certificate_monthly", actions.certificate_monthly, at=timezone.now())


@shared_task
def measure_response_times() -> None:
    """Measure how soon each channel gave its first answer in the last 28 days."""
    duties.once_per_slot("measure_response_times", actions.measure_response_times, at=timezone.now())


@shared_task
def correct_levels() -> None:
    """Plan one step against what lags."""
    duties.once_per_slot("correct_levels", actions.correct_levels, at=timezone.now())


@shared_task
def ask_for_rule_reviews() -> None:
    """Ask that people look again at rules that deny or err too often, once a quarter."""
    duties.once_per_slot("ask_for_rule_reviews", actions.ask_for_rule_reviews, at=timezone.now())


@shared_task
def parity_sequential() -> None:
    """Add the days that are over to the evidence of how channels are treated."""
    duties.once_per_slot("parity_sequential", actions.parity_sequential, at=timezone.now())


@shared_task
def what_we_teach() -> None:
    """Once a month: see whether answering late in private teaches customers to speak publicly."""
    duties.once_per_slot("what_we_teach", actions.what_we_teach, at=timezone.now())


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


@shared_task
def draw_regrades() -> None:
    """Draw the matters that are graded again without knowing how they came."""
    duties.once_per_slot("draw_regrades", actions.draw_regrades, at=timezone.now())


@shared_task
def match_probes() -> None:
    """Find what agreed testers brought in."""
    duties.once_per_slot("match_probes", actions.match_probes, at=timezone.now())


@shared_task
def weigh_probes() -> None:
    """Add the agreed test pairs that are old enough to the evidence of how channels are treated."""
    duties.once_per_slot("weigh_probes", actions.weigh_probes, at=timezone.now())
