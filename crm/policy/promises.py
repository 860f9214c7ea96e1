"""What a customer is promised, when it counts as kept, and when as missed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


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


class PromiseState(TextChoices):
    RUNNING = "running", _("running")
    MET = "met", _("kept")
    BREACHED = "breached", _("missed")
    MET_LATE = "met_late", _("kept late")
    RELEASED = "released", _("let go with its matter")  # dismissed or gone quiet: neither kept nor missed


FIRST_RESPONSE_WITHIN = timedelta(hours=8)
CONFIRMATION_WITHIN = timedelta(hours=1)
NEXT_UPDATE_WITHIN = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class PromiseDue:
    """One promise: what, counted from when, due when (both aware)."""

    kind: PromiseKind
    starts_at: datetime
    due_at: datetime


def default_promises(spoke_at: datetime, *, spoken: bool) -> tuple[PromiseDue, ...]:
    """Say what everybody who addresses us is promised, counted from when they spoke.

    spoken: the customer talked to a person of ours (phone, counter), so nothing is in writing yet; they get a written
    confirmation too, which every written channel has by its nature.
    Returns aware due times. Source: docs/policy.md "What everybody is promised"; elapsed hours, the same for everyone.
    """
    promises = [PromiseDue(PromiseKind.FIRST_RESPONSE, spoke_at, spoke_at + FIRST_RESPONSE_WITHIN)]
    if spoken:
        promises.append(PromiseDue(PromiseKind.CONFIRMATION, spoke_at, spoke_at + CONFIRMATION_WITHIN))
    return tuple(promises)


def next_answer_promise(spoke_at: datetime) -> PromiseDue:
    """Say what somebody who writes again after our answer is promised: an answer within the same time as the first."""
    return PromiseDue(PromiseKind.NEXT_UPDATE, spoke_at, spoke_at + FIRST_RESPONSE_WITHIN)


def next_news_promise(at: datetime) -> PromiseDue:
    """Say by when there is news for somebody whose matter stays with us after an answer (R007)."""
    return PromiseDue(PromiseKind.NEXT_UPDATE, at, at + NEXT_UPDATE_WITHIN)


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
