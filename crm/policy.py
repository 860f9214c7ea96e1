"""What crm decides, as pure functions: which state may follow which, what a customer is promised, who comes next.

Nothing here knows a channel, a model, a queue or the network; times are arguments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import IntegerChoices, TextChoices
from django.utils.translation import gettext_lazy as _


class Direction(TextChoices):
    INBOUND = "in", _("from the customer")
    OUTBOUND = "out", _("to the customer")
    INTERNAL = "internal", _("note")


# --- conversations --------------------------------------------------------------------------------------------------


class ConversationState(TextChoices):
    OPEN = "open", _("waiting for us")
    WAITING = "waiting_customer", _("waiting for the customer")
    CLOSED = "closed", _("closed")


CONVERSATION_NEXT: dict[ConversationState, frozenset[ConversationState]] = {
    ConversationState.OPEN: frozenset({ConversationState.WAITING, ConversationState.CLOSED}),
    ConversationState.WAITING: frozenset({ConversationState.OPEN, ConversationState.CLOSED}),
    ConversationState.CLOSED: frozenset({ConversationState.OPEN}),
}


class QueueClass(IntegerChoices):
    """The first part of the queue's order: only harm that cannot wait goes before everybody else (domain.md C.6)."""

    CRITICAL = 0, _("critical harm")
    ORDINARY = 1, _("ordinary")


def queue_key(
    *, queue_class: int, due_at: datetime, spoke_at: datetime, number: int
) -> tuple[int, datetime, datetime, int]:
    """Say where a conversation stands in the one queue: critical harm, then earliest promise, then who spoke first.

    Times are aware. Source: critical first, then earliest due date, not pre-emptive (docs/adr/0014).
    """
    return (queue_class, due_at, spoke_at, number)


def owner_for(conversation_key: str, *, staff: Sequence[int], previous_owner: int | None) -> int | None:
    """Name the person a new conversation belongs to, or None when nobody can take it.

    A returning customer reaches the person who knows the matter. Everybody else is spread evenly by rendezvous: the
    colleague whose hash with the conversation's key is highest. No counter row is locked, and nobody can choose.
    conversation_key: the conversation's public id. staff: ids of those who can take a conversation now.
    Source: Thaler & Ravishankar 1998 (highest random weight); docs/adr/0013.
    """
    if previous_owner is not None and previous_owner in staff:
        return previous_owner
    return max(staff, key=lambda person: hashlib.sha256(f"{conversation_key}:{person}".encode()).digest(), default=None)


# --- promises -------------------------------------------------------------------------------------------------------


class PromiseKind(TextChoices):
    FIRST_RESPONSE = "first_response", _("first answer")
    OWNERSHIP = "ownership", _("a named person takes it on")
    NEXT_UPDATE = "next_update", _("next news")
    CONFIRMATION = "confirmation", _("written confirmation")
    RESOLUTION = "resolution", _("settled")


class PromiseState(TextChoices):
    RUNNING = "running", _("running")
    MET = "met", _("kept")
    BREACHED = "breached", _("missed")
    MET_LATE = "met_late", _("kept late")


FIRST_RESPONSE_WITHIN = timedelta(hours=8)
CONFIRMATION_WITHIN = timedelta(hours=1)
NEXT_UPDATE_WITHIN = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class PromiseDue:
    """One promise: what, counted from when, due when (both aware)."""

    kind: PromiseKind
    starts_at: datetime
    due_at: datetime


def default_promises(spoke_at: datetime, *, spoken: bool) -> tuple[PromiseDue, ...]:
    """Say what everybody who addresses us is promised, counted from when they spoke.

    spoken: the customer talked to a person of ours (phone, counter), so nothing is in writing yet; they get a written
    confirmation too, which every written channel has by its nature.
    Returns aware due times. Source: docs/policy.md "What everybody is promised"; elapsed hours, the same for everyone.
    """
    promises = [PromiseDue(PromiseKind.FIRST_RESPONSE, spoke_at, spoke_at + FIRST_RESPONSE_WITHIN)]
    if spoken:
        promises.append(PromiseDue(PromiseKind.CONFIRMATION, spoke_at, spoke_at + CONFIRMATION_WITHIN))
    return tuple(promises)


def queue_due(unmet: Iterable[tuple[str, datetime]]) -> datetime | None:
    """Say which due time places a matter in the queue: the earliest of what is unmet, None when nothing is.

    unmet: (promise kind, due at). The written confirmation of a talk is a duty beside the matter and moves nobody forward:
    whoever called stands where whoever wrote the same would stand.
    """
    by_kind = list(unmet)
    matter = [due_at for kind, due_at in by_kind if kind != PromiseKind.CONFIRMATION]
    return min(matter or [due_at for _kind, due_at in by_kind], default=None)


def next_answer_promise(spoke_at: datetime) -> PromiseDue:
    """Say what somebody who writes again after our answer is promised: an answer within the same time as the first."""
    return PromiseDue(PromiseKind.NEXT_UPDATE, spoke_at, spoke_at + FIRST_RESPONSE_WITHIN)


def next_news_promise(at: datetime) -> PromiseDue:
    """Say by when there is news for somebody whose matter stays with us after an answer (R007)."""
    return PromiseDue(PromiseKind.NEXT_UPDATE, at, at + NEXT_UPDATE_WITHIN)


def appended(existing_due_at: datetime | None, *, due_at: datetime) -> bool:
    """Say whether a newly decided due time is worth a promise of its own: promises only ever become earlier."""
    return existing_due_at is None or due_at < existing_due_at


