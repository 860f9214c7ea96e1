"""Acts to a customer's disadvantage: who prepared them, why, and who confirmed that speech had nothing to do with it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from crm.models.people import Customer
from crm.policy import AdverseKind, AdverseState


class AdverseAct(models.Model):
    """One act to a customer's disadvantage, kept whatever becomes of it (R074)."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+", db_index=False)
    kind = models.CharField(_("what"), max_length=16, choices=AdverseKind)
    reason = models.TextField(_("reason"))
    state = models.CharField(
        _("state"), max_length=12, choices=AdverseState, default=AdverseState.PREPARED, editable=False
    )
    spoke_publicly_at = models.DateTimeField(_("spoke about us in public"), null=True)  # the newest within 180 days
    prepared_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("prepared by"), db_index=False
    )
    prepared_at = models.DateTimeField(_("prepared"))
    confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("confirmed by"),
        db_index=False,
    )
    confirmed_at = models.DateTimeField(_("confirmed"), null=True)
    unrelated_because = models.TextField(_("why it has nothing to do with what they said"), blank=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("ended by"),
        db_index=False,
    )
    ended_at = models.DateTimeField(_("in effect or dropped"), null=True)

    class Meta:
        verbose_name = _("act to a customer's disadvantage")
        verbose_name_plural = _("acts to customers' disadvantage")
        constraints = [
            models.CheckConstraint(condition=~Q(reason=""), name="adverse_has_reason"),
            models.CheckConstraint(
                condition=Q(confirmed_by__isnull=True, confirmed_at__isnull=True, unrelated_because="")
                | (Q(confirmed_by__isnull=False, confirmed_at__isnull=False) & ~Q(unrelated_because="")),
                name="adverse_confirmed_with_reason",
            ),
            models.CheckConstraint(
                condition=Q(confirmed_by__isnull=True) | ~Q(confirmed_by=F("prepared_by")),
                name="adverse_confirmed_by_another",
            ),
            models.CheckConstraint(
                condition=~Q(state=AdverseState.IN_EFFECT)
                | Q(spoke_publicly_at__isnull=True)
                | Q(confirmed_at__isnull=False, confirmed_at__gte=F("spoke_publicly_at")),
                name="adverse_after_speech_needs_second_person",
            ),
            models.CheckConstraint(
                condition=~Q(state=AdverseState.CONFIRMED) | Q(confirmed_at__isnull=False),
                name="adverse_confirmed_has_time",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=[AdverseState.IN_EFFECT, AdverseState.DROPPED])
                | Q(ended_by__isnull=False, ended_at__isnull=False),
                name="adverse_ended_by_somebody",
            ),
        ]
        indexes = [models.Index(fields=["customer", "-id"], name="adverse_of_customer")]
        permissions = [
            ("prepare_adverse", "Can prepare acts to a customer's disadvantage"),
            ("confirm_adverse", "Can confirm acts to a customer's disadvantage"),
        ]

    def __str__(self) -> str:
        return self.get_kind_display()
