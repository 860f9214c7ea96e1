"""Counts of what became of each day's matters: they add up over days, and nobody can be found in them."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _


class _Counts(models.Model):
    """Place n of every list belongs to one cell, as recovery/parity/cells.py reads them; `names` says what the codes mean."""

    names = models.JSONField(_("names"))  # {"metrics": [], "strata": [], "channels": []}
    metric = ArrayField(models.SmallIntegerField(), verbose_name=_("metric"))
    stratum = ArrayField(models.SmallIntegerField(), verbose_name=_("kind"))
    channel = ArrayField(models.SmallIntegerField(), verbose_name=_("channel"))
    bin = ArrayField(models.SmallIntegerField(), verbose_name=_("bin"))
    d = ArrayField(models.IntegerField(), verbose_name=_("seen"))
    q = ArrayField(models.IntegerField(), verbose_name=_("still waiting"))

    class Meta:
        abstract = True


_OF_ONE_LENGTH = Q(
    metric__len=F("d__len"),
    stratum__len=F("d__len"),
    channel__len=F("d__len"),
    bin__len=F("d__len"),
    q__len=F("d__len"),
)


class DayCells(_Counts):
    """One count of the matters whose customers first spoke on one day (UTC), as what it changes in all counts before it.

    All rows of a day add up to its cells as of the newest `counted_at`; the database refuses to change or remove one.
    """

    day = models.DateField(_("day"))
    number = models.PositiveIntegerField(_("count"))  # 1, 2, …: of two counts that start from the same sum one stands
    counted_at = models.DateTimeField(_("counted"))

    class Meta:
        verbose_name = _("cells of a day")
        verbose_name_plural = _("cells of days")
        constraints = [
            models.UniqueConstraint(fields=["day", "number"], name="day_cells_counted_one_after_another"),
            models.CheckConstraint(condition=Q(number__gte=1), name="day_cells_number_from_one"),
            models.CheckConstraint(condition=_OF_ONE_LENGTH, name="day_cells_lists_of_one_length"),
        ]

    def __str__(self) -> str:
        return f"{self.day} · {self.number}"


class DaySince(_Counts):
    """What became, up to `at`, of matters of a day that is counted every night, since its newest count; written anew every hour.

    It only saves reading: without it, or where it goes on from an older count, the same is read when it is asked for.
    """

    day = models.DateField(_("day"), unique=True)
    counted_at = models.DateTimeField(_("counted"))
    at = models.DateTimeField(_("as of"))

    class Meta:
        verbose_name = _("what became of a day since")
        verbose_name_plural = _("what became of days since")
        constraints = [
            models.CheckConstraint(condition=Q(at__gt=F("counted_at")), name="day_since_later_than_its_count"),
            models.CheckConstraint(condition=_OF_ONE_LENGTH, name="day_since_lists_of_one_length"),
        ]

    def __str__(self) -> str:
        return f"{self.day} · {self.at}"
