"""Bringing in files of customers: who the rows are, who may be whom, and taking a file back. A file opts nobody in (R056, N7)."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import combinations
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from crm import history
from crm.actions import customer_rows
from crm.actions.belongings import relations
from crm.actions.customer_rows import Point, Prepared
from crm.channels.contact_files import Person
from crm.models import (
    ContactPoint,
    Customer,
    CustomerImport,
    HistoryEntry,
    ImportedCustomer,
    Interaction,
    Merge,
    PersonSuggestion,
)
from crm.models.people import ContactKind, CustomerStatus
from crm.policy import matching

RACES_TRIED = 5
_LOST_RACES = frozenset({"contact_point_one_customer"})
_AT_ONCE = 1_000
_LOOKED_UP = (ContactKind.EMAIL, ContactKind.PHONE, ContactKind.KEY, ContactKind.POSTAL)
_SUGGESTED_FOR_TWO = 1.0

Told = Callable[[int, int], None]


class NotTakenBack(Exception):
    """There is no such import, or it was taken back before."""

    code = "not_taken_back"


@dataclass(frozen=True, slots=True)
class Suggested:
    """Two rows, or a row and a customer we have, that may be one person. ids: the file's own; known: our customer's public id."""

    id: str | int
    other: str | int | None
    known: str
    score: float
    evidence: tuple[tuple[str, int, float], ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a file went. automatic: all pairs of rows that are one person by a verified key. left_out: parts of rows, by code."""

    created: int = 0
    updated: int = 0
    automatic: list[tuple[str | int, str | int]] = field(default_factory=list)
    suggested: list[Suggested] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    brought_by: CustomerImport | None = None


def bring_in(
    people: Sequence[Person],
    *,
    source: str,
    file_name: str,
    at: datetime,
    dry: bool = False,
    told: Told = lambda done, all_: None,
) -> Outcome:
    """Write the rows of a file as customers, in one transaction. dry: only say what would come of it.

    Rows that share a verified key are one customer, and one with whom we know by it; so is a row with the same id from the same
    source. Whatever else looks alike becomes a suggestion. What a customer has told us is not overwritten: a file fills what is
    empty. No consent is written: nothing is known of it, so nothing is allowed. told: hears how many pairs have been compared.
    """
    rows = [customer_rows.prepared(person, source=source) for person in people]
    for race in range(RACES_TRIED):
        try:
            with transaction.atomic():
                return _Import(rows, source=source, at=at, told=told).run(file_name, dry=dry)
        except IntegrityError as collision:
            constraint = getattr(getattr(collision.__cause__, "diag", None), "constraint_name", "")
            if constraint not in _LOST_RACES or race == RACES_TRIED - 1:
                raise  # somebody wrote to us from one of these addresses this instant: look again
    raise AssertionError("the loop above returns or raises")


