"""What we write to a customer: answers at once, in a moment or later, and what else leaves about a matter."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Count, Model, Subquery
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from crm import dispatch, history
from crm.actions import (
    call_backs,
    drafts,
    endings,
    in_public,
    intake,
    letters,
    outgoing,
    queue,
    representatives,
    statements,
    ways,
)
from crm.actions.channel_sending import IN_REPLY_TO
from crm.actions.ways import NoWayBack as NoWayBack
from crm.actions.ways import TooLong as TooLong
from crm.actions.ways import Way as Way
from crm.actions.ways import WindowClosed as WindowClosed
from crm.channels import Channel
from crm.channels.smtp import message_id
from crm.models import ContactPoint, Conversation, Customer, Interaction, OutgoingMessage, User
from crm.models.people import ContactKind
from crm.models.representatives import Representative
from crm.models.talk import InteractionQuerySet
from crm.policy import (
    UNDO_AT_MOST,
    ConversationState,
    Direction,
    MessageKind,
    PromiseKind,
    may_leave_at,
    moment_in,
    zone_of,
)
from crm.together import insert_together

SAYS_WHOSE_IT_IS = frozenset({"answer", "confirmation"})
"""Messages in which the owner also says that the matter is theirs (R132)."""
THREAD_IDS_SENT = 10
"""How many Message-IDs stand in References; clients thread by the last ones."""


way_among, check_fits = ways.way_among, ways.check_fits


class NotThen(Exception):
    """An answer cannot leave at that moment: it has passed, lies too far ahead, or comes after something promised."""

    code = "not_then"


class NewerSaid(Exception):
    """Something was said or noted in the conversation that the writer has not seen; `said` is how much there is now."""

    code = "newer_said"

    def __init__(self, words: str, *, said: int) -> None:
        super().__init__(words)
        self.said = said


def clock_of(customer: Customer) -> ZoneInfo:
    """The zone in which a customer lives, as far as we know; the house's otherwise."""
    return zone_of(customer.zone, otherwise=settings.EVENHAND_ZONE)


def on_their_clock(customer: Customer, moment: datetime) -> datetime:
    """Say which moment a time is that was chosen for a customer: without a zone, on their clock. Raises NoSuchTime."""
    return moment if moment.tzinfo is not None else moment_in(clock_of(customer), moment)


