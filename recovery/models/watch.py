"""What the audit keeps from night to night, and what our treatment teaches customers."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from recovery.policy import Rang, Taught


class WatchDay(models.Model):
    """How much evidence there is, after one day, that a channel is treated otherwise by one measure. Written once."""

    metric = models.CharField(_("what"), max_length=40)
    channel = models.CharField(_("channel"), max_length=16)
    day = models.DateField(_("day"))
    through = models.DateField(_("counted through"))  # the last day whose matters or outcomes are in the sums
    n = models.PositiveIntegerField(_("outcomes of the channel"))
    u = models.FloatField()  # as recovery/parity/sequential.py says, added up since the watch began or last rang
    v = models.FloatField()
    overlap = models.FloatField()
    log_e = models.FloatField()
    log_rs = models.JSONField(default=list)  # one for each ratio looked for; empty before the first week
    log_r = models.FloatField(null=True)  # their average; null before the first week
    rang = models.CharField(_("rang"), max_length=8, choices=Rang, blank=True)

    class Meta:
        verbose_name = _("watched day")
        verbose_name_plural = _("watched days")
        constraints = [
            models.UniqueConstraint(fields=["metric", "day", "channel"], name="watch_day_once"),
            models.CheckConstraint(condition=Q(v__gte=0, overlap__gte=0), name="watch_day_sums"),
            models.CheckConstraint(condition=Q(through__lte=F("day")), name="watch_day_counts_the_past"),
            models.CheckConstraint(condition=Q(log_rs=[]) ^ Q(log_r__isnull=False), name="watch_day_has_weeks_or_not"),
        ]

    def __str__(self) -> str:
        return f"{self.metric} · {self.channel} · {self.day:%Y-%m-%d}"


class Teaching(models.Model):
    """Does answering late in private teach customers to speak publicly next time? One row a month, never changed (R076)."""

    month = models.DateField(_("month"))  # its first day
    since = models.DateTimeField(_("matters from"))
    until = models.DateTimeField(_("to before"))
    at = models.DateTimeField(_("as of"))
    late = models.PositiveIntegerField(_("first answered late"))  # customers whose first private matter was
    late_public = models.PositiveIntegerField(_("of these, next in public"))
    in_time = models.PositiveIntegerField(_("first answered in time"))
    in_time_public = models.PositiveIntegerField(_("of these, next in public"))
    difference = models.FloatField(_("difference of shares, like for like"), null=True)
    low = models.FloatField(null=True)
    high = models.FloatField(null=True)
    needed = models.PositiveIntegerField(_("customers answered late that would tell"), null=True)
    says = models.CharField(_("says"), max_length=8, choices=Taught)

    class Meta:
        verbose_name = _("what we teach")
        verbose_name_plural = _("what we teach")
        constraints = [
            models.UniqueConstraint(fields=["month"], name="teaching_once_a_month"),
            models.CheckConstraint(
                condition=Q(late_public__lte=F("late"), in_time_public__lte=F("in_time"), since__lt=F("until")),
                name="teaching_counts",
            ),
            models.CheckConstraint(
                condition=Q(says=Taught.UNKNOWN) | Q(difference__isnull=False), name="teaching_says_by_a_difference"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"