class _Import:
    """One file on its way in. Numbers below `len(rows)` are rows, others customers we have."""

    def __init__(self, rows: Sequence[Prepared], *, source: str, at: datetime, told: Told) -> None:
        self.rows, self.source, self.at, self.told = rows, source, at, told
        self.held: dict[Point, int] = {}  # which customer has a contact point
        self.have: list[Customer] = []
        self.customer_of: dict[int, Customer] = {}

    def run(self, file_name: str, *, dry: bool) -> Outcome:
        records, verified = self._known()
        matched = matching.match(
            [*(row.record for row in self.rows), *records],
            verified=[*(row.verified for row in self.rows), *verified],
            told=self.told,
        )
        groups = self._groups(matched)
        size = len(self.rows)
        automatic = [
            (self.rows[one].id, self.rows[other].id)
            for members in groups
            for one, other in combinations([number for number in members if number < size], 2)
        ]
        created = sum(1 for members in groups if members[-1] < size)
        outcome = Outcome(
            created=created,
            updated=size - created,
            automatic=automatic,
            suggested=[self._suggested(like) for like in matched.suggested if like.one < size],
            left_out=Counter(code for row in self.rows for code in row.left_out),
        )
        if dry:
            return outcome
        brought_by = CustomerImport.objects.create(
            source=self.source,
            file_name=file_name[:300],
            at=self.at,
            counts={"created": created, "updated": size - created},
        )
        self._write(groups, brought_by)
        self._suggest(matched, groups)
        return Outcome(
            outcome.created, outcome.updated, outcome.automatic, outcome.suggested, outcome.left_out, brought_by
        )

    # --- whom we have -----------------------------------------------------------------------------------------------

    def _known(self) -> tuple[list[matching.Record], list[frozenset[str]]]:
        """The customers whom the rows may be: by a contact point, or by their id in the same source. Locked."""
        wanted: dict[ContactKind, set[str]] = defaultdict(set)
        for row in self.rows:
            for kind, address in row.points:
                wanted[kind].add(address)
        owners: set[int] = set()
        for kind in wanted:
            for addresses in _portions(sorted(wanted[kind])):
                found = ContactPoint.objects.filter(kind=kind, address__in=addresses, unlinked_at=None)
                for address, customer in found.values_list("address", "customer_id"):
                    self.held[kind, address] = customer
                    if kind in _LOOKED_UP:
                        owners.add(customer)
        by_id: dict[int, set[str]] = defaultdict(set)
        own = [row.id for row in self.rows if isinstance(row.id, str)]
        for ids in _portions(own):
            standing = ImportedCustomer.objects.filter(source=self.source, external_id__in=ids, taken_back=False)
            for external_id, customer in standing.values_list("external_id", "customer_id"):
                by_id[customer].add(f"id:{self.source}:{external_id}")
        living = (CustomerStatus.ACTIVE, CustomerStatus.CLOSED)
        for keys in _portions(sorted(owners | {*by_id})):
            rows = Customer.objects.select_for_update(of=("self",), no_key=True).filter(pk__in=keys, status__in=living)
            self.have += rows.order_by("pk")
        points: dict[int, list[tuple[Point, bool]]] = defaultdict(list)
        for keys in _portions([customer.pk for customer in self.have]):
            for point in ContactPoint.objects.filter(customer__in=keys, unlinked_at=None).order_by("pk"):
                points[point.customer_id].append(
                    ((ContactKind(point.kind), point.address), point.verified_at is not None)
                )
        records = [
            customer_rows.known(one.display_name, [point for point, _proved in points[one.pk]]) for one in self.have
        ]
        verified = [
            frozenset({*by_id[one.pk], *(f"{kind}:{value}" for (kind, value), proved in points[one.pk] if proved)})
            for one in self.have
        ]
        return records, verified

    def _groups(self, matched: matching.Matched) -> list[list[int]]:
        """Every row in its group, in the order of the file; a group has at most one customer we have, as its last member."""
        size = len(self.rows)
        grouped = {number for members in matched.groups for number in members}
        groups = [[number] for number in range(size) if number not in grouped]
        for members in matched.groups:
            rows = [number for number in members if number < size]
            if rows:  # two customers whom we have are never made one by a file
                groups.append(rows + [number for number in members if number >= size][:1])
        return sorted(groups)

    def _suggested(self, like: matching.Likeness) -> Suggested:
        size = len(self.rows)
        known = str(self.have[like.other - size].public_id) if like.other >= size else ""
        other = self.rows[like.other].id if like.other < size else None
        return Suggested(self.rows[like.one].id, other, known, like.score, like.evidence)

    # --- writing ----------------------------------------------------------------------------------------------------

    def _write(self, groups: list[list[int]], brought_by: CustomerImport) -> None:
        size = len(self.rows)
        fresh: list[Customer] = []
        filled: dict[int, dict[str, str]] = {}
        for members in groups:
            if members[-1] >= size:
                customer = self.have[members[-1] - size]
            else:
                customer = Customer(created_at=self.at)
                fresh.append(customer)
            named = next((self.rows[n].name for n in members if n < size and self.rows[n].name), "")
            spoken = next((self.rows[n].language for n in members if n < size and self.rows[n].language), "")
            told = {"display_name": named, "language": spoken}
            filled[members[0]] = {name: value for name, value in told.items() if value and not getattr(customer, name)}
            for name, value in filled[members[0]].items():
                setattr(customer, name, value)
            self.customer_of.update(dict.fromkeys(members, customer))
            if customer.pk is not None and filled[members[0]]:
                customer.save(update_fields=list(filled[members[0]]))
        Customer.objects.bulk_create(fresh, batch_size=_AT_ONCE)
        is_new = {customer.pk for customer in fresh}
        points: list[ContactPoint] = []
        lines: list[tuple[ImportedCustomer, list[ContactPoint]]] = []
        for members in groups:
            for number in members:
                if number < size:
                    lines.append(self._line(number, brought_by, points, is_new=self.customer_of[number].pk in is_new))
                    lines[-1][0].filled = filled.get(number, {})
        ContactPoint.objects.bulk_create(points, batch_size=_AT_ONCE)
        for line, added in lines:
            line.points = [point.pk for point in added]
        ImportedCustomer.objects.bulk_create([line for line, _added in lines], batch_size=_AT_ONCE)
        ref = f"import:{brought_by.public_id}"
        entries = [
            history.entry(customer, "customer.imported", ref=ref, by=None, at=self.at, origin="import")
            for customer in dict.fromkeys(self.customer_of[members[0]] for members in groups)
        ]
        HistoryEntry.objects.bulk_create(entries, batch_size=_AT_ONCE)

    def _line(
        self, number: int, brought_by: CustomerImport, points: list[ContactPoint], *, is_new: bool
    ) -> tuple[ImportedCustomer, list[ContactPoint]]:
        row, customer = self.rows[number], self.customer_of[number]
        added, claims = [], []
        for (kind, address), is_proved in row.points.items():
            holder = self.held.setdefault((kind, address), -customer.pk)
            if holder == -customer.pk:  # nobody had it before this row
                self.held[kind, address] = customer.pk
                added.append(
                    ContactPoint(
                        customer=customer,
                        kind=kind,
                        address=address,
                        verified_at=self.at if is_proved else None,
                        created_at=self.at,
                    )
                )
            elif holder != customer.pk:
                claims.append([kind.value, address])
        points += added
        line = ImportedCustomer(
            brought_by=brought_by,
            source=self.source,
            external_id=str(row.id),
            customer=customer,
            is_new=is_new,
            claims=claims,
        )
        return line, added

    def _suggest(self, matched: matching.Matched, groups: list[list[int]]) -> None:
        best: dict[tuple[int, int], PersonSuggestion] = {}

        def suggest(one: Customer, other: Customer, score: float, evidence: Sequence[Any]) -> None:
            first, second = sorted((one.pk, other.pk))
            if first != second and (first, second) not in best:
                best[first, second] = PersonSuggestion(
                    one_id=first, other_id=second, likelihood=score, evidence=list(evidence), made_at=self.at
                )

        size = len(self.rows)
        for number, customer in enumerate(self.have, start=size):
            self.customer_of.setdefault(number, customer)
        for members in matched.groups:
            ours = [self.have[number - size] for number in members if number >= size]
            for other in ours[1:]:
                suggest(ours[0], other, _SUGGESTED_FOR_TWO, [["key", matching.SAME, 0.0]])
        for like in matched.suggested:
            suggest(self.customer_of[like.one], self.customer_of[like.other], like.score, like.evidence)
        PersonSuggestion.objects.bulk_create(best.values(), ignore_conflicts=True, batch_size=_AT_ONCE)


