"""Whom we may ask how it was, and who is drawn: everybody or a random share, never by what they think of us (R068, R150, R171).

What is known of a customer's opinion has no place in AskFacts, so that no rule can ask the content ones alone.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Final

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from crm.policy.consent import Medium, Purpose
from crm.policy.outgoing import StopFacts, reason_to_stop


class AskingKind(TextChoices):
    SURVEY = "survey", _("how it was")
    REVIEW = "review", _("a public review")


class AskOutcome(TextChoices):
    """What became of one settled matter."""

    NOT_DRAWN = "not_drawn", _("not drawn")
    LEFT_OUT = "left_out", _("drawn, not asked")
    ASKED = "asked", _("asked")


PURPOSE_OF: Final[Mapping[str, Purpose]] = {AskingKind.SURVEY: Purpose.SURVEY, AskingKind.REVIEW: Purpose.REVIEW}
"""What a customer must have allowed. Both count as advertising where the law is strictest (docs/adr/0045)."""
MEDIA: Final = (Medium.EMAIL, Medium.TEXT)
"""The media over which we ask, where the customer allowed it; the one on which they spoke to us comes first."""

ASKED_AFTER: Final = timedelta(days=1)
"""How long a matter has been settled before we ask, so that what comes back at once is no answer to it."""
ASKED_BEFORE: Final = timedelta(days=14)
"""A matter settled longer ago than this is not asked about any more."""
LAST_DAY: Final = timedelta(days=1)
"""The end of that time, in which whoever still cannot be asked is written down as left out."""
ASKED_FROM, ASKED_UNTIL = time(9), time(18)
"""The hours of the customer's own day in which a question leaves."""
NOTHING_ASKED_AFTER_A_KINDNESS: Final = timedelta(days=14)
"""After any gesture nobody is asked for anything (R171)."""
NOT_AGAIN_FOR: Final[Mapping[str, int]] = {AskingKind.SURVEY: 90, AskingKind.REVIEW: 180}
"""Days for which a person who was asked is not asked the same again; a house may only make it longer."""

REASONS: Final[Mapping[str, object]] = {
    "no_consent": _("had not allowed it"),
    "no_address": _("no address to ask at"),
    "suppressed": _("their address wants no questions"),
    "outreach_on_hold": _("a complaint is open, or somebody has died"),
    "open_matter": _("something of theirs waits for us"),
    "kindness_lately": _("got something from us within two weeks"),
    "asked_lately": _("was asked not long ago"),
    "customer_deceased": _("has died"),
    "customer_erased": _("was forgotten"),
    "customer_closed": _("is no customer any more"),
    "customer_merged": _("is part of another record"),
    "rule_ended": _("the asking was switched off"),
}
"""Why somebody who was drawn is not asked, in words. None of them says what they think of us."""

WAITED_FOR: Final = frozenset({"open_matter", "outreach_on_hold", "kindness_lately"})
"""Reasons that pass. Whoever complains again is asked when that is settled, so that asking does not leave out the discontent."""


@dataclass(frozen=True, slots=True)
class AskFacts:
    """What is known of somebody who was drawn. stop: what would stop a message to them now; has_route: a way that they allowed."""

    stop: StopFacts
    has_route: bool
    was_asked_lately: bool


def reason_not_to_ask(facts: AskFacts) -> str:
    """Give the code of the reason why somebody who was drawn is not asked, or "" when they are; a key of REASONS.

    The same is asked once more in the moment the message leaves, by `reason_to_stop`.
    """
    if facts.stop.customer_status != "active":
        return f"customer_{facts.stop.customer_status}"
    if facts.was_asked_lately:
        return "asked_lately"
    stopped = reason_to_stop(facts.stop)
    if not stopped and not facts.has_route:
        return "no_address"
    return stopped


def leaves_at(at: datetime, *, zone: tzinfo) -> datetime:
    """Give the moment at which a question leaves: now, or at nine when it is before nine or after six where the customer lives."""
    there = at.astimezone(zone)
    if ASKED_FROM <= there.time() < ASKED_UNTIL:
        return at
    day = there.date() if there.time() < ASKED_FROM else there.date() + timedelta(days=1)
    return datetime.combine(day, ASKED_FROM, tzinfo=zone).astimezone(UTC)


# --- the draw ---------------------------------------------------------------------------------------------------------


def commitment(seed: str) -> str:
    """The digest that is written down when an asking begins, so that the seed cannot be another one afterwards (SHA-256)."""
    return hashlib.sha256(seed.encode()).hexdigest()


def is_drawn(number: str, *, seed: str, share: int) -> bool:
    """Say whether a settled matter is drawn; the same whoever draws, in whatever order and however often.

    number: its public id. seed: the asking's, whose digest was written down before. share: percent, 1 to 100; 100 draws everybody.
    Keyed hash of the number (HMAC-SHA-256, RFC 2104), read as a fraction of 2^64.
    """
    digest = hmac.new(seed.encode(), number.encode(), hashlib.sha256).digest()
    return int.from_bytes(digest[:8], "big") * 100 < share << 64


# --- what they say ----------------------------------------------------------------------------------------------------

ITEMS: Final[Mapping[str, int]] = {"csat": 5, "outcome": 5, "process": 5, "manner": 5, "effort": 7}
"""The questions in their order, and the highest answer of each; 1 is the worst. Effort as the Customer Effort Score 2.0 has it:
how far they agree that we made it easy (Dixon, Toman and DeLisi 2013), so that more is better in every one of them."""
BAD_AT_MOST: Final = 2
"""An answer so low to any of the questions means that it was not settled for them; its owner takes it up again."""
ANSWERED_WITHIN: Final = timedelta(days=60)
"""For how long the page of a survey can be answered."""


def is_bad(answers: Mapping[str, int | None]) -> bool:
    """Say whether an answer asks for somebody to come back to it. answers: of ITEMS, None for what was skipped."""
    return any(given is not None and given <= BAD_AT_MOST for given in answers.values())
