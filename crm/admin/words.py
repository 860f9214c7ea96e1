"""Times and sizes in words, for people in a hurry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from crm.channels import Channel
from crm.models import Promise
from crm.policy import Delivery, OutgoingState, PromiseState


@dataclass(frozen=True, slots=True)
class Due:
    """A due time as a list shows it. tone: "late", "soon" or "calm"."""

    at: datetime
    words: str
    tone: str


SOON = timedelta(hours=1)


def due(due_at: datetime, *, at: datetime) -> Due:
    """Say how long there is until a due time, or how long ago it was; both aware."""
    if due_at < at:
        return Due(due_at, _("%(time)s late") % {"time": duration(at - due_at)}, "late")
    tone = "soon" if due_at - at <= SOON else "calm"
    return Due(due_at, _("in %(time)s") % {"time": duration(due_at - at)}, tone)


def ago(moment: datetime, *, at: datetime) -> str:
    """Say how long ago something was."""
    return _("%(time)s ago") % {"time": duration(max(at - moment, timedelta(0)))}


def duration(length: timedelta) -> str:
    """Say a length of time in its two largest useful parts: “3 d 4 h”, “2 h 10 min”, “12 min”."""
    minutes = int(length.total_seconds() // 60)
    days, hours = minutes // 1440, minutes // 60 % 24
    if days >= 7 or (days and not hours):
        return _("%(days)d d") % {"days": days}
    if days:
        return _("%(days)d d %(hours)d h") % {"days": days, "hours": hours}
    if hours and not minutes % 60:
        return _("%(hours)d h") % {"hours": hours}
    if hours:
        return _("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes % 60}
    if minutes:
        return _("%(minutes)d min") % {"minutes": minutes}
    return _("under 1 min")


def service_time(length: timedelta) -> str:
    """Say an amount of service time, in hours and minutes: a day of it is not a day of the calendar."""
    hours, minutes = divmod(int(length.total_seconds() // 60), 60)
    if not minutes:
        return str(ngettext("%(hours)d service hour", "%(hours)d service hours", hours) % {"hours": hours})
    if not hours:
        return _("%(minutes)d min of service time") % {"minutes": minutes}
    return _("%(hours)d h %(minutes)d min of service time") % {"hours": hours, "minutes": minutes}


def clock(length: timedelta) -> str:
    """Say a short length of time as a clock shows it: “0:45”, “12:05”, “1:02:05”; days before that."""
    seconds = max(0, int(length.total_seconds()))
    if seconds >= 86_400:
        return duration(length)
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"


def without_words(*, channel: str, talked: bool) -> str:
    """Say what a contact was of which there are no words."""
    if talked:
        return _("A talk that nobody wrote down")
    return _("Waited at the counter and left") if channel == Channel.STORE else _("Called and reached nobody")


def size(count: int) -> str:
    """Say how large a file is; bytes."""
    if count < 1000:
        return _("%(count)d bytes") % {"count": count}
    if count < 1_000_000:
        return _("%(count)d kB") % {"count": round(count / 1000)}
    return _("%(count).1f MB") % {"count": count / 1_000_000}


def first_line(text: str, *, at_most: int = 140) -> str:
    """Give the first words of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= at_most else line[:at_most].rsplit(" ", 1)[0] + " …"


PROMISE_TONES: dict[str, str] = {
    PromiseState.RUNNING: "calm",
    PromiseState.MET: "good",
    PromiseState.BREACHED: "late",
    PromiseState.MET_LATE: "soon",
    PromiseState.RELEASED: "calm",
}


def promise_tone(promise: Promise, *, at: datetime) -> str:
    """The tone of a promise; one whose time has passed is late, whether or not that was written down yet."""
    late = promise.met_at is None and promise.state != PromiseState.RELEASED and promise.due_at < at
    return "late" if late else PROMISE_TONES[promise.state]


OUTGOING_TONES: dict[str, str] = {
    OutgoingState.ACCEPTED: "good",
    OutgoingState.REFUSED: "late",
    OutgoingState.UNKNOWN: "late",
    OutgoingState.HELD: "soon",
    OutgoingState.PARKED: "late",
}

DELIVERY_TONES: dict[str, str] = {
    Delivery.DELIVERED: "good",
    Delivery.DEFERRED: "soon",
    Delivery.BOUNCED: "late",
    Delivery.COMPLAINED: "late",
}
