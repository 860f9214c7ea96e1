"""The one queue: who comes next, and whose a matter is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db.models import IntegerChoices, TextChoices
from django.utils.translation import gettext_lazy as _

from crm.policy.promises import PromiseKind


class QueueClass(IntegerChoices):
    """The first part of the queue's order: only harm that cannot wait goes before everybody else (domain.md C.6)."""

    CRITICAL = 0, _("critical harm")
    ORDINARY = 1, _("ordinary")


IDLE_AFTER = timedelta(minutes=30)
"""Work on a matter with which nothing happens for so long is given back to the queue."""
IDLE_AFTER_ASKING = timedelta(hours=8)
"""The same while somebody waits for a colleague's word."""
COUNTED_AT_MOST = 1000
"""Matters that were passed over are counted up to here; more is “very many” all the same."""


class OutOfOrder(TextChoices):
    """Why a matter is taken before others that stand in front of it (E09)."""

    ON_THE_LINE = "on_the_line", _("the customer is on the line")
    SAME_MATTER = "same_matter", _("it belongs to what I am working on")
    KNOWS_IT = "knows_it", _("I know this matter")
    ASKED_BY_LEAD = "asked_by_lead", _("a lead asked me to")
    LANGUAGE = "language", _("I speak the customer's language")
    TRAINING = "training", _("for training")


class PutBack(TextChoices):
    """Why a matter goes back to the queue unanswered."""

    MISSING = "missing", _("something is missing that comes later")
    NOT_ABLE = "not_able", _("somebody else knows better")
    LEAVING = "leaving", _("I have to go")
    BY_MISTAKE = "by_mistake", _("taken by mistake")


class PullEnd(TextChoices):
    """How work on a matter ended."""

    ANSWERED = "answered", _("answered")
    PUT_BACK = "put_back", _("put back")
    IDLE = "idle", _("nothing happened")
    HANDED_OVER = "handed_over", _("handed over")
    CLOSED = "closed", _("closed")


def queue_key(
    *, queue_class: int, due_at: datetime, spoke_at: datetime, number: int
) -> tuple[int, datetime, datetime, int]:
    """Say where a conversation stands in the one queue: critical harm, then earliest promise, then who spoke first.

    Times are aware. Source: critical first, then earliest due date, not pre-emptive (docs/adr/0014).
    """
    return (queue_class, due_at, spoke_at, number)


CREDIT_GUARD = timedelta(hours=1)
"""Whoever is due within so much service time is passed over by nobody's credit (domain.md C.7, s_min)."""
MOST_CREDIT = timedelta(hours=12)
"""What no credit ever exceeds, whatever is promised: half of a day."""


def pull_key(
    *,
    queue_class: int,
    due_at: datetime,
    spoke_at: datetime,
    number: int,
    credit: timedelta,
    guarded_until: datetime,
) -> tuple[int, bool, datetime, datetime, int]:
    """Say who is taken next while a credit puts something right: `queue_key` with the due time less the credit, and a guard.

    A credit borrows slack, never service: critical harm and whatever is due before `guarded_until` come first, in the order of
    `queue_key`, with or without a credit of their own. So a credit moves a matter before another only while that one has time left,
    by no more than the credit itself, and it puts nobody back. credit: >= 0. Source: domain.md C.7; docs/adr/0043.
    Raises ValueError for a credit below nothing.
    """
    if credit < timedelta(0):
        raise ValueError("A credit is never negative: nobody is pushed back on purpose.")
    is_guarded = queue_class == QueueClass.CRITICAL or due_at < guarded_until
    return (queue_class, not is_guarded, due_at if is_guarded else due_at - credit, spoke_at, number)


def needs_a_reason(*, ahead: int, is_theirs_to_take: bool) -> bool:
    """Say whether taking a matter now has to be explained: others stand before it, or it is somebody else's."""
    return ahead > 0 or not is_theirs_to_take


def owner_for(conversation_key: str, *, staff: Sequence[int], previous_owner: int | None) -> int | None:
    """Name the person a new conversation belongs to, or None when nobody can take it.

    A returning customer reaches the person who knows the matter. Everybody else is spread evenly by rendezvous: the
    colleague whose hash with the conversation's key is highest. No counter row is locked, and nobody can choose.
    conversation_key: the conversation's public id. staff: ids of those who can take a conversation now.
    Source: Thaler & Ravishankar 1998 (highest random weight); docs/adr/0013.
    """
    if previous_owner is not None and previous_owner in staff:
        return previous_owner
    return max(staff, key=lambda person: hashlib.sha256(f"{conversation_key}:{person}".encode()).digest(), default=None)


def queue_due(unmet: Iterable[tuple[str, datetime]]) -> datetime | None:
    """Say which due time places a matter in the queue: the earliest of what is unmet, None when nothing is.

    unmet: (promise kind, due at). The written confirmation of a talk is a duty beside the matter and moves nobody forward:
    whoever called stands where whoever wrote the same would stand.
    """
    by_kind = list(unmet)
    matter = [due_at for kind, due_at in by_kind if kind != PromiseKind.CONFIRMATION]
    return min(matter or [due_at for _kind, due_at in by_kind], default=None)


MOST_CRITICAL = 0.15
JUDGED_FROM = 20


def critical_share_is_high(*, critical: int, waiting: int) -> bool:
    """Whether so much counts as critical harm that the rest may starve: more than 15 % of at least 20 matters.

    Source: domain.md C.6, proposition 2: no starvation needs the critical load to fit.
    """
    return waiting >= JUDGED_FROM and critical > MOST_CRITICAL * waiting
