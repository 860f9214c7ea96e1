"""What a call leaves us to do: call back whoever reached nobody, and go on with a talk that was cut off (docs/adr/0016)."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, Q
from django.utils.translation import gettext as _

from crm import history
from crm.actions import alerts, calendars, calls, endings, identity, intake, lease, promises, work
from crm.channels import Channel, Message
from crm.language.bereavement import words_of_a_death
from crm.models import Alert, Call, Conversation, Customer, HistoryEntry, Interaction, Promise, RawItem, User
from crm.models.people import ContactKind
from crm.policy import (
    CUT_CALLED_BACK_WITHIN,
    TOLD_IN_ANY_ORDER_FOR,
    TRIED_BEFORE_WRITING,
    AfterCall,
    AlertKind,
    CallState,
    ConversationState,
    Direction,
    PromiseKind,
    after_call,
    next_answer_promise,
    promises_an_answer_keeps,
)
from crm.policy.calls import SILENT_AFTER
from crm.together import insert_together

logger = logging.getLogger(__name__)

SAME_MATTER_WITHIN = timedelta(hours=1)
"""Calls that reached nobody within this time of each other are one matter (E12)."""

TRIED = "call.tried"


class NoNumber(Exception):
    """There is no number to call."""

    code = "no_number"


class CallOver(Exception):
    """Nobody is on the line."""

    code = "call_over"


class NothingToTry(Exception):
    """No call-back is owed in this conversation."""

    code = "no_call_back_owed"


def recover_dropped_calls(at: datetime) -> int:
    """Follow up every call whose time for it has come; one that raises stops no other. Returns how many were looked at.

    Safe to repeat, to run twice at once, and to run hours late: due times count from the calls, not from this run.
    """
    due = Call.objects.filter(followed_up_at=None).filter(
        Q(ended_at__isnull=False, heard_at__lte=at - TOLD_IN_ANY_ORDER_FOR)
        | Q(state=CallState.RINGING, channel=Channel.PHONE, rang_at__lte=at - settings.EVENHAND_RING_PATIENCE)
        | Q(heard_at__lte=at - SILENT_AFTER)
    )
    numbers = list(due.order_by("id").values_list("pk", flat=True))
    for number in numbers:
        lease.guarded(partial(follow_up, number, at=at), failed=partial(_failed, number))
    return len(numbers)


def _failed(call_id: int, trouble: Exception) -> None:
    logger.error("Call %s could not be followed up; the next run tries again.", call_id, exc_info=trouble)


@transaction.atomic
def follow_up(call_id: int, *, at: datetime) -> AfterCall | None:
    """Do what a call leaves us to do now, once; None when nothing can be said yet, or another worker has it."""
    call = (
        Call.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("answered_by")
        .filter(pk=call_id, followed_up_at=None)
        .first()
    )
    if call is None:
        return None
    after = after_call(
        calls.course_in(call),
        at=at,
        held_at=call.held_at,
        heard_at=call.heard_at,
        patience=settings.EVENHAND_RING_PATIENCE if call.channel == Channel.PHONE else None,
        noted_within=settings.EVENHAND_TALK_NOTED_WITHIN,
        noted=call.written_down_id is not None,
        said_all=call.said_all,
    )
    if after is None:
        return None
    if after == AfterCall.SILENT:
        calls.fell_silent(call, at=at)
        return after
    if after != AfterCall.NOTHING:
        conversation = _taken_in(call, at=at)
        _owe(call, conversation, because=after.value, at=at)
        if after == AfterCall.CUT:
            alerts.write([_cut_off(call, conversation, at=at)])
    call.followed_up_at = at
    call.save(update_fields=["followed_up_at", "interaction"])
    return after


def _cut_off(call: Call, conversation: Conversation, *, at: datetime) -> Alert:
    return alerts.told(
        AlertKind.CALL_DROPPED,
        key=str(call.public_id),
        at=at,
        to=call.answered_by,
        conversation=conversation,
        detail={"call": str(call.public_id), "ended_by": call.ended_by},
    )


@transaction.atomic
def agree(call_id: int, *, by: User, at: datetime, phone: str = "") -> Call:
    """Promise a call-back to somebody on the line who accepted it; they keep the place their first ring gave them (R136).

    phone: the number to call, where the phone did not show it. Agreed twice is agreed once.
    Raises Call.DoesNotExist, CallOver, NoNumber, identity.UnusableAddress; then nothing has changed.
    """
    call = Call.objects.select_for_update(of=("self",)).get(pk=call_id)
    if call.call_back_agreed_at is not None:
        return call
    if call.state != CallState.TALKING:
        raise CallOver(_("Nobody is on the line. A call-back is promised by itself where one is owed."))
    if not call.caller and not phone.strip():
        raise NoNumber(_("Please ask for the number we may call back; the phone does not show it."))
    call.caller = call.caller or identity.normalised(ContactKind.PHONE, phone)
    conversation = _taken_in(call, at=at)
    _owe(call, conversation, because="agreed", at=at)
    call.call_back_agreed_at = call.followed_up_at = at
    call.save(update_fields=["caller", "interaction", "call_back_agreed_at", "followed_up_at"])
    history.record(conversation.customer, "call.call_back_agreed", ref=calls.ref_of(call), by=by, at=at)
    return call


@transaction.atomic
def tried(conversation_id: int, *, by: User, at: datetime, key: str) -> int:
    """Note that we called back and reached nobody; the same key twice is one attempt. Returns how many there were.

    From the second on, a written answer that is accepted for delivery keeps the promise too.
    Raises Conversation.DoesNotExist, NothingToTry; then nothing has changed.
    """
    conversation = (
        Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=conversation_id)
    )
    attempts = HistoryEntry.objects.filter(ref=_ref(conversation), verb=TRIED)
    if not attempts.filter(detail__key=key).exists():
        if not Promise.objects.filter(conversation=conversation, kind=PromiseKind.CALL_BACK).unmet().exists():
            raise NothingToTry(_("No call-back is promised here any more."))
        history.record(conversation.customer, TRIED, ref=_ref(conversation), by=by, at=at, detail={"key": key})
    return attempts.count()


def left_words(call: Call, text: str, *, raw: RawItem, at: datetime, origin: str) -> tuple[Interaction, bool]:
    """Take in what somebody said after the tone of a locked call that nobody answered; it is the call's own interaction.

    text: "" while there is only a recording. The words of somebody whose number we do not know open a matter as well. Says
    whether they are new. Raises intake.DifferentContent when other words were left before; then nothing has changed.
    """
    if call.interaction_id is None:
        if call.caller:
            _one_at_a_time(call.caller)
        message = replace(
            _message(call, at=at), text=text, full_text=text, wordless=not text.strip(), held_at=raw.received_at
        )
        if not call.caller:
            message = replace(message, sender_kind="handle", sender_address=f"withheld:{call.public_id}")
        heard = intake.receive(message, at=at, origin=origin, raw=raw, conversation=_matter(call)).interaction
        call.interaction = heard
        call.save(update_fields=["interaction"])
        return heard, True
    said = Interaction.objects.select_for_update(of=("self",)).get(pk=call.interaction_id)
    if not text.strip() or said.text == text or said.withdrawn_at is not None:
        return said, False
    if said.text:
        raise intake.DifferentContent(_("This caller's words were taken in before; these are other ones."))
    said.text, said.raw = text, said.raw or raw
    said.save(update_fields=["text", "raw"])
    conversation = (
        Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(interactions=said)
    )
    if conversation.state == ConversationState.CLOSED:  # while we thought that nothing had been said
        endings.wait_for_us(conversation.pk, by=None, at=at)
    history.record(
        conversation.customer,
        "interaction.worded",
        ref=_ref(conversation),
        by=None,
        at=at,
        origin=origin,
        detail={"interaction": str(said.public_id)},
    )
    work.follow("interaction.worded", ref=f"interaction:{said.public_id}", at=at)
    if words_of_a_death(said.text):
        work.follow("interaction.mourns", ref=f"interaction:{said.public_id}", at=at)
    return said, True


def what_an_answer_keeps(conversation: Conversation) -> tuple[list[PromiseKind], bool]:
    """The promises that a written answer keeps here, and whether a call-back is still owed after it.

    It keeps the call-back too, once we tried often enough and reached nobody.
    """
    kinds = promises_an_answer_keeps()
    owed = Promise.objects.filter(conversation=conversation, kind=PromiseKind.CALL_BACK).unmet()
    newest = owed.aggregate(newest=Max("starts_at"))["newest"]
    if newest is None:
        return kinds, False
    attempts = HistoryEntry.objects.filter(ref=_ref(conversation), verb=TRIED, at__gte=newest).count()
    if attempts < TRIED_BEFORE_WRITING:
        return kinds, True
    return [*kinds, PromiseKind.CALL_BACK], False


def _owe(call: Call, conversation: Conversation, *, because: str, at: datetime) -> None:
    """Promise the call-back: by the deadline of the matter, or ten minutes after the end of a talk that was cut off.

    One that is owed by then already is not promised again. Nobody can be promised a call to a number we do not know.
    """
    if not call.caller:
        return
    calendar = calendars.in_force(conversation.customer.region, call.rang_at)
    due_at = conversation.due_at or next_answer_promise(call.rang_at, calendar=calendar).due_at
    if because == AfterCall.CUT.value and call.ended_at is not None:
        due_at = call.ended_at + CUT_CALLED_BACK_WITHIN
    owed = Promise.objects.filter(conversation=conversation, kind=PromiseKind.CALL_BACK, due_at__lte=due_at).unmet()
    if owed.exists():
        return
    # The clock of a matter that was late before this call began when the matter did.
    starts_at = call.rang_at if due_at > call.rang_at else conversation.spoke_at
    promises.give_by(
        conversation,
        PromiseKind.CALL_BACK,
        due_at=due_at,
        starts_at=starts_at,
        given_by=f"{because}:{call.public_id}",
        at=at,
    )
    if conversation.state != ConversationState.OPEN:
        conversation.state = ConversationState.OPEN
        conversation.save(update_fields=["state"])


def _taken_in(call: Call, *, at: datetime) -> Conversation:
    """The locked conversation of a call that nobody has written down; what came in without words is taken in once."""
    if call.interaction_id is None:
        if not call.caller:
            call.interaction = _nobody_to_reach(call, at=at)
        else:
            _one_at_a_time(call.caller)
            call.interaction = intake.receive(
                _message(call, at=at), at=at, origin="worker", conversation=_matter(call)
            ).interaction
    opened = Conversation.objects.select_for_update(of=("self",)).select_related("customer")
    return opened.get(interactions=call.interaction_id)


def _message(call: Call, *, at: datetime) -> Message:
    return Message(
        source=call.source,
        external_id=call.external_id,
        sender_kind="phone",
        sender_address=call.caller,
        sender_name=call.caller_name,
        wordless=True,
        **calls.times_of(call, at=at),
    )


def _matter(call: Call) -> Conversation | None:
    """The matter a wordless call goes on with: that of another such call of the hour, else the caller's only open one."""
    customer = calls.customer_of(call.caller)
    if customer is None:
        return None
    near = (call.rang_at - SAME_MATTER_WITHIN, call.rang_at + SAME_MATTER_WITHIN)
    wordless = Interaction.objects.filter(
        conversation__customer=customer, direction=Direction.INBOUND, text="", spoke_at__range=near
    ).exclude(ended_by="")
    before = wordless.select_related("conversation").order_by("-id").first()
    if before is not None:
        return before.conversation
    matters = Conversation.objects.filter(customer=customer, state__in=calls.LIVE_MATTERS)
    found = list(matters.order_by("-id")[:2])
    return found[0] if len(found) == 1 else None


