"""What is told outside: a certificate of every month, whether it stands in public, and how soon each channel answers."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from recovery.policy import CertificateResult


class ParityCertificate(models.Model):
    """What one month showed, good or bad. Written once, never changed; what it was made of stands in its fingerprints."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    month = models.DateField(_("month"))  # its first day
    since = models.DateTimeField(_("matters from"))
    until = models.DateTimeField(_("to before"))
    at = models.DateTimeField(_("as of"))  # a week after the month, whenever it was issued
    issued_at = models.DateTimeField(_("issued"))
    result = models.CharField(_("result"), max_length=16, choices=CertificateResult)
    matters = models.PositiveIntegerField(_("matters"))
    dismissed = models.PositiveIntegerField(_("needed no answer"))
    counts = models.JSONField(_("matters by channel"), default=dict)
    # Each: metric, result, margin (effect, low, high), channels and groups; each of these: name, verdict, effect, estimate, low,
    # high, n, n_versus, n_needed.
    metrics = models.JSONField(_("what was compared"), default=list)
    content_hash = models.CharField(_("fingerprint of what was read"), max_length=64)
    rows_hash = models.CharField(
        _("fingerprint of the file of rows"), max_length=64
    )  # SHA-256 of matters.csv, byte for byte

    class Meta:
        verbose_name = _("certificate of equal treatment")
        verbose_name_plural = _("certificates of equal treatment")
        constraints = [
            models.UniqueConstraint(fields=["month"], name="parity_certificate_once_a_month"),
            models.CheckConstraint(
                condition=Q(since__lt=F("until")) & Q(until__lte=F("at")) & Q(at__lte=F("issued_at")),
                name="parity_certificate_times",
            ),
            models.CheckConstraint(condition=Q(month__day=1), name="parity_certificate_of_a_whole_month"),
        ]

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"


class Disclosure(models.Model):
    """Somebody switched the public page of certificates on or off; the newest row counts."""

    is_public = models.BooleanField(_("in public"))
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    at = models.DateTimeField(_("when"))

    class Meta:
        verbose_name = _("publishing of certificates")
        verbose_name_plural = _("publishing of certificates")
        permissions = [("publish_paritycertificate", "Can show certificates of equal treatment to everybody")]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d} {self.is_public}"


class ResponseTimes(models.Model):
    """How soon each channel gave its first answer in the four weeks before one day; measured at night, shown in public (R062)."""

    day = models.DateField(_("day"))
    since = models.DateTimeField(_("matters from"))
    until = models.DateTimeField(_("to before"))
    # Each: channel, is_staffed, n, and the minutes by which half and nine in ten had an answer; null where that is not known.
    lines = models.JSONField(_("by channel"), default=list)

    class Meta:
        verbose_name = _("response times")
        verbose_name_plural = _("response times")
        constraints = [
            models.UniqueConstraint(fields=["day"], name="response_times_once_a_day"),
            models.CheckConstraint(condition=Q(since__lt=F("until")), name="response_times_window"),
        ]

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d}"
