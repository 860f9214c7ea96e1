"""Handing a matter over: the owner stays owner until the other one says yes, and the customer is told the name."""

from __future__ import annotations

from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils import translation
from django.utils.translation import gettext as _

from crm import history
from crm.actions import alerts, desk, intake, letters, owners, queue, routing
from crm.models import Alert, Conversation, HandOff, Helper, User
from crm.policy import (
    AlertKind,
    ConversationState,
    HandOffReason,
    HandOffState,
    OwnerChangeReason,
    PullEnd,
    goes_in_a_circle,
    is_locked,
)

PLANS = "crm.plan_people"


class NotYours(Exception):
    """Only the owner, or a lead, may hand a matter over; only who was asked may answer an offer."""

    code = "not_yours"


class HandOffLocked(Exception):
    """The matter was handed over so often that it stays with its owner."""

    code = "hand_off_locked"


class AlreadyOffered(Exception):
    """The matter is being offered to somebody already, or is theirs already."""

    code = "already_offered"


class NotOffered(Exception):
    """The offer was accepted, declined or withdrawn before."""

    code = "not_offered"


def offer(
    conversation_id: int, *, to: User, reason: HandOffReason, context_note: str, by: User, at: datetime
) -> HandOff:
    """Offer a matter to a colleague, who is told at once. The owner stays owner, and no clock changes.

    context_note: what the other one has to know. Raises Conversation.DoesNotExist, intake.NothingSaid, desk.WrongState,
    NotYours, AlreadyOffered, HandOffLocked, routing.Refused; then nothing has changed.
    """
    if not context_note.strip():
        raise intake.NothingSaid(_("Please write what your colleague has to know."))
    try:
        with transaction.atomic():
            return _offer(conversation_id, to=to, reason=reason, context_note=context_note, by=by, at=at)
    except IntegrityError as collision:
        if getattr(getattr(collision.__cause__, "diag", None), "constraint_name", "") != "hand_off_one_offer":
            raise
        raise AlreadyOffered(_("This matter is already offered to somebody.")) from None


def _offer(
    conversation_id: int, *, to: User, reason: HandOffReason, context_note: str, by: User, at: datetime
) -> HandOff:
    conversation = _locked(conversation_id)
    if conversation.state == ConversationState.CLOSED:
        raise desk.WrongState(_("This conversation is closed; there is nothing to hand over."))
    if conversation.owner_id is None or (conversation.owner_id != by.pk and not by.has_perm(PLANS)):
        raise NotYours(_("Only whoever looks after a matter, or a lead, can hand it over."))
    if to.pk == conversation.owner_id:
        raise AlreadyOffered(_("%(who)s looks after this already.") % {"who": to})
    if is_locked(HandOff.objects.filter(conversation=conversation, state=HandOffState.ACCEPTED).count()):
        raise HandOffLocked(
            _("This matter was handed over twice; now it stays here. A colleague can join and help instead.")
        )
    routing.check(to, conversation, at=at, mode=None)
    offered = HandOff.objects.create(
        conversation=conversation,
        giver_id=conversation.owner_id,
        to=to,
        reason=reason,
        context_note=context_note,
        offered_at=at,
    )
    alerts.write(
        [alerts.told(AlertKind.HAND_OFF_OFFERED, key=str(offered.public_id), to=to, conversation=conversation, at=at)]
    )
    _record(offered, "hand_off.offered", by=by, at=at)
    return offered


@transaction.atomic
def accept(hand_off_id: int, *, by: User, at: datetime) -> HandOff:
    """Take over what was offered: from now on it is theirs, and the customer is told their name in writing.

    Without an address to write to, `customer_told_at` stays empty and the customer is told in the next talk.
    Raises HandOff.DoesNotExist, NotYours, NotOffered, routing.Refused; then nothing has changed.
    """
    offered = _open(hand_off_id)
    if offered.to_id != by.pk:
        raise NotYours(_("This was offered to somebody else."))
    conversation = offered.conversation
    routing.check(by, conversation, at=at, mode=None)
    accepted = HandOff.objects.filter(conversation=conversation, state=HandOffState.ACCEPTED)
    circle = goes_in_a_circle(list(accepted.values_list("giver_id", flat=True)), to=by.pk)
    owners.give(conversation, by.pk, why=OwnerChangeReason.HANDED_OVER, by=by, at=at, note=offered.context_note)
    queue.ended(conversation, PullEnd.HANDED_OVER, at=at)
    Helper.objects.filter(conversation=conversation, user=by, left_at=None).update(left_at=at)
    with translation.override(letters.language_for(conversation.customer.language)):
        words = _("From now on %(who)s looks after your matter, knows what was said so far, and writes to you next.")
    told = desk.tell(
        conversation, text=words % {"who": by}, template="hand_over", by=by, at=at, key=f"hand-off:{offered.pk}"
    )
    offered.state, offered.settled_at = HandOffState.ACCEPTED, at
    offered.customer_told_at = at if told is not None else None
    offered.save(update_fields=["state", "settled_at", "customer_told_at"])
    _seen(offered, by=by, at=at)
    if circle:
        alerts.write(
            [alerts.told(AlertKind.HAND_OFF_LOOP, key=str(offered.public_id), conversation=conversation, at=at)]
        )
    _record(offered, "hand_off.accepted", by=by, at=at)
    return offered


