"""Cases: which status may follow which, and how a case may end."""

from __future__ import annotations

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Status(TextChoices):
    DETECTED = "detected", _("seen")
    OWNED = "owned", _("taken on")
    DECIDED = "decided", _("decided")
    RESOLVED = "resolved", _("settled")


NEXT: dict[Status, frozenset[Status]] = {
    Status.DETECTED: frozenset({Status.OWNED}),
    Status.OWNED: frozenset({Status.DECIDED}),
    Status.DECIDED: frozenset({Status.DECIDED, Status.RESOLVED}),
    Status.RESOLVED: frozenset(),
}


class Outcome(TextChoices):
    UPHELD = "upheld", _("the customer was right")
    PARTLY = "partly", _("the customer was right in part")
    NOT_UPHELD = "not_upheld", _("no failure of ours was found")
    WITHDRAWN = "withdrawn", _("the customer took it back")
