"""Answers that were given by hand where we have no account; and two matters that a person found to be one."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from crm.models.talk import Conversation, Interaction


class AnswerElsewhere(models.Model):
    """Where an answer stands that one of us wrote there by hand, and who signed it off. Its author is the interaction's."""

    interaction = models.OneToOneField(Interaction, models.PROTECT, related_name="elsewhere")
    url = models.CharField(_("link"), max_length=2000)
    url_key = models.CharField(max_length=64)  # sha256 of the link without what only counts clicks
    site = models.CharField(_("place"), max_length=120)
    signed_off_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("signed off by"), db_index=False
    )
    logged_at = models.DateTimeField(_("written down"))

    class Meta:
        verbose_name = _("answer given elsewhere")
        verbose_name_plural = _("answers given elsewhere")
        constraints = [
            models.CheckConstraint(condition=~Q(url="") & ~Q(url_key=""), name="answer_elsewhere_has_link"),
        ]
        indexes = [models.Index(fields=["url_key"], name="answer_elsewhere_by_link")]

    def __str__(self) -> str:
        return self.url


class Joining(models.Model):
    """A person found that two matters are one: what was said in `moved` stands in `into` since. Taken back, never removed."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    moved = models.ForeignKey(Conversation, models.PROTECT, related_name="joinings", db_index=False)
    into = models.ForeignKey(Conversation, models.PROTECT, related_name="joined", db_index=False)
    because = models.CharField(_("why"), max_length=300)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    at = models.DateTimeField(_("joined"))
    # Keys of what stood in `moved`, by table, and how both matters stood; what taking it back needs. No words of anybody.
    before = models.JSONField(default=dict)
    undone_at = models.DateTimeField(_("taken back"), null=True)
    undone_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False)

    class Meta:
        verbose_name = _("joining of two matters")
        verbose_name_plural = _("joinings of two matters")
        constraints = [
            models.UniqueConstraint(fields=["moved"], condition=Q(undone_at=None), name="joining_one_stands"),
            models.CheckConstraint(condition=~Q(moved=F("into")), name="joining_of_two"),
            models.CheckConstraint(condition=~Q(because=""), name="joining_has_reason"),
            models.CheckConstraint(
                condition=Q(undone_at__isnull=True, undone_by__isnull=True)
                | Q(undone_at__isnull=False, undone_by__isnull=False),
                name="joining_undone_by_somebody",
            ),
        ]
        indexes = [models.Index(fields=["into", "id"], name="joining_into")]
        permissions = [("join_conversations", "Can say that two matters are one, and take that back")]

    def __str__(self) -> str:
        return f"{self.moved_id} → {self.into_id}"
