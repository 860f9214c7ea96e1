"""Grading again without knowing how a matter came: which are drawn, and what it says of the first grading (R005, R009, R010)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from recovery.policy.cases import Outcome
from recovery.policy.entitlement import Severity


class RegradeKind(TextChoices):
    """What is asked of a matter that was drawn."""

    CASE = "case", _("how grave it was and who was right")
    DISMISSAL = "dismissal", _("whether it should have been answered")
    ANSWERED = "answered", _("how we answered")


class SkipReason(TextChoices):
    """Why a colleague leaves a matter to another; it stays drawn."""

    KNOWN = "known", _("I know this matter")
    LANGUAGE = "language", _("I do not read this language well enough")
    PERSON = "person", _("I know the person")
    UNREADABLE = "unreadable", _("too little of it can be read")


LEAST_SHARE, MOST_SHARE = 0.03, 0.25
"""A house chooses within these; below, a bias is not found in a year, and above, more is read again than answered."""
REREAD_SHARE = 0.10
"""Of cases in which no failure of ours was found: one in ten is read again (R009)."""
WEEKLY_TARGET = 3
"""Matters a colleague grades again in a week; asked for, not enforced."""
KEPT_FOR = timedelta(days=3)
"""So long a colleague may keep what they took on; then it is given to another."""
FEWEST_POINTS, MOST_POINTS = 1, 5
"""Of each item of manner: 1 not at all, 5 entirely."""

MERIT: tuple[Outcome, ...] = (Outcome.NOT_UPHELD, Outcome.PARTLY, Outcome.UPHELD)
"""From the customer was wrong to the customer was right; what they took back was judged by nobody."""


def share_of(outcome: str, *, share: float) -> float:
    """The share in which a matter that ended like this is drawn. share: the house's, for every matter; "" has no outcome."""
    return max(share, REREAD_SHARE) if outcome == Outcome.NOT_UPHELD else share


def is_drawn(digest: bytes, *, share: float) -> bool:
    """Say whether a matter is drawn, from a keyed digest of its id alone: nobody can choose, and anybody with the key can check.

    digest: at least 8 bytes, evenly spread. share: 0 to 1.
    """
    return int.from_bytes(digest[:8], "big") < share * 2**64


def severity_steps(first: Severity, again: Severity) -> int:
    """How many steps the first grading lies above the second; below 0, it was graded too low."""
    order = list(Severity)
    return order.index(first) - order.index(again)


def merit_steps(first: str, again: Outcome) -> int | None:
    """How many steps the first judgement lies above the second, seen from the customer; None where nobody judged.

    first: the outcome of the case; "" or taken back by the customer: not judged.
    """
    if first not in MERIT or again not in MERIT:
        return None
    return MERIT.index(Outcome(first)) - MERIT.index(again)


@dataclass(frozen=True, slots=True)
class Manner:
    """How we answered, in points from 1 to 5 (R111). Raises ValueError for other points."""

    friendly: int
    helpful: int
    sympathetic: int

    def __post_init__(self) -> None:
        if not all(FEWEST_POINTS <= each <= MOST_POINTS for each in (self.friendly, self.helpful, self.sympathetic)):
            raise ValueError("Each item has 1 to 5 points.")

    @property
    def index(self) -> float:
        """The mean of the three."""
        return (self.friendly + self.helpful + self.sympathetic) / 3


GOOD_MANNER = 4.0
"""An index below this is counted as an answer that could have been kinder."""


def is_left_lying(taken_at: datetime, *, at: datetime) -> bool:
    """Say whether a matter somebody took on is given to another."""
    return at - taken_at > KEPT_FOR
