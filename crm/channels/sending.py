"""The one shape in which messages leave, and what a provider may answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from types import TracebackType
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class Outbound:
    """One message to one recipient, ready to be handed over.

    key: unique, so that a provider can recognise a repeat, and given back by its reports. return_path: where the mail
    comes back to when it cannot be delivered; reply_to: where an answer goes; both "" where there is none of our own.
    """

    key: str
    address: str
    subject: str
    text: str
    html: str = ""
    sender_name: str = ""
    message_id: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    return_path: str = ""
    reply_to: str = ""


class Outcome(Enum):
    ACCEPTED = "accepted"  # accepted for delivery
    REFUSED = "refused"  # for good
    TRY_LATER = "try_later"  # certainly not delivered; may be tried again
    UNREACHABLE = "unreachable"  # nobody answered at all: the same for every message of this provider
    KEPT = "kept"  # it may not leave any more, and did not
    UNKNOWN = "unknown"  # handed over, and the line broke before the answer


@dataclass(frozen=True, slots=True)
class Handed:
    """What came of handing one message over; reason is for staff and holds no text of the message.

    provider_id: what the provider calls the message in its reports; "" when it says nothing. wait: how long the provider
    asks to be left alone before the message is tried again.
    """

    outcome: Outcome
    reason: str = ""
    provider_id: str = ""
    wait: timedelta = timedelta(0)


class Sender(Protocol):
    """A provider's line to the outside, open for a batch of messages."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def send(self, outbound: Outbound, *, still: Callable[[], bool] = lambda: True) -> Handed:
        """Hand one message over. still: asked in the moment it leaves; when it says no, nothing does."""
