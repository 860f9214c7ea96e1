"""Mail: which address may speak for whom, how often we answer by machine, and what became of what we sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class MailboxSecurity(TextChoices):
    TLS = "tls", _("TLS from the start (port 993)")
    STARTTLS = "starttls", _("STARTTLS (port 143)")


class AfterFetch(TextChoices):
    """What becomes of a mail in its mailbox once we have kept it."""

    DELETE = "delete", _("delete it there")
    MOVE = "move", _("move it to another folder there")
    LEAVE = "leave", _("leave it there")


class DoubtCode(TextChoices):
    """What a person should look at, in a message that was taken in. None of them changes what the customer is promised."""

    MENTIONS_CASE = "mentions_case", _("names a number of ours, from somebody else")
    STRANGERS_HEADERS = "strangers_headers", _("says it answers a mail of ours, but nothing proves who wrote it")
    TOKEN_UNKNOWN = "token_unknown", _("was sent to a reply address that we never gave")
    TOKEN_REVOKED = "token_revoked", _("was sent to a reply address that was taken back")
    TOKEN_EXPIRED = "token_expired", _("was sent to a reply address that has run out")
    OTHER_PERSON = "other_person", _("another person wrote into this matter")
    LOOK_ALIKE = "look_alike", _("the sender's name or domain imitates another one")
    SEVERAL_SENDERS = "several_senders", _("the mail names several senders")
    CLAIMS_STAFF = "claims_staff", _("claims to come from one of us")


class Delivery(TextChoices):
    """What the other side said after it had accepted a message."""

    DEFERRED = "deferred", _("not delivered yet, the receiving side tries again")
    DELIVERED = "delivered", _("delivered")
    BOUNCED = "bounced", _("came back")
    COMPLAINED = "complained", _("called unwanted by the recipient")


class LookedAs(TextChoices):
    """What a person says about a mail that was set aside."""

    RIGHT = "right", _("rightly set aside")
    WRONG = "wrong", _("a customer wrote it")


REPLY_TOKEN_LASTS = timedelta(days=180)
"""How long a reply address works after the last message that carried it (reliability.md 4.2)."""
REPLY_TOKEN_RENEWED_WITHIN = timedelta(days=90)

ACKNOWLEDGED_PER_DAY = 3
"""Acknowledgements one address gets in 24 hours, whatever it sends (M09)."""
ACKNOWLEDGED_PER_DAY_UNPROVED = 1
"""The same for an address that nobody has proved to be theirs (M26)."""
OPENED_PER_HOUR = 3
"""Matters one address opens by mail within an hour; what it sends beyond joins the newest of them (M09, M25)."""
ALARMED_FROM = 20
"""Mails of one address within an hour from which the leads are told once a day."""

SAMPLED_A_NIGHT = 20
"""Mails set aside as spam, list or unreadable that a person is asked to look at, a night."""

UNDO_AT_MOST = timedelta(seconds=60)

_RANK = {"": 0, Delivery.DEFERRED: 1, Delivery.DELIVERED: 2, Delivery.BOUNCED: 3, Delivery.COMPLAINED: 4}


@dataclass(frozen=True, slots=True)
class SenderToday:
    """What is known of the writer when an acknowledgement could leave.

    is_proved: our token, our border or a log-in vouches for the address. acknowledged: how many it got within 24 hours.
    """

    is_proved: bool
    acknowledged: int


def may_acknowledge(sender: SenderToday) -> bool:
    """Say whether a new matter is acknowledged by machine. Two robots that answer each other so fall silent (M09, M26)."""
    most = ACKNOWLEDGED_PER_DAY if sender.is_proved else ACKNOWLEDGED_PER_DAY_UNPROVED
    return sender.acknowledged < most


def token_doubt(*, expires_at: datetime, revoked_at: datetime | None, at: datetime) -> DoubtCode | None:
    """Say what is wrong with a reply address that we gave; None when it still speaks for its matter."""
    if revoked_at is not None and revoked_at <= at:
        return DoubtCode.TOKEN_REVOKED
    return DoubtCode.TOKEN_EXPIRED if expires_at <= at else None


def delivery_after(standing: str, standing_at: datetime | None, *, told: str, told_at: datetime) -> bool:
    """Say whether news about a delivery replaces what is known, so that every order of arrival ends the same (H04).

    standing: a Delivery or ""; standing_at: when that happened; told, told_at: the news. What is final (it came back, it
    was called unwanted) is not undone by a later "delivered"; otherwise the later event counts, the graver one of two at
    the same moment.
    """
    if standing in (Delivery.BOUNCED, Delivery.COMPLAINED) and _RANK[told] < _RANK[standing]:
        return False
    if told in (Delivery.BOUNCED, Delivery.COMPLAINED) and _RANK[told] > _RANK[standing]:
        return True
    if standing_at is None or told_at > standing_at:
        return True
    return told_at == standing_at and _RANK[told] > _RANK[standing]
