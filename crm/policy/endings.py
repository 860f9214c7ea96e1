"""How a matter ends: dismissed with a reason, gone quiet after real tries, closed; and what reopening it means."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

REOPENED_WITHIN = timedelta(days=14)
"""A matter that comes back within this time was not settled (R139); later it is a new matter, linked to the old one (X18)."""

TRIES_BEFORE_QUIET = 3
MEDIA_BEFORE_QUIET = 2
SAMPLED_IN = 10
"""One in so many dismissals of a month is looked at again by somebody else (R010)."""


class DismissalReason(TextChoices):
    """The only reasons for which something that came in may end without an answer (R010)."""

    SPAM = "spam", _("spam")
    DUPLICATE = "duplicate", _("the same thing twice")
    ABUSE = "abuse", _("abuse, with nothing in it to answer")
    NOT_FOR_US = "not_for_us", _("meant for somebody else")


class HowClosed(TextChoices):
    CLOSED = "closed", _("closed")
    DISMISSED = "dismissed", _("dismissed")
    WENT_QUIET = "went_quiet", _("the customer went quiet")
    NO_ANSWER = "no_answer", _("judged to need no answer")


class Verdict(TextChoices):
    """What the second person finds when they look at a dismissal again."""

    RIGHT = "right", _("rightly dismissed")
    WRONG = "wrong", _("should have been answered")


def still_wanted(media_tried: Sequence[str], *, media_given: int) -> tuple[int, int]:
    """Say how many more tries, and on how many more media, before a customer counts as gone quiet (R013).

    media_tried: one entry per try since they last spoke. media_given: on how many media we could reach them; somebody who
    gave one is tried three times on that one, because a second medium cannot be asked of them.
    Returns (tries, media) still wanted; (0, 0) when enough was tried.
    """
    wanted = min(MEDIA_BEFORE_QUIET, max(media_given, 1))
    return max(TRIES_BEFORE_QUIET - len(media_tried), 0), max(wanted - len(set(media_tried)), 0)


def has_fallen_silent(*, logged_tries: int, unanswered: int) -> bool:
    """Say whether a customer counts as silent, so that nobody may call their matter settled (R013).

    logged_tries: tries to reach them since they last spoke. unanswered: messages of ours since then that were accepted.
    """
    return logged_tries > 0 or unanswered >= TRIES_BEFORE_QUIET


def is_the_same_matter(closed_at: datetime, *, at: datetime) -> bool:
    """Say whether what comes back belongs to the closed matter, or is a new one that follows it."""
    return at - closed_at <= REOPENED_WITHIN


def sample(numbers: Iterable[str], *, month: str) -> list[str]:
    """Draw the dismissals of one month that are looked at again; the same ones whoever draws and however often.

    numbers: public ids of all of them. month: "2026-03". Returns one in ten, rounded up, so that none is an empty sample.
    """
    ranked = sorted(numbers, key=lambda number: hashlib.sha256(f"{month}:{number}".encode()).digest())
    return ranked[: math.ceil(len(ranked) / SAMPLED_IN)]
