"""Fields of the house's own: set up, changed, retired, and filled in for a customer. Recovery fills in cases through `checked`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from crm import history
from crm.models import Customer, CustomField, User
from crm.models.fields import SeenBy
from crm.models.people import CustomerStatus
from crm.policy import fields as policy
from crm.policy.fields import FieldKind, FieldOf, UnusableField

FIELDS_AT_MOST = 50
"""Fields of one kind of record that may be in use; pages and forms show all of them."""
OPEN = (CustomerStatus.ACTIVE, CustomerStatus.CLOSED, CustomerStatus.DECEASED)
"""Customers in whose record something may still be written."""


class FieldKnown(Exception):
    """There is a field with this code."""

    code = "field_known"


class RecordClosed(Exception):
    """Nothing is written into this record any more."""

    code = "record_closed"


@transaction.atomic
def define(
    of: str,
    *,
    code: str,
    label: str,
    kind: str,
    by: User,
    at: datetime,
    choices: Sequence[str] = (),
    help: str = "",
    seen_by: str = SeenBy.STAFF,
    place: int = 0,
) -> CustomField:
    """Set up a field of customers or cases (a FieldOf). choices: for the kind “choice” alone. place: 0–999, lowest first.

    Raises UnusableField, FieldKnown; then nothing has changed.
    """
    if of not in FieldOf.values or kind not in FieldKind.values:
        raise UnusableField(_("Please choose from the list."))
    _room(of)
    field = CustomField(of=of, code=policy.usable_code(code.strip()), kind=kind, created_at=at)
    if CustomField.objects.filter(of=of, code=field.code).exists():
        raise FieldKnown(_("There is a field with this code. A retired one can be taken into use again."))
    _describe(field, label=label, choices=choices, help=help, seen_by=seen_by, place=place)
    field.save(force_insert=True)
    _record(field, "field.defined", by=by, at=at)
    return field


@transaction.atomic
def change(
    field_id: int,
    *,
    label: str,
    by: User,
    at: datetime,
    choices: Sequence[str] = (),
    help: str = "",
    seen_by: str = SeenBy.STAFF,
    place: int = 0,
    is_active: bool = True,
) -> CustomField:
    """Describe a field differently, or take a retired one into use again. Code and kind stay; so does what stands in records,
    also a choice that is no longer in the list.

    Raises CustomField.DoesNotExist, UnusableField; then nothing has changed.
    """
    field = CustomField.objects.select_for_update().get(pk=field_id)
    if is_active and not field.is_active:
        _room(field.of)
    _describe(field, label=label, choices=choices, help=help, seen_by=seen_by, place=place)
    field.is_active = is_active
    field.save(update_fields=["label", "choices", "help", "seen_by", "place", "is_active"])
    _record(field, "field.changed", by=by, at=at)
    return field


@transaction.atomic
def retire(field_id: int, *, by: User, at: datetime) -> CustomField:
    """Stop using a field: it is shown, asked for and found by no more. What stands in records is kept.

    Raises CustomField.DoesNotExist.
    """
    field = CustomField.objects.select_for_update().get(pk=field_id)
    if field.is_active:
        field.is_active = False
        field.save(update_fields=["is_active"])
        _record(field, "field.retired", by=by, at=at)
    return field


def _room(of: str) -> None:
    if CustomField.objects.in_use(of).count() >= FIELDS_AT_MOST:
        raise UnusableField(
            _("There are %(most)s fields in use already; please retire one first.") % {"most": FIELDS_AT_MOST}
        )


def _describe(field: CustomField, *, label: str, choices: Sequence[str], help: str, seen_by: str, place: int) -> None:
    label, help = " ".join(label.split()), help.strip()
    if not label or len(label) > 80 or "\x00" in label + help or len(help) > 300:
        raise UnusableField(_("Please give the field a name of 80 characters at most, and explain it in 300 at most."))
    if seen_by not in SeenBy.values or not 0 <= place <= 999:
        raise UnusableField(_("Please choose from the list."))
    field.label, field.help, field.seen_by, field.place = label, help, seen_by, place
    field.choices = policy.usable_choices(FieldKind(field.kind), choices)


def _record(field: CustomField, verb: str, *, by: User, at: datetime) -> None:
    detail = {"of": field.of, "code": field.code, "kind": field.kind, "seen_by": field.seen_by}
    history.record(None, verb, ref=f"custom_field:{field.public_id}", by=by, at=at, detail=detail)


def checked(of: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Bring values by code into the form in which they are kept, by the fields in use; None for what is to be taken away.

    Raises UnusableValue, which names the field.
    """
    return policy.checked([field.rule for field in CustomField.objects.in_use(of)], values)


def write(row: Any, of: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Write values into the fields of a row that the caller has locked; what stands in other fields stays.

    Returns what history keeps of it, {} when nothing is different. Raises UnusableValue; then nothing has changed.
    """
    fields = {field.code: field.rule for field in CustomField.objects.in_use(of)}
    before = row.custom
    after = policy.merged(before, policy.checked(fields.values(), values))
    if after == before:
        return {}
    row.custom = after
    row.save(update_fields=["custom"])
    return policy.change_of(fields.values(), before, after)


@transaction.atomic
def set_values(customer_id: int, values: Mapping[str, Any], *, by: User | None, at: datetime) -> Customer:
    """Write values into fields of a customer; None or "" takes one away, fields that are not named stay as they are.

    Raises Customer.DoesNotExist, UnusableValue, RecordClosed; then nothing has changed.
    """
    customer = Customer.objects.select_for_update().get(pk=customer_id)
    if customer.status not in OPEN:
        raise RecordClosed(
            _("Nothing is written into this record any more: %(status)s.") % {"status": customer.get_status_display()}
        )
    detail = write(customer, FieldOf.CUSTOMER, values)
    if detail:
        history.record(customer, "customer.fields", ref=f"customer:{customer.public_id}", by=by, at=at, detail=detail)
    return customer
