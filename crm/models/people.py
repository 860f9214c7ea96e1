"""Who the customer is, and how to reach them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.postgres.expressions import ArraySubquery
from django.db import models
from django.db.models import OuterRef, Q
from django.utils.translation import gettext_lazy as _

from crm.models.fields import custom_index, custom_values
from crm.models.ids import uuid7

if TYPE_CHECKING:
    from crm.models.staff import User


class CustomerStatus(models.TextChoices):
    ACTIVE = "active", _("active")
    CLOSED = "closed", _("closed")
    DECEASED = "deceased", _("deceased")
    ERASED = "erased", _("erased")
    MERGED = "merged", _("one with another customer")
    TAKEN_BACK = "taken_back", _("brought in by mistake")


class CustomerQuerySet(models.QuerySet["Customer"]):
    def visible_to(self, user: User) -> CustomerQuerySet:
        """Customers this account may see: colleagues with the right see all, a customer sees themselves."""
        if user.is_staff and user.has_perm("crm.view_customer"):
            return self
        return self.filter(pk=user.customer_id) if user.customer_id else self.none()

    def with_records(self) -> CustomerQuerySet:
        """With `record_keys`: the keys of other records that are one with each customer."""
        others = Customer.objects.filter(merged_into=OuterRef("pk")).order_by("pk").values("pk")
        return self.annotate(record_keys=ArraySubquery(others))


class Customer(models.Model):
    """A person, or somebody acting for an organisation, who addressed us. No field for reach, influence or worth."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    display_name = models.CharField(_("name"), max_length=200, blank=True)
    language = models.CharField(_("language"), max_length=16, blank=True)
    zone = models.CharField(_("time zone"), max_length=64, blank=True)
    # Whose service calendar counts; stated by the customer or a colleague, never told from how somebody reached us.
    region = models.CharField(_("region"), max_length=40, blank=True)
    status = models.CharField(_("status"), max_length=16, choices=CustomerStatus, default=CustomerStatus.ACTIVE)
    created_at = models.DateTimeField(_("known since"))
    custom = custom_values()
    # Whose record this one is part of, since a person found that both are one; never a chain (docs/adr/0029).
    merged_into = models.ForeignKey("self", models.PROTECT, null=True, related_name="+", editable=False, db_index=False)
    # From whose record this one was parted; what is given once a person counts over both (G19).
    parted_from = models.ForeignKey("self", models.PROTECT, null=True, related_name="+", editable=False, db_index=False)

    objects = CustomerQuerySet.as_manager()

    class Meta:
        verbose_name = _("customer")
        verbose_name_plural = _("customers")
        constraints = [
            models.CheckConstraint(
                condition=Q(merged_into=None) ^ Q(status=CustomerStatus.MERGED), name="customer_merged_into_somebody"
            ),
            models.CheckConstraint(
                condition=~Q(merged_into=models.F("id")) & ~Q(parted_from=models.F("id")),
                name="customer_is_not_another",
            ),
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="customer_newest"),
            custom_index("customer_custom"),
            models.Index(fields=["merged_into"], name="customer_merged", condition=Q(merged_into__isnull=False)),
            models.Index(fields=["parted_from"], name="customer_parted", condition=Q(parted_from__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.display_name or str(_("Customer %(number)s")) % {"number": self.pk}


class ContactKind(models.TextChoices):
    EMAIL = "email", _("e-mail address")
    PHONE = "phone", _("phone number")
    HANDLE = "handle", _("account name")
    APP = "app", _("app")
    DEVICE = "device", _("device")
    POSTAL = "postal", _("postal address")
    KEY = "key", _("key of a file")  # only its fingerprint is kept


class ContactPoint(models.Model):
    """One way to reach a customer; the same address belongs to one customer at a time."""

    customer = models.ForeignKey(Customer, models.PROTECT, related_name="contact_points")
    kind = models.CharField(_("kind"), max_length=8, choices=ContactKind)
    address = models.CharField(_("address"), max_length=320)  # normalised: lower case, E.164, provider account id
    verified_at = models.DateTimeField(_("proved on"), null=True, blank=True)
    unlinked_at = models.DateTimeField(_("taken away on"), null=True, blank=True)
    # Since when it is doubtful that anything reaches them there, and why: a mail came back for good (X4).
    unconfirmed_since = models.DateTimeField(_("unconfirmed since"), null=True, editable=False)
    unconfirmed_because = models.CharField(
        _("why unconfirmed"), max_length=300, blank=True, default="", db_default="", editable=False
    )
    created_at = models.DateTimeField(_("known since"))

    class Meta:
        verbose_name = _("contact point")
        verbose_name_plural = _("contact points")
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "address"], condition=Q(unlinked_at__isnull=True), name="contact_point_one_customer"
            ),
            models.CheckConstraint(condition=~Q(address=""), name="contact_point_has_address"),
            models.CheckConstraint(
                condition=Q(unconfirmed_since=None) | ~Q(unconfirmed_because=""),
                name="contact_point_unconfirmed_has_reason",
            ),
        ]

    def __str__(self) -> str:
        return self.address
