"""Promises: given, warned of, kept, missed, explained. A due time never moves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Min
from django.utils.translation import gettext as _

from crm import history
from crm.actions import calendars
from crm.models import Conversation, Interaction, OutgoingMessage, Promise, User
from crm.policy import (
    ConversationState,
    MissReason,
    PromiseDue,
    PromiseKind,
    PromiseState,
    QueueClass,
    appended,
    named_moment,
    next_news_promise,
    promised,
    queue_due,
)

FURTHEST = timedelta(days=366)


class NotAMoment(ValueError):
    """A moment that has passed or is too far away to be promised."""

    code = "not_a_moment"


class NotMissed(ValueError):
    """A promise that was kept, or that nobody has missed yet."""

    code = "not_missed"


class WordsMissing(ValueError):
    """Something that has to be said in words."""

    code = "words_missing"


class NotReleasable(ValueError):
    """A promise that only keeping it ends."""

    code = "not_releasable"


def row(conversation: Conversation, due: PromiseDue, *, given_by: str) -> Promise:
    """A promise of a conversation, not yet written."""
    return Promise(conversation=conversation, given_by=given_by, **columns(due))


def columns(due: PromiseDue) -> dict[str, object]:
    """What a promise's row holds of what was promised."""
    return {
        "kind": due.kind,
        "starts_at": due.starts_at,
        "due_at": due.due_at,
        "warn_at": due.warn_at,
        "within_seconds": None if due.within is None else int(due.within.total_seconds()),
        "calendar_id": due.calendar,
    }


@transaction.atomic
def append(
    conversation_id: int,
    within: Iterable[tuple[PromiseKind, timedelta]],
    *,
    starts_at: datetime,
    given_by: str,
    critical: bool,
    at: datetime,
) -> list[Promise]:
    """Add promises that are earlier than those of the same kind already given, and the queue class that goes with them.

    within: how much service time per kind, counted from starts_at by the calendar of the customer's region. given_by: what
    decided them, e.g. "decision:7". critical: whether harm cannot wait; a critical matter never becomes ordinary again.
    Returns the promises that were new. Raises Conversation.DoesNotExist.
    """
    conversation = (
        Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=conversation_id)
    )
    calendar = calendars.in_force(conversation.customer.region, starts_at)
    standing = {
        row["kind"]: row["earliest"]
        for row in Promise.objects.filter(conversation=conversation)
        .values("kind")
        .order_by("kind")
        .annotate(earliest=Min("due_at"))
    }
    due = [promised(kind, starts_at=starts_at, within=time, calendar=calendar) for kind, time in within]
    new = [
        row(conversation, promise, given_by=given_by)
        for promise in due
        if appended(standing.get(promise.kind), due_at=promise.due_at)
    ]
    kept_rows = Promise.objects.filter(conversation=conversation, met_at__isnull=False).order_by("-met_at")
    kept = {kind: met_at for kind, met_at in kept_rows.values_list("kind", "met_at") if met_at is not None}
    if PromiseKind.OWNERSHIP not in kept and any(promise.kind == PromiseKind.OWNERSHIP for promise in new):
        told_at = _told_whose_it_is_at(conversation)
        kept |= {PromiseKind.OWNERSHIP: told_at} if told_at else {}
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


