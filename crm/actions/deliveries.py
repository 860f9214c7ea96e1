"""What became of what we sent: news of providers and returned mails, applied once and in any order.

Nothing here believes a stranger: a provider's post was checked by its door, a returned mail carries a mark that only we can
make, and either names a message of ours, or nothing changes (M12, H09).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import Q

from crm import dispatch, history
from crm.actions import alerts, consent, endings, outcomes, outgoing, posts, promises, suppression, work
from crm.channels import Channel, statuses
from crm.channels.email import Bounced, Mail
from crm.channels.email.addresses import Addressed
from crm.channels.esp import DeliveryNews
from crm.channels.esp_inbound import InboundMail
from crm.channels.smtp import own_ids
from crm.models import ContactPoint, Conversation, Customer, DeliveryEvent, OutgoingMessage, RawItem
from crm.models.people import ContactKind
from crm.policy import (
    AlertKind,
    ConversationState,
    Delivery,
    MessageKind,
    OutgoingState,
    PromiseKind,
    WorkState,
    delivery_after,
)
from crm.policy.suppression import SuppressionReason, SuppressionScope

logger = logging.getLogger(__name__)

BOUNCE_MAIL: Final = "bounce mail"
# anymail: a provider keeps trying what is "deferred" and reports again; what it calls by the other names is given up.
_TOLD: Final[dict[str, Delivery]] = {
    "deferred": Delivery.DEFERRED,
    "delivered": Delivery.DELIVERED,
    "bounced": Delivery.BOUNCED,
    "rejected": Delivery.BOUNCED,
    "failed": Delivery.BOUNCED,
    "complained": Delivery.COMPLAINED,
}
_ARRIVED: Final[dict[str, Delivery]] = {
    "deferred": Delivery.DEFERRED,
    "delivered": Delivery.DELIVERED,
    "read": Delivery.DELIVERED,
    "failed": Delivery.BOUNCED,
    "unwanted": Delivery.COMPLAINED,
}
_SPEAKS_FOR: Final = {"failed": 3, "delayed": 2, "delivered": 1}  # what a report says of several recipients: the worst


def report(news: DeliveryNews, *, at: datetime) -> OutgoingMessage | None:
    """Apply one report of a provider, whose door has checked who told it. The same report twice is applied once.

    at: now. Returns the message it is about; None when it names none of ours, and then nothing has changed (H09). What
    recipients opened or clicked is not kept. A report of a kind that nobody knows is kept for a person (H06).
    """
    if news.event == "unknown":
        _keep(_unknown(news, at=at))
        return None
    if news.event not in _TOLD and news.event != "unsubscribed":
        return None
    message = _named(news)
    if message is None:
        return None
    event_at = max(min(news.event_at or at, at), message.created_at)
    if news.event == "unsubscribed":
        _stop_gestures(
            message.customer_id,
            kind=_kind_of(message),
            address=message.address,
            reason=SuppressionReason.UNSUBSCRIBE,
            told_at=event_at,
            evidence=f"Unsubscribed at {news.provider}.",
            at=at,
        )
        return message
    _told(
        message,
        _TOLD[news.event],
        is_permanent=news.is_permanent,
        source=news.provider,
        external_id=f"{news.event_id}:{message.pk}",
        reason=news.said or news.reason,
        event_at=event_at,
        at=at,
    )
    return message


def told_by_provider(
    message: OutgoingMessage,
    arrival: str,
    *,
    is_permanent: bool,
    source: str,
    external_id: str,
    reason: str,
    event_at: datetime | None,
    at: datetime,
) -> None:
    """Apply one report about a message that went through a channel's account; its provider was checked, the message is named.

    arrival: as channels.providers.DeliveryReport. The same report twice is applied once.
    """
    told_at = max(min(event_at or at, at), message.created_at)
    if arrival in _ARRIVED:
        _told(
            message,
            _ARRIVED[arrival],
            is_permanent=is_permanent,
            source=source,
            external_id=external_id,
            reason=reason,
            event_at=told_at,
            at=at,
        )
    elif message.unknown_outcomes and message.state != OutgoingState.ACCEPTED:  # "sent": they have it
        outcomes.was_accepted(message, at=told_at)


def bounce_mail(raw: RawItem, mail: Mail, addressed: Addressed | None, *, at: datetime) -> OutgoingMessage | None:
    """Apply a mail that a mail server sent back, or a complaint report; only one that came to an address with our mark.

    addressed: what the address it came to says, None when that was no address of ours. Returns the message that came back;
    None when the mark is missing or forged or the mail says nothing about delivery, and then nothing has changed (M12).
    """
    if addressed is None or not addressed.is_return or addressed.message is None:
        return None
    message = OutgoingMessage.objects.filter(public_id=addressed.message).first()
    if message is None or mail.kind not in ("bounce", "complaint_report"):
        return None
    kind, is_permanent, said = Delivery.COMPLAINED, False, ""
    if mail.kind == "bounce":
        verdict = _verdict(mail.bounced, address=message.address)
        if verdict.action in ("relayed", "expanded"):
            return None
        kind = {"delayed": Delivery.DEFERRED, "delivered": Delivery.DELIVERED}.get(verdict.action, Delivery.BOUNCED)
        is_permanent = kind == Delivery.BOUNCED and statuses.is_gone(verdict.status) is True
        said = " ".join(filter(None, [verdict.status, verdict.action]))
    event_at = max(min(mail.spoke_at or raw.received_at, at), message.created_at)
    _told(
        message,
        kind,
        is_permanent=is_permanent,
        source=BOUNCE_MAIL,
        external_id=f"{raw.pk}",
        reason=said,
        event_at=event_at,
        at=at,
    )
    return message


def unsubscribed(address: str, *, evidence: str, told_at: datetime, at: datetime) -> None:
    """Stop every card to whoever uses this address, because a mail from it asks for that; service answers go on.

    A From line is a claim, and a false one costs a customer a card, not a matter; so the wish is heard at once.
    """
    point = ContactPoint.objects.filter(kind=ContactKind.EMAIL, address=address, unlinked_at=None).first()
    if point is not None:
        _stop_gestures(
            point.customer_id,
            kind=ContactKind.EMAIL,
            address=address,
            reason=SuppressionReason.UNSUBSCRIBE,
            told_at=told_at,
            evidence=evidence,
            at=at,
        )


def address_works(point: ContactPoint, *, at: datetime) -> bool:
    """Take the doubt from an address, because a mail came from it and somebody we trust vouches for that.

    Says whether there was a doubt.
    """
    cleared = ContactPoint.objects.filter(pk=point.pk, unconfirmed_since__isnull=False).update(
        unconfirmed_since=None, unconfirmed_because=""
    )
    if not cleared:
        return False
    point.unconfirmed_since, point.unconfirmed_because = None, ""
    customer = Customer.objects.get(pk=point.customer_id)
    history.record(customer, "address.works", ref=f"contact_point:{point.pk}", by=None, at=at)
    return True


def keep_mails(mails: Iterable[InboundMail], *, at: datetime) -> None:
    """Keep the mails of one post of a provider byte for byte, for the lane that reads them. The same mail twice is one."""
    _keep(
        *(
            RawItem(
                source=f"mail:{mail.provider}",
                external_id=mail.external_id,
                content=mail.content,
                label=mail.envelope_from[:300],
                received_at=at,
                facts={
                    name: value
                    for name, value in {
                        "provider": mail.provider,
                        "envelope_from": mail.envelope_from,
                        "envelope_to": mail.envelope_to,
                        "server_at": mail.event_at.isoformat() if mail.event_at else "",
                        "spam_score": mail.spam_score,
                        "is_spam": mail.is_spam,
                        "has_null_sender": mail.has_null_sender or None,
                    }.items()
                    if value not in ("", None)
                },
            )
            for mail in mails
        ),
        read=True,
    )


def keep_unreadable(content: bytes, *, provider: str, reason: str, at: datetime) -> None:
    """Keep a post of a provider that nobody could read, where people see it."""
    digest = hashlib.sha256(content).hexdigest()
    item = RawItem(source=f"report:{provider}", external_id=digest, content=content, label=provider, received_at=at)
    item.state, item.kind, item.reason = WorkState.PARKED, "unreadable_report", f"unreadable_report: {reason}"[:300]
    _keep(item)


def _unknown(news: DeliveryNews, *, at: datetime) -> RawItem:
    return RawItem(
        source=f"report:{news.provider}",
        external_id=news.event_id[:200],
        content=news.raw,
        label=news.provider,
        received_at=at,
        state=WorkState.DONE,
        kind="unknown_report",
        reason="unknown_report: The provider reports something that we do not know.",
    )


@transaction.atomic
def _keep(*items: RawItem, read: bool = False) -> None:
    RawItem.objects.bulk_create(items, ignore_conflicts=True)
    if read:
        dispatch.after_commit("raw.kept")


def _named(news: DeliveryNews) -> OutgoingMessage | None:
    """The one message a report names, by our key or by the provider's id of what it accepted; both must agree where both do."""
    keys = {key for key in (news.key, *own_ids((news.provider_id,))) if key is not None}
    named = Q(public_id__in=keys)
    if news.provider_id:
        named |= Q(provider_id=news.provider_id)
    found = list(OutgoingMessage.objects.filter(named).order_by("pk")[:2]) if keys or news.provider_id else []
    if len(found) != 1:
        return None
    message = found[0]
    if news.recipient and news.recipient != message.address.lower():
        return None  # a copy to somebody else, or another message's key
    return message if message.attempt else None  # what was never handed over has no news


