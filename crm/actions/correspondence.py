"""Where a mail belongs and who may speak there: our own reply address first, then what our border vouches for; never a subject.

What proves nothing (a number, a Message-ID, a name) links nothing: it is written down as a doubt that a person settles.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, Exists, QuerySet, Subquery

from crm.actions import acknowledgements, alerts, deliveries, identity, intake
from crm.actions.acknowledgements import DAY
from crm.actions.intake import Received
from crm.channels import Channel, Message
from crm.channels.email import Mail, addresses
from crm.channels.email.addresses import Addressed
from crm.channels.smtp import own_ids
from crm.models import ContactPoint, Conversation, Doubt, Interaction, OutgoingMessage, RawItem, ReplyToken, User
from crm.models.people import ContactKind
from crm.policy import (
    ALARMED_FROM,
    OPENED_PER_HOUR,
    AlertKind,
    ConversationState,
    Direction,
    DoubtCode,
    MessageKind,
    token_doubt,
)
from crm.together import Repeated, prepared, written

HOUR = timedelta(hours=1)
_NUMBER = re.compile(r"\b(?:EV|Evenhand|case|ticket)\s?[-#:]?\s?#?(\d{1,18})\b", re.IGNORECASE)
_FAULTS = {"look_alike": DoubtCode.LOOK_ALIKE, "several_senders": DoubtCode.SEVERAL_SENDERS}

Doubts = list[tuple[DoubtCode, Conversation | None]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a mail belongs.

    conversation: the matter it joins for certain; None when it opens one. is_vouched: our token and its correspondent, or
    our border, prove who wrote. is_other: not the matter's customer but somebody else writes. doubts: what a person should
    look at, each with the matter it may belong to.
    """

    conversation: Conversation | None
    is_vouched: bool
    is_other: bool
    doubts: Doubts


@dataclass(frozen=True, slots=True)
class Sender:
    """What stands in our books about the address a mail comes from, read in one statement with the raw item's state.

    raw_state: a WorkState; is_staff: one of us has this address. newest: state of the newest matter it opened by mail, None
    when there is none; enough_at: when the customer spoke in the last one that counts for the loop guard, None when there are
    fewer. acknowledged, told_of_files: notices it got within a day. colleagues: who can take a new matter now, in order.
    """

    raw_state: str
    is_staff: bool
    newest: str | None
    enough_at: datetime | None
    acknowledged: int
    told_of_files: int
    colleagues: tuple[int, ...]


def _facts(raw_id: int, address: str, since: datetime) -> QuerySet[RawItem, tuple[Any, ...]]:
    matters = _opened_by(address)
    notices = OutgoingMessage.objects.filter(kind=MessageKind.NOTICE, address=address, created_at__gt=since)

    def told(kind: str) -> Subquery:
        counted = notices.filter(key__startswith=kind).order_by().values("kind").annotate(number=Count("pk"))
        return Subquery(counted.values("number"))

    return (
        RawItem.objects.select_for_update()
        .filter(pk=raw_id)
        .order_by("pk")
        .values_list(
            "state",
            Exists(User.objects.filter(email=address, is_staff=True, is_active=True)),
            Subquery(matters.values("state")[:1]),
            Subquery(matters.values("spoke_at")[OPENED_PER_HOUR - 1 : OPENED_PER_HOUR]),
            told(acknowledgements.ACKNOWLEDGED),
            told(acknowledgements.FILES_REFUSED),
            ArraySubquery(User.objects.taking_conversations().order_by("pk").values("pk")),
        )
    )


_sender: Repeated[RawItem] = Repeated(_facts, raw_id=3, address="an address", since=datetime(2000, 1, 1, tzinfo=UTC))


def sender_of(raw: RawItem, mail: Mail, *, at: datetime) -> Sender:
    """Lock a raw item and read what is known of whoever its mail comes from; one statement. Call it in a transaction."""
    row = _sender.rows(raw_id=raw.pk, address=mail.customer or "", since=at - DAY)[0]
    state, is_staff, newest, enough_at, acknowledged, files, colleagues = row
    return Sender(state, is_staff, newest, enough_at, acknowledged or 0, files or 0, tuple(colleagues))


