"""Live contacts: who rings or waits at the counter, what became of it, and what was reported about it."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.channels import Channel
from crm.models.ids import uuid7
from crm.models.talk import Interaction
from crm.policy import CallEventKind, CallState, EndedBy

_RINGING, _TALKING, _ENDED = CallState.RINGING, CallState.TALKING, CallState.ENDED


class Call(models.Model):
    """One ringing phone, or one person waiting at the counter, until it was answered, ended and followed up.

    What its events add up to (policy.course_of), kept in columns; the events themselves stand in CallEvent.
    """

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    source = models.CharField(_("source"), max_length=120)
    external_id = models.CharField(_("id there"), max_length=160)
    channel = models.CharField(_("channel"), max_length=16, choices=Channel, default=Channel.PHONE)
    caller = models.CharField(
        _("caller"), max_length=320, blank=True
    )  # E.164; empty: withheld, or somebody at the counter
    caller_name = models.CharField(_("name"), max_length=200, blank=True)
    state = models.CharField(_("state"), max_length=8, choices=CallState, default=CallState.RINGING, editable=False)
    rang_at = models.DateTimeField(_("first ring"))
    answered_at = models.DateTimeField(_("answered"), null=True)
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("by"), db_index=False
    )
    hold_seconds = models.PositiveIntegerField(_("on hold, seconds"), default=0)  # holds that are over
    hold_began_at = models.DateTimeField(_("on hold since"), null=True)
    ended_at = models.DateTimeField(_("ended"), null=True)
    ended_by = models.CharField(_("ended by"), max_length=8, choices=EndedBy, blank=True)
    held_at = models.DateTimeField()  # when we first heard of it
    heard_at = models.DateTimeField()  # when we last heard of it
    trusted_from = models.DateTimeField(
        null=True
    )  # the last good delivery of its source before it: no event lies earlier
    interaction = models.ForeignKey(Interaction, models.PROTECT, null=True, related_name="+", db_index=False)
    written_down = models.ForeignKey(Interaction, models.PROTECT, null=True, related_name="+", db_index=False)
    said_all = models.BooleanField(null=True)  # the colleague's word; empty: told from how it ended
    call_back_agreed_at = models.DateTimeField(_("call-back agreed"), null=True)
    followed_up_at = models.DateTimeField(null=True)  # when it was decided what it leaves us to do

    class Meta:
        verbose_name = _("call")
        verbose_name_plural = _("calls")
        constraints = [
            models.UniqueConstraint(fields=["source", "external_id"], name="call_once"),
            models.CheckConstraint(condition=Q(channel__in=[Channel.PHONE, Channel.STORE]), name="call_is_live"),
            models.CheckConstraint(
                condition=Q(state=_RINGING, answered_at=None, ended_at=None)
                | Q(state=_TALKING, answered_at__isnull=False, ended_at=None)
                | Q(state=_ENDED, ended_at__isnull=False),
                name="call_state_says_what_happened",
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None, ended_by="") | (Q(ended_at__isnull=False) & ~Q(ended_by="")),
                name="call_ended_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(answered_at=None) | Q(answered_at__gte=F("rang_at")), name="call_answered_after_ring"
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None)
                | (Q(ended_at__gte=F("rang_at")) & (Q(answered_at=None) | Q(ended_at__gte=F("answered_at")))),
                name="call_ends_last",
            ),
            models.CheckConstraint(
                condition=Q(answered_at__isnull=False) | Q(answered_by=None, hold_seconds=0, written_down=None),
                name="call_unanswered_has_no_talk",
            ),
            models.CheckConstraint(
                condition=Q(hold_began_at=None) | Q(state=_TALKING, hold_began_at__gte=F("answered_at")),
                name="call_hold_is_within_talk",
            ),
            models.CheckConstraint(
                condition=Q(held_at__gte=F("rang_at"), heard_at__gte=F("held_at")), name="call_heard_after_ring"
            ),
            models.CheckConstraint(
                condition=Q(written_down=None, call_back_agreed_at=None) | Q(interaction__isnull=False),
                name="call_known_became_something",
            ),
            models.CheckConstraint(
                condition=Q(said_all=None) | Q(written_down__isnull=False), name="call_said_all_is_of_a_talk"
            ),
            models.CheckConstraint(
                condition=Q(call_back_agreed_at=None)
                | (Q(answered_at__isnull=False, followed_up_at__isnull=False) & ~Q(caller="")),
                name="call_agreed_can_be_called_back",
            ),
        ]
        indexes = [
            models.Index(fields=["id"], name="call_to_follow_up", condition=Q(followed_up_at=None)),
            models.Index(fields=["rang_at", "id"], name="call_live", condition=Q(ended_at=None)),
            models.Index(
                fields=["-ended_at", "-id"], name="call_to_write_down",
                condition=Q(ended_at__isnull=False, answered_at__isnull=False, written_down=None),
            ),
            models.Index(
                fields=["ended_at", "answered_by"], name="call_how_talks_end", condition=Q(answered_at__isnull=False)
            ),
        ]  # fmt: skip
        permissions = [
            ("report_calls", "Can report what phones and counters do"),
            ("import_calls", "Can bring in calls from a phone system's file"),
            ("view_how_talks_end", "Can see how often talks are ended by us"),
        ]

    def __str__(self) -> str:
        return self.caller_name or self.caller or str(_("Somebody unknown"))

    def waited(self, at: datetime) -> timedelta:
        """How long they waited to be answered, until now while they wait."""
        return max((self.answered_at or self.ended_at or at) - self.rang_at, timedelta(0))

    def on_hold(self, at: datetime) -> timedelta:
        """How long they were on hold altogether, until now while they are."""
        running = max(at - self.hold_began_at, timedelta(0)) if self.hold_began_at else timedelta(0)
        return timedelta(seconds=self.hold_seconds) + running

    def talked(self, at: datetime) -> timedelta | None:
        """How long the talk was, until now while it lasts; None when there was none."""
        return max((self.ended_at or at) - self.answered_at, timedelta(0)) if self.answered_at else None


class CallEvent(models.Model):
    """One reported event of a call. A trigger refuses to change or delete it; only the number may be forgotten."""

    call = models.ForeignKey(Call, models.PROTECT, related_name="events", db_index=False)
    source = models.CharField(max_length=120)
    event_id = models.CharField(max_length=160)
    kind = models.CharField(max_length=8, choices=CallEventKind)
    at = models.DateTimeField()  # as far as it is believed
    stated_at = models.DateTimeField(null=True)  # as it was claimed
    received_at = models.DateTimeField()
    in_time = models.BooleanField()  # reached us soon after it happened: a good delivery of its source
    caller = models.CharField(max_length=320, blank=True)
    colleague = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False)
    ended_by = models.CharField(max_length=8, choices=EndedBy, default=EndedBy.UNKNOWN)

    class Meta:
        verbose_name = _("event of a call")
        verbose_name_plural = _("events of calls")
        constraints = [
            models.UniqueConstraint(fields=["call", "event_id"], name="call_event_once"),
            models.CheckConstraint(condition=Q(received_at__gte=F("at")), name="call_event_not_in_the_future"),
        ]
        indexes = [
            models.Index(fields=["source", "-received_at"], name="call_event_good", condition=Q(in_time=True)),
            BrinIndex(fields=["received_at"], name="call_event_received", autosummarize=True),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.at:%Y-%m-%d %H:%M:%S}"
