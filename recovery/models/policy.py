"""The rules, as versions that never change once they are in force."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from recovery.policy import Policy, Rule, Severity

if TYPE_CHECKING:
    pass


class PolicyVersionQuerySet(models.QuerySet["PolicyVersion"]):
    def in_force(self, at: datetime) -> PolicyVersion:
        """The newest version in force. Raises PolicyVersion.DoesNotExist before the first."""
        return (
            self.filter(effective_from__lte=at)
            .order_by("-effective_from", "-number")
            .prefetch_related("rules")[:1]
            .get()
        )


class PolicyVersion(models.Model):
    """One version of the rules; it is not changed once it is in force, a new one follows it."""

    number = models.PositiveIntegerField(_("version"), unique=True)
    effective_from = models.DateTimeField(_("in force from"))
    content_hash = models.CharField(_("fingerprint"), max_length=64, editable=False)
    note = models.CharField(_("note"), max_length=300, blank=True)

    objects = PolicyVersionQuerySet.as_manager()

    class Meta:
        verbose_name = _("policy version")
        verbose_name_plural = _("policy versions")

    def __str__(self) -> str:
        return str(_("Version %(number)s")) % {"number": self.number}

    def as_policy(self) -> Policy:
        """The rules as the evaluator takes them, in order."""
        rules = sorted(self.rules.all(), key=lambda rule: rule.position)
        return Policy(self.number, tuple(rule.as_rule() for rule in rules))


class PolicyRule(models.Model):
    """One rule of one version; see recovery.policy.Rule for the meaning of each field."""

    version = models.ForeignKey(PolicyVersion, models.PROTECT, related_name="rules")
    position = models.PositiveSmallIntegerField(_("order"))
    code = models.CharField(_("rule"), max_length=48)
    when = models.JSONField(_("when"), default=dict, blank=True)
    remedies = models.JSONField(_("owed"), default=list, blank=True)
    goodwill = models.DecimalField(_("goodwill"), max_digits=10, decimal_places=2, default=Decimal(0))
    within_minutes = models.JSONField(_("within, minutes"), default=dict, blank=True)
    severity = models.CharField(_("severity"), max_length=8, choices=Severity, default=Severity.LOW)
    because = models.CharField(_("reason that could be said in public"), max_length=300)

    class Meta:
        verbose_name = _("policy rule")
        verbose_name_plural = _("policy rules")
        constraints = [
            models.UniqueConstraint(fields=["version", "position"], name="policy_rule_order"),
            models.UniqueConstraint(fields=["version", "code"], name="policy_rule_code"),
            models.CheckConstraint(condition=Q(goodwill__gte=0), name="policy_rule_goodwill_not_negative"),
            models.CheckConstraint(condition=~Q(because=""), name="policy_rule_has_reason"),
        ]

    def __str__(self) -> str:
        return self.code

    def as_rule(self) -> Rule:
        return Rule(
            code=self.code,
            when=self.when,
            remedies=tuple(self.remedies),
            goodwill=self.goodwill,
            within=self.within_minutes,
            severity=Severity(self.severity),
            because=self.because,
        )