def take_in(
    message: Message,
    mail: Mail,
    addressed: Addressed | None,
    *,
    raw: RawItem,
    sender: Sender,
    at: datetime,
    is_answered: bool = True,
    savepoint: bool = True,
) -> Received:
    """Take in what a person wrote by mail: joined to its matter where that is certain, acknowledged where it opens one.

    is_answered: whether our machine may acknowledge it. savepoint: see `intake.receive`.
    Raises what `intake.receive` raises; then nothing has changed.
    """
    place = place_of(mail, addressed, sender=sender, at=at)
    message = replace(message, is_vouched=place.is_vouched)
    other = message.sender_address if place.is_other else ""
    conversation = place.conversation
    folded = None
    if conversation is None:
        folded = conversation = _too_many_opened(message.sender_address, sender, at=at)
    intake.said_something(message)
    speaker = None
    if not other:
        speaker = identity.speaker(
            "email", message.sender_address, name=message.sender_name, language=message.language, at=at
        )
        speaker = replace(speaker, colleagues=sender.colleagues)
        if speaker.is_new and place.is_vouched and speaker.contact_point is not None:
            speaker.contact_point.verified_at = at
    received = intake.receive(
        message,
        at=at,
        origin="mail",
        raw=raw,
        conversation=conversation,
        speaker=speaker,
        other_address=other,
        savepoint=savepoint,
    )
    if not received.created:
        return received
    if place.is_vouched and not place.is_other:
        _proved(received.interaction.contact_point, at=at)
    _raise(received, place.doubts, at=at)
    if not received.opened:
        _watch_for_floods(received, at=at)
    if is_answered and folded is None:
        acknowledgements.after(
            received,
            mail.attachments,
            address=message.sender_address,
            acknowledged=sender.acknowledged,
            told_of_files=sender.told_of_files,
            is_proved=place.is_vouched,
            is_other=place.is_other,
            at=at,
        )
    return received


def place_of(mail: Mail, addressed: Addressed | None, *, sender: Sender, at: datetime) -> Place:
    """Say where a person's mail belongs. Reads only."""
    address = mail.customer or ""
    doubts: Doubts = [(code, None) for fault, code in _FAULTS.items() if fault in mail.faults]
    if sender.is_staff:
        doubts.append((DoubtCode.CLAIMS_STAFF, None))
    if addressed is not None and not addressed.is_return:
        token = _token(addressed)
        if token is None:
            return Place(None, mail.is_authenticated, False, [*doubts, (DoubtCode.TOKEN_UNKNOWN, None)])
        doubt = token_doubt(expires_at=token.expires_at, revoked_at=token.revoked_at, at=at)
        if doubt is not None:
            return Place(None, mail.is_authenticated, False, [*doubts, (doubt, token.conversation)])
        if address == token.address or _is_of(address, token.conversation):
            return Place(token.conversation, True, False, doubts)
        doubts.append((DoubtCode.OTHER_PERSON, token.conversation))
        return Place(token.conversation, mail.is_authenticated, True, doubts)
    named = _answered(mail)
    if named is not None:
        if mail.is_authenticated and _is_of(address, named):
            return Place(named, True, False, doubts)
        doubts.append((DoubtCode.STRANGERS_HEADERS, named))
        return Place(None, mail.is_authenticated, False, doubts)
    numbered = _numbered(mail.subject, address)
    if numbered is not None:
        doubts.append((DoubtCode.MENTIONS_CASE, numbered))
    return Place(None, mail.is_authenticated, False, doubts)


def _given(digest: str) -> QuerySet[ReplyToken, tuple[Any, ...]]:
    found = ReplyToken.objects.filter(digest=digest).order_by("pk")
    matter = (f"conversation__{field.attname}" for field in Conversation._meta.concrete_fields)
    return found.values_list("address", "expires_at", "revoked_at", *matter)


_by_digest: Repeated[ReplyToken] = Repeated(_given, digest="a digest")


def _token(addressed: Addressed) -> ReplyToken | None:
    """The reply address that a mail was sent to, with its matter; None when we never gave it."""
    rows = _by_digest.rows(digest=addresses.digest_of(addressed.token))
    if not rows:
        return None
    address, expires_at, revoked_at, *matter = rows[0]
    names = (field.attname for field in Conversation._meta.concrete_fields)
    conversation = written(Conversation, **dict(zip(names, matter, strict=True)))
    return ReplyToken(address=address, expires_at=expires_at, revoked_at=revoked_at, conversation=conversation)


def _is_of(address: str, conversation: Conversation) -> bool:
    """Whether this address is one of the matter's own customer."""
    return ContactPoint.objects.filter(
        kind=ContactKind.EMAIL, address=address, unlinked_at=None, customer=conversation.customer_id
    ).exists()


