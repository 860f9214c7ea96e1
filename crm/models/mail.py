"""Mail: the mailboxes we fetch from, the reply addresses we gave, what a person should look at, and what became of what left."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from crm.models.outgoing import OutgoingMessage
from crm.models.talk import Conversation, Interaction, RawItem
from crm.policy import Delivery, DoubtCode, LookedAs


class ReplyToken(models.Model):
    """One reply address: it lets one correspondent speak in one matter. Only a digest is kept, and half of its key."""

    nonce = models.CharField(max_length=32)  # hex; with the installation's key it makes the token again
    digest = models.CharField(max_length=64)  # sha256 of the token; nothing in this table is the token
    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="+", db_index=False)
    address = models.CharField(_("given to"), max_length=320)
    created_at = models.DateTimeField(_("given on"))
    expires_at = models.DateTimeField(_("works until"))
    revoked_at = models.DateTimeField(_("taken back on"), null=True)
    revoked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False
    )

    class Meta:
        verbose_name = _("reply address")
        verbose_name_plural = _("reply addresses")
        constraints = [
            models.UniqueConstraint(fields=["digest"], name="reply_token_once"),
            models.UniqueConstraint(
                fields=["conversation", "address"],
                condition=Q(revoked_at=None),
                name="reply_token_one_works",
            ),
        ]

    def __str__(self) -> str:
        return self.address


class Doubt(models.Model):
    """Something about a message that a person should look at. It holds nothing back and links nothing by itself."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    interaction = models.ForeignKey(Interaction, models.PROTECT, related_name="doubts", db_index=False)
    code = models.CharField(_("what"), max_length=20, choices=DoubtCode)
    # The matter it may belong to; linked only when a person says so.
    conversation = models.ForeignKey(
        Conversation, models.PROTECT, null=True, related_name="suggested", verbose_name=_("may belong to")
    )
    raised_at = models.DateTimeField(_("since"))
    settled_at = models.DateTimeField(_("settled on"), null=True)
    settled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False
    )
    is_linked = models.BooleanField(_("belongs to it"), null=True)

    class Meta:
        verbose_name = _("message to look at")
        verbose_name_plural = _("messages to look at")
        constraints = [
            models.UniqueConstraint(fields=["interaction", "code"], name="doubt_once"),
            models.CheckConstraint(
                condition=Q(settled_at=None, settled_by=None, is_linked=None)
                | Q(settled_at__isnull=False, settled_by__isnull=False, is_linked__isnull=False),
                name="doubt_settled_by_somebody",
            ),
            models.CheckConstraint(
                condition=~Q(is_linked=True) | Q(conversation__isnull=False), name="doubt_linked_to_something"
            ),
        ]
        indexes = [models.Index(fields=["-id"], name="doubt_open", condition=Q(settled_at=None))]

    def __str__(self) -> str:
        return self.get_code_display()


class SetAside(models.Model):
    """What a person said about a raw item that became no conversation (spam, list mail, unreadable), or that they are asked to."""

    raw = models.OneToOneField(RawItem, models.PROTECT, related_name="set_aside")
    drawn_at = models.DateTimeField(_("drawn on"), null=True)  # by the nightly sample
    verdict = models.CharField(_("verdict"), max_length=8, choices=LookedAs, blank=True)
    looked_at = models.DateTimeField(_("looked at"), null=True)
    looked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False)
    interaction = models.ForeignKey(  # what it became when a customer had written it after all
        Interaction, models.PROTECT, null=True, related_name="+", db_index=False
    )

    class Meta:
        verbose_name = _("mail set aside")
        verbose_name_plural = _("mails set aside")
        constraints = [
            models.CheckConstraint(
                condition=Q(verdict="", looked_at=None, looked_by=None)
                | (~Q(verdict="") & Q(looked_at__isnull=False, looked_by__isnull=False)),
                name="set_aside_looked_at_by_somebody",
            ),
        ]
        indexes = [
            models.Index(fields=["-id"], name="set_aside_drawn", condition=Q(verdict="", drawn_at__isnull=False))
        ]

    def __str__(self) -> str:
        return str(self.raw)


class DeliveryEvent(models.Model):
    """What the other side told about a message after accepting it; each report once, in whatever order they come."""

    message = models.ForeignKey(OutgoingMessage, models.PROTECT, related_name="delivery_events", db_index=False)
    kind = models.CharField(_("what"), max_length=12, choices=Delivery)
    is_permanent = models.BooleanField(_("for good"), default=False)
    source = models.CharField(_("told by"), max_length=40)  # "bounce mail", "postmark" …
    external_id = models.CharField(max_length=200)  # dedupe key within the source
    reason = models.CharField(_("reason"), max_length=300, blank=True)
    event_at = models.DateTimeField(_("when"))
    received_at = models.DateTimeField(_("told"))

    class Meta:
        verbose_name = _("delivery report")
        verbose_name_plural = _("delivery reports")
        constraints = [
            models.UniqueConstraint(fields=["source", "external_id"], name="delivery_event_once"),
        ]
        indexes = [models.Index(fields=["message", "event_at"], name="delivery_event_of_message")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.event_at:%Y-%m-%d %H:%M}"


class AnswerDraft(models.Model):
    """An answer that somebody has begun: kept on the server, one a person and conversation, shared when they wish."""

    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="drafts", db_index=False)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    text = models.TextField(_("text"), blank=True)
    is_shared = models.BooleanField(_("colleagues may read it"), default=False)
    updated_at = models.DateTimeField(_("kept"))

    class Meta:
        verbose_name = _("draft")
        verbose_name_plural = _("drafts")
        constraints = [
            models.UniqueConstraint(fields=["conversation", "author"], name="answer_draft_one_each"),
        ]

    def __str__(self) -> str:
        return self.text[:60]
