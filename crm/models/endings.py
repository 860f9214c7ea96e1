"""How conversations ended: closed, dismissed with a reason, or gone quiet; what was tried before; what came back."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.channels import Channel
from crm.models.ids import uuid7
from crm.models.talk import Conversation
from crm.policy import DismissalReason, HowClosed, Verdict


class Closing(models.Model):
    """One time a conversation was closed. When it comes back within two weeks, another person closes it next (R139)."""

    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="+", db_index=False)
    how = models.CharField(_("how"), max_length=12, choices=HowClosed)
    reason = models.TextField(_("why it is settled now"), blank=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("closed by"), db_index=False
    )
    at = models.DateTimeField(_("closed"))
    not_by = models.ForeignKey(  # who closed it before, when it came back too soon
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False
    )
    reopened_at = models.DateTimeField(_("came back"), null=True)

    class Meta:
        verbose_name = _("closing")
        verbose_name_plural = _("closings")
        constraints = [
            models.CheckConstraint(
                condition=Q(not_by__isnull=True) | (~Q(closed_by=F("not_by")) & ~Q(reason="")),
                name="closing_after_return_by_another_with_reason",
            ),
            models.CheckConstraint(
                condition=Q(reopened_at__isnull=True) | Q(reopened_at__gte=F("at")), name="closing_reopened_later"
            ),
            models.UniqueConstraint(
                fields=["conversation"], condition=Q(reopened_at__isnull=True), name="closing_one_at_a_time"
            ),
        ]
        indexes = [
            models.Index(fields=["conversation", "-id"], name="closing_of_conversation"),
            models.Index(fields=["at"], name="closing_by_day"),
            models.Index(fields=["reopened_at"], name="closing_reopened", condition=Q(reopened_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.get_how_display()


class Continuation(models.Model):
    """A new matter that goes on from one that was closed long ago (X18)."""

    conversation = models.OneToOneField(Conversation, models.PROTECT, related_name="+")
    continues = models.ForeignKey(Conversation, models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("continuation")
        verbose_name_plural = _("continuations")
        constraints = [
            models.CheckConstraint(condition=~Q(conversation=F("continues")), name="continuation_of_another")
        ]

    def __str__(self) -> str:
        return f"{self.conversation_id} → {self.continues_id}"


class Outreach(models.Model):
    """One logged try to reach a customer who fell silent: a call that rang out, a visit, a letter."""

    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="+", db_index=False)
    medium = models.CharField(_("medium"), max_length=16, choices=Channel)
    note = models.CharField(_("what came of it"), max_length=300)
    tried_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("who"), db_index=False
    )
    at = models.DateTimeField(_("when"))

    class Meta:
        verbose_name = _("try to reach somebody")
        verbose_name_plural = _("tries to reach somebody")
        constraints = [models.CheckConstraint(condition=~Q(note=""), name="outreach_has_note")]
        indexes = [models.Index(fields=["conversation", "at"], name="outreach_in_order")]

    def __str__(self) -> str:
        return f"{self.get_medium_display()} {self.at:%Y-%m-%d %H:%M}"


class Dismissal(models.Model):
    """A conversation that ended without an answer, for one of the coded reasons; some are looked at again (R010)."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="+", db_index=False)
    reason = models.CharField(_("reason"), max_length=12, choices=DismissalReason)
    same_as = models.ForeignKey(  # the matter in which the same thing is looked after
        Conversation, models.PROTECT, null=True, related_name="+", verbose_name=_("the same as"), db_index=False
    )
    dismissed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("dismissed by"), db_index=False
    )
    at = models.DateTimeField(_("dismissed"))
    sampled_for = models.CharField(_("looked at again for"), max_length=7, blank=True)  # the month, "2026-03"
    verdict = models.CharField(_("second look"), max_length=8, choices=Verdict, blank=True)
    audited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("looked at by"),
        db_index=False,
    )
    audited_at = models.DateTimeField(_("looked at"), null=True)

    class Meta:
        verbose_name = _("dismissal")
        verbose_name_plural = _("dismissals")
        constraints = [
            models.CheckConstraint(
                condition=~Q(reason=DismissalReason.DUPLICATE) | Q(same_as__isnull=False),
                name="dismissal_duplicate_names_the_other",
            ),
            models.CheckConstraint(
                condition=Q(same_as__isnull=True) | ~Q(same_as=F("conversation")), name="dismissal_of_another"
            ),
            models.CheckConstraint(
                condition=Q(verdict="", audited_by__isnull=True, audited_at__isnull=True)
                | (~Q(verdict="") & Q(audited_by__isnull=False, audited_at__isnull=False)),
                name="dismissal_looked_at_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(audited_by__isnull=True) | ~Q(audited_by=F("dismissed_by")),
                name="dismissal_looked_at_by_another",
            ),
        ]
        indexes = [
            models.Index(fields=["at"], name="dismissal_by_day"),
            models.Index(fields=["conversation", "-id"], name="dismissal_of_conversation"),
            models.Index(fields=["-id"], name="dismissal_to_look_at", condition=~Q(sampled_for="") & Q(verdict="")),
        ]
        permissions = [("audit_dismissal", "Can look at dismissals again")]

    def __str__(self) -> str:
        return self.get_reason_display()
