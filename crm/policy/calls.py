"""Talks while they happen: what a heap of reported events adds up to, and what a call leaves us to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class CallState(TextChoices):
    RINGING = "ringing", _("waiting for somebody")
    TALKING = "talking", _("talking")
    ENDED = "ended", _("ended")


class CallEventKind(TextChoices):
    RANG = "rang", _("rang")
    ANSWERED = "answered", _("was answered")
    HELD = "held", _("was put on hold")
    RESUMED = "resumed", _("was taken off hold")
    ENDED = "ended", _("ended")
    SILENT = "silent", _("nothing more was heard of it")


class EndedBy(TextChoices):
    CUSTOMER = "customer", _("the customer")
    US = "us", _("us")
    NETWORK = "network", _("the line")
    UNKNOWN = "unknown", _("nobody knows")


class AfterCall(TextChoices):
    """What a call leaves us to do."""

    NOTHING = "nothing", _("nothing; it was written down")
    MISSED = "missed", _("to call back somebody nobody answered")
    CUT = "cut", _("to go on with a talk that was cut off or never written down")
    SILENT = "silent", _("to note that nothing more will be heard of it")


CUT_CALLED_BACK_WITHIN = timedelta(minutes=10)
"""By when a talk that had begun goes on, counted from its end (R137; docs/adr/0016)."""

TOLD_IN_ANY_ORDER_FOR = timedelta(seconds=30)
"""How long after its newest report a call is left alone: phone systems repeat and reorder what they report."""

SILENT_AFTER = timedelta(hours=4)
"""A call of which nothing more is heard for this long has ended, and its end was lost on the way."""

TRIED_BEFORE_WRITING = 2
"""After so many calls that reached nobody a written answer keeps the promise to call back."""


@dataclass(frozen=True, slots=True)
class Happened:
    """One event of a call: what, when (aware), its key there, and what it tells besides ("" or None where it does not)."""

    kind: CallEventKind
    at: datetime
    key: str
    caller: str = ""
    colleague: int | None = None
    ended_by: EndedBy = EndedBy.UNKNOWN


@dataclass(frozen=True, slots=True)
class Course:
    """What a call's events add up to. hold_seconds: holds that are over; hold_began_at: the one that is not."""

    state: CallState
    rang_at: datetime
    caller: str
    answered_at: datetime | None
    answered_by: int | None
    hold_seconds: int
    hold_began_at: datetime | None
    ended_at: datetime | None
    ended_by: EndedBy | None


def course_of(events: Sequence[Happened]) -> Course:
    """Say what a call's events add up to; the order in which they were reported makes no difference, nor does a repeat.

    The first ring is the earliest of all. Whoever is put on hold was answered. Nothing happens after the end.
    events: at least one.
    """
    told = sorted(events, key=lambda event: (event.at, event.key))
    talk = [e for e in told if e.kind in (CallEventKind.ANSWERED, CallEventKind.HELD, CallEventKind.RESUMED)]
    answered_at = talk[0].at if talk else None
    ends = [e for e in told if e.kind == CallEventKind.ENDED] or [e for e in told if e.kind == CallEventKind.SILENT]
    ended_at = None
    if ends:
        goes_on = [e.at for e in told if e.kind not in (CallEventKind.ENDED, CallEventKind.SILENT)]
        ended_at = max([ends[0].at, *goes_on])
    seconds, began_at = _on_hold(talk, ended_at=ended_at)
    return Course(
        state=CallState.ENDED if ended_at else CallState.TALKING if talk else CallState.RINGING,
        rang_at=told[0].at,
        caller=next((e.caller for e in told if e.caller), ""),
        answered_at=answered_at,
        answered_by=next((e.colleague for e in talk if e.colleague is not None), None),
        hold_seconds=seconds,
        hold_began_at=began_at,
        ended_at=ended_at,
        ended_by=next((e.ended_by for e in ends if e.ended_by != EndedBy.UNKNOWN), EndedBy.UNKNOWN) if ends else None,
    )


def _on_hold(talk: Sequence[Happened], *, ended_at: datetime | None) -> tuple[int, datetime | None]:
    length, began_at = timedelta(0), None
    for event in talk:
        if event.kind == CallEventKind.HELD:
            began_at = began_at or event.at
        elif began_at is not None:
            length, began_at = length + (event.at - began_at), None
    if began_at is not None and ended_at is not None:
        length, began_at = length + (ended_at - began_at), None
    return int(length.total_seconds()), began_at


def after_call(
    course: Course,
    *,
    at: datetime,
    held_at: datetime,
    heard_at: datetime,
    patience: timedelta | None,
    noted_within: timedelta,
    noted: bool,
    said_all: bool | None,
) -> AfterCall | None:
    """Say what a call leaves us to do now; None when that cannot be said yet.

    held_at, heard_at: when its first and its newest event reached us. patience: how long it may ring; None where somebody
    waits in sight of us. noted_within: how long after its end a talk may be written down. noted: it was. said_all: whether
    everything was said; None leaves it to how the talk ended, which is unfinished when we or the line ended it.
    """
    settled = at - heard_at >= TOLD_IN_ANY_ORDER_FOR
    if course.answered_at is None and course.ended_at is None:
        known_long_enough = (
            at - held_at >= TOLD_IN_ANY_ORDER_FOR
        )  # after an outage the answer may be right behind the ring
        if patience is not None and at - course.rang_at >= patience and known_long_enough:
            return AfterCall.MISSED
        return AfterCall.SILENT if at - heard_at >= SILENT_AFTER else None
    if course.ended_at is None:
        return AfterCall.SILENT if at - heard_at >= SILENT_AFTER else None
    if not settled:
        return None
    if course.answered_at is None:
        return AfterCall.MISSED
    if unfinished(course.ended_by, said_all=said_all):
        return AfterCall.CUT
    if noted:
        return AfterCall.NOTHING
    return AfterCall.CUT if at - course.ended_at >= noted_within else None


def unfinished(ended_by: str | None, *, said_all: bool | None) -> bool:
    """Say whether a talk that ended has to go on: a colleague's word, else whether we or the line ended it."""
    return ended_by in (EndedBy.US, EndedBy.NETWORK) if said_all is None else not said_all