def _verdict(bounced: tuple[Bounced, ...], *, address: str) -> Bounced:
    """What a returned mail says about the one recipient of our message; forwarding may have given them another name."""
    about = [one for one in bounced if one.address.lower() == address.lower()] or list(bounced)
    worst = max(about, key=lambda one: _SPEAKS_FOR.get(one.action, 0), default=None)
    return worst or Bounced(address, "", "failed")


@transaction.atomic
def _told(
    message: OutgoingMessage,
    kind: Delivery,
    *,
    is_permanent: bool,
    source: str,
    external_id: str,
    reason: str,
    event_at: datetime,
    at: datetime,
) -> None:
    if message.unknown_outcomes and message.state != OutgoingState.ACCEPTED:
        outcomes.was_accepted(message, at=event_at)  # nobody knew whether it had arrived; now somebody says so
    conversation = None  # locks in the order in which accepting takes them: matter, customer, message
    if message.conversation_id:
        conversation = Conversation.objects.select_for_update(of=("self",)).get(pk=message.conversation_id)
    if kind == Delivery.COMPLAINED:
        Customer.objects.select_for_update().get(pk=message.customer_id)
    message = (
        OutgoingMessage.objects.select_for_update(of=("self",), no_key=True)
        .select_related("customer")
        .get(pk=message.pk)
    )
    told, is_new = DeliveryEvent.objects.get_or_create(
        source=source[:40],
        external_id=external_id[:200],
        defaults={
            "message": message,
            "kind": kind,
            "is_permanent": is_permanent,
            "reason": reason[:300],
            "event_at": event_at,
            "received_at": at,
        },
    )
    if not is_new:
        return
    if delivery_after(message.delivery, message.delivery_at, told=kind, told_at=event_at):
        message.delivery, message.delivery_at, message.delivery_reason = kind, event_at, reason[:300]
        message.save(update_fields=["delivery", "delivery_at", "delivery_reason"])
    if kind == Delivery.COMPLAINED:
        _record(message, "message.complained", source=source, at=at)
        evidence = f"The recipient called a message unwanted ({source}, {event_at:%Y-%m-%d %H:%M} UTC)."
        _stop_gestures(
            message.customer_id,
            kind=_kind_of(message),
            address=message.address,
            reason=SuppressionReason.COMPLAINT,
            told_at=event_at,
            evidence=evidence,
            at=at,
        )
    if kind != Delivery.BOUNCED:
        return
    if is_permanent:
        _doubt_address(message, conversation, reason=reason, at=at)
    others = DeliveryEvent.objects.filter(message=message, kind=Delivery.BOUNCED).exclude(pk=told.pk)
    if not others.exists():
        _record(message, "message.came_back", source=source, at=at)
        _came_back(message, conversation, at=at)


