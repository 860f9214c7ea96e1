"""Customers written into a file, row by row: a million of them takes no more memory than a thousand. Each export is logged."""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.db import connection
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm import history
from crm.channels import handles
from crm.channels.contact_files import SEVERAL
from crm.channels.rows import line
from crm.models import ContactPoint, Customer, CustomField, User
from crm.models.people import ContactKind, CustomerQuerySet
from crm.policy.fields import FieldOf

BATCH: Final = 2_000
FORMS: Final = ("csv", "jsonl")
POINTS: Final = (ContactKind.EMAIL, ContactKind.PHONE, ContactKind.HANDLE, ContactKind.DEVICE, ContactKind.POSTAL)
"""Contact points that are written; keys are fingerprints and app accounts numbers of ours, of no use elsewhere."""
_STORED: Final = {
    "name": "display_name",
    "language": "language",
    "time_zone": "zone",
    "service_region": "region",
    "status": "status",
    "known_since_utc": "created_at",
}
COLUMNS: Final = {
    "id": gettext_lazy("Id"),
    "name": gettext_lazy("Name"),
    "language": gettext_lazy("Language"),
    "time_zone": gettext_lazy("Time zone"),
    "service_region": gettext_lazy("Region of the service hours"),
    "status": gettext_lazy("Status"),
    "known_since_utc": gettext_lazy("Known since (UTC)"),
    **{kind.value: kind.label for kind in POINTS},
}


class NotWritable(ValueError):
    """A column or a form of file that there is not."""

    code = "export_not_writable"


@dataclass(slots=True)
class Progress:
    """How many rows have been written, and whether all of them."""

    rows: int = 0
    is_whole: bool = False


def columns() -> dict[str, str]:
    """Every column that may be chosen, with its words; fields of our own as “custom.CODE”."""
    own = {f"custom.{one.code}": one.label for one in CustomField.objects.in_use(FieldOf.CUSTOMER)}
    return {**{name: str(words) for name, words in COLUMNS.items()}, **own}


def lines(
    found: CustomerQuerySet,
    *,
    chosen: Sequence[str],
    form: str,
    filters: Mapping[str, str],
    by: User | None,
    origin: str,
    clock: Callable[[], datetime],
    progress: Progress | None = None,
) -> Iterator[bytes]:
    """Write the customers of a filter, in the order in which they became known. That it begins is logged before its first row,
    how many rows left when it ends or breaks off (X36, S11).

    found: what the one who asks may see. chosen: columns; form: one of FORMS. filters: how the list was filtered, for the log; of
    what somebody typed only a fingerprint is kept. Raises NotWritable at once.
    """
    known = columns()
    unknown = [name for name in chosen if name not in known]
    if unknown or not chosen or form not in FORMS:
        raise NotWritable(
            _("There is no such column or form of file: %(what)s.") % {"what": ", ".join(unknown) or form}
        )
    ref = f"export:{uuid.uuid4()}"
    detail = {"columns": list(chosen), "form": form, "filters": _kept(filters)}
    history.record(None, "customers.export_begun", ref=ref, by=by, at=clock(), origin=origin, detail=detail)
    return _lines(found, list(chosen), form, ref, by, origin, clock, progress or Progress())


def _kept(filters: Mapping[str, str]) -> dict[str, str]:
    """The filter for the history, which nobody can ever empty: a name that was searched for stands in it as a fingerprint."""
    return {
        name: f"hmac:{salted_hmac('crm.export.filter', value, algorithm='sha256').hexdigest()[:16]}"
        if name == "q" or "@" in value
        else value[:100]
        for name, value in filters.items()
    }


def _lines(
    found: CustomerQuerySet,
    chosen: list[str],
    form: str,
    ref: str,
    by: User | None,
    origin: str,
    clock: Callable[[], datetime],
    progress: Progress,
) -> Iterator[bytes]:
    write = _csv if form == "csv" else _json
    try:
        if form == "csv":
            yield b"\xef\xbb\xbf" + line(chosen)
        for rows in _batches(found, chosen):
            written = b"".join(write(row, chosen) for row in rows)
            progress.rows += len(rows)
            yield written
        progress.is_whole = True
    finally:
        detail = {"rows": progress.rows, "is_whole": progress.is_whole}
        history.record(None, "customers.exported", ref=ref, by=by, at=clock(), origin=origin, detail=detail)


def _batches(found: CustomerQuerySet, chosen: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    stored = ["pk", "public_id", *(_STORED[name] for name in chosen if name in _STORED)]
    own = [name for name in chosen if name.startswith("custom.")]
    kinds = [kind.value for kind in POINTS if kind.value in chosen]
    last = 0
    ordered = found.select_related(None).order_by("pk")
    while rows := list(ordered.filter(pk__gt=last).values(*dict.fromkeys([*stored, *["custom"] * bool(own)]))[:BATCH]):
        last = rows[-1]["pk"]
        points = _points([row["pk"] for row in rows], kinds) if kinds else {}
        yield [_row(row, chosen, points.get(row["pk"], {})) for row in rows]


def _points(customers: Sequence[int], kinds: Sequence[str]) -> dict[int, dict[str, list[str]]]:
    found: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    rows = ContactPoint.objects.filter(customer__in=customers, kind__in=kinds, unlinked_at=None).order_by("pk")
    for customer, kind, address in rows.values_list("customer_id", "kind", "address"):
        found[customer][kind].append(handles.of_export(address) if kind == ContactKind.HANDLE else address)
    return found


def _row(stored: Mapping[str, Any], chosen: Sequence[str], points: Mapping[str, list[str]]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name in chosen:
        if name == "id":
            row[name] = str(stored["public_id"])
        elif name == "known_since_utc":
            row[name] = stored["created_at"].astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        elif name in _STORED:
            row[name] = stored[_STORED[name]]
        elif name.startswith("custom."):
            row[name] = stored["custom"].get(name.removeprefix("custom."))
        else:
            row[name] = points.get(name, [])
    return row


def _csv(row: Mapping[str, Any], chosen: Sequence[str]) -> bytes:
    return line(_cell(row[name]) for name in chosen)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return f" {SEVERAL} ".join(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def _json(row: Mapping[str, Any], chosen: Sequence[str]) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def about() -> int:
    """About how many customers there are, by the database's own figures: nothing is counted."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'crm_customer'::regclass")
        return int(cursor.fetchone()[0])


def every() -> CustomerQuerySet:
    """All customers, for whoever runs the house."""
    return Customer.objects.all()