def _told_whose_it_is_at(conversation: Conversation) -> datetime | None:
    """When the first message in which its owner says that a matter is theirs was accepted for delivery."""
    said = OutgoingMessage.objects.filter(conversation=conversation, meets__contains=[PromiseKind.OWNERSHIP.value])
    first: datetime | None = said.aggregate(first=Min("accepted_at"))["first"]
    return first


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

    within: service time from starts_at on, by the calendar of the customer's region. given_by: what asked for it; the same
    kind twice by the same is one promise, and the one that stands is returned.
    """
    calendar = calendars.in_force(conversation.customer.region, starts_at)
    due = promised(kind, starts_at=starts_at, within=within, calendar=calendar)
    return _given(conversation, due, given_by=given_by, at=at)


@transaction.atomic
def give_by(
    conversation: Conversation, kind: PromiseKind, *, due_at: datetime, starts_at: datetime, given_by: str, at: datetime
) -> Promise:
    """Promise something by a moment that follows from something else, such as the deadline of the matter; else as `give`."""
    due = named_moment(kind, starts_at=starts_at, due_at=due_at)
    return _given(conversation, due, given_by=given_by, at=at)


@transaction.atomic
def promise_personally(
    conversation_id: int, *, due_at: datetime, words: str, by: User, at: datetime, key: str
) -> Promise:
    """Write down what a colleague promised by a moment of their own choosing ("I call you on Thursday at three").

    words: what was promised. key: the same twice is one promise. Raises Conversation.DoesNotExist, NotAMoment, WordsMissing;
    then nothing has changed.
    """
    if not words.strip():
        raise WordsMissing(_("Please write what you promised."))
    if not at < due_at <= at + FURTHEST:
        raise NotAMoment(_("Please name a moment that lies ahead, within a year."))
    conversation = (
        Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=conversation_id)
    )
    due = named_moment(PromiseKind.PERSONAL, starts_at=at, due_at=due_at)
    promise = _given(conversation, due, given_by=f"user:{by.pk}:{key}"[:80], at=at)
    history.record(
        conversation.customer,
        "promise.given",
        ref=f"conversation:{conversation.public_id}",
        by=by,
        at=at,
        detail={"promise": promise.pk, "kind": promise.kind, "due_at": due_at.isoformat()},
    )
    return promise


def _given(conversation: Conversation, due: PromiseDue, *, given_by: str, at: datetime) -> Promise:
    promise, _new = Promise.objects.get_or_create(
        conversation=conversation, kind=due.kind, given_by=given_by, defaults=columns(due)
    )
    settle_due(conversation, at=at)
    return promise


def meet(conversation: Conversation, kinds: Iterable[str], *, at: datetime, interaction: Interaction | None) -> None:
    """Mark the unmet promises of these kinds as kept. The conversation must be locked by the caller.

    at: when the answer was accepted for delivery; what was promised for something said after that is not kept by it. Late is
    late: such a promise stays missed and is kept late.
    """
    given = Promise.objects.select_for_update().filter(conversation=conversation, kind__in=list(kinds))
    for promise in given.filter(starts_at__lte=at).unmet():
        _keep(promise, at=at, interaction=interaction)
    settle_due(conversation, at=at)


def _keep(promise: Promise, *, at: datetime, interaction: Interaction | None) -> None:
    # What was missed when nobody knew of an answer yet stays missed, also when it turns out to have been given in time.
    late = at > promise.due_at or promise.breached_at is not None
    promise.state = PromiseState.MET_LATE if late else PromiseState.MET
    promise.breached_at = (promise.breached_at or at) if late else None
    promise.met_at, promise.met_by = at, interaction
    promise.save(update_fields=["state", "breached_at", "met_at", "met_by"])


@dataclass(frozen=True, slots=True)
class Kept:
    """One answer that reached the customer: when it was accepted, and the kinds of promise it keeps."""

    at: datetime
    kinds: frozenset[str]
    interaction: Interaction | None


def unmeet(
    conversation: Conversation, kinds: Iterable[str], *, kept_at: datetime, otherwise: Sequence[Kept] = (), at: datetime
) -> list[Promise]:
    """Take back that promises of these kinds were kept at kept_at, because what had kept them came back.

    otherwise: the other answers, oldest first; the first one that keeps a promise keeps it now. Due times never move, what
    was missed stays missed. The conversation must be locked by the caller. Returns the promises that are unmet again.
    """
    unmet = []
    kept = Promise.objects.select_for_update().filter(conversation=conversation, kind__in=list(kinds), met_at=kept_at)
    for promise in kept:
        promise.state = PromiseState.RUNNING if promise.breached_at is None else PromiseState.BREACHED
        promise.met_at, promise.met_by = None, None
        promise.save(update_fields=["state", "met_at", "met_by"])
        answer = next((one for one in otherwise if promise.kind in one.kinds and one.at >= promise.starts_at), None)
        if answer is not None:
            _keep(promise, at=answer.at, interaction=answer.interaction)
        else:
            unmet.append(promise)
    settle_due(conversation, at=at)
    return unmet


@transaction.atomic
def keep_personally(promise_id: int, *, by: User, at: datetime) -> Promise:
    """Say that a colleague's own promise was kept. Raises Promise.DoesNotExist, NotReleasable; then nothing has changed."""
    promise, conversation = _locked(promise_id)
    if promise.kind != PromiseKind.PERSONAL or promise.state not in (PromiseState.RUNNING, PromiseState.BREACHED):
        raise NotReleasable(
            _("Only a colleague's own open promise is kept by saying so; others by what reaches the customer.")
        )
    _keep(promise, at=at, interaction=None)
    settle_due(conversation, at=at)
    _record(conversation, "promise.kept", promise, by=by, at=at)
    return promise


