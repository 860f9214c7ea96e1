"""Words of customers that were taken away where everybody could read them: who asked, who agreed, what was done, where."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from crm.models.posts import PublicPost
from crm.policy.removals import RemovalKind, RemovalReason, RemovalState

OPEN = [RemovalState.ASKED, RemovalState.AGREED, RemovalState.DONE]


class Removal(models.Model):
    """One public post that somebody wants hidden, deleted, or its author blocked; kept whatever becomes of it (R029)."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    post = models.ForeignKey(PublicPost, models.PROTECT, related_name="+", db_index=False)
    kind = models.CharField(_("what"), max_length=8, choices=RemovalKind)
    reason = models.CharField(_("reason"), max_length=12, choices=RemovalReason)
    words = models.CharField(_("in words"), max_length=600)
    state = models.CharField(_("state"), max_length=8, choices=RemovalState, default=RemovalState.ASKED, editable=False)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("asked by"), db_index=False
    )
    asked_at = models.DateTimeField(_("asked"))
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("decided by"),
        db_index=False,
    )
    decided_at = models.DateTimeField(_("decided"), null=True)
    decided_because = models.CharField(_("why it was decided so"), max_length=600, blank=True)
    done_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("carried out by"),
        db_index=False,
    )
    done_at = models.DateTimeField(_("carried out"), null=True)
    link = models.CharField(_("where, at the platform"), max_length=500, blank=True)
    undone_at = models.DateTimeField(_("taken back"), null=True)

    class Meta:
        verbose_name = _("public words taken away")
        verbose_name_plural = _("public words taken away")
        constraints = [
            models.CheckConstraint(condition=~Q(words=""), name="removal_has_words"),
            models.UniqueConstraint(fields=["post"], condition=Q(state__in=OPEN), name="removal_one_stands"),
            models.CheckConstraint(
                condition=Q(state=RemovalState.ASKED, decided_by=None, decided_at=None, decided_because="")
                | (
                    ~Q(state=RemovalState.ASKED)
                    & Q(decided_by__isnull=False, decided_at__isnull=False)
                    & ~Q(decided_because="")
                ),
                name="removal_decided_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(decided_by=None) | ~Q(decided_by=F("asked_by")), name="removal_decided_by_another"
            ),
            models.CheckConstraint(
                condition=Q(
                    state__in=[RemovalState.DONE, RemovalState.UNDONE], done_by__isnull=False, done_at__isnull=False
                )
                & ~Q(link="")
                | ~Q(state__in=[RemovalState.DONE, RemovalState.UNDONE]) & Q(done_by=None, done_at=None, link=""),
                name="removal_done_by_somebody_somewhere",
            ),
            models.CheckConstraint(
                condition=Q(state=RemovalState.UNDONE, undone_at__isnull=False)
                | (~Q(state=RemovalState.UNDONE) & Q(undone_at=None)),
                name="removal_undone_has_time",
            ),
        ]
        indexes = [
            models.Index(fields=["post", "-id"], name="removal_of_post"),
            models.Index(fields=["asked_at"], name="removal_by_day"),
        ]
        permissions = [("ask_removal", "Can ask that public words be taken away"), ("agree_removal", "Can agree to it")]

    def __str__(self) -> str:
        return self.get_kind_display()
