"""Second looks at a decision, by somebody who had no part in it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from recovery.models.cases import Case, Decision
from recovery.policy import Outcome, ReviewResult


class CaseReview(models.Model):
    """One second look: asked for, judged on the facts alone, ended in writing (R153, R005)."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    case = models.ForeignKey(Case, models.PROTECT, related_name="reviews", db_index=False)
    looks_at = models.ForeignKey(Decision, models.PROTECT, related_name="+", db_index=False)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("asked by"), db_index=False
    )
    asked_at = models.DateTimeField(_("asked"))
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("looked at by"),
        db_index=False,
    )
    merit = models.CharField(_("found on the facts alone"), max_length=16, choices=Outcome, blank=True)
    judged_at = models.DateTimeField(_("judged"), null=True)
    result = models.CharField(_("result"), max_length=8, choices=ReviewResult, blank=True)
    decision = models.ForeignKey(Decision, models.PROTECT, null=True, related_name="+", db_index=False)
    ended_at = models.DateTimeField(_("ended"), null=True)

    class Meta:
        verbose_name = _("second look")
        verbose_name_plural = _("second looks")
        constraints = [
            models.UniqueConstraint(fields=["case"], condition=Q(ended_at__isnull=True), name="review_one_at_a_time"),
            models.CheckConstraint(
                condition=Q(reviewer__isnull=True) | ~Q(reviewer=F("asked_by")), name="review_not_by_who_asked"
            ),
            models.CheckConstraint(
                condition=Q(merit="", judged_at__isnull=True)
                | (~Q(merit="") & Q(judged_at__isnull=False, reviewer__isnull=False)),
                name="review_judged_by_somebody",
            ),
            # The end comes after the judgement on the facts alone, never instead of it.
            models.CheckConstraint(
                condition=Q(result="", ended_at__isnull=True)
                | (~Q(result="") & Q(ended_at__isnull=False, judged_at__isnull=False)),
                name="review_ends_after_judgement",
            ),
            models.CheckConstraint(
                condition=~Q(result=ReviewResult.CHANGED) | Q(decision__isnull=False),
                name="review_changed_has_decision",
            ),
        ]
        indexes = [
            models.Index(fields=["case", "-id"], name="review_of_case"),
            models.Index(fields=["id"], name="review_open", condition=Q(ended_at__isnull=True)),
            models.Index(fields=["ended_at"], name="review_by_day", condition=Q(ended_at__isnull=False)),
        ]
        permissions = [("review_case", "Can look at decisions again")]

    def __str__(self) -> str:
        return str(_("Second look %(number)s")) % {"number": self.pk}