@transaction.atomic
def release(promise_id: int, *, words: str, by: User, at: datetime) -> Promise:
    """End a promise because the customer does not want it any more, with what they said. It counts neither kept nor missed.

    Only a colleague's own promise or a call-back can be; what everybody is promised, and what has been missed, stands.
    Raises Promise.DoesNotExist, NotReleasable, WordsMissing; then nothing has changed.
    """
    if not words.strip():
        raise WordsMissing(_("Please note what the customer said."))
    promise, conversation = _locked(promise_id)
    if promise.kind not in (PromiseKind.PERSONAL, PromiseKind.CALL_BACK) or promise.state != PromiseState.RUNNING:
        raise NotReleasable(_("This promise ends only by being kept."))
    promise.state, promise.explanation = PromiseState.RELEASED, words.strip()[:300]
    promise.explained_at, promise.explained_by = at, by
    promise.save(update_fields=["state", "explanation", "explained_at", "explained_by"])
    settle_due(conversation, at=at)
    _record(conversation, "promise.released", promise, by=by, at=at)
    return promise


@transaction.atomic
def explain(promise_id: int, *, reason: MissReason, words: str, by: User, at: datetime) -> Promise:
    """Say why a promise was missed; that it was missed stays (Q6). Explaining again replaces the words, history keeps both.

    Raises Promise.DoesNotExist, NotMissed, WordsMissing; then nothing has changed.
    """
    if not words.strip():
        raise WordsMissing(_("Please write in a sentence why it was missed."))
    promise, conversation = _locked(promise_id)
    if promise.breached_at is None:
        raise NotMissed(_("This promise was not missed."))
    promise.reason, promise.explanation = reason, words.strip()[:300]
    promise.explained_at, promise.explained_by = at, by
    promise.save(update_fields=["reason", "explanation", "explained_at", "explained_by"])
    _record(conversation, "promise.explained", promise, by=by, at=at)
    return promise


def _locked(promise_id: int) -> tuple[Promise, Conversation]:
    """Lock a promise and its conversation, the conversation first as everybody does."""
    number = Promise.objects.values_list("conversation_id", flat=True).get(pk=promise_id)
    conversation = Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=number)
    return Promise.objects.select_for_update().get(pk=promise_id), conversation


def _record(conversation: Conversation, verb: str, promise: Promise, *, by: User, at: datetime) -> None:
    history.record(
        conversation.customer,
        verb,
        ref=f"conversation:{conversation.public_id}",
        by=by,
        at=at,
        detail={"promise": promise.pk, "kind": promise.kind, "reason": promise.reason},
    )


def keep_running(conversation: Conversation, *, at: datetime) -> None:
    """Promise the next news when a matter that waits for us has nothing promised any more. Locked by the caller; not saved."""
    if conversation.state != ConversationState.OPEN or conversation.due_at is not None:
        return
    news = next_news_promise(at, calendar=calendars.in_force(conversation.customer.region, at))
    promise = row(conversation, news, given_by=f"news:{at.isoformat()}")
    promise.save(force_insert=True)
    conversation.due_at = promise.due_at


def settle_due(conversation: Conversation, *, at: datetime) -> None:
    """Write onto the conversation what places it in the queue. The conversation must be locked by the caller."""
    conversation.due_at = queue_due(
        Promise.objects.filter(conversation=conversation).unmet().values_list("kind", "due_at")
    )
    keep_running(conversation, at=at)
    conversation.save(update_fields=["due_at", "queue_class"])
