"""Taking a file of customers back: whom only the file knows loses name and addresses, whoever has been heard of since stays."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from crm import history
from crm.actions.belongings import relations
from crm.models import (
    ContactPoint,
    Customer,
    CustomerImport,
    HistoryEntry,
    ImportedCustomer,
    Interaction,
    Merge,
    PersonSuggestion,
    User,
)
from crm.models.people import CustomerStatus

_AT_ONCE = 5_000


class NotTakenBack(Exception):
    """There is no such import, or it was taken back before."""

    code = "not_taken_back"


@dataclass(frozen=True, slots=True)
class TakenBack:
    """removed: customers that are gone again; kept: customers of the file that stay, because something hangs on them."""

    removed: int
    kept: int


@transaction.atomic
def undo(public_id: str, *, at: datetime, by: User | None = None) -> TakenBack:
    """Take a file back, all of it or nothing. Rows are gone through in portions, so that memory stays small.

    From customers whom we had before, the file's addresses are unlinked and the fields emptied that it filled.
    Raises NotTakenBack; then nothing has changed.
    """
    try:
        number = uuid.UUID(public_id)
    except ValueError:
        number = uuid.UUID(int=0)
    brought_by = CustomerImport.objects.select_for_update().filter(public_id=number, undone_at=None).first()
    if brought_by is None:
        raise NotTakenBack(_("There is no such import, or it was taken back before."))
    lines = ImportedCustomer.objects.filter(brought_by=brought_by)
    removed = met = 0
    last = 0
    # By customer, so that all rows of one person stand in one portion.
    while keys := list(
        lines.filter(customer__gt=last).order_by("customer").values_list("customer", flat=True).distinct()[:_AT_ONCE]
    ):
        last = keys[-1]
        gone = _take_back(
            list(lines.filter(customer__in=keys).select_related("customer").order_by("pk")), brought_by, by, at
        )
        removed, met = removed + gone, met + len(keys)
    lines.update(taken_back=True, claims=[], filled={})
    brought_by.undone_at = at
    brought_by.save(update_fields=["undone_at"])
    return TakenBack(removed=removed, kept=met - removed)


def _take_back(rows: list[ImportedCustomer], brought_by: CustomerImport, by: User | None, at: datetime) -> int:
    customers = {row.customer_id: row.customer for row in rows}
    gone = {row.customer_id for row in rows if row.is_new} - _used({*customers}, brought_by)
    for keys in _portions([key for row in rows for key in row.points]):
        ContactPoint.objects.filter(pk__in=keys, customer__in=gone).delete()
        spoken = Interaction.objects.filter(contact_point__in=keys).values("contact_point")
        ContactPoint.objects.filter(pk__in=keys, unlinked_at=None).exclude(pk__in=spoken).update(unlinked_at=at)
    for keys in _portions(sorted(gone)):
        PersonSuggestion.objects.filter(Q(one__in=keys) | Q(other__in=keys)).delete()
        Customer.objects.filter(pk__in=keys).update(
            display_name="", language="", custom={}, status=CustomerStatus.TAKEN_BACK
        )
    for row in rows:
        if row.customer_id not in gone and not row.is_new:
            _empty(row)
    ref = f"import:{brought_by.public_id}"
    HistoryEntry.objects.bulk_create(
        [
            history.entry(one, "customer.import_undone", ref=ref, by=by, at=at, origin="import")
            for one in customers.values()
        ],
        batch_size=1_000,
    )
    return len(gone)


def _portions(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), 1_000):
        yield values[start : start + 1_000]


def _used(customers: set[int], brought_by: CustomerImport) -> set[int]:
    """The customers on whom something hangs that the file did not bring: words, a permission, a case, another file, a merge."""
    found: set[int] = set()
    passed = (
        "crm.ContactPoint.customer",
        "crm.HistoryEntry.customer",
        "crm.PersonSuggestion.one",
        "crm.PersonSuggestion.other",
    )
    for relation in relations():
        if relation.name in passed:
            continue
        for keys in _portions(sorted(customers - found)):
            rows = relation.model._default_manager.filter(**{f"{relation.field}__in": keys})
            if relation.name == "crm.ImportedCustomer.customer":
                rows = rows.exclude(brought_by=brought_by).exclude(taken_back=True)
            found |= set(rows.values_list(f"{relation.field}_id", flat=True).distinct())
    found |= set(
        Customer.objects.filter(pk__in=customers).exclude(status=CustomerStatus.ACTIVE).values_list("pk", flat=True)
    )
    found |= set(Merge.objects.filter(gone__in=customers, undone_at=None).values_list("gone_id", flat=True))
    return found


def _empty(row: ImportedCustomer) -> None:
    customer = row.customer
    back = [name for name, value in row.filled.items() if "." not in name and getattr(customer, name) == value]
    for name in back:
        setattr(customer, name, "")
    own = {name.partition(".")[2]: value for name, value in row.filled.items() if name.startswith("custom.")}
    left = {code: value for code, value in customer.custom.items() if code not in own or own[code] != value}
    if left != customer.custom:
        customer.custom = left
        back.append("custom")
    if back:
        customer.save(update_fields=back)
