"""Messages that leave: their states, and what may stop one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class MessageKind(TextChoices):
    SERVICE = "service", _("service")
    NOTICE = "notice", _("notice")  # written by the product itself: that a message arrived, that a file was refused
    GESTURE = "gesture", _("gesture")
    ASK = "ask", _("question to them")


NEEDS_A_YES: Final = frozenset({MessageKind.GESTURE, MessageKind.ASK})
"""What leaves only with the recipient's own yes to its purpose, and can be stopped with one click."""


class OutgoingState(TextChoices):
    READY = "ready", _("waiting to be sent")
    CLAIMED = "claimed", _("being prepared")
    HANDING = "handing", _("being handed over")
    ACCEPTED = "accepted", _("accepted for delivery")
    REFUSED = "refused", _("refused by the receiving side")
    UNKNOWN = "unknown", _("handed over, outcome unknown")
    HELD = "held", _("held for a person")
    PARKED = "parked", _("parked after several attempts")
    CANCELLED = "cancelled", _("cancelled")


OUTGOING_NEXT: dict[OutgoingState, frozenset[OutgoingState]] = {
    OutgoingState.READY: frozenset({OutgoingState.CLAIMED, OutgoingState.CANCELLED}),
    OutgoingState.CLAIMED: frozenset(
        {OutgoingState.HANDING, OutgoingState.READY, OutgoingState.HELD, OutgoingState.PARKED, OutgoingState.CANCELLED}
    ),
    OutgoingState.HANDING: frozenset(
        {
            OutgoingState.ACCEPTED,
            OutgoingState.REFUSED,
            OutgoingState.READY,
            OutgoingState.UNKNOWN,
            OutgoingState.PARKED,
        }
    ),
    OutgoingState.UNKNOWN: frozenset({OutgoingState.READY, OutgoingState.HELD, OutgoingState.ACCEPTED}),
    OutgoingState.ACCEPTED: frozenset(),
    OutgoingState.REFUSED: frozenset({OutgoingState.READY}),
    OutgoingState.HELD: frozenset({OutgoingState.READY, OutgoingState.CANCELLED}),
    OutgoingState.PARKED: frozenset({OutgoingState.READY, OutgoingState.CANCELLED}),
    OutgoingState.CANCELLED: frozenset(),
}
FOR_THEM_ALONE: Final = ("crm.second_proof:", "identity-code:")
"""How the keys of letters begin that carry a code: whoever else could read it could show it in the customer's place (C09)."""

SENDING_GIVEN_UP_AFTER = timedelta(days=4)
"""How long a temporary refusal is tried again, as mail servers do (RFC 5321 4.5.4.1)."""


def after_unknown_outcome(*, has_value: bool) -> OutgoingState:
    """Say what follows when a message was handed over and nobody knows whether it arrived.

    Words may be repeated under the same Message-ID; what has value waits for a person (promise Q4).
    """
    return OutgoingState.HELD if has_value else OutgoingState.READY


def after_being_stopped(kind: MessageKind) -> OutgoingState:
    """Say what becomes of a message that may not leave when its moment comes.

    What was written by somebody waits for a person. A question does not: nobody may choose which of them leaves after all (R150).
    """
    return OutgoingState.CANCELLED if kind == MessageKind.ASK else OutgoingState.HELD


def has_one_click(headers: Mapping[str, str]) -> bool:
    """Say whether a message can be stopped by one click in the recipient's mail program (RFC 8058 section 3.1)."""
    names = {name.lower(): value for name, value in headers.items()}
    posts = names.get("list-unsubscribe-post", "").replace(" ", "").lower() == "list-unsubscribe=one-click"
    return posts and "<http" in names.get("list-unsubscribe", "").lower()


@dataclass(frozen=True, slots=True)
class StopFacts:
    """What is known about a recipient in the moment a message would leave; has_objection: their address wants none of it.

    Asked of questions alone: has_open_matter, something of theirs waits for us; had_kindness_lately, within 14 days (R171).
    """

    kind: MessageKind
    customer_status: str
    has_outreach_hold: bool
    has_consent: bool
    goes_to_representative: bool = False
    may_be_told: bool = False
    has_objection: bool = False
    has_open_matter: bool = False
    had_kindness_lately: bool = False


def reason_to_stop(facts: StopFacts) -> str:
    """Give the code of the reason why a message may not leave now, or "" when it may.

    Service answers are owed and always leave, except to somebody who has died or was erased; kindness needs consent and
    waits while a matter is open (R168, X17, promise Q1 of loyalty); what was said against an address beats any consent (P10).
    A question waits for the same, for whatever else we owe an answer to, and for two weeks after anything kind (R171).
    Whoever acts for the customer gets an answer as long as they may be told; after a death that is the executor (R089).
    """
    if facts.goes_to_representative and not facts.may_be_told:
        return "representative_ended"
    if facts.goes_to_representative and facts.customer_status == "deceased" and facts.kind == MessageKind.SERVICE:
        return ""
    if facts.customer_status in ("deceased", "erased"):
        return f"customer_{facts.customer_status}"
    if facts.kind not in NEEDS_A_YES:
        return ""
    if facts.has_outreach_hold:
        return "outreach_on_hold"
    if facts.has_objection:
        return "suppressed"
    if not facts.has_consent:
        return "no_consent"
    if facts.has_open_matter:
        return "open_matter"
    if facts.had_kindness_lately:
        return "kindness_lately"
    return ""
