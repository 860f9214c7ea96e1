"""What messages and customers are found by is read from them: the new within seconds, the past after that, newest first.

Nothing is written when something comes in: rows are found by their keys behind a mark. What changes is forgotten by a trigger in
the same transaction and read anew here (docs/adr/0033).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, Max, Model, OuterRef

from crm.language import searching
from crm.models import Customer, Interaction
from crm.models.search import SearchDue, Searched, SearchedCustomer, SearchedMessage, SearchMark

AT_ONCE = 500
SETTLED_AFTER = timedelta(minutes=15)
"""How old a row is before its neighbours are taken to be all there; longer than any transaction that brings rows in."""


@dataclass(frozen=True, slots=True)
class _Table:
    of: Searched
    rows: type[Model]
    kept: type[Model]
    came: str  # the field that says when a row came in
    said: str  # the field that says when it was
    names: tuple[str, ...]

    def words(self, row: dict[str, Any]) -> str:
        if self.of == Searched.MESSAGES:
            day = row["spoke_at"]
            marks = [row["channel"], row["direction"], day_mark(day)]
            return searching.kept([row["subject"], row["text"]], marks)
        return searching.kept([row["display_name"]], [day_mark(row["created_at"])])


_TABLES = {
    Searched.MESSAGES: _Table(
        Searched.MESSAGES, Interaction, SearchedMessage, "ingested_at", "spoke_at", ("subject", "text", "channel", "direction")
    ),
    Searched.CUSTOMERS: _Table(
        Searched.CUSTOMERS, Customer, SearchedCustomer, "created_at", "created_at", ("display_name",)
    ),
}  # fmt: skip


def day_mark(at: datetime) -> str:
    """The word of a day, as the database's function `crm_search` counts days."""
    return f"d{int(at.timestamp() // 86_400)}"


def read_batch(*, at: datetime, of: Searched | None = None, most: int = AT_ONCE) -> int:
    """Read up to `most` rows of each table that are not found yet: what has changed, then the new, then the past.

    of: this table alone. Returns how many were read; 0 when nothing is left or another worker is at it. Safe to repeat.
    """
    return sum(_read(table, at=at, most=most) for table in _TABLES.values() if of in (None, table.of))


@transaction.atomic
def _read(table: _Table, *, at: datetime, most: int) -> int:
    mark = SearchMark.objects.select_for_update(skip_locked=True).filter(of=table.of).first()
    if mark is None:
        _first_mark(table)
        mark = SearchMark.objects.select_for_update(skip_locked=True).filter(of=table.of).first()
        if mark is None:
            return 0
    due = list(SearchDue.objects.filter(of=table.of).order_by("pk")[:most])
    if due:
        SearchDue.objects.filter(pk__in=[one.pk for one in due]).delete()
        numbers = [one.number for one in due]
        table.kept._default_manager.filter(pk__in=numbers).delete()
        return max(len(due), _keep(table, numbers))
    rows = table.rows._default_manager
    missing = rows.filter(~Exists(table.kept._default_manager.filter(pk=OuterRef("pk"))))
    numbers = list(missing.filter(pk__gt=mark.ahead).order_by("pk").values_list("pk", flat=True)[:most])
    if numbers:
        _keep(table, numbers)
    settled = rows.filter(pk__gt=mark.ahead, **{f"{table.came}__lt": at - SETTLED_AFTER})
    if len(numbers) == most:
        settled = settled.filter(pk__lte=numbers[-1])
    ahead = settled.aggregate(ahead=Max("pk"))["ahead"] or mark.ahead
    if numbers or not mark.behind:
        _move(mark, ahead=ahead, behind=mark.behind)
        return len(numbers)
    numbers = list(missing.filter(pk__lte=mark.behind).order_by("-pk").values_list("pk", flat=True)[:most])
    _keep(table, numbers)
    _move(mark, ahead=ahead, behind=numbers[-1] - 1 if len(numbers) == most else 0)
    return len(numbers)


def _first_mark(table: _Table) -> None:
    newest = table.rows._default_manager.aggregate(newest=Max("pk"))["newest"] or 0
    edge = max(0, newest - AT_ONCE)  # the newest may have neighbours that are still being written
    SearchMark.objects.bulk_create([SearchMark(of=table.of, ahead=edge, behind=edge)], ignore_conflicts=True)


def _move(mark: SearchMark, *, ahead: int, behind: int) -> None:
    if (ahead, behind) != (mark.ahead, mark.behind):
        mark.ahead, mark.behind = ahead, behind
        mark.save(update_fields=["ahead", "behind"])


def _keep(table: _Table, numbers: list[int]) -> int:
    names = dict.fromkeys(("pk", table.said, *table.names))
    rows = list(table.rows._default_manager.filter(pk__in=numbers).order_by("pk").values(*names))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table.of.value} (number, at, words) "  # noqa: S608  one of two names of our own
            "SELECT number, at, words::tsvector "
            "FROM unnest(%s::bigint[], %s::timestamptz[], %s::text[]) AS read (number, at, words) "
            "ON CONFLICT (number) DO UPDATE SET at = EXCLUDED.at, words = EXCLUDED.words",
            [[row["pk"] for row in rows], [row[table.said] for row in rows], [table.words(row) for row in rows]],
        )
    return len(rows)


def left_behind() -> int:
    """About how many rows of the past are still to be read; for a progress bar."""
    marks = {mark.of: mark.behind for mark in SearchMark.objects.all()}
    return sum(
        marks[table.of] if table.of in marks else table.rows._default_manager.aggregate(newest=Max("pk"))["newest"] or 0
        for table in _TABLES.values()
    )
