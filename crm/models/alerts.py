"""What somebody has to be told at once."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from crm.models.talk import Conversation
from crm.policy import AlertKind


class Alert(models.Model):
    """One thing to look at, for one colleague or for every lead; `key` is unique, so the same thing is told once."""

    key = models.CharField(max_length=160)
    kind = models.CharField(_("what"), max_length=24, choices=AlertKind)
    to = models.ForeignKey(  # empty: every lead
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("for"), db_index=False
    )
    conversation = models.ForeignKey(Conversation, models.PROTECT, null=True, related_name="+", db_index=False)
    detail = models.JSONField(_("detail"), default=dict)  # ids, times and numbers; never what people wrote
    raised_at = models.DateTimeField(_("told"))
    seen_at = models.DateTimeField(_("seen"), null=True)
    seen_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("seen by"), db_index=False
    )

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        constraints = [
            models.UniqueConstraint(fields=["key"], name="alert_once"),
            models.CheckConstraint(
                condition=Q(seen_at__isnull=True, seen_by__isnull=True)
                | Q(seen_at__isnull=False, seen_by__isnull=False),
                name="alert_seen_by_somebody",
            ),
        ]
        indexes = [
            models.Index(fields=["to", "-id"], name="alert_unseen", condition=Q(seen_at__isnull=True)),
            models.Index(fields=["conversation", "-id"], name="alert_of_conversation"),
        ]

    def __str__(self) -> str:
        return self.get_kind_display()
