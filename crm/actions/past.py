"""Things said long ago that come in now: closed and marked as imported. They count in reports and start no clock (domain C.5).

Nothing here promises an answer, opens a case, names an owner or sends anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from crm import history
from crm.actions import identity, posts
from crm.channels import Message
from crm.models import ContactPoint, Conversation, Customer, HistoryEntry, Interaction, PublicPost
from crm.policy import ConversationState, Direction

RACES_TRIED = 5
_LOST_RACES = frozenset({"contact_point_one_customer", "interaction_received_once"})


@dataclass(frozen=True, slots=True)
class Past:
    """One thing said: message.spoke_at says when, and has to. answered_at: when one of us answered in that very moment.

    A message without a sender's address is of somebody who cannot be reached.
    """

    message: Message
    answered_at: datetime | None = None


def known(messages: Sequence[Message]) -> set[tuple[str, str]]:
    """Which of these were taken in before, as (source, external_id). One statement."""
    found = Interaction.objects.filter(
        source__in={one.source for one in messages}, external_id__in=[one.external_id[:200] for one in messages]
    )
    return set(found.values_list("source", "external_id"))


def bring_in(told: Sequence[Past], *, at: datetime) -> list[Interaction]:
    """Write each as a closed, imported conversation of its own, in one transaction; what is there already is left as it is.

    Returns the new ones, in the order given. Raises ValueError for a message without a time.
    """
    if any(one.message.spoke_at is None for one in told):
        raise ValueError("What was said in the past needs its time.")
    for race in range(RACES_TRIED):
        try:
            with transaction.atomic():
                return _bring_in(told, at=at)
        except IntegrityError as collision:
            constraint = getattr(getattr(collision.__cause__, "diag", None), "constraint_name", "")
            if constraint not in _LOST_RACES or race == RACES_TRIED - 1:
                raise  # somebody else brings in the same this instant: look again
    raise AssertionError("the loop above returns or raises")


def _bring_in(told: Sequence[Past], *, at: datetime) -> list[Interaction]:
    there = known([one.message for one in told])
    fresh = {(one.message.source, one.message.external_id[:200]): one for one in told}
    new = [one for key, one in fresh.items() if key not in there]
    points = _points([one.message for one in new], at=at)
    nobody = [
        Customer(display_name=one.message.sender_name[:200], created_at=at)
        for one in new
        if not one.message.sender_address
    ]
    Customer.objects.bulk_create(nobody)
    unreachable = iter(nobody)
    conversations: list[Conversation] = []
    interactions: list[Interaction] = []
    entries: list[HistoryEntry] = []
    for one in new:
        message = one.message
        point, spoke_at = points.get(_address(message)), message.spoke_at or at
        customer = point.customer if point is not None else next(unreachable)
        conversation = Conversation(
            customer=customer,
            channel=message.channel,
            subject=message.subject[:300],
            state=ConversationState.CLOSED,
            spoke_at=spoke_at,
            last_inbound_at=spoke_at,
            last_outbound_at=one.answered_at,
            first_answer_at=one.answered_at,
            imported=True,
        )
        conversations.append(conversation)
        interactions.append(_interaction(message, conversation, point, at=at))
        entries.append(
            history.entry(
                customer,
                "conversation.imported",
                ref=f"conversation:{conversation.public_id}",
                by=None,
                at=at,
                origin="import",
                detail={"interactions": 1, "channel": str(message.channel)},
            )
        )
    Conversation.objects.bulk_create(conversations)
    Interaction.objects.bulk_create(interactions)
    in_public = [row for one in interactions for row in posts.rows(one, is_first=True, due_at=None, imported=True)]
    for row in in_public:
        row.answered_at = row.conversation.first_answer_at
    PublicPost.objects.bulk_create(in_public)
    HistoryEntry.objects.bulk_create(entries)
    return interactions


def _address(message: Message) -> tuple[str, str]:
    """How somebody is reached, in the form it is compared in; two empty words for somebody who cannot be."""
    if not message.sender_address:
        return ("", "")
    return message.sender_kind, identity.normalised(message.sender_kind, message.sender_address)


def _points(messages: Sequence[Message], *, at: datetime) -> dict[tuple[str, str], ContactPoint]:
    """The contact point of everybody who can be reached; new ones are written with their customers."""
    named: dict[tuple[str, str], Message] = {}
    for message in messages:
        if message.sender_address:
            named.setdefault(_address(message), message)
    found = ContactPoint.objects.filter(
        address__in=[address for _kind, address in named], unlinked_at=None
    ).select_related("customer")
    points = {(point.kind, point.address): point for point in found if (point.kind, point.address) in named}
    new = [
        ContactPoint(
            customer=Customer(
                display_name=message.sender_name[:200],
                language=message.language[:16],
                created_at=message.spoke_at or at,
            ),
            kind=kind,
            address=address,
            created_at=at,
        )
        for (kind, address), message in sorted(named.items())
        if (kind, address) not in points
    ]
    Customer.objects.bulk_create([point.customer for point in new])
    ContactPoint.objects.bulk_create(new)
    return points | {(point.kind, point.address): point for point in new}


def _interaction(
    message: Message, conversation: Conversation, point: ContactPoint | None, *, at: datetime
) -> Interaction:
    columns: dict[str, Any] = {
        name: getattr(message, name)
        for name in (
            "channel",
            "source",
            "html",
            "spoke_at",
            "wait_seconds",
            "hold_seconds",
            "call_seconds",
            "ended_by",
        )
    }
    return Interaction(
        conversation=conversation,
        direction=Direction.INBOUND,
        contact_point=point,
        external_id=message.external_id[:200],
        subject=message.subject[:300],
        text=message.text,
        language=message.language[:16],
        ingested_at=at,
        imported=True,
        **columns,
    )
