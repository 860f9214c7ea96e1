"""Our accounts at providers of channels, how each fares, and what customers changed or took back of what they had said."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Case, DateTimeField, ExpressionWrapper, F, Q, When
from django.db.models.functions import Now
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from crm.channels import Channel
from crm.models.ids import uuid7


class ChannelAccountQuerySet(models.QuerySet["ChannelAccount"]):
    def due(self, at: datetime) -> ChannelAccountQuerySet:
        """Those that are asked for news, switched on, asked by nobody now, and due; the first to be asked comes first."""
        free = Q(lease_until=None) | Q(lease_until__lt=Now())
        return self.filter(free, is_active=True, is_sandbox=False, ask_at__lte=at).order_by("ask_at", "pk")

    def to_be_asked(self) -> ChannelAccountQuerySet:
        """Those that are asked for news and are asked by nobody now, due or not; the first to be asked comes first."""
        free = Q(lease_until=None) | Q(lease_until__lt=Now())
        asked = self.filter(free, is_active=True, is_sandbox=False, ask_at__isnull=False)
        return asked.order_by("ask_at", "pk")

    def with_quiet_since(self) -> ChannelAccountQuerySet:
        """Each with `quiet_since`: when something came last, or when the account was set up."""
        since = Case(When(last_event_at=None, then=F("created_at")), default=F("last_event_at"))
        return self.annotate(quiet_since=ExpressionWrapper(since, output_field=DateTimeField()))


class ChannelAccount(models.Model):
    """One account of ours at a provider. Secrets stand in the environment or in files, never here."""

    # Stands in the address of its hook.
    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    provider = models.CharField(_("provider"), max_length=40)
    channel = models.CharField(_("channel"), max_length=16, choices=Channel)
    name = models.CharField(_("name"), max_length=80)
    own_id = models.CharField(_("our number or account there"), max_length=200, blank=True)
    settings = models.JSONField(_("settings"), default=dict)  # text by name, see Provider.settings; no secrets
    # Each the name of an environment variable, or the path of a file when it begins with a slash; see channels/kept_secrets.py.
    secret_from = models.CharField(_("where the secret for receiving stands"), max_length=400, blank=True)
    other_secret_from = models.CharField(_("where a second one stands"), max_length=400, blank=True)
    credential_from = models.CharField(_("where the credential for sending stands"), max_length=400, blank=True)
    is_sandbox = models.BooleanField(_("sandbox: nothing leaves"), default=True)
    is_active = models.BooleanField(_("switched on"), default=True)
    last_event_at = models.DateTimeField(_("last event"), null=True, editable=False)  # that was believed
    last_good_at = models.DateTimeField(_("last that went well"), null=True, editable=False)
    last_sent_at = models.DateTimeField(_("last answer accepted"), null=True, editable=False)
    error = models.CharField(_("last error"), max_length=300, blank=True, editable=False)
    error_at = models.DateTimeField(_("when"), null=True, editable=False)
    refused_count = models.PositiveBigIntegerField(_("posts not believed"), default=0, editable=False)
    refused_at = models.DateTimeField(_("last not believed"), null=True, editable=False)
    refused_because = models.CharField(max_length=12, blank=True, editable=False)  # "missing", "wrong", "old"
    # Only of those that are asked for news.
    ask_at = models.DateTimeField(_("asked next"), null=True, editable=False)
    cursor = models.TextField(blank=True, editable=False)
    failing_since = models.DateTimeField(_("failing since"), null=True, editable=False)
    attempt = models.PositiveIntegerField(default=0, editable=False)  # fences a poller that slept past its lease
    lease_until = models.DateTimeField(null=True, editable=False)  # by the database's clock
    created_at = models.DateTimeField(_("since"))

    objects = ChannelAccountQuerySet.as_manager()

    class Meta:
        verbose_name = _("channel account")
        verbose_name_plural = _("channel accounts")
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "own_id"], condition=~Q(own_id=""), name="channel_account_once"
            ),
            models.CheckConstraint(
                condition=Q(error="", error_at=None) | (~Q(error="") & Q(error_at__isnull=False)),
                name="channel_account_error_has_time",
            ),
        ]
        indexes = [models.Index(fields=["ask_at"], name="channel_account_asked", condition=Q(ask_at__isnull=False))]
        permissions = [("manage_channelaccount", "Can add, change and switch channel accounts")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_asked(self) -> bool:
        """Whether it is asked for news; the others post them."""
        return self.ask_at is not None

    @cached_property
    def source(self) -> str:
        """The source of its raw items and interactions."""
        return f"{HOOK}{self.provider}:{self.public_id}"


HOOK = "hook:"
"""What the source begins with of everything that came from a provider of a channel."""


class ChangeKind(models.TextChoices):
    EDIT = "edit", _("changed by the customer")
    DELETION = "deletion", _("taken back by the customer")


class MessageChange(models.Model):
    """A customer changed or took back something; each once, in whatever order they come, also before the message itself."""

    source = models.CharField(max_length=120)
    external_id = models.CharField(max_length=200)  # of the message
    event_id = models.CharField(max_length=200)
    interaction = models.ForeignKey(
        "crm.Interaction", models.PROTECT, null=True, related_name="changes", db_index=False
    )
    raw = models.ForeignKey("crm.RawItem", models.PROTECT, null=True, related_name="+", db_index=False)
    kind = models.CharField(_("what"), max_length=8, choices=ChangeKind)
    text = models.TextField(_("words after it"), blank=True)
    text_before = models.TextField(_("words before it"), blank=True)  # empty for one that was overtaken by a later one
    event_at = models.DateTimeField(_("when"))
    received_at = models.DateTimeField(_("told"))

    class Meta:
        verbose_name = _("change of a message")
        verbose_name_plural = _("changes of messages")
        constraints = [
            models.UniqueConstraint(fields=["source", "external_id", "event_id"], name="message_change_once"),
            models.CheckConstraint(
                condition=~Q(kind=ChangeKind.DELETION) | Q(text="", text_before=""),
                name="message_change_deletion_has_no_words",
            ),
        ]
        indexes = [
            models.Index(fields=["interaction", "event_at"], name="message_change_of", condition=~Q(interaction=None))
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.event_at:%Y-%m-%d %H:%M}"


class AwaitedFile(models.Model):
    """A file that a provider keeps for us until we have fetched it."""

    attachment = models.OneToOneField("crm.Attachment", models.PROTECT, related_name="awaited")
    account = models.ForeignKey(ChannelAccount, models.PROTECT, related_name="+", db_index=False)
    reference = models.CharField(max_length=2000)
    fetch_after = models.DateTimeField()

    class Meta:
        verbose_name = _("file to be fetched")
        verbose_name_plural = _("files to be fetched")

    def __str__(self) -> str:
        return str(self.attachment_id)
