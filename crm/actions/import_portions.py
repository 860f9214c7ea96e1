"""One portion of a file of customers on its way in: who its rows are, who may be whom, and their writing in one go."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import combinations
from typing import Any

from crm import history
from crm.actions import consent, customer_rows, likely_customers
from crm.actions.customer_rows import Point, Prepared
from crm.models import ContactPoint, Customer, CustomerImport, HistoryEntry, ImportedCustomer, PersonSuggestion
from crm.models.people import ContactKind, CustomerStatus
from crm.policy import matching
from crm.policy.consent import named

_AT_ONCE = 1_000
_LOOKED_UP = (ContactKind.EMAIL, ContactKind.PHONE, ContactKind.KEY, ContactKind.POSTAL, ContactKind.HANDLE)
_SUGGESTED_FOR_TWO = 1.0

Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Suggested:
    """Two rows, or a row and a customer we have, that may be one person. ids: the file's own; known: our customer's public id."""

    id: str | int
    other: str | int | None
    known: str
    score: float
    evidence: tuple[tuple[str, int, float], ...]


@dataclass(slots=True)
class Outcome:
    """How a file went. automatic: all pairs of rows that are one person by a verified key. left_out: parts of rows, by code.

    unknown: what the rows say of consents, and nobody acts upon. rows: how many were read. rejected: by code. compared: rows of a
    portion and customers that were like them.
    """

    created: int = 0
    updated: int = 0
    automatic: list[tuple[str | int, str | int]] = field(default_factory=list)
    suggested: list[Suggested] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    unknown: int = 0
    rows: int = 0
    compared: int = 0
    brought_by: CustomerImport | None = None

    def add(self, part: Outcome) -> None:
        """Add what a further portion of the file brought."""
        self.created += part.created
        self.updated += part.updated
        self.automatic += part.automatic
        self.suggested += part.suggested
        self.left_out += part.left_out
        self.rejected += part.rejected
        self.unknown += part.unknown
        self.rows += part.rows

    @property
    def counts(self) -> dict[str, Any]:
        """The figures, as they are kept."""
        known = sum(1 for one in self.suggested if one.known)
        return {
            "created": self.created,
            "updated": self.updated,
            "automatic": len(self.automatic),
            "suggested": len(self.suggested) - known,
            "suggested_known": known,
            "unknown": self.unknown,
            "rejected": dict(self.rejected.most_common()),
            "left_out": dict(self.left_out.most_common()),
        }


class Seen:
    """What a trial remembers of earlier portions, which it does not write: whose rows carry which verified key."""

    def __init__(self) -> None:
        self.group_of: dict[str, int] = {}
        self.rows: dict[int, list[str | int]] = {}


class Portion:
    """Rows on their way in. Numbers below `len(rows)` are rows, others customers we have."""

    def __init__(
        self,
        rows: Sequence[Prepared],
        *,
        source: str,
        at: datetime,
        told: Told,
        brought_by: CustomerImport | None,
        seen: Seen,
    ) -> None:
        self.rows, self.source, self.at, self.told = rows, source, at, told
        self.brought_by, self.seen = brought_by, seen
        self.held: dict[Point, int] = {}  # which customer has a contact point
        self.have: list[Customer] = []
        self.likely: list[tuple[int, int]] = []
        self.customer_of: dict[int, Customer] = {}
        self.earlier: dict[int, list[str | int]] = {}  # by customer: the rows of this file that are them already

    def run(self) -> Outcome:
        """Compare the rows and write them; in a trial only compare."""
        if not self.rows:
            return Outcome()
        records, verified = self._known()
        size = len(self.rows)
        matched = matching.match(
            [*(row.record for row in self.rows), *records],
            verified=[*(row.verified for row in self.rows), *verified],
            fresh=size,
            likely=self.likely,
            told=self.told,
        )
        groups = self._groups(matched)
        outcome = Outcome(
            automatic=[pair for members in groups for pair in self._pairs(members)],
            suggested=[self._suggested(like) for like in matched.suggested if like.one < size],
            left_out=Counter(code for row in self.rows for code in row.left_out),
            unknown=sum(len(row.unknown) for row in self.rows),
            compared=size + len(self.have),
        )
        if self.brought_by is None:
            outcome.created = self._tried(groups, outcome)
        else:
            outcome.created = sum(1 for members in groups if members[-1] < size)
            self._write(groups, self.brought_by)
            self._suggest(matched, groups)
        outcome.updated = size - outcome.created
        return outcome

    # --- whom we have -----------------------------------------------------------------------------------------------

    def _known(self) -> tuple[list[matching.Record], list[frozenset[str]]]:
        """The customers whom the rows may be: by a contact point, by their id in the same source (these are locked), or because
        they are worth comparing."""
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
        sure = owners | {*by_id}
        likely = likely_customers.of_rows(self.rows)
        self._read(sure, lock=self.brought_by is not None)
        self._read({customer for _row, customer in likely} - sure, lock=False)
        place = {customer.pk: number for number, customer in enumerate(self.have, start=len(self.rows))}
        self.likely = [(row, place[customer]) for row, customer in likely if customer in place]
        self._read_earlier()
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

    def _read(self, customers: set[int], *, lock: bool) -> None:
        living = (CustomerStatus.ACTIVE, CustomerStatus.CLOSED)
        for keys in _portions(sorted(customers)):
            rows = Customer.objects.filter(pk__in=keys, status__in=living)
            if lock:
                rows = rows.select_for_update(of=("self",), no_key=True)
            self.have += rows.order_by("pk")

    def _read_earlier(self) -> None:
        """Which rows of this very file, of earlier portions, the customers we have are already."""
        if self.brought_by is None or not self.brought_by.rows_done:
            return
        numbered = isinstance(self.rows[0].id, int)
        for keys in _portions([customer.pk for customer in self.have]):
            lines = ImportedCustomer.objects.filter(brought_by=self.brought_by, customer__in=keys).order_by("pk")
            for customer, one in lines.values_list("customer_id", "external_id"):
                self.earlier.setdefault(customer, []).append(int(one) if numbered else one)

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

    def _pairs(self, members: list[int]) -> Iterator[tuple[str | int, str | int]]:
        """All pairs of this file's rows that are one person and of which one at least is new."""
        size = len(self.rows)
        rows = [self.rows[number].id for number in members if number < size]
        earlier = self.earlier.get(self.have[members[-1] - size].pk, []) if members[-1] >= size else []
        yield from ((one, other) for one in earlier for other in rows)
        yield from combinations(rows, 2)

    def _tried(self, groups: list[list[int]], outcome: Outcome) -> int:
        """In a trial: how many customers would be new; whom an earlier portion had is known from then on."""
        size, created = len(self.rows), 0
        noted: list[tuple[int, set[str], list[str | int]]] = []
        for members in groups:
            rows = [number for number in members if number < size]
            ids = [self.rows[number].id for number in rows]
            keys = {key for number in rows for key in self.rows[number].verified}
            group = next((self.seen.group_of[key] for key in sorted(keys) if key in self.seen.group_of), None)
            created += group is None and members[-1] < size
            if group is None:
                group = len(self.seen.rows) + len(noted)
            outcome.automatic += [(one, other) for one in self.seen.rows.get(group, []) for other in ids]
            noted.append((group, keys, ids))
        for group, keys, ids in noted:
            self.seen.rows.setdefault(group, []).extend(ids)
            self.seen.group_of.update(dict.fromkeys(keys, group))
        return created

    def _suggested(self, like: matching.Likeness) -> Suggested:
        size = len(self.rows)
        known, other = "", None
        if like.other < size:
            other = self.rows[like.other].id
        else:
            customer = self.have[like.other - size]
            other = next(iter(self.earlier.get(customer.pk, [])), None)
            known = str(customer.public_id) if other is None else ""
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
            given = {name: value for name, value in told.items() if value and not getattr(customer, name)}
            for name, value in given.items():
                setattr(customer, name, value)
            own: dict[str, Any] = {}
            for row in (self.rows[n] for n in members if n < size):
                own |= {code: value for code, value in row.custom.items() if code not in {**customer.custom, **own}}
            customer.custom = {**customer.custom, **own}
            filled[members[0]] = given | {f"custom.{code}": value for code, value in own.items()}
            self.customer_of.update(dict.fromkeys(members, customer))
            if customer.pk is not None and filled[members[0]]:
                customer.save(update_fields=[*given, "custom"])
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
            history.entry(customer, "customer.imported", ref=ref, by=brought_by.by, at=self.at, origin="import")
            for customer in dict.fromkeys(self.customer_of[members[0]] for members in groups)
        ]
        HistoryEntry.objects.bulk_create(entries, batch_size=_AT_ONCE)
        for number, row in enumerate(self.rows):
            self._claimed(self.customer_of[number], row, brought_by)

    def _claimed(self, customer: Customer, row: Prepared, brought_by: CustomerImport) -> None:
        """Write what the row says of permissions into the ledger as unknown, which allows nothing (N7)."""
        for told, words in row.unknown:
            line = named(told)
            if line is not None:
                evidence = f"{brought_by.file_name}, {row.id}: “{words}”"
                consent.unknown(customer, *line, evidence=evidence, at=self.at)

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
        claims += [list(claim) for claim in row.claims]
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
