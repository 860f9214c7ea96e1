"""Whether the order of the queue kept its word, one row per day."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class QueueDay(models.Model):
    """One day of the queue, looked at the night after; written once and never changed."""

    day = models.DateField(_("day"))
    looked_at = models.DateTimeField(_("looked at"))
    arrivals = models.PositiveIntegerField(_("matters that reached us"))
    begun = models.PositiveIntegerField(_("matters begun"))
    swaps = models.PositiveSmallIntegerField(_("times served again with other channels"))
    same_order = models.BooleanField(_("same order on every channel"))
    differences = models.JSONField(_("differences"), default=list)  # at most 200: swap, place, expected, found
    out_of_order = models.PositiveBigIntegerField(_("pairs out of order"))
    unexplained = models.PositiveBigIntegerField(_("pairs without a known reason"))
    counts = models.JSONField(_("counts"), default=list)  # cause, channel begun, channel passed over, number
    gravest = models.JSONField(_("gravest"), default=list)  # at most 200: public ids, channels, times; never words

    class Meta:
        verbose_name = _("day of the queue")
        verbose_name_plural = _("days of the queue")
        constraints = [
            models.UniqueConstraint(fields=["day"], name="queue_day_once"),
            models.CheckConstraint(
                condition=Q(same_order=True, differences=[]) | (Q(same_order=False) & ~Q(differences=[])),
                name="queue_day_difference_is_shown",
            ),
            models.CheckConstraint(
                condition=Q(unexplained__lte=models.F("out_of_order")), name="queue_day_unexplained_counted"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d}"
