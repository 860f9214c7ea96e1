"""What became of a message that was handed over: accepted, refused, unknown; written down once, behind the fence of its attempt."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F

from crm import dispatch, history
from crm.actions import posts, promises, work
from crm.channels.sending import Handed, Outcome
from crm.models import (
    Conversation,
    DeliveryEvent,
    OutgoingMessage,
)
from crm.policy import (
    ConversationState,
    Delivery,
    MessageKind,
    OutgoingState,
    PromiseKind,
    WorkState,
    after_failure,
    after_unknown_outcome,
    next_attempt_at,
)
from crm.together import prepared

logger = logging.getLogger(__name__)

UNREACHABLE_AGAIN_AFTER = timedelta(seconds=30)
"""When a provider that did not answer at all is tried again; one try per batch, so nothing burns its attempts (F31)."""


LONGEST_WAIT = timedelta(days=1)
"""The longest time for which a provider that asks us to wait is left alone (F33)."""


def ref_of(message: OutgoingMessage) -> str:
    """What history entries and work items call this message."""
    return f"outgoing:{message.public_id}"


def mine(message: OutgoingMessage, *states: OutgoingState) -> Any:
    """The row as long as this attempt still owns it: the fence of every write."""
    return OutgoingMessage.objects.filter(pk=message.pk, attempt=message.attempt, state__in=states)


def settle(message: OutgoingMessage, handed: Handed, *, at: datetime) -> None:
    """Write down what came of handing a message over; nothing when another attempt owns the row by now."""
    if handed.outcome == Outcome.ACCEPTED:
        _accepted(message, at=at, provider_id=handed.provider_id, reason=handed.reason)
    elif handed.outcome == Outcome.REFUSED:
        _refused(message, handed.reason, at=at)
    elif handed.outcome == Outcome.UNKNOWN:
        unknown(message, handed.reason, at=at)
    elif handed.outcome == Outcome.UNREACHABLE:
        back(message, handed.reason, at=at)
    else:
        failures = message.failures + 1
        mine(message, OutgoingState.HANDING).update(
            state=OutgoingState.READY,
            reason=handed.reason,
            failures=failures,
            lease_until=None,
            send_after=max(
                next_attempt_at(failures, at=at, spread=secrets.randbelow(1000) / 1000),
                at + min(handed.wait, LONGEST_WAIT),
            ),
        )


_ACCEPTED = f"""
WITH given AS (SELECT * FROM unnest(%(ids)s::bigint[], %(attempts)s::int[], %(provider_ids)s::text[], %(refs)s::text[],
                                    %(concerns)s::text[], %(kinds)s::text[], %(ats)s::timestamptz[])
               AS given (id, attempt, provider_id, ref, concerns, kind, at)),
mine AS (UPDATE crm_outgoingmessage m SET state = 'accepted', accepted_at = given.at, reason = '', lease_until = NULL,
                                          provider_id = given.provider_id
         FROM given
         WHERE m.id = given.id AND m.attempt = given.attempt AND m.state IN ('handing', 'ready', 'held', 'parked')
         RETURNING m.id, m.customer_id, given.ref, given.concerns, given.at,
                   jsonb_build_object('kind', given.kind) AS detail),
told AS ({history.insert_from("mine", verb="message.accepted")}),
follows AS (
  INSERT INTO crm_workitem (key, lane, event, ref, due_at, state, reason, attempt)
  SELECT lane || ':outgoing.accepted:' || concerns, lane, 'outgoing.accepted', concerns, at, 'ready', '', 0
  FROM mine, unnest(%(lanes)s::text[]) lane
  WHERE concerns <> '' AND NOT EXISTS (SELECT FROM crm_deliveryevent e WHERE e.message_id = mine.id AND e.kind = 'bounced')
  ON CONFLICT DO NOTHING)
SELECT id FROM mine
"""  # noqa: S608
"""The same for messages about no matter, as one statement and commit; told like `history.record`, followed like `work.follow`."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message that was accepted for delivery, when, and what the provider calls it."""

    message: OutgoingMessage
    at: datetime
    provider_id: str


def was_accepted(message: OutgoingMessage, *, at: datetime) -> None:
    """Note that a message whose outcome nobody knew had arrived: its provider reports on it. at: when it says it happened."""
    _accepted(message, at=at)


def accepted_alone(arrived: Sequence[Arrived]) -> None:
    """Write down that messages about no matter were accepted; one statement. None of those that another attempt took over."""
    messages = [one.message for one in arrived]
    owned = prepared(
        _ACCEPTED,
        {
            "ids": [message.pk for message in messages],
            "attempts": [message.attempt for message in messages],
            "provider_ids": [one.provider_id[:200] for one in arrived],
            "refs": [ref_of(message) for message in messages],
            "concerns": [message.concerns for message in messages],
            "kinds": [str(message.kind) for message in messages],
            "ats": [one.at for one in arrived],
            "lanes": [nudge.lane for nudge in settings.EVENHAND_NUDGES["outgoing.accepted"] if nudge.keeps_row],
        },
    )
    for number in {message.pk for message in messages} - {number for (number,) in owned}:
        logger.warning("Message %s was accepted after another attempt took it over.", number)
    if owned and any(message.concerns for message in messages):
        dispatch.after_commit("outgoing.accepted")