@transaction.atomic
def decline(hand_off_id: int, *, by: User, at: datetime) -> HandOff:
    """Say no to an offer; the owner stays owner. Raises HandOff.DoesNotExist, NotYours, NotOffered."""
    offered = _open(hand_off_id)
    if offered.to_id != by.pk:
        raise NotYours(_("This was offered to somebody else."))
    return _settled(offered, HandOffState.DECLINED, by=by, at=at)


@transaction.atomic
def withdraw(hand_off_id: int, *, by: User, at: datetime) -> HandOff:
    """Take an offer back before it is answered. Raises HandOff.DoesNotExist, NotYours, NotOffered."""
    offered = _open(hand_off_id)
    if offered.giver_id != by.pk and not by.has_perm(PLANS):
        raise NotYours(_("Only whoever offered it, or a lead, can take it back."))
    return _settled(offered, HandOffState.WITHDRAWN, by=by, at=at)


def _settled(offered: HandOff, state: HandOffState, *, by: User, at: datetime) -> HandOff:
    offered.state, offered.settled_at = state, at
    offered.save(update_fields=["state", "settled_at"])
    _seen(offered, by=by, at=at)
    _record(offered, f"hand_off.{state.value}", by=by, at=at)
    return offered


def _seen(offered: HandOff, *, by: User, at: datetime) -> None:
    """Whoever settles an offer has nothing left to be told about it."""
    asked = alerts.told(AlertKind.HAND_OFF_OFFERED, key=str(offered.public_id), at=at)
    Alert.objects.filter(key=asked.key, seen_at=None).update(seen_at=at, seen_by=by)


@transaction.atomic
def join(conversation_id: int, *, by: User, at: datetime) -> Helper:
    """Help with a matter that stays with its owner; once joined, joining again changes nothing.

    Raises Conversation.DoesNotExist, AlreadyOffered when it is their own.
    """
    conversation = _locked(conversation_id)
    if conversation.owner_id == by.pk:
        raise AlreadyOffered(_("You look after this already."))
    helper, new = Helper.objects.get_or_create(
        conversation=conversation, user=by, left_at=None, defaults={"joined_at": at}
    )
    if new:
        _noted(conversation, "conversation.helper_joined", by=by, at=at)
    return helper


@transaction.atomic
def leave(conversation_id: int, *, by: User, at: datetime) -> None:
    """Stop helping; not helping is fine too. Raises Conversation.DoesNotExist."""
    conversation = _locked(conversation_id)
    if Helper.objects.filter(conversation=conversation, user=by, left_at=None).update(left_at=at):
        _noted(conversation, "conversation.helper_left", by=by, at=at)


def _locked(conversation_id: int) -> Conversation:
    return Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=conversation_id)


def _open(hand_off_id: int) -> HandOff:
    """The offer, with its conversation locked first as everywhere."""
    conversation_id = HandOff.objects.values_list("conversation_id", flat=True).get(pk=hand_off_id)
    conversation = _locked(conversation_id)
    offered = HandOff.objects.get(pk=hand_off_id)
    if offered.state != HandOffState.OFFERED:
        raise NotOffered(_("This offer is not open any more."))
    offered.conversation = conversation
    return offered


def _record(offered: HandOff, verb: str, *, by: User, at: datetime) -> None:
    detail = {
        "hand_off": str(offered.public_id),
        "from": offered.giver_id,
        "to": offered.to_id,
        "reason": offered.reason,
    }
    conversation = offered.conversation
    history.record(
        conversation.customer, verb, ref=f"conversation:{conversation.public_id}", by=by, at=at, detail=detail
    )


def _noted(conversation: Conversation, verb: str, *, by: User, at: datetime) -> None:
    history.record(conversation.customer, verb, ref=f"conversation:{conversation.public_id}", by=by, at=at)
