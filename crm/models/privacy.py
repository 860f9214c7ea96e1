"""What people may ask of us about their own data: a copy of it, its end, and for how long anything is kept at all."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from crm.models.people import Customer
from crm.policy.privacy import AskedBy, ErasureState, PackageState, RetentionKind


class Erasure(models.Model):
    """Somebody asked that a person be forgotten. Asked for and carried out are two steps; a lane does the work."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+", db_index=False)
    asked_by = models.CharField(_("asked by"), max_length=16, choices=AskedBy)
    asked_by_words = models.CharField(_("how we know"), max_length=300)
    reason = models.TextField(_("reason"))
    noted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False)
    is_replayed = models.BooleanField(default=False, editable=False)  # after a restore, from the journal
    asked_at = models.DateTimeField(_("asked"))
    state = models.CharField(
        _("state"), max_length=12, choices=ErasureState, default=ErasureState.ASKED, editable=False
    )
    # Codes of what forbids it for now; looked at again by itself (P09).
    stands_in_the_way = models.JSONField(_("stands in the way"), default=list, editable=False)
    confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False
    )
    confirmed_at = models.DateTimeField(_("to be carried out since"), null=True, editable=False)
    # Every record that is the person, noted when the work begins; the guards of append-only tables read it.
    records = ArrayField(models.BigIntegerField(), default=list, editable=False)
    rule_version = models.PositiveSmallIntegerField(null=True, editable=False)
    step = models.CharField(
        max_length=80, blank=True, editable=False
    )  # what was done last, so that a new worker goes on
    raw_cursor = models.BigIntegerField(default=0, editable=False)
    counts = models.JSONField(default=dict, editable=False)  # rows by table
    attempt = models.PositiveSmallIntegerField(default=0, editable=False)
    failures = models.PositiveSmallIntegerField(default=0, editable=False)
    due_at = models.DateTimeField(null=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)  # by the database's clock
    trouble = models.CharField(_("trouble"), max_length=300, blank=True, editable=False)
    done_at = models.DateTimeField(_("done"), null=True, editable=False)

    class Meta:
        verbose_name = _("erasure")
        verbose_name_plural = _("erasures")
        constraints = [
            models.UniqueConstraint(
                fields=["customer"], condition=~Q(state__in=["done", "dropped"]), name="erasure_one_at_a_time"
            ),
            models.CheckConstraint(condition=~Q(reason="") & ~Q(asked_by_words=""), name="erasure_has_reason"),
            models.CheckConstraint(
                condition=Q(confirmed_by__isnull=True, confirmed_at__isnull=True)
                | Q(confirmed_by__isnull=False, confirmed_at__isnull=False)
                | Q(is_replayed=True, confirmed_at__isnull=False),
                name="erasure_confirmed_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(noted_by__isnull=False) | Q(is_replayed=True), name="erasure_noted_by_somebody"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["ready", "claimed", "done", "parked"]) | Q(confirmed_at__isnull=False),
                name="erasure_done_only_when_confirmed",
            ),
            models.CheckConstraint(condition=~Q(state="done") | Q(done_at__isnull=False), name="erasure_done_has_time"),
            models.CheckConstraint(
                condition=~Q(state="claimed") | Q(lease_until__isnull=False), name="erasure_claimed_has_lease"
            ),
        ]
        indexes = [
            models.Index(fields=["due_at", "id"], name="erasure_due", condition=Q(state__in=["ready", "claimed"])),
            models.Index(fields=["id"], name="erasure_restricted", condition=Q(state="restricted")),
            models.Index(fields=["-id"], name="erasure_newest"),
        ]
        permissions = [
            ("ask_erasure", "Can note that a customer asks to be forgotten"),
            ("erase_customer", "Can have a customer's data erased"),
        ]

    def __str__(self) -> str:
        return str(self.public_id)


class ErasureEntry(models.Model):
    """One line of the erasure journal, as it stands in the file outside the database; each holds the digest of the one before."""

    number = models.PositiveBigIntegerField(primary_key=True)
    customers = ArrayField(models.UUIDField())  # the public ids of every record that was the person
    addresses = ArrayField(models.CharField(max_length=64), default=list)  # keyed digests
    rule_version = models.PositiveSmallIntegerField()
    at = models.DateTimeField()
    digest = models.CharField(max_length=64)

    class Meta:
        verbose_name = _("line of the erasure journal")
        verbose_name_plural = _("lines of the erasure journal")

    def __str__(self) -> str:
        return str(self.number)


