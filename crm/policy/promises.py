"""What a customer is promised, when it counts as kept, and when as missed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from crm.policy import calendars
from crm.policy.calendars import ALWAYS, Calendar


class PromiseKind(TextChoices):
    FIRST_RESPONSE = "first_response", _("first answer")
    OWNERSHIP = "ownership", _("a named person takes it on")
    NEXT_UPDATE = "next_update", _("next news")
    CONFIRMATION = "confirmation", _("written confirmation")
    RESOLUTION = "resolution", _("settled")
    CALL_BACK = "call_back", _("call back")
    REVIEW = "review", _("second look")
    PERSONAL = "personal", _("a colleague's own promise")
    STATUTORY = "statutory", _("deadline set by law")
    REVERSAL = "reversal", _("put back what they did not ask for")


class PromiseState(TextChoices):
    RUNNING = "running", _("running")
    MET = "met", _("kept")
    BREACHED = "breached", _("missed")
    MET_LATE = "met_late", _("kept late")
    RELEASED = "released", _("let go")


class MissReason(TextChoices):
    """Why a promise was missed, as the one who explains it sees it. All of it is our time."""

    TOO_FEW_PEOPLE = "too_few_people", _("too few people were there")
    OTHER_DEPARTMENT = "other_department", _("we waited for another department")
    SUPPLIER = "supplier", _("we waited for a supplier")
    NOT_SEEN = "not_seen", _("we did not see it in time")
    MISTAKE = "mistake", _("we made a mistake")
    SYSTEM = "system", _("our systems failed")
    TOO_SHORT = "too_short", _("we promised more than could be done")


FIRST_RESPONSE_WITHIN = timedelta(hours=8)
CONFIRMATION_WITHIN = timedelta(hours=1)
NEXT_UPDATE_WITHIN = timedelta(hours=24)
REASON_WITHIN = timedelta(hours=24)
"""By when after a first answer was missed somebody has written why (R032); time of the clock, not service time."""
WARNED_AFTER = 0.75
"""The share of a promise's time after which its owner is warned, while there is still time to keep it."""


@dataclass(frozen=True, slots=True)
class PromiseDue:
    """One promise: what, counted from when, due when, when its owner is warned (all aware).

    within: how much service time was promised; None when a moment was named. calendar: the stored version it was
    computed with, None for all day, every day. From within, calendar and starts_at the due time can be computed again.
    """

    kind: PromiseKind
    starts_at: datetime
    due_at: datetime
    warn_at: datetime
    within: timedelta | None
    calendar: int | None


def promised(kind: PromiseKind, *, starts_at: datetime, within: timedelta, calendar: Calendar) -> PromiseDue:
    """Make a promise of service time: due when `within` of it has passed since starts_at (aware), in UTC.

    What the law sets runs on when nobody is there. Source: domain.md C.5, one calendar a region for all channels.
    """
    if kind == PromiseKind.STATUTORY:
        calendar = ALWAYS
    starts_at = starts_at.astimezone(UTC)
    return PromiseDue(
        kind,
        starts_at,
        due_at=calendars.after(calendar, starts_at, within),
        warn_at=calendars.after(calendar, starts_at, within * WARNED_AFTER),
        within=within,
        calendar=calendar.number,
    )


def named_moment(kind: PromiseKind, *, starts_at: datetime, due_at: datetime) -> PromiseDue:
    """Make a promise for a moment that somebody named (both aware)."""
    warn_at = starts_at + (due_at - starts_at) * WARNED_AFTER
    return PromiseDue(kind, starts_at, due_at, warn_at, within=None, calendar=None)


def default_promises(spoke_at: datetime, *, spoken: bool, calendar: Calendar) -> tuple[PromiseDue, ...]:
    """Say what everybody who addresses us is promised, counted from when they spoke.

    spoken: the customer talked to a person of ours (phone, counter), so nothing is in writing yet; they get a written
    confirmation too, which every written channel has by its nature.
    Returns aware due times. Source: docs/policy.md "What everybody is promised"; service time, the same for everyone.
    """
    promises = [
        promised(PromiseKind.FIRST_RESPONSE, starts_at=spoke_at, within=FIRST_RESPONSE_WITHIN, calendar=calendar)
    ]
    if spoken:
        promises.append(
            promised(PromiseKind.CONFIRMATION, starts_at=spoke_at, within=CONFIRMATION_WITHIN, calendar=calendar)
        )
    return tuple(promises)


def next_answer_promise(spoke_at: datetime, *, calendar: Calendar) -> PromiseDue:
    """Say what somebody who writes again after our answer is promised: an answer within the same time as the first."""
    return promised(PromiseKind.NEXT_UPDATE, starts_at=spoke_at, within=FIRST_RESPONSE_WITHIN, calendar=calendar)


def next_news_promise(at: datetime, *, calendar: Calendar) -> PromiseDue:
    """Say by when there is news for somebody whose matter stays with us after an answer (R007)."""
    return promised(PromiseKind.NEXT_UPDATE, starts_at=at, within=NEXT_UPDATE_WITHIN, calendar=calendar)


def appended(existing_due_at: datetime | None, *, due_at: datetime) -> bool:
    """Say whether a newly decided due time is worth a promise of its own: promises only ever become earlier."""
    return existing_due_at is None or due_at < existing_due_at


def promises_an_answer_keeps() -> list[PromiseKind]:
    """The promises that a human answer keeps once it is accepted for delivery."""
    return [PromiseKind.FIRST_RESPONSE, PromiseKind.NEXT_UPDATE]


def may_close(unmet: Iterable[str]) -> bool:
    """Say whether a conversation may be closed: nothing that was promised may be left undone."""
    return not set(unmet)


def earliest(due_times: Iterable[datetime | None]) -> datetime | None:
    """Give the earliest of some due times, None when nothing is due."""
    return min((due for due in due_times if due is not None), default=None)