def _accepted(message: OutgoingMessage, *, at: datetime, provider_id: str = "", reason: str = "") -> None:
    if message.conversation_id:
        _accepted_in_matter(message, message.conversation_id, at=at, provider_id=provider_id, reason=reason)
    else:
        accepted_alone([Arrived(message, at, provider_id)])


@transaction.atomic
def _accepted_in_matter(
    message: OutgoingMessage, conversation_id: int, *, at: datetime, provider_id: str, reason: str
) -> None:
    conversation = Conversation.objects.select_for_update().get(pk=conversation_id)
    # A worker that slept past its lease still knows that this one arrived, as long as nobody took it up again.
    known = (OutgoingState.HANDING, OutgoingState.READY, OutgoingState.HELD, OutgoingState.PARKED)
    owned = mine(message, *known).update(
        state=OutgoingState.ACCEPTED,
        accepted_at=at,
        reason=reason,
        lease_until=None,
        # A report that was quicker than our note names what we learned before.
        provider_id=provider_id[:200] or message.provider_id,
    )
    if not owned:
        logger.warning("Message %s was accepted after another attempt took it over.", message.pk)
        return
    # A provider's news may be quicker than our own note of handing it over.
    came_back = DeliveryEvent.objects.filter(message=message, kind=Delivery.BOUNCED).exists()
    if came_back:
        give_back(message, at=at)
    else:
        reached(message, conversation, at=at)
    history.record(
        message.customer, "message.accepted", ref=ref_of(message), by=None, at=at, detail={"kind": message.kind}
    )
    if message.concerns and not came_back:
        work.follow("outgoing.accepted", ref=message.concerns, at=at)


def reached(message: OutgoingMessage, conversation: Conversation, *, at: datetime) -> None:
    """Let a message that reached the customer at that moment count: promises, first answer, coverage. Locked by the caller.

    What was promised for something said later than that is not kept by it.
    """
    if message.meets:
        promises.meet(conversation, message.meets, at=at, interaction=message.interaction)
    if message.kind == MessageKind.SERVICE:
        conversation.last_outbound_at = max(conversation.last_outbound_at or at, at)
    if PromiseKind.FIRST_RESPONSE in message.meets:
        conversation.first_answer_at = min(conversation.first_answer_at or at, at)
        posts.answered(conversation, written_at=message.created_at, at=at)
    conversation.save(update_fields=["last_outbound_at", "first_answer_at"])


@transaction.atomic
def _refused(message: OutgoingMessage, reason: str, *, at: datetime) -> None:
    if not mine(message, OutgoingState.HANDING).update(state=OutgoingState.REFUSED, reason=reason, lease_until=None):
        return
    history.record(message.customer, "message.refused", ref=ref_of(message), by=None, at=at, detail={"reason": reason})
    give_back(message, at=at)


@transaction.atomic
def park(message: OutgoingMessage, reason: str, *, at: datetime) -> None:
    """Set a message aside where people see it."""
    ours = mine(message, OutgoingState.CLAIMED, OutgoingState.HANDING)
    if not ours.update(state=OutgoingState.PARKED, reason=reason, failures=F("failures") + 1, lease_until=None):
        return
    history.record(message.customer, "message.parked", ref=ref_of(message), by=None, at=at, detail={"reason": reason})
    give_back(message, at=at)


def give_back(message: OutgoingMessage, *, at: datetime) -> None:
    """An answer that did not reach the customer puts the matter back on its owner's desk; the promise was never met."""
    if not message.conversation_id or not message.meets:
        return
    conversation = Conversation.objects.select_for_update().get(pk=message.conversation_id)
    if conversation.state == ConversationState.WAITING:
        conversation.state = ConversationState.OPEN
        promises.keep_running(conversation, at=at)
        conversation.save(update_fields=["state", "due_at"])


@transaction.atomic
def unknown(message: OutgoingMessage, reason: str, *, at: datetime) -> None:
    """Record an unknown outcome, then let policy say whether words are repeated or value waits for a person.

    After the third it is parked: the customer may have three copies by now, and a person looks before a fourth.
    """
    follows = after_unknown_outcome(has_value=message.has_value)
    if follows == OutgoingState.READY and after_failure(message.unknown_outcomes + 1) == WorkState.PARKED:
        follows = OutgoingState.PARKED
    changed = mine(message, OutgoingState.CLAIMED, OutgoingState.HANDING).update(
        state=follows,
        reason=reason,
        unknown_outcomes=F("unknown_outcomes") + 1,
        failures=F("failures") + 1,
        lease_until=None,
        send_after=next_attempt_at(message.failures + 1, at=at, spread=secrets.randbelow(1000) / 1000),
    )
    if not changed:
        return
    detail = {"then": follows, "reason": reason}
    history.record(message.customer, "message.outcome_unknown", ref=ref_of(message), by=None, at=at, detail=detail)
    if follows == OutgoingState.PARKED:
        give_back(message, at=at)


def put_back(message: OutgoingMessage, *, at: datetime) -> None:
    """Put a message back that was begun and never handed over, to be looked at again at once."""
    mine(message, OutgoingState.HANDING).update(state=OutgoingState.READY, lease_until=None, send_after=at)


def back(message: OutgoingMessage, reason: str, *, at: datetime) -> None:
    """Put a message back that never left; nobody answered, so the attempt does not count against it."""
    mine(message, OutgoingState.CLAIMED, OutgoingState.HANDING).update(
        state=OutgoingState.READY,
        reason=reason,
        lease_until=None,
        send_after=at + UNREACHABLE_AGAIN_AFTER,
    )