class Redeemed(models.Model):
    """What is given once was given to somebody who is erased: a keyed digest of their address, for as long as it counts."""

    what = models.CharField(max_length=60)  # "birthday:2026"
    digest = models.CharField(max_length=64)
    keep_until = models.DateTimeField()

    class Meta:
        verbose_name = _("thing given once")
        verbose_name_plural = _("things given once")
        constraints = [models.UniqueConstraint(fields=["what", "digest"], name="redeemed_once")]
        indexes = [models.Index(fields=["keep_until"], name="redeemed_by_age")]

    def __str__(self) -> str:
        return self.what


class DataPackage(models.Model):
    """One copy of everything about one person, made by a lane and removed after a week."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+", db_index=False)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False)
    note = models.CharField(_("how we know who asks"), max_length=300)
    asked_at = models.DateTimeField(_("asked"))
    state = models.CharField(_("state"), max_length=8, choices=PackageState, default=PackageState.READY, editable=False)
    attempt = models.PositiveSmallIntegerField(default=0, editable=False)
    failures = models.PositiveSmallIntegerField(default=0, editable=False)
    due_at = models.DateTimeField(editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)  # by the database's clock
    parts_done = models.PositiveIntegerField(default=0, editable=False)
    parts = models.PositiveIntegerField(default=0, editable=False)
    reason = models.CharField(_("trouble"), max_length=300, blank=True, editable=False)
    file = models.FileField(upload_to="packages/", max_length=200, blank=True, editable=False)
    size = models.PositiveBigIntegerField(_("size, bytes"), null=True, editable=False)
    made_at = models.DateTimeField(_("made"), null=True, editable=False)
    removed_at = models.DateTimeField(_("removed"), null=True, editable=False)

    class Meta:
        verbose_name = _("package of a customer's data")
        verbose_name_plural = _("packages of customers' data")
        constraints = [
            models.UniqueConstraint(
                fields=["customer"], condition=Q(state__in=["ready", "claimed"]), name="package_one_at_a_time"
            ),
            models.CheckConstraint(condition=~Q(note=""), name="package_has_note"),
            models.CheckConstraint(
                condition=~Q(state="done") | (Q(made_at__isnull=False, size__isnull=False) & ~Q(file="")),
                name="package_done_has_file",
            ),
            models.CheckConstraint(
                condition=~Q(state="claimed") | Q(lease_until__isnull=False), name="package_claimed_has_lease"
            ),
        ]
        indexes = [
            models.Index(fields=["due_at", "id"], name="package_due", condition=Q(state__in=["ready", "claimed"])),
            models.Index(fields=["customer", "-id"], name="package_of_customer"),
            models.Index(fields=["made_at"], name="package_to_remove", condition=Q(state="done")),
        ]
        permissions = [("export_customer", "Can have a copy of a customer's data made")]

    def __str__(self) -> str:
        return str(self.public_id)


class RetentionRule(models.Model):
    """For how long one kind of thing is kept; nothing is removed before somebody has switched it on."""

    kind = models.CharField(_("what"), max_length=24, choices=RetentionKind, unique=True)
    keep_days = models.PositiveIntegerField(_("kept for, days"))
    basis = models.CharField(_("why this long"), max_length=300)
    is_active = models.BooleanField(_("switched on"), default=False)
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False
    )
    changed_at = models.DateTimeField(_("changed"), null=True)

    class Meta:
        verbose_name = _("rule of what is kept")
        verbose_name_plural = _("rules of what is kept")
        constraints = [
            models.CheckConstraint(condition=Q(keep_days__gte=1), name="retention_at_least_a_day"),
            models.CheckConstraint(condition=~Q(basis=""), name="retention_has_basis"),
        ]
        permissions = [("set_retention", "Can say for how long things are kept")]

    def __str__(self) -> str:
        return self.get_kind_display()


class RetentionProof(models.Model):
    """What one run removed by one rule: how much, of what, from before when. Append-only."""

    kind = models.CharField(_("what"), max_length=24, choices=RetentionKind)
    keep_days = models.PositiveIntegerField(_("kept for, days"))
    before = models.DateTimeField(_("from before"))
    removed = models.PositiveIntegerField(_("removed"))
    at = models.DateTimeField(_("when"))

    class Meta:
        verbose_name = _("proof of removal")
        verbose_name_plural = _("proofs of removal")
        indexes = [models.Index(fields=["kind", "-at", "-id"], name="retention_proof_of_kind")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.at:%Y-%m-%d}"

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing to remove."""
        return self.removed == 0


def package_name(package: DataPackage, at: datetime) -> str:
    """The name of a package's file: unguessable, and nothing of the person."""
    return f"{at:%Y-%m-%d}-{package.public_id}.zip"
