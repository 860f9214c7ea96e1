"""When people of ours are there: versions of the service calendar of each region, never changed once written."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from crm.policy import calendars


class ServiceCalendarQuerySet(models.QuerySet["ServiceCalendar"]):
    def newest_first(self) -> ServiceCalendarQuerySet:
        return self.order_by("region", "-effective_from", "-number")

    def in_force(self, at: datetime) -> ServiceCalendarQuerySet:
        """The version of each region that counts at a moment."""
        return self.filter(effective_from__lte=at).newest_first().distinct("region")


class ServiceCalendar(models.Model):
    """One version of a region's calendar. The region "" is for every customer whose region has none of its own."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    region = models.CharField(_("region"), max_length=40, blank=True)
    number = models.PositiveIntegerField(_("version"))
    zone = models.CharField(_("time zone"), max_length=64)
    week = models.JSONField(_("week"))  # seven lists of [opens, closes] in minutes since midnight, Monday first
    holidays_of = models.CharField(_("public holidays of"), max_length=12, blank=True)  # "DE" or "DE-BY"
    effective_from = models.DateTimeField(_("counts from"))
    covers_until = models.DateField(_("particular days are known until"))
    note = models.CharField(_("note"), max_length=300, blank=True)
    published_at = models.DateTimeField(_("published"))
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("published by")
    )

    objects = ServiceCalendarQuerySet.as_manager()

    class Meta:
        verbose_name = _("service calendar")
        verbose_name_plural = _("service calendars")
        constraints = [
            models.UniqueConstraint(fields=["region", "number"], name="service_calendar_version"),
            # Processes may keep for a minute what they read, and no promise is computed with what nobody could have known.
            models.CheckConstraint(
                condition=Q(effective_from__gt=F("published_at")), name="service_calendar_starts_later"
            ),
        ]

    def __str__(self) -> str:
        return str(_("%(region)s, version %(number)s")) % {
            "region": self.region or _("Everywhere"),
            "number": self.number,
        }

    def as_calendar(self) -> calendars.Calendar:
        """The calendar as promises are computed with it; reads the particular days unless they were prefetched."""
        return calendars.Calendar(
            zone=self.zone,
            week=tuple(tuple((opens, closes) for opens, closes in day) for day in self.week),
            days={
                particular.day: tuple((opens, closes) for opens, closes in particular.windows)
                for particular in self.days.all()
            },
            number=self.pk,
        )


class DaySource(models.TextChoices):
    HOLIDAY = "holiday", _("public holiday")
    FILE = "file", _("calendar file")
    HAND = "hand", _("entered by hand")


class CalendarDay(models.Model):
    """A particular day of one version: when people are there on it, or that they are not."""

    calendar = models.ForeignKey(ServiceCalendar, models.PROTECT, related_name="days", db_index=False)
    day = models.DateField(_("day"))
    windows = models.JSONField(_("times"), default=list)  # [] when nobody is there
    name = models.CharField(_("name"), max_length=120, blank=True)
    source = models.CharField(_("from"), max_length=8, choices=DaySource)

    class Meta:
        verbose_name = _("particular day")
        verbose_name_plural = _("particular days")
        constraints = [models.UniqueConstraint(fields=["calendar", "day"], name="calendar_day_once")]

    def __str__(self) -> str:
        return f"{self.day} {self.name}"
