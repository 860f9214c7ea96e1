"""Work that is due: when it is tried again, and when it is set aside for people."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

ATTEMPTS_BEFORE_PARKING = 3
"""A piece of work that failed this often is set aside where people see it (reliability.md 4.1)."""


class WorkState(TextChoices):
    READY = "ready", _("waiting")
    CLAIMED = "claimed", _("being worked on")
    DONE = "done", _("done")
    PARKED = "parked", _("parked")


def after_failure(attempt: int) -> WorkState:
    """Say what becomes of a piece of work after its given failed attempt."""
    return WorkState.PARKED if attempt >= ATTEMPTS_BEFORE_PARKING else WorkState.READY


def next_attempt_at(attempt: int, *, at: datetime, spread: float) -> datetime:
    """Say when to try again after the given number of failed attempts.

    attempt: 1 for the first failure. spread: 0.0–1.0, so that a thousand messages do not come back in the same second.
    Returns at + 5, 10, 20 … minutes, at most 4 hours, plus up to a tenth.
    """
    minutes = min(5 * 2 ** (attempt - 1), 240)
    return at + timedelta(minutes=minutes * (1 + spread / 10))
