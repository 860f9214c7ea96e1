"""What colleagues do at their desk: answer, write down a call, leave a note, close."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Model
from django.utils.translation import gettext as _

from crm import dispatch, history
from crm.actions import (
    call_backs,
    calls,
    endings,
    identity,
    intake,
    letters,
    outgoing,
    promises,
    queue,
    routing,
    statements,
    talks,
)
from crm.actions.talks import Call
from crm.channels import Channel
from crm.channels.smtp import message_id
from crm.models import ContactPoint, Conversation, Customer, Interaction, OutgoingMessage, Promise, User
from crm.models.people import ContactKind
from crm.policy import (
    CONFIRMATION_WITHIN,
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
    unfinished,
)
from crm.together import insert_together

SAYS_WHOSE_IT_IS = frozenset({"answer", "confirmation"})
"""Messages in which the owner also says that the matter is theirs (R132)."""
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
                meets=list(meets),
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
    kept, owes_a_call = call_backs.what_an_answer_keeps(conversation)
    meets = meets or kept
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
    conversation.state = ConversationState.OPEN if stays_open or owes_a_call else ConversationState.WAITING
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
    is_owner = template in SAYS_WHOSE_IT_IS and conversation.owner_id == by.pk
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
    letter = letters.render(
        f"crm/{template}",
        language=conversation.customer.language,
        zone=conversation.customer.zone,
        text=text,
        subject=conversation.subject,
        is_owner=is_owner,
        **letters.signed(by),
    )
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
