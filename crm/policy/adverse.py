"""Acts to a customer's disadvantage, and the guard for those who criticised us in public (R074)."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

SPEECH_PROTECTED_FOR = timedelta(days=180)
"""For so long after somebody spoke about us in public, an adverse act needs an uninvolved second person."""


class AdverseKind(TextChoices):
    CLOSURE = "closure", _("closing their account")
    FEE = "fee", _("a fee")
    DOWNGRADE = "downgrade", _("a lower service")
    LEGAL_LETTER = "legal_letter", _("a legal letter")
    NO_GESTURES = "no_gestures", _("no more gestures")


class AdverseState(TextChoices):
    PREPARED = "prepared", _("prepared")
    CONFIRMED = "confirmed", _("confirmed by a second person")
    IN_EFFECT = "in_effect", _("in effect")
    DROPPED = "dropped", _("dropped")


ADVERSE_NEXT: dict[AdverseState, frozenset[AdverseState]] = {
    AdverseState.PREPARED: frozenset({AdverseState.CONFIRMED, AdverseState.IN_EFFECT, AdverseState.DROPPED}),
    # Somebody who speaks about us in public after the confirmation is protected by a new one.
    AdverseState.CONFIRMED: frozenset({AdverseState.CONFIRMED, AdverseState.IN_EFFECT, AdverseState.DROPPED}),
    AdverseState.IN_EFFECT: frozenset(),
    AdverseState.DROPPED: frozenset(),
}
