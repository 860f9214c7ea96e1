"""Places where customers talk: what listens there, who looked last, and the times in which nobody did."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.channels import Channel
from crm.models.channels import ChannelAccount
from crm.models.doors import Feed
from crm.models.ids import uuid7
from crm.models.mailboxes import Mailbox
from crm.policy import Cover


class ListeningPlace(models.Model):
    """One place where customers talk about us, whether or not it is ours."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    name = models.CharField(_("name"), max_length=120)
    channel = models.CharField(_("medium"), max_length=16, choices=Channel)
    url = models.CharField(_("link"), max_length=2000, blank=True)
    cover = models.CharField(_("how we listen"), max_length=8, choices=Cover, default=Cover.BY_HAND)
    account = models.ForeignKey(ChannelAccount, models.PROTECT, null=True, related_name="+", db_index=False)
    feed = models.ForeignKey(Feed, models.PROTECT, null=True, related_name="+", db_index=False)
    mailbox = models.ForeignKey(Mailbox, models.PROTECT, null=True, related_name="+", db_index=False)
    is_active = models.BooleanField(_("listed"), default=True)
    checked_at = models.DateTimeField(_("looked at by hand"), null=True, editable=False)
    created_at = models.DateTimeField(_("since"))

    class Meta:
        verbose_name = _("place where customers talk")
        verbose_name_plural = _("places where customers talk")
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="listening_place_has_name"),
            models.UniqueConstraint(fields=["url"], condition=~Q(url=""), name="listening_place_once"),
            models.CheckConstraint(
                condition=Q(cover=Cover.BY_HAND, account=None, feed=None, mailbox=None)
                | Q(cover=Cover.ACCOUNT, account__isnull=False, feed=None, mailbox=None)
                | Q(cover=Cover.FEED, account=None, feed__isnull=False, mailbox=None)
                | Q(cover=Cover.MAILBOX, account=None, feed=None, mailbox__isnull=False),
                name="listening_place_covered_by_one",
            ),
        ]
        permissions = [
            ("manage_listeningplace", "Can add, change and unlist places where customers talk"),
            ("check_listeningplace", "Can note that a place was looked at by hand"),
        ]

    def __str__(self) -> str:
        return self.name


class PlaceCheck(models.Model):
    """One look at a place by a person: what they found new there; each of it is noted as a matter of its own."""

    place = models.ForeignKey(ListeningPlace, models.PROTECT, related_name="checks", db_index=False)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    at = models.DateTimeField(_("looked at"))
    found = models.PositiveSmallIntegerField(_("noted"), default=0)

    class Meta:
        verbose_name = _("look at a place")
        verbose_name_plural = _("looks at places")
        indexes = [models.Index(fields=["place", "-id"], name="place_check_of_place")]

    def __str__(self) -> str:
        return f"{self.place_id} {self.at:%Y-%m-%d}"


class ListeningGap(models.Model):
    """A time in which nobody listened at a place. It moves no clock; it says what we cannot have heard."""

    place = models.ForeignKey(ListeningPlace, models.PROTECT, related_name="gaps", db_index=False)
    began_at = models.DateTimeField(_("from"))  # when somebody or something last listened, else since it is listed
    ended_at = models.DateTimeField(_("until"), null=True)
    seen_at = models.DateTimeField(_("seen"))

    class Meta:
        verbose_name = _("listening gap")
        verbose_name_plural = _("listening gaps")
        constraints = [
            models.UniqueConstraint(fields=["place"], condition=Q(ended_at=None), name="listening_gap_one_open"),
            models.CheckConstraint(
                condition=Q(ended_at=None) | Q(ended_at__gte=F("began_at")), name="listening_gap_ends_last"
            ),
        ]
        indexes = [models.Index(fields=["-began_at", "-id"], name="listening_gap_newest")]

    def __str__(self) -> str:
        return f"{self.place} {self.began_at:%Y-%m-%d}"
