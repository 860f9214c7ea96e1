"""What a second person says about a public answer that seems to tell personal things."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from crm.models.talk import Conversation


class PublicLook(models.Model):
    """A second look at one public answer, asked for by its author. The words stand in the author's shared draft, not here."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="+", db_index=False)
    digest = models.CharField(max_length=64)  # sha256 of the words, so that these and no others are released
    kinds = ArrayField(models.CharField(max_length=12), default=list, verbose_name=_("what it seems to tell"))
    because = models.CharField(_("why it may stand in public"), max_length=300)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("asked by"), db_index=False
    )
    asked_at = models.DateTimeField(_("asked"))
    released_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("released by"),
        db_index=False,
    )
    released_at = models.DateTimeField(_("released"), null=True)
    released_because = models.CharField(_("why it was released"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("second look at a public answer")
        verbose_name_plural = _("second looks at public answers")
        constraints = [
            models.CheckConstraint(condition=~Q(because="") & ~Q(kinds=[]), name="public_look_says_why"),
            models.CheckConstraint(
                condition=Q(released_by=None, released_at=None, released_because="")
                | (Q(released_by__isnull=False, released_at__isnull=False) & ~Q(released_because="")),
                name="public_look_released_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(released_by=None) | ~Q(released_by=F("asked_by")), name="public_look_by_another"
            ),
        ]
        indexes = [models.Index(fields=["conversation", "digest"], name="public_look_of_words")]
        permissions = [("release_public_answer", "Can release public answers that seem to tell personal things")]

    def __str__(self) -> str:
        return ", ".join(self.kinds)
