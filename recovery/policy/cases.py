"""Cases: which status may follow which, and how a case may end."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Status(TextChoices):
    DETECTED = "detected", _("seen")
    OWNED = "owned", _("taken on")
    DECIDED = "decided", _("decided")
    RESOLVED = "resolved", _("settled")
    WENT_QUIET = "went_quiet", _("the customer went quiet")
    DISMISSED = "dismissed", _("nothing to answer")


NEXT: dict[Status, frozenset[Status]] = {
    Status.DETECTED: frozenset({Status.OWNED, Status.DISMISSED}),
    Status.OWNED: frozenset({Status.DECIDED, Status.WENT_QUIET}),
    Status.DECIDED: frozenset({Status.DECIDED, Status.RESOLVED, Status.WENT_QUIET}),
    # A case that comes back is decided on already; what is owed stands.
    Status.RESOLVED: frozenset({Status.DECIDED}),
    Status.WENT_QUIET: frozenset({Status.DECIDED}),
    Status.DISMISSED: frozenset({Status.DETECTED}),
}


class Outcome(TextChoices):
    UPHELD = "upheld", _("the customer was right")
    PARTLY = "partly", _("the customer was right in part")
    NOT_UPHELD = "not_upheld", _("no failure of ours was found")
    WITHDRAWN = "withdrawn", _("the customer took it back")


REVIEWED_WITHIN = timedelta(days=5)
"""By when somebody who was not involved has looked again and answered in writing (R153)."""


class ReviewResult(TextChoices):
    UPHELD = "upheld", _("the decision stands")
    CHANGED = "changed", _("decided anew")


def is_involved(
    person: int, *, owners: Iterable[int | None], deciders: Iterable[int | None], authors: Iterable[int | None]
) -> bool:
    """Say whether a colleague had a part in a matter, so that they may not be the one to look at it again (R153)."""
    return person in {*owners, *deciders, *authors}
