"""The one history: who did what to whom, when, from where. Written by crm/history.py, never changed."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from crm.models.people import Customer


class HistoryEntry(models.Model):
    """One thing that happened. A trigger refuses to change or delete it."""

    customer = models.ForeignKey(Customer, models.PROTECT, null=True, related_name="+", db_index=False)
    verb = models.CharField(_("what"), max_length=48)  # "case.resolved"
    ref = models.CharField(_("about"), max_length=80, blank=True)  # "case:<public id>"
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("who"))
    origin = models.CharField(_("from where"), max_length=24)  # "admin", "api", "mail", "worker" …
    at = models.DateTimeField(_("when"))
    detail = models.JSONField(_("detail"), default=dict)  # ids, states before and after; never what people wrote

    class Meta:
        verbose_name = _("history entry")
        verbose_name_plural = _("history")
        indexes = [
            models.Index(fields=["customer", "-at", "-id"], name="history_of_customer"),
            models.Index(fields=["ref", "-id"], name="history_of_ref"),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.ref}"
