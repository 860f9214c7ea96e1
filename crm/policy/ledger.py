"""The events of the consent ledger, and which of them counts."""

from __future__ import annotations

from typing import Final

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class ConsentState(TextChoices):
    ASKED = "asked", _("asked")
    GRANTED = "granted", _("yes")
    WITHDRAWN = "withdrawn", _("no")
    UNKNOWN = "unknown", _("unknown")


DECISIVE: Final = (ConsentState.GRANTED, ConsentState.WITHDRAWN)
"""The states that count. Being asked changes nothing, and what a file claims is not known."""


class ProofDoor(TextChoices):
    """Where a customer said yes themselves."""

    PAGE = "page", _("their own page")
    LINK = "link", _("the question we mailed them")
    APP = "app", _("the app")
    WORD = "word", _("a start word from their number")


def strictest(*states: str | None) -> str | None:
    """Say what counts for a person whose records say different things: a no is a no, and only a yes of all is a yes (N12)."""
    if ConsentState.WITHDRAWN in states:
        return ConsentState.WITHDRAWN
    return ConsentState.GRANTED if states and all(state == ConsentState.GRANTED for state in states) else None
