"""What a matter cost the customer, counted from what is on record; nothing is stored and nothing decided here (R050)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from crm.language import moves
from crm.models import Conversation, HistoryEntry, Interaction, Promise
from crm.policy import Direction, PromiseKind
from recovery.policy import EffortLedger

Row = tuple[str, str, str, datetime, int | None, int, int]
"""direction, channel, text, spoke at, author, seconds on hold, seconds in line"""


def effort_of(conversation: Conversation) -> EffortLedger:
    """Count what a matter cost the customer so far.

    Telling it again: they addressed us after the matter had passed to another owner, once per passing on. Sending elsewhere: we
    asked them to use another medium, and the next thing they said came by another one. Three statements, whatever its length.
    """
    said = list(
        Interaction.objects.that_stand()
        .filter(conversation=conversation)
        .exclude(direction=Direction.INTERNAL)
        .order_by("spoke_at", "id")
        .values_list("direction", "channel", "text", "spoke_at", "author", "hold_seconds", "wait_seconds")
    )
    late = Promise.objects.filter(
        conversation=conversation,
        kind__in=[PromiseKind.FIRST_RESPONSE, PromiseKind.NEXT_UPDATE],
        breached_at__isnull=False,
    )
    # The same answer can be promised several times, each time sooner; it came late once for each day it was due.
    unanswered = late.values("starts_at").distinct().count()
    owned = HistoryEntry.objects.filter(ref=f"conversation:{conversation.public_id}", verb="conversation.owned")
    retellings = _told_again(said, list(owned.order_by("id").values_list("at", "detail__owner")))
    return EffortLedger(
        contacts=sum(row[0] == Direction.INBOUND for row in said),
        hold_minutes=sum(hold + wait for *_rest, hold, wait in said) // 60,
        unanswered=unanswered,
        retellings=retellings,
        switches=_switches(said),
    )


def _told_again(said: Sequence[Row], owned: Sequence[tuple[datetime, int | None]]) -> int:
    """Count what customers said to a new owner after somebody else of us had already answered, once per new owner."""
    found = set()
    for at, owner in owned:
        answered = any(
            direction == Direction.OUTBOUND and author != owner and spoke_at <= at
            for direction, _channel, _text, spoke_at, author, *_rest in said
        )
        if answered:
            found.add(next((n for n, row in enumerate(said) if row[0] == Direction.INBOUND and row[3] > at), None))
    return len(found - {None})


def _switches(said: Sequence[Row]) -> int:
    count, came_by, sent_elsewhere = 0, "", False
    for direction, channel, text, *_rest in said:
        if direction == Direction.OUTBOUND:
            sent_elsewhere = sent_elsewhere or moves.sends_elsewhere(text)
        else:
            count += bool(came_by) and sent_elsewhere and channel != came_by
            came_by, sent_elsewhere = channel, False
    return count
