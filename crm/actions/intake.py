"""Everything a customer says comes in here, through whichever door; the door makes no difference to what follows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.files.base import ContentFile
from django.db import IntegrityError, connection, models, transaction
from django.utils.translation import gettext as _

from crm import dispatch, history
from crm.actions import calendars, endings, files, identity, posts, promises, undo, work
from crm.channels import Channel, Message, Part
from crm.language.bereavement import words_of_a_death
from crm.models import Attachment, Continuation, Conversation, Customer, Interaction, Promise, RawItem, User
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
from crm.together import Insertion, Statement, new, run, written

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
) -> Received:
    """Take in one thing a customer said: recognise them, find or open the matter, promise an answer, name an owner.

    at: now. origin: the door, for the history. by: the account that spoke or wrote it down; None when nobody logged in.
    raw: the bytes it was read from. conversation: the matter it belongs to, when the door knows for certain. speaker: who
    that is, when the door has just read it (`identity.of_account`); it is looked up otherwise. other_address: somebody else
    than its customer writes into that conversation, from this address; they are made no customer by that (M06).
    The same (source, external_id) twice is one interaction. What follows (is it a complaint?) happens after commit.
    Raises NothingSaid, identity.UnusableAddress, DifferentContent; then nothing has changed.
    """
    said_something(message)
    # What opens a matter and brings no file is written by one statement, which is a transaction of its own.
    one_statement = conversation is None and not message.attachments
    for race in range(RACES_TRIED):
        try:
            alone = one_statement and not connection.in_atomic_block
            with nullcontext() if alone else transaction.atomic():
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
            if hit_by(collision, "interaction_received_once"):
                return received_before(message)
            if not hit_by(collision, "contact_point_one_customer") or race == RACES_TRIED - 1:
                raise  # somebody else met the same new customer this instant: look again
    raise AssertionError("the loop above returns or raises")


def hit_by(collision: IntegrityError, constraint: str) -> bool:
    """Whether it was this constraint that a row did not keep."""
    return getattr(getattr(collision.__cause__, "diag", None), "constraint_name", "") == constraint


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
    goes_on = None
    if conversation is not None:
        goes_on = joined(run(*joining(conversation.pk)), into=conversation)
    if goes_on is not None and other_address:
        speaker = identity.somebody_else_in(goes_on.conversation)
    speaker = speaker or identity.speaker(
        message.sender_kind, message.sender_address, name=message.sender_name, language=message.language, at=at
    )
    taking = take(
        message,
        speaker=speaker,
        goes_on=goes_on,
        colleagues=speaker.colleagues,
        at=at,
        origin=origin,
        by=by,
        raw=raw,
        other_address=other_address,
    )
    write([taking])
    return taking.received


# --- joining a matter -------------------------------------------------------------------------------------------------

_MATTER = tuple(field for field in Conversation._meta.concrete_fields)
_SPEAKS_IN = ("region", "language", "zone")
COLUMNS = ", ".join([*(f"m.{field.column}" for field in _MATTER), *(f"c.{name}" for name in _SPEAKS_IN)])
"""Of a matter `m` and its customer `c`, what `joined` makes a locked matter of; the first is the matter's key."""
_LOCK = f"""
SELECT {COLUMNS} FROM crm_conversation m JOIN crm_customer c ON c.id = m.customer_id WHERE m.id = %(id)s FOR UPDATE OF m
"""  # noqa: S608  names of our own columns
_UNMET = """
SELECT EXISTS (SELECT FROM crm_outgoingmessage WHERE conversation_id = %(id)s AND stops_if_they_write AND state = 'ready'),
       p.kind, p.due_at
FROM (SELECT) one LEFT JOIN crm_promise p ON p.conversation_id = %(id)s AND p.state IN ('running', 'breached')
"""
_CHANGE = """
UPDATE crm_conversation
SET state = %(state)s, due_at = %(due_at)s, spoke_at = %(spoke_at)s, last_inbound_at = %(last_inbound_at)s
WHERE id = %(id)s RETURNING id
"""
_CHANGE_AS_READ = _CHANGE.replace("RETURNING", "AND evenhand_matter_is_as_read(id, %(version)s, %(unmet)s) RETURNING")


