"""The failures we owe something for, and every decision about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.fields.json import KT
from django.utils.translation import gettext_lazy as _

from crm.models import Conversation, Customer
from crm.models.fields import custom_index, custom_values
from crm.models.ids import uuid7
from recovery.models.policy import PolicyVersion
from recovery.policy import Outcome, Severity, Status
from recovery.policy.causes import Cause

if TYPE_CHECKING:
    from crm.models import User


LIVE = [Status.DETECTED, Status.OWNED, Status.DECIDED]


class CaseQuerySet(models.QuerySet["Case"]):
    def live(self) -> CaseQuerySet:
        return self.filter(status__in=LIVE)

    def visible_to(self, user: User) -> CaseQuerySet:
        """Cases this account may see: colleagues with the right see all, a customer sees their own."""
        if user.is_staff and user.has_perm("recovery.view_case"):
            return self
        if not user.customer_id:
            return self.none()
        theirs = self.filter(customer_id=user.customer_id)
        if user.sees_since is None:
            return theirs
        return theirs.filter(conversation__in=Conversation.objects.visible_to(user))


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
    cause = models.CharField(  # what made it happen, where that is known (R019)
        _("cause"), max_length=24, choices=Cause, blank=True, default="", db_default="", editable=False
    )
    seen_because = models.JSONField(_("seen because of"), default=list, editable=False)
    spoke_at = models.DateTimeField(_("spoke to us"), editable=False)
    opened_at = models.DateTimeField(_("opened"), editable=False)
    owned_at = models.DateTimeField(_("taken on"), null=True, editable=False)
    resolved_at = models.DateTimeField(_("settled"), null=True, editable=False)
    confirmed_at = models.DateTimeField(_("confirmed in writing"), null=True, editable=False)
    outcome = models.CharField(_("outcome"), max_length=16, choices=Outcome, blank=True, editable=False)
    explanation = models.TextField(_("explanation to the customer"), blank=True, editable=False)
    reason = models.TextField(_("why no failure was found"), blank=True, editable=False)
    recourse = models.TextField(_("way to object told to the customer"), blank=True, editable=False)
    ownership_told_at = models.DateTimeField(_("told whose it is"), null=True, editable=False)
    same_as = models.ForeignKey(  # the first case of the same incident, which alone earns what is owed
        "self", models.PROTECT, null=True, related_name="+", verbose_name=_("the same incident as"), editable=False
    )
    reopened_count = models.PositiveSmallIntegerField(_("came back"), default=0, editable=False)

    custom = custom_values()

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
                condition=Q(status__in=[Status.DETECTED, Status.DISMISSED])
                | Q(owner__isnull=False, owned_at__isnull=False),
                name="case_taken_on_has_owner",
            ),
            models.CheckConstraint(condition=Q(opened_at__gte=F("spoke_at")), name="case_opened_after_spoken"),
            models.CheckConstraint(
                condition=~Q(status=Status.RESOLVED, outcome=Outcome.NOT_UPHELD) | (~Q(reason="") & ~Q(recourse="")),
                name="case_not_upheld_has_reason_and_recourse",
            ),
            models.CheckConstraint(
                condition=Q(same_as__isnull=True) | Q(same_as__lt=F("id")), name="case_same_as_an_earlier_one"
            ),
        ]
        indexes = [
            models.Index(fields=["-opened_at", "-id"], name="case_newest"),
            custom_index("case_custom"),
            models.Index(fields=["customer", "-id"], name="case_of_customer"),
            models.Index(fields=["id"], name="case_live", condition=Q(status__in=LIVE)),
        ]
        permissions = [("open_case", "Can open a case"), ("resolve_case", "Can decide and settle a case")]

    def __str__(self) -> str:
        return str(_("Case %(number)s")) % {"number": self.pk}


class Settlement(models.Model):
    """One time a case was settled. When it comes back within two weeks, another person settles it next (R139)."""

    case = models.ForeignKey(Case, models.PROTECT, related_name="+", db_index=False)
    outcome = models.CharField(_("outcome"), max_length=16, choices=Outcome)
    settled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("settled by"), db_index=False
    )
    at = models.DateTimeField(_("settled"))
    not_by = models.ForeignKey(  # who settled it before, when it came back too soon
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False
    )
    settled_because = models.TextField(_("why it is settled now"), blank=True)
    reopened_at = models.DateTimeField(_("came back"), null=True)
    reopened_because = models.CharField(_("why it came back"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("settlement")
        verbose_name_plural = _("settlements")
        constraints = [
            models.CheckConstraint(
                condition=Q(not_by__isnull=True) | (~Q(settled_by=F("not_by")) & ~Q(settled_because="")),
                name="settlement_after_return_by_another_with_reason",
            ),
            models.CheckConstraint(
                condition=Q(reopened_at__isnull=True) | ~Q(reopened_because=""), name="settlement_reopened_with_reason"
            ),
            models.UniqueConstraint(
                fields=["case"], condition=Q(reopened_at__isnull=True), name="settlement_one_at_a_time"
            ),
        ]
        indexes = [
            models.Index(fields=["case", "-id"], name="settlement_of_case"),
            models.Index(fields=["at"], name="settlement_by_day"),
            models.Index(fields=["reopened_at"], name="settlement_reopened", condition=Q(reopened_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.get_outcome_display()


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
        indexes = [
            models.Index(fields=["case", "-id"], name="decision_newest"),
            models.Index(KT("facts__loss"), F("id").desc(), name="decision_by_loss"),
        ]

    def __str__(self) -> str:
        return str(_("Decision %(number)s")) % {"number": self.pk}
