"""Waiting inside the house, as rows beside the conversation; the promises to the customer know nothing of it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from crm.models.talk import Conversation
from crm.policy import Department


class InternalWait(models.Model):
    """One stretch of time in which a matter waited for a department of ours or a supplier (R148)."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="+", db_index=False)
    department = models.CharField(_("waiting for"), max_length=12, choices=Department)
    since = models.DateTimeField(_("since"))
    begun_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("noted by"), db_index=False
    )
    until = models.DateTimeField(_("until"), null=True)
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False)

    class Meta:
        verbose_name = _("wait inside the house")
        verbose_name_plural = _("waits inside the house")
        constraints = [
            models.CheckConstraint(
                condition=Q(until__isnull=True, ended_by__isnull=True)
                | Q(until__gte=F("since"), ended_by__isnull=False),
                name="internal_wait_ends_after_start",
            ),
            models.UniqueConstraint(
                fields=["conversation", "department"],
                condition=Q(until__isnull=True),
                name="internal_wait_one_a_department",
            ),
        ]
        indexes = [
            models.Index(fields=["conversation", "-id"], name="internal_wait_of_conversation"),
            models.Index(fields=["since"], name="internal_wait_by_day"),
        ]

    def __str__(self) -> str:
        return self.get_department_display()
