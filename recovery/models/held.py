"""Steps in a case that wait for a second person, with what was known when they were asked for."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from recovery.models.cases import Case, Decision
from recovery.models.grants import Grant
from recovery.policy import HeldKind, HeldState


class HeldStep(models.Model):
    """One step that somebody asked for soon after reach was looked at: held, kept as it was asked for, decided by another (E01)."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    case = models.ForeignKey(Case, models.PROTECT, related_name="+", db_index=False)
    kind = models.CharField(_("what"), max_length=8, choices=HeldKind)
    key = models.CharField(max_length=90)  # the same thing asked for twice waits once
    wanted = models.JSONField(_("what was asked for"))  # facts, or what a grant is made of
    decision = models.ForeignKey(  # what counted then; once it is another one, this must be asked for anew
        Decision, models.PROTECT, related_name="+", verbose_name=_("what counted"), db_index=False
    )
    would_be = models.JSONField(_("what it would make of it"), default=dict)  # the entitlement; empty for a remedy
    looks = models.JSONField(_("looks at reach before it"))  # of each who, when, why
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("asked for by"), db_index=False
    )
    asked_at = models.DateTimeField(_("asked for"))
    state = models.CharField(_("state"), max_length=8, choices=HeldState, default=HeldState.HELD, editable=False)
    words = models.TextField(_("why"), blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("decided by"),
        db_index=False,
    )
    decided_at = models.DateTimeField(_("decided"), null=True)
    made = models.OneToOneField(Decision, models.PROTECT, null=True, related_name="+", verbose_name=_("decision"))
    given = models.OneToOneField(Grant, models.PROTECT, null=True, related_name="+", verbose_name=_("grant"))

    class Meta:
        verbose_name = _("step that waits for a second person")
        verbose_name_plural = _("steps that wait for a second person")
        constraints = [
            models.UniqueConstraint(
                fields=["case", "key"], condition=Q(state=HeldState.HELD), name="held_step_waits_once"
            ),
            models.CheckConstraint(
                condition=Q(state=HeldState.HELD, decided_by__isnull=True, decided_at__isnull=True)
                | (~Q(state=HeldState.HELD) & Q(decided_by__isnull=False, decided_at__isnull=False) & ~Q(words="")),
                name="held_step_decided_by_somebody_with_words",
            ),
            models.CheckConstraint(
                condition=Q(decided_by__isnull=True) | ~Q(decided_by=F("asked_by")), name="held_step_decided_by_another"
            ),
            models.CheckConstraint(
                condition=Q(state=HeldState.APPROVED, kind=HeldKind.FACTS, made__isnull=False, given__isnull=True)
                | Q(state=HeldState.APPROVED, kind=HeldKind.REMEDY, made__isnull=True, given__isnull=False)
                | (~Q(state=HeldState.APPROVED) & Q(made__isnull=True, given__isnull=True)),
                name="held_step_done_only_when_approved",
            ),
        ]
        indexes = [
            models.Index(fields=["case", "-id"], name="held_step_of_case"),
            models.Index(fields=["-asked_at", "-id"], name="held_step_newest"),
        ]

    def __str__(self) -> str:
        return self.get_kind_display()
