"""Files of customers that colleagues uploaded: how each is to be read, how far it is, and what was found in it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from crm.models.persons import CustomerImport


class FileState(models.TextChoices):
    NEW = "new", _("its columns are to be named")
    READY = "ready", _("waiting")
    CLAIMED = "claimed", _("being read")
    TRIED = "tried", _("tried")
    KEPT = "kept", _("brought in")
    TAKEN_BACK = "taken_back", _("taken back")
    REFUSED = "refused", _("not readable")
    PARKED = "parked", _("stopped")


class FileWork(models.TextChoices):
    TRY = "try", _("try it")
    KEEP = "keep", _("bring it in")
    UNDO = "undo", _("take it back")


class CustomerFile(models.Model):
    """One uploaded file. The row itself is what is due: a lane claims it, and whoever claims it next goes on where it is."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    file = models.FileField(upload_to="customer-files/%Y/%m/", max_length=200, blank=True)  # "" once it was removed
    file_name = models.CharField(_("file"), max_length=300)
    size = models.BigIntegerField(_("size"))  # bytes
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    uploaded_at = models.DateTimeField(_("uploaded"))
    looked = models.JSONField(default=dict)  # what a first look found: columns, samples, guesses; emptied with the file
    table = models.JSONField(default=dict)  # columns, verified, id, source, delimiter, encoding, date_formats
    state = models.CharField(_("state"), max_length=12, choices=FileState, default=FileState.NEW)
    wanted = models.CharField(_("what is wanted"), max_length=8, choices=FileWork, blank=True)
    asked_at = models.DateTimeField(_("asked for"), null=True)
    rows_expected = models.IntegerField(_("rows, about"), default=0)
    rows_done = models.IntegerField(_("rows read"), default=0)
    counts = models.JSONField(default=dict)  # of the last try or of what was brought in
    reason = models.CharField(_("reason"), max_length=300, blank=True)
    brought_by = models.OneToOneField(CustomerImport, models.PROTECT, null=True, related_name="upload")
    attempt = models.PositiveSmallIntegerField(default=0)
    failed = models.PositiveSmallIntegerField(default=0)  # times in a row that it stopped at the same row
    due_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)  # by the database's clock
    settled_at = models.DateTimeField(_("finished"), null=True)

    class Meta:
        verbose_name = _("file of customers")
        verbose_name_plural = _("files of customers")
        constraints = [
            models.CheckConstraint(
                condition=~Q(state__in=[FileState.READY, FileState.CLAIMED])
                | (~Q(wanted="") & Q(due_at__isnull=False)),
                name="customer_file_due_is_wanted",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=[FileState.PARKED, FileState.REFUSED]) | ~Q(reason=""),
                name="customer_file_stopped_has_reason",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=[FileState.KEPT, FileState.TAKEN_BACK])
                | (Q(brought_by__isnull=False) & Q(settled_at__isnull=False)),
                name="customer_file_kept_has_import",
            ),
            models.CheckConstraint(condition=Q(rows_done__gte=0), name="customer_file_rows"),
        ]
        indexes = [
            models.Index(
                fields=["due_at", "id"],
                name="customer_file_due",
                condition=Q(state__in=[FileState.READY, FileState.CLAIMED]),
            ),
            models.Index(fields=["uploaded_at"], name="customer_file_stored", condition=~Q(file="")),
        ]
        permissions = [
            ("import_customers", "Can bring in customers from a file, and take that back"),
            ("export_customers", "Can write customers into a file"),
        ]

    def __str__(self) -> str:
        return self.file_name

    @property
    def is_due(self) -> bool:
        """Whether somebody works on it or will."""
        return self.state in (FileState.READY, FileState.CLAIMED)


class Found(models.TextChoices):
    REJECTED = "rejected", _("not taken in")
    SAME = "same", _("one person by a verified key")
    ALIKE = "alike", _("may be one person")


class ImportFinding(models.Model):
    """One thing that was found in an uploaded file, for its reports; gone with the file."""

    upload = models.ForeignKey(CustomerFile, models.PROTECT, related_name="findings", db_index=False)
    kind = models.CharField(max_length=8, choices=Found)
    line = models.IntegerField(null=True)  # of a row that is not taken in
    code = models.CharField(max_length=40, blank=True)
    content = models.TextField(blank=True)  # that row, or why it was not taken in
    reason = models.CharField(max_length=300, blank=True)
    one = models.CharField(max_length=200, blank=True)  # the file's ids of a pair
    other = models.CharField(max_length=200, blank=True)
    known = models.CharField(max_length=36, blank=True)  # public id of a customer we have
    likelihood = models.DecimalField(max_digits=5, decimal_places=4, null=True)
    evidence = models.JSONField(default=list)

    class Meta:
        verbose_name = _("finding in a file of customers")
        verbose_name_plural = _("findings in files of customers")
        constraints = [
            models.CheckConstraint(
                condition=~Q(kind=Found.REJECTED) | (Q(line__isnull=False) & ~Q(code="")),
                name="import_finding_rejected_says_why",
            ),
        ]
        indexes = [models.Index(fields=["upload", "kind", "id"], name="import_finding_of_file")]

    def __str__(self) -> str:
        return f"{self.kind} {self.line or self.one}"
