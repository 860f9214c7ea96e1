"""Talks that a colleague writes down: what is noted, which matter it goes on with, and what it becomes at intake."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from crm.actions import calls, identity, intake
from crm.channels import Channel, Message, SenderKind
from crm.models import Call as LiveCall
from crm.models import ContactPoint, Conversation
from crm.models.people import ContactKind
from crm.policy import TimeFrom, trusted_spoke_at
from crm.policy.listening import SAID_AT_MOST_AGO

NOTED_WITHIN = timedelta(hours=12)
"""What waiting and talking can have taken when nobody says when a call began."""


class NotYet(ValueError):
    """A stated time lies in the future, or was stated without saying how it is known."""

    code = "time_not_credible"


class NotTheirMatter(ValueError):
    """The matter belongs to another customer than the one who called."""

    code = "not_their_matter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a colleague writes down after a talk on the phone or at the counter.

    said: what the customer told us, in their words. agreed: what we confirm in writing ("" when nothing was agreed).
    spoke_at: the first ring, aware; None for now. spoke_at_known_from: how the time is known, needed with spoke_at.
    wait_seconds: from the first ring, or from their turn in a queue, until somebody talked to them. hold_seconds,
    call_seconds: time on hold, length of the talk; a hold is a part of the talk. key: the same key twice is one call.
    live: public id of the call as it happened; then first ring, waiting, holds and length are taken from there.
    conversation: public id of the matter it goes on with, which keeps its owner and clocks. said_all: whether everything
    was said; None leaves it to how the talk ended, which is unfinished when we or the line ended it.
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
    wait_seconds: int = 0
    hold_seconds: int = 0
    call_seconds: int = 0
    live: uuid.UUID | None = None
    conversation: uuid.UUID | None = None
    said_all: bool | None = None


def check(call: Call, *, at: datetime) -> None:
    """Refuse what cannot be written down. Raises NotYet, intake.NothingSaid, identity.UnusableAddress."""
    if call.spoke_at is not None and call.spoke_at > at:
        raise NotYet(_("The call cannot have begun in the future."))
    if call.spoke_at is not None and not call.spoke_at_known_from.strip():
        raise NotYet(_("Please say how you know when the call began, for example “phone display”."))
    if call.call_seconds and call.hold_seconds > call.call_seconds:
        raise NotYet(_("The time on hold cannot be longer than the talk."))
    if call.spoke_at is not None and call.spoke_at < at - SAID_AT_MOST_AGO:
        raise NotYet(_("That is more than 90 days ago. Old calls are brought in as a file, and only counted."))
    if (
        call.spoke_at is None
        and call.live is None
        and call.wait_seconds + call.call_seconds > NOTED_WITHIN.total_seconds()
    ):
        raise NotYet(_("A call that long began a while ago; please note when, and how you know."))
    if not call.said.strip():
        raise intake.NothingSaid(_("Please note what the customer said."))
    if call.email.strip():
        identity.normalised(ContactKind.EMAIL, call.email)


def matter_of(call: Call, live: LiveCall | None) -> Conversation | None:
    """The matter a talk goes on with: the one that was chosen, else the one that this very call has opened before.

    Raises Conversation.DoesNotExist.
    """
    if call.conversation is not None:
        return Conversation.objects.get(public_id=call.conversation)
    if live is None or live.interaction_id is None or not live.caller:
        return None
    opened = Conversation.objects.get(interactions=live.interaction_id)
    return opened if _speaker_in(opened, call, live) is not None else None


def began_at(call: Call, *, at: datetime) -> datetime:
    """When a talk began: as it was stated, else as long ago as waiting and talking took (R084: both count)."""
    return call.spoke_at or at - timedelta(seconds=call.wait_seconds + call.call_seconds)


def _addresses(call: Call, live: LiveCall | None) -> list[tuple[SenderKind, str]]:
    phone = call.phone.strip() or (live.caller if live is not None else "")
    given: list[tuple[SenderKind, str]] = [("phone", phone), ("email", call.email)]
    return [(kind, address) for kind, address in given if address.strip()]


def _speaker_in(matter: Conversation, call: Call, live: LiveCall | None) -> tuple[SenderKind, str] | None:
    """The first of the noted addresses that is known to be this matter's customer's; None when none is."""
    for kind, address in _addresses(call, live):
        theirs = ContactPoint.objects.filter(customer=matter.customer_id, kind=kind, unlinked_at=None)
        if theirs.filter(address=identity.normalised(kind, address)).exists():
            return kind, address
    return None


def heard(call: Call, live: LiveCall | None, matter: Conversation | None, *, at: datetime) -> Message:
    """What the customer said, with the times of the phone system where there is one. Raises NotTheirMatter."""
    kind, address = next(iter(_addresses(call, live)), ("email", ""))
    if matter is not None:
        known = _speaker_in(matter, call, live)
        if known is None:
            raise NotTheirMatter(_("This matter belongs to somebody else, as far as we know this number and address."))
        kind, address = known
    message = Message(
        channel=call.channel,
        source="desk:calls",
        external_id=call.key,
        sender_kind=kind,
        sender_address=address,
        sender_name=call.name,
        subject=call.subject,
        text=call.said,
        full_text=call.said,
        spoke_at=trusted_spoke_at(TimeFrom.COLLEAGUE, claimed=began_at(call, at=at), received_at=at, last_good_at=None),
        wait_seconds=call.wait_seconds,
        hold_seconds=call.hold_seconds,
        call_seconds=call.call_seconds,
    )
    return message if live is None else replace(message, **calls.times_of(live, at=at))
