"""Changes of a service: which was asked for, what one that was not has cost so far, and how its undoing may end (R049, R056)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Every(TextChoices):
    """How often a change costs what it costs."""

    ONCE = "once", _("once")
    DAY = "day", _("a day")
    WEEK = "week", _("a week")
    MONTH = "month", _("a month")
    YEAR = "year", _("a year")


class ReversalState(TextChoices):
    OPEN = "open", _("to be put back")
    REVERSED = "reversed", _("put back")
    KEPT = "kept", _("kept, as the customer said")
    ALREADY_BACK = "already_back", _("was back already")


PUT_BACK_WITHIN = timedelta(hours=8)
"""Service time within which a change that nobody asked for is put back; as the starter policy's rule for such a complaint."""


def may_end_as(state: ReversalState, *, by_customer: bool) -> bool:
    """Who may say what: anybody puts it back, only the customer says that they keep it. Nobody opens it again."""
    return state != ReversalState.OPEN and (by_customer or state != ReversalState.KEPT)


def charged(amount: Decimal, every: str, *, since: datetime, until: datetime) -> Decimal:
    """What a change has cost from `since` until `until` (aware): every period that has begun counts whole.

    amount: money >= 0 for each period of `every`; "once" counts once. 0 before it takes effect.
    """
    since, until = since.astimezone(UTC), until.astimezone(UTC)
    if until < since:
        return Decimal(0)
    return amount * _periods(every, since, until)


def _periods(every: str, since: datetime, until: datetime) -> int:
    if every == Every.DAY:
        return (until - since) // timedelta(days=1) + 1
    if every == Every.WEEK:
        return (until - since) // timedelta(days=7) + 1
    if every in (Every.MONTH, Every.YEAR):
        months = (until.year - since.year) * 12 + until.month - since.month
        if (until.day, until.time()) < (since.day, since.time()):
            months -= 1
        months = max(months, 0)  # the 31st of a month without one
        return (months if every == Every.MONTH else months // 12) + 1
    return 1
