"""Words of customers taken away where everybody could read them: the few reasons, and the steps two people take (R029)."""

from __future__ import annotations

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class RemovalKind(TextChoices):
    """What somebody does at the platform; nothing here does it for them."""

    HIDE = "hide", _("hidden")
    DELETE = "delete", _("deleted")
    BLOCK = "block", _("its author blocked")


class RemovalReason(TextChoices):
    """The only reasons. Criticism, bad words about us, wrong claims and stars are none."""

    UNLAWFUL = "unlawful", _("against the law, and the law is named")
    DOXXING = "doxxing", _("it tells where somebody lives, works or can be reached")
    ABUSE = "abuse", _("it threatens or degrades a person")


class RemovalState(TextChoices):
    ASKED = "asked", _("waits for a second person")
    REFUSED = "refused", _("refused: it stays")
    AGREED = "agreed", _("agreed, not carried out yet")
    DONE = "done", _("carried out at the platform")
    UNDONE = "undone", _("carried out and taken back")


REMOVAL_NEXT: dict[RemovalState, frozenset[RemovalState]] = {
    RemovalState.ASKED: frozenset({RemovalState.REFUSED, RemovalState.AGREED}),
    RemovalState.AGREED: frozenset({RemovalState.DONE}),
    RemovalState.DONE: frozenset({RemovalState.UNDONE}),
    RemovalState.REFUSED: frozenset(),
    RemovalState.UNDONE: frozenset(),
}
