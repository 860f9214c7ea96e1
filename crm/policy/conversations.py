"""Conversations: who speaks to whom, and which state may follow which."""

from __future__ import annotations

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Direction(TextChoices):
    INBOUND = "in", _("from the customer")
    OUTBOUND = "out", _("to the customer")
    INTERNAL = "internal", _("note")


class ConversationState(TextChoices):
    OPEN = "open", _("waiting for us")
    WAITING = "waiting_customer", _("waiting for the customer")
    CLOSED = "closed", _("closed")


CONVERSATION_NEXT: dict[ConversationState, frozenset[ConversationState]] = {
    ConversationState.OPEN: frozenset({ConversationState.WAITING, ConversationState.CLOSED}),
    ConversationState.WAITING: frozenset({ConversationState.OPEN, ConversationState.CLOSED}),
    ConversationState.CLOSED: frozenset({ConversationState.OPEN}),
}
