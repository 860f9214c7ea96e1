"""What is done about a channel whose customers wait longer or got less: each step, each Monday, and who lets credits run."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.channels import Channel
from crm.models.ids import uuid7
from recovery.models.audits import ParityAudit, ParityFinding
from recovery.parity.levelling import MOST_MINUTES, CorrectionKind
from recovery.policy import CorrectionState

LIVE = (CorrectionState.PROPOSED, CorrectionState.WORKING)


class CorrectionQuerySet(models.QuerySet["Correction"]):
    def live(self) -> CorrectionQuerySet:
        return self.filter(state__in=LIVE)

    def working(self) -> CorrectionQuerySet:
        return self.filter(state=CorrectionState.WORKING)


class Correction(models.Model):
    """One thing done, or proposed, so that a channel's customers are treated like all others (R067); no due time moves."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    finding = models.ForeignKey(ParityFinding, models.PROTECT, related_name="corrections")
    kind = models.CharField(_("what"), max_length=16, choices=CorrectionKind)
    channel = models.CharField(_("channel"), max_length=16, choices=Channel)
    state = models.CharField(
        _("state"), max_length=12, choices=CorrectionState, default=CorrectionState.PROPOSED, editable=False
    )
    before = models.PositiveSmallIntegerField(_("minutes before"), default=0)  # of a credit
    size = models.FloatField(_("size"))  # minutes of a credit, share of a cause, hours a week, number of cases
    guard = models.PositiveSmallIntegerField(
        _("guard in minutes"), null=True
    )  # of a credit: who is due sooner is not passed
    look = models.ForeignKey(ParityAudit, models.PROTECT, related_name="+", db_index=False)
    ratio_before = models.FloatField(null=True)  # how much longer they waited, 1 is equal
    ratio_after = models.FloatField(null=True)
    after_low = models.FloatField(null=True)
    after_high = models.FloatField(null=True)
    detail = models.JSONField(_("codes"), default=dict)
    words = models.TextField(_("in words"), blank=True)
    proposed_at = models.DateTimeField(_("proposed"))
    agreed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("agreed by"),
        db_index=False,
    )
    since = models.DateTimeField(_("from"), null=True)
    until = models.DateTimeField(_("until"), null=True)
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False)

    objects = CorrectionQuerySet.as_manager()

    class Meta:
        verbose_name = _("correction")
        verbose_name_plural = _("corrections")
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "kind", "state"], condition=Q(state__in=LIVE), name="correction_one_of_a_kind"
            ),
            models.CheckConstraint(condition=Q(size__gte=0), name="correction_never_negative"),
            models.CheckConstraint(
                condition=~Q(kind=CorrectionKind.PRIORITY_CREDIT)
                | Q(size__lte=MOST_MINUTES, guard__isnull=False, guard__gt=0),
                name="correction_credit_bounded_and_guarded",
            ),
            models.CheckConstraint(
                condition=~Q(state=CorrectionState.WORKING) | Q(agreed_by__isnull=False, since__isnull=False),
                name="correction_works_when_agreed",
            ),
            models.CheckConstraint(
                condition=Q(state__in=LIVE, until__isnull=True)
                | Q(state__in=[CorrectionState.ENDED, CorrectionState.DECLINED], until__isnull=False),
                name="correction_over_has_time",
            ),
            models.CheckConstraint(
                condition=Q(since__isnull=True) | Q(until__isnull=True) | Q(until__gte=F("since")),
                name="correction_ends_after_it_begins",
            ),
            models.CheckConstraint(
                condition=~Q(state=CorrectionState.DECLINED) | ~Q(words=""), name="correction_declined_with_words"
            ),
        ]
        indexes = [models.Index(fields=["-id"], name="correction_newest")]
        permissions = [("agree_correction", "Can agree to corrections, decline and end them, and let credits run")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} · {self.channel}"


class LevellingWeek(models.Model):
    """One Monday's look at who lags and what it would take; one row a week, written once."""

    week = models.DateField(_("week"), unique=True)  # its Monday
    at = models.DateTimeField(_("looked at"))
    look = models.ForeignKey(ParityAudit, models.PROTECT, related_name="+", db_index=False)
    promised = models.FloatField(_("median promise, minutes"))
    late = models.FloatField(_("share of first answers that came late"))
    offered = models.FloatField(_("hours of work that come a week"), null=True)
    capacity = models.FloatField(_("hours that people have for it"), null=True)
    says_hours = models.BooleanField(_("no reordering can fix it"), default=False)
    hours_short = models.FloatField(_("hours a week that are missing"), null=True)
    lags = models.JSONField(
        _("channels"), default=list
    )  # channel, ratio, low, high, credit, late_in, uncertified; numbers only

    class Meta:
        verbose_name = _("week of levelling")
        verbose_name_plural = _("weeks of levelling")

    def __str__(self) -> str:
        return f"{self.week}"


class CreditSwitch(models.Model):
    """Whether credits of the weekly duty begin by themselves; the newest row counts, and without one they wait for a person."""

    is_on = models.BooleanField(_("credits begin by themselves"))
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("who"), db_index=False
    )
    at = models.DateTimeField(_("when"))

    class Meta:
        verbose_name = _("switch of credits")
        verbose_name_plural = _("switches of credits")
        indexes = [models.Index(fields=["-id"], name="credit_switch_newest")]

    def __str__(self) -> str:
        return "on" if self.is_on else "off"
