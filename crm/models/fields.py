"""Fields that a house adds of its own to customers and cases. No decision reads them."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import JSONField, Q, Value
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from crm.policy.fields import FieldKind, FieldOf, FieldRule


class SeenBy(models.TextChoices):
    STAFF = "staff", _("colleagues only")
    CUSTOMER = "customer", _("also the customer, in the app")


class CustomFieldQuerySet(models.QuerySet["CustomField"]):
    def in_use(self, of: str) -> CustomFieldQuerySet:
        """The fields of customers or cases, in the order in which pages show them."""
        return self.filter(of=of, is_active=True).order_by("place", "pk")

    def told_to(self, *, staff: bool) -> CustomFieldQuerySet:
        """Those that this reader may see."""
        return self if staff else self.filter(seen_by=SeenBy.CUSTOMER)


class CustomField(models.Model):
    """One field of the house's own. What it holds stands in the row it is about, in `custom`, by its code."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    of = models.CharField(_("of"), max_length=8, choices=FieldOf)
    code = models.CharField(_("code"), max_length=40)  # never changes: it is the key of what is kept
    label = models.CharField(_("name"), max_length=80)
    kind = models.CharField(_("kind"), max_length=8, choices=FieldKind)  # never changes either
    choices = ArrayField(models.CharField(max_length=80), default=list, verbose_name=_("choices"))
    help = models.CharField(_("what it is for"), max_length=300, blank=True)
    seen_by = models.CharField(_("seen by"), max_length=8, choices=SeenBy, default=SeenBy.STAFF)
    is_active = models.BooleanField(_("in use"), default=True)
    place = models.PositiveSmallIntegerField(_("place"), default=0)
    created_at = models.DateTimeField(_("since"))

    objects = CustomFieldQuerySet.as_manager()

    class Meta:
        verbose_name = _("field of our own")
        verbose_name_plural = _("fields of our own")
        constraints = [
            models.UniqueConstraint(fields=["of", "code"], name="custom_field_once"),
            models.CheckConstraint(condition=Q(code__regex=r"^[a-z][a-z0-9_]{0,39}$"), name="custom_field_code"),
            models.CheckConstraint(condition=~Q(label=""), name="custom_field_has_label"),
            models.CheckConstraint(
                condition=Q(kind=FieldKind.CHOICE) ^ Q(choices=[]), name="custom_field_choices_where_chosen"
            ),
        ]
        permissions = [("manage_customfield", "Can add, change and retire fields of the house's own")]

    def __str__(self) -> str:
        return self.label

    @property
    def rule(self) -> FieldRule:
        """What it takes, for the policy."""
        return FieldRule(self.code, self.label, FieldKind(self.kind), tuple(self.choices))


def custom_values() -> JSONField:
    """The column that holds what stands in a row's fields, by code."""
    return JSONField(
        _("fields of our own"), default=dict, db_default=Value({}, JSONField()), blank=True, editable=False
    )


def custom_index(name: str) -> GinIndex:
    """The index that finds rows by what stands in their fields. Rows without any are not in it, so intake never writes to it."""
    return GinIndex(fields=["custom"], name=name, opclasses=["jsonb_path_ops"], condition=~Q(custom={}))


def holds(values: dict[str, object]) -> Q:
    """The rows in whose fields all of these stand, in the words that the index knows."""
    return Q(custom__contains=values) & ~Q(custom={})
