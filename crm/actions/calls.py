"""Calls and people at the counter while it happens: rung, picked up, held, ended; told in any order and more than once."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from crm import history
from crm.actions import identity, intake
from crm.channels import Channel
from crm.models import Call, CallEvent, ContactPoint, Conversation, Interaction, User
from crm.models.people import ContactKind
from crm.policy import (
    CallEventKind,
    CallState,
    ConversationState,
    Course,
    EndedBy,
    Happened,
    TimeFrom,
    course_of,
    owner_for,
    trusted_spoke_at,
)

COUNTER = "desk:counter"
"""The source of people who wait in sight of us."""

OURSELVES = "desk:buttons"
"""The source of what colleagues press and of what we conclude: it says nothing about how well a phone system delivers."""

GOOD_WITHIN = timedelta(minutes=1)
"""A delivery that reached us within this time of what it reports was a good one."""

LIVE_MATTERS = (ConversationState.OPEN, ConversationState.WAITING)


class NotAnswered(Exception):
    """A call that nobody took cannot be written down as a talk."""

    code = "call_not_answered"


class WrittenDown(Exception):
    """The talk has been written down before."""

    code = "call_written_down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One event as it is reported.

    source, external_id: which call; event_id: the same one twice is one event. stated_at: when it is said to have
    happened, aware; None for now. caller: as reported, "" when withheld. colleague: who answered, where that is known.
    time_from: how far the stated time is believed.
    """

    source: str
    external_id: str
    event_id: str
    kind: CallEventKind
    stated_at: datetime | None = None
    channel: Channel = Channel.PHONE
    caller: str = ""
    name: str = ""
    colleague: User | None = None
    ended_by: EndedBy = EndedBy.UNKNOWN
    time_from: TimeFrom = TimeFrom.SIGNED


@transaction.atomic
def report(told: Told, *, by: User | None, at: datetime, origin: str) -> Call:
    """Take in one event of a call, whichever comes first; the call then says what all of its events add up to.

    A stated time counts within [last good delivery of its source before this call, now]; the claim is kept beside it.
    After an outage what was kept back comes late, so it moves no later bound and every caller counts from their ring.
    A number nobody could call is no caller. Raises intake.DifferentContent when the event was reported with other content.
    """
    found = Call.objects.select_for_update(of=("self",)).filter(source=told.source, external_id=told.external_id)
    call = found.first()
    if call is None:
        Call.objects.bulk_create(
            [
                Call(
                    source=told.source,
                    external_id=told.external_id,
                    channel=told.channel,
                    caller_name=told.name[:200],
                    rang_at=at,
                    held_at=at,
                    heard_at=at,
                    trusted_from=_last_good(told.source),
                )
            ],
            ignore_conflicts=True,
        )
        call = found.get()
    return _add(call, told, by=by, at=at, origin=origin)


def _last_good(source: str) -> datetime | None:
    """When a source was last heard of on time; what comes late says nothing about what else was kept back."""
    good = CallEvent.objects.filter(source=source, in_time=True)
    return good.order_by("-received_at").values_list("received_at", flat=True).first()


def ring(told: Told, *, by: User | None, at: datetime, origin: str) -> tuple[Call, User | None]:
    """Take in that a phone rings, and name the colleague whom this caller's open matter belongs to (R135).

    Raises as `report` does.
    """
    call = report(told, by=by, at=at, origin=origin)
    return call, route_to(call)


def wait_at_counter(*, key: str, by: User, at: datetime, name: str = "", phone: str = "") -> Call:
    """Note that somebody waits at the counter since now. The same key twice is one person.

    Raises identity.UnusableAddress for a number that could not be called.
    """
    if phone.strip():
        identity.normalised(ContactKind.PHONE, phone)
    told = Told(
        source=COUNTER,
        external_id=key,
        event_id="rang",
        kind=CallEventKind.RANG,
        channel=Channel.STORE,
        caller=phone,
        name=name,
    )
    return report(told, by=by, at=at, origin="admin")


def pick_up(call_id: int, *, by: User, at: datetime) -> Call:
    """Answer a call, or serve whoever waits at the counter. Whoever was first has it. Raises Call.DoesNotExist."""
    return _press(call_id, CallEventKind.ANSWERED, by=by, at=at)


def hold(call_id: int, *, by: User, at: datetime) -> Call:
    """Put a talk on hold. Raises Call.DoesNotExist."""
    return _press(call_id, CallEventKind.HELD, by=by, at=at)


