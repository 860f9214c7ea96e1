"""What we promised to whom by when. A promise is written once; only whether it was kept is added."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from crm.models.calendars import ServiceCalendar
from crm.models.talk import Conversation, Interaction
from crm.policy import REASON_WITHIN, ConversationState, MissReason, PromiseKind, PromiseState

UNMET = [PromiseState.RUNNING, PromiseState.BREACHED]
MISSED = [PromiseState.BREACHED, PromiseState.MET_LATE]


class PromiseQuerySet(models.QuerySet["Promise"]):
    def running(self) -> PromiseQuerySet:
        return self.filter(state=PromiseState.RUNNING)

    def unmet(self) -> PromiseQuerySet:
        """Not kept yet, in time or not."""
        return self.filter(state__in=UNMET)

    def overdue(self, at: datetime) -> PromiseQuerySet:
        return self.running().filter(due_at__lt=at)

    def neglected(self, at: datetime) -> PromiseQuerySet:
        """Missed first answers that nobody has given since, one of each matter: the neglect index counts these (R032).

        What was ended with a reason (spam, a duplicate) is not among them; what is past its time and not swept yet is.
        """
        past = Q(state=PromiseState.BREACHED) | Q(state=PromiseState.RUNNING, due_at__lt=at)
        missed = self.filter(past, kind=PromiseKind.FIRST_RESPONSE)
        return missed.exclude(conversation__state=ConversationState.CLOSED).filter(~_earlier(state__in=UNMET))

    def owing_a_reason(self, at: datetime) -> PromiseQuerySet:
        """Missed first answers, given since or not, for which nobody has written a reason in time; one of each matter."""
        return (
            self.filter(kind=PromiseKind.FIRST_RESPONSE, state__in=MISSED, explanation="")
            .filter(due_at__lte=at - REASON_WITHIN)
            .exclude(conversation__state=ConversationState.CLOSED, met_at__isnull=True)
            .filter(~_earlier(state__in=MISSED))
            .filter(~_explained())
        )

    def with_reasons(self) -> PromiseQuerySet:
        """Whether somebody wrote why the first answer of the matter did not come, as `is_explained`."""
        return self.annotate(is_explained=_explained())

    def to_warn_of(self, at: datetime) -> PromiseQuerySet:
        return self.running().filter(warn_at__lte=at, warned_at__isnull=True)


def _first_answers() -> PromiseQuerySet:
    """The promises of a first answer in the matter of the row outside."""
    return Promise.objects.filter(conversation=OuterRef("conversation"), kind=PromiseKind.FIRST_RESPONSE)


def _earlier(**which: Any) -> Exists:
    before = Q(due_at__lt=OuterRef("due_at")) | Q(due_at=OuterRef("due_at"), pk__lt=OuterRef("pk"))
    return Exists(_first_answers().filter(before, **which))


def _explained() -> Exists:
    return Exists(_first_answers().exclude(explanation=""))


class Promise(models.Model):
    """One promised time. The database refuses to move its due time or to forget it (promise Q6)."""

    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="promises", db_index=False)
    kind = models.CharField(_("promise"), max_length=16, choices=PromiseKind)
    given_by = models.CharField(_("given by"), max_length=80)  # "everybody", or what decided it, e.g. "decision:7"
    starts_at = models.DateTimeField(_("counted from"))
    due_at = models.DateTimeField(_("due"))
    # How much service time by which calendar, so that due_at can be computed again; a named moment has neither.
    within_seconds = models.PositiveIntegerField(_("service time, seconds"), null=True)
    calendar = models.ForeignKey(ServiceCalendar, models.PROTECT, null=True, related_name="+", db_index=False)
    warn_at = models.DateTimeField(_("warned of from"))
    warned_at = models.DateTimeField(_("warned of"), null=True, editable=False)
    state = models.CharField(
        _("state"), max_length=12, choices=PromiseState, default=PromiseState.RUNNING, editable=False
    )
    breached_at = models.DateTimeField(_("missed on"), null=True, editable=False)
    met_at = models.DateTimeField(_("kept on"), null=True, editable=False)
    met_by = models.ForeignKey(Interaction, models.PROTECT, null=True, editable=False, related_name="+")
    reason = models.CharField(_("why it was missed"), max_length=24, choices=MissReason, blank=True, editable=False)
    explanation = models.CharField(_("in words"), max_length=300, blank=True, editable=False)
    explained_at = models.DateTimeField(_("explained on"), null=True, editable=False)
    explained_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", editable=False, db_index=False
    )

    reason_asked_at = models.DateTimeField(_("leads told that no reason is written"), null=True, editable=False)

    objects = PromiseQuerySet.as_manager()

    class Meta:
        verbose_name = _("promise")
        verbose_name_plural = _("promises")
        constraints = [
            models.CheckConstraint(condition=Q(due_at__gt=F("starts_at")), name="promise_due_after_start"),
            models.CheckConstraint(
                condition=~Q(state__in=[PromiseState.MET, PromiseState.MET_LATE]) | Q(met_at__isnull=False),
                name="promise_kept_has_time",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=[PromiseState.BREACHED, PromiseState.MET_LATE]) | Q(breached_at__isnull=False),
                name="promise_missed_has_time",
            ),
            models.CheckConstraint(
                condition=Q(explanation="") | Q(explained_at__isnull=False, explained_by__isnull=False),
                name="promise_explained_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(warn_at__gte=F("starts_at")) & Q(warn_at__lte=F("due_at")), name="promise_warned_before_due"
            ),
            models.UniqueConstraint(fields=["conversation", "kind", "given_by"], name="promise_given_once"),
        ]
        indexes = [
            models.Index(fields=["due_at"], name="promise_due", condition=Q(state=PromiseState.RUNNING)),
            models.Index(
                fields=["warn_at"],
                name="promise_warn",
                condition=Q(state=PromiseState.RUNNING, warned_at__isnull=True),
            ),
            models.Index(fields=["due_at", "state"], name="promise_by_day"),
            models.Index(
                fields=["due_at", "id"],
                name="promise_to_call_back",
                condition=Q(kind=PromiseKind.CALL_BACK, state__in=[PromiseState.RUNNING, PromiseState.BREACHED]),
            ),
            models.Index(
                fields=["due_at", "id"],
                name="promise_neglected",
                condition=Q(kind=PromiseKind.FIRST_RESPONSE, state=PromiseState.BREACHED),
            ),
            models.Index(
                fields=["due_at", "id"],
                name="promise_without_reason",
                condition=Q(
                    kind=PromiseKind.FIRST_RESPONSE, state__in=MISSED, explanation="", reason_asked_at__isnull=True
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.due_at:%Y-%m-%d %H:%M}"
