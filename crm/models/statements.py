"""What is owed in a matter as far as crm knows it, and what we told a customer to be otherwise than we had said before."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from crm.models.talk import Conversation, Interaction


class Owed(models.Model):
    """What the newest decision owes in a conversation; whoever decides writes it here, every answer is compared with it."""

    conversation = models.OneToOneField(Conversation, models.PROTECT, related_name="+")
    amount = models.DecimalField(_("amount"), max_digits=12, decimal_places=2, default=Decimal(0))
    currency = models.CharField(_("currency"), max_length=3)  # ISO 4217
    acts = models.JSONField(_("owed acts"), default=list)  # "refund", "repair_or_replace", "reverse"
    given_by = models.CharField(_("decided by"), max_length=80)  # "decision:7"
    at = models.DateTimeField(_("since"))

    class Meta:
        verbose_name = _("what is owed")
        verbose_name_plural = _("what is owed")
        constraints = [models.CheckConstraint(condition=Q(amount__gte=0), name="owed_not_negative")]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


class Correction(models.Model):
    """One answer that is otherwise than an earlier one, and why: which of the two holds was said by a person (R082).

    Where the customer is worse off than they were told, they read the reason in the same message.
    """

    interaction = models.OneToOneField(Interaction, models.PROTECT, related_name="+")
    earlier = models.TextField(_("what was said before"))
    reason = models.TextField(_("reason told to the customer"))
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("who"))
    at = models.DateTimeField(_("when"))

    class Meta:
        verbose_name = _("correction")
        verbose_name_plural = _("corrections")
        constraints = [models.CheckConstraint(condition=~Q(reason=""), name="correction_has_reason")]

    def __str__(self) -> str:
        return self.reason[:80]
