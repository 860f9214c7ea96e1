"""What colleagues do at their desk: answer, write down a call, leave a note, close."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Model
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext as _

from crm import dispatch, history
from crm.actions import endings, identity, intake, outgoing, queue, routing, statements
from crm.channels import Channel, Message
from crm.channels.smtp import message_id
from crm.models import ContactPoint, Conversation, Customer, Interaction, OutgoingMessage, Promise, User
from crm.models.people import ContactKind
from crm.policy import (
    CONVERSATION_NEXT,
    ConversationState,
    Direction,
    HowClosed,
    MessageKind,
    OutOfOrder,
    PromiseKind,
    PullEnd,
    WorkMode,
    may_close,
    promises_an_answer_keeps,
)
from crm.together import insert_together

THREAD_IDS_SENT = 10
"""How many Message-IDs stand in References; clients thread by the last ones."""


WrongState = endings.WrongState
"""The conversation cannot go from its state to the wanted one."""


class NoWayBack(Exception):
    """There is no address to which the customer could be answered."""

    code = "no_way_back"


class StillPromised(Exception):
    """Something promised has not been done yet."""

    code = "still_promised"


class NotYet(ValueError):
    """A stated time lies in the future, or was stated without saying how it is known."""

    code = "time_not_credible"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a colleague writes down after a talk on the phone or at the counter.

    said: what the customer told us, in their words. agreed: what we confirm in writing ("" when nothing was agreed).
    spoke_at: the first ring, aware; None for now. spoke_at_known_from: how the time is known, needed with spoke_at.
    hold_seconds, call_seconds: time on hold, length of the talk. key: the same key twice is one call.
    """

    key: str
    said: str
    agreed: str
    channel: Channel = Channel.PHONE
    phone: str = ""
    email: str = ""
    name: str = ""
    subject: str = ""
    spoke_at: datetime | None = None
    spoke_at_known_from: str = ""
    hold_seconds: int = 0
    call_seconds: int = 0


def answer(
    conversation_id: int,
    *,
    text: str,
    by: User,
    at: datetime,
    key: str = "",
    origin: str = "admin",
    concerns: str = "",
    stays_open: bool = False,
    out_of_order: str = "",
    meets: Sequence[PromiseKind] = (),
    correction: str = "",
) -> OutgoingMessage:
    """Answer a customer the way they came. The promise is kept once the answer is accepted for delivery, not before.

    key: the same key twice is one answer. concerns: what to tell when it is accepted, e.g. "case:<public id>".
    stays_open: the next step is ours, so the conversation keeps waiting for us. out_of_order: an OutOfOrder, needed when
    it waits for us and others stand before it. meets: the promises it keeps; those that every answer keeps when empty.
    correction: why it is otherwise than we said before, in words of the answer itself.
    Raises Conversation.DoesNotExist, NoWayBack, WrongState, intake.NothingSaid, outgoing.DifferentContent, queue.NotNext,
    queue.InWork, routing.NotCertified, statements.Contradicts; then nothing has changed and nothing leaves.
    """
    if not text.strip():
        raise intake.NothingSaid(_("There are no words in this answer yet."))
    key = f"answer:{conversation_id}:{key or uuid.uuid4()}"
    try:
        with transaction.atomic():
            return _answer(
                conversation_id,
                text=text,
                by=by,
                at=at,
                key=key,
                origin=origin,
                concerns=concerns,
                stays_open=stays_open,
                out_of_order=out_of_order,
                meets=list(meets) or promises_an_answer_keeps(),
                correction=correction,
            )
    except (IntegrityError, queue.NotNext, queue.InWork):  # the second press of the same button is no second answer
        standing = OutgoingMessage.objects.select_related("interaction").filter(key=key).first()
        if standing is None or standing.interaction is None:
            raise
        if standing.interaction.text != text:
            raise outgoing.DifferentContent(_("This answer was already sent with other words.")) from None
        return standing


