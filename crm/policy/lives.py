"""What customers tell of their lives: what it may be used for, who may see it, and what it asks of us (R166–R168)."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class LifeEventKind(TextChoices):
    BIRTHDAY = "birthday", _("birthday")
    BIRTH = "birth", _("birth of a child")
    WEDDING = "wedding", _("wedding")
    MOVE = "move", _("move")
    NEW_JOB = "new_job", _("new job")
    EXAM = "exam", _("exam")
    RETIREMENT = "retirement", _("retirement")
    ILLNESS = "illness", _("illness")
    BEREAVEMENT = "bereavement", _("bereavement")
    ANNIVERSARY = "anniversary", _("anniversary")
    OTHER = "other", _("something else")


class LifeSource(TextChoices):
    """Who told us. Nothing else is a source: nothing is inferred, least of all from purchases (R167)."""

    CUSTOMER = "customer", _("the customer told us")
    REPRESENTATIVE = "representative", _("somebody who acts for them told us")
    PUBLIC_POST = "public_post", _("their public post, which they said we may use")


class Precision(TextChoices):
    """What is known of the day."""

    DAY = "day", _("the day")
    MONTH = "month", _("the month")
    YEARLY = "yearly", _("day and month, without a year")
    UNKNOWN = "unknown", _("not told")


class Valence(TextChoices):
    HAPPY = "happy", _("happy")
    MIXED = "mixed", _("happy and hard")
    SAD = "sad", _("sad")


class SeenBy(TextChoices):
    """Who may see that it was told, beside whoever noted it and whoever it was given to."""

    EVERYBODY = "everybody", _("everybody who answers customers")
    LEADS = "leads", _("leads")


class Purpose(TextChoices):
    """What it was told for; it is used for nothing else."""

    CARD = "card", _("a kind word by a person")
    CONSIDERATION = "consideration", _("so that we speak with them accordingly")


class MomentState(TextChoices):
    """What became of the question whether somebody should do something about it."""

    NONE = "", _("nothing to do")
    OPEN = "open", _("to be looked at")
    DONE = "done", _("done")
    LEFT = "left", _("left alone")


_VALENCE = {
    LifeEventKind.ILLNESS: Valence.SAD,
    LifeEventKind.BEREAVEMENT: Valence.SAD,
    LifeEventKind.MOVE: Valence.MIXED,
    LifeEventKind.EXAM: Valence.MIXED,
    LifeEventKind.RETIREMENT: Valence.MIXED,
    LifeEventKind.OTHER: Valence.MIXED,
}
_URGENCY = {Valence.SAD: 1, Valence.MIXED: 2, Valence.HAPPY: 3}
FIRST_OF_ALL = 0
"""The urgency of a death: before everything else that happens in customers' lives."""
YEARS = (1900, 2200)


def valence_of(kind: LifeEventKind) -> Valence:
    """Say whether such a thing is happy, sad, or may be either. Everything that may hurt is treated as if it did."""
    return _VALENCE.get(kind, Valence.HAPPY)


def seen_by_of(kind: LifeEventKind) -> SeenBy:
    """Say who may see it. Health is nobody's business but theirs, so an illness is for leads and whoever looks after it."""
    return SeenBy.LEADS if kind == LifeEventKind.ILLNESS else SeenBy.EVERYBODY


def urgency_of(kind: LifeEventKind) -> int:
    """The place of such a thing among what waits: 0 a death, 1 what is sad, 2 what may be, 3 what is happy."""
    return FIRST_OF_ALL if kind == LifeEventKind.BEREAVEMENT else _URGENCY[valence_of(kind)]


def purpose_of(kind: LifeEventKind, wished: Purpose) -> Purpose:
    """What it may be used for: what it was told for, and never for a cheerful word where it is sad."""
    return Purpose.CONSIDERATION if valence_of(kind) == Valence.SAD else wished


def moment_of(kind: LifeEventKind, purpose: Purpose) -> MomentState:
    """Say whether somebody should look at it: at what is sad always, else where it was told for a kind word (R167).

    A birthday has a programme of its own.
    """
    if kind == LifeEventKind.BIRTHDAY:
        return MomentState.NONE
    wanted = valence_of(kind) == Valence.SAD or purpose == Purpose.CARD
    return MomentState.OPEN if wanted else MomentState.NONE


def needs_a_name(kind: LifeEventKind) -> bool:
    """Say whether a named person has to look after it: nothing sad is left to a list."""
    return valence_of(kind) == Valence.SAD


@dataclass(frozen=True, slots=True)
class When:
    """A day as far as it was told; what `precision` leaves out is None."""

    precision: Precision
    year: int | None = None
    month: int | None = None
    day: int | None = None


def is_told_right(when: When) -> bool:
    """Say whether a day has the parts that its precision names, no others, and is in the calendar."""
    has = (when.year is not None, when.month is not None, when.day is not None)
    wanted = {
        Precision.DAY: (True, True, True),
        Precision.MONTH: (True, True, False),
        Precision.YEARLY: (False, True, True),
        Precision.UNKNOWN: (False, False, False),
    }[when.precision]
    if has != wanted:
        return False
    if when.year is not None and not YEARS[0] <= when.year <= YEARS[1]:
        return False
    if when.month is not None and not 1 <= when.month <= 12:
        return False
    if when.day is None or when.month is None:
        return True
    # 2000 was a leap year, so that the 29th of February is a day of some year.
    return 1 <= when.day <= calendar.monthrange(when.year or 2000, when.month)[1]


def moment_on(when: When, *, today: date) -> date:
    """The day by which somebody should look at it: the next one it falls on, today when that is past or not known."""
    if when.precision == Precision.DAY and when.year and when.month and when.day:
        return max(today, date(when.year, when.month, when.day))
    if when.precision == Precision.MONTH and when.year and when.month:
        return max(today, date(when.year, when.month, 1))
    if when.precision == Precision.YEARLY and when.month and when.day:
        for year in (today.year, today.year + 1):
            day = min(when.day, calendar.monthrange(year, when.month)[1])
            if date(year, when.month, day) >= today:
                return date(year, when.month, day)
    return today
