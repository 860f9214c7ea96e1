"""Answers that a colleague gave by hand where no account of ours can: kept with the link, the author and a sign-off (R028)."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from crm import history
from crm.actions import (
    alerts,
    answers,
    calendars,
    call_backs,
    drafts,
    endings,
    identity,
    in_public,
    intake,
    outcomes,
    outgoing,
    promises,
    queue,
    routing,
    statements,
    talks,
)
from crm.actions.intake import SPOKEN
from crm.channels import PUBLIC, Channel, feeds
from crm.models import AnswerElsewhere, Conversation, Interaction, OutgoingMessage, Promise, User
from crm.policy import (
    AlertKind,
    ConversationState,
    Direction,
    MessageKind,
    OutgoingState,
    PromiseKind,
    Role,
    needs_another_to_sign_off,
    next_answer_promise,
    why_not_answered_then,
)

SOURCE = "desk:elsewhere"
"""The source of what we say where no account of ours says it."""


NOT_IN_A_PLACE = SPOKEN | {Channel.LETTER}
"""What was said in person or by letter stands nowhere where it could be answered by hand; such a talk is logged as one."""


class AnswerHere(Exception):
    """The customer can be answered from here, where it is seen whether the answer arrives."""

    code = "answer_here"


class SignOffMissing(Exception):
    """Another named person has to sign this answer off."""

    code = "sign_off_missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """An answer that stands elsewhere. url: its link; text: its words; answered_at: when it was given, None for now.

    signed_off_by: the account that signs it off by its public id; None for its author. key: the same key twice is one answer.
    stays_open, out_of_order, correction: as of `answers.answer`.
    """

    url: str
    text: str
    answered_at: datetime | None = None
    signed_off_by: uuid.UUID | None = None
    key: str = ""
    stays_open: bool = False
    out_of_order: str = ""
    correction: str = ""


def may_sign_off() -> QuerySet[User]:
    """The colleagues who can sign answers off: those who answer customers, by name."""
    answering: QuerySet[User] = User.objects.filter(
        is_active=True, is_staff=True, groups__name__in=[Role.AGENT.value, Role.LEAD.value]
    ).distinct()
    return answering.order_by("display_name", "pk")


def log(conversation_id: int, given: Given, *, by: User, at: datetime, origin: str = "admin") -> OutgoingMessage:
    """Write down an answer that `by` gave elsewhere. It counts as every other answer does, from the moment it was given.

    What was said after it waits on, with the promise it has by itself. Whoever signs it off for somebody else is told.
    Raises Conversation.DoesNotExist, intake.NothingSaid, identity.UnusableAddress, talks.NotYet, AnswerHere, SignOffMissing,
    endings.WrongState, outgoing.DifferentContent, queue.NotNext, queue.InWork, routing.NotCertified, statements.Contradicts,
    in_public.TellsPersonalThings; then nothing has changed.
    """
    if not given.text.strip():
        raise intake.NothingSaid(_("There are no words in this answer yet."))
    if not feeds.web_link(given.url):
        raise identity.UnusableAddress(_("This link cannot be kept; please copy it whole, with https:// in front."))
    key = f"elsewhere:{conversation_id}:{given.key or uuid.uuid4()}"
    try:
        with transaction.atomic():
            return _log(conversation_id, given, key=key, by=by, at=at, origin=origin)
    except in_public.TellsPersonalThings:
        drafts.keep(conversation_id, text=given.text, by=by, at=at)
        raise
    except (IntegrityError, queue.NotNext, queue.InWork):  # the second press of the same button is no second answer
        standing = OutgoingMessage.objects.filter(key=key).first()
        if standing is None:
            raise
        where = AnswerElsewhere.objects.get(interaction=standing.interaction_id)
        if (standing.text, where.url) != (given.text, feeds.web_link(given.url)):
            raise outgoing.DifferentContent(_("This answer was already written down with other words.")) from None
        return standing


def _log(conversation_id: int, given: Given, *, key: str, by: User, at: datetime, origin: str) -> OutgoingMessage:
    conversation = (
        Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=conversation_id)
    )
    if conversation.state == ConversationState.CLOSED:
        raise endings.WrongState(_("This conversation is closed; open it again before you write."))
    answered_at = given.answered_at or at
    _check_time(conversation, answered_at, at=at)
    asked = _asked(conversation, answered_at=answered_at)
    _check_way(conversation, asked, at=at)
    signer = _signer(given, by=by, answered_at=answered_at, at=at)
    taken_back = statements.compare(conversation, text=given.text, correction=given.correction, at=at)
    released = []
    if asked.channel in PUBLIC:
        released = in_public.keeps_to_itself(conversation, [asked], given.text, by=by, at=at)
    beside = queue.answered(conversation, by=by, at=at, out_of_order=given.out_of_order)
    kept, owes_a_call = call_backs.what_an_answer_keeps(conversation)
    # Whoever looks after it and answers under their name says whose it is, as in every answer of an owner (R132).
    says_whose = [PromiseKind.OWNERSHIP] if conversation.owner_id == by.pk else []
    message = _written(
        conversation, asked, given, key=key, meets=[*kept, *says_whose], by=by, answered_at=answered_at, at=at
    )
    interaction = message.interaction
    if interaction is None:
        raise AssertionError("an answer is something said")
    for row in (*beside, *released):
        row.save(force_insert=True)
    if taken_back:
        statements.taken_back(interaction, earlier=taken_back, reason=given.correction, by=by, at=at).save()
    link = feeds.web_link(given.url)
    AnswerElsewhere.objects.create(
        interaction=interaction,
        url=link,
        url_key=feeds.link_key(link),
        site=feeds.site_of(link),
        signed_off_by=signer,
        logged_at=at,
    )
    drafts.sent(conversation.pk, by=by)
    waits_on = _promise_what_came_after(conversation, answered_at=answered_at, at=at)
    stays_open = given.stays_open or owes_a_call or waits_on
    conversation.state = ConversationState.OPEN if stays_open else ConversationState.WAITING
    conversation.save(update_fields=["owner", "state"])
    outcomes.reached(message, conversation, at=answered_at)
    _tell(conversation, interaction, signer, by=by, answered_at=answered_at, at=at, origin=origin)
    return message


def _check_time(conversation: Conversation, answered_at: datetime, *, at: datetime) -> None:
    why = why_not_answered_then(answered_at, asked_at=conversation.spoke_at, at=at)
    if why == "future":
        raise talks.NotYet(_("It cannot have been answered in the future."))
    if why:
        raise talks.NotYet(_("It cannot have been answered before the customer spoke."))


def _asked(conversation: Conversation, *, answered_at: datetime) -> Interaction:
    """What such an answer answers: the newest that everybody can read, else the newest, of what was said before it."""
    said = (
        Interaction.objects.filter(conversation=conversation, direction=Direction.INBOUND, spoke_at__lte=answered_at)
        .select_related("contact_point")
        .order_by("-spoke_at", "-id")
    )
    found = said.filter(channel__in=sorted(PUBLIC)).first() or said.first()
    if found is None:
        raise AnswerHere(_("The customer has said nothing here that this could answer."))
    if found.channel in NOT_IN_A_PLACE:
        raise AnswerHere(_("They said this to us in person. Please call them back, and write down that talk."))
    return found


def _check_way(conversation: Conversation, asked: Interaction, *, at: datetime) -> None:
    """Raise AnswerHere where an answer leaves from here as it should, so that we see whether it arrives."""
    try:
        way = answers.way_back(conversation, at=at)
    except (answers.NoWayBack, answers.WindowClosed):
        return
    if way.account is not None:
        raise AnswerHere(
            _("This can be answered through %(account)s; please answer it there.") % {"account": way.account}
        )
    if asked.channel not in PUBLIC:
        raise AnswerHere(_("The customer can be written to from here; please answer them here."))


def _signer(given: Given, *, by: User, answered_at: datetime, at: datetime) -> User:
    """Who signs the answer off. Raises SignOffMissing, routing.NotCertified."""
    signer = by
    if given.signed_off_by is not None and given.signed_off_by != by.public_id:
        found = may_sign_off().filter(public_id=given.signed_off_by).first()
        if found is None:
            raise SignOffMissing(_("Please name a colleague who answers customers as the one who signs it off."))
        signer = found
    if signer.pk != by.pk:
        routing.check_public(signer, at=at)
        return signer
    try:
        routing.check_public(by, at=at)
        may_write = True
    except routing.NotCertified:
        may_write = False
    if needs_another_to_sign_off(may_write_publicly=may_write, answered_at=answered_at, at=at):
        raise SignOffMissing(
            _("An answer that is written down later, or by somebody without the certificate for public writing, is signed off "
              "by a colleague. Please name them.")
        )  # fmt: skip
    return by


def _written(
    conversation: Conversation,
    asked: Interaction,
    given: Given,
    *,
    key: str,
    meets: list[str],
    by: User,
    answered_at: datetime,
    at: datetime,
) -> OutgoingMessage:
    """Write the answer as one that has reached the customer already; nothing is handed to anybody."""
    point = asked.contact_point
    interaction = Interaction.objects.create(
        conversation=conversation,
        direction=Direction.OUTBOUND,
        channel=asked.channel,
        contact_point=point if point is not None and point.customer_id == conversation.customer_id else None,
        author=by,
        source=SOURCE,
        external_id=key,
        subject=conversation.subject,
        text=given.text,
        spoke_at=answered_at,
        ingested_at=at,
    )
    return OutgoingMessage.objects.create(
        key=key,
        kind=MessageKind.SERVICE,
        channel=Channel(asked.channel),
        address=(point.address if point is not None else feeds.site_of(given.url))[:320],
        customer=conversation.customer,
        conversation=conversation,
        interaction=interaction,
        signed_by=by,
        meets=meets,
        subject=conversation.subject[:300],
        text=given.text,
        is_public=asked.channel in PUBLIC,
        created_at=answered_at,
        send_after=answered_at,
        state=OutgoingState.ACCEPTED,
        accepted_at=answered_at,
    )


def _promise_what_came_after(conversation: Conversation, *, answered_at: datetime, at: datetime) -> bool:
    """Promise an answer to what was said after this one, unless something runs for it; says whether there is such a thing."""
    later = Interaction.objects.filter(
        conversation=conversation, direction=Direction.INBOUND, spoke_at__gt=answered_at
    ).order_by("spoke_at", "id")
    first = later.first()
    if first is None:
        return False
    if not Promise.objects.filter(conversation=conversation, starts_at__gt=answered_at).unmet().exists():
        calendar = calendars.in_force(conversation.customer.region, first.spoke_at)
        due = next_answer_promise(first.spoke_at, calendar=calendar)
        given_by = "message:" + hashlib.sha256(first.external_id.encode()).hexdigest()[:32]
        Promise.objects.get_or_create(
            conversation=conversation, kind=due.kind, given_by=given_by, defaults=promises.columns(due)
        )
    return True


def _tell(
    conversation: Conversation,
    interaction: Interaction,
    signer: User,
    *,
    by: User,
    answered_at: datetime,
    at: datetime,
    origin: str,
) -> None:
    history.record(
        conversation.customer,
        "conversation.answered_elsewhere",
        ref=f"conversation:{conversation.public_id}",
        by=by,
        at=at,
        origin=origin,
        detail={
            "interaction": str(interaction.public_id),
            "channel": str(interaction.channel),
            "answered_at": answered_at.isoformat(),
            "signed_off_by": str(signer.public_id),
        },
    )
    if signer.pk != by.pk:
        number = str(interaction.public_id)
        alerts.write([alerts.told(AlertKind.SIGNED_OFF, key=number, to=signer, conversation=conversation, at=at)])