def promises_an_answer_keeps() -> list[PromiseKind]:
    """The promises that a human answer keeps once it is accepted for delivery."""
    return [PromiseKind.FIRST_RESPONSE, PromiseKind.NEXT_UPDATE]


def may_close(unmet: Iterable[str]) -> bool:
    """Say whether a conversation may be closed: nothing that was promised may be left undone."""
    return not set(unmet)


# --- outgoing messages ----------------------------------------------------------------------------------------------


class MessageKind(TextChoices):
    SERVICE = "service", _("service")
    GESTURE = "gesture", _("gesture")


class OutgoingState(TextChoices):
    READY = "ready", _("waiting to be sent")
    CLAIMED = "claimed", _("being prepared")
    HANDING = "handing", _("being handed over")
    ACCEPTED = "accepted", _("accepted for delivery")
    REFUSED = "refused", _("refused by the receiving side")
    UNKNOWN = "unknown", _("handed over, outcome unknown")
    HELD = "held", _("held for a person")
    PARKED = "parked", _("parked after several attempts")
    CANCELLED = "cancelled", _("cancelled")


OUTGOING_NEXT: dict[OutgoingState, frozenset[OutgoingState]] = {
    OutgoingState.READY: frozenset({OutgoingState.CLAIMED, OutgoingState.CANCELLED}),
    OutgoingState.CLAIMED: frozenset(
        {OutgoingState.HANDING, OutgoingState.READY, OutgoingState.HELD, OutgoingState.PARKED, OutgoingState.CANCELLED}
    ),
    OutgoingState.HANDING: frozenset(
        {
            OutgoingState.ACCEPTED,
            OutgoingState.REFUSED,
            OutgoingState.READY,
            OutgoingState.UNKNOWN,
            OutgoingState.PARKED,
        }
    ),
    OutgoingState.UNKNOWN: frozenset({OutgoingState.READY, OutgoingState.HELD, OutgoingState.ACCEPTED}),
    OutgoingState.ACCEPTED: frozenset(),
    OutgoingState.REFUSED: frozenset({OutgoingState.READY}),
    OutgoingState.HELD: frozenset({OutgoingState.READY, OutgoingState.CANCELLED}),
    OutgoingState.PARKED: frozenset({OutgoingState.READY, OutgoingState.CANCELLED}),
    OutgoingState.CANCELLED: frozenset(),
}

ATTEMPTS_BEFORE_PARKING = 3
"""A piece of work that failed this often is set aside where people see it (reliability.md 4.1)."""
SENDING_GIVEN_UP_AFTER = timedelta(days=4)
"""How long a temporary refusal is tried again, as mail servers do (RFC 5321 4.5.4.1)."""


def next_attempt_at(attempt: int, *, at: datetime, spread: float) -> datetime:
    """Say when to try again after the given number of failed attempts.

    attempt: 1 for the first failure. spread: 0.0–1.0, so that a thousand messages do not come back in the same second.
    Returns at + 5, 10, 20 … minutes, at most 4 hours, plus up to a tenth.
    """
    minutes = min(5 * 2 ** (attempt - 1), 240)
    return at + timedelta(minutes=minutes * (1 + spread / 10))


def after_unknown_outcome(*, has_value: bool) -> OutgoingState:
    """Say what follows when a message was handed over and nobody knows whether it arrived.

    Words may be repeated under the same Message-ID; what has value waits for a person (promise Q4).
    """
    return OutgoingState.HELD if has_value else OutgoingState.READY


@dataclass(frozen=True, slots=True)
class StopFacts:
    """What is known about a recipient in the moment a message would leave."""

    kind: MessageKind
    customer_status: str
    has_outreach_hold: bool
    has_consent: bool


def reason_to_stop(facts: StopFacts) -> str:
    """Give the code of the reason why a message may not leave now, or "" when it may.

    Service answers are owed and always leave, except to somebody who has died or was erased; kindness needs consent and
    waits while a matter is open (R168, X17, promise Q1 of loyalty).
    """
    if facts.customer_status in ("deceased", "erased"):
        return f"customer_{facts.customer_status}"
    if facts.kind == MessageKind.SERVICE:
        return ""
    if facts.has_outreach_hold:
        return "outreach_on_hold"
    if not facts.has_consent:
        return "no_consent"
    return ""


# --- raw input and other due work -----------------------------------------------------------------------------------


class WorkState(TextChoices):
    READY = "ready", _("waiting")
    CLAIMED = "claimed", _("being worked on")
    DONE = "done", _("done")
    PARKED = "parked", _("parked")


def after_failure(attempt: int) -> WorkState:
    """Say what becomes of a piece of work after its given failed attempt."""
    return WorkState.PARKED if attempt >= ATTEMPTS_BEFORE_PARKING else WorkState.READY


# --- staff ----------------------------------------------------------------------------------------------------------


class Role(TextChoices):
    """What a colleague is here for; the rights of each are one table in crm/actions/staff.py."""

    AGENT = "agent", _("agent")
    LEAD = "lead", _("lead")
    LOYALTY_MANAGER = "loyalty_manager", _("loyalty manager")
    AUDITOR = "auditor", _("auditor")
    ADMINISTRATOR = "administrator", _("administrator")


def earliest(due_times: Iterable[datetime | None]) -> datetime | None:
    """Give the earliest of some due times, None when nothing is due."""
    return min((due for due in due_times if due is not None), default=None)
