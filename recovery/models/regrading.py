"""Matters that are graded again without a word of how they came, and what was found; gradings are written once."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from crm.channels import Channel
from crm.models import Conversation
from crm.models.ids import uuid7
from recovery.models.cases import Decision
from recovery.policy import FEWEST_POINTS, MOST_POINTS, Outcome, RegradeKind, Severity, SkipReason


def _points(name: str) -> Q:
    return Q(**{f"{name}__gte": FEWEST_POINTS, f"{name}__lte": MOST_POINTS})


class Regrade(models.Model):
    """One matter that was drawn. Whoever takes it on sees its words without what tells the channel (R005, R010, R111)."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    conversation = models.OneToOneField(Conversation, models.PROTECT, related_name="+")
    kind = models.CharField(_("asked"), max_length=12, choices=RegradeKind)
    looks_at = models.ForeignKey(  # the grading that is compared; of cases only
        Decision, models.PROTECT, null=True, related_name="+", db_index=False
    )
    drawn_at = models.DateTimeField(_("drawn"))
    taken_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("graded by"),
        db_index=False,
    )
    taken_at = models.DateTimeField(_("taken on"), null=True)
    done_at = models.DateTimeField(_("graded again"), null=True)
    guess = models.CharField(  # asked at the end, to know whether the veil held
        _("guessed channel"), max_length=16, choices=Channel, blank=True, default=""
    )

    class Meta:
        verbose_name = _("matter to grade again")
        verbose_name_plural = _("matters to grade again")
        constraints = [
            models.UniqueConstraint(
                fields=["taken_by"],
                condition=Q(done_at__isnull=True, taken_by__isnull=False),
                name="regrade_one_each",
            ),
            models.CheckConstraint(
                condition=Q(kind=RegradeKind.CASE) ^ Q(looks_at__isnull=True), name="regrade_of_a_case_has_a_grading"
            ),
            models.CheckConstraint(
                condition=Q(taken_by__isnull=True, taken_at__isnull=True, done_at__isnull=True)
                | Q(taken_by__isnull=False, taken_at__isnull=False),
                name="regrade_done_by_somebody",
            ),
        ]
        indexes = [
            models.Index(fields=["id"], name="regrade_waits", condition=Q(done_at__isnull=True)),
            models.Index(fields=["-done_at", "-id"], name="regrade_done", condition=Q(done_at__isnull=False)),
        ]
        permissions = [("grade_again", "Can grade matters again without knowing how they came")]

    def __str__(self) -> str:
        return str(_("Grading %(number)s")) % {"number": self.pk}


class Grading(models.Model):
    """What a colleague found who had no part in it, beside the first grading; append-only.

    The differences are the first grading less this one, in steps; below 0, the customer was graded too low at first.
    """

    regrade = models.OneToOneField(Regrade, models.PROTECT, related_name="grading")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    at = models.DateTimeField(_("graded"))
    facts = models.JSONField(_("facts"), null=True)
    severity_first = models.CharField(_("severity at first"), max_length=8, choices=Severity, blank=True)
    severity = models.CharField(_("severity"), max_length=8, choices=Severity, blank=True)
    severity_difference = models.SmallIntegerField(_("difference in severity"), null=True)
    merit_first = models.CharField(_("outcome at first"), max_length=16, choices=Outcome, blank=True)
    merit = models.CharField(_("who was right"), max_length=16, choices=Outcome, blank=True)
    merit_difference = models.SmallIntegerField(_("difference in who was right"), null=True)
    would_answer = models.BooleanField(_("should have been answered"), null=True)

    class Meta:
        verbose_name = _("grading")
        verbose_name_plural = _("gradings")
        constraints = [
            models.CheckConstraint(
                condition=Q(would_answer__isnull=False, facts__isnull=True, severity="", merit="")
                | (Q(would_answer__isnull=True, facts__isnull=False) & ~Q(severity="") & ~Q(merit="")),
                name="grading_of_a_case_or_a_dismissal",
            )
        ]

    def __str__(self) -> str:
        return self.severity or self.merit


class MannerSheet(models.Model):
    """How we answered, scored by a colleague who had no part in it and does not know the channel; append-only (R111)."""

    regrade = models.OneToOneField(Regrade, models.PROTECT, related_name="manner")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    at = models.DateTimeField(_("scored"))
    friendly = models.PositiveSmallIntegerField(_("customer-friendly"))
    helpful = models.PositiveSmallIntegerField(_("naturally helpful"))
    sympathetic = models.PositiveSmallIntegerField(_("sympathetic"))

    class Meta:
        verbose_name = _("manner sheet")
        verbose_name_plural = _("manner sheets")
        constraints = [
            models.CheckConstraint(condition=_points(name), name=f"manner_{name}_points")
            for name in ("friendly", "helpful", "sympathetic")
        ]

    def __str__(self) -> str:
        return f"{self.friendly} · {self.helpful} · {self.sympathetic}"


class RegradeSkip(models.Model):
    """That a colleague left a matter to another, and why; it stays drawn, so that nobody can pass over what they dislike."""

    regrade = models.ForeignKey(Regrade, models.PROTECT, related_name="skips", db_index=False)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    reason = models.CharField(_("reason"), max_length=12, choices=SkipReason)
    at = models.DateTimeField(_("left to another"))

    class Meta:
        verbose_name = _("matter left to another")
        verbose_name_plural = _("matters left to another")
        constraints = [models.UniqueConstraint(fields=["regrade", "by"], name="regrade_skipped_once_each")]

    def __str__(self) -> str:
        return self.get_reason_display()
