"""Posts that everybody can read: which of them need an answer, who looks at that again, and what they count for.

Whether a post needs an answer is said by a person, for a coded reason, from its words; how many people read it is no part of
anything here (R152, N3).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class PostVerdict(TextChoices):
    """What a person said about a post; unjudged ones need an answer."""

    ANSWER = "answer", _("needs an answer")
    NO_ANSWER = "none", _("needs no answer")


class NoAnswerReason(TextChoices):
    """The only reasons for which a post may stay without an answer; praise, questions and criticism are none (R093)."""

    SPAM = "spam", _("spam")
    DUPLICATE = "duplicate", _("the same thing twice")
    ABUSE = "abuse", _("abuse, with nothing in it to answer")
    NOT_FOR_US = "not_for_us", _("about somebody else, not about us")
    CLOSING_WORD = "closing_word", _("a closing word after our answer")
    ONLY_SHARED = "only_shared", _("shares or tags, without words of its own")


class SecondLook(TextChoices):
    """What an auditor finds when they look at a post again that was judged to need no answer."""

    RIGHT = "right", _("rightly judged")
    WRONG = "wrong", _("should be answered")


class RevealReason(TextChoices):
    """The only reasons for which somebody may see how many people follow a customer (N3)."""

    SAFETY = "safety", _("somebody may be in danger")
    LEGAL = "legal", _("the law, a court or our lawyers ask")
    ACCESS = "access", _("the customer asked what we keep")


class Counted(StrEnum):
    """What a post counts for in response coverage; every post counts for exactly one."""

    ANSWERED = "answered"
    UNANSWERED = "unanswered"
    NOT_ANSWERABLE = "not_answerable"
    IN_TIME = "in_time"


JUDGEMENTS_SAMPLED_A_NIGHT = 20
"""Judgements "needs no answer" that an auditor is asked to look at, a night."""
ALSO_ON_EACH = 1
"""How many of them come from each channel at least, so that a small channel is looked at too."""

REACH_KEPT_FOR = timedelta(days=30)
"""How long what a platform tells about an account is kept after it was last told (P05)."""


def counted(*, verdict: str, is_answered: bool, due_at: datetime | None, at: datetime) -> Counted:
    """Say what a post counts for at a moment; `PublicPostQuerySet.counted` asks the database the same.

    verdict: a PostVerdict or "". due_at: by when an answer was promised, None when nothing was (history from a file).
    A post whose time is not up yet, answered or not, counts for nothing, so that quick answers are not counted before slow
    ones could be. Source: domain "response coverage"; N8.
    """
    if verdict == PostVerdict.NO_ANSWER and not is_answered:
        return Counted.NOT_ANSWERABLE
    if due_at is not None and due_at > at:
        return Counted.IN_TIME
    return Counted.ANSWERED if is_answered else Counted.UNANSWERED


def drawn(judgements: Iterable[tuple[str, str]]) -> list[str]:
    """Draw the judgements of a night that are looked at again; the same ones whoever draws and however often.

    judgements: (public id, group) of all of them; the id is made with the judgement, so nobody can know beforehand.
    Returns at most JUDGEMENTS_SAMPLED_A_NIGHT ids, of each group the first of all, then the first of the rest; more only
    when there are more groups than that.
    """
    ranked = sorted(judgements, key=lambda row: hashlib.sha256(row[0].encode()).digest())
    taken: dict[str, int] = {}
    chosen: list[str] = []
    for number, group in ranked:
        if taken.get(group, 0) < ALSO_ON_EACH:
            taken[group] = taken.get(group, 0) + 1
            chosen.append(number)
    rest = [number for number, _group in ranked if number not in set(chosen)]
    return chosen + rest[: max(JUDGEMENTS_SAMPLED_A_NIGHT - len(chosen), 0)]


def may_be_closing_word(*, first_answer_at: datetime | None, spoke_at: datetime) -> bool:
    """Say whether a post can be a closing word: only what comes after an answer of ours."""
    return first_answer_at is not None and first_answer_at <= spoke_at
