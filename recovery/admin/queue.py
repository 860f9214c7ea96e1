"""The nights' look at the queue: one line per day, and what a day's figures mean."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.admin import pages
from crm.admin.base import ReadOnlyAdmin
from crm.channels import Channel
from crm.models import User
from recovery.models import QueueDay
from recovery.parity.shadow import Cause

CAN_SEE = "recovery.view_queueday"
DAYS_SHOWN = 50
PAIRS_SHOWN = 12

MEANING: dict[str, Any] = {
    Cause.UNEXPLAINED: gettext_lazy("Please ask how this came about; it may be a slip, or a habit worth talking about."),
    Cause.OWNERS_MATTER: gettext_lazy("Customers stay with the person who knows their matter. If this grows, share the load."),
    Cause.OWNER_AWAY: gettext_lazy("Somebody was away and their customers waited. Please pass such matters on."),
    Cause.CERTIFICATE: gettext_lazy("Too few people may take such matters. Certify more of them."),
    Cause.INGEST_LAG: gettext_lazy("The customer had spoken, but it had not reached us. Mend the way in, not the queue."),
    Cause.LIVE: gettext_lazy("Whoever is talking to us cannot be put back. If one channel always wins by this, look at it."),
    Cause.CREDIT: gettext_lazy("A correction lifts a channel whose customers wait longer. It passes only who has time left."),
    Cause.REASON: gettext_lazy("A reason was chosen by a colleague. See whether one channel is chosen more often."),
}  # fmt: skip
TONES: dict[str, str] = {Cause.UNEXPLAINED: "late", Cause.OWNER_AWAY: "soon", Cause.CERTIFICATE: "soon"}


@dataclass(frozen=True, slots=True)
class CauseRow:
    words: Any
    meaning: Any
    number: int
    tone: str


@dataclass(frozen=True, slots=True)
class PairRow:
    begun: str
    passed: str
    words: Any
    number: int


@dataclass(frozen=True, slots=True)
class PassedRow:
    at: datetime
    by: str
    begun: dict[str, Any]
    passed: dict[str, Any]
    words: Any
    tone: str
    number: int


@pages.page(CAN_SEE, methods=["GET"])
def queue_days(request: HttpRequest) -> HttpResponse:
    """The days that were looked at, newest first."""
    days = QueueDay.objects.defer("counts", "gravest", "differences")
    after = request.GET.get("after", "")
    if after:
        days = days.filter(day__lt=_day(after))
    found = list(days.order_by("-day")[: DAYS_SHOWN + 1])
    more, found = len(found) > DAYS_SHOWN, found[:DAYS_SHOWN]
    return pages.render(
        request,
        "admin/recovery/queue_days.html",
        _("Order of the queue"),
        days=found,
        next_key=found[-1].day.isoformat() if more else "",
        is_first=not after,
    )


@pages.page(CAN_SEE, methods=["GET"])
def queue_day(request: HttpRequest, day: str) -> HttpResponse:
    """One day: whether the channel played a part, and who was served out of order for which reason."""
    found = QueueDay.objects.filter(day=_day(day)).first()
    if found is None:
        raise Http404
    people = {line["by"] for line in found.gravest if line["by"] is not None}
    names = {person.pk: str(person) for person in User.objects.filter(pk__in=people)}
    by_cause: Counter[str] = Counter()
    for row in found.counts:
        by_cause[row["cause"]] += row["number"]
    return pages.render(
        request,
        "admin/recovery/queue_day.html",
        _("Order of the queue"),
        found=found,
        causes=[
            CauseRow(cause.label, MEANING[cause], by_cause[cause], _tone(cause, by_cause[cause])) for cause in Cause
        ],
        pairs=[
            PairRow(_channel(row["begun"]), _channel(row["passed"]), Cause(row["cause"]).label, row["number"])
            for row in found.counts[:PAIRS_SHOWN]
        ],
        more_pairs=max(0, len(found.counts) - PAIRS_SHOWN),
        gravest=[
            PassedRow(
                at=datetime.fromisoformat(line["at"]),
                by=names.get(line["by"], ""),
                begun=_matter(line["begun"]),
                passed=_matter(line["passed"]),
                words=Cause(line["cause"]).label,
                tone=TONES.get(line["cause"], "calm"),
                number=line["number"],
            )
            for line in found.gravest
        ],
    )


def _day(written: str) -> date:
    try:
        return date.fromisoformat(written)
    except ValueError:
        raise Http404 from None


def _tone(cause: Cause, number: int) -> str:
    return TONES.get(cause, "calm") if number else "good"


def _channel(name: str) -> str:
    return str(Channel(name).label) if name in Channel.values else name


def _matter(line: dict[str, str]) -> dict[str, Any]:
    return {**line, "channel": _channel(line["channel"]), "spoke_at": datetime.fromisoformat(line["spoke_at"])}


urlpatterns: list[URLPattern] = [
    path("queue-order/", queue_days, name="queue_days"),
    path("queue-order/<str:day>/", queue_day, name="queue_day"),
]


@admin.register(QueueDay)
class QueueDayAdmin(ReadOnlyAdmin):
    list_display = ("day", "arrivals", "begun", "same_order", "out_of_order", "unexplained")
    ordering = ("-day",)
