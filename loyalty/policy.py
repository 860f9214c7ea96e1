"""When a kindness is due, as pure functions: no model, no queue, no channel."""

from __future__ import annotations

import calendar
import hashlib
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Occasion(TextChoices):
    BIRTHDAY = "birthday", _("birthday")


class GestureState(TextChoices):
    PLANNED = "planned", _("planned")
    QUEUED = "queued", _("written, on its way")
    SENT = "sent", _("sent")
    DROPPED = "dropped", _("not sent")


NEXT: dict[GestureState, frozenset[GestureState]] = {
    GestureState.PLANNED: frozenset({GestureState.QUEUED, GestureState.DROPPED}),
    GestureState.QUEUED: frozenset({GestureState.SENT, GestureState.DROPPED}),
    GestureState.SENT: frozenset({GestureState.DROPPED}),  # it came back
    GestureState.DROPPED: frozenset(),
}

SENT_BETWEEN = (time(9, 0), time(18, 0))
"""The hours of the recipient's own day in which a card may arrive."""


def days_celebrated(today: date) -> tuple[tuple[int, int], ...]:
    """Give the (month, day) of birthdays celebrated today; the 29th of February on the 28th in years that have none."""
    days = [(today.month, today.day)]
    if (today.month, today.day) == (2, 28) and not calendar.isleap(today.year):
        days.append((2, 29))
    return tuple(days)


def moment_of_day(key: str, *, day: date, zone: ZoneInfo) -> datetime:
    """Choose when on a day a card leaves: spread over the daytime by its key, so that it seems to come out of the blue.

    key: the gesture's key; the same key is always given the same moment. Returns an aware time. Source: R161.
    """
    first, last = (datetime.combine(day, clock, tzinfo=zone) for clock in SENT_BETWEEN)
    seconds = int((last - first).total_seconds())
    share = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
    return first + timedelta(seconds=share % seconds)


def too_late(*, day: date, at: datetime, zone: ZoneInfo) -> bool:
    """Say whether a card for that day would only arrive after it, which is worse than none."""
    return at.astimezone(zone).date() > day
