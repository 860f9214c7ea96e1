"""The rules, as versions: drafts that people work on, and approved ones that never change."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from recovery.policy import Policy, Rule, Severity, VersionState


class PolicyVersionQuerySet(models.QuerySet["PolicyVersion"]):
    def approved(self) -> PolicyVersionQuerySet:
        return self.filter(state=VersionState.APPROVED)

    def drafts(self) -> PolicyVersionQuerySet:
        return self.filter(state=VersionState.DRAFT)

    def in_force(self, at: datetime) -> PolicyVersion:
        """The approved version that started last. Raises PolicyVersion.DoesNotExist before the first."""
        return (
            self.approved()
            .filter(effective_from__lte=at)
            .order_by("-effective_from", "-number")
            .prefetch_related("rules")[:1]
            .get()
        )


class PolicyVersion(models.Model):
    """One version of the rules. A draft is worked on; once approved nothing of it changes, and a later one follows it."""

    number = models.PositiveIntegerField(_("version"), unique=True)
    state = models.CharField(_("state"), max_length=9, choices=VersionState, default=VersionState.DRAFT, editable=False)
    is_starter = models.BooleanField(_("starter pack"), default=False, editable=False)
    effective_from = models.DateTimeField(_("in force from"), null=True, editable=False)
    content_hash = models.CharField(_("fingerprint"), max_length=64, editable=False)
    note = models.CharField(_("note"), max_length=300, blank=True)
    copied_from = models.ForeignKey("self", models.PROTECT, null=True, related_name="+", verbose_name=_("copy of"))
    drafted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("drafted by")
    )
    drafted_at = models.DateTimeField(_("drafted"), null=True)
    edited_by = ArrayField(models.BigIntegerField(), default=list, editable=False)  # accounts, the drafter's first
    checks = models.JSONField(
        _("checks"), null=True, editable=False
    )  # with the fingerprint and the time they are about
    what_if = models.JSONField(_("what-if"), null=True, editable=False)  # likewise
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("approved by")
    )
    approved_at = models.DateTimeField(_("approved"), null=True, editable=False)

    objects = PolicyVersionQuerySet.as_manager()

    class Meta:
        verbose_name = _("policy version")
        verbose_name_plural = _("policy versions")
        constraints = [
            models.CheckConstraint(condition=Q(is_starter=False) | Q(number=1), name="policy_one_starter"),
            models.CheckConstraint(
                condition=Q(is_starter=True) | Q(drafted_by__isnull=False, drafted_at__isnull=False),
                name="policy_drafted_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(state=VersionState.APPROVED, effective_from__isnull=False)
                | Q(state__in=[VersionState.DRAFT, VersionState.DISCARDED], effective_from__isnull=True),
                name="policy_starts_once_approved",
            ),
            models.CheckConstraint(
                condition=~Q(state=VersionState.APPROVED)
                | Q(is_starter=True)
                | (
                    Q(approved_by__isnull=False, approved_at__isnull=False, effective_from__gt=F("approved_at"))
                    & ~Q(approved_by=F("drafted_by"))
                ),
                name="policy_two_people_and_a_future_start",
            ),
        ]
        permissions = [
            ("draft_policy", "Can draft the rules"),
            ("approve_policy", "Can approve the rules another person drafted"),
        ]

    def __str__(self) -> str:
        return str(_("Version %(number)s")) % {"number": self.number}

    def as_policy(self) -> Policy:
        """The rules as the evaluator takes them, in order."""
        rules = sorted(self.rules.all(), key=lambda rule: rule.position)
        return Policy(self.number, tuple(rule.as_rule() for rule in rules))

    @property
    def checks_stand(self) -> bool:
        """Whether the checks were made on the rules as they are, and passed."""
        return bool(self.checks and self.checks["content_hash"] == self.content_hash and self.checks["passed"])

    @property
    def what_if_stands(self) -> bool:
        """Whether the what-if was made on the rules as they are."""
        return bool(self.what_if and self.what_if["content_hash"] == self.content_hash)


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
            models.CheckConstraint(condition=Q(severity__in=list(Severity)), name="policy_rule_severity_is_known"),
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
