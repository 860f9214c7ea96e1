"""Agreed test pairs: who told us what under which address, and what became of it. Nothing of it is seen by those who answer."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.channels import Channel
from crm.models import Conversation, Customer
from crm.models.ids import uuid7
from crm.models.people import ContactKind
from recovery.policy import ProbeState


class ParityProbe(models.Model):
    """One pair: the same facts, told by two people who agreed to it, on two channels (R051)."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    title = models.CharField(_("name"), max_length=120)
    facts = models.JSONField(_("facts"))
    consent = models.TextField(_("who agreed, and how"))
    begins_at = models.DateTimeField(_("not before"))
    ends_at = models.DateTimeField(_("not after"))
    planned_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("planned by"), db_index=False
    )
    planned_at = models.DateTimeField(_("planned"))
    state = models.CharField(_("state"), max_length=12, choices=ProbeState, default=ProbeState.PLANNED, editable=False)
    words = models.TextField(_("how both were thanked, or why it was withdrawn"), blank=True)
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False)
    ended_at = models.DateTimeField(_("ended"), null=True)

    class Meta:
        verbose_name = _("test pair")
        verbose_name_plural = _("test pairs")
        constraints = [
            models.CheckConstraint(condition=Q(begins_at__lt=F("ends_at")), name="probe_window"),
            models.CheckConstraint(condition=~Q(consent=""), name="probe_is_agreed"),
            models.CheckConstraint(
                condition=Q(state=ProbeState.PLANNED, words="", ended_at__isnull=True, ended_by__isnull=True)
                | (~Q(state=ProbeState.PLANNED) & ~Q(words="") & Q(ended_at__isnull=False, ended_by__isnull=False)),
                name="probe_ended_in_words",
            ),
        ]
        indexes = [
            models.Index(fields=["-id"], name="probe_newest"),
            models.Index(fields=["id"], name="probe_planned", condition=Q(state=ProbeState.PLANNED)),
        ]
        permissions = [("plan_parityprobe", "Can plan test pairs and see which they are")]

    def __str__(self) -> str:
        return self.title


class ProbeSide(models.Model):
    """One side of a pair: by which channel and under which address it is told, when, and which matter it became."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    probe = models.ForeignKey(ParityProbe, models.PROTECT, related_name="sides", db_index=False)
    channel = models.CharField(_("channel"), max_length=16, choices=Channel)
    kind = models.CharField(_("kind of address"), max_length=8, choices=ContactKind)
    address = models.CharField(_("address"), max_length=320)  # as contact points are stored
    text = models.TextField(_("what is told"))
    tell_at = models.DateTimeField(_("to be told"))
    # Both come with the matter; nothing of a pair stands among customers before somebody really spoke.
    customer = models.ForeignKey(Customer, models.PROTECT, null=True, related_name="+", editable=False)
    conversation = models.OneToOneField(Conversation, models.PROTECT, null=True, related_name="+", editable=False)

    class Meta:
        verbose_name = _("side of a test pair")
        verbose_name_plural = _("sides of test pairs")
        constraints = [
            models.UniqueConstraint(fields=["probe", "channel"], name="probe_side_other_channel"),
            models.UniqueConstraint(fields=["kind", "address"], name="probe_side_own_address"),
            models.CheckConstraint(
                condition=Q(customer__isnull=True) ^ Q(conversation__isnull=False), name="probe_side_arrived"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.probe_id} {self.channel}"


class ProbeEvidence(models.Model):
    """What one side of a pair added to the evidence about its channel by one measure. Written once, in the order of its key."""

    side = models.ForeignKey(ProbeSide, models.PROTECT, related_name="evidence", db_index=False)
    metric = models.CharField(_("what"), max_length=40)
    channel = models.CharField(_("channel"), max_length=16)  # on which it was really told
    day = models.DateField(_("day"))  # the one after which it was counted
    began_at = models.DateTimeField(_("the first of both was told"))
    # As recovery/parity/probes.py says, this side against the other; null where the pair says nothing: its planner had a part,
    # both were told on one channel, or there was nothing to compare.
    difference = models.FloatField(null=True)
    gap_hours = models.FloatField(null=True)  # of a time: how much longer this side waited
    log_es = (
        models.JSONField()
    )  # one for each stake, added up since the evidence began or last rang; natural logarithms
    log_e = models.FloatField()  # of their average
    rang = models.BooleanField(_("rang"), default=False)

    class Meta:
        verbose_name = _("evidence of a test pair")
        verbose_name_plural = _("evidence of test pairs")
        constraints = [
            models.UniqueConstraint(fields=["side", "metric"], name="probe_evidence_once"),
            models.CheckConstraint(
                condition=Q(rang=False) | Q(difference__isnull=False), name="probe_evidence_rings_by_a_difference"
            ),
            models.CheckConstraint(
                condition=Q(difference__isnull=False) | Q(gap_hours__isnull=True),
                name="probe_evidence_gap_of_a_difference",
            ),
        ]
        indexes = [models.Index(fields=["metric", "channel", "id"], name="probe_evidence_adds_up")]

    def __str__(self) -> str:
        return f"{self.metric} · {self.channel} · {self.day:%Y-%m-%d}"