def _answer(
    conversation_id: int,
    *,
    text: str,
    by: User,
    at: datetime,
    key: str,
    origin: str,
    concerns: str,
    stays_open: bool,
    out_of_order: str,
    meets: list[PromiseKind],
    correction: str,
) -> OutgoingMessage:
    conversation = (
        Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=conversation_id)
    )
    if conversation.state == ConversationState.CLOSED:
        raise WrongState(_("This conversation is closed; open it again before you write."))
    heard = list(
        Interaction.objects.filter(conversation=conversation, direction=Direction.INBOUND)
        .select_related("contact_point")
        .order_by("-spoke_at", "-id")[:THREAD_IDS_SENT]
    )
    channel, point = _way_back(conversation.customer, heard)
    if channel in routing.PUBLIC:
        routing.check_public(by, at=at)
    beside = queue.answered(conversation, by=by, at=at, out_of_order=out_of_order)
    message = _say(
        conversation,
        text=text,
        channel=channel,
        address=point.address,
        contact_point=point,
        by=by,
        at=at,
        key=key,
        origin=origin,
        concerns=concerns,
        meets=meets,
        template="answer",
        thread=[i.message_id for i in reversed(heard) if i.message_id],
        beside=beside,
        correction=correction,
    )
    conversation.state = ConversationState.OPEN if stays_open else ConversationState.WAITING
    conversation.save(update_fields=["owner", "state"])
    return message


def _say(
    conversation: Conversation,
    *,
    text: str,
    channel: Channel,
    address: str,
    contact_point: ContactPoint | None,
    by: User,
    at: datetime,
    key: str,
    origin: str,
    concerns: str,
    meets: list[PromiseKind],
    template: str,
    thread: list[str],
    beside: Sequence[Model] = (),
    correction: str = "",
) -> OutgoingMessage:
    """Write what we say, its outgoing message, its history and what stands beside them in one statement; ring after commit."""
    taken_back = statements.compare(conversation, text=text, correction=correction, at=at)
    interaction = Interaction(
        conversation=conversation,
        direction=Direction.OUTBOUND,
        channel=channel,
        contact_point=contact_point,
        author=by,
        source="desk",
        external_id=key,
        subject=conversation.subject,
        text=text,
        spoke_at=at,
        ingested_at=at,
    )
    words = {"text": text, "signed_by": str(by), "shop": settings.EVENHAND_MAIL_NAME, "subject": conversation.subject}
    with translation.override(conversation.customer.language or settings.LANGUAGE_CODE):
        subject = " ".join(render_to_string(f"email/crm/{template}.subject.txt", words).split())
        plain = render_to_string(f"email/crm/{template}.txt", words)
        html = render_to_string(f"email/crm/{template}.html", words)
    headers = (
        {"In-Reply-To": f"<{thread[-1]}>", "References": " ".join(f"<{known}>" for known in thread)}
        if thread and channel == Channel.EMAIL
        else {}
    )
    message = outgoing.written(
        outgoing.Draft(
            key=key,
            kind=MessageKind.SERVICE,
            channel=channel,
            address=address,
            subject=subject,
            text=plain if channel == Channel.EMAIL else text,
            html=html if channel == Channel.EMAIL else "",
            meets=list(meets),
            concerns=concerns,
            headers=headers,
        ),
        customer=conversation.customer,
        conversation=conversation,
        interaction=interaction,
        signed_by=by,
        at=at,
    )
    if channel == Channel.EMAIL:
        interaction.message_id = message_id(message.public_id).strip("<>")
    entry = history.entry(
        conversation.customer,
        "conversation.answered" if template == "answer" else f"conversation.{template}",
        ref=f"conversation:{conversation.public_id}",
        by=by,
        at=at,
        origin=origin,
        detail={"message": str(message.public_id), "channel": channel},
    )
    rows: list[Model] = [interaction, message, entry, *beside]
    if taken_back:
        rows.append(statements.taken_back(interaction, earlier=taken_back, reason=correction, by=by, at=at))
    insert_together(*rows)
    dispatch.after_commit("outgoing.ready")
    return message