def resume(call_id: int, *, by: User, at: datetime) -> Call:
    """Take a talk off hold. Raises Call.DoesNotExist."""
    return _press(call_id, CallEventKind.RESUMED, by=by, at=at)


def end(call_id: int, *, ended_by: EndedBy, by: User | None, at: datetime) -> Call:
    """Note that a call ended, or that somebody left the counter, and who ended it. Raises Call.DoesNotExist."""
    return _press(call_id, CallEventKind.ENDED, by=by, at=at, ended_by=ended_by)


def walked_away(call_id: int, *, by: User, at: datetime) -> Call:
    """Note that somebody left the counter without having been served. Raises Call.DoesNotExist."""
    return end(call_id, ended_by=EndedBy.CUSTOMER, by=by, at=at)


@transaction.atomic
def fell_silent(call: Call, *, at: datetime) -> Call:
    """Note that nothing more will be heard of a call; it ended when it was last heard of. Locked by the caller."""
    last = CallEvent.objects.filter(call=call).aggregate(last=Max("at"))["last"]
    told = Told(
        source=OURSELVES,
        external_id=call.external_id,
        event_id="silent",
        kind=CallEventKind.SILENT,
        stated_at=last,
    )
    return _add(call, told, by=None, at=at, origin="worker")


_SAYS_SOMETHING_NEW: dict[CallEventKind, Callable[[Call], bool]] = {
    CallEventKind.ANSWERED: lambda call: call.state == CallState.RINGING,
    CallEventKind.HELD: lambda call: call.state == CallState.TALKING and call.hold_began_at is None,
    CallEventKind.RESUMED: lambda call: call.hold_began_at is not None,
    CallEventKind.ENDED: lambda call: call.state != CallState.ENDED,
}
"""When the press of a button changes a call; otherwise it was pressed before, and nothing happens."""


@transaction.atomic
def _press(
    call_id: int, kind: CallEventKind, *, by: User | None, at: datetime, ended_by: EndedBy = EndedBy.UNKNOWN
) -> Call:
    call = Call.objects.select_for_update(of=("self",)).get(pk=call_id)
    if not _SAYS_SOMETHING_NEW[kind](call):
        return call
    told = Told(
        source=OURSELVES,
        external_id=call.external_id,
        event_id=f"desk:{uuid.uuid4()}",
        kind=kind,
        colleague=by if kind != CallEventKind.ENDED else None,
        ended_by=ended_by,
    )
    return _add(call, told, by=by, at=at, origin="admin")


def _add(call: Call, told: Told, *, by: User | None, at: datetime, origin: str) -> Call:
    """Add an event to a locked call and let the call say what its events now add up to."""
    believed_at = _believed(call, told, at=at)
    event, new = CallEvent.objects.get_or_create(
        call=call,
        event_id=told.event_id,
        defaults={
            "source": told.source,
            "kind": told.kind,
            "at": believed_at,
            "stated_at": told.stated_at,
            "received_at": at,
            "in_time": at - believed_at <= GOOD_WITHIN,
            "caller": _caller(told.caller),
            "colleague": told.colleague,
            "ended_by": told.ended_by,
        },
    )
    if not new:
        if (event.kind, event.stated_at, event.ended_by) != (told.kind, told.stated_at, told.ended_by):
            raise intake.DifferentContent(_("This event was reported before with other content."))
        return call
    course = course_of([_happened(row) for row in CallEvent.objects.filter(call=call).order_by("at", "id")])
    if call.answered_at is None and course.answered_at is not None and call.call_back_agreed_at is None:
        call.followed_up_at = None  # picked up after all: what it leaves us to do is asked again
    for field in ("state", "rang_at", "answered_at", "hold_seconds", "hold_began_at", "ended_at"):
        setattr(call, field, getattr(course, field))
    call.caller, call.answered_by_id = course.caller or call.caller, course.answered_by
    call.ended_by = course.ended_by or ""
    call.heard_at = max(call.heard_at, at)
    call.save()
    history.record(
        None, f"call.{told.kind}", ref=ref_of(call), by=by, at=at, origin=origin, detail={"source": call.source}
    )
    return call


