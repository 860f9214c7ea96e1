"""Posts that everybody can read: each is a row that stays, with what was judged about it by whom; and reach, kept apart."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Aggregate, Count, F, FloatField, Q, Value
from django.db.models.functions import Extract, ExtractHour
from django.utils.translation import gettext_lazy as _

from crm.channels import Channel
from crm.models.endings import Dismissal
from crm.models.ids import uuid7
from crm.models.people import ContactPoint
from crm.models.talk import Conversation, Interaction
from crm.policy import NoAnswerReason, PostVerdict, RevealReason, SecondLook


class WithinOrder(Aggregate):
    """The value below which a share of the values lies, interpolated (PostgreSQL's percentile_cont, type 7)."""

    function = "percentile_cont"
    template = "%(function)s(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = ArrayField(FloatField())


class PublicPostQuerySet(models.QuerySet["PublicPost"]):
    def to_judge(self) -> PublicPostQuerySet:
        """Neither answered nor judged; history from a file asks nobody."""
        return self.filter(verdict="", answered_at=None, imported=False)

    def said_between(self, since: datetime, until: datetime) -> PublicPostQuerySet:
        return self.filter(spoke_at__gte=since, spoke_at__lt=until)

    def counted(self, *by: str, at: datetime, zone: ZoneInfo) -> models.QuerySet[PublicPost, dict[str, Any]]:
        """How many posts count for what (policy.counted), for each value of some of channel, hour, language and account.

        zone: whose clock tells the hour. Rows: the values, then posts, answered, unanswered, not_answerable, in_time, unjudged.
        """
        no_answer = Q(verdict=PostVerdict.NO_ANSWER, answered_at=None)
        ripe = Q(due_at=None) | Q(due_at__lte=at)
        answered, open_ = Q(answered_at__isnull=False), Q(answered_at=None) & ~Q(verdict=PostVerdict.NO_ANSWER)
        found: models.QuerySet[PublicPost, dict[str, Any]] = self._grouped(by, zone).annotate(
            posts=Count("pk"),
            answered=Count("pk", filter=answered & ripe),
            unanswered=Count("pk", filter=open_ & ripe),
            not_answerable=Count("pk", filter=no_answer),
            in_time=Count("pk", filter=~no_answer & Q(due_at__gt=at)),
            unjudged=Count("pk", filter=open_ & ripe & Q(verdict="")),
            imports=Count("pk", filter=Q(imported=True)),
        )
        return found

    def waits(self, *by: str, at: datetime, zone: ZoneInfo) -> models.QuerySet[PublicPost, dict[str, Any]]:
        """How long those that were answered waited, in seconds: `within` is [half of them, nine of ten]; groups as `counted`."""
        ripe = Q(due_at=None) | Q(due_at__lte=at)
        answered = self.filter(ripe, answered_at__isnull=False)
        waited = Extract(F("answered_at") - F("spoke_at"), "epoch")
        found: models.QuerySet[PublicPost, dict[str, Any]] = answered._grouped(by, zone).annotate(
            within=WithinOrder(waited)
        )
        return found

    def _grouped(self, by: Sequence[str], zone: ZoneInfo) -> models.QuerySet[PublicPost, dict[str, Any]]:
        rows: Any = self.annotate(hour=ExtractHour("spoke_at", tzinfo=zone)) if "hour" in by else self
        grouped: models.QuerySet[PublicPost, dict[str, Any]]
        grouped = (rows.values(*by) if by else rows.values(everything=Value(1))).order_by()
        return grouped


class PublicPost(models.Model):
    """One thing a customer said where everybody can read it. The row stays, also when no answer is needed (N8)."""

    interaction = models.OneToOneField(Interaction, models.PROTECT, related_name="public_post")
    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="public_posts", db_index=False)
    channel = models.CharField(_("channel"), max_length=16, choices=Channel)
    language = models.CharField(_("language"), max_length=8, blank=True)  # primary subtag, lower case; "" is not known
    account = models.CharField(_("account of ours"), max_length=120, blank=True)
    spoke_at = models.DateTimeField(_("spoke to us"))
    due_at = models.DateTimeField(_("answer promised by"), null=True)
    is_first = models.BooleanField(_("began the matter"))
    imported = models.BooleanField(default=False)
    verdict = models.CharField(_("judged"), max_length=8, choices=PostVerdict, blank=True)
    answered_at = models.DateTimeField(_("answered"), null=True)

    objects = PublicPostQuerySet.as_manager()

    class Meta:
        verbose_name = _("public post")
        verbose_name_plural = _("public posts")
        constraints = [
            models.CheckConstraint(
                condition=Q(answered_at=None) | Q(answered_at__gte=F("spoke_at")), name="public_post_answered_later"
            ),
        ]
        indexes = [
            models.Index(fields=["spoke_at"], name="public_post_by_day"),
            models.Index(fields=["conversation", "id"], name="public_post_of_conversation"),
            models.Index(
                fields=["spoke_at", "id"],
                name="public_post_to_judge",
                condition=Q(verdict="", answered_at=None, imported=False),
            ),
        ]
        permissions = [("judge_post", "Can say whether a public post needs an answer")]

    def __str__(self) -> str:
        return f"{self.get_channel_display()} {self.spoke_at:%Y-%m-%d %H:%M}"


