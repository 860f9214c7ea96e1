"""What customers said and what we answered: raw input, interactions, and the conversations they belong to."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from crm.channels import Channel
from crm.models.ids import uuid7
from crm.models.mailboxes import Mailbox
from crm.models.people import ContactKind, ContactPoint, Customer
from crm.policy import ConversationState, Direction, EndedBy, OutgoingState, QueueClass, WorkState

if TYPE_CHECKING:
    from crm.models.staff import User


NO_PERSON = ["spam", "list", "unparsable", "auto_reply", "unsubscribe"]
"""Kinds of mail that open no conversation and that a person can look through; reports of mail servers are not among them."""


class RawItem(models.Model):
    """What arrived, byte for byte, kept before anybody acknowledges or reads it (promise Q1)."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    source = models.CharField(_("source"), max_length=120)
    external_id = models.CharField(_("id there"), max_length=200)  # sha256 of the bytes where the source has no id
    content = models.BinaryField()
    label = models.CharField(_("came as"), max_length=300, blank=True)  # a file name or an envelope sender; for people
    received_at = models.DateTimeField(_("received"))
    # Where it lay in a mailbox; the same place is fetched once (M18).
    mailbox = models.ForeignKey(Mailbox, models.PROTECT, null=True, editable=False, related_name="+", db_index=False)
    uid_validity = models.BigIntegerField(null=True, editable=False)
    uid = models.BigIntegerField(null=True, editable=False)
    # What carried it: envelope addresses, the server's own time; strings and numbers under plain names.
    facts = models.JSONField(_("how it came"), default=dict, db_default={}, editable=False)
    state = models.CharField(_("state"), max_length=8, choices=WorkState, default=WorkState.READY, editable=False)
    kind = models.CharField(_("kind"), max_length=24, blank=True, editable=False)
    reason = models.CharField(_("reason"), max_length=300, blank=True, editable=False)
    attempt = models.PositiveSmallIntegerField(default=0, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    # What a machine wrote about a matter (an automatic reply, a report that a mail came back); it is no answer (X5).
    about = models.ForeignKey(
        "crm.Conversation", models.PROTECT, null=True, related_name="automatic_mails", editable=False, db_index=False
    )

    class Meta:
        verbose_name = _("raw item")
        verbose_name_plural = _("raw items")
        constraints = [
            models.UniqueConstraint(fields=["source", "external_id"], name="raw_item_kept_once"),
            models.UniqueConstraint(
                fields=["mailbox", "uid_validity", "uid"],
                condition=Q(mailbox__isnull=False),
                name="raw_item_fetched_once",
            ),
            models.CheckConstraint(
                condition=~Q(state=WorkState.PARKED) | ~Q(reason=""), name="raw_item_parked_has_reason"
            ),
        ]
        indexes = [
            models.Index(
                fields=["id"], name="raw_item_due", condition=Q(state__in=[WorkState.READY, WorkState.CLAIMED])
            ),
            models.Index(fields=["-id"], name="raw_item_parked", condition=Q(state=WorkState.PARKED)),
            models.Index(fields=["about", "-id"], name="raw_item_about", condition=Q(about__isnull=False)),
            models.Index(fields=["kind", "-id"], name="raw_item_no_person", condition=Q(kind__in=NO_PERSON)),
        ]

    def __str__(self) -> str:
        return self.label or self.external_id[:12]


def may_see_every_conversation(user: User) -> bool:
    """Whether this account sees the conversations of all customers: a colleague with the right."""
    return user.is_staff and user.has_perm("crm.view_conversation")


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def visible_to(self, user: User) -> ConversationQuerySet:
        """Conversations this account may see: colleagues with the right see all, a customer sees their own.

        An account whose history is not open sees what began since, and what was said with this very account (C04).
        """
        if may_see_every_conversation(user):
            return self
        if not user.customer_id:
            return self.none()
        theirs = self.filter(customer_id=user.customer_id)
        if user.sees_since is None:
            return theirs
        said = Interaction.objects.filter(
            conversation=OuterRef("pk"),
            direction=Direction.INBOUND,
            contact_point__kind=ContactKind.APP,
            contact_point__address=str(user.public_id),
        )
        return theirs.filter(Q(spoke_at__gte=user.sees_since) | Exists(said))

    def waiting_for_us(self) -> ConversationQuerySet:
        return self.filter(state=ConversationState.OPEN)

    def in_due_order(self) -> ConversationQuerySet:
        """The one queue's order (policy.queue_key)."""
        return self.order_by("queue_class", "due_at", "spoke_at", "id")

    def unowned(self) -> ConversationQuerySet:
        return self.waiting_for_us().filter(owner=None)


class Conversation(models.Model):
    """A matter under discussion, whatever channels it runs over."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    # Where an index of its own begins with the same column, the key brings none: it would be written and mislead the planner.
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="conversations", db_index=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("owner")
    )
    subject = models.CharField(_("subject"), max_length=300, blank=True)
    channel = models.CharField(_("first channel"), max_length=16, choices=Channel, editable=False)
    state = models.CharField(
        _("state"), max_length=20, choices=ConversationState, default=ConversationState.OPEN, editable=False
    )
    queue_class = models.PositiveSmallIntegerField(choices=QueueClass, default=QueueClass.ORDINARY, editable=False)
    spoke_at = models.DateTimeField(_("spoke to us"), editable=False)  # the earliest; never moves later
    due_at = models.DateTimeField(_("due"), null=True, editable=False)  # the earliest running promise
    last_inbound_at = models.DateTimeField(null=True, editable=False)
    last_outbound_at = models.DateTimeField(null=True, editable=False)
    first_answer_at = models.DateTimeField(null=True, editable=False)
    imported = models.BooleanField(default=False, editable=False)
    # What it takes to settle it: a complaint type; asked for only where a RequiredSkill says so.
    skill = models.CharField(_("skill"), max_length=40, blank=True, default="", db_default="", editable=False)

    objects = ConversationQuerySet.as_manager()

    class Meta:
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        constraints = [
            # While a matter waits for us, a next time is always promised (R007).
            models.CheckConstraint(
                condition=~Q(state=ConversationState.OPEN) | Q(due_at__isnull=False), name="conversation_open_has_due"
            ),
        ]
        indexes = [
            models.Index(
                fields=["queue_class", "due_at", "spoke_at", "id"],
                name="conversation_queue",
                condition=Q(state=ConversationState.OPEN),
            ),
            models.Index(
                fields=["owner", "queue_class", "due_at"],
                name="conversation_of_owner",
                condition=Q(state=ConversationState.OPEN),
            ),
            models.Index(
                fields=["owner", "last_outbound_at"],
                name="conversation_waits_for_them",
                condition=Q(state=ConversationState.WAITING),
            ),
            models.Index(
                fields=["id"], name="conversation_unowned", condition=Q(state=ConversationState.OPEN, owner=None)
            ),
            models.Index(fields=["customer", "-id"], name="conversation_of_customer"),
            models.Index(fields=["-spoke_at", "-id"], name="conversation_newest"),
            # What became of older matters since a moment: how it stands now is told without reading all of them.
            models.Index(
                fields=["first_answer_at"], name="conversation_answered", condition=Q(first_answer_at__isnull=False)
            ),
        ]
        permissions = [("answer_conversation", "Can answer customers"), ("log_call", "Can log calls")]

    def __str__(self) -> str:
        return self.subject or str(_("Conversation %(number)s")) % {"number": self.pk}


class InteractionQuerySet(models.QuerySet["Interaction"]):
    def that_stand(self) -> InteractionQuerySet:
        """All but what we wrote and stopped before it left: nobody outside has read that."""
        return self.exclude(outgoing__state=OutgoingState.CANCELLED)

    def since(self, moment: datetime | None) -> InteractionQuerySet:
        """What was said from a moment on; everything when there is none."""
        return self if moment is None else self.filter(spoke_at__gte=moment)

    def shown_to_customers(self) -> InteractionQuerySet:
        """What a customer may read: no notes, and of our answers only what has left."""
        return self.exclude(direction=Direction.INTERNAL).filter(
            Q(outgoing=None) | Q(outgoing__accepted_at__isnull=False)
        )


class Interaction(models.Model):
    """One thing said, by the customer, by us, or between us; written once and not edited."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="interactions", db_index=False)
    direction = models.CharField(max_length=8, choices=Direction)
    channel = models.CharField(_("channel"), max_length=16, choices=Channel)
    contact_point = models.ForeignKey(ContactPoint, models.PROTECT, null=True, related_name="+")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    source = models.CharField(max_length=120)
    external_id = models.CharField(max_length=200)
    raw = models.ForeignKey(RawItem, models.PROTECT, null=True, related_name="+")
    subject = models.CharField(_("subject"), max_length=300, blank=True)
    text = models.TextField(_("text"), blank=True)
    full_text = models.TextField(blank=True)  # with what was quoted, where that differs
    html = models.TextField(blank=True)
    message_id = models.CharField(max_length=300, blank=True)
    language = models.CharField(max_length=16, blank=True)
    spoke_at = models.DateTimeField(_("spoke to us"))
    ingested_at = models.DateTimeField(_("reached us"))
    wait_seconds = models.PositiveIntegerField(_("waited, seconds"), default=0)
    hold_seconds = models.PositiveIntegerField(_("on hold, seconds"), default=0)
    call_seconds = models.PositiveIntegerField(_("call length, seconds"), null=True)
    ended_by = models.CharField(_("ended by"), max_length=8, choices=EndedBy, blank=True)  # calls and walk-aways only
    imported = models.BooleanField(default=False)
    # Somebody else than the customer, writing into the customer's matter (M06); their address, "" for the customer.
    other_address = models.CharField(
        _("written by somebody else"), max_length=320, blank=True, default="", db_default=""
    )
    edited_at = models.DateTimeField(_("changed by the customer"), null=True)
    # Its words are gone, as the provider's terms demand; the row and its clocks stay.
    withdrawn_at = models.DateTimeField(_("taken back by the customer"), null=True)

    objects = InteractionQuerySet.as_manager()

    class Meta:
        verbose_name = _("interaction")
        verbose_name_plural = _("interactions")
        constraints = [
            models.UniqueConstraint(fields=["source", "external_id"], name="interaction_received_once"),
            models.CheckConstraint(
                condition=Q(direction=Direction.INBOUND) | Q(author__isnull=False) | Q(imported=True),
                name="interaction_ours_has_author",
            ),
        ]
        indexes = [
            models.Index(fields=["conversation", "spoke_at", "id"], name="interaction_in_order"),
            models.Index(fields=["message_id"], name="interaction_message_id", condition=~Q(message_id="")),
            # Rows come in the order of this time, so an hour or a day is found by a few pages that writing hardly notices.
            BrinIndex(fields=["ingested_at"], name="interaction_by_day", autosummarize=True),
        ]

    def __str__(self) -> str:
        return f"{self.get_channel_display()} {self.spoke_at:%Y-%m-%d %H:%M}"


class AttachmentState(models.TextChoices):
    FETCHING = "fetching", _("being fetched from the provider")
    CHECKING = "checking", _("being checked for viruses")
    STORED = "stored", _("kept")
    QUARANTINED = "quarantined", _("kept apart")
    REFUSED = "refused", _("not kept")


class Attachment(models.Model):
    """A file that came with a message, under a name of our own."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    interaction = models.ForeignKey(Interaction, models.PROTECT, related_name="attachments")
    name = models.CharField(_("name"), max_length=200)
    content_type = models.CharField(_("type"), max_length=120)
    size = models.PositiveBigIntegerField(_("size, bytes"))
    state = models.CharField(_("state"), max_length=12, choices=AttachmentState)
    reason = models.CharField(_("reason"), max_length=300, blank=True)
    file = models.FileField(upload_to="attachments/%Y/%m/", max_length=200, blank=True)
    content_id = models.CharField(
        max_length=300, blank=True, default="", db_default="", editable=False
    )  # "cid:" of a mail
    # What becomes of it once the scanner has found nothing: stored, or quarantined for its reason.
    scanned_at = models.DateTimeField(_("checked"), null=True, editable=False)
    is_infected = models.BooleanField(_("infected"), default=False, db_default=False, editable=False)
    attempt = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = _("attachment")
        verbose_name_plural = _("attachments")
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=[AttachmentState.STORED, AttachmentState.CHECKING, AttachmentState.FETCHING])
                | ~Q(reason=""),
                name="attachment_kept_apart_has_reason",
            ),
            models.CheckConstraint(
                condition=Q(is_infected=False) | Q(state=AttachmentState.QUARANTINED),
                name="attachment_infected_is_kept_apart",
            ),
        ]
        indexes = [
            models.Index(fields=["id"], name="attachment_to_scan", condition=Q(state=AttachmentState.CHECKING)),
            models.Index(fields=["id"], name="attachment_to_fetch", condition=Q(state=AttachmentState.FETCHING)),
        ]
        permissions = [("open_quarantined", "Can fetch files that were kept apart")]

    def __str__(self) -> str:
        return self.name
