"""Cases of different customers that are about the same thing."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from recovery.models.cases import Case


class CaseLink(models.Model):
    """Two customers refer to each other's case, so outcomes are compared (R088). Neither learns of the other by it."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    one = models.ForeignKey(Case, models.PROTECT, related_name="+", db_index=False)  # the earlier case of the two
    other = models.ForeignKey(Case, models.PROTECT, related_name="+", db_index=False)
    because = models.CharField(_("why"), max_length=300)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    at = models.DateTimeField(_("linked"))
    ended_at = models.DateTimeField(_("parted"), null=True)
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False)

    class Meta:
        verbose_name = _("link of two cases")
        verbose_name_plural = _("links of two cases")
        constraints = [
            models.UniqueConstraint(fields=["one", "other"], condition=Q(ended_at__isnull=True), name="case_link_once"),
            models.CheckConstraint(condition=Q(one__lt=F("other")), name="case_link_of_two_in_order"),
            models.CheckConstraint(condition=~Q(because=""), name="case_link_has_reason"),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, ended_by__isnull=True)
                | Q(ended_at__gte=F("at"), ended_by__isnull=False),
                name="case_link_ended_by_somebody",
            ),
        ]
        indexes = [
            models.Index(fields=["one", "-id"], name="case_link_of_one", condition=Q(ended_at__isnull=True)),
            models.Index(fields=["other", "-id"], name="case_link_of_other", condition=Q(ended_at__isnull=True)),
            models.Index(fields=["id"], name="case_link_stands", condition=Q(ended_at__isnull=True)),
        ]
        permissions = [("link_cases", "Can link cases of different customers and part them again")]

    def __str__(self) -> str:
        return f"{self.one_id} ~ {self.other_id}"

    @property
    def both(self) -> tuple[int, int]:
        """The keys of the two cases, the earlier one first."""
        return self.one_id, self.other_id
