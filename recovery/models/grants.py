"""What was really given in a case, what went beyond the rules, what that proposes, and the ledger of it all."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.channels import Channel
from crm.models.ids import uuid7
from recovery.models.cases import Case, Decision
from recovery.policy import ExceptionState, GrantKind, ProposalState


class TreatmentException(models.Model):
    """Something asked for beyond what the rules give: with a reason, and only with a second person (R065)."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    case = models.ForeignKey(Case, models.PROTECT, related_name="+", db_index=False)
    decision = models.ForeignKey(Decision, models.PROTECT, related_name="+", db_index=False)
    kind = models.CharField(_("what"), max_length=16, choices=GrantKind)
    amount = models.DecimalField(_("amount"), max_digits=12, decimal_places=2, default=Decimal(0))
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    reason = models.TextField(_("reason"))
    state = models.CharField(
        _("state"), max_length=12, choices=ExceptionState, default=ExceptionState.PROPOSED, editable=False
    )
    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("proposed by"), db_index=False
    )
    proposed_at = models.DateTimeField(_("proposed"))
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("decided by"),
        db_index=False,
    )
    decided_at = models.DateTimeField(_("decided"), null=True)

    class Meta:
        verbose_name = _("exception")
        verbose_name_plural = _("exceptions")
        constraints = [
            models.CheckConstraint(condition=~Q(reason=""), name="exception_has_reason"),
            models.CheckConstraint(condition=Q(amount__gte=0), name="exception_not_negative"),
            models.CheckConstraint(
                condition=Q(state=ExceptionState.PROPOSED, decided_by__isnull=True, decided_at__isnull=True)
                | (~Q(state=ExceptionState.PROPOSED) & Q(decided_by__isnull=False, decided_at__isnull=False)),
                name="exception_decided_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(decided_by__isnull=True) | ~Q(decided_by=F("proposed_by")),
                name="exception_decided_by_another",
            ),
        ]
        indexes = [
            models.Index(fields=["case", "-id"], name="exception_of_case"),
            models.Index(fields=["-id"], name="exception_waiting", condition=Q(state=ExceptionState.PROPOSED)),
        ]

    def __str__(self) -> str:
        return self.get_kind_display()


class Grant(models.Model):
    """One thing given in a case; the database refuses more money inside the entitlement than was decided."""

    case = models.ForeignKey(Case, models.PROTECT, related_name="grants", db_index=False)
    decision = models.ForeignKey(Decision, models.PROTECT, related_name="+", db_index=False)
    key = models.CharField(max_length=80)  # the same key twice is one grant
    kind = models.CharField(_("what"), max_length=16, choices=GrantKind)
    amount = models.DecimalField(_("amount"), max_digits=12, decimal_places=2, default=Decimal(0))  # 0: has no price
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    beyond = models.OneToOneField(
        TreatmentException, models.PROTECT, null=True, related_name="+", verbose_name=_("exception")
    )
    public_words = models.TextField(_("told in public"), blank=True)
    given_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("given by"), db_index=False
    )
    at = models.DateTimeField(_("given"))

    class Meta:
        verbose_name = _("grant")
        verbose_name_plural = _("grants")
        constraints = [
            models.UniqueConstraint(fields=["case", "key"], name="grant_once"),
            models.UniqueConstraint(
                fields=["case", "kind"], condition=Q(amount=0, beyond__isnull=True), name="grant_unpriced_once_a_kind"
            ),
            models.CheckConstraint(condition=Q(amount__gte=0), name="grant_not_negative"),
            models.CheckConstraint(condition=Q(amount=0) | ~Q(currency=""), name="grant_money_has_currency"),
            # What not everybody gets is told to nobody in public (R060).
            models.CheckConstraint(
                condition=Q(beyond__isnull=True) | Q(public_words=""), name="grant_beyond_the_rules_not_public"
            ),
        ]
        indexes = [models.Index(fields=["case", "id"], name="grant_of_case")]
        permissions = [("give_remedy", "Can give what was decided"), ("approve_exception", "Can approve exceptions")]

    def __str__(self) -> str:
        return self.get_kind_display()


class PolicyProposal(models.Model):
    """A change of the rules that an exception proposes by itself, so that the next person gets it too (R065)."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    exception = models.OneToOneField(TreatmentException, models.PROTECT, related_name="proposal")
    state = models.CharField(
        _("state"), max_length=12, choices=ProposalState, default=ProposalState.OPEN, editable=False
    )
    proposed_at = models.DateTimeField(_("proposed"))
    reason = models.TextField(_("reason"), blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("decided by"),
        db_index=False,
    )
    decided_at = models.DateTimeField(_("decided"), null=True)

    class Meta:
        verbose_name = _("proposed rule")
        verbose_name_plural = _("proposed rules")
        constraints = [
            models.CheckConstraint(
                condition=Q(state=ProposalState.OPEN, decided_by__isnull=True, decided_at__isnull=True)
                | (~Q(state=ProposalState.OPEN) & Q(decided_by__isnull=False, decided_at__isnull=False)),
                name="proposal_decided_by_somebody",
            ),
            models.CheckConstraint(
                condition=~Q(state=ProposalState.DECLINED) | ~Q(reason=""), name="proposal_declined_with_reason"
            ),
        ]
        indexes = [models.Index(fields=["-id"], name="proposal_open", condition=Q(state=ProposalState.OPEN))]
        permissions = [("decide_proposal", "Can decide on proposed rules")]

    def __str__(self) -> str:
        return self.get_state_display()


class EmpowermentGap(models.Model):
    """One time somebody could not give what the rules give, for want of a right (R142)."""

    case = models.ForeignKey(Case, models.PROTECT, related_name="+", db_index=False)
    kind = models.CharField(_("what"), max_length=16, choices=GrantKind)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("who"), db_index=False
    )
    at = models.DateTimeField(_("when"))

    class Meta:
        verbose_name = _("empowerment gap")
        verbose_name_plural = _("empowerment gaps")
        indexes = [models.Index(fields=["-at", "-id"], name="empowerment_gap_newest")]

    def __str__(self) -> str:
        return self.get_kind_display()


class LedgerWeek(models.Model):
    """What was owed and what was given in the cases that ended in one week, by first channel and owner (R065)."""

    week = models.DateField(_("week"))  # its Monday, UTC
    channel = models.CharField(_("first channel"), max_length=16, choices=Channel)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("owner"), db_index=False
    )
    currency = models.CharField(_("currency"), max_length=3)
    cases = models.PositiveIntegerField(_("cases"))
    shorted = models.PositiveIntegerField(_("got less than was owed"))
    entitled = models.DecimalField(_("owed"), max_digits=14, decimal_places=2)
    delivered = models.DecimalField(_("given"), max_digits=14, decimal_places=2)

    class Meta:
        verbose_name = _("week of the ledger")
        verbose_name_plural = _("weeks of the ledger")
        constraints = [
            models.UniqueConstraint(
                fields=["week", "channel", "owner", "currency"], nulls_distinct=False, name="ledger_week_one_row"
            ),
            models.CheckConstraint(condition=Q(shorted__lte=F("cases")), name="ledger_week_shorted_of_cases"),
        ]

    def __str__(self) -> str:
        return f"{self.week} {self.channel}"