class PostJudgement(models.Model):
    """What somebody said about a post, and why; some are looked at again by somebody else. Taken back, never removed."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    post = models.ForeignKey(PublicPost, models.PROTECT, related_name="judgements", db_index=False)
    verdict = models.CharField(_("judged"), max_length=8, choices=PostVerdict)
    reason = models.CharField(_("reason"), max_length=16, choices=NoAnswerReason, blank=True)
    words = models.CharField(_("in words"), max_length=300, blank=True)
    judged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("judged by"), db_index=False
    )
    at = models.DateTimeField(_("judged"))
    dismissal = models.ForeignKey(  # the conversation as a whole was dismissed; that has a second look of its own
        Dismissal, models.PROTECT, null=True, related_name="+", db_index=False
    )
    taken_back_at = models.DateTimeField(_("taken back"), null=True)
    drawn_at = models.DateTimeField(_("drawn on"), null=True)  # by the nightly sample
    second_look = models.CharField(_("second look"), max_length=8, choices=SecondLook, blank=True)
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
        verbose_name = _("judgement of a post")
        verbose_name_plural = _("judgements of posts")
        constraints = [
            models.UniqueConstraint(fields=["post"], condition=Q(taken_back_at=None), name="judgement_one_stands"),
            models.CheckConstraint(
                condition=Q(verdict=PostVerdict.ANSWER, reason="") | (~Q(reason="") & ~Q(words="")),
                name="judgement_no_answer_has_reason",
            ),
            models.CheckConstraint(
                condition=Q(second_look="", audited_by__isnull=True, audited_at__isnull=True)
                | (~Q(second_look="") & Q(audited_by__isnull=False, audited_at__isnull=False)),
                name="judgement_looked_at_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(audited_by__isnull=True) | ~Q(audited_by=F("judged_by")),
                name="judgement_looked_at_by_another",
            ),
        ]
        indexes = [
            models.Index(fields=["post", "-id"], name="judgement_of_post"),
            models.Index(
                fields=["-id"],
                name="judgement_no_answer",
                condition=Q(verdict=PostVerdict.NO_ANSWER, taken_back_at=None),
            ),
            models.Index(
                fields=["-id"],
                name="judgement_to_look_at",
                condition=Q(drawn_at__isnull=False, second_look="", taken_back_at=None),
            ),
            models.Index(fields=["audited_at"], name="judgement_audited", condition=~Q(second_look="")),
        ]
        permissions = [("audit_judgement", "Can look at judgements of posts again")]

    def __str__(self) -> str:
        return self.get_verdict_display()


class Reach(models.Model):
    """What a platform tells about an account and nobody may decide by: kept apart, 30 days, seen only by a logged look (N3)."""

    contact_point = models.OneToOneField(ContactPoint, models.PROTECT, related_name="+")
    followers = models.PositiveBigIntegerField(_("followers"), null=True)
    has_badge = models.BooleanField(_("marked as genuine by the platform"), null=True)
    avatar_url = models.CharField(_("address of the picture"), max_length=500, blank=True)  # never fetched (O01)
    avatar = models.BinaryField(_("picture"), null=True)
    told_at = models.DateTimeField(_("told"))

    class Meta:
        verbose_name = _("reach")
        verbose_name_plural = _("reach")
        indexes = [models.Index(fields=["told_at"], name="reach_by_age")]
        permissions = [("reveal_reach", "Can see reach, for a reason that is written down")]

    def __str__(self) -> str:
        return str(self.pk)


class ReachLook(models.Model):
    """One look at the reach of a customer: who, in which matter, why. Append-only."""

    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="+", db_index=False)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    reason = models.CharField(_("reason"), max_length=8, choices=RevealReason)
    words = models.CharField(_("in words"), max_length=300)
    at = models.DateTimeField(_("when"))

    class Meta:
        verbose_name = _("look at reach")
        verbose_name_plural = _("looks at reach")
        constraints = [models.CheckConstraint(condition=~Q(words=""), name="reach_look_has_words")]
        indexes = [models.Index(fields=["conversation", "at"], name="reach_look_of_conversation")]

    def __str__(self) -> str:
        return self.get_reason_display()