def _record(message: OutgoingMessage, verb: str, *, source: str, at: datetime) -> None:
    ref = outgoing.ref_of(message)
    history.record(message.customer, verb, ref=ref, by=None, at=at, origin="mail", detail={"told_by": source})


def _doubt_address(message: OutgoingMessage, conversation: Conversation | None, *, reason: str, at: datetime) -> None:
    """Mark the address as doubtful, never remove it (M12), and tell whoever has to find another way."""
    kinds = (
        [ContactKind.EMAIL] if message.account_id is None else [ContactKind.PHONE, ContactKind.HANDLE, ContactKind.APP]
    )
    marked = ContactPoint.objects.filter(
        kind__in=kinds,
        address=message.address,
        customer_id=message.customer_id,
        unlinked_at=None,
        unconfirmed_since=None,
    ).update(unconfirmed_since=at, unconfirmed_because=reason[:300] or "came back")
    if marked:
        history.record(
            message.customer, "address.unconfirmed", ref=outgoing.ref_of(message), by=None, at=at, origin="mail"
        )
    if message.kind != MessageKind.SERVICE and not message.has_value:
        return  # a card or an acknowledgement; nobody waits for it
    owner = conversation.owner if conversation is not None else None
    told = alerts.told(
        AlertKind.ADDRESS_BOUNCED,
        key=str(message.public_id),
        at=at,
        to=owner,
        conversation=conversation,
        detail={"message": message.pk},
    )
    alerts.write([told])