def _one_at_a_time(caller: str) -> None:
    """Let two calls of one number be followed up one after the other, so that the second finds the first one's matter."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"call:{caller}"])


def _nobody_to_reach(call: Call, *, at: datetime) -> Interaction:
    """Count a contact of somebody whose number we never learned; nothing can be promised to them, and it says so."""
    customer = Customer(display_name=call.caller_name, created_at=at)
    conversation = Conversation(
        customer=customer,
        channel=call.channel,
        state=ConversationState.CLOSED,
        spoke_at=call.rang_at,
        last_inbound_at=call.rang_at,
    )
    message = _message(call, at=at)
    interaction = Interaction(
        conversation=conversation,
        direction=Direction.INBOUND,
        channel=call.channel,
        source=call.source,
        external_id=call.external_id,
        spoke_at=call.rang_at,
        ingested_at=call.held_at,
        wait_seconds=message.wait_seconds,
        hold_seconds=message.hold_seconds,
        call_seconds=message.call_seconds,
        ended_by=message.ended_by,
    )
    entry = history.entry(
        customer,
        "conversation.closed",
        ref=_ref(conversation),
        by=None,
        at=at,
        detail={"reason": "nobody_to_reach", "interaction": str(interaction.public_id)},
    )
    insert_together(customer, conversation, interaction, entry)
    return interaction


def _ref(conversation: Conversation) -> str:
    return f"conversation:{conversation.public_id}"
