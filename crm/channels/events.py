"""What a provider's post says: what a customer said, changed or took back, what became of ours, and steps of calls."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from crm.channels import Message

Arrival = Literal["sent", "delivered", "read", "deferred", "failed", "unwanted"]
CallStep = Literal["rang", "answered", "ended"]
CallEnder = Literal["customer", "us", "network", "unknown"]


@dataclass(frozen=True, slots=True)
class Media:
    """A file that the provider keeps for us; fetched later by a lane. reference: what `Provider.media_request` needs, as text."""

    reference: str
    name: str = ""
    declared_type: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """Something a customer said. message.external_id is the provider's own id of it and makes it one (never two) interactions;
    message.source must be account.source, message.spoke_at the provider's time or None. message.in_reply_to: provider ids of ours.
    wish: where the provider itself found a word in it that it is set up to take for “stop” or “start”.
    """

    message: Message
    media: tuple[Media, ...] = ()
    wish: Literal["", "stop", "start"] = ""


@dataclass(frozen=True, slots=True)
class Edited:
    """A customer changed what they had said. external_id: of the message; event_id: tells this change from others of it.

    whole: all of the message as it is now, where the event holds it; taken in when the message itself never reached us, as when
    somebody names us only in the change.
    """

    external_id: str
    event_id: str
    text: str
    edited_at: datetime | None = None
    whole: Said | None = None


@dataclass(frozen=True, slots=True)
class Deleted:
    """A customer took back what they had said, or the provider demands that it goes."""

    external_id: str
    event_id: str
    deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Echo:
    """A message of ours coming back to us; no customer spoke. key: our own key where the provider gives it back."""

    provider_id: str
    address: str = ""
    text: str = ""
    key: str = ""
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What became of a message of ours after it was accepted.

    key: our own key (the public id of the message) where the provider gives it back, provider_id: what `read_answer` said; one of
    them. event_id: tells this report from others; made of id and arrival where the provider has none. reason: the provider's words
    or code. is_permanent: this address will never work.
    """

    provider_id: str
    arrival: Arrival
    event_id: str
    key: str = ""
    reason: str = ""
    is_permanent: bool = False
    event_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NotForUs:
    """An event of another account or number; it has no effect. why: for people, without any customer's words."""

    why: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """An event of a kind we do not know; it is kept. kind: what the provider calls it."""

    kind: str = ""


@dataclass(frozen=True, slots=True)
class CallTold:
    """One step of a customer's call, told in any order and more than once; all with one call_id are one call.

    event_id: tells this step from others of the call. happened_at: aware, None for when it reached us. after_ring: how long
    after the first ring, where that is all the provider says. caller: the number, "" when it was withheld.
    """

    call_id: str
    event_id: str
    step: CallStep
    happened_at: datetime | None = None
    after_ring: timedelta | None = None
    caller: str = ""
    caller_name: str = ""
    ended_by: CallEnder = "unknown"


@dataclass(frozen=True, slots=True)
class LeftMessage:
    """What a caller whom nobody answered said after the tone: words, a recording, or first the one and then the other.

    They belong to the call's own interaction. began_at: when the recording began, where that is said.
    """

    call_id: str
    text: str = ""
    media: tuple[Media, ...] = ()
    caller: str = ""
    caller_name: str = ""
    began_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NotReadable:
    """One event of several that is not as it is told to be: it is kept for a person and takes no other with it.

    why: for staff, without any customer's words. Where the whole post cannot be read, raise one of UNREADABLE.
    """

    why: str


Event = Said | Edited | Deleted | Echo | DeliveryReport | CallTold | LeftMessage | NotForUs | Unknown | NotReadable
