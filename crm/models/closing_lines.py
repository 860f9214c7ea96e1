"""The short public last words of matters that began in public: proposed, told to the customer, written, or not (R128)."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from crm.models.outgoing import OutgoingMessage
from crm.models.talk import Conversation, Interaction
from crm.policy.closing_lines import LONGEST, REASONS, STANDING, LineState, may_stand_from


class ClosingLine(models.Model):
    """One line for one matter. The words that the customer was told of are those that stand in public, and no others."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="+", db_index=False)
    post = models.ForeignKey(Interaction, models.PROTECT, related_name="+", db_index=False)  # what it stands below
    text = models.CharField(_("words"), max_length=LONGEST)
    state = models.CharField(_("state"), max_length=8, choices=LineState, default=LineState.PROPOSED, editable=False)
    reason = models.CharField(max_length=24, blank=True, editable=False)  # a key of policy REASONS
    because = models.CharField(_("why it was left out"), max_length=300, blank=True)
    proposed_at = models.DateTimeField(_("proposed"))
    # The private word, by which the customer can say no; the newest where the words were changed after it.
    word = models.OneToOneField(OutgoingMessage, models.PROTECT, null=True, related_name="+")
    message = models.OneToOneField(OutgoingMessage, models.PROTECT, null=True, related_name="+")  # the public line
    said_no_at = models.DateTimeField(_("the customer said no"), null=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        verbose_name=_("decided by"),
    )
    decided_at = models.DateTimeField(_("decided"), null=True)

    class Meta:
        verbose_name = _("public closing line")
        verbose_name_plural = _("public closing lines")
        constraints = [
            # A matter that comes back and is settled again may get another one.
            models.UniqueConstraint(
                fields=["conversation"],
                condition=~Q(state=LineState.STOPPED, reason="came_back"),
                name="closing_line_once_for_a_matter",
            ),
            models.CheckConstraint(condition=~Q(text=""), name="closing_line_has_words"),
            models.CheckConstraint(
                condition=Q(state=LineState.STOPPED) & ~Q(reason="") | ~Q(state=LineState.STOPPED) & Q(reason=""),
                name="closing_line_stopped_for_a_reason",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=[LineState.TOLD, LineState.POSTED]) | Q(word__isnull=False),
                name="closing_line_told_before_it_stands",
            ),
            models.CheckConstraint(
                condition=~Q(state=LineState.POSTED) | Q(message__isnull=False, decided_by__isnull=False),
                name="closing_line_posted_by_somebody",
            ),
            models.CheckConstraint(
                condition=~Q(state=LineState.DROPPED) | (Q(decided_by__isnull=False) & ~Q(because="")),
                name="closing_line_dropped_for_a_reason",
            ),
            # A no comes first, or finds it written already.
            models.CheckConstraint(
                condition=Q(said_no_at__isnull=True)
                | Q(state=LineState.STOPPED, reason="said_no")
                | Q(state=LineState.POSTED, said_no_at__gte=F("decided_at")),
                name="closing_line_no_is_a_no",
            ),
            models.CheckConstraint(
                condition=Q(decided_at__isnull=True, decided_by__isnull=True)
                | Q(decided_at__isnull=False, decided_by__isnull=False),
                name="closing_line_decided_then",
            ),
        ]
        indexes = [
            models.Index(fields=["id"], name="closing_line_standing", condition=Q(state__in=STANDING)),
            models.Index(fields=["conversation", "-id"], name="closing_line_of_matter"),
        ]

    def __str__(self) -> str:
        return self.text

    @property
    def is_standing(self) -> bool:
        """Whether a colleague can still do something with it."""
        return self.state in STANDING

    @property
    def why_not(self) -> str:
        """Why it is not to be, in words; "" where nothing stands in its way."""
        return str(REASONS[self.reason]) if self.reason else self.because

    @property
    def may_stand_from(self) -> datetime | None:
        """From when it may be written; None while the private word has not arrived. Reads `word`."""
        word = self.word
        return may_stand_from(word.accepted_at) if word is not None and not word.came_back else None
