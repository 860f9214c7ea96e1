"""Who works on what: pulls from the one queue, hand-offs, helpers, and every change of owner."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Count, Exists, F, OuterRef, Q, Sum
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from crm.models.rota import Absence, Certificate, RequiredSkill
from crm.models.talk import Conversation, ConversationQuerySet
from crm.policy import HandOffReason, HandOffState, OutOfOrder, OwnerChangeReason, PullEnd, PutBack, WorkMode

ON_ITS_WAY_FOR = timedelta(hours=1)
"""An answer that the other side has not accepted yet counts as one for so long when somebody else looks for work."""


class PullQuerySet(models.QuerySet["Pull"]):
    def in_work(self) -> PullQuerySet:
        return self.filter(finished_at=None)

    def by_person(self, since: datetime) -> models.QuerySet[Pull, Any]:
        """Per person: how much was taken, how much of it out of order, and how many others were passed over by that."""
        return (
            self.filter(at__gte=since)
            .values("by")
            .annotate(taken=Count("pk"), out_of_order=Count("pk", filter=~Q(reason="")), passed_over=Sum("ahead"))
            .order_by("by")
        )


class Pull(models.Model):
    """One matter taken from the queue by one colleague, until it is answered or back in the queue."""

    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="pulls")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("who"))
    at = models.DateTimeField(_("taken"))
    mode = models.CharField(_("how"), max_length=8, choices=WorkMode, default=WorkMode.WRITTEN)
    ahead = models.PositiveSmallIntegerField(_("passed over"), default=0)  # at most policy.COUNTED_AT_MOST
    reason = models.CharField(_("why before others"), max_length=16, choices=OutOfOrder, blank=True)
    idle_at = models.DateTimeField(_("back in the queue after"))
    finished_at = models.DateTimeField(_("ended"), null=True)
    finished_how = models.CharField(_("ended because"), max_length=12, choices=PullEnd, blank=True)
    put_back_because = models.CharField(_("put back because"), max_length=12, choices=PutBack, blank=True)

    objects = PullQuerySet.as_manager()

    class Meta:
        verbose_name = _("pull")
        verbose_name_plural = _("pulls")
        constraints = [
            models.UniqueConstraint(fields=["conversation"], condition=Q(finished_at=None), name="pull_one_at_a_time"),
            models.CheckConstraint(
                condition=Q(finished_at__isnull=True, finished_how="")
                | (Q(finished_at__isnull=False) & ~Q(finished_how="")),
                name="pull_ends_for_a_reason",
            ),
            models.CheckConstraint(condition=Q(ahead=0) | ~Q(reason=""), name="pull_out_of_order_has_reason"),
            models.CheckConstraint(
                condition=Q(finished_how=PullEnd.PUT_BACK) ^ Q(put_back_because=""), name="pull_put_back_has_reason"
            ),
        ]
        indexes = [
            models.Index(fields=["by"], name="pull_in_work", condition=Q(finished_at=None)),
            models.Index(fields=["idle_at"], name="pull_idle", condition=Q(finished_at=None)),
            models.Index(fields=["at", "by"], name="pull_newest"),
            models.Index(fields=["finished_at"], name="pull_answered", condition=Q(finished_how=PullEnd.ANSWERED)),
        ]

    def __str__(self) -> str:
        return f"{self.by_id} → {self.conversation_id}"


class Helper(models.Model):
    """A colleague who helps with a matter that stays with its owner."""

    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="helpers", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("who"))
    joined_at = models.DateTimeField(_("since"))
    left_at = models.DateTimeField(_("until"), null=True)

    class Meta:
        verbose_name = _("helper")
        verbose_name_plural = _("helpers")
        constraints = [
            models.UniqueConstraint(fields=["conversation", "user"], condition=Q(left_at=None), name="helper_once"),
            models.CheckConstraint(
                condition=Q(left_at__isnull=True) | Q(left_at__gte=F("joined_at")), name="helper_leaves_after_joining"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} + {self.conversation_id}"


class HandOff(models.Model):
    """One offer of a matter to a colleague. Who offers stays owner until the other one accepts."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="hand_offs")
    giver = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("from"))
    to = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("to"), db_index=False
    )
    reason = models.CharField(_("reason"), max_length=20, choices=HandOffReason)
    context_note = models.TextField(_("what the other one has to know"))
    state = models.CharField(_("state"), max_length=12, choices=HandOffState, default=HandOffState.OFFERED)
    offered_at = models.DateTimeField(_("offered"))
    settled_at = models.DateTimeField(_("settled"), null=True)
    customer_told_at = models.DateTimeField(_("customer told"), null=True)

    class Meta:
        verbose_name = _("hand-off")
        verbose_name_plural = _("hand-offs")
        constraints = [
            models.UniqueConstraint(
                fields=["conversation"], condition=Q(state=HandOffState.OFFERED), name="hand_off_one_offer"
            ),
            models.CheckConstraint(condition=~Q(giver=F("to")), name="hand_off_to_another"),
            models.CheckConstraint(condition=~Q(context_note=""), name="hand_off_has_a_note"),
            models.CheckConstraint(
                condition=Q(state=HandOffState.OFFERED) ^ Q(settled_at__isnull=False), name="hand_off_settled_has_time"
            ),
        ]
        indexes = [models.Index(fields=["to", "-id"], name="hand_off_offered", condition=Q(state=HandOffState.OFFERED))]

    def __str__(self) -> str:
        return f"{self.giver_id} → {self.to_id}"


