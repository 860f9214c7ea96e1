"""What hangs on a customer, by the one table in evenhand/belongings.py, and which records are one person."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db.models import Model, Q, QuerySet
from django.utils.module_loading import import_string

from crm.models import Customer, Hold


class StayTogether(Exception):
    """What was chosen belongs together with what was not. Raised by whoever knows why."""

    code = "stay_together"


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation to a customer and what becomes of it; `told` is its line in the table."""

    name: str
    model: type[Model]
    field: str
    told: Any

    def of(self, customer_id: int) -> QuerySet[Any]:
        """The rows that hang on a customer by this relation."""
        return self.model._default_manager.filter(**{self.field: customer_id})

    def hand_over(self, rows: QuerySet[Any], *, to: int) -> list[int]:
        """Let rows of this relation hang on another customer. Returns their keys. In a transaction of the caller's."""
        keys = list(rows.select_for_update(of=("self",), no_key=True).order_by("pk").values_list("pk", flat=True))
        if keys:
            self.model._default_manager.filter(pk__in=keys).update(**{self.field: to})
        return keys


def relations() -> list[Relation]:
    """Every relation to a customer in the table, in its order."""
    found = []
    for name, told in settings.EVENHAND_BELONGINGS.items():
        app, model, field = name.split(".")
        found.append(Relation(name, apps.get_model(app, model), field, told))
    return found


def standing(customer: Customer) -> Customer:
    """The record that a customer is part of now: itself, unless it was made one with another."""
    return customer if customer.merged_into_id is None else Customer.objects.get(pk=customer.merged_into_id)


def records_of(customer: Customer) -> list[int]:
    """The keys of every record that is this person: the customer's own and those made one with it.

    One statement, or none for a customer who was read `with_records`.
    """
    others: list[int] | None = getattr(customer, "record_keys", None)
    if others is None:
        others = list(Customer.objects.filter(merged_into=customer.pk).order_by("pk").values_list("pk", flat=True))
    return [customer.pk, *others]


@dataclass(frozen=True, slots=True)
class Family:
    """Records that are one person's or came from one: made one, or parted off, however often. public_id: the oldest's."""

    records: frozenset[int]
    public_id: uuid.UUID


def families(customers: Collection[int]) -> dict[int, Family]:
    """The family of each customer; alone in it where nothing was made one or parted. What a person gets once counts for it.

    One statement, and one more for each step that a family reaches further.
    """
    known: dict[int, uuid.UUID] = {}
    parents: dict[int, int] = {}

    def oldest(one: int) -> int:
        while parents.setdefault(one, one) != one:
            one = parents[one]
        return one

    ahead, asked = set(customers), set[int]()
    while ahead:
        asked |= ahead
        near = Q(pk__in=ahead) | Q(merged_into__in=ahead) | Q(parted_from__in=ahead)
        found = Customer.objects.filter(near).order_by("pk")
        for pk, public_id, *linked in found.values_list("pk", "public_id", "merged_into", "parted_from"):
            known[pk] = public_id
            for other in filter(None, linked):
                one, two = sorted((oldest(pk), oldest(other)))
                parents[two] = one
        ahead = (set(known) | set(parents)) - asked
    members: dict[int, set[int]] = defaultdict(set)
    for one in known:
        members[oldest(one)].add(one)
    made = {root: Family(frozenset(records), known[root]) for root, records in members.items()}
    return {one: made[oldest(one)] for one in customers}


def both(*customers: int) -> list[Customer]:
    """Lock customers, in the order of their keys as everybody does. Rows that only refer to them need not wait for that.

    What is written about a record while it goes is gathered afterwards (`persons.gather`). Raises Customer.DoesNotExist.
    """
    rows = Customer.objects.select_for_update(of=("self",), no_key=True).order_by("pk").filter(pk__in=customers)
    found = {row.pk: row for row in rows}
    if set(customers) - set(found):
        raise Customer.DoesNotExist
    return [found[number] for number in customers]


def may_part(conversations: list[int]) -> None:
    """Ask whoever knows more of matters whether these may go to another record. Raises StayTogether."""
    for check in settings.EVENHAND_BEFORE_PARTING:
        import_string(check)(conversations)


def with_matters(source: int, conversations: list[int]) -> dict[str, list[int]]:
    """What goes along with matters, by relation: rows about them, and the holds that these rows placed."""
    found: dict[str, list[int]] = {}
    refs: list[str] = []
    for relation in relations():
        if relation.told.conversation:
            rows = relation.of(source).filter(**{f"{relation.told.conversation}__in": conversations})
            found[relation.name] = list(rows.order_by("pk").values_list("pk", flat=True))
            kind = relation.model._meta.model_name
            refs += [f"{kind}:{public_id}" for public_id in rows.values_list("public_id", flat=True)]
    holds = Hold.objects.filter(customer=source, key__in=refs)
    found["crm.Hold.customer"] = list(holds.order_by("pk").values_list("pk", flat=True))
    return found
