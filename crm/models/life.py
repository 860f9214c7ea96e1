"""What happens in customers' lives as far as they told us, and what must not reach them now."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from crm.models.people import Customer


class LifeEventKind(models.TextChoices):
    BIRTHDAY = "birthday", _("birthday")


class LifeEvent(models.Model):
    """A date in somebody's life that they told us for this purpose; no year, because none is needed (R166)."""

    customer = models.ForeignKey(Customer, models.PROTECT, related_name="life_events")
    kind = models.CharField(_("kind"), max_length=16, choices=LifeEventKind)
    month = models.PositiveSmallIntegerField(_("month"))
    day = models.PositiveSmallIntegerField(_("day"))
    told_at = models.DateTimeField(_("told on"))

    class Meta:
        verbose_name = _("life event")
        verbose_name_plural = _("life events")
        constraints = [
            models.UniqueConstraint(fields=["customer", "kind"], name="life_event_one_a_kind"),
            models.CheckConstraint(condition=Q(month__range=(1, 12)), name="life_event_month"),
            models.CheckConstraint(condition=Q(day__range=(1, 31)), name="life_event_day"),
        ]
        indexes = [models.Index(fields=["kind", "month", "day"], name="life_event_by_day")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.day}.{self.month}."


class HoldQuerySet(models.QuerySet["Hold"]):
    def active(self, at: datetime) -> HoldQuerySet:
        return self.filter(Q(until__isnull=True) | Q(until__gt=at), starts_at__lte=at)


class Hold(models.Model):
    """A reason to send a customer nothing but what is owed: an open case, a bereavement. Other apps read holds, not each other."""

    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+")
    key = models.CharField(max_length=80, unique=True)  # who placed it, e.g. "case:12"
    reason = models.CharField(_("reason"), max_length=80)
    starts_at = models.DateTimeField(_("from"))
    until = models.DateTimeField(_("until"), null=True, blank=True)
    placed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    objects = HoldQuerySet.as_manager()

    class Meta:
        verbose_name = _("hold")
        verbose_name_plural = _("holds")
        constraints = [
            models.CheckConstraint(
                condition=Q(until__isnull=True) | Q(until__gte=models.F("starts_at")), name="hold_ends_after_start"
            )
        ]
        indexes = [models.Index(fields=["customer"], name="hold_open", condition=Q(until__isnull=True))]

    def __str__(self) -> str:
        return self.reason