def _answered(mail: Mail) -> Conversation | None:
    """The matter whose mail this one says it answers: ours, or one of the customer's own. It proves nothing."""
    if not mail.in_reply_to:
        return None
    ours = OutgoingMessage.objects.filter(public_id__in=own_ids(mail.in_reply_to), conversation__isnull=False)
    answered = ours.select_related("conversation__customer").order_by("-id").first()
    if answered is not None:
        return answered.conversation
    theirs = Interaction.objects.filter(message_id__in=mail.in_reply_to)
    earlier = theirs.select_related("conversation__customer").order_by("-id").first()
    return earlier.conversation if earlier is not None else None


def _numbered(subject: str, sender: str) -> Conversation | None:
    """Somebody else's matter whose number stands in the subject (M01). We print none; whoever writes one guessed or read it."""
    match = _NUMBER.search(subject)
    if match is None or int(match[1]) >= 2**63:
        return None
    found = Conversation.objects.select_related("customer").filter(pk=int(match[1])).first()
    return found if found is not None and not _is_of(sender, found) else None


def _opened_by(address: str) -> QuerySet[Conversation]:
    """Matters of whoever uses this address that began by mail, the newest first."""
    customer = ContactPoint.objects.filter(kind=ContactKind.EMAIL, address=address, unlinked_at=None).order_by("pk")
    return Conversation.objects.filter(
        customer_id=Subquery(customer.values("customer_id")[:1]), channel=Channel.EMAIL
    ).order_by("-id")


def _too_many_opened(address: str, sender: Sender, *, at: datetime) -> Conversation | None:
    """The newest matter of an address that opened as many within the hour as one may: what comes now joins it (M09, M25)."""
    if sender.enough_at is None or sender.enough_at <= at - HOUR or sender.newest == ConversationState.CLOSED:
        return None
    return _opened_by(address).select_related("customer").first()


_PROVED = """
UPDATE crm_contactpoint SET verified_at = coalesce(verified_at, %(at)s)
WHERE id = %(id)s AND (verified_at IS NULL OR unconfirmed_since IS NOT NULL) RETURNING unconfirmed_since IS NOT NULL
"""


def _proved(contact_point: ContactPoint | None, *, at: datetime) -> None:
    """Note that this address is theirs and works: our token came back from it, or our border vouches for it."""
    if contact_point is None or contact_point.__dict__.get("verified_at") == at:
        return  # nobody known, or written so a moment ago
    if any(is_doubted for (is_doubted,) in prepared(_PROVED, {"id": contact_point.pk, "at": at})):
        deliveries.address_works(contact_point, at=at)


def _raise(received: Received, doubts: Doubts, *, at: datetime) -> None:
    if not doubts:
        return
    Doubt.objects.bulk_create(
        [
            Doubt(
                interaction=received.interaction,
                code=code,
                conversation=about if about is not None and about.pk != received.conversation.pk else None,
                raised_at=at,
            )
            for code, about in doubts
        ],
        ignore_conflicts=True,
    )


def _came_since(conversation: int, since: datetime) -> QuerySet[Interaction, tuple[Any, ...]]:
    mails = Interaction.objects.filter(
        conversation=conversation, spoke_at__gt=since, direction=Direction.INBOUND, channel=Channel.EMAIL
    )
    return mails.order_by("-spoke_at", "-id").values_list("id")[:ALARMED_FROM]


_lately: Repeated[Interaction] = Repeated(_came_since, conversation=3, since=datetime(2000, 1, 1, tzinfo=UTC))


def _watch_for_floods(received: Received, *, at: datetime) -> None:
    """Tell the leads, once a day, of a matter into which more mail comes than a person writes (M09)."""
    matter = received.conversation
    if len(_lately.rows(conversation=matter.pk, since=at - HOUR)) < ALARMED_FROM:
        return
    alert = alerts.told(
        AlertKind.MAIL_FLOOD, key=f"{matter.public_id}:{at.date().isoformat()}", at=at, conversation=matter
    )
    alerts.write([alert])


# --- what machines write --------------------------------------------------------------------------------------------


def written_by_a_machine(addressed: Addressed | None, *, at: datetime) -> Conversation | None:
    """Say what an automatic mail is about: the matter that our reply address names, None for everything else.

    An out-of-office lands on its matter without opening it again or counting as an answer (X5).
    """
    if addressed is None or addressed.is_return:
        return None
    token = _token(addressed)
    if token is None or token_doubt(expires_at=token.expires_at, revoked_at=token.revoked_at, at=at) is not None:
        return None
    return token.conversation
