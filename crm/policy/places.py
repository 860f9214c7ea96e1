"""Places where customers talk: when one counts as a place that nobody listens to."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

CHECKED_AT_LEAST_EVERY = timedelta(days=7)
"""A place without anything that listens by itself is looked at by a person at least this often (R027)."""


class Cover(TextChoices):
    """What listens at a place."""

    BY_HAND = "by_hand", _("by hand")
    ACCOUNT = "account", _("an account of ours")
    FEED = "feed", _("a feed")
    MAILBOX = "mailbox", _("a mailbox")


def is_listening_gap(listened_at: datetime | None, *, at: datetime) -> bool:
    """Say whether nobody listens at a place: never, or not within the last week. Both aware. Source: R027.

    listened_at: when it was last well asked by a machine or looked at by a person; None for never.
    """
    return listened_at is None or at - listened_at > CHECKED_AT_LEAST_EVERY
