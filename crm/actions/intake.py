"""Everything a customer says comes in here, through whichever door; the door makes no difference to what follows."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.conf import settings
from django.core.files.base import ContentFile
from django.db import IntegrityError, InterfaceError, OperationalError, connection, models, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from crm import dispatch, history
from crm.actions import calendars, endings, identity, lease, promises, work
from crm.channels import Channel, Message, Part
from crm.channels import email as mail_channel
from crm.channels.smtp import own_ids
from crm.models import Attachment, Continuation, Conversation, Interaction, OutgoingMessage, Promise, RawItem, User
from crm.models.talk import AttachmentState
from crm.policy import (
    ATTEMPTS_BEFORE_PARKING,
    ConversationState,
    Direction,
    PromiseDue,
    WorkState,
    after_failure,
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
MAIL = "mail:"
"""What the source of a raw mail begins with; other raw items are kept as evidence and not read as mail."""


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
) -> Received:
    """Take in one thing a customer said: recognise them, find or open the matter, promise an answer, name an owner.

    at: now. origin: the door, for the history. by: the account that spoke or wrote it down; None when nobody logged in.
    raw: the bytes it was read from. conversation: the matter it belongs to, when the door knows for certain. speaker: who
    that is, when the door has just read it (`identity.of_account`); it is looked up otherwise.
    The same (source, external_id) twice is one interaction. What follows (is it a complaint?) happens after commit.
    Raises NothingSaid, identity.UnusableAddress, DifferentContent; then nothing has changed.
    """
    _said_something(message)
    # What opens a matter and brings no file is written by one statement, which is a transaction of its own.
    one_statement = conversation is None and not message.in_reply_to and not message.attachments
    for race in range(RACES_TRIED):
        try:
            with nullcontext() if one_statement and not connection.in_atomic_block else transaction.atomic():
                known = speaker if race == 0 else None
                received = _receive(
                    message, at=at, origin=origin, by=by, raw=raw, conversation=conversation, speaker=known
                )
                dispatch.after_commit("interaction.received")
                return received
        except IntegrityError as collision:
            constraint = getattr(getattr(collision.__cause__, "diag", None), "constraint_name", "")
            if constraint == "interaction_received_once":
                return _received_before(message)
            if constraint != "contact_point_one_customer" or race == RACES_TRIED - 1:
                raise  # somebody else met the same new customer this instant: look again
    raise AssertionError("the loop above returns or raises")


def _said_something(message: Message) -> None:
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
) -> Received:
    speaker = speaker or identity.speaker(
        message.sender_kind, message.sender_address, name=message.sender_name, language=message.language, at=at
    )
    spoke_at = min(message.spoke_at or at, at)
    if conversation is None and message.in_reply_to and not speaker.is_new:
        conversation = _conversation_answered(message, customer_id=speaker.customer.pk)
    rows: list[models.Model] = [] if not speaker.is_new else [speaker.customer, speaker.contact_point]
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
            conversation, region=speaker.region, spoke_at=spoke_at, external_id=message.external_id
        )
    interaction = _interaction(message, conversation, speaker, spoke_at=spoke_at, at=at, by=by, raw=raw)
    promised = [
        new(Promise, conversation=conversation, given_by=given_by, **promises.columns(promise)) for promise in due
    ]
    number = str(interaction.public_id)
    ref = f"interaction:{number}"
    rows += [interaction, *promised, *work.items_after("interaction.received", ref=ref, at=at)]
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
    conversation: Conversation, *, region: str, spoke_at: datetime, external_id: str
) -> tuple[tuple[PromiseDue, ...], str]:
    """Open the matter again where needed; whoever was already answered is promised the next answer."""
    locked = Conversation.objects.select_for_update().get(pk=conversation.pk)
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


def _conversation_answered(message: Message, *, customer_id: int) -> Conversation | None:
    """The conversation whose mail this one answers, when its sender is that conversation's own customer (M03)."""
    ours = OutgoingMessage.objects.filter(
        public_id__in=own_ids(message.in_reply_to), conversation__customer=customer_id
    )
    answered = ours.select_related("conversation").order_by("-id").first()
    if answered is not None:
        return answered.conversation
    theirs = Interaction.objects.filter(message_id__in=message.in_reply_to, conversation__customer=customer_id)
    earlier = theirs.select_related("conversation").order_by("-id").first()
    return earlier.conversation if earlier is not None else None


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
        state=AttachmentState(part.state),
        reason=part.reason[:300],
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


# --- raw mail ---------------------------------------------------------------------------------------------------------


def keep_raw(
    content: bytes, *, source: str, label: str, at: datetime, external_id: str = "", leased: bool = False
) -> RawItem:
    """Keep bytes exactly as they came, before anybody acknowledges them. The same bytes from the same source are one item.

    external_id: the source's own unchanging id of this delivery; the hash of the bytes when it has none.
    leased: the caller reads it at once (`read_now`); should it die first, the lane takes the item over after the lease.
    An item that is new has this `at` as its received_at.
    """
    external_id = external_id or hashlib.sha256(content).hexdigest()
    item = RawItem(source=source, external_id=external_id, content=content, label=label[:300], received_at=at)
    if leased:
        item.state, item.lease_until = WorkState.CLAIMED, Now() + settings.EVENHAND_LEASE
    with transaction.atomic():
        RawItem.objects.bulk_create([item], ignore_conflicts=True)
        dispatch.after_commit("raw.kept")
    return RawItem.objects.get(source=source, external_id=external_id)