def undo_until(at: datetime) -> datetime:
    """When an answer leaves that its writer may take back for a moment; the moment itself where that is switched off."""
    return at + min(settings.EVENHAND_UNDO_FOR, UNDO_AT_MOST)


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
    send_after: datetime | None = None,
    stops_if_they_write: bool = False,
    seen: int | None = None,
    to_representative: int | None = None,
    public: bool | None = None,
) -> OutgoingMessage:
    """Answer a customer the way they came. The promise is kept once the answer is accepted for delivery, not before.

    key: the same key twice is one answer. concerns: what to tell when it is accepted, e.g. "case:<public id>".
    stays_open: the next step is ours, so the conversation keeps waiting for us. out_of_order: an OutOfOrder, needed when
    it waits for us and others stand before it. meets: the promises it keeps; those that every answer keeps when empty.
    correction: why it is otherwise than we said before, in words of the answer itself.
    send_after: when it leaves, at once when None; up to policy.UNDO_AT_MOST from now it is only a moment to take it back,
    beyond that it is planned. stops_if_they_write: it does not leave when the customer writes first (X14).
    seen: how much had been said and noted in the conversation when the writer began; not asked when None.
    to_representative: the key of whoever acts for the customer and is answered instead of them.
    public: whether the writer agreed that everybody can read it; None, which no public way takes, where they were not asked.
    The writer's draft ends with it. Raises Conversation.DoesNotExist, NoWayBack, endings.WrongState, NotThen, NewerSaid,
    TooLong, WindowClosed, intake.NothingSaid, outgoing.DifferentContent, queue.NotNext, queue.InWork, routing.NotCertified,
    representatives.NotTold, statements.Contradicts, in_public.OtherVisibility, in_public.TellsPersonalThings; then nothing has
    changed but the kept draft, and nothing leaves.
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
                meets=list(meets),
                correction=correction,
                send_after=send_after,
                stops_if_they_write=stops_if_they_write,
                seen=seen,
                to_representative=to_representative,
                public=public,
            )
    except in_public.TellsPersonalThings:
        drafts.keep(conversation_id, text=text, by=by, at=at)
        raise
    except (
        IntegrityError,
        NewerSaid,
        queue.NotNext,
        queue.InWork,
    ):  # the second press of the same button is no second answer
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
    send_after: datetime | None,
    stops_if_they_write: bool,
    seen: int | None,
    to_representative: int | None,
    public: bool | None,
) -> OutgoingMessage:
    conversation = (
        Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=conversation_id)
    )
    if conversation.state == ConversationState.CLOSED:
        raise endings.WrongState(_("This conversation is closed; open it again before you write."))
    send_after = _leaves_at(conversation, send_after, at=at)
    heard = _heard(conversation) if seen is None else _heard_since(conversation, seen)
    acting = representatives.reached(conversation, to_representative, at=at) if to_representative else None
    way = Way(Channel.EMAIL, acting[1]) if acting else _way_back(conversation.customer, heard, at=at)
    check_fits(way, text, leaves_at=send_after)
    released = in_public.check(conversation, heard, text, is_public=way.is_public, agreed=public, by=by, at=at)
    beside = queue.answered(conversation, by=by, at=at, out_of_order=out_of_order)
    kept, owes_a_call = call_backs.what_an_answer_keeps(conversation)
    meets = meets or kept
    message = say(
        conversation,
        text=text,
        way=way,
        by=by,
        at=at,
        key=key,
        origin=origin,
        concerns=concerns,
        meets=meets,
        template="answer",
        thread=[i.message_id for i in reversed(heard) if i.message_id],
        beside=[*beside, *released],
        correction=correction,
        send_after=send_after,
        stops_if_they_write=stops_if_they_write,
        representative=acting[0] if acting else None,
    )
    drafts.sent(conversation.pk, by=by)
    conversation.state = ConversationState.OPEN if stays_open or owes_a_call else ConversationState.WAITING
    conversation.save(update_fields=["owner", "state"])
    return message


def _heard(conversation: Conversation) -> list[Interaction]:
    """What the customer last said here, newest first."""
    return list(_inbound(conversation)[:THREAD_IDS_SENT])


def _inbound(conversation: Conversation) -> InteractionQuerySet:
    heard = Interaction.objects.filter(conversation=conversation, direction=Direction.INBOUND)
    return heard.select_related("contact_point").order_by("-spoke_at", "-id")


def _heard_since(conversation: Conversation, seen: int) -> list[Interaction]:
    """The same, unless more was said or noted than the writer has seen. Raises NewerSaid."""
    heard: list[Any] = list(_inbound(conversation).annotate(said=said_in(conversation))[:THREAD_IDS_SENT])
    if heard and heard[0].said > seen:
        raise NewerSaid(
            _(
                "Something was said or noted here while you wrote. Please look at it; send again if your answer still fits."
            ),
            said=heard[0].said,
        )
    return heard


def said_in(conversation: Conversation) -> Subquery:
    """How much was said and noted in a conversation, to be read with other rows; counted once for all of them."""
    said = Interaction.objects.filter(conversation=conversation).order_by().values("conversation")
    return Subquery(said.annotate(n=Count("pk")).values("n"))


def _leaves_at(conversation: Conversation, send_after: datetime | None, *, at: datetime) -> datetime:
    """When an answer leaves. Raises NotThen. The conversation is locked by the caller."""
    if send_after is None:
        return at
    due_at = conversation.due_at
    if at <= send_after <= at + UNDO_AT_MOST:
        # A moment to think again must not be what breaks a promise.
        return at if due_at is not None and at < due_at < send_after else send_after
    refused = may_leave_at(send_after, due_at=due_at, at=at)
    if refused == "after_promise" and due_at is not None:
        zone = clock_of(conversation.customer)
        raise NotThen(
            _("An answer is promised by %(due)s (%(zone)s). Please let it leave before that.")
            % {"due": date_format(timezone.localtime(due_at, zone), "D j M, H:i"), "zone": zone.key}
        )
    if refused == "too_far":
        raise NotThen(_("Please choose a moment within the next 90 days."))
    if refused:
        raise NotThen(_("That moment has passed. Please choose one that lies ahead."))
    return send_after.astimezone(UTC)


def say(
    conversation: Conversation,
    *,
    text: str,
    way: Way,
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
    send_after: datetime | None = None,
    stops_if_they_write: bool = False,
    representative: Representative | None = None,
) -> OutgoingMessage:
    """Write what we say, its outgoing message, its history and what stands beside them in one statement; ring after commit."""
    taken_back = statements.compare(conversation, text=text, correction=correction, at=at)
    is_owner = template in SAYS_WHOSE_IT_IS and conversation.owner_id == by.pk
    channel = way.channel
    interaction = Interaction(
        conversation=conversation,
        direction=Direction.OUTBOUND,
        channel=channel,
        # The address may belong to somebody else we know; then it only receives, and nobody is merged.
        contact_point=way.point if way.point.customer_id == conversation.customer_id else None,
        author=by,
        source="desk",
        external_id=key,
        subject=conversation.subject,
        text=text,
        spoke_at=at,
        ingested_at=at,
    )
    letter = letters.render(
        f"crm/{template}",
        language=conversation.customer.language,
        zone=conversation.customer.zone,
        text=text,
        subject=conversation.subject,
        is_owner=is_owner,
        **letters.signed(by),
    )
    headers = {IN_REPLY_TO: way.in_reply_to} if way.in_reply_to else {}
    if thread and channel == Channel.EMAIL:
        headers = {"In-Reply-To": f"<{thread[-1]}>", "References": " ".join(f"<{known}>" for known in thread)}
    message = outgoing.written(
        outgoing.Draft(
            key=key,
            kind=MessageKind.SERVICE,
            channel=channel,
            address=way.point.address,
            account=way.account,
            subject=letter.subject,
            text=letter.text if channel == Channel.EMAIL else text,
            html=letter.html if channel == Channel.EMAIL else "",
            meets=[*meets, *([PromiseKind.OWNERSHIP] if is_owner and PromiseKind.OWNERSHIP not in meets else [])],
            concerns=concerns,
            headers=headers,
        ),
        customer=conversation.customer,
        conversation=conversation,
        interaction=interaction,
        signed_by=by,
        at=at,
        send_after=send_after,
    )
    message.stops_if_they_write, message.representative = stops_if_they_write, representative
    message.is_public = way.is_public
    if channel == Channel.EMAIL:
        interaction.message_id = message_id(message.public_id).strip("<>")
    entry = history.entry(
        conversation.customer,
        "conversation.answered" if template == "answer" else f"conversation.{template}",
        ref=f"conversation:{conversation.public_id}",
        by=by,
        at=at,
        origin=origin,
        detail={"message": str(message.public_id), "channel": channel} | ({"corrects": True} if taken_back else {}),
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
    """Tell a customer something about their matter that is no answer and keeps no promise; None without an address, or where
    everybody would read what is meant for them.

    template: of templates/email/crm. The conversation is locked by the caller, with its customer.
    """
    heard = _heard(conversation)
    try:
        way = _way_back(conversation.customer, heard, at=at)
        check_fits(way, text, leaves_at=at)
    except (NoWayBack, TooLong, WindowClosed):
        return None
    if way.is_public:
        return None
    return say(
        conversation,
        text=text,
        way=way,
        by=by,
        at=at,
        key=key,
        origin="",
        concerns="",
        meets=[],
        template=template,
        thread=[i.message_id for i in reversed(heard) if i.message_id],
    )


def way_back(conversation: Conversation, *, at: datetime) -> Way:
    """How an answer in this conversation would go now. Raises NoWayBack, WindowClosed."""
    return _way_back(conversation.customer, _heard(conversation), at=at)


def _way_back(customer: Customer, heard: list[Interaction], *, at: datetime) -> Way:
    """How to answer: how they last came where that has a way back, else an e-mail address they gave."""
    try:
        return way_among(heard, (), at=at)
    except (NoWayBack, WindowClosed):
        points = ContactPoint.objects.filter(customer=customer, kind=ContactKind.EMAIL, unlinked_at=None).order_by("id")
        return way_among(heard, points[:1], at=at)
