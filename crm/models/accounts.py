"""What happens to an account: its address changes, and somebody shows that they are who the customer is."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from crm.models.people import ContactPoint
from crm.policy.accounts import TRIES


class AddressChange(models.Model):
    """An account got another e-mail address. Until `undo_until` whoever reads the old one can take it back."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    before = models.EmailField(_("address before"), max_length=320)
    after = models.EmailField(_("address after"), max_length=320)
    at = models.DateTimeField(_("changed"))
    undo_until = models.DateTimeField(_("can be taken back until"))
    undone_at = models.DateTimeField(_("taken back"), null=True)
    settled_at = models.DateTimeField(_("stands since"), null=True)

    class Meta:
        verbose_name = _("change of an account's address")
        verbose_name_plural = _("changes of accounts' addresses")
        constraints = [
            models.CheckConstraint(condition=~Q(before=F("after")), name="address_change_of_two"),
            models.CheckConstraint(condition=Q(undo_until__gt=F("at")), name="address_change_waits"),
            models.CheckConstraint(
                condition=Q(undone_at=None) | Q(settled_at=None), name="address_change_undone_or_stands"
            ),
            models.CheckConstraint(
                condition=Q(settled_at=None) | Q(settled_at__gte=F("undo_until")), name="address_change_settles_late"
            ),
        ]
        indexes = [
            models.Index(fields=["user", "-id"], name="address_change_of_user"),
            models.Index(
                fields=["undo_until"], name="address_change_open", condition=Q(undone_at=None, settled_at=None)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.before} → {self.after}"


class SecondProof(models.Model):
    """A code on its way to another proved address of a customer; who types it in has that address, too."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    contact_point = models.ForeignKey(ContactPoint, models.PROTECT, related_name="+", db_index=False)
    digest = models.CharField(max_length=64)  # of the code, keyed; the code itself stands in the letter alone
    at = models.DateTimeField(_("sent"))
    tries = models.PositiveSmallIntegerField(default=0)
    used_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("code to another address")
        verbose_name_plural = _("codes to other addresses")
        constraints = [
            models.CheckConstraint(condition=Q(tries__lte=TRIES), name="second_proof_tries"),
            models.CheckConstraint(condition=Q(used_at=None) | Q(used_at__gte=F("at")), name="second_proof_used_later"),
        ]
        indexes = [models.Index(fields=["user", "-id"], name="second_proof_of_user")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.at:%Y-%m-%d %H:%M}"
