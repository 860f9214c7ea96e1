"""What a matter cost the customer, and which part of it counts as a failure of ours (R050)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


class Effort(TextChoices):
    CONTACTS = "contacts", _("times they addressed us")
    HOLD_MINUTES = "hold_minutes", _("minutes they waited on hold or in line")
    UNANSWERED = "unanswered", _("answers that came later than promised")
    RETELLINGS = "retellings", _("times they told it again after we passed it on")
    SWITCHES = "switches", _("times we sent them to another medium")


@dataclass(frozen=True, slots=True)
class Counts:
    """Whether a kind of effort counts as our failure, and why."""

    as_failure: bool
    because: _StrPromise


COUNTS: dict[Effort, Counts] = {
    Effort.CONTACTS: Counts(
        False,
        _("Writing three short messages instead of one long one is a habit of the medium, not a failure of ours."),
    ),
    Effort.HOLD_MINUTES: Counts(
        False,
        _(
            "Only those who call or stand at a counter can be kept on hold; their wait already counts into the first answer's time."
        ),
    ),
    Effort.UNANSWERED: Counts(
        True,
        _("Everybody is promised an answer within the same time on every medium, so everybody can be let down alike."),
    ),
    Effort.RETELLINGS: Counts(
        True, _("A matter can be passed on whatever medium it came by, and telling it again takes one message on each.")
    ),
    Effort.SWITCHES: Counts(
        True, _("On every medium we can ask somebody to use another one; following costs one message there.")
    ),
}
"""The matrix that is published and tested: only what every medium can show with equal effort counts."""


@dataclass(frozen=True, slots=True)
class EffortLedger:
    """What one matter cost the customer so far. Each is a count; hold_minutes are whole minutes."""

    contacts: int = 0
    hold_minutes: int = 0
    unanswered: int = 0
    retellings: int = 0
    switches: int = 0

    def of(self, kind: Effort) -> int:
        return int(getattr(self, kind.value))


MOST_FAILURES = 99


def failures_suggested(ledger: EffortLedger) -> int:
    """Suggest the number of our failures in a matter: the failure itself, and what counts of the effort since.

    A suggestion for a person; nothing takes it over by itself. Returns 1–99.
    """
    counted = sum(ledger.of(kind) for kind, counts in COUNTS.items() if counts.as_failure)
    return min(1 + counted, MOST_FAILURES)
