"""Changes of a customer's service, and the undoing of those that they did not ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from crm.models.outgoing import OutgoingMessage
from crm.models.people import Customer
from crm.models.talk import Conversation, Interaction
from crm.policy.service_changes import Every, ReversalState

if TYPE_CHECKING:
    from crm.models.staff import User

UNREQUESTED = Q(asked_in__isnull=True, asked_account__isnull=True)


class ServiceChangeQuerySet(models.QuerySet["ServiceChange"]):
    def unrequested(self) -> ServiceChangeQuerySet:
        return self.filter(UNREQUESTED)

    def visible_to(self, user: User) -> ServiceChangeQuerySet:
        """Changes this account may see: colleagues with the right see all, nobody else any."""
        return self if user.is_staff and user.has_perm("crm.view_servicechange") else self.none()


class ServiceChange(models.Model):
    """What was changed for a customer, by whom, and their own request for it. Without one it opens its own undoing (R049)."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+", db_index=False)
    # The matter in which one that nobody asked for is put back.
    conversation = models.OneToOneField(Conversation, models.PROTECT, null=True, related_name="+")
    system = models.CharField(_("system"), max_length=60)  # which program recorded it
    key = models.CharField(_("key there"), max_length=120)
    code = models.CharField(_("what kind"), max_length=40)  # their code, such as "tariff"
    changed_from = models.CharField(_("until then"), max_length=300, blank=True)
    changed_to = models.CharField(_("changed to"), max_length=300)
    effective_at = models.DateTimeField(_("in effect from"))
    cost = models.DecimalField(_("costs more"), max_digits=12, decimal_places=3, null=True)
    currency = models.CharField(max_length=3, blank=True)  # ISO 4217
    every = models.CharField(_("how often"), max_length=8, choices=Every, blank=True)
    # The customer's own request: what they wrote or said to us, or their account in the app.
    asked_in = models.ForeignKey(Interaction, models.PROTECT, null=True, related_name="+", db_index=False)
    asked_account = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False
    )
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("recorded by"))
    at = models.DateTimeField(_("recorded"))

    objects = ServiceChangeQuerySet.as_manager()

    class Meta:
        verbose_name = _("change of a service")
        verbose_name_plural = _("changes of services")
        constraints = [
            models.UniqueConstraint(fields=["system", "key"], name="service_change_once"),
            models.CheckConstraint(
                condition=~Q(system="") & ~Q(key="") & ~Q(code="") & ~Q(changed_to=""), name="service_change_says_what"
            ),
            models.CheckConstraint(
                condition=Q(cost__isnull=True, currency="", every="")
                | (Q(cost__gt=0) & ~Q(currency="") & ~Q(every="")),
                name="service_change_cost_whole",
            ),
            models.CheckConstraint(
                condition=Q(asked_in__isnull=True) | Q(asked_account__isnull=True), name="service_change_one_request"
            ),
            models.CheckConstraint(
                condition=~UNREQUESTED | Q(conversation__isnull=False), name="service_change_unrequested_has_matter"
            ),
        ]
        indexes = [
            models.Index(fields=["customer", "-id"], name="service_change_of_customer"),
            models.Index(fields=["at"], name="service_change_unrequested", condition=UNREQUESTED),
        ]
        permissions = [("record_service_change", "Can record what was changed for a customer")]

    def __str__(self) -> str:
        return self.changed_to

    @property
    def is_requested(self) -> bool:
        """Whether it rests on the customer's own request."""
        return self.asked_in_id is not None or self.asked_account_id is not None


class Reversal(models.Model):
    """The undoing of one change that the customer did not ask for. Only they can say that it stays."""

    change = models.OneToOneField(ServiceChange, models.PROTECT, related_name="reversal")
    state = models.CharField(
        _("state"), max_length=12, choices=ReversalState, default=ReversalState.OPEN, editable=False
    )
    due_at = models.DateTimeField(_("put back by"))
    ended_at = models.DateTimeField(_("ended"), null=True)
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False)
    by_customer = models.BooleanField(_("by the customer"), default=False)
    proof = models.CharField(_("the customer's own word"), max_length=300, blank=True)
    owed = models.DecimalField(_("charged until then"), max_digits=12, decimal_places=3, default=0)
    by_hand = models.CharField(_("how they were told otherwise"), max_length=300, blank=True)
    told = models.OneToOneField(OutgoingMessage, models.PROTECT, null=True, related_name="+")
    confirmed = models.OneToOneField(OutgoingMessage, models.PROTECT, null=True, related_name="+")

    class Meta:
        verbose_name = _("undoing of a change")
        verbose_name_plural = _("undoings of changes")
        constraints = [
            models.CheckConstraint(
                condition=Q(state=ReversalState.OPEN, ended_at__isnull=True, ended_by__isnull=True, by_customer=False)
                | (
                    ~Q(state=ReversalState.OPEN)
                    & Q(ended_at__isnull=False)
                    & (
                        Q(ended_by__isnull=True, by_customer=True) & ~Q(proof="")
                        | Q(ended_by__isnull=False, by_customer=False)
                    )
                ),
                name="reversal_ended_by_somebody",
            ),
            models.CheckConstraint(
                condition=~Q(state=ReversalState.KEPT) | Q(by_customer=True), name="reversal_kept_by_the_customer_alone"
            ),
            models.CheckConstraint(condition=Q(owed__gte=0), name="reversal_owed_not_negative"),
            models.CheckConstraint(
                condition=~Q(state=ReversalState.OPEN) | Q(owed=0, confirmed__isnull=True, by_hand=""),
                name="reversal_open_is_bare",
            ),
        ]
        indexes = [
            models.Index(fields=["due_at", "id"], name="reversal_open", condition=Q(state=ReversalState.OPEN)),
            models.Index(fields=["-ended_at", "-id"], name="reversal_ended", condition=~Q(state=ReversalState.OPEN)),
        ]

    def __str__(self) -> str:
        return self.get_state_display()
