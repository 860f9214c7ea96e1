"""Times and sizes in words, for people in a hurry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from crm.channels import Channel
from crm.models import OutgoingMessage, Promise
from crm.policy import UNDO_AT_MOST, Delivery, OutgoingState, PromiseState


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


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a message of ours. tone: as a dot shows it; why: in words, where that needs saying.

    at: the moment it is about, None without one; clock: the same on the customer's clock, with the name of their zone, where
    that is what counts.
    seconds: until it leaves, while they are counted; moves: whether it is worth looking again in a moment.
    """

    words: str
    tone: str
    why: str = ""
    at: datetime | None = None
    clock: str = ""
    seconds: int | None = None
    moves: bool = False


HELD_BECAUSE = {
    "customer_deceased": gettext_lazy("they have died"),
    "customer_erased": gettext_lazy("they were forgotten at their wish"),
    "outreach_on_hold": gettext_lazy("a matter of theirs is open, or somebody may have died"),
    "representative_ended": gettext_lazy("whoever it goes to may not be told any more"),
    "no_consent": gettext_lazy("they have not asked for it"),
    "suppressed": gettext_lazy("this address wants nothing of this kind"),
    "account_off": gettext_lazy("the account it would leave through is switched off"),
    "other_visibility": gettext_lazy("others could read it than its writer agreed to"),
    "other_place": gettext_lazy("what it answers is not there any more, or belongs to another account"),
    "no_provider": gettext_lazy("nothing is set up that could carry it"),
}


def sent(message: OutgoingMessage, *, zone: ZoneInfo, at: datetime) -> Sent:
    """Say where a message of ours is (X23). zone: the customer's, in which a planned one is told."""
    state, why = OutgoingState(message.state), str(HELD_BECAUSE.get(message.reason, message.reason))
    if state == OutgoingState.CANCELLED:
        if message.unknown_outcomes:
            return Sent(_("stopped; an earlier try may have arrived"), "late")
        return Sent(_("taken back, the customer never saw it"), "calm")
    if state == OutgoingState.READY and message.send_after > at:
        if message.failures or message.reason:
            return Sent(_("not sent yet, tried again"), "soon", why, message.send_after)
        if message.send_after - message.created_at > UNDO_AT_MOST:
            clock = f"{date_format(message.send_after.astimezone(zone), 'D j M, H:i')} ({zone.key})"
            return Sent(_("planned for"), "busy", at=message.send_after, clock=clock)
        seconds = -(-(message.send_after - at) // timedelta(seconds=1))
        return Sent(_("leaves in %(seconds)d s") % {"seconds": seconds}, "busy", seconds=seconds, moves=True)
    if state in (OutgoingState.READY, OutgoingState.CLAIMED, OutgoingState.HANDING):
        return Sent(_("on its way"), "busy", why, moves=True)
    if state == OutgoingState.ACCEPTED and message.delivery:
        tone = DELIVERY_TONES[Delivery(message.delivery)]
        return Sent(str(message.get_delivery_display()), tone, message.delivery_reason, message.delivery_at)
    return Sent(str(message.get_state_display()), OUTGOING_TONES.get(state, "calm"), why, message.accepted_at)


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
