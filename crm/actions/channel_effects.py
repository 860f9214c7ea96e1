"""What one event of a provider does: a customer's words are taken in, changed or taken back; a report finds its message."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from django.db import connection, transaction
from django.utils.translation import gettext as _

from crm import dispatch
from crm.actions import (
    changes,
    channel_calls,
    channel_raw,
    deliveries,
    floods,
    identity,
    intake,
    outcomes,
    stop_words,
)
from crm.channels import PUBLIC, Message
from crm.channels.email.files import safe_name
from crm.channels.providers import (
    CallTold,
    Deleted,
    DeliveryReport,
    Echo,
    Edited,
    Event,
    LeftMessage,
    Media,
    NotForUs,
    NotReadable,
    Said,
    one_line,
    words_of,
)
from crm.language import stop_words as stop_words_of
from crm.models import (
    Attachment,
    AwaitedFile,
    ChannelAccount,
    ContactPoint,
    Conversation,
    Interaction,
    MessageChange,
    OutgoingMessage,
    RawItem,
)
from crm.models.channels import ChangeKind
from crm.models.outgoing import UNSETTLED
from crm.models.talk import AttachmentState
from crm.policy import ConversationState, Direction, OutgoingState
from crm.together import prepared

BELIEVED_FOR = timedelta(days=7)
"""How long before it reached us a signed source may say that somebody spoke; providers try again for up to three days (H05)."""

LAST_MATTER = """
SELECT conversation_id FROM (
    SELECT conversation_id, source, spoke_at, id FROM crm_interaction WHERE contact_point_id = p.id AND direction = 'in' OFFSET 0
) heard WHERE source = %(source)s ORDER BY spoke_at DESC, id DESC LIMIT 1
"""
"""SQL for the newest matter of a contact point `p` on an account. The fence (OFFSET 0) keeps the planner to what one person said;
of an account that is new it believes that next to nothing came there, and would read all of it."""
_LAST_HEARD = f"SELECT heard.* FROM (SELECT %(point)s::bigint AS id) p, LATERAL ({LAST_MATTER}) heard"  # noqa: S608  our own text


class TooEarly(Exception):
    """It is about a message that is being handed over at this moment, or a call of which we do not know yet; it is looked at
    again a little later.
    """

    code = "report_too_early"


class EventNotReadable(ValueError):
    """An event is not as it is told to be; a person looks at it, and lets it try again when its account is set right."""

    code = "event_not_readable"


@dataclass(frozen=True, slots=True)
class Effect:
    """What an event was, in a word, and what a person may want to know of it. lets_go: the id of a message whose words must not,
    or need not, stay in the bytes of this post: they were taken back, or are kept with the post that brought them first.
    """

    kind: str
    note: str = ""
    lets_go: str = ""


def apply(
    event: Event, account: ChannelAccount, item: RawItem, *, is_signed: bool, is_last: bool, at: datetime
) -> Effect:
    """Let one event have its effects, all or none; the same event again changes nothing.

    item: the raw bytes it was read from. is_signed: times stated in it are believed. is_last: nobody will try again.
    Raises what `intake.receive` raises, TooEarly, EventNotReadable, floods.SenderFloods; then nothing has changed.
    """
    with transaction.atomic():
        if isinstance(event, Said):
            return _said(event, account, item, is_signed=is_signed, at=at)
        if isinstance(event, Edited | Deleted):
            return _changed(event, account, item, is_signed=is_signed, at=at)
        if isinstance(event, Echo):
            return _echoed(event, account, at=at)
        if isinstance(event, DeliveryReport):
            return _reported(event, account, is_signed=is_signed, is_last=is_last, at=at)
        if isinstance(event, CallTold):
            if not channel_calls.told(event, account, item, is_signed=is_signed, is_last=is_last):
                raise TooEarly(_("We have not heard of this call's first ring yet."))
            return Effect("call")
        if isinstance(event, LeftMessage):
            return _left_message(event, account, item, is_signed=is_signed, at=at)
        if isinstance(event, NotForUs):
            return Effect("not_for_us", f"not_for_us: {event.why}" if event.why else "")
        if isinstance(event, NotReadable):
            raise EventNotReadable(event.why)
        return Effect("unknown_event", f"unknown_event: {one_line(event.kind, 60)}")


# --- what a customer said -----------------------------------------------------------------------------------------------


def message_of(event: Said, account: ChannelAccount, item: RawItem, *, is_signed: bool) -> Message:
    """What was said, as it is taken in."""
    return replace(
        event.message,
        source=account.source,
        channel=event.message.channel,
        spoke_at=_believed(event.message.spoke_at, item, is_signed=is_signed),
        held_at=item.received_at,
        is_vouched=is_signed,
    )


def _said(event: Said, account: ChannelAccount, item: RawItem, *, is_signed: bool, at: datetime) -> Effect:
    message = message_of(event, account, item, is_signed=is_signed)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [lock_of(account, message)])
    known = Interaction.objects.filter(source=message.source, external_id=message.external_id[:200]).first()
    if known is not None:
        _same_words(known, message)
        if known.withdrawn_at is not None:
            return Effect(channel_raw.WITHDRAWN, lets_go=message.external_id)
        return Effect("again", lets_go=message.external_id if known.raw_id != item.pk else "")
    matter = _matter(account, message)
    if _was_a_wish(event, account, message, matter, at=at):
        return Effect("wish")
    if matter is not None and not item.attempt and floods.of_sender(account, matter, at=at):
        raise floods.SenderFloods(hashlib.sha256(f"{matter.customer_id}".encode()).hexdigest()[:12])
    received = intake.receive(message, at=at, origin=account.provider, raw=item, conversation=matter)
    if not received.created:
        return Effect("again")
    for number, one in enumerate(event.media, 1):
        _await_file(one, account, received.interaction, number=number, at=at)
    if event.media:
        dispatch.after_commit("file.awaited")
    changes.catch_up(received.interaction, account, at=at)
    if received.interaction.withdrawn_at is not None:
        return Effect(channel_raw.WITHDRAWN, lets_go=message.external_id)
    return Effect("said")


def _was_a_wish(
    event: Said, account: ChannelAccount, message: Message, matter: Conversation | None, *, at: datetime
) -> bool:
    """Let a stop or start word have its effect; True when it says nothing else, so that nobody has to answer it.

    One that can be meant otherwise, or comes in the middle of a matter, is a message as well.
    """
    wish = event.wish or stop_words_of.wish_of(message.text)
    if not wish or event.media or message.channel in PUBLIC:
        return False
    address = identity.normalised(message.sender_kind, message.sender_address)
    point = ContactPoint.objects.filter(kind=message.sender_kind, address=address, unlinked_at=None).first()
    told_at, word = message.spoke_at or at, one_line(message.text, 60)
    is_alone = matter is None or matter.state == ConversationState.CLOSED
    if wish == "start" and not message.is_vouched:  # whoever only claims to be them gives nothing in their name
        return False
    if wish == "start":
        count = stop_words.started(point, word, told_at=told_at, at=at, origin=account.provider) if point else 0
        return bool(count) and is_alone
    if point is not None:
        stop_words.stopped(point, word, told_at=told_at, at=at, origin=account.provider)
    return is_alone and (bool(event.wish) or stop_words_of.says_nothing_else(message.text))


def _left_message(
    event: LeftMessage, account: ChannelAccount, item: RawItem, *, is_signed: bool, at: datetime
) -> Effect:
    left = channel_calls.left_message(event, account, item, is_signed=is_signed, at=at)
    if left is None:
        return Effect("talk_recorded", "talk_recorded: Somebody answered; what is said in a talk is not kept here.")
    known = set(left.interaction.attachments.values_list("name", flat=True))
    fresh = [one for one in event.media if one.name not in known]
    for number, one in enumerate(fresh, len(known) + 1):
        _await_file(one, account, left.interaction, number=number, at=at)
    if fresh:
        dispatch.after_commit("file.awaited")
    return Effect("said" if left.is_new or fresh else "again")


def _believed(stated: datetime | None, item: RawItem, *, is_signed: bool) -> datetime:
    """When a customer spoke: the time of a signed source within bounds, else when it reached us (domain rule C.5)."""
    if stated is None or not is_signed or stated.tzinfo is None:
        return item.received_at
    return max(min(stated, item.received_at), item.received_at - BELIEVED_FOR)


def lock_of(account: ChannelAccount, message: Message) -> int:
    """The advisory lock that lets two messages of one person at the same moment join one matter, whichever comes first."""
    digest = hashlib.sha256(f"{account.pk}:{message.sender_kind}:{message.sender_address}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)


def _same_words(known: Interaction, message: Message) -> None:
    """Raise DifferentContent when one id carries two messages; one that was changed since is the same."""
    if known.edited_at is None and known.withdrawn_at is None and known.text != message.text:
        raise intake.DifferentContent(
            _("This delivery was received before with other words; please give it a key of its own.")
        )


def _matter(account: ChannelAccount, message: Message) -> Conversation | None:
    """The matter a message goes on with: the one whose message it answers, else the newest of this person on this account.

    `intake.receive` begins a new one where that was closed long ago.
    """
    point = ContactPoint.objects.filter(
        kind=message.sender_kind,
        address=identity.normalised(message.sender_kind, message.sender_address),
        unlinked_at=None,
    ).first()
    if point is None:
        return None
    matters = Conversation.objects.select_related("customer")
    if message.in_reply_to:
        heard = Interaction.objects.filter(contact_point=point, source=account.source, direction=Direction.INBOUND)
        answered = (
            OutgoingMessage.objects.filter(account=account, provider_id__in=message.in_reply_to)
            .filter(conversation__interactions__in=heard)
            .order_by("-id")
            .first()
        )
        if answered is not None and answered.conversation_id is not None:
            return matters.filter(pk=answered.conversation_id).first()
    last = prepared(_LAST_HEARD, {"point": point.pk, "source": account.source})
    return matters.filter(pk=last[0][0]).first() if last else None


def _await_file(media: Media, account: ChannelAccount, interaction: Interaction, *, number: int, at: datetime) -> None:
    name = media.name or PurePosixPath(urlsplit(media.reference).path).name
    attachment = Attachment(
        interaction=interaction,
        name=safe_name(name, content_type=media.declared_type or "application/octet-stream", number=number),
        content_type=media.declared_type[:120],
        size=0,
        state=AttachmentState.FETCHING,
    )
    attachment.save(force_insert=True)
    AwaitedFile.objects.create(attachment=attachment, account=account, reference=media.reference[:2000], fetch_after=at)


# --- what they changed or took back ---------------------------------------------------------------------------------------


def _changed(
    event: Edited | Deleted, account: ChannelAccount, item: RawItem, *, is_signed: bool, at: datetime
) -> Effect:
    is_edit = isinstance(event, Edited)
    kind = ChangeKind.EDIT if is_edit else ChangeKind.DELETION
    stated = event.edited_at if isinstance(event, Edited) else event.deleted_at
    change, is_new = MessageChange.objects.get_or_create(
        source=account.source,
        external_id=event.external_id[:200],
        event_id=f"{kind}:{event.event_id}"[:200],
        defaults={
            "kind": kind,
            "raw": item,
            "text": words_of(event.text) if isinstance(event, Edited) else "",
            "event_at": _believed(stated, item, is_signed=is_signed),
            "received_at": at,
        },
    )
    if is_new:
        said = (
            Interaction.objects.select_for_update(of=("self",))
            .select_related("conversation__customer")
            .filter(source=account.source, external_id=event.external_id[:200], direction=Direction.INBOUND)
            .first()
        )
        if said is not None:
            changes.apply(change, said, account=account, at=at, origin="provider")
            if said.withdrawn_at is not None:
                return Effect(str(kind), lets_go=event.external_id)
        elif isinstance(event, Edited) and event.whole is not None:  # the change waits for it, and is applied to it
            return _said(event.whole, account, item, is_signed=is_signed, at=at)
    return Effect(str(kind))


# --- what became of ours --------------------------------------------------------------------------------------------------


def _named(account: ChannelAccount, *, key: str, provider_id: str) -> OutgoingMessage | None:
    """The message of this account that an event names; by our key where the provider gives it back."""
    try:
        public_id = uuid.UUID(key) if len(key) == 36 else None
    except ValueError:
        public_id = None
    ours = OutgoingMessage.objects.filter(account=account, attempt__gt=0)
    if public_id is not None:
        return ours.filter(public_id=public_id).first()
    return ours.filter(provider_id=provider_id).order_by("-id").first() if provider_id else None


def _reported(
    event: DeliveryReport, account: ChannelAccount, *, is_signed: bool, is_last: bool, at: datetime
) -> Effect:
    message = _named(account, key=event.key, provider_id=event.provider_id)
    if message is None:
        under_way = OutgoingMessage.objects.filter(account=account, state__in=UNSETTLED)
        if not is_last and under_way.exists():
            raise TooEarly(_("The message it is about is being handed over at this moment."))
        return Effect("not_ours", "not_ours: It reports on a message that we did not send.")
    deliveries.told_by_provider(
        message,
        event.arrival,
        is_permanent=event.is_permanent,
        source=account.provider,
        external_id=f"{event.event_id}:{message.pk}",
        reason=one_line(event.reason, 300),
        event_at=(event.event_at if is_signed else None),
        at=at,
    )
    return Effect("report")


def _echoed(event: Echo, account: ChannelAccount, *, at: datetime) -> Effect:
    """Our own message: nobody spoke. Where we did not know whether it had arrived, we do now."""
    message = _named(account, key=event.key, provider_id=event.provider_id)
    if message is None and event.address and event.text:
        lost = OutgoingMessage.objects.filter(account=account, address=event.address, text=event.text)
        message = lost.filter(unknown_outcomes__gt=0).exclude(state=OutgoingState.ACCEPTED).order_by("id").first()
    if message is not None and message.unknown_outcomes and message.state != OutgoingState.ACCEPTED:
        outcomes.was_accepted(message, at=max(min(event.sent_at or at, at), message.created_at))
    return Effect("echo")