class OwnerChange(models.Model):
    """That somebody else looks after a matter from now on; the first owner stands in the first row's `before`."""

    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="owner_changes")
    before = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("before"), db_index=False
    )
    after = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("after"), db_index=False
    )
    why = models.CharField(_("why"), max_length=12, choices=OwnerChangeReason)
    note = models.TextField(_("note"), blank=True)
    at = models.DateTimeField(_("when"))

    class Meta:
        verbose_name = _("change of owner")
        verbose_name_plural = _("changes of owner")
        constraints = [
            models.CheckConstraint(
                condition=Q(before__isnull=True) | ~Q(before=F("after")), name="owner_change_to_another"
            ),
            models.CheckConstraint(
                condition=~Q(why=OwnerChangeReason.NOT_THERE) | ~Q(note=""), name="owner_change_by_itself_has_note"
            ),
        ]
        indexes = [models.Index(fields=["at"], name="owner_change_newest")]

    def __str__(self) -> str:
        return f"{self.before_id} → {self.after_id}"


def in_queue_of(user_id: int, *, at: datetime, may_take_new: bool) -> ConversationQuerySet:
    """What this person may take from the one queue now; a query without an order.

    Their own, what they help with, and what belongs to somebody absent for whom they stand in. With may_take_new: what
    nobody owns, and what its owner has not answered yet, since the customer has met nobody by then. Never what somebody
    is working on, nor what asks for a certificate that they do not have.
    """
    pulls = Pull.objects.filter(conversation=OuterRef("pk"))
    theirs = (
        Q(owner=user_id)
        | Q(owner__in=Absence.objects.running(at).filter(stand_in=user_id).values("user"))
        | Q(Exists(Helper.objects.filter(conversation=OuterRef("pk"), user=user_id, left_at=None)))
    )
    on_its_way = pulls.filter(finished_how=PullEnd.ANSWERED, finished_at__gt=at - ON_ITS_WAY_FOR)
    unmet = Q(first_answer_at=None) & ~Exists(on_its_way)
    taken = theirs | Q(owner=None) | unmet if may_take_new else theirs
    able = (
        Q(skill="")
        | ~Exists(RequiredSkill.objects.filter(skill=OuterRef("skill")))
        | Exists(Certificate.objects.valid(at.date()).filter(user=user_id, skill=OuterRef("skill")))
    )
    return Conversation.objects.waiting_for_us().filter(taken, able).filter(~Exists(pulls.in_work()))
