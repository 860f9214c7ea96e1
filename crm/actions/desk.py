"""What colleagues do at their desk: answer, write down a call, leave a note, close."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from crm import history
from crm.actions import answers, calls, closing_lines, endings, identity, intake, promises, queue, talks
from crm.actions.talks import Call
from crm.channels import Channel
from crm.models import ContactPoint, Conversation, Interaction, OutgoingMessage, Promise, User
from crm.models.people import ContactKind
from crm.policy import (
    CONFIRMATION_WITHIN,
    CONVERSATION_NEXT,
    ConversationState,
    Direction,
    HowClosed,
    OutOfOrder,
    PromiseKind,
    PullEnd,
    WorkMode,
    may_close,
    promises_an_answer_keeps,
    unfinished,
)

WrongState = endings.WrongState
"""The conversation cannot go from its state to the wanted one."""
NoWayBack = answers.NoWayBack
answer = answers.answer
tell = answers.tell


class StillPromised(Exception):
    """Something promised has not been done yet."""

    code = "still_promised"


def log_call(call: Call, *, by: User, at: datetime, origin: str = "admin") -> intake.Received:
    """Write down a talk: what the customer said comes in like everything else, what was agreed leaves in writing.

    The first answer, the written confirmation and a call-back are kept when the confirmation is accepted for delivery; a
    talk that was cut off keeps no call-back. A talk after a missed call goes on with the matter that call opened.
    Raises talks.NotYet, talks.NotTheirMatter, intake.NothingSaid, identity.UnusableAddress, intake.DifferentContent,
    calls.NotAnswered, calls.WrittenDown, Conversation.DoesNotExist, crm.models.Call.DoesNotExist; then nothing has changed.
    """
    talks.check(call, at=at)
    with transaction.atomic():
        live = calls.to_write_down(call.live) if call.live else None
        matter = talks.matter_of(call, live)
        received = intake.receive(
            talks.heard(call, live, matter, at=at), by=by, at=at, origin=origin, conversation=matter
        )
        if received.created:
            if matter is not None:
                promises.give(
                    received.conversation,
                    PromiseKind.CONFIRMATION,
                    within=CONFIRMATION_WITHIN,
                    starts_at=received.interaction.spoke_at,
                    given_by=f"talk:{received.interaction.public_id}",
                    at=at,
                )
            if live is not None:
                calls.written_down(live, received.interaction, said_all=call.said_all, by=by, at=at)
            if call.email.strip() and call.agreed.strip():
                is_over = live is None or not unfinished(live.ended_by, said_all=call.said_all)
                _confirm(received.conversation, call, by=by, at=at, origin=origin, is_over=is_over)
    return received


def _confirm(
    conversation: Conversation, call: Call, *, by: User, at: datetime, origin: str, is_over: bool
) -> OutgoingMessage:
    address = identity.normalised(ContactKind.EMAIL, call.email)
    point = ContactPoint.objects.filter(kind=ContactKind.EMAIL, address=address, unlinked_at=None).first()
    if point is None:
        point = ContactPoint.objects.create(
            customer=conversation.customer, kind=ContactKind.EMAIL, address=address, created_at=at
        )
    message = answers.say(
        conversation,
        text=call.agreed,
        way=answers.Way(Channel.EMAIL, point),
        by=by,
        at=at,
        key=f"confirmation:{call.key}",
        origin=origin,
        concerns="",
        meets=[
            *promises_an_answer_keeps(),
            PromiseKind.CONFIRMATION,
            *([PromiseKind.CALL_BACK] if is_over else []),
        ],
        template="confirmation",
        thread=[],
        beside=queue.answered(conversation, by=by, at=at, out_of_order=OutOfOrder.ON_THE_LINE, mode=WorkMode.TALK),
    )
    conversation.state = ConversationState.WAITING if is_over else ConversationState.OPEN
    conversation.save(update_fields=["state", "owner"])
    return message


@transaction.atomic
def note(conversation_id: int, *, text: str, by: User, at: datetime, key: str = "") -> Interaction:
    """Leave a note that only colleagues see. The same key twice is one note.

    Raises Conversation.DoesNotExist, intake.NothingSaid.
    """
    if not text.strip():
        raise intake.NothingSaid(_("There are no words in this note yet."))
    conversation = (
        Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=conversation_id)
    )
    standing = Interaction.objects.filter(source="desk:notes", external_id=key).first() if key else None
    if standing is not None:
        return standing
    interaction = Interaction.objects.create(
        conversation=conversation,
        direction=Direction.INTERNAL,
        channel=conversation.channel,
        author=by,
        source="desk:notes",
        external_id=key or str(uuid.uuid4()),
        text=text,
        spoke_at=at,
        ingested_at=at,
    )
    queue.goes_on(conversation, by=by, at=at)
    history.record(
        conversation.customer, "conversation.noted", ref=f"conversation:{conversation.public_id}", by=by, at=at
    )
    return interaction


@transaction.atomic
def close(conversation_id: int, *, by: User, at: datetime, origin: str = "admin", reason: str = "") -> Conversation:
    """Close a conversation in which nothing is promised any more.

    reason: why it is settled now, needed when it came back within two weeks; then another person closes it.
    Raises Conversation.DoesNotExist, WrongState, StillPromised, endings.SamePerson,
    endings.ReasonMissing; then nothing has changed.
    """
    conversation = (
        Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=conversation_id)
    )
    if ConversationState.CLOSED not in CONVERSATION_NEXT[ConversationState(conversation.state)]:
        raise WrongState(_("This conversation is already closed."))
    unmet = set(Promise.objects.filter(conversation=conversation).unmet().values_list("kind", flat=True))
    if not may_close(unmet):
        what = ", ".join(str(PromiseKind(kind).label) for kind in sorted(unmet))
        raise StillPromised(_("Something promised is still open: %(what)s.") % {"what": what})
    if endings.is_silent(conversation):
        raise WrongState(
            _("The customer fell silent, so nobody knows whether it is settled. It can end as gone quiet.")
        )
    before = conversation.state
    endings.closed(conversation, HowClosed.CLOSED, reason=reason, by=by, at=at)
    queue.ended(conversation, PullEnd.CLOSED, at=at)
    closing_lines.settled(conversation, at=at)
    history.record(
        conversation.customer,
        "conversation.closed",
        ref=f"conversation:{conversation.public_id}",
        by=by,
        at=at,
        origin=origin,
        detail={"before": before},
    )
    return conversation


def reopen(conversation_id: int, *, by: User, at: datetime, origin: str = "admin") -> Conversation:
    """Open a closed conversation again, with the same owner; the customer is promised news.

    One closed over two weeks ago goes on in a new conversation, which is returned (X18).
    Raises Conversation.DoesNotExist, WrongState; then nothing has changed.
    """
    return endings.open_again(conversation_id, by=by, at=at, origin=origin)
