"""Doors that people open themselves: web forms, places where we listen, and what stands in public."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from crm.channels import PUBLIC, Channel
from crm.models.ids import uuid7
from crm.models.talk import Interaction


class WebForm(models.Model):
    """One contact form: a page of ours that may stand in a frame of the named sites, or be posted to from them."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    name = models.CharField(_("name"), max_length=120)  # for colleagues; visitors never read it
    origins = ArrayField(models.CharField(max_length=300), default=list, verbose_name=_("sites it may stand on"))
    takes_files = models.BooleanField(_("asks for files"), default=True)
    is_active = models.BooleanField(_("switched on"), default=True)
    created_at = models.DateTimeField(_("since"))

    class Meta:
        verbose_name = _("web form")
        verbose_name_plural = _("web forms")
        constraints = [models.CheckConstraint(condition=~Q(name=""), name="web_form_has_name")]
        permissions = [("manage_webform", "Can add, change and switch web forms")]

    def __str__(self) -> str:
        return self.name


class FormCount(models.Model):
    """How often a form was sent within an hour, from one network or ("") from all. Holds no address; kept for two days."""

    source = models.CharField(max_length=120)
    network = models.CharField(max_length=64, blank=True)  # keyed digest of an address prefix, another one every day
    hour = models.DateTimeField()
    number = models.PositiveIntegerField()

    class Meta:
        verbose_name = _("count of a form")
        verbose_name_plural = _("counts of forms")
        constraints = [models.UniqueConstraint(fields=["source", "network", "hour"], name="form_count_once")]
        indexes = [models.Index(fields=["hour"], name="form_count_by_hour")]

    def __str__(self) -> str:
        return f"{self.source} {self.hour:%Y-%m-%d %H}: {self.number}"


class FeedQuerySet(models.QuerySet["Feed"]):
    def due(self, at: datetime) -> FeedQuerySet:
        """Switched on, asked by nobody now, and due; those that are well come first, so that dead places hold up none."""
        free = Q(lease_until=None) | Q(lease_until__lt=Now())
        found: FeedQuerySet = self.filter(free, is_active=True, next_at__lte=at)
        return found.order_by(F("failing_since").asc(nulls_first=True), "next_at", "pk")

    def to_be_asked(self) -> FeedQuerySet:
        """Those that are switched on and are asked by nobody now, due or not; the first to be asked comes first."""
        free = Q(lease_until=None) | Q(lease_until__lt=Now())
        found: FeedQuerySet = self.filter(free, is_active=True).order_by("next_at", "pk")
        return found


class Feed(models.Model):
    """One RSS or Atom feed that we listen to: a blog, a forum, the comments under a video, a search for our name."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    url = models.CharField(_("address"), max_length=2000)
    name = models.CharField(_("name"), max_length=120)
    channel = models.CharField(_("medium"), max_length=16, choices=Channel)
    language = models.CharField(_("language"), max_length=16, blank=True)
    is_active = models.BooleanField(_("switched on"), default=True)
    asked_every = models.DurationField(_("asked every"), default=timedelta(minutes=15))
    # What the other side wants to be told of, so that it need not send again what we have (RFC 9110, 13.1).
    etag = models.CharField(max_length=300, blank=True, editable=False)
    last_modified = models.CharField(max_length=100, blank=True, editable=False)
    next_at = models.DateTimeField(_("asked next"), editable=False)
    last_tried_at = models.DateTimeField(_("last asked"), null=True, editable=False)
    last_good_at = models.DateTimeField(_("last good answer"), null=True, editable=False)
    heard_count = models.PositiveBigIntegerField(_("heard so far"), default=0, editable=False)
    newest_at = models.DateTimeField(_("newest"), null=True, editable=False)
    error = models.CharField(_("last error"), max_length=300, blank=True, editable=False)
    failing_since = models.DateTimeField(_("failing since"), null=True, editable=False)
    attempt = models.PositiveIntegerField(default=0, editable=False)  # fences a poller that slept past its lease
    lease_until = models.DateTimeField(null=True, editable=False)  # by the database's clock
    created_at = models.DateTimeField(_("since"))

    objects = FeedQuerySet.as_manager()

    class Meta:
        verbose_name = _("feed")
        verbose_name_plural = _("feeds")
        constraints = [
            models.UniqueConstraint(fields=["url"], name="feed_once"),
            models.CheckConstraint(condition=Q(channel__in=sorted(PUBLIC)), name="feed_is_public"),
            models.CheckConstraint(condition=Q(asked_every__gte=timedelta(seconds=30)), name="feed_asked_politely"),
            models.CheckConstraint(
                condition=Q(error="", failing_since=None) | (~Q(error="") & Q(failing_since__isnull=False)),
                name="feed_failing_has_error",
            ),
        ]
        permissions = [("manage_feed", "Can add, change and switch feeds")]

    def __str__(self) -> str:
        return self.name


class Publication(models.Model):
    """Where something that a customer said stands for everybody to read. Who reads it, or how many, is not kept."""

    interaction = models.OneToOneField(Interaction, models.PROTECT, related_name="publication")
    url = models.CharField(_("link"), max_length=2000, blank=True)
    url_key = models.CharField(max_length=64, blank=True)  # sha256 of the link without what only counts clicks
    site = models.CharField(_("place"), max_length=120, blank=True)
    rating = models.DecimalField(_("rating"), max_digits=5, decimal_places=2, null=True)
    rated_out_of = models.DecimalField(_("out of"), max_digits=5, decimal_places=2, null=True)
    published_at = models.DateTimeField(_("published"), null=True)  # as the place states it

    class Meta:
        verbose_name = _("publication")
        verbose_name_plural = _("publications")
        constraints = [
            models.CheckConstraint(
                condition=Q(rating=None, rated_out_of=None)
                | Q(rating__gte=0, rated_out_of__gt=0, rating__lte=F("rated_out_of")),
                name="publication_rating_within",
            ),
            models.CheckConstraint(
                condition=Q(url="", url_key="") | ~(Q(url="") | Q(url_key="")), name="publication_link_has_key"
            ),
        ]
        permissions = [("import_reviews", "Can bring in reviews from a file")]
        indexes = [models.Index(fields=["url_key"], name="publication_by_link", condition=~Q(url_key=""))]

    def __str__(self) -> str:
        return self.url or self.site
