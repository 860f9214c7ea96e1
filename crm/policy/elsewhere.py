"""Answers that a colleague gave by hand where we have no account: who has to sign them off."""

from __future__ import annotations

from datetime import datetime, timedelta

WRITTEN_DOWN_WITHIN = timedelta(minutes=15)
"""So long after it was given an answer counts as written down in the same breath: the budget of what colleagues note (C.5)."""


def needs_another_to_sign_off(*, may_write_publicly: bool, answered_at: datetime, at: datetime) -> bool:
    """Say whether somebody else than its author has to sign off an answer that was given elsewhere.

    Its author may do so alone when they may write where everybody can read it (R113) and write it down at once; an answer
    that is told later could keep a promise that nobody saw kept. Both times aware. Source: R028; docs/adr/0026.
    """
    return not may_write_publicly or at - answered_at > WRITTEN_DOWN_WITHIN


def why_not_answered_then(answered_at: datetime, *, asked_at: datetime, at: datetime) -> str:
    """Say why nobody can have answered at that time: "future", "before_question"; "" when somebody can. All aware."""
    if answered_at > at:
        return "future"
    return "before_question" if answered_at < asked_at else ""
