"""Bringing in files of customers: who the rows are, and who may be whom. A file opts nobody in (R056, N7).

A file is taken in by portions, each one transaction: memory stays that of a portion, nobody who writes to us meanwhile waits
for the whole file, and an import that was interrupted goes on behind the last portion.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from crm.actions import customer_rows
from crm.actions.customer_rows import Prepared
from crm.actions.import_portions import Outcome, Portion, Seen, Told
from crm.channels.contact_files import Person
from crm.channels.rows import Rejected
from crm.models import CustomerImport, CustomField, User
from crm.policy.fields import FieldOf, UnusableValue

PORTION = 10_000
"""Rows that are compared with each other and written in one transaction at most: some 7 s of one core and 140 MB."""
COMPARED_TOGETHER = 16_000
"""Rows and customers that one portion is meant to hold: where many customers are like its rows, the next portion is smaller."""
FEWEST_ROWS = 1_000
RACES_TRIED = 5
_LOST_RACES = frozenset({"contact_point_one_customer"})
Read = Person | Rejected


class NotGoingOn(Exception):
    """An import that was finished or taken back does not go on."""

    code = "import_not_going_on"


Each = Callable[[Outcome, Sequence[Rejected]], None]


def added(counts: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Sum up the figures of two portions."""
    both = dict(counts)
    for name, value in more.items():
        both[name] = (
            dict(Counter(both.get(name, {})) + Counter(value)) if isinstance(value, dict) else both.get(name, 0) + value
        )
    return both


@transaction.atomic
def begin(*, source: str, file_name: str, by: User | None, at: datetime) -> CustomerImport:
    """Write that a file is being brought in."""
    return CustomerImport.objects.create(source=source, file_name=file_name[:300], by=by, at=at)


def interrupted(public_id: str) -> CustomerImport | None:
    """The import of this id that was begun and not finished."""
    try:
        number = uuid.UUID(public_id)
    except ValueError:
        return None
    return CustomerImport.objects.filter(public_id=number, finished_at=None, undone_at=None).first()


def bring_in(
    people: Iterable[Read],
    *,
    source: str,
    file_name: str,
    at: datetime,
    by: User | None = None,
    dry: bool = False,
    going_on: CustomerImport | None = None,
    begins: Callable[[], CustomerImport] | None = None,
    told: Told = lambda done, all_: None,
    opens: Callable[[], None] = lambda: None,
    each: Each = lambda part, rejected: None,
    refused: Callable[[Rejected], None] = lambda one: None,
) -> Outcome:
    """Write the rows of a file as customers, portion by portion. dry: only say what would come of it.

    Rows that share a verified key are one customer, and one with whom we know by it; so is a row with the same id from the same
    source. Whatever else looks alike becomes a suggestion. What a customer has told us is not overwritten: a file fills what is
    empty. No consent is written: nothing is known of it, so nothing is allowed.

    going_on: an import that was interrupted; it goes on behind its last portion. begins: makes the import otherwise, once the file
    has proved readable. told: hears how many pairs of a portion have been compared. opens, each: called in the transaction of
    every portion, first and last; each with what it brought and the rows that were not taken in. refused: hears each of those once
    it is certain. Raises NotGoingOn.
    """
    rows = iter(people)
    for _passed in islice(rows, going_on.rows_done if going_on else 0):
        pass
    found = list(islice(rows, PORTION))  # a file that cannot be read is refused here, before anything is written
    if begins is None:
        begins = partial(begin, source=source, file_name=file_name, by=by, at=at)
    brought_by = None if dry else going_on or begins()
    whole, seen, size = Outcome(brought_by=brought_by), Seen(), PORTION
    while found:
        rows_in, rejected = _prepared(found, source=source)
        part = _taken_in(
            rows_in, rejected, source=source, at=at, brought_by=brought_by, seen=seen, told=told, opens=opens, each=each
        )
        whole.add(part)
        for one in rejected:
            refused(one)
        size = next_size(len(found), compared=part.compared) if brought_by is not None else PORTION
        found = list(islice(rows, size))
    if brought_by is not None:
        _finish(brought_by, at=at)
    return whole


def next_size(rows: int, *, compared: int) -> int:
    """Choose how many rows the next portion has, so that it holds about as much as a portion is meant to.

    rows: of the portion before; compared: its rows and the customers that were like them. Memory follows the second, which grows
    with the number of customers we have.
    """
    return min(PORTION, max(FEWEST_ROWS, rows * COMPARED_TOGETHER // max(compared, 1)))


@transaction.atomic
def _finish(brought_by: CustomerImport, *, at: datetime) -> None:
    CustomerImport.objects.filter(pk=brought_by.pk, finished_at=None).update(finished_at=at)


def _prepared(found: Sequence[Read], *, source: str) -> tuple[list[Prepared], list[Rejected]]:
    rules = [one.rule for one in CustomField.objects.in_use(FieldOf.CUSTOMER)]
    rows: list[Prepared] = []
    rejected: list[Rejected] = []
    for one in found:
        if isinstance(one, Rejected):
            rejected.append(one)
            continue
        try:
            rows.append(customer_rows.prepared(one, source=source, rules=rules))
        except UnusableValue as trouble:
            rejected.append(one.row.rejected("wrong_custom_value", str(trouble)))
    return rows, rejected


def _taken_in(
    rows: Sequence[Prepared],
    rejected: Sequence[Rejected],
    *,
    source: str,
    at: datetime,
    brought_by: CustomerImport | None,
    seen: Seen,
    told: Told,
    opens: Callable[[], None],
    each: Each,
) -> Outcome:
    for race in range(RACES_TRIED):
        try:
            with transaction.atomic():
                opens()
                part = Portion(rows, source=source, at=at, told=told, brought_by=brought_by, seen=seen).run()
                part.rejected, part.rows = Counter(one.code for one in rejected), len(rows) + len(rejected)
                if brought_by is not None:
                    _note(brought_by, part)
                each(part, rejected)
            if brought_by is not None:
                brought_by.rows_done += part.rows
            return part
        except IntegrityError as collision:
            constraint = getattr(getattr(collision.__cause__, "diag", None), "constraint_name", "")
            if constraint not in _LOST_RACES or race == RACES_TRIED - 1:
                raise  # somebody wrote to us from one of these addresses this instant: look again
    raise AssertionError("the loop above returns or raises")


def _note(brought_by: CustomerImport, part: Outcome) -> None:
    """Write with a portion's rows how far the import is; whoever else goes on with it finds it moved."""
    standing = CustomerImport.objects.select_for_update().get(pk=brought_by.pk)
    if standing.undone_at or standing.finished_at or standing.rows_done != brought_by.rows_done:
        raise NotGoingOn(_("This import was finished or taken back, or somebody else goes on with it."))
    standing.rows_done += part.rows
    standing.counts = added(standing.counts, part.counts)
    standing.save(update_fields=["rows_done", "counts"])