def read_raw(item: RawItem, *, at: datetime) -> Received | None:
    """Read one kept mail and take in what a customer said in it; None when it is not a customer speaking.

    The item then says what it was and why. Raises whatever reading raises; then the item is as before.
    """
    return _take_in(item, read_mail(bytes(item.content), received_at=item.received_at), at=at)


def _take_in(item: RawItem, mail: mail_channel.Mail, *, at: datetime) -> Received | None:
    received = None
    with transaction.atomic():
        mine = RawItem.objects.select_for_update().get(pk=item.pk)
        if mine.state in (WorkState.DONE, WorkState.PARKED):
            return None
        reason = mail.reason
        if mail.opens_or_joins_conversation:
            message = mail_channel.as_message(mail, source=item.source, external_id=item.external_id)
            received = receive(message, at=at, origin="mail", raw=item)
        mine.state = WorkState.PARKED if mail.kind == "unparsable" else WorkState.DONE
        mine.kind, mine.reason, mine.lease_until = mail.kind, reason[:300], None
        mine.save(update_fields=["state", "kind", "reason", "lease_until"])
    return received


@dataclass(frozen=True, slots=True)
class ReadNow:
    """What became of one kept mail that was read at once.

    mail: None when reading itself failed. received: what it became; None when no customer speaks or it was refused.
    refused: why a mail was parked that we could not take in; empty otherwise. waits: it stays with the lane, which
    reads it when the database lets it.
    """

    mail: mail_channel.Mail | None
    received: Received | None
    refused: str = ""
    waits: bool = False


def read_now(item: RawItem, *, at: datetime) -> ReadNow:
    """Read one kept mail at once instead of waiting for the lane; whatever is wrong with it stays with it.

    A refusal (nothing said, no usable address, other words under a known id) or an unexpected error parks the item with
    its reason: read again it would say the same. Trouble of the database is none of the mail's: the lane tries again.
    Raises nothing but what the database raises when it cannot be reached at all.
    """
    mail: mail_channel.Mail | None = None
    received: Received | None = None
    outcome: list[ReadNow] = []

    def work() -> None:
        nonlocal mail, received
        mail = read_mail(bytes(item.content), received_at=item.received_at)
        received = _take_in(item, mail, at=at)

    def failed(trouble: Exception) -> None:
        if isinstance(trouble, OperationalError | InterfaceError):
            outcome.append(ReadNow(mail, None, waits=True))
            return
        reason = _reason(trouble)
        RawItem.objects.filter(pk=item.pk, state__in=[WorkState.READY, WorkState.CLAIMED]).update(
            state=WorkState.PARKED, kind=mail.kind if mail else "", reason=reason[:300], lease_until=None
        )
        outcome.append(ReadNow(mail, None, refused=reason))

    if lease.guarded(work, failed=failed):
        return ReadNow(mail, received)
    return outcome[0]


def refusal(mail: mail_channel.Mail) -> str:
    """Say why what this mail says could not be taken in, "" when it could. Asks no database."""
    try:
        _said_something(mail_channel.as_message(mail, source="", external_id=""))
        identity.normalised("email", mail.customer or "")
    except (NothingSaid, identity.UnusableAddress) as trouble:
        return _reason(trouble)
    return ""


def park_unread(
    content: bytes, *, source: str, label: str, external_id: str, reason: str, at: datetime
) -> tuple[RawItem, bool]:
    """Keep what shall not be read, with the reason why, where people see it. Returns the item and whether it is new.

    content: what there is of it, perhaps only its beginning; external_id: tells the whole of it from others.
    """
    return RawItem.objects.get_or_create(
        source=source,
        external_id=external_id,
        defaults={
            "content": content,
            "label": label[:300],
            "received_at": at,
            "state": WorkState.PARKED,
            "reason": reason[:300],
        },
    )


def _reason(trouble: Exception) -> str:
    """A refusal's own sentence with its code in front; for anything else what it was."""
    said = f"{getattr(trouble, 'code', type(trouble).__name__)}: {trouble}"
    return said.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def read_mail(content: bytes, *, received_at: datetime) -> mail_channel.Mail:
    """Read a mail's bytes with this deployment's own addresses and border servers. Writes nothing."""
    return mail_channel.read(
        content,
        own_addresses=settings.EVENHAND_OWN_ADDRESSES,
        border_hosts=settings.EVENHAND_BORDER_HOSTS,
        received_at=received_at,
    )


def ingest_batch(*, at: datetime, size: int = 20) -> int:
    """Read one batch of raw items that were kept but not read. A bad one is parked after three attempts; the next go on."""
    due = (
        RawItem.objects.filter(source__startswith=MAIL)
        .filter(lease.claimable(ready=WorkState.READY, claimed=WorkState.CLAIMED))
        .order_by("id")
    )
    items = lease.claim(due, size=size, claimed_state=WorkState.CLAIMED)
    for item in items:
        if item.attempt > ATTEMPTS_BEFORE_PARKING:
            _not_read(item, _("Reading it stopped the worker several times."), WorkState.PARKED)
            continue

        def failed(trouble: Exception, item: RawItem = item) -> None:
            if lease.is_trouble_of_the_database(trouble):  # no attempt of the mail's: it is read again after its lease
                RawItem.objects.filter(pk=item.pk, attempt=item.attempt).update(attempt=item.attempt - 1)
                return
            _not_read(item, f"{type(trouble).__name__}: {trouble}", after_failure(item.attempt))

        lease.guarded(partial(read_raw, item, at=at), failed=failed)
    return len(items)


def _not_read(item: RawItem, reason: str, state: WorkState) -> None:
    RawItem.objects.filter(pk=item.pk, attempt=item.attempt).update(state=state, reason=reason[:300], lease_until=None)
