"""Who got an answer from a person at all: every channel, every kind of matter, of all that needed one (R033)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Count, Exists, F, Min, OuterRef, Q, Subquery
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.admin import pages
from crm.admin.coverage import FEW, REMINDER, Coverage
from crm.channels import Channel
from crm.models import Closing, Conversation, Promise
from crm.policy import HowClosed, PromiseKind
from recovery.models import Case
from recovery.policy import ComplaintType

DAYS = 90
NEEDED_NONE = (HowClosed.DISMISSED, HowClosed.NO_ANSWER)
"""Ends without an answer for a coded reason, by a person. Gone quiet is none: nobody answered them."""
COUNTS = ("answered", "unanswered", "needed_none", "in_time")


@dataclass(slots=True)
class Line(Coverage):
    """What the matters of one channel and kind count for; each counts for exactly one of COUNTS (`policy.counted`)."""

    counts = COUNTS
    channel: str = ""
    kind: str = ""
    needed_none: int = 0
    in_time: int = 0


def counted(since: datetime, until: datetime, *, at: datetime) -> Iterable[Mapping[str, Any]]:
    """Count the matters that began in a time by channel and kind. One statement.

    Rows: channel, kind (a ComplaintType, None without a case), and COUNTS. What we began ourselves and nobody spoke in, and
    history from files, needed no answer of ours and is left out.
    """
    promised = Promise.objects.filter(conversation=OuterRef("pk"), kind=PromiseKind.FIRST_RESPONSE).order_by()
    ended = Closing.objects.filter(conversation=OuterRef("pk"), reopened_at=None, how__in=NEEDED_NONE)
    kind = Case.objects.filter(conversation=OuterRef("pk")).values("complaint_type")[:1]
    answered, none_needed = Q(first_answer_at__isnull=False), Q(first_answer_at=None, ended=True)
    ripe = Q(promised_by=None) | Q(promised_by__lte=at)
    return (
        Conversation.objects.filter(spoke_at__gte=since, spoke_at__lt=until, imported=False)
        .exclude(last_inbound_at=None)
        .annotate(
            promised_by=Subquery(promised.values("conversation").annotate(first=Min("due_at")).values("first")),
            ended=Exists(ended),
            kind=Subquery(kind),
        )
        .values("channel", "kind")
        .order_by("channel", F("kind").asc(nulls_last=True))
        .annotate(
            answered=Count("pk", filter=answered & ripe),
            unanswered=Count("pk", filter=~answered & ~none_needed & ripe),
            needed_none=Count("pk", filter=none_needed),
            in_time=Count("pk", filter=~none_needed & ~ripe),
        )
    )


def kind_words(kind: str | None) -> str:
    """What a kind of matter is called; without a case it was no failure of ours as far as anybody saw."""
    return str(ComplaintType(kind).label) if kind else _("without a case")


@pages.page("recovery.view_case", "crm.view_conversation", methods=["GET"])
def answered(request: HttpRequest) -> HttpResponse:
    """Response coverage of the last 90 days, by channel, and by channel and kind."""
    at = timezone.now()
    zone = ZoneInfo(settings.EVENHAND_ZONE)
    last = at.astimezone(zone).date()
    first = last - timedelta(days=DAYS - 1)
    total, by_channel, lines = Line(), defaultdict[str, Line](Line), []
    for row in counted(_midnight(first, zone), _midnight(last + timedelta(days=1), zone), at=at):
        name = str(Channel(row["channel"]).label)
        line = Line(channel=name, kind=kind_words(row["kind"]))
        for one in (total, by_channel[name], line):
            one.add(row)
        by_channel[name].channel = name
        lines.append(line)
    return pages.render(
        request,
        "admin/recovery/answered.html",
        _("Answered by a person"),
        total=total,
        channels=sorted(by_channel.values(), key=lambda line: (-line.answerable, line.channel)),
        lines=sorted(lines, key=lambda line: (line.channel, -line.answerable, line.kind)),
        first=first,
        last=last,
        days=DAYS,
        few=FEW,
        reminder=REMINDER,
    )


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, tzinfo=zone)


urlpatterns: list[URLPattern] = [path("answered/", answered, name="answered")]
