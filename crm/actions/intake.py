"""Everything a customer says comes in here, through whichever door; the door makes no difference to what follows."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime

from django.core.files.base import ContentFile
from django.db import IntegrityError, connection, models, transaction
from django.utils.translation import gettext as _

from crm import dispatch, history
from crm.actions import calendars, endings, files, identity, posts, promises, undo, work
from crm.channels import Channel, Message, Part
from crm.models import Attachment, Continuation, Conversation, Interaction, Promise, RawItem, User
from crm.policy import (
    ConversationState,
    Direction,
    PromiseDue,
    default_promises,
    earliest,
    next_answer_promise,
    owner_for,
    queue_due,
)
from crm.together import insert_together, new

SPOKEN = frozenset({Channel.PHONE, Channel.STORE, Channel.FIELD})
"""Media in which a customer talks to a person of ours, so that nothing is in writing yet."""

RACES_TRIED = 5


class DifferentContent(Exception):
    """The same delivery came again with other content."""

    code = "idempotency_key_reused"


class NothingSaid(ValueError):
    """A message without words or files."""

    code = "nothing_said"


@dataclass(frozen=True, slots=True)
class Received:
    """What became of one message. created: it had not been received before; opened: it began its conversation."""

    interaction: Interaction
    conversation: Conversation
    promises: tuple[Promise, ...]
    created: bool
    opened: bool = False


def receive(
    message: Message,
    *,
    at: datetime,
    origin: str,
    by: User | None = None,
    raw: RawItem | None = None,
    conversation: Conversation | None = None,
    speaker: identity.Speaker | None = None,
    other_address: str = "",
    savepoint: bool = True,
) -> Received:
    """Take in one thing a customer said: recognise them, find or open the matter, promise an answer, name an owner.

    at: now. origin: the door, for the history. by: the account that spoke or wrote it down; None when nobody logged in.
    raw: the bytes it was read from. conversation: the matter it belongs to, when the door knows for certain. speaker: who
    that is, when the door has just read it (`identity.of_account`); it is looked up otherwise. other_address: somebody else
    than its customer writes into that conversation, from this address; they are made no customer by that (M06). savepoint:
    False when the caller's own transaction is repeated should somebody else write the same in this instant (IntegrityError).
    The same (source, external_id) twice is one interaction. What follows (is it a complaint?) happens after commit.
    Raises NothingSaid, identity.UnusableAddress, DifferentContent; then nothing has changed.
    """
    said_something(message)
    # What opens a matter and brings no file is written by one statement, which is a transaction of its own.
    one_statement = conversation is None and not message.attachments
    for race in range(RACES_TRIED):
        try:
            in_callers = not savepoint and connection.in_atomic_block
            alone = one_statement and not connection.in_atomic_block
            with nullcontext() if alone or in_callers else transaction.atomic():
                known = speaker if race == 0 else None
                received = _receive(
                    message,
                    at=at,
                    origin=origin,
                    by=by,
                    raw=raw,
                    conversation=conversation,
                    speaker=known,
                    other_address=other_address,
                )
                dispatch.after_commit("interaction.received")
                return received
        except IntegrityError as collision:
            if not savepoint:
                raise
            constraint = getattr(getattr(collision.__cause__, "diag", None), "constraint_name", "")
            if constraint == "interaction_received_once":
                return _received_before(message)
            if constraint != "contact_point_one_customer" or race == RACES_TRIED - 1:
                raise  # somebody else met the same new customer this instant: look again
    raise AssertionError("the loop above returns or raises")


def said_something(message: Message) -> None:
    """Raise NothingSaid for a message without words, subject or files; asks no database."""
    if message.wordless:
        return
    if not message.text.strip() and not message.subject.strip() and not message.attachments:
        raise NothingSaid(_("There are no words in this message yet."))


def _receive(
    message: Message,
    *,
    at: datetime,
    origin: str,
    by: User | None,
    raw: RawItem | None,
    conversation: Conversation | None,
    speaker: identity.Speaker | None,
    other_address: str,
) -> Received:
    if conversation is not None and other_address:
        speaker = identity.somebody_else_in(conversation)
    speaker = speaker or identity.speaker(
        message.sender_kind, message.sender_address, name=message.sender_name, language=message.language, at=at
    )
    spoke_at = min(message.spoke_at or at, at)
    rows: list[models.Model] = []
    if speaker.is_new and speaker.contact_point is not None:
        rows = [speaker.customer, speaker.contact_point]
    continues = conversation if conversation is not None and endings.is_long_closed(conversation, at=spoke_at) else None
    if continues is not None:
        conversation = None
    opened = conversation is None
    if conversation is None:
        conversation = _opened(message, speaker, spoke_at=spoke_at)
        calendar = calendars.in_force(speaker.region, spoke_at)
        spoken = message.channel in SPOKEN and not message.wordless
        due = default_promises(spoke_at, spoken=spoken, calendar=calendar)
        conversation.due_at = queue_due((promise.kind, promise.due_at) for promise in due)
        rows.append(conversation)
        if continues is not None:
            rows.append(new(Continuation, conversation=conversation, continues=continues))
        given_by = "everybody"
    else:
        due, given_by = _goes_on(
            conversation,
            region=speaker.region,
            spoke_at=spoke_at,
            external_id=message.external_id,
            is_customer=not other_address,
            at=at,
        )
    interaction = _interaction(message, conversation, speaker, spoke_at=spoke_at, at=at, by=by, raw=raw)
    interaction.other_address = other_address
    promised = [
        new(Promise, conversation=conversation, given_by=given_by, **promises.columns(promise)) for promise in due
    ]
    number = str(interaction.public_id)
    ref = f"interaction:{number}"
    rows += [
        interaction,
        *posts.rows(interaction, is_first=opened, due_at=earliest(p.due_at for p in due) or conversation.due_at),
        *promised,
        *work.items_after("interaction.received", ref=ref, at=at),
    ]
    rows.append(
        history.entry(
            speaker.customer,
            "conversation.opened" if opened else "conversation.continued",
            ref=f"conversation:{conversation.public_id}",
            by=by,
            at=at,
            origin=origin,
            detail={"interaction": number, "channel": message.channel},
        )
    )
    insert_together(*rows)
    if not opened:
        promises.settle_due(conversation, at=at)
    for part in message.attachments:
        _attach(interaction, part)
    return Received(interaction, conversation, tuple(promised), created=True, opened=opened)


def _opened(message: Message, speaker: identity.Speaker, *, spoke_at: datetime) -> Conversation:
    conversation = new(
        Conversation,
        customer=speaker.customer,
        subject=message.subject[:300],
        channel=message.channel,
        state=ConversationState.OPEN,
        spoke_at=spoke_at,
        last_inbound_at=spoke_at,
    )
    staff = speaker.colleagues
    if staff is None:
        staff = tuple(User.objects.taking_conversations().order_by("pk").values_list("pk", flat=True))
    conversation.owner_id = owner_for(str(conversation.public_id), staff=staff, previous_owner=speaker.open_owner)
    return conversation


def _goes_on(
    conversation: Conversation,
    *,
    region: str,
    spoke_at: datetime,
    external_id: str,
    is_customer: bool,
    at: datetime,
) -> tuple[tuple[PromiseDue, ...], str]:
    """Open the matter again where needed; whoever was already answered is promised the next answer."""
    locked = Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=conversation.pk)
    if is_customer:
        undo.stop_planned(locked, at=at)
    if locked.state == ConversationState.CLOSED:
        endings.comes_back(locked, at=spoke_at)
    due: tuple[PromiseDue, ...] = ()
    if locked.first_answer_at is not None or locked.due_at is None:
        due = (next_answer_promise(spoke_at, calendar=calendars.in_force(region, spoke_at)),)
    locked.state = ConversationState.OPEN
    locked.due_at = earliest([locked.due_at, *(promise.due_at for promise in due)])
    locked.spoke_at = min(locked.spoke_at, spoke_at)
    locked.last_inbound_at = max(locked.last_inbound_at or spoke_at, spoke_at)
    locked.save(update_fields=["state", "due_at", "spoke_at", "last_inbound_at"])
    for field in ("state", "spoke_at", "last_inbound_at", "due_at", "queue_class", "first_answer_at"):
        setattr(conversation, field, getattr(locked, field))
    return due, "message:" + hashlib.sha256(external_id.encode()).hexdigest()[:32]


def _interaction(
    message: Message,
    conversation: Conversation,
    speaker: identity.Speaker,
    *,
    spoke_at: datetime,
    at: datetime,
    by: User | None,
    raw: RawItem | None,
) -> Interaction:
    return new(
        Interaction,
        conversation=conversation,
        direction=Direction.INBOUND,
        channel=message.channel,
        contact_point=speaker.contact_point,
        author=by if by is not None and by.is_staff else None,
        source=message.source,
        external_id=message.external_id[:200],
        raw=raw,
        subject=message.subject[:300],
        text=message.text,
        full_text=message.full_text if message.full_text != message.text else "",
        html=message.html,
        message_id=message.message_id[:300],
        language=message.language[:16],
        spoke_at=spoke_at,
        ingested_at=min(message.held_at or at, at),
        wait_seconds=message.wait_seconds,
        hold_seconds=message.hold_seconds,
        call_seconds=message.call_seconds,
        ended_by=message.ended_by,
    )


def _attach(interaction: Interaction, part: Part) -> None:
    attachment = Attachment(
        interaction=interaction,
        name=part.name,
        content_type=part.content_type[:120],
        size=part.size,
        state=files.state_of(part),
        reason=part.reason[:300],
        content_id=part.content_id,
    )
    if part.content and part.state != "refused":
        attachment.file.save(f"{attachment.public_id}", ContentFile(part.content), save=False)
    attachment.save()


def _received_before(message: Message) -> Received:
    interaction = Interaction.objects.select_related("conversation__customer").get(
        source=message.source, external_id=message.external_id[:200]
    )
    if (interaction.text, interaction.subject) != (message.text, message.subject[:300]):
        raise DifferentContent(
            _("This delivery was received before with other words; please give it a key of its own.")
        )
    promised = tuple(Promise.objects.filter(conversation=interaction.conversation).order_by("id"))
    return Received(interaction, interaction.conversation, promised, created=False)
