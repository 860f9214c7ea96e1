"""What lifts a channel whose customers wait longer than like ones elsewhere: minutes beside the one queue's order, never in it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db import models
from django.db.models import Case, DateTimeField, ExpressionWrapper, F, Q, Value, When
from django.db.models.functions import JSONObject
from django.utils.translation import gettext_lazy as _

from crm.channels import Channel
from crm.models.ids import uuid7
from crm.models.queue import Pull
from crm.models.talk import ConversationQuerySet
from crm.policy import MOST_CREDIT, QueueClass

LISTED = 20
"""So many of those whom a credit passed over are named; all are counted."""


class QueueCreditQuerySet(models.QuerySet["QueueCredit"]):
    def live(self) -> QueueCreditQuerySet:
        return self.filter(until=None)

    def beside(self) -> ArraySubquery:
        """The live credits as one more column of another question, so that asking for them is no statement of its own."""
        return ArraySubquery(
            self.live().order_by("channel").values(pair=JSONObject(channel=F("channel"), minutes=F("minutes")))
        )


class QueueCredit(models.Model):
    """Minutes by which matters of a channel stand nearer when a colleague takes the next one; nobody's due time moves (C.7)."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    channel = models.CharField(_("channel"), max_length=16, choices=Channel)
    minutes = models.PositiveSmallIntegerField(_("minutes"))
    most = models.PositiveSmallIntegerField(_("at most"))  # what was the most when it was put in place
    since = models.DateTimeField(_("since"))
    until = models.DateTimeField(_("until"), null=True)

    objects = QueueCreditQuerySet.as_manager()

    class Meta:
        verbose_name = _("credit in the queue")
        verbose_name_plural = _("credits in the queue")
        constraints = [
            models.UniqueConstraint(fields=["channel"], condition=Q(until=None), name="queue_credit_one_a_channel"),
            models.CheckConstraint(condition=Q(minutes__gt=0), name="queue_credit_pushes_nobody_back"),
            models.CheckConstraint(
                condition=Q(minutes__lte=F("most"), most__lte=int(MOST_CREDIT.total_seconds()) // 60),
                name="queue_credit_bounded",
            ),
            models.CheckConstraint(
                condition=Q(until=None) | Q(until__gte=F("since")), name="queue_credit_ends_after_it_begins"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.channel} −{self.minutes}"


class CreditedPull(models.Model):
    """That a credit moved what a colleague took before others, and before whom; written with the pull and never changed."""

    pull = models.OneToOneField(Pull, models.PROTECT, related_name="credited")
    minutes = models.PositiveSmallIntegerField(_("credit in minutes"))
    only_after = models.DateTimeField(_("passed over only such as are due after"))
    passed = models.PositiveSmallIntegerField(_("passed over"))  # at most policy.COUNTED_AT_MOST
    passed_first = models.JSONField(_("passed over first"), default=list)  # keys of conversations, at most LISTED

    class Meta:
        verbose_name = _("pull moved by a credit")
        verbose_name_plural = _("pulls moved by a credit")
        constraints = [
            models.CheckConstraint(condition=Q(minutes__gt=0, passed__gt=0), name="credited_pull_passed_somebody")
        ]

    def __str__(self) -> str:
        return f"{self.pull_id}: −{self.minutes}"


def in_pull_order(
    queue: ConversationQuerySet, credits: Mapping[str, int], *, guarded_until: datetime
) -> models.QuerySet[Any, Any]:
    """The order in which colleagues take from the one queue while credits live, as policy.pull_key says; credits by channel."""
    is_guarded = Q(queue_class=QueueClass.CRITICAL) | Q(due_at__lt=guarded_until)
    less = Case(
        *(When(channel=channel, then=Value(timedelta(minutes=minutes))) for channel, minutes in credits.items()),
        default=Value(timedelta(0)),
    )
    stands = Case(
        When(is_guarded, then=F("due_at")),
        default=ExpressionWrapper(F("due_at") - less, output_field=DateTimeField()),
    )
    return queue.order_by("queue_class", Case(When(is_guarded, then=0), default=1), stands, "spoke_at", "id")
