"""Handing a matter over: who looks after it changes only when the other one says yes, and not for ever."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

HAND_OFFS_BEFORE_LOCK = 2
OWNERS_WITHIN_A_WEEK = 3


class HandOffReason(TextChoices):
    KNOWS_IT = "knows_it", _("knows more about it")
    LANGUAGE = "language", _("speaks the customer's language")
    QUALIFIED = "qualified", _("is qualified for it")
    WORKLOAD = "workload", _("has more room for it")
    ASKED_BY_CUSTOMER = "asked_by_customer", _("the customer asked for them")
    LEAVING = "leaving", _("I will not be here")


class HandOffState(TextChoices):
    OFFERED = "offered", _("offered")
    ACCEPTED = "accepted", _("accepted")
    DECLINED = "declined", _("declined")
    WITHDRAWN = "withdrawn", _("withdrawn")


class OwnerChangeReason(TextChoices):
    """Why somebody else looks after a matter."""

    TAKEN = "taken", _("taken from the queue")
    UNOWNED = "unowned", _("nobody looked after it")
    ASSIGNED = "assigned", _("given by a colleague")
    HANDED_OVER = "handed_over", _("handed over")
    NOT_THERE = "not_there", _("the owner is not there")


def is_locked(accepted_hand_offs: int) -> bool:
    """Say whether a matter was handed over so often that it stays where it is; others join as helpers (R133)."""
    return accepted_hand_offs >= HAND_OFFS_BEFORE_LOCK


def goes_in_a_circle(earlier_givers: Collection[int], *, to: int) -> bool:
    """Say whether a matter comes back to somebody who gave it away: A to B to A (R133). Ids of accounts."""
    return to in earlier_givers