@dataclass(frozen=True, slots=True)
class Joined:
    """A matter that is locked, what is promised in it and not kept yet (kind, due at), and whether an answer is planned."""

    conversation: Conversation
    unmet: tuple[tuple[str, datetime], ...]
    has_planned: bool


def joining(conversation_id: int) -> tuple[Statement, Statement]:
    """What locks a matter and reads what something that joins it needs; to be run in a transaction, see `joined`."""
    # Two statements: what the second reads is what stands there after the first has waited for the lock.
    return Statement(_LOCK, {"id": conversation_id}), Statement(_UNMET, {"id": conversation_id})


def joined(found: list[list[tuple[Any, ...]]], *, into: Conversation | None = None) -> Joined:
    """Make of what `joining` found a locked matter. Of its customer, only what matters for an answer has been read.

    into: the caller's own object of this matter, which then holds what has been read.
    """
    row, unmet = found[0][0], found[1]
    conversation = into or written(Conversation)
    conversation.__dict__.update(zip((field.attname for field in _MATTER), row[: len(_MATTER)], strict=True))
    if "customer" not in conversation._state.fields_cache:
        known = dict(zip(_SPEAKS_IN, row[len(_MATTER) :], strict=True))
        conversation.customer = written(Customer, id=conversation.customer_id, **known)
    return Joined(
        conversation, tuple((kind, due_at) for _planned, kind, due_at in unmet if kind is not None), bool(unmet[0][0])
    )


# --- what is going to be written --------------------------------------------------------------------------------------


@dataclass(slots=True)
class Taking:
    """A message that is being taken in: the rows it adds, in order, and what became of it once they are written.

    More rows may be added before `write`.
    """

    rows: list[models.Model]
    received: Received
    message: Message


def take(
    message: Message,
    *,
    speaker: identity.Speaker,
    goes_on: Joined | None,
    colleagues: Sequence[int] | None,
    at: datetime,
    origin: str,
    by: User | None = None,
    raw: RawItem | None = None,
    other_address: str = "",
) -> Taking:
    """Work out what one message becomes; `write` writes it. In a transaction when it joins a matter.

    speaker: who says it. goes_on: the locked matter it joins; None when it opens one. colleagues: who can take a new matter, in
    order; they are asked for when None.
    """
    spoke_at = min(message.spoke_at or at, at)
    rows: list[models.Model] = []
    if speaker.is_new and speaker.contact_point is not None:
        rows = [speaker.customer, speaker.contact_point]
    continues = None
    if goes_on is not None and endings.is_long_closed(goes_on.conversation, at=spoke_at):
        continues, goes_on = goes_on.conversation, None
    opened = goes_on is None
    if goes_on is None:
        conversation = _opened(message, speaker, colleagues, spoke_at=spoke_at)
        calendar = calendars.in_force(speaker.region, spoke_at)
        unanswered = bool(message.ended_by) and message.call_seconds is None  # also where they spoke after the tone
        spoken = message.channel in SPOKEN and not message.wordless and not unanswered
        due = default_promises(spoke_at, spoken=spoken, calendar=calendar)
        conversation.due_at = queue_due((promise.kind, promise.due_at) for promise in due)
        rows.append(conversation)
        if continues is not None:
            rows.append(new(Continuation, conversation=conversation, continues=continues))
        given_by = "everybody"
    else:
        conversation = goes_on.conversation
        due = _goes_on(goes_on, region=speaker.region, spoke_at=spoke_at, is_customer=not other_address, at=at)
        given_by = "message:" + hashlib.sha256(message.external_id.encode()).hexdigest()[:32]
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
        *(work.items_after("interaction.mourns", ref=ref, at=at) if words_of_a_death(message.text) else ()),
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
    received = Received(interaction, conversation, tuple(promised), created=True, opened=opened)
    return Taking(rows, received, message)