def tell(
    conversation: Conversation, *, text: str, template: str, by: User, at: datetime, key: str
) -> OutgoingMessage | None:
    """Tell a customer something about their matter that is no answer and keeps no promise; None without an address.

    template: of templates/email/crm. The conversation is locked by the caller, with its customer.
    """
    heard = list(
        Interaction.objects.filter(conversation=conversation, direction=Direction.INBOUND)
        .select_related("contact_point")
        .order_by("-spoke_at", "-id")[:THREAD_IDS_SENT]
    )
    try:
        channel, point = _way_back(conversation.customer, heard)
    except NoWayBack:
        return None
    return _say(
        conversation,
        text=text,
        channel=channel,
        address=point.address,
        contact_point=point,
        by=by,
        at=at,
        key=key,
        origin="",
        concerns="",
        meets=[],
        template=template,
        thread=[i.message_id for i in reversed(heard) if i.message_id],
    )


def _way_back(customer: Customer, heard: list[Interaction]) -> tuple[Channel, ContactPoint]:
    """The medium and address to answer on: how they last came where that has a way back, else an e-mail address they gave."""
    for interaction in heard:
        point = interaction.contact_point
        if point is None or point.unlinked_at is not None:
            continue
        if point.kind == ContactKind.EMAIL:
            return Channel.EMAIL, point
        if point.kind == ContactKind.APP:
            return Channel.APP, point
    given = (
        ContactPoint.objects.filter(customer=customer, kind=ContactKind.EMAIL, unlinked_at=None).order_by("id").first()
    )
    if given is None:
        raise NoWayBack(
            _("We have no address to write to yet. Call back, and ask where the customer likes to get it in writing.")
        )
    return Channel.EMAIL, given


def log_call(call: Call, *, by: User, at: datetime, origin: str = "admin") -> intake.Received:
    """Write down a talk: what the customer said comes in like everything else, what was agreed leaves in writing.

    The first answer and the written confirmation are kept when the confirmation is accepted for delivery.
    Raises NotYet, intake.NothingSaid, identity.UnusableAddress, intake.DifferentContent; then nothing has changed.
    """
    if call.spoke_at is not None and call.spoke_at > at:
        raise NotYet(_("The call cannot have begun in the future."))
    if call.spoke_at is not None and not call.spoke_at_known_from.strip():
        raise NotYet(_("Please say how you know when the call began, for example “phone display”."))
    if not call.said.strip():
        raise intake.NothingSaid(_("Please note what the customer said."))
    kind, address = (ContactKind.PHONE, call.phone) if call.phone.strip() else (ContactKind.EMAIL, call.email)
    heard = Message(
        channel=call.channel,
        source="desk:calls",
        external_id=call.key,
        sender_kind="phone" if kind == ContactKind.PHONE else "email",
        sender_address=address,
        sender_name=call.name,
        subject=call.subject,
        text=call.said,
        full_text=call.said,
        spoke_at=call.spoke_at,
        hold_seconds=call.hold_seconds,
        call_seconds=call.call_seconds,
    )
    if call.email.strip():
        identity.normalised(ContactKind.EMAIL, call.email)
    with transaction.atomic():
        received = intake.receive(heard, by=by, at=at, origin=origin)
        if received.created and call.email.strip() and call.agreed.strip():
            _confirm(received.conversation, call, by=by, at=at, origin=origin)
    return received


def _confirm(conversation: Conversation, call: Call, *, by: User, at: datetime, origin: str) -> OutgoingMessage:
    address = identity.normalised(ContactKind.EMAIL, call.email)
    point = ContactPoint.objects.filter(kind=ContactKind.EMAIL, address=address, unlinked_at=None).first()
    if point is None:
        point = ContactPoint.objects.create(
            customer=conversation.customer, kind=ContactKind.EMAIL, address=address, created_at=at
        )
    message = _say(
        conversation,
        text=call.agreed,
        channel=Channel.EMAIL,
        address=address,
        # The address may belong to somebody else we know; then it only receives, and nobody is merged.
        contact_point=point if point.customer_id == conversation.customer_id else None,
        by=by,
        at=at,
        key=f"confirmation:{call.key}",
        origin=origin,
        concerns="",
        meets=[PromiseKind.FIRST_RESPONSE, PromiseKind.CONFIRMATION],
        template="confirmation",
        thread=[],
        beside=queue.answered(conversation, by=by, at=at, out_of_order=OutOfOrder.ON_THE_LINE, mode=WorkMode.TALK),
    )
    conversation.state = ConversationState.WAITING
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
