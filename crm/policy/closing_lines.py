"""A short public last word below the post by which a matter began: its steps, and what stops it (R128, docs/adr/0047).

What came of the matter is no fact here and no part of the words: whoever compares two such lines learns nothing from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class LineState(TextChoices):
    PROPOSED = "proposed", _("proposed")
    TOLD = "told", _("the customer was told, and may say no")
    POSTED = "posted", _("written below their post")
    DROPPED = "dropped", _("left out")
    STOPPED = "stopped", _("not to be")


STANDING: Final = (LineState.PROPOSED, LineState.TOLD)
"""Those with which a colleague can still do something."""
CONCERNS: Final = "closing_line:"
"""How `concerns` of a message begins that belongs to one; such a message is no answer and no try to reach somebody."""
LONGEST: Final = 300
VETO_FOR: Final = timedelta(hours=24)
"""How long after the private word was accepted for delivery the customer can say no before anything is written in public."""
PROPOSED_WITHIN: Final = timedelta(days=14)
"""A matter that was settled longer ago gets none any more: the thread has moved on, and what comes back is a new matter (X18)."""
LAPSES_AFTER: Final = timedelta(days=14)
"""A proposal with which nobody did anything is let go after that."""

REASONS: Final[Mapping[str, object]] = {
    "ended_in_public": _("our last answer stands in public already"),
    "no_account": _("no account of ours can answer where they wrote"),
    "no_private_way": _("nothing reaches them in private, so they could not say no"),
    "said_no": _("the customer said no"),
    "objects": _("the customer wants nothing of theirs mentioned in public"),
    "customer_gone": _("they have died, were forgotten or are no customer any more"),
    "to_be_forgotten": _("they asked to be forgotten"),
    "post_gone": _("what they wrote is gone, or is to be taken away"),
    "came_back": _("the matter came back"),
    "lapsed": _("nobody did anything with it for two weeks"),
    "on_hold": _("a complaint of theirs is open, or somebody has died"),
    "waits_for_us": _("something in this matter waits for us"),
}
"""Why there is none, in words for colleagues."""
PASSES: Final = frozenset({"on_hold", "waits_for_us"})
"""Reasons that end by themselves; the proposal waits meanwhile."""


@dataclass(frozen=True, slots=True)
class LineFacts:
    """What is known in the moment in which a line would be told, written or handed over.

    objects: the newest they said about being mentioned is a no, or their address wants nothing but what is owed. is_settled: what
    the proposal followed from still stands.
    """

    customer_status: str
    has_said_no: bool
    objects: bool
    is_to_be_forgotten: bool
    is_post_gone: bool
    is_settled: bool
    is_on_hold: bool
    waits_for_us: bool


def reason_to_stop(facts: LineFacts) -> str:
    """Give the code of the reason why a line may not stand in public now, a key of REASONS, or "" when it may."""
    return next((code for code, holds in _in_order(facts) if holds), "")


def _in_order(facts: LineFacts) -> tuple[tuple[str, bool], ...]:
    """What lasts comes before what passes."""
    return (
        ("said_no", facts.has_said_no),
        ("customer_gone", facts.customer_status != "active"),
        ("to_be_forgotten", facts.is_to_be_forgotten),
        ("objects", facts.objects),
        ("post_gone", facts.is_post_gone),
        ("came_back", not facts.is_settled),
        ("on_hold", facts.is_on_hold),
        ("waits_for_us", facts.waits_for_us),
    )


def may_stand_from(told_at: datetime | None) -> datetime | None:
    """Give the moment from which a line may be written, told_at being when its private word was accepted; None before that."""
    return None if told_at is None else told_at + VETO_FOR