def write(takings: Sequence[Taking], *more: Statement) -> list[list[tuple[Any, ...]]]:
    """Write messages that are being taken in, all of them sent to the server at once. In a transaction, unless it is one
    that opens a matter and brings no file.

    more: other statements of the same events, run after them. Returns what those gave. Raises IntegrityError.
    """
    insertions = [Insertion(*taking.rows) for taking in takings]
    statements = [each.statement for each in insertions]
    statements += [changing(taking.received.conversation) for taking in takings if not taking.received.opened]
    found = run(*statements, *more)
    for insertion, keys in zip(insertions, found, strict=False):
        insertion.written(keys)
    for taking in takings:
        for part in taking.message.attachments:
            _attach(taking.received.interaction, part)
    return found[len(statements) :]


def write_alone(taking: Taking, *also: Statement) -> None:
    """Write one message that brings no file by one statement, which is a transaction of its own unless there is one.

    also: more of that statement, each with values of its own names; `changing` the matter where one is joined. Raises what the
    database raises.
    """
    insertion = Insertion(*taking.rows, also=also)
    insertion.written(run(insertion.statement)[0])


def changing(conversation: Conversation, *, as_read: tuple[str, str] | None = None) -> Statement:
    """What writes down that a matter goes on. as_read: its row's version (xmin) and what was promised in it when it was read
    without being locked; it is locked then, and the statement fails (InternalError) unless all of this still stands, and no answer
    is planned.
    """
    values = {name: getattr(conversation, name) for name in ("id", "state", "due_at", "spoke_at", "last_inbound_at")}
    if as_read is None:
        return Statement(_CHANGE, values)
    return Statement(_CHANGE_AS_READ, values | {"version": as_read[0], "unmet": as_read[1]})


def _opened(
    message: Message, speaker: identity.Speaker, colleagues: Sequence[int] | None, *, spoke_at: datetime
) -> Conversation:
    conversation = new(
        Conversation,
        customer=speaker.customer,
        subject=message.subject[:300],
        channel=message.channel,
        state=ConversationState.OPEN,
        spoke_at=spoke_at,
        last_inbound_at=spoke_at,
    )
    if colleagues is None:
        colleagues = tuple(User.objects.taking_conversations().order_by("pk").values_list("pk", flat=True))
    conversation.owner_id = owner_for(str(conversation.public_id), staff=colleagues, previous_owner=speaker.open_owner)
    return conversation


def _goes_on(
    goes_on: Joined, *, region: str, spoke_at: datetime, is_customer: bool, at: datetime
) -> tuple[PromiseDue, ...]:
    """Open the matter again where needed; whoever was already answered is promised the next answer, which is returned."""
    locked = goes_on.conversation
    if is_customer and goes_on.has_planned:
        undo.stop_planned(locked, at=at)
    if locked.state == ConversationState.CLOSED:
        endings.comes_back(locked, at=spoke_at)
    due: tuple[PromiseDue, ...] = ()
    if locked.first_answer_at is not None or locked.due_at is None:
        due = (next_answer_promise(spoke_at, calendar=calendars.in_force(region, spoke_at)),)
    locked.state = ConversationState.OPEN
    locked.due_at = queue_due([*goes_on.unmet, *((promise.kind, promise.due_at) for promise in due)])
    promises.keep_running(locked, at=at)
    locked.spoke_at = min(locked.spoke_at, spoke_at)
    locked.last_inbound_at = max(locked.last_inbound_at or spoke_at, spoke_at)
    return due


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


def received_before(message: Message) -> Received:
    """What became of a message that has been taken in before. Raises DifferentContent when it said something else."""
    interaction = Interaction.objects.select_related("conversation__customer").get(
        source=message.source, external_id=message.external_id[:200]
    )
    if (interaction.text, interaction.subject) != (message.text, message.subject[:300]):
        raise DifferentContent(
            _("This delivery was received before with other words; please give it a key of its own.")
        )
    promised = tuple(Promise.objects.filter(conversation=interaction.conversation).order_by("id"))
    return Received(interaction, interaction.conversation, promised, created=False)