def _came_back(message: OutgoingMessage, conversation: Conversation | None, *, at: datetime) -> None:
    """Undo what its acceptance had settled: nobody was answered. Nothing is sent again by itself (G16)."""
    if message.concerns:
        work.follow("outgoing.came_back", ref=message.concerns, at=at)
    if conversation is None or message.kind != MessageKind.SERVICE:
        return
    if message.accepted_at is not None and message.meets:
        arrived = list(
            OutgoingMessage.objects.filter(conversation=conversation, state=OutgoingState.ACCEPTED)
            .exclude(delivery_events__kind=Delivery.BOUNCED)
            .select_related("interaction")
            .order_by("accepted_at", "pk")
        )
        answers = [
            promises.Kept(other.accepted_at, frozenset(other.meets), other.interaction)
            for other in arrived
            if other.accepted_at is not None
        ]
        promises.unmeet(conversation, message.meets, kept_at=message.accepted_at, otherwise=answers, at=at)
        posts.unanswered(
            conversation,
            answered_at=message.accepted_at,
            otherwise=[
                (other.created_at, other.accepted_at)
                for other in arrived
                if other.accepted_at is not None and PromiseKind.FIRST_RESPONSE in other.meets
            ],
        )
        if conversation.first_answer_at == message.accepted_at:
            first = [answer.at for answer in answers if PromiseKind.FIRST_RESPONSE in answer.kinds]
            conversation.first_answer_at = min(first, default=None)
            conversation.save(update_fields=["first_answer_at"])
    if conversation.state != ConversationState.OPEN:
        endings.wait_for_us(conversation.pk, by=None, at=at)


def _stop_gestures(
    customer_id: int,
    *,
    kind: ContactKind,
    address: str,
    reason: SuppressionReason,
    told_at: datetime,
    evidence: str,
    at: datetime,
) -> None:
    """End every permission that the customer gave before they said so, and let nothing reach this address; answers are owed.

    Whoever said yes later has said nothing against it since.
    """
    with transaction.atomic():
        customer = Customer.objects.select_for_update().get(pk=customer_id)
        if consent.end_all(customer, evidence=evidence, told_at=told_at, at=at):
            return
        suppression.suppress(kind, address, scope=SuppressionScope.ALL_BUT_OWED, reason=reason, at=at)


def _kind_of(message: OutgoingMessage) -> ContactKind:
    """What kind of address a message went to; among numbers and names, suppressions do not tell apart."""
    by = {Channel.EMAIL: ContactKind.EMAIL, Channel.LETTER: ContactKind.POSTAL}
    return by.get(Channel(message.channel), ContactKind.PHONE)
