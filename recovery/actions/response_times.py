"""How soon each channel gives its first answer, measured at night for everybody to read; and who waits past a promise now."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, time
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Count, Min, Q
from django.utils import timezone

from crm.channels import Channel
from crm.models import ChannelAccount, Feed, ListeningPlace, Mailbox, Promise
from crm.policy import REASON_WITHIN
from recovery.actions import outcomes
from recovery.actions.audits import WINDOW
from recovery.models import ResponseTimes

FEWEST = 25
"""Fewer answers due say nothing; the same as in the audit."""


class Measured(NamedTuple):
    """Of one channel: matters that wanted a first answer, how many got one, the minutes within which half and nine in ten did."""

    n: int
    answered: int
    median: float | None
    p90: float | None


def measure_response_times(at: datetime) -> int:
    """Measure the last 28 whole days, once a day. Returns 1, or 0 when another worker was first. Safe to repeat."""
    zone = ZoneInfo(settings.EVENHAND_ZONE)
    day = timezone.localdate(at, zone)
    if ResponseTimes.objects.filter(day=day).exists():
        return 0
    until = timezone.make_aware(datetime.combine(day, time.min), zone)
    lines = list(_lines(since=until - WINDOW, until=until, at=at))
    try:
        with transaction.atomic():
            ResponseTimes.objects.create(day=day, since=until - WINDOW, until=until, lines=lines)
    except IntegrityError:
        if not ResponseTimes.objects.filter(day=day).exists():
            raise
        return 0
    return 1


def _lines(*, since: datetime, until: datetime, at: datetime) -> Iterator[dict[str, Any]]:
    measured, doors = _measured(since=since, until=until, at=at), _doors()
    for channel in Channel.values:
        found = measured.get(channel)
        if channel not in doors and (found is None or not found.n):
            continue
        n, answered, median, p90 = found or Measured(0, 0, None, None)
        enough = n >= FEWEST
        yield {
            "channel": channel,
            "is_staffed": doors.get(channel, True) and not (n and not answered),
            "n": n,
            "median_minutes": median if enough else None,
            "p90_minutes": p90 if enough else None,
        }


def _measured(*, since: datetime, until: datetime, at: datetime) -> dict[str, Measured]:
    """First answers of matters that began from since to before until; who still waits counts as waiting (Kaplan and Meier 1958)."""
    import numpy as np

    from recovery.parity import own, survival

    matters = outcomes.read(since=since, until=until, at=at)
    columns = matters.columns
    ended = columns["answered_at"] != own.UNKNOWN
    expects = ended | (columns["answer_due_at"] != own.UNKNOWN)
    waited = (np.where(ended, columns["answered_at"], int(at.timestamp())) - columns["spoke_at"]) / 60
    made = {}
    for code, channel in enumerate(matters.channels):
        ours = expects & (columns["channel"] == code)
        times, share = survival.curve(waited[ours], ended[ours])
        median, p90 = (survival.quantile(times, share, part) for part in (0.5, 0.9))
        made[channel] = Measured(int(ours.sum()), int(ended[ours].sum()), median, p90)
    return made


def _doors() -> dict[str, bool]:
    """The channels that the house has set up, and whether any way of each is open now."""
    found: dict[str, bool] = {Channel.WEB_FORM.value: True}  # the contact page itself
    ways = [
        *((Channel.EMAIL.value, is_active) for is_active in Mailbox.objects.values_list("is_active", flat=True)),
        *ChannelAccount.objects.filter(is_sandbox=False).values_list("channel", "is_active"),
        *Feed.objects.values_list("channel", "is_active"),
        *ListeningPlace.objects.values_list("channel", "is_active"),
    ]
    for channel, is_open in ways:
        found[channel] = found.get(channel, False) or is_open
    return found


def newest() -> ResponseTimes | None:
    """What was measured last; None while nothing was."""
    found: ResponseTimes | None = ResponseTimes.objects.order_by("-day").first()
    return found


def past_their_promise(at: datetime) -> list[dict[str, Any]]:
    """Matters that nobody answered though the promised time is over, by first channel; the wanted number is none (R032).

    The neglect index over the whole house: the same matters as on the first page. Each: channel, number, oldest (when the oldest of
    these promises ran out), unexplained (for a day without a reason in writing). One statement.
    """
    owing = Q(is_explained=False, due_at__lte=at - REASON_WITHIN)
    neglected = Promise.objects.neglected(at).with_reasons()
    counted = neglected.values("conversation__channel").annotate(
        number=Count("pk"), oldest=Min("due_at"), unexplained=Count("pk", filter=owing)
    )
    return [
        {"channel": row["conversation__channel"], **{name: row[name] for name in ("number", "oldest", "unexplained")}}
        for row in counted.order_by("-number", "conversation__channel")
    ]
