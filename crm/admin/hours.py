"""Service hours: the calendar of each region, drawn; publishing a new version with a look at it first."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actions import calendars
from crm.admin import pages
from crm.admin.calls import MOMENT
from crm.models import CalendarDay, ServiceCalendar
from crm.policy import FIRST_RESPONSE_WITHIN, Calendar, UnusableCalendar
from crm.policy import calendars as arithmetic

CAN_PUBLISH = "crm.add_servicecalendar"
WEEKDAYS = [
    gettext_lazy("Monday"), gettext_lazy("Tuesday"), gettext_lazy("Wednesday"), gettext_lazy("Thursday"),
    gettext_lazy("Friday"), gettext_lazy("Saturday"), gettext_lazy("Sunday"),
]  # fmt: skip
DAY_WIDTH, DAY_HEIGHT, HOUR = 40, 18, 20


class HoursForm(forms.Form):
    """What a new version says, as people write it."""

    region = forms.CharField(
        label=gettext_lazy("Region"),
        max_length=40,
        required=False,
        help_text=gettext_lazy("Empty: for every customer whose region has no calendar of its own."),
    )
    zone = forms.CharField(
        label=gettext_lazy("Time zone"), max_length=64, help_text=gettext_lazy("Such as Europe/Berlin.")
    )
    day_0 = forms.CharField(label=WEEKDAYS[0], max_length=120, required=False)
    day_1 = forms.CharField(label=WEEKDAYS[1], max_length=120, required=False)
    day_2 = forms.CharField(label=WEEKDAYS[2], max_length=120, required=False)
    day_3 = forms.CharField(label=WEEKDAYS[3], max_length=120, required=False)
    day_4 = forms.CharField(label=WEEKDAYS[4], max_length=120, required=False)
    day_5 = forms.CharField(label=WEEKDAYS[5], max_length=120, required=False)
    day_6 = forms.CharField(label=WEEKDAYS[6], max_length=120, required=False)
    holidays_of = forms.CharField(
        label=gettext_lazy("Public holidays of"),
        max_length=12,
        required=False,
        help_text=gettext_lazy("A country, or a part of one: DE, DE-BY, US-NY."),
    )
    particular = forms.CharField(
        label=gettext_lazy("Particular days"),
        max_length=20_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=gettext_lazy("One a line, such as “2026-12-24 09:00–12:00” or “2026-12-31 closed”."),
    )
    file = forms.FileField(
        label=gettext_lazy("Calendar file (.ics)"),
        required=False,
        help_text=gettext_lazy("Its events are times when nobody is there: whole days, or parts of a day."),
    )
    effective_from = forms.DateTimeField(
        label=gettext_lazy("Counts from"), widget=MOMENT, help_text=gettext_lazy("At least ten minutes ahead.")
    )
    note = forms.CharField(label=gettext_lazy("Note"), max_length=300, required=False)

    def clean(self) -> dict[str, Any]:
        """Read the times; a mistake is told beside its field."""
        given = super().clean() or {}
        for number in range(7):
            try:
                given[f"day_{number}"] = arithmetic.read_windows(given.get(f"day_{number}", ""))
            except UnusableCalendar as mistake:
                self.add_error(f"day_{number}", str(mistake))
        try:
            given["particular"] = _particular(given.get("particular", ""))
        except UnusableCalendar as mistake:
            self.add_error("particular", str(mistake))
        return given

    def as_draft(self) -> calendars.Draft:
        """Translate what was typed into what the action takes."""
        given = self.cleaned_data
        return calendars.Draft(
            region=given["region"].strip(),
            zone=given["zone"].strip(),
            week=tuple(given[f"day_{number}"] for number in range(7)),
            holidays_of=given["holidays_of"].strip(),
            file=given["file"].read() if given["file"] else b"",
            days=given["particular"],
            note=given["note"],
        )


def _particular(text: str) -> dict[date, tuple[arithmetic.Window, ...]]:
    found = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        day, _gap, times = line.partition(" ")
        try:
            on = date.fromisoformat(day)
        except ValueError as mistake:
            raise UnusableCalendar(_("“%(line)s” begins with no day like 2026-12-24.") % {"line": line}) from mistake
        found[on] = arithmetic.read_windows(times)
    return found


@dataclass(frozen=True, slots=True)
class Bar:
    x: int
    y: int
    width: int


@dataclass(frozen=True, slots=True)
class Shown:
    """One version as the page shows it."""

    version: ServiceCalendar
    counts: bool
    week: list[tuple[str, str, list[Bar], int]]
    ahead: list[CalendarDay]
    example: str


@pages.page("crm.view_servicecalendar", methods=["GET"])
def hours(request: HttpRequest) -> HttpResponse:
    """The calendars that count now and those that are coming."""
    at = timezone.now()
    counting = {version.pk for version in ServiceCalendar.objects.in_force(at)}
    rows = ServiceCalendar.objects.filter(pk__in=counting) | ServiceCalendar.objects.filter(effective_from__gt=at)
    shown = [
        _shown(version, at=at, counts=version.pk in counting)
        for version in rows.prefetch_related("days").order_by("region", "effective_from", "number")[:50]
    ]
    return pages.render(
        request,
        "admin/desk/hours.html",
        _("Service hours"),
        shown=shown,
        hour_marks=[(HOUR * hour, f"{hour}") for hour in range(0, 25, 6)],
        may_publish=request.user.has_perm(CAN_PUBLISH),
        within=int(FIRST_RESPONSE_WITHIN.total_seconds() // 3600),
    )


def _shown(version: ServiceCalendar, *, at: datetime, counts: bool) -> Shown:
    calendar = version.as_calendar()
    week = [
        (
            str(WEEKDAYS[number]),
            arithmetic.words_for(day),
            [Bar(HOUR * opens // 60, DAY_HEIGHT * number, HOUR * (closes - opens) // 60) for opens, closes in day],
            DAY_HEIGHT * number + 12,
        )
        for number, day in enumerate(calendar.week)
    ]
    today = timezone.localdate(at)
    ahead = sorted((day for day in version.days.all() if day.day >= today), key=lambda day: day.day)[:8]
    return Shown(version, counts, week, ahead, _example(calendar, version, at=at))


def _example(calendar: Calendar, version: ServiceCalendar, *, at: datetime) -> str:
    """What the calendar makes of a message on a Friday afternoon, in words."""
    zone = ZoneInfo(version.zone)
    local = max(at, version.effective_from).astimezone(zone)
    friday = (local + timedelta(days=(4 - local.weekday()) % 7)).replace(hour=16, minute=0, second=0, microsecond=0)
    due = arithmetic.after(calendar, friday, FIRST_RESPONSE_WITHIN).astimezone(zone)
    return _("A message on %(spoke)s is promised an answer by %(due)s (times of %(zone)s), whichever way it came.") % {
        "spoke": date_format(friday, "l j M, H:i"),
        "due": date_format(due, "l j M, H:i"),
        "zone": version.zone,
    }


@pages.page("crm.view_servicecalendar", CAN_PUBLISH)
def publish(request: HttpRequest) -> HttpResponse:
    """Write a new version."""
    refused = ""
    if request.method == "POST":
        form = HoursForm(request.POST, request.FILES)
        if form.is_valid():
            version, refused = pages.tried(
                lambda: calendars.publish(
                    form.as_draft(),
                    effective_from=form.cleaned_data["effective_from"],
                    by=pages.colleague(request),
                    at=timezone.now(),
                )
            )
            if version is not None:
                pages.say(
                    request, "", _("%(version)s is published. Promises already given stand.") % {"version": version}
                )
                return redirect("admin:hours")
    else:
        form = HoursForm(initial=_begun(request))
    return pages.render(
        request,
        "admin/desk/hours_new.html",
        _("New service hours"),
        form=form,
        days=[form[f"day_{number}"] for number in range(7)],
        refused=refused,
        status=409 if refused else 200,
        is_fullwidth="",
    )


def _begun(request: HttpRequest) -> dict[str, Any]:
    """What the form begins with: a standing version to be changed, or an ordinary week."""
    soon = timezone.localtime(timezone.now() + 2 * calendars.STARTS_AFTER).replace(second=0, microsecond=0)
    begun: dict[str, Any] = {"zone": settings.EVENHAND_ZONE, "effective_from": soon}
    begun |= {f"day_{number}": "09:00–17:00" if number < 5 else "" for number in range(7)}
    named = request.GET.get("from", "")
    if not named:
        return begun
    try:
        version = ServiceCalendar.objects.prefetch_related("days").get(public_id=uuid.UUID(named))
    except (ValueError, ServiceCalendar.DoesNotExist) as missing:
        raise Http404 from missing
    by_hand = [day for day in version.days.all() if day.source != "holiday" and day.day >= timezone.localdate()]
    return begun | {
        "region": version.region,
        "zone": version.zone,
        "holidays_of": version.holidays_of,
        "note": version.note,
        "particular": "\n".join(
            f"{day.day.isoformat()} {arithmetic.words_for([(o, c) for o, c in day.windows])}"
            for day in sorted(by_hand, key=lambda day: day.day)
        ),
        **{
            f"day_{number}": arithmetic.words_for([(o, c) for o, c in day]) if day else ""
            for number, day in enumerate(version.week)
        },
    }
