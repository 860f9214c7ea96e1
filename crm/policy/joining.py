"""A public post and the visit, call or delivery it tells of: which of them may be one matter, and why that is thought."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

TOLD_WITHIN = timedelta(days=30)
"""How long after a visit a post about it is looked for."""
CLOCKS_APART = timedelta(days=1)
"""A visit that is written down from memory may be dated after the post that tells of it."""
SUGGESTED_AT_MOST = 10
REFERENCES_AT_MOST = 5

# Letters, digits and hyphens with at least four digits in a row, as order and invoice numbers are; no plain year.
_REFERENCE = re.compile(r"(?<![\w-])(?=[\w-]*\d{4})[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*(?![\w-])", re.ASCII)
_MAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}")
LONGEST = 20_000
_YEAR = re.compile(r"(?:19|20)\d\d|\d{4}-\d\d-\d\d")


class MatchReason(TextChoices):
    """Why two matters are thought to be one; facts only, never a name or a likeness of words."""

    CUSTOMER = "customer", _("the same customer")
    ADDRESS = "address", _("an address or number of theirs stands in the post")
    REFERENCE = "reference", _("both name the same order or invoice")


_WEIGHT = {MatchReason.REFERENCE: 4, MatchReason.ADDRESS: 3, MatchReason.CUSTOMER: 2}


@dataclass(frozen=True, slots=True)
class Match:
    """One matter that may be what a post tells of, and why. spoke_at: when the customer was there, aware."""

    number: int
    spoke_at: datetime
    reasons: tuple[MatchReason, ...]


def references(text: str) -> list[str]:
    """The order and invoice numbers that a text names, in upper case, each once, the first few."""
    found = [
        word.upper() for word in _REFERENCE.findall(text[:LONGEST]) if len(word) >= 5 and not _YEAR.fullmatch(word)
    ]
    return list(dict.fromkeys(found))[:REFERENCES_AT_MOST]


def mail_addresses(text: str) -> list[str]:
    """The mail addresses that stand in a text, in lower case, the first few."""
    return list(dict.fromkeys(found.lower() for found in _MAIL.findall(text[:LONGEST])))[:REFERENCES_AT_MOST]


def may_tell_of(visited_at: datetime, *, posted_at: datetime) -> bool:
    """Say whether a post can tell of a visit by its time: within a month after it. Both aware."""
    return visited_at - CLOCKS_APART <= posted_at <= visited_at + TOLD_WITHIN


def in_order(matches: Iterable[Match], *, posted_at: datetime) -> list[Match]:
    """The likeliest first: by what speaks for it, then the nearest in time; those that time rules out are left out."""
    possible = [one for one in matches if one.reasons and may_tell_of(one.spoke_at, posted_at=posted_at)]
    possible.sort(
        key=lambda one: (-sum(_WEIGHT[reason] for reason in one.reasons), abs(posted_at - one.spoke_at), one.number)
    )
    return possible[:SUGGESTED_AT_MOST]
