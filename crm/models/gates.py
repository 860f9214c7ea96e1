"""What stops new programmes of kindness for the whole house; a hold stops outreach to one customer."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _


class Gate(models.Model):
    """A reason to begin nothing new: customers are not treated alike. Who places it takes it away."""

    key = models.CharField(max_length=80)  # who placed it and why, e.g. "parity"
    reason = models.CharField(_("reason"), max_length=300)
    since = models.DateTimeField(_("since"))
    until = models.DateTimeField(_("until"), null=True)

    class Meta:
        verbose_name = _("gate")
        verbose_name_plural = _("gates")
        constraints = [
            models.UniqueConstraint(fields=["key"], condition=Q(until=None), name="gate_once"),
            models.CheckConstraint(condition=Q(until=None) | Q(until__gte=F("since")), name="gate_ends_after_start"),
        ]

    def __str__(self) -> str:
        return self.reason
