"""What customers allowed and took back, the proof of each yes, and the addresses that want nothing but what is owed."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from crm.models.people import ContactPoint, Customer
from crm.policy.consent import Medium, Purpose
from crm.policy.ledger import DECISIVE, ConsentState, ProofDoor
from crm.policy.suppression import SuppressionReason, SuppressionScope


class ConsentActor(models.TextChoices):
    CUSTOMER = "customer", _("the customer")
    STAFF = "staff", _("a colleague")
    IMPORT = "import", _("a file")
    MERGE = "merge", _("two records that were made one")


class ConsentProof(models.Model):
    """That a customer said yes themselves: to which words, where and when. Append-only; the database looks whose it is."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+")
    purpose = models.CharField(_("purpose"), max_length=24, blank=True)  # "" when it only ends a pause
    medium = models.CharField(_("medium"), max_length=8, blank=True)
    words = models.TextField(_("words shown"))
    version = models.CharField(_("version of the words"), max_length=40)
    language = models.CharField(_("language"), max_length=16)
    door = models.CharField(_("where"), max_length=8, choices=ProofDoor)
    network = models.CharField(_("from the network"), max_length=50, blank=True)
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False, verbose_name=_("account")
    )
    contact_point = models.ForeignKey(
        ContactPoint, models.PROTECT, null=True, related_name="+", db_index=False, verbose_name=_("through the address")
    )
    at = models.DateTimeField(_("when"))

    class Meta:
        verbose_name = _("proof of a permission")
        verbose_name_plural = _("proofs of permissions")
        constraints = [
            models.CheckConstraint(
                condition=Q(words__regex=r"\S", version__regex=r"\S", language__regex=r"\S"),
                name="consent_proof_has_words",
            ),
            # Somewhere only the customer is: behind their account, or where mail or a message to them arrives.
            models.CheckConstraint(
                condition=Q(door=ProofDoor.APP, account__isnull=False)
                | (~Q(door=ProofDoor.APP) & Q(contact_point__isnull=False)),
                name="consent_proof_says_where",
            ),
        ]

    def __str__(self) -> str:
        return self.words


class ConsentQuerySet(models.QuerySet["Consent"]):
    def decisive(self) -> ConsentQuerySet:
        """The events that can count: a yes or a no."""
        return self.filter(state__in=DECISIVE)

    def counting(self) -> ConsentQuerySet:
        """Of each purpose and medium of one customer the newest yes or no."""
        newest = self.decisive().order_by("purpose", "medium", "-at", "-id")
        return newest.distinct("purpose", "medium")


class Consent(models.Model):
    """One event of the consent ledger, append-only. Of a purpose and a medium the newest yes or no counts; none means no."""

    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+")
    purpose = models.CharField(_("purpose"), max_length=24, choices=Purpose)
    medium = models.CharField(_("medium"), max_length=8, choices=Medium)
    state = models.CharField(_("state"), max_length=12, choices=ConsentState)
    actor = models.CharField(_("given by"), max_length=12, choices=ConsentActor)
    noted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        verbose_name=_("noted by"),
    )
    evidence = models.TextField(_("evidence"))
    proof = models.ForeignKey(ConsentProof, models.PROTECT, null=True, related_name="+", verbose_name=_("proof"))
    at = models.DateTimeField(_("when"))

    objects = ConsentQuerySet.as_manager()

    class Meta:
        verbose_name = _("consent")
        verbose_name_plural = _("consents")
        constraints = [
            # Nobody can opt a customer in (N7, R056); whose the proof is, a trigger looks at.
            models.CheckConstraint(
                condition=~Q(state=ConsentState.GRANTED) | Q(actor=ConsentActor.CUSTOMER),
                name="consent_granted_by_customer_only",
            ),
            models.CheckConstraint(
                condition=Q(state=ConsentState.GRANTED, proof__isnull=False)
                | (~Q(state=ConsentState.GRANTED) & Q(proof__isnull=True)),
                name="consent_granted_has_proof",
            ),
            models.CheckConstraint(
                condition=~Q(actor=ConsentActor.IMPORT) | Q(state=ConsentState.UNKNOWN),
                name="consent_import_brings_unknown",
            ),
            models.CheckConstraint(
                condition=Q(purpose__in=Purpose.values, medium__in=Medium.values), name="consent_is_for_something_known"
            ),
            models.CheckConstraint(condition=~Q(evidence=""), name="consent_has_evidence"),
        ]
        indexes = [models.Index(fields=["customer", "purpose", "medium", "-at", "-id"], name="consent_counting")]

    def __str__(self) -> str:
        return f"{self.purpose}/{self.medium}: {self.get_state_display()}"

    @property
    def allows(self) -> bool:
        """Whether this event is a yes with the customer's own proof."""
        return self.state == ConsentState.GRANTED and self.proof_id is not None


