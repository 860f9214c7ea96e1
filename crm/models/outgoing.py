"""Everything that leaves: one row per recipient and message, leased, handed over once, with its true state."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from crm.channels import Channel
from crm.models.channels import ChannelAccount
from crm.models.ids import uuid7
from crm.models.people import Customer
from crm.models.representatives import Representative
from crm.models.talk import Conversation, Interaction
from crm.policy import Delivery, MessageKind, OutgoingState
from crm.policy.outgoing import FOR_THEM_ALONE

UNSETTLED = [OutgoingState.CLAIMED, OutgoingState.HANDING]
STOPPED = [OutgoingState.HELD, OutgoingState.PARKED, OutgoingState.REFUSED, OutgoingState.UNKNOWN]


class OutgoingMessage(models.Model):
    """A message on its way to one recipient. `key` is unique: asking twice sends once."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    key = models.CharField(max_length=120, unique=True)
    kind = models.CharField(_("kind"), max_length=12, choices=MessageKind)
    purpose = models.CharField(max_length=24, blank=True)  # the consent purpose a gesture needs
    has_value = models.BooleanField(default=False)  # never repeated by a machine when its outcome is unknown
    channel = models.CharField(_("channel"), max_length=16, choices=Channel)
    address = models.CharField(_("to"), max_length=320)
    # Through which it leaves, where that is not mail or the app.
    account = models.ForeignKey(ChannelAccount, models.PROTECT, null=True, related_name="+", db_index=False)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+")
    conversation = models.ForeignKey(Conversation, models.PROTECT, null=True, related_name="outgoing")
    interaction = models.OneToOneField(Interaction, models.PROTECT, null=True, related_name="outgoing")
    # Who acts for the customer and gets this instead of them; asked once more in the moment it leaves (R089).
    representative = models.ForeignKey(Representative, models.PROTECT, null=True, related_name="+", db_index=False)
    signed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    meets = models.JSONField(default=list)  # kinds of promise that are kept once this is accepted for delivery
    concerns = models.CharField(max_length=80, blank=True)  # what to tell when accepted, e.g. "case:<public id>"
    subject = models.CharField(_("subject"), max_length=300)
    text = models.TextField(_("text"))
    html = models.TextField(blank=True)
    headers = models.JSONField(default=dict)
    created_at = models.DateTimeField(_("written"))
    send_after = models.DateTimeField(_("leaves after"))
    state = models.CharField(
        _("state"), max_length=12, choices=OutgoingState, default=OutgoingState.READY, editable=False
    )
    reason = models.CharField(_("reason"), max_length=300, blank=True, editable=False)
    attempt = models.PositiveSmallIntegerField(default=0, editable=False)
    failures = models.PositiveSmallIntegerField(default=0, editable=False)
    unknown_outcomes = models.PositiveSmallIntegerField(default=0, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)  # by the database's clock
    accepted_at = models.DateTimeField(_("accepted"), null=True, editable=False)
    # A message that leaves later is cancelled when the customer writes first (X14).
    stops_if_they_write = models.BooleanField(default=False, db_default=False, editable=False)
    # Whether its writer agreed that everybody can read it; compared once more with where it goes in the moment it leaves (P04).
    is_public = models.BooleanField(default=False, db_default=False, editable=False)
    provider_id = models.CharField(
        max_length=200, blank=True, default="", db_default="", editable=False
    )  # its id there
    delivery = models.CharField(
        _("delivery"), max_length=12, choices=Delivery, blank=True, default="", db_default="", editable=False
    )
    delivery_at = models.DateTimeField(_("delivery told for"), null=True, editable=False)
    delivery_reason = models.CharField(max_length=300, blank=True, default="", db_default="", editable=False)

    class Meta:
        verbose_name = _("outgoing message")
        verbose_name_plural = _("outgoing messages")
        constraints = [
            models.CheckConstraint(
                condition=~Q(state=OutgoingState.ACCEPTED) | Q(accepted_at__isnull=False),
                name="outgoing_accepted_has_time",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=UNSETTLED) | Q(lease_until__isnull=False), name="outgoing_claimed_has_lease"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=[OutgoingState.HELD, OutgoingState.PARKED, OutgoingState.REFUSED])
                | ~Q(reason=""),
                name="outgoing_stopped_has_reason",
            ),
            models.CheckConstraint(
                condition=~Q(kind__in=[MessageKind.ASK, MessageKind.GESTURE]) | ~Q(purpose=""),
                name="outgoing_with_a_yes_has_purpose",
            ),
            # Whoever gets words about their matter knows who wrote them and whom a reply reaches (R134).
            models.CheckConstraint(
                condition=~Q(kind=MessageKind.SERVICE) | Q(conversation__isnull=True) | Q(signed_by__isnull=False),
                name="outgoing_about_a_matter_is_signed",
            ),
        ]
        indexes = [
            models.Index(fields=["send_after", "id"], name="outgoing_ready", condition=Q(state=OutgoingState.READY)),
            models.Index(fields=["lease_until"], name="outgoing_leased", condition=Q(state__in=UNSETTLED)),
            models.Index(fields=["-created_at", "-id"], name="outgoing_newest"),
            models.Index(fields=["-id"], name="outgoing_stopped", condition=Q(state__in=STOPPED)),
            models.Index(
                fields=["address", "created_at"], name="outgoing_notices", condition=Q(kind=MessageKind.NOTICE)
            ),
            models.Index(fields=["provider_id"], name="outgoing_at_provider", condition=~Q(provider_id="")),
            models.Index(
                fields=["conversation"],
                name="outgoing_stops_if",
                condition=Q(stops_if_they_write=True, state=OutgoingState.READY),
            ),
        ]
        permissions = [("release_outgoing", "Can send held or parked messages again")]

    def __str__(self) -> str:
        return f"{self.subject} → {self.address}"

    @property
    def is_for_them_alone(self) -> bool:
        """Whether its words are for the customer's eyes only; no colleague reads them on any page."""
        return self.key.startswith(FOR_THEM_ALONE)

    @property
    def came_back(self) -> bool:
        """Whether the other side said after accepting it that it did not arrive, or that it was unwanted."""
        return self.delivery in (Delivery.BOUNCED, Delivery.COMPLAINED)
