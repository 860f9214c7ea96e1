"""Write the rows of one event in one SQL statement (docs/adr/0011)."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.db import connection
from django.db.models import Field, Model


@cache
def _columns(model: type[Model]) -> tuple[tuple[Field[Any, Any], ...], str]:
    """The fields to write and the head of the INSERT for one model; the key is left to its sequence."""
    fields = tuple(field for field in model._meta.local_concrete_fields if not field.primary_key)
    quote = connection.ops.quote_name
    names = ", ".join(quote(field.column) for field in fields)
    return fields, f"INSERT INTO {quote(model._meta.db_table)} ({names}) VALUES "  # noqa: S608


def insert_together(*rows: Model) -> None:
    """Insert several new rows, which may point at each other, in one statement; each then knows its primary key.

    rows: unsaved instances with an automatic key. A row may name an earlier one of these rows in a foreign key, also when
    that one has no key yet; a row that names a later one is a mistake (KeyError).
    Raises IntegrityError like any insert; then nothing is written.
    """
    names: dict[int, str] = {}
    parts: list[str] = []
    values: list[Any] = []
    for row in rows:
        fields, head = _columns(type(row))
        places: list[str] = []
        for field in fields:
            target = field.get_cached_value(row, default=None) if field.is_relation else None
            if target is not None and target.pk is None:
                places.append(f"(SELECT id FROM {names[id(target)]})")
            else:
                places.append("%s")
                values.append(field.get_db_prep_save(field.pre_save(row, add=True), connection))
        names[id(row)] = f"new_{len(names)}"
        parts.append(f"{names[id(row)]} AS ({head}({', '.join(places)}) RETURNING id)")
    tables = ", ".join(names.values())
    keys = ", ".join(f"{name}.id" for name in names.values())
    # Only table and column names of our own models and %s marks stand in the text; every value is a parameter.
    statement = f"WITH {', '.join(parts)} SELECT {keys} FROM {tables}"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        written = cursor.fetchone()
    for row, key in zip(rows, written, strict=True):
        row.pk = key
        row._state.adding = False
        row._state.db = connection.alias
    for row in rows:  # the rows that were named before they had a key
        for field in _columns(type(row))[0]:
            if field.is_relation and getattr(row, field.attname) is None:
                target = field.get_cached_value(row, default=None)
                if target is not None:
                    setattr(row, field.attname, target.pk)