class ConsentQuestion(models.Model):
    """A question mailed to a customer, whose yes counts when they press it on the page it leads to (double opt-in)."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+")
    purpose = models.CharField(_("purpose"), max_length=24, choices=Purpose)
    medium = models.CharField(_("medium"), max_length=8, choices=Medium)
    contact_point = models.ForeignKey(ContactPoint, models.PROTECT, related_name="+", verbose_name=_("to"))
    key = models.CharField(max_length=64, editable=False)  # the address, as suppressions know it
    evidence = models.TextField(_("why we ask"))
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False)
    asked_at = models.DateTimeField(_("asked"))
    asked_on = models.DateField(_("asked on"))  # in UTC
    until = models.DateTimeField(_("can be answered until"))
    ended_at = models.DateTimeField(_("ended"), null=True)
    answer = models.CharField(_("answer"), max_length=12, choices=ConsentState, blank=True)  # "": never answered

    class Meta:
        verbose_name = _("question about a permission")
        verbose_name_plural = _("questions about permissions")
        constraints = [
            # W05: one a day and address, and none while one stands.
            models.UniqueConstraint(fields=["key", "asked_on"], name="consent_question_one_a_day"),
            models.UniqueConstraint(
                fields=["key"], condition=Q(ended_at__isnull=True), name="consent_question_one_at_a_time"
            ),
            models.CheckConstraint(
                condition=Q(answer="") | Q(answer__in=DECISIVE, ended_at__isnull=False),
                name="consent_question_answer_has_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.purpose}/{self.medium}"


class SuppressionQuerySet(models.QuerySet["Suppression"]):
    def active(self, at: datetime) -> SuppressionQuerySet:
        return self.filter(Q(until__isnull=True) | Q(until__gt=at), lifted_at__isnull=True, starts_at__lte=at)


class Suppression(models.Model):
    """An address that gets nothing of a scope, whoever has it and whatever they allowed. Knows no customer and no address.

    `key` is the address under a secret key; so it outlasts erasure, and the same address is recognised when it comes again (P10).
    """

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    key = models.CharField(max_length=64, editable=False)
    scope = models.CharField(_("stops"), max_length=16, choices=SuppressionScope)
    reason = models.CharField(_("reason"), max_length=16, choices=SuppressionReason)
    starts_at = models.DateTimeField(_("from"))
    until = models.DateTimeField(_("until"), null=True)
    lifted_at = models.DateTimeField(_("ended by them"), null=True)
    lifted_by = models.UUIDField(
        null=True, editable=False
    )  # the public id of their proof; no relation, so that it outlasts it

    objects = SuppressionQuerySet.as_manager()

    class Meta:
        verbose_name = _("suppression")
        verbose_name_plural = _("suppressions")
        constraints = [
            models.CheckConstraint(condition=Q(key__regex=r"^[0-9a-f]{64}$"), name="suppression_key_is_a_digest"),
            models.CheckConstraint(
                condition=Q(scope__in=SuppressionScope.values, reason__in=SuppressionReason.values),
                name="suppression_is_of_something_known",
            ),
            models.CheckConstraint(
                condition=Q(until__isnull=True) | Q(until__gt=models.F("starts_at")),
                name="suppression_ends_after_start",
            ),
            models.CheckConstraint(
                condition=Q(lifted_at__isnull=True, lifted_by__isnull=True)
                | Q(lifted_at__isnull=False, lifted_by__isnull=False),
                name="suppression_lifted_by_a_proof",
            ),
            models.UniqueConstraint(
                fields=["key", "scope", "reason"],
                condition=Q(lifted_at__isnull=True, until__isnull=True),
                name="suppression_once",
            ),
        ]
        indexes = [models.Index(fields=["key"], name="suppression_standing", condition=Q(lifted_at__isnull=True))]

    def __str__(self) -> str:
        return f"{self.get_scope_display()}: {self.get_reason_display()}"
