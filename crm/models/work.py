"""Work that is due: follow-ups of an event, and the periodic duties."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from crm.policy import WorkState


class WorkItem(models.Model):
    """One follow-up that must happen, written in the transaction of the event itself; gone when done."""

    key = models.CharField(max_length=160)  # lane, event and subject: a repeat adds nothing
    lane = models.CharField(_("lane"), max_length=24)
    event = models.CharField(_("after"), max_length=48)
    ref = models.CharField(_("about"), max_length=80)  # "interaction:<public id>"; facts are read when it is worked on
    due_at = models.DateTimeField(_("due"))
    state = models.CharField(_("state"), max_length=8, choices=WorkState, default=WorkState.READY)
    reason = models.CharField(_("reason"), max_length=300, blank=True)
    attempt = models.PositiveSmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)  # by the database's clock

    class Meta:
        verbose_name = _("work item")
        verbose_name_plural = _("work items")
        constraints = [
            # Not unique=True, which would bring a second index for LIKE.
            models.UniqueConstraint(fields=["key"], name="work_item_once"),
            models.CheckConstraint(
                condition=~Q(state=WorkState.PARKED) | ~Q(reason=""), name="work_item_parked_has_reason"
            ),
        ]
        indexes = [
            models.Index(
                fields=["lane", "due_at", "id"],
                name="work_item_due",
                condition=Q(state__in=[WorkState.READY, WorkState.CLAIMED]),
            ),
        ]
        permissions = [("retry_work", "Can retry parked work")]

    def __str__(self) -> str:
        return self.key


class DutyRun(models.Model):
    """The newest run of one periodic duty; a slot is claimed by compare-and-swap, so two beats do the work once."""

    name = models.CharField(_("duty"), max_length=64, primary_key=True)
    claimed_slot = models.DateTimeField(_("for"), null=True)
    finished_slot = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)  # by the database's clock
    finished_at = models.DateTimeField(_("last finished"), null=True)
    reason = models.CharField(_("trouble"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("duty")
        verbose_name_plural = _("duties")

    def __str__(self) -> str:
        return self.name
