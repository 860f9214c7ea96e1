"""Where messages come from, and how late they reach us."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from crm.channels import Channel
from crm.models.ids import uuid7
from crm.policy import LAG_BUDGETS, TYPED_IN_WITHIN

TYPED_IN = "desk:"
"""What the source of things begins with that a colleague writes down."""


class LateBecause(models.TextChoices):
    SILENT = "silent", _("nothing was heard for too long")
    SLOW = "slow", _("messages take too long to reach us")
    FAILING = "failing", _("what comes fails, or it cannot be asked")


class Source(models.Model):
    """One way in, as the duty `watch_ingest_lag` saw it last; entries appear by themselves when something comes in."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    name = models.CharField(_("name"), max_length=120)  # the `source` of its interactions
    channel = models.CharField(_("channel"), max_length=16, choices=Channel)
    last_good_at = models.DateTimeField(_("last heard"), null=True)  # of it, or a good poll at it
    expected_every = models.DurationField(_("expected at least every"), null=True)  # empty: it may be quiet
    heard_count = models.PositiveIntegerField(_("in the last hour"), default=0)
    lag_middle = models.DurationField(_("lag, middle"), null=True)
    lag_slowest = models.DurationField(_("lag, slowest twentieth"), null=True)
    watched_at = models.DateTimeField(_("looked at"), null=True)
    late_since = models.DateTimeField(_("late since"), null=True)
    late_because = models.CharField(_("why"), max_length=8, choices=LateBecause, blank=True)

    class Meta:
        verbose_name = _("source")
        verbose_name_plural = _("sources")
        constraints = [
            models.UniqueConstraint(fields=["name", "channel"], name="source_once"),
            models.CheckConstraint(
                condition=Q(expected_every=None) | Q(expected_every__gt=timedelta(0)), name="source_expected_some_time"
            ),
            models.CheckConstraint(
                condition=Q(late_since=None, late_because="") | (Q(late_since__isnull=False) & ~Q(late_because="")),
                name="source_late_has_reason",
            ),
            models.CheckConstraint(
                condition=Q(heard_count=0, lag_middle=None, lag_slowest=None)
                | Q(heard_count__gt=0, lag_middle__isnull=False, lag_slowest__isnull=False),
                name="source_lag_is_of_something",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def budget(self) -> timedelta:
        """How late what comes this way may reach us."""
        return TYPED_IN_WITHIN if self.name.startswith(TYPED_IN) else LAG_BUDGETS[self.channel]


class SourceGap(models.Model):
    """A time in which nothing reached us from a source: an outage. It moves no clock; the audit can read what it held back."""

    source = models.ForeignKey(Source, models.PROTECT, related_name="gaps", db_index=False)
    began_at = models.DateTimeField(_("from"))  # the last that was heard before it
    ended_at = models.DateTimeField(_("until"), null=True)  # the first that was heard after it; empty while it lasts
    because = models.CharField(_("why"), max_length=8, choices=LateBecause)
    seen_at = models.DateTimeField(_("seen"))

    class Meta:
        verbose_name = _("gap of a source")
        verbose_name_plural = _("gaps of sources")
        constraints = [
            models.UniqueConstraint(fields=["source"], condition=Q(ended_at=None), name="source_gap_one_open"),
            models.CheckConstraint(
                condition=Q(ended_at=None) | Q(ended_at__gte=models.F("began_at")), name="source_gap_ends_last"
            ),
            models.CheckConstraint(
                condition=Q(because__in=[LateBecause.SILENT, LateBecause.FAILING]),
                name="source_gap_is_of_nothing_heard",
            ),
        ]
        indexes = [models.Index(fields=["-began_at", "-id"], name="source_gap_newest")]

    def __str__(self) -> str:
        return f"{self.source} {self.began_at:%Y-%m-%d %H:%M}"
