"""Rules that people look at again, a quarter at a time, and what they found."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from recovery.policy.rule_reviews import Measured, RuleVerdict


class RuleReview(models.Model):
    """One rule to look at again in one quarter, with the numbers that asked for it; ended by what somebody wrote (R041)."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    quarter = models.CharField(_("quarter"), max_length=7)  # "2026-Q4"
    code = models.CharField(_("rule"), max_length=48)
    settled = models.PositiveIntegerField(_("settled"))
    denied = models.PositiveIntegerField(_("denied"))
    reviewed = models.PositiveIntegerField(_("looked at again"))
    overturned = models.PositiveIntegerField(_("decided anew"))
    asked_at = models.DateTimeField(_("asked"))
    verdict = models.CharField(_("found"), max_length=8, choices=RuleVerdict, blank=True, editable=False)
    benefit = models.CharField(_("what it gives customers"), max_length=600, blank=True, editable=False)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("looked at by"),
        db_index=False,
        editable=False,
    )
    decided_at = models.DateTimeField(_("looked at"), null=True, editable=False)

    class Meta:
        verbose_name = _("rule to look at again")
        verbose_name_plural = _("rules to look at again")
        constraints = [
            models.UniqueConstraint(fields=["quarter", "code"], name="rule_review_once_a_quarter"),
            models.CheckConstraint(
                condition=Q(denied__lte=F("settled")) & Q(overturned__lte=F("reviewed")), name="rule_review_counts"
            ),
            models.CheckConstraint(
                condition=Q(verdict="", decided_by__isnull=True, decided_at__isnull=True, benefit="")
                | (~Q(verdict="") & ~Q(benefit="") & Q(decided_by__isnull=False, decided_at__isnull=False)),
                name="rule_review_decided_with_words",
            ),
        ]
        indexes = [
            models.Index(fields=["code", "-id"], name="rule_review_of_rule"),
            models.Index(fields=["-id"], name="rule_review_open", condition=Q(verdict="")),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.quarter}"

    @property
    def measured(self) -> Measured:
        return Measured(self.settled, self.denied, self.reviewed, self.overturned)
