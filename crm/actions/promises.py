"""Promises: given, kept, missed. A due time never moves."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Min

from crm.models import Conversation, HistoryEntry, Interaction, Promise
from crm.policy import (
    ConversationState,
    PromiseDue,
    PromiseKind,
    PromiseState,
    QueueClass,
    appended,
    next_news_promise,
    queue_due,
)

BREACHED_AT_ONCE = 500


@transaction.atomic
def append(
    conversation_id: int, promises: Iterable[PromiseDue], *, given_by: str, critical: bool, at: datetime
) -> list[Promise]:
    """Add promises that are earlier than those of the same kind already given, and the queue class that goes with them.

    given_by: what decided them, e.g. "decision:7". critical: whether harm cannot wait; a critical matter never becomes
    ordinary again. Returns the promises that were new.
    Raises Conversation.DoesNotExist.
    """
    conversation = Conversation.objects.select_for_update().get(pk=conversation_id)
    standing = {
        row["kind"]: row["earliest"]
        for row in Promise.objects.filter(conversation=conversation)
        .values("kind")
        .order_by("kind")
        .annotate(earliest=Min("due_at"))
    }
    new = [
        Promise(conversation=conversation, kind=p.kind, given_by=given_by, starts_at=p.starts_at, due_at=p.due_at)
        for p in promises
        if appended(standing.get(p.kind), due_at=p.due_at)
    ]
    kept_rows = Promise.objects.filter(conversation=conversation, met_at__isnull=False).order_by("-met_at")
    kept = {kind: met_at for kind, met_at in kept_rows.values_list("kind", "met_at") if met_at is not None}
    for promise in new:  # what was already done when the decision came counts
        if promise.kind in kept:
            promise.met_at = kept[promise.kind]
            late = kept[promise.kind] > promise.due_at
            promise.state = PromiseState.MET_LATE if late else PromiseState.MET
            promise.breached_at = at if late else None
    Promise.objects.bulk_create(new, ignore_conflicts=True)
    if critical:
        conversation.queue_class = QueueClass.CRITICAL
    settle_due(conversation, at=at)
    return new


@transaction.atomic
def give(
    conversation: Conversation,
    kind: PromiseKind,
    *,
    within: timedelta,
    starts_at: datetime,
    given_by: str,
    at: datetime,
) -> Promise:
    """Promise something on top of what is promised already, and place the matter accordingly. Locked by the caller.

    within: counted from starts_at. given_by: what asked for it; the same kind twice by the same is one promise.
    Raises nothing for a promise that was given before; that one is returned.
    """
    promise, _new = Promise.objects.get_or_create(
        conversation=conversation,
        kind=kind,
        given_by=given_by,
        defaults={"starts_at": starts_at, "due_at": starts_at + within},
    )
    settle_due(conversation, at=at)
    return promise


def meet(conversation: Conversation, kinds: Iterable[str], *, at: datetime, interaction: Interaction | None) -> None:
    """Mark the unmet promises of these kinds as kept. The conversation must be locked by the caller.

    at: when the answer was accepted for delivery. Late is late: such a promise stays missed and is kept late.
    """
    for promise in Promise.objects.select_for_update().filter(conversation=conversation, kind__in=list(kinds)).unmet():
        late = at > promise.due_at
        promise.state = PromiseState.MET_LATE if late else PromiseState.MET
        promise.breached_at = (promise.breached_at or at) if late else None
        promise.met_at, promise.met_by = at, interaction
        promise.save(update_fields=["state", "breached_at", "met_at", "met_by"])
    settle_due(conversation, at=at)


def keep_running(conversation: Conversation, *, at: datetime) -> None:
    """Promise the next news when a matter that waits for us has nothing promised any more. Locked by the caller; not saved."""
    if conversation.state != ConversationState.OPEN or conversation.due_at is not None:
        return
    news = next_news_promise(at)
    Promise.objects.create(
        conversation=conversation,
        kind=news.kind,
        given_by=f"news:{at.isoformat()}",
        starts_at=news.starts_at,
        due_at=news.due_at,
    )
    conversation.due_at = news.due_at


def settle_due(conversation: Conversation, *, at: datetime) -> None:
    """Write onto the conversation what places it in the queue. The conversation must be locked by the caller."""
    conversation.due_at = queue_due(
        Promise.objects.filter(conversation=conversation).unmet().values_list("kind", "due_at")
    )
    keep_running(conversation, at=at)
    conversation.save(update_fields=["due_at", "queue_class"])


@transaction.atomic
def breach_batch(*, at: datetime, size: int = BREACHED_AT_ONCE) -> int:
    """Write down promises whose time has passed unkept. Two sweepers at once share the work. Returns how many."""
    overdue = list(
        Promise.objects.overdue(at)
        .select_for_update(skip_locked=True, of=("self",))
        .select_related("conversation")
        .order_by("due_at")[:size]
    )
    if not overdue:
        return 0
    Promise.objects.filter(pk__in=[promise.pk for promise in overdue]).update(
        state=PromiseState.BREACHED, breached_at=at
    )
    HistoryEntry.objects.bulk_create(
        HistoryEntry(
            customer_id=promise.conversation.customer_id,
            verb="promise.missed",
            ref=f"conversation:{promise.conversation.public_id}",
            origin="worker",
            at=at,
            detail={"promise": promise.kind, "due_at": promise.due_at.isoformat()},
        )
        for promise in overdue
    )
    return len(overdue)
