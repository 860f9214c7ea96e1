"""Customers who share a home, as they told us; for what must stop in a home, and what it is not given twice (R168, N10)."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from crm.models.people import Customer


class Household(models.Model):
    """A home. It has no name, no address and no size of its own: it is whoever belongs to it."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    noted_at = models.DateTimeField(_("noted"))

    class Meta:
        verbose_name = _("household")
        verbose_name_plural = _("households")

    def __str__(self) -> str:
        return str(_("Household %(number)s")) % {"number": self.pk}


class HouseholdMember(models.Model):
    """That a customer belongs to a home, because they said so; a colleague notes it, nothing is told from addresses.

    Somebody may have two homes. After two records were made one the same person may stand here twice, which says the same.
    """

    household = models.ForeignKey(Household, models.PROTECT, related_name="members", db_index=False)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+", db_index=False)
    because = models.CharField(_("how we know"), max_length=300)
    noted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    joined_at = models.DateTimeField(_("noted"))
    left_at = models.DateTimeField(_("left"), null=True, editable=False)
    left_noted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False, editable=False
    )
    left_because = models.CharField(max_length=300, blank=True, editable=False)
    was_mistake = models.BooleanField(default=False, editable=False)  # they never belonged to it

    class Meta:
        verbose_name = _("member of a household")
        verbose_name_plural = _("members of households")
        constraints = [
            models.CheckConstraint(condition=~Q(because=""), name="household_member_because"),
            models.CheckConstraint(
                condition=Q(left_at=None, left_noted_by=None, was_mistake=False)
                | (Q(left_at__isnull=False, left_noted_by__isnull=False) & ~Q(left_because="")),
                name="household_member_left_because",
            ),
        ]
        indexes = [
            models.Index(fields=["household", "id"], name="household_members"),
            models.Index(fields=["customer", "id"], name="household_of_customer"),
        ]

    def __str__(self) -> str:
        return f"{self.household_id}: {self.customer_id}"
