"""One person behind several records: which may be one, which were made one, which were parted, and what files brought in."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.models.ids import uuid7
from crm.models.people import Customer


class SuggestionState(models.TextChoices):
    OPEN = "open", _("to be looked at")
    ONE = "one", _("one person")
    APART = "apart", _("two people")


class PersonSuggestion(models.Model):
    """Two customers who may be one person, and what speaks for it. A person decides; "two people" stays decided."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    one = models.ForeignKey(Customer, models.PROTECT, related_name="+", db_index=False)
    other = models.ForeignKey(Customer, models.PROTECT, related_name="+")
    likelihood = models.DecimalField(_("likelihood"), max_digits=5, decimal_places=4)
    evidence = models.JSONField(default=list)  # [field, level, weight]; never what stands in a field
    state = models.CharField(_("state"), max_length=8, choices=SuggestionState, default=SuggestionState.OPEN)
    made_at = models.DateTimeField(_("found"))
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False
    )
    decided_at = models.DateTimeField(_("decided"), null=True)
    because = models.CharField(_("why"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("suggestion that two customers are one")
        verbose_name_plural = _("suggestions that two customers are one")
        constraints = [
            models.UniqueConstraint(fields=["one", "other"], name="person_suggestion_once"),
            models.CheckConstraint(condition=Q(one__lt=F("other")), name="person_suggestion_of_two"),
            models.CheckConstraint(
                condition=Q(likelihood__gte=0, likelihood__lte=1), name="person_suggestion_likelihood"
            ),
            models.CheckConstraint(
                condition=Q(state=SuggestionState.OPEN) | Q(decided_at__isnull=False),
                name="person_suggestion_decided_when",
            ),
        ]
        indexes = [
            models.Index(
                fields=["-likelihood", "-id"],
                name="person_suggestion_likeliest",
                condition=Q(state=SuggestionState.OPEN),
            )
        ]

    def __str__(self) -> str:
        return f"{self.one_id} = {self.other_id}?"


class Merge(models.Model):
    """A person found that two customers are one: what belonged to `gone` belongs to `kept` since. Taken back, never removed."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    gone = models.ForeignKey(Customer, models.PROTECT, related_name="+", db_index=False)
    kept = models.ForeignKey(Customer, models.PROTECT, related_name="+", db_index=False)
    because = models.CharField(_("why"), max_length=300)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    at = models.DateTimeField(_("made one"))
    moved = models.JSONField(default=dict)  # keys of the rows that moved, by "app.Model.field"
    fields = models.JSONField(default=dict)  # of the kept customer: name -> [before, after]
    status_before = models.CharField(max_length=16)
    withdrawn = models.JSONField(default=list)  # consents that ended by it: [purpose, key of the grant, key of the end]
    undone_at = models.DateTimeField(_("taken back"), null=True)
    undone_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False)

    class Meta:
        verbose_name = _("customers made one")
        verbose_name_plural = _("customers made one")
        constraints = [
            models.UniqueConstraint(fields=["gone"], condition=Q(undone_at=None), name="merge_one_stands"),
            models.CheckConstraint(condition=~Q(gone=F("kept")), name="merge_of_two"),
            models.CheckConstraint(condition=~Q(because=""), name="merge_has_reason"),
            models.CheckConstraint(
                condition=Q(undone_at__isnull=True, undone_by__isnull=True)
                | Q(undone_at__isnull=False, undone_by__isnull=False),
                name="merge_undone_by_somebody",
            ),
        ]
        indexes = [models.Index(fields=["kept", "-id"], name="merge_into")]
        permissions = [("merge_customers", "Can say that two customers are one or two people, and take that back")]

    def __str__(self) -> str:
        return f"{self.gone_id} → {self.kept_id}"


class Parting(models.Model):
    """A person found that one record holds two people: what was chosen belongs to `made` since."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    source = models.ForeignKey(Customer, models.PROTECT, related_name="+", db_index=False)
    made = models.ForeignKey(Customer, models.PROTECT, related_name="+", db_index=False)
    because = models.CharField(_("why"), max_length=300)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    at = models.DateTimeField(_("parted"))
    moved = models.JSONField(default=dict)

    class Meta:
        verbose_name = _("customer parted in two")
        verbose_name_plural = _("customers parted in two")
        constraints = [
            models.UniqueConstraint(fields=["made"], name="parting_makes_one"),
            models.CheckConstraint(condition=~Q(because=""), name="parting_has_reason"),
        ]
        indexes = [models.Index(fields=["source", "-id"], name="parting_from")]

    def __str__(self) -> str:
        return f"{self.source_id} → {self.made_id}"


class CustomerImport(models.Model):
    """One file of customers that was brought in; it can be taken back."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    source = models.CharField(_("from"), max_length=120)  # the system whose ids the file carries
    file_name = models.CharField(_("file"), max_length=300)
    at = models.DateTimeField(_("brought in"))
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False)
    counts = models.JSONField(default=dict)
    rows_done = models.IntegerField(_("rows read"), default=0)  # an interrupted import goes on behind them
    finished_at = models.DateTimeField(_("finished"), null=True)
    undone_at = models.DateTimeField(_("taken back"), null=True)

    class Meta:
        verbose_name = _("import of customers")
        verbose_name_plural = _("imports of customers")
        indexes = [models.Index(fields=["-id"], name="customer_import_newest")]

    def __str__(self) -> str:
        return self.file_name


class ImportedCustomer(models.Model):
    """One row of a file: whom it became, what it added to them, and what it claimed that somebody else has already."""

    brought_by = models.ForeignKey(CustomerImport, models.PROTECT, related_name="rows", db_index=False)
    source = models.CharField(max_length=120)
    external_id = models.CharField(_("its id there"), max_length=200)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+")
    is_new = models.BooleanField()  # the row made the customer
    points = models.JSONField(default=list)  # keys of the contact points it added
    filled = models.JSONField(default=dict)  # fields that it filled: name -> value; our own as “custom.CODE”
    # [kind, address] that somebody else has; ["handle_name", …], ["consent.…", …]: what it says and nobody acts upon
    claims = models.JSONField(default=list)
    taken_back = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("row of an imported file")
        verbose_name_plural = _("rows of imported files")
        constraints = [
            models.UniqueConstraint(fields=["brought_by", "external_id"], name="imported_customer_once"),
        ]
        indexes = [
            models.Index(
                fields=["source", "external_id"], name="imported_customer_by_id", condition=Q(taken_back=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.external_id}"