def _believed(call: Call, told: Told, *, at: datetime) -> datetime:
    if told.kind == CallEventKind.SILENT:  # our own word, about what we heard ourselves
        return told.stated_at or at
    return trusted_spoke_at(told.time_from, claimed=told.stated_at, received_at=at, last_good_at=call.trusted_from)


def _caller(reported: str) -> str:
    """The number in the form it is compared in; "" for what is no number, such as “anonymous”."""
    try:
        return identity.normalised(ContactKind.PHONE, reported)
    except identity.UnusableAddress:
        return ""


def _happened(event: CallEvent) -> Happened:
    return Happened(
        kind=CallEventKind(event.kind),
        at=event.at,
        key=event.event_id,
        caller=event.caller,
        colleague=event.colleague_id,
        ended_by=EndedBy(event.ended_by),
    )


def course_in(call: Call) -> Course:
    """What a call's columns say, as the policy reads it."""
    return Course(
        state=CallState(call.state),
        rang_at=call.rang_at,
        caller=call.caller,
        answered_at=call.answered_at,
        answered_by=call.answered_by_id,
        hold_seconds=call.hold_seconds,
        hold_began_at=call.hold_began_at,
        ended_at=call.ended_at,
        ended_by=EndedBy(call.ended_by) if call.ended_by else None,
    )


def ref_of(call: Call) -> str:
    """What history entries call this call."""
    return f"call:{call.public_id}"


# --- whose call it is ---------------------------------------------------------------------------------------------------


def customer_of(caller: str) -> int | None:
    """The key of the customer who uses this number; None when nobody does, or it was withheld."""
    if not caller:
        return None
    uses = ContactPoint.objects.filter(kind=ContactKind.PHONE, address=caller, unlinked_at=None)
    return uses.order_by("pk").values_list("customer_id", flat=True).first()


def route_to(call: Call) -> User | None:
    """The colleague whom the caller's newest open matter belongs to, or who stands in; None when there is no matter."""
    customer = customer_of(call.caller)
    if customer is None:
        return None
    matter = Conversation.objects.filter(customer=customer, state__in=LIVE_MATTERS).order_by("-id").first()
    if matter is None:
        return None
    there = {person.pk: person for person in User.objects.taking_conversations().order_by("pk")}
    chosen = owner_for(str(matter.public_id), staff=list(there), previous_owner=matter.owner_id)
    return None if chosen is None else there[chosen]


# --- writing a talk down ------------------------------------------------------------------------------------------------


def to_write_down(public_id: uuid.UUID) -> Call:
    """Lock the call that a colleague writes down. Raises Call.DoesNotExist, NotAnswered."""
    call = Call.objects.select_for_update(of=("self",)).get(public_id=public_id)
    if call.ended_at is not None and call.answered_at is None:
        raise NotAnswered(_("Nobody answered this call. Call back, and write down that talk."))
    return call


def times_of(call: Call, *, at: datetime) -> dict[str, Any]:
    """What the phone system says about a call, as fields of a Message."""
    talked = call.talked(at)
    return {
        "channel": Channel(call.channel),
        "spoke_at": call.rang_at,
        "held_at": call.held_at,
        "wait_seconds": int(call.waited(at).total_seconds()),
        "hold_seconds": int(call.on_hold(at).total_seconds()),
        "call_seconds": None if talked is None else int(talked.total_seconds()),
        "ended_by": call.ended_by or EndedBy.UNKNOWN,
    }


def written_down(call: Call, interaction: Interaction, *, said_all: bool | None, by: User, at: datetime) -> None:
    """Note what a locked call became when it was written down. Raises WrittenDown; then nothing has changed.

    said_all: the colleague's word that nothing was left unsaid; None leaves it to how the talk ended.
    """
    if call.written_down_id is not None:
        raise WrittenDown(_("This talk was written down before."))
    if call.answered_at is None:
        call = _press(call.pk, CallEventKind.ANSWERED, by=by, at=at)
    if call.channel == Channel.STORE:
        call = _press(call.pk, CallEventKind.ENDED, by=by, at=at, ended_by=EndedBy.CUSTOMER)
    call.written_down, call.said_all = interaction, said_all
    if call.interaction_id is None:
        call.interaction = interaction
    call.save(update_fields=["written_down", "said_all", "interaction"])
    history.record(
        interaction.conversation.customer,
        "call.written_down",
        ref=ref_of(call),
        by=by,
        at=at,
        detail={"interaction": str(interaction.public_id), "said_all": said_all},
    )