def _portions(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]


# --- taking a file back -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TakenBack:
    """removed: customers that are gone again; kept: customers of the file that stay, because something hangs on them."""

    removed: int
    kept: int


@transaction.atomic
def undo(public_id: str, *, at: datetime) -> TakenBack:
    """Take a file back. A customer whom only the file knows loses name and addresses; whoever has been heard of since stays.

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
    rows = list(ImportedCustomer.objects.filter(brought_by=brought_by).select_related("customer").order_by("pk"))
    used = _used({row.customer_id for row in rows}, brought_by)
    gone = {row.customer_id for row in rows if row.is_new} - used
    points = [key for row in rows for key in row.points]
    for keys in _portions(points):
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
    ImportedCustomer.objects.filter(brought_by=brought_by).update(taken_back=True, claims=[], filled={})
    brought_by.undone_at = at
    brought_by.save(update_fields=["undone_at"])
    ref = f"import:{brought_by.public_id}"
    customers: Iterable[Customer] = {row.customer_id: row.customer for row in rows}.values()
    HistoryEntry.objects.bulk_create(
        [history.entry(one, "customer.import_undone", ref=ref, by=None, at=at, origin="import") for one in customers],
        batch_size=_AT_ONCE,
    )
    return TakenBack(removed=len(gone), kept=len({row.customer_id for row in rows}) - len(gone))


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
    back = [name for name, value in row.filled.items() if getattr(row.customer, name) == value]
    for name in back:
        setattr(row.customer, name, "")
    if back:
        row.customer.save(update_fields=back)
