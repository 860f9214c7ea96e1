"""What recovery stores: the rules, the failures we owe something for, and every decision about them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.models import Conversation, Customer
from crm.models.ids import uuid7
from recovery.policy import Outcome, Policy, Rule, Severity, Status

if TYPE_CHECKING:
    from crm.models import User


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


LIVE = [Status.DETECTED, Status.OWNED, Status.DECIDED]


class CaseQuerySet(models.QuerySet["Case"]):
    def live(self) -> CaseQuerySet:
        return self.filter(status__in=LIVE)

    def visible_to(self, user: User) -> CaseQuerySet:
        """Cases this account may see: colleagues with the right see all, a customer sees their own."""
        if user.is_staff and user.has_perm("recovery.view_case"):
            return self
        return self.filter(customer_id=user.customer_id) if user.customer_id else self.none()


class Case(models.Model):
    """One failure we owe something for, whichever door the customer used."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+")
    conversation = models.OneToOneField(Conversation, models.PROTECT, related_name="+")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("owner"), editable=False
    )
    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.DETECTED, editable=False)
    severity = models.CharField(_("severity"), max_length=8, choices=Severity, editable=False)
    complaint_type = models.CharField(_("what went wrong"), max_length=24, editable=False)
    seen_because = models.JSONField(_("seen because of"), default=list, editable=False)
    spoke_at = models.DateTimeField(_("spoke to us"), editable=False)
    opened_at = models.DateTimeField(_("opened"), editable=False)
    owned_at = models.DateTimeField(_("taken on"), null=True, editable=False)
    resolved_at = models.DateTimeField(_("settled"), null=True, editable=False)
    confirmed_at = models.DateTimeField(_("confirmed in writing"), null=True, editable=False)
    outcome = models.CharField(_("outcome"), max_length=16, choices=Outcome, blank=True, editable=False)
    explanation = models.TextField(_("explanation to the customer"), blank=True, editable=False)

    objects = CaseQuerySet.as_manager()

    class Meta:
        verbose_name = _("case")
        verbose_name_plural = _("cases")
        constraints = [
            models.CheckConstraint(
                condition=~Q(status=Status.RESOLVED) | Q(resolved_at__isnull=False), name="case_resolved_has_time"
            ),
            models.CheckConstraint(
                condition=~Q(status=Status.RESOLVED) | (~Q(outcome="") & ~Q(explanation="")),
                name="case_resolved_has_outcome_and_explanation",
            ),
            models.CheckConstraint(
                condition=Q(status=Status.DETECTED) | Q(owner__isnull=False, owned_at__isnull=False),
                name="case_taken_on_has_owner",
            ),
            models.CheckConstraint(condition=Q(opened_at__gte=F("spoke_at")), name="case_opened_after_spoken"),
        ]
        indexes = [
            models.Index(fields=["-opened_at", "-id"], name="case_newest"),
            models.Index(fields=["customer", "-id"], name="case_of_customer"),
            models.Index(fields=["id"], name="case_live", condition=Q(status__in=LIVE)),
        ]
        permissions = [("open_case", "Can open a case"), ("resolve_case", "Can decide and settle a case")]

    def __str__(self) -> str:
        return str(_("Case %(number)s")) % {"number": self.pk}


class Decision(models.Model):
    """What the policy decided on given facts, append-only; recomputing it must give the same bytes."""

    case = models.ForeignKey(Case, models.PROTECT, related_name="decisions")
    policy_version = models.ForeignKey(
        PolicyVersion, models.PROTECT, related_name="+", verbose_name=_("policy version")
    )
    facts = models.JSONField(_("facts"))
    facts_hash = models.CharField(_("fingerprint of the facts"), max_length=64)
    entitlement = models.JSONField(_("entitlement"))
    entitlement_hash = models.CharField(_("fingerprint of the entitlement"), max_length=64)
    decided_at = models.DateTimeField(_("decided"))
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    class Meta:
        verbose_name = _("decision")
        verbose_name_plural = _("decisions")
        indexes = [models.Index(fields=["case", "-id"], name="decision_newest")]

    def __str__(self) -> str:
        return str(_("Decision %(number)s")) % {"number": self.pk}
