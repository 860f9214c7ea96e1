"""How much of what went wrong we saw before the customer had to tell us: per month, meant to rise (R058)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Count, Exists, OuterRef, Q
from django.db.models.functions import TruncMonth
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from crm.admin import pages
from crm.models import Interaction
from crm.policy import Direction
from recovery.models import Case
from recovery.policy.shares import Trend, interval, trend

MONTHS = 12
FEW = 20
MAY_BE_ABOUT_IT = timedelta(days=7)
"""What the customer told us elsewhere so shortly before may have been about the same thing; in doubt they spoke first."""
HEIGHT, BAR_WIDTH, MONTH_WIDTH = 90, 30, 46


@dataclass(frozen=True, slots=True)
class Month:
    """The cases opened in one month, and those of them we opened before the customer spoke."""

    label: str
    cases: int
    ours: int
    place: int = 0
    is_running: bool = False

    @property
    def share(self) -> float | None:
        return 100 * self.ours / self.cases if self.cases else None

    @property
    def between(self) -> tuple[float, float] | None:
        """Where the share may lie, in per cent, with 95 % confidence."""
        found = interval(self.ours, self.cases)
        return (100 * found[0], 100 * found[1]) if found else None

    @property
    def is_few(self) -> bool:
        return self.cases < FEW

    @property
    def x(self) -> int:
        return self.place * MONTH_WIDTH + 8

    @property
    def text_x(self) -> int:
        return self.x + BAR_WIDTH // 2

    @property
    def height(self) -> int:
        return round(HEIGHT * (self.share or 0) / 100)

    @property
    def y(self) -> int:
        return HEIGHT - self.height


def counted(since: datetime, *, zone: ZoneInfo) -> Iterable[Mapping[str, Any]]:
    """Count the cases by the month they were opened in. One statement. Rows: month, cases, ours (opened before they spoke)."""
    said = Interaction.objects.filter(direction=Direction.INBOUND, spoke_at__lte=OuterRef("opened_at"))
    here = said.filter(conversation=OuterRef("conversation"))
    elsewhere = said.filter(
        conversation__customer=OuterRef("customer"), spoke_at__gt=OuterRef("opened_at") - MAY_BE_ABOUT_IT
    )
    return (
        Case.objects.filter(opened_at__gte=since, same_as=None, conversation__imported=False)
        .annotate(month=TruncMonth("opened_at", tzinfo=zone), told=Exists(here) | Exists(elsewhere))
        .values("month")
        .order_by("month")
        .annotate(cases=Count("pk"), ours=Count("pk", filter=Q(told=False)))
    )


def months(at: datetime) -> list[Month]:
    """The last twelve months, the oldest first, on the shop's clock; the running one last."""
    zone = ZoneInfo(settings.EVENHAND_ZONE)
    now = at.astimezone(zone)
    starts = [_month(now.year, now.month - back, zone) for back in reversed(range(MONTHS))]
    found = {row["month"]: row for row in counted(starts[0], zone=zone)}
    return [
        Month(
            date_format(start, "M Y"),
            found[start]["cases"] if start in found else 0,
            found[start]["ours"] if start in found else 0,
            place=place,
            is_running=place == MONTHS - 1,
        )
        for place, start in enumerate(starts)
    ]


def _month(year: int, number: int, zone: ZoneInfo) -> datetime:
    """The start of a month; 0 is December of the year before."""
    years, month = divmod(number - 1, 12)
    return datetime(year + years, month + 1, 1, tzinfo=zone)


@pages.page("recovery.view_case", methods=["GET"])
def proactive(request: HttpRequest) -> HttpResponse:
    """The share of cases we opened before the customer spoke, month by month, and whether it rises."""
    found = months(timezone.now())
    whole = [(month.ours, month.cases) for month in found[:-1]]
    words = {
        Trend.RISING: _("It rises."),
        Trend.FALLING: _("It falls. It is meant to rise."),
        Trend.UNCLEAR: _("Neither rises nor falls for sure: chance alone could make what differs."),
        Trend.TOO_FEW: _("Too few cases to say whether it rises."),
    }
    said = trend(whole)
    ours, cases = sum(month.ours for month in found), sum(month.cases for month in found)
    return pages.render(
        request,
        "admin/recovery/proactive.html",
        _("Before they had to tell us"),
        months=found,
        ours=ours,
        cases=cases,
        share=100 * ours / cases if cases else None,
        trend=words[said],
        tone={Trend.RISING: "good", Trend.FALLING: "late"}.get(said, "calm"),
        few=FEW,
        width=MONTHS * MONTH_WIDTH,
        height=HEIGHT,
        bar_width=BAR_WIDTH,
    )


urlpatterns: list[URLPattern] = [path("proactive/", proactive, name="proactive")]
