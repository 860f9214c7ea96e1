"""The audit of our own work: each look, written once, and the differences it found until a later look no longer finds them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Func, Q, Value
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from recovery.policy import FindingOrigin, FindingState

DISMISSED = "dismissed"
"""The one metric that is compared by itself: its lines stand among `dismissals`."""


class _Lines(Func):
    """Of a stored report the lines that a path names (SQL/JSON path, ISO/IEC 9075-2:2016)."""

    template = "jsonb_path_query_array(%(expressions)s::jsonpath)"
    output_field = models.JSONField()


class ParityAuditQuerySet(models.QuerySet["ParityAudit"]):
    def lines_of(self, metric: str) -> models.QuerySet[ParityAudit, tuple[datetime, list[dict[str, Any]] | None]]:
        """As of when each look was, and its lines of one metric; the newest first. The rest of its report stays where it is."""
        kept = "".join(each for each in metric if each.isalnum() or each == "_")
        column = F("dismissals" if metric == DISMISSED else "report")
        lines = _Lines(column, Value(f'$.contrasts[*] ? (@.metric == "{kept}")'))
        return self.annotate(lines=lines).order_by("-id").values_list("at", "lines")


class ParityAudit(models.Model):
    """One look at what became of all matters of a window. Never changed: what it was made of stands in its fingerprint."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    night = models.DateField(_("night of"), null=True)  # one for each night; empty: asked for by somebody
    since = models.DateTimeField(_("matters from"))
    until = models.DateTimeField(_("to before"))
    at = models.DateTimeField(_("as of"))
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("asked by"),
        db_index=False,
    )
    matters = models.PositiveIntegerField(_("matters"))
    dismissed = models.PositiveIntegerField(_("needed no answer"))
    content_hash = models.CharField(_("fingerprint of what was read"), max_length=64)
    report = models.JSONField(_("report"), null=True)  # as recovery/parity/report.schema.json; null: nothing to compare
    dismissals = models.JSONField(_("comparison of dismissals"), null=True)
    red = models.PositiveSmallIntegerField(_("treated differently"), default=0)
    amber = models.PositiveSmallIntegerField(_("to watch"), default=0)
    green = models.PositiveSmallIntegerField(_("shown to be alike"), default=0)
    grey = models.PositiveSmallIntegerField(_("too little to say"), default=0)

    objects = ParityAuditQuerySet.as_manager()

    class Meta:
        verbose_name = _("audit")
        verbose_name_plural = _("audits")
        constraints = [
            models.UniqueConstraint(fields=["night"], name="parity_audit_once_a_night"),
            models.CheckConstraint(condition=Q(since__lt=F("until")), name="parity_audit_window"),
            models.CheckConstraint(
                condition=Q(night__isnull=False) ^ Q(asked_by__isnull=False),
                name="parity_audit_of_a_night_or_asked_for",
            ),
        ]
        indexes = [models.Index(fields=["-id"], name="parity_audit_newest")]
        permissions = [("run_parityaudit", "Can look at our own work now")]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M}"


class ParityFinding(models.Model):
    """A channel whose customers were treated otherwise than like ones elsewhere, and what is done about it."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    metric = models.CharField(_("what"), max_length=40)
    channel = models.CharField(_("channel"), max_length=16)
    versus = models.CharField(_("against"), max_length=24)
    is_favoured = models.BooleanField(_("treated better"))
    effect = models.CharField(max_length=20)
    value = models.FloatField(_("size"))  # of the newest look that found it
    low = models.FloatField(null=True)
    high = models.FloatField(null=True)
    found_by = models.ForeignKey(
        ParityAudit, models.PROTECT, related_name="+", db_index=False
    )  # of an alarm: the newest look when it rang, whose window shows the very matters
    seen_by = models.ForeignKey(
        ParityAudit, models.PROTECT, related_name="+", db_index=False
    )  # the newest that found it
    origin = models.CharField(
        _("found how"), max_length=8, choices=FindingOrigin, default=FindingOrigin.LOOK, editable=False
    )
    rang_on = models.DateField(_("rang last"), null=True, editable=False)  # the newest night after which it rang
    # Agreed test pairs showed it, and no run of pairs told since then has let go of it: no look ends it.
    held_by_pairs = models.BooleanField(_("held by test pairs"), default=False, editable=False)
    opened_at = models.DateTimeField(_("found"))
    state = models.CharField(_("state"), max_length=12, choices=FindingState, default=FindingState.OPEN, editable=False)
    words = models.TextField(_("in words"), blank=True)  # why, or what is done about it
    said_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("said by"), db_index=False
    )
    said_at = models.DateTimeField(_("said"), null=True)
    ended_by = models.ForeignKey(
        ParityAudit, models.PROTECT, null=True, related_name="+", db_index=False
    )  # where pairs ended it: the newest look then, which did not find it either

    class Meta:
        verbose_name = _("finding")
        verbose_name_plural = _("findings")
        constraints = [
            models.UniqueConstraint(
                fields=["metric", "channel"], condition=~Q(state=FindingState.VERIFIED), name="parity_finding_once"
            ),
            models.CheckConstraint(
                condition=Q(state=FindingState.VERIFIED) ^ Q(ended_by__isnull=True),
                name="parity_finding_ended_by_an_audit",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[FindingState.OPEN, FindingState.VERIFIED])
                | (~Q(words="") & Q(said_by__isnull=False, said_at__isnull=False)),
                name="parity_finding_said_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(origin=FindingOrigin.LOOK) | Q(rang_on__isnull=False), name="parity_finding_alarm_rang"
            ),
            models.CheckConstraint(
                condition=Q(held_by_pairs=False) | (Q(rang_on__isnull=False) & ~Q(state=FindingState.VERIFIED)),
                name="parity_finding_held_by_pairs_stands",
            ),
        ]
        indexes = [models.Index(fields=["-id"], name="parity_finding_newest")]
        permissions = [("answer_parityfinding", "Can say why a difference is there or what is done about it")]

    def __str__(self) -> str:
        return f"{self.metric} · {self.channel}"
