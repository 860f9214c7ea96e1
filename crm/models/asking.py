"""Customers asked how it was, or for a public review: the asking with its committed draw, each settled matter, each answer."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from crm.models.outgoing import OutgoingMessage
from crm.models.talk import Conversation
from crm.policy.asking import ITEMS, AskingKind, AskOutcome


class Asking(models.Model):
    """A time in which everybody, or a random share, is asked after their matter is settled. A change of it is a new one (R150).

    The seed of its draw is made when it begins; its digest is told then, the seed itself when it has ended.
    """

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    kind = models.CharField(_("what is asked"), max_length=8, choices=AskingKind)
    share = models.PositiveSmallIntegerField(_("drawn, percent"))
    not_again_for = models.PositiveSmallIntegerField(_("not again for, days"))
    place = models.CharField(_("where they would write it"), max_length=80, blank=True)
    link = models.CharField(_("its address"), max_length=300, blank=True)
    texts = models.JSONField(_("our own words, by language"), default=dict)
    seed = models.CharField(max_length=64, editable=False)
    commitment = models.CharField(_("digest of the seed"), max_length=64, editable=False)
    started_at = models.DateTimeField(_("begun"))
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False, verbose_name=_("begun by")
    )
    ended_at = models.DateTimeField(_("ended"), null=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        verbose_name=_("ended by"),
    )

    class Meta:
        verbose_name = _("asking")
        verbose_name_plural = _("askings")
        constraints = [
            models.UniqueConstraint(fields=["kind"], condition=Q(ended_at__isnull=True), name="asking_one_at_a_time"),
            models.CheckConstraint(condition=Q(share__gte=1, share__lte=100), name="asking_share_is_percent"),
            models.CheckConstraint(
                condition=Q(kind=AskingKind.REVIEW, link__startswith="https://") & ~Q(place="")
                | Q(kind=AskingKind.SURVEY, link="", place=""),
                name="asking_review_says_where",
            ),
            models.CheckConstraint(condition=~Q(seed="") & ~Q(commitment=""), name="asking_is_committed"),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, ended_by__isnull=True)
                | Q(ended_at__gte=F("started_at"), ended_by__isnull=False),
                name="asking_ended_by_somebody",
            ),
        ]
        permissions = [("run_asking", "Can begin and end asking customers")]

    def __str__(self) -> str:
        return self.get_kind_display()


class Ask(models.Model):
    """One settled matter in an asking: drawn or not, asked or why not. All stand here, so that the draw can be done again."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    asking = models.ForeignKey(Asking, models.PROTECT, related_name="+", db_index=False)
    kind = models.CharField(_("what is asked"), max_length=8, choices=AskingKind)
    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="+", db_index=False)
    outcome = models.CharField(_("what became of it"), max_length=9, choices=AskOutcome)
    reason = models.CharField(_("why they were not asked"), max_length=24, blank=True)
    message = models.OneToOneField(OutgoingMessage, models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField(_("drawn"))

    class Meta:
        verbose_name = _("settled matter in an asking")
        verbose_name_plural = _("settled matters in askings")
        constraints = [
            models.UniqueConstraint(fields=["conversation", "kind"], name="ask_once_about_a_matter"),
            models.CheckConstraint(
                condition=Q(outcome=AskOutcome.NOT_DRAWN, reason="", message__isnull=True)
                | Q(outcome=AskOutcome.LEFT_OUT, message__isnull=True) & ~Q(reason="")
                | Q(outcome=AskOutcome.ASKED, reason="", message__isnull=False),
                name="ask_says_what_became_of_it",
            ),
        ]
        indexes = [models.Index(fields=["asking", "-id"], name="ask_of_asking")]

    def __str__(self) -> str:
        return self.get_outcome_display()


class SurveyAnswer(models.Model):
    """What a customer answered to the questions of a survey, each of which they may skip; one an ask (R068). Only words can go."""

    ask = models.OneToOneField(Ask, models.PROTECT, related_name="answer")
    csat = models.PositiveSmallIntegerField(_("satisfied, 1 to 5"), null=True)
    outcome = models.PositiveSmallIntegerField(_("what came of it was fair, 1 to 5"), null=True)
    process = models.PositiveSmallIntegerField(_("the way there was fair, 1 to 5"), null=True)
    manner = models.PositiveSmallIntegerField(_("we treated them well, 1 to 5"), null=True)
    effort = models.PositiveSmallIntegerField(_("we made it easy, 1 to 7"), null=True)
    words = models.TextField(_("their words"), blank=True)
    wants_answer = models.BooleanField(_("wants an answer"), default=False)
    language = models.CharField(_("language"), max_length=16)
    at = models.DateTimeField(_("answered"))

    class Meta:
        verbose_name = _("answer to a survey")
        verbose_name_plural = _("answers to surveys")
        constraints = [
            models.CheckConstraint(
                condition=Q(**{f"{item}__isnull": True}) | Q(**{f"{item}__gte": 1, f"{item}__lte": most}),
                name=f"survey_answer_{item}_in_range",
            )
            for item, most in ITEMS.items()
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M}"

    @property
    def given(self) -> dict[str, int | None]:
        """The answer to each question; None where it was skipped."""
        return {item: getattr(self, item) for item in ITEMS}
