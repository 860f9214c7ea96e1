"""Hot statements: the rows of one event in one statement (docs/adr/0011), and queries that are compiled only once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Generic, TypeVar, cast

from django.db import connection
from django.db.backends.postgresql.base import ServerBindingCursor
from django.db.backends.utils import CursorWrapper
from django.db.models import Field, ForeignKey, Model, QuerySet
from psycopg.sql import quote as quoted

Row = TypeVar("Row", bound=Model)

_VALUE, _NULL = -1, -2  # what stands in a column; 0 and above: the key of the row with that number


@contextmanager
def _prepared() -> Iterator[CursorWrapper]:
    """A cursor whose statements the server parses and plans once per connection, because they come with every request."""
    if connection.queries_logged:  # whoever watches wants to read the statements with their values
        with connection.cursor() as cursor:
            yield cursor
        return
    connection.ensure_connection()
    direct = connection.connection
    usual = direct.cursor_factory, direct.prepare_threshold
    direct.cursor_factory, direct.prepare_threshold = ServerBindingCursor, 0
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        direct.cursor_factory, direct.prepare_threshold = usual


@dataclass(frozen=True, slots=True)
class _Constant:
    """A value of the query itself that cannot stand in its text."""

    value: Any


class Repeated(Generic[Row]):
    """A query that Django compiles once; afterwards only its values differ, and they are always parameters.

    build: makes the query set, `values_list` of plain columns, from named values. like: an example of each value, of the
    same type as the real ones and unlike each other and every constant in the query; never sent to the server.
    Words and numbers that are part of the query stand in its text, so that the plan can use an index on just those rows.
    """

    def __init__(self, build: Callable[..., QuerySet[Row, tuple[Any, ...]]], **like: Any) -> None:
        self._build = build
        self._like = like
        self._compiled: tuple[str, tuple[str | _Constant, ...]] | None = None

    def rows(self, **values: Any) -> list[tuple[Any, ...]]:
        """Ask with these values. Raises KeyError when one is missing."""
        statement, places = self._compiled or self._compile()
        with _prepared() as cursor:
            cursor.execute(statement, [values[it] if isinstance(it, str) else it.value for it in places])
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found

    def _compile(self) -> tuple[str, tuple[str | _Constant, ...]]:
        statement, parameters = self._build(**self._like).query.sql_with_params()
        places: list[str | _Constant] = []
        text, *rest = statement.split("%s")
        for parameter, following in zip(parameters, rest, strict=True):
            names = [n for n, it in self._like.items() if it == parameter and isinstance(parameter, type(it))]
            if not names and isinstance(parameter, str | int):
                text += str(quoted(parameter)).replace("%", "%%") + following
            else:
                places.append(names[0] if names else _Constant(parameter))
                text += "%s" + following
        if {place for place in places if isinstance(place, str)} != set(self._like):
            raise ValueError("Every named value must stand in the query as it is.")
        self._compiled = text, tuple(places)
        return self._compiled


@cache
def _columns(model: type[Model]) -> tuple[tuple[tuple[Field[Any, Any], str, bool, bool], ...], str]:
    """The columns to write and the head of the INSERT for one model; the key is left to its sequence.

    A column is its field, the name of its value, whether it points at a row, and whether writing may change the value.
    """
    fields = tuple(field for field in model._meta.local_concrete_fields if not field.primary_key)
    quote = connection.ops.quote_name
    names = ", ".join(quote(str(field.column)) for field in fields)
    columns = tuple((f, f.attname, f.is_relation, type(f).pre_save is not Field.pre_save) for f in fields)
    return columns, f"INSERT INTO {quote(model._meta.db_table)} ({names}) VALUES "  # noqa: S608


@lru_cache(maxsize=256)
def _statement(shape: tuple[tuple[type[Model], tuple[int, ...]], ...]) -> str:
    """Write the statement for rows of these models with these kinds of columns."""
    parts = []
    for number, (model, columns) in enumerate(shape):
        places = ", ".join(
            "%s" if column == _VALUE else "NULL" if column == _NULL else f"(SELECT id FROM new_{column})"  # noqa: S608
            for column in columns
        )
        parts.append(f"new_{number} AS ({_columns(model)[1]}({places}) RETURNING id)")
    keys = ", ".join(f"new_{number}.id" for number in range(len(shape)))
    tables = ", ".join(f"new_{number}" for number in range(len(shape)))
    # Only table and column names of our own models and %s marks stand in the text; every value is a parameter.
    return f"WITH {', '.join(parts)} SELECT {keys} FROM {tables}"  # noqa: S608


def _named(field: Field[Any, Any], row: Model) -> Model | None:
    """The row that a foreign key of this row points at, as far as it is known in memory."""
    target: Model | None = cast("ForeignKey[Any, Any]", field).get_cached_value(row, default=None)
    return target


def insert_together(*rows: Model) -> None:
    """Insert several new rows, which may point at each other, in one statement; each then knows its primary key.

    rows: unsaved instances with an automatic key. A row may name an earlier one of these rows in a foreign key, also when
    that one has no key yet; a row that names a later one is a mistake (KeyError).
    Raises IntegrityError like any insert; then nothing is written.
    """
    numbers: dict[int, int] = {}
    shape: list[tuple[type[Model], tuple[int, ...]]] = []
    values: list[Any] = []
    for row in rows:
        kinds: list[int] = []
        for field, name, is_relation, changes in _columns(type(row))[0]:
            target = _named(field, row) if is_relation else None
            if target is not None and target.pk is None:
                kinds.append(numbers[id(target)])
                continue
            value = field.pre_save(row, add=True) if changes else getattr(row, name)
            if value is None:
                kinds.append(_NULL)
            else:
                kinds.append(_VALUE)
                values.append(field.get_db_prep_save(value, connection))
        numbers[id(row)] = len(shape)
        shape.append((type(row), tuple(kinds)))
    with _prepared() as cursor:
        cursor.execute(_statement(tuple(shape)), values)
        written = cursor.fetchone()
    for row, key in zip(rows, written, strict=True):
        row.pk = key
        row._state.adding = False
        row._state.db = connection.alias
    for row in rows:  # the rows that were named before they had a key
        for field, name, is_relation, _changes in _columns(type(row))[0]:
            if is_relation and getattr(row, name) is None:
                target = _named(field, row)
                if target is not None:
                    setattr(row, name, target.pk)
