"""Mailboxes that we fetch mail from, and how each fared."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import models
from django.db.models import Case, DateTimeField, DurationField, ExpressionWrapper, F, Q, Value, When
from django.db.models.functions import Greatest, Least, Now
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from crm.policy import AfterFetch, MailboxSecurity
from crm.policy.mailboxes import ASKED_AT_LEAST_EVERY, ASKED_EVERY, SLOWS_BY


class MailboxQuerySet(models.QuerySet["Mailbox"]):
    def with_due_at(self) -> MailboxQuerySet:
        """Each with `due_at`, when it is asked next: `policy.mailboxes.asked_again_after` as the database says it."""
        slower = ExpressionWrapper(
            (F("last_tried_at") - F("failing_since")) / Value(SLOWS_BY), output_field=DurationField()
        )
        wait = Case(
            When(failing_since__isnull=False, then=Least(Greatest(slower, ASKED_EVERY), ASKED_AT_LEAST_EVERY)),
            When(waiting_count__gt=0, then=Value(timedelta(0))),
            default=Value(ASKED_EVERY),
            output_field=DurationField(),
        )
        asked = ExpressionWrapper(F("last_tried_at") + wait, output_field=DateTimeField())
        return self.annotate(due_at=Case(When(last_tried_at=None, then=F("created_at")), default=asked))

    def due(self, at: datetime) -> MailboxQuerySet:
        """Switched on, asked by nobody now, and due; those that are well come first, so that dead servers hold up none."""
        free = Q(lease_until=None) | Q(lease_until__lt=Now())
        asked: Any = self.with_due_at()  # the checker of types forgets what was annotated
        found = asked.filter(free, is_active=True, due_at__lte=at)
        ordered: MailboxQuerySet = found.order_by(F("failing_since").asc(nulls_first=True), "due_at", "pk")
        return ordered

    def waiting_since(self) -> datetime | None:
        """Since when the first of those that are switched on has been due, or will be; None when there is none. Not asked now."""
        free = Q(lease_until=None) | Q(lease_until__lt=Now())
        asked: Any = self.with_due_at().filter(free, is_active=True)
        first: datetime | None = asked.order_by("due_at").values_list("due_at", flat=True).first()
        return first


class Mailbox(models.Model):
    """One folder of one IMAP account. The password stands in the environment or a file, never here."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    address = models.CharField(_("address"), max_length=320)  # normalised; what customers write to
    host = models.CharField(_("server"), max_length=255)
    port = models.PositiveIntegerField(_("port"), default=993)
    security = models.CharField(_("security"), max_length=8, choices=MailboxSecurity, default=MailboxSecurity.TLS)
    # A PEM file; empty: the system's own authorities.
    ca_file = models.CharField(_("certificates of your own authority"), max_length=400, blank=True)
    username = models.CharField(_("log-in name"), max_length=320)
    # The name of an environment variable, or the path of a file when it begins with a slash.
    secret_from = models.CharField(_("where the password stands"), max_length=400)
    uses_token = models.BooleanField(_("it is an OAuth 2 access token"), default=False)
    folder = models.CharField(_("folder"), max_length=200, default="INBOX")
    after_fetch = models.CharField(_("afterwards"), max_length=8, choices=AfterFetch, default=AfterFetch.DELETE)
    move_to = models.CharField(_("folder for what was fetched"), max_length=200, blank=True)
    # How its server names itself in Authentication-Results and Received; only what that name wrote is believed (M13).
    border_host = models.CharField(_("the server's own name"), max_length=255, blank=True)
    is_active = models.BooleanField(_("switched on"), default=True)
    uid_validity = models.BigIntegerField(null=True, editable=False)
    last_uid = models.BigIntegerField(default=0, editable=False)  # only what is left there needs it
    last_tried_at = models.DateTimeField(_("last asked"), null=True, editable=False)
    last_good_at = models.DateTimeField(_("last good answer"), null=True, editable=False)
    waiting_count = models.PositiveIntegerField(_("waiting there"), default=0, editable=False)
    oldest_waiting_at = models.DateTimeField(_("oldest waiting since"), null=True, editable=False)
    fetched_count = models.PositiveBigIntegerField(_("fetched so far"), default=0, editable=False)
    error = models.CharField(_("last error"), max_length=300, blank=True, editable=False)
    failing_since = models.DateTimeField(_("failing since"), null=True, editable=False)
    attempt = models.PositiveIntegerField(default=0, editable=False)  # fences a poller that slept past its lease
    lease_until = models.DateTimeField(null=True, editable=False)  # by the database's clock
    created_at = models.DateTimeField(_("since"))

    objects = MailboxQuerySet.as_manager()

    class Meta:
        verbose_name = _("mailbox")
        verbose_name_plural = _("mailboxes")
        constraints = [
            models.UniqueConstraint(fields=["host", "username", "folder"], name="mailbox_once"),
            models.CheckConstraint(
                condition=~Q(after_fetch=AfterFetch.MOVE) | ~Q(move_to=""), name="mailbox_moves_somewhere"
            ),
            models.CheckConstraint(
                condition=Q(error="", failing_since=None) | (~Q(error="") & Q(failing_since__isnull=False)),
                name="mailbox_failing_has_error",
            ),
        ]
        permissions = [("manage_mailbox", "Can add, change and switch mailboxes")]

    def __str__(self) -> str:
        return self.address
