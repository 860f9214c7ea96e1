"""Where the relationship with a customer stood when, and what they are to us besides. Read by nothing that decides or gives."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.models.people import Customer
from crm.policy.stages import RelationshipKind, Stage


class RelationshipStage(models.Model):
    """One change of where a relationship stands, append-only; the newest one counts (R087)."""

    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+", db_index=False)
    # Each row follows one other, so that two who write at once cannot both go on from the same one.
    previous = models.ForeignKey("self", models.PROTECT, null=True, related_name="+", db_index=False)
    before = models.CharField(_("from"), max_length=12, choices=Stage, blank=True)
    stage = models.CharField(_("to"), max_length=12, choices=Stage)
    since = models.DateTimeField(_("since"))
    rule = models.CharField(_("by rule"), max_length=24, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False)
    because = models.CharField(_("why"), max_length=300)
    evidence = models.JSONField(_("shown by"), default=list)  # "conversation:<public id>", "case:<public id>"

    class Meta:
        verbose_name = _("stage of a relationship")
        verbose_name_plural = _("stages of relationships")
        constraints = [
            models.UniqueConstraint(fields=["customer", "previous"], name="stage_follows_one", nulls_distinct=False),
            models.CheckConstraint(condition=~Q(stage=F("before")), name="stage_changes"),
            models.CheckConstraint(condition=Q(before="") ^ Q(previous__isnull=False), name="stage_from_the_previous"),
            models.CheckConstraint(
                condition=(Q(rule="") & Q(by__isnull=False)) | (~Q(rule="") & Q(by__isnull=True)),
                name="stage_by_rule_or_person",
            ),
            models.CheckConstraint(condition=~Q(because=""), name="stage_has_reason"),
        ]
        indexes = [models.Index(fields=["customer", "-id"], name="stage_newest")]
        permissions = [("note_stage", "Can say where a relationship stands, with a reason")]

    def __str__(self) -> str:
        return self.get_stage_display()


class RelationshipRole(models.Model):
    """What a customer is to us besides, as a person said with evidence; several at once."""

    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+", db_index=False)
    role = models.CharField(_("role"), max_length=12, choices=RelationshipKind)
    evidence = models.CharField(_("what shows it"), max_length=300)
    said_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    since = models.DateTimeField(_("since"))
    ended_at = models.DateTimeField(_("until"), null=True)
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False)

    class Meta:
        verbose_name = _("role of a customer")
        verbose_name_plural = _("roles of customers")
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "role"], condition=Q(ended_at__isnull=True), name="role_held_once"
            ),
            models.CheckConstraint(condition=~Q(evidence=""), name="role_has_evidence"),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, ended_by__isnull=True)
                | Q(ended_at__gte=F("since"), ended_by__isnull=False),
                name="role_ended_by_somebody",
            ),
        ]
        indexes = [models.Index(fields=["customer", "-id"], name="role_of_customer")]

    def __str__(self) -> str:
        return self.get_role_display()
