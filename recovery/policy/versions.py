"""Versions of the rules: which state may follow which, and when a version may start."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class VersionState(TextChoices):
    DRAFT = "draft", _("draft")
    APPROVED = "approved", _("approved")
    DISCARDED = "discarded", _("discarded")


NEXT_STATE: dict[VersionState, frozenset[VersionState]] = {
    VersionState.DRAFT: frozenset({VersionState.APPROVED, VersionState.DISCARDED}),
    VersionState.APPROVED: frozenset(),
    VersionState.DISCARDED: frozenset(),
}

STARTS_AFTER = timedelta(minutes=10)
"""The shortest time between approval and start: a process may keep the rules it read for a minute, and no two may differ."""


def may_start(starts_at: datetime, *, at: datetime) -> bool:
    """Say whether a version that is approved now (`at`) may start then (both aware); never for what is past."""
    return starts_at >= at + STARTS_AFTER
