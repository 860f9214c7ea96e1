"""What customers allowed and took back: one append-only ledger."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from crm.models.people import Customer


class ConsentState(models.TextChoices):
    GRANTED = "granted", _("granted")
    WITHDRAWN = "withdrawn", _("withdrawn")


class ConsentActor(models.TextChoices):
    CUSTOMER = "customer", _("the customer")
    STAFF = "staff", _("a colleague")


class Consent(models.Model):
    """One event of the consent ledger, append-only. The newest event of a purpose counts; no event means no."""

    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+")
    purpose = models.CharField(_("purpose"), max_length=24)
    state = models.CharField(_("state"), max_length=12, choices=ConsentState)
    actor = models.CharField(_("given by"), max_length=12, choices=ConsentActor)
    evidence = models.TextField(_("evidence"))
    at = models.DateTimeField(_("when"))

    class Meta:
        verbose_name = _("consent")
        verbose_name_plural = _("consents")
        constraints = [
            # Nobody can opt a customer in: a grant names the customer as its actor and carries evidence (N7, R056).
            models.CheckConstraint(
                condition=~Q(state=ConsentState.GRANTED) | Q(actor=ConsentActor.CUSTOMER),
                name="consent_granted_by_customer_only",
            ),
            models.CheckConstraint(condition=~Q(evidence=""), name="consent_has_evidence"),
        ]
        indexes = [models.Index(fields=["customer", "purpose", "-at", "-id"], name="consent_newest")]

    def __str__(self) -> str:
        return f"{self.purpose}: {self.get_state_display()}"
