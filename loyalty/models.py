"""What loyalty stores: programmes of kindness, and each gesture."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from crm.models import Customer, OutgoingMessage
from crm.models.ids import uuid7
from loyalty.policy import GestureState, Occasion


class Programme(models.Model):
    """A kind of kindness that can be switched on; who gets it follows from its occasion alone."""

    occasion = models.CharField(_("occasion"), max_length=16, choices=Occasion, unique=True)
    is_active = models.BooleanField(_("switched on"), default=False)
    public_rule = models.CharField(_("who gets it, in words one could publish"), max_length=300)

    class Meta:
        verbose_name = _("programme")
        verbose_name_plural = _("programmes")

    def __str__(self) -> str:
        return str(self.get_occasion_display())


class GestureQuerySet(models.QuerySet["Gesture"]):
    def due(self, at: datetime) -> GestureQuerySet:
        return self.filter(state=GestureState.PLANNED, send_at__lte=at)


class Gesture(models.Model):
    """One unprompted kindness to one customer. `key` is unique: the same occasion is celebrated once."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    key = models.CharField(max_length=80, unique=True, editable=False)
    programme = models.ForeignKey(Programme, models.PROTECT, related_name="+")
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+")
    occasion_on = models.DateField(_("for the day"))
    send_at = models.DateTimeField(_("leaves at"))
    state = models.CharField(
        _("state"), max_length=8, choices=GestureState, default=GestureState.PLANNED, editable=False
    )
    reason = models.CharField(_("reason"), max_length=120, blank=True, editable=False)
    message = models.OneToOneField(OutgoingMessage, models.PROTECT, null=True, editable=False, related_name="+")
    sent_at = models.DateTimeField(_("sent"), null=True, editable=False)

    objects = GestureQuerySet.as_manager()

    class Meta:
        verbose_name = _("gesture")
        verbose_name_plural = _("gestures")
        constraints = [
            models.CheckConstraint(
                condition=~Q(state=GestureState.SENT) | Q(sent_at__isnull=False), name="gesture_sent_has_time"
            ),
            models.CheckConstraint(
                condition=~Q(state=GestureState.DROPPED) | ~Q(reason=""), name="gesture_dropped_has_reason"
            ),
            models.CheckConstraint(
                condition=~Q(state=GestureState.QUEUED) | Q(message__isnull=False), name="gesture_queued_has_message"
            ),
        ]
        indexes = [
            models.Index(fields=["send_at", "id"], name="gesture_due", condition=Q(state=GestureState.PLANNED)),
            models.Index(fields=["-id"], name="gesture_newest"),
        ]

    def __str__(self) -> str:
        return self.key
