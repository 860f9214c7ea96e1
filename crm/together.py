"""Hot statements: the rows of one event in one statement (docs/adr/0011), and queries that are compiled only once."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.postgresql.base import ServerBindingCursor
from django.db.models import Choices, DateField, Field, Model, QuerySet
from django.db.models.base import ModelState
from django.db.models.fields.related_descriptors import ForeignKeyDeferredAttribute
from django.db.models.query_utils import DeferredAttribute
from psycopg.sql import quote as quoted
from psycopg.types.numeric import Int8

from crm.direct import Direct

Row = TypeVar("Row", bound=Model)

_AS_THEY_ARE = frozenset({str, datetime, UUID})
"""Values that their fields hand on unchanged; only JSON fields do not, and those hold no such value here."""
Place = str | int
"""What stands in a column of a statement: SQL text, or the number of the earlier row whose key it is."""


_kept = threading.local()
_Cursor: Any = ServerBindingCursor


def _database() -> Any:
    """This thread's connection itself; what `django.db.connection` stands for is looked up with every use of it."""
    return connections[DEFAULT_DB_ALIAS]


def _rows(database: Any, statement: str, parameters: list[Any] | dict[str, Any]) -> list[tuple[Any, ...]]:
    """Run a statement that comes with every request: the server parses and plans it once per connection.

    Its cursor is kept with the connection. Whoever watches statements gets them as usual, with their values.
    """
    found: list[tuple[Any, ...]]
    if database.queries_logged or database.execute_wrappers:
        with database.cursor() as watched:
            watched.execute(statement, parameters)
            found = watched.fetchall()
            return found
    cursor = _ready(database)
    with database.wrap_database_errors:
        if _kept.direct.can_run():
            return cast("list[tuple[Any, ...]]", _kept.direct.rows(statement, parameters))
        cursor.execute(statement, parameters, prepare=True)
        found = cursor.fetchall()
        return found


def _ready(database: Any) -> Any:
    """Make sure that the connection can be used; the cursor kept with it."""
    database.close_if_health_check_failed()
    database.ensure_connection()
    database.validate_no_broken_transaction()
    cursor: Any = getattr(_kept, "cursor", None)
    if cursor is None or cursor.connection is not database.connection:
        with database.wrap_database_errors:
            cursor = _kept.cursor = _Cursor(database.connection)
            _kept.direct = Direct(database.connection)
            database.connection.prepare_threshold = 0  # Django's other cursors prepare nothing all the same
    return cursor


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that comes with every event, and its values; its text never changes. `run` runs it with others."""

    text: str
    values: list[Any] | dict[str, Any]


def run(*statements: Statement) -> list[list[tuple[Any, ...]]]:
    """Run statements in their order, sent together: the server answers all of them at once. Returns the rows of each.

    Each has to give rows (SELECT or RETURNING). To be called in a transaction when there are several: what a later one
    raises undoes the earlier ones. Raises what the database raises for the first that fails.
    """
    database = _database()
    if len(statements) == 1 or database.queries_logged or database.execute_wrappers:
        return [_rows(database, each.text, each.values) for each in statements]
    if not statements:
        return []
    _ready(database)
    with database.wrap_database_errors:
        cursors = []
        with database.connection.pipeline():
            for each in statements:
                cursor = _Cursor(database.connection)
                cursor.execute(each.text, each.values, prepare=True)
                cursors.append(cursor)
        return [cursor.fetchall() for cursor in cursors]


def prepared(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Run a statement of ours that comes with every event; its text never changes, so it is parsed and planned once.

    Returns its rows; it has to give some (RETURNING). Raises what the database raises.
    """
    return _rows(_database(), statement, parameters)


@dataclass(frozen=True, slots=True)
class _Constant:
    """A value of the query itself that cannot stand in its text."""

    value: Any


class Repeated(Generic[Row]):
    """A query that Django compiles once; afterwards only its values differ, and they are always parameters.

    build: makes the query set, `values_list` of plain columns, from named values. like: an example of each value, of the
    same type as the real ones and unlike each other and every constant in the query; never sent to the server. A list of one
    stands for lists of any length (`id IN …`).
    Words and numbers that are part of the query stand in its text, so that the plan can use an index on just those rows.
    """

    def __init__(self, build: Callable[..., QuerySet[Row, tuple[Any, ...]]], **like: Any) -> None:
        self._build = build
        self._like = like
        self._compiled: tuple[str, tuple[str | _Constant, ...]] | None = None

    def rows(self, **values: Any) -> list[tuple[Any, ...]]:
        """Ask with these values. Raises KeyError when one is missing."""
        asked = self.statement(**values)
        return _rows(_database(), asked.text, asked.values)

    def statement(self, **values: Any) -> Statement:
        """The same question, to be asked together with others. Raises KeyError when a value is missing."""
        text, places = self._compiled or self._compile()
        return Statement(text, [values[it] if isinstance(it, str) else it.value for it in places])

    def _compile(self) -> tuple[str, tuple[str | _Constant, ...]]:
        statement, parameters = self._build(**self._like).query.sql_with_params()
        places: list[str | _Constant] = []
        text, *rest = statement.split("%s")
        for parameter, following in zip(parameters, rest, strict=True):
            names = [n for n, it in self._like.items() if it == parameter and isinstance(parameter, type(it))]
            several = [n for n, it in self._like.items() if it == [parameter] and text.endswith(" IN (")]
            if several:
                places.append(several[0])
                text = f"{text.removesuffix(' IN (')} = ANY(%s{following}"
            elif not names and isinstance(parameter, str | int):
                text += str(quoted(parameter)).replace("%", "%%") + following
            else:
                places.append(names[0] if names else _Constant(parameter))
                text += "%s" + following
        if {place for place in places if isinstance(place, str)} != set(self._like):
            raise ValueError("Every named value must stand in the query as it is.")
        self._compiled = text, tuple(places)
        return self._compiled


@cache
def _fields(model: type[Model]) -> tuple[dict[str, Any], dict[str, Callable[[], Any]], dict[str, str]]:
    """What a new row holds: plain values and those made for each row, by column; and the column of each relation."""
    plain: dict[str, Any] = {}
    made: dict[str, Callable[[], Any]] = {}
    for field in model._meta.concrete_fields:
        if field.descriptor_class not in (DeferredAttribute, ForeignKeyDeferredAttribute):
            raise TypeError(f"{field} does more than keep what it is given.")
        if field.has_default() and callable(field.default):
            made[field.attname] = field.default if type(field).get_default is Field.get_default else field.get_default
        else:
            plain[field.attname] = field.get_default()
    return plain, made, {field.name: field.attname for field in model._meta.concrete_fields if field.is_relation}


def new(model: type[Row], **values: Any) -> Row:
    """Make a row that is not written yet, as `model(**values)` does, without asking every field again what it begins with.

    Raises TypeError for a name that is no field. Nobody is told (`pre_init`, `post_init`): we use no signals.
    """
    plain, made, relations = _fields(model)
    row = model.__new__(model)
    row._state = ModelState()
    holds = row.__dict__
    holds.update(plain)
    for name, make in made.items():
        if name not in values:
            holds[name] = make()
    for name, value in values.items():
        if name in plain or name in made:
            holds[name] = value
        elif name in relations:
            holds[relations[name]] = None if value is None else value.pk
            row._state.fields_cache[name] = value
        else:
            raise TypeError(f"{model.__name__} has no field {name!r}.")
    return row


def written(model: type[Row], **columns: Any) -> Row:
    """Make a row of which these columns have been read, as `model.from_db` does; any other is read when it is asked for."""
    row = model.__new__(model)
    row._state = ModelState()
    row._state.adding = False
    row._state.db = DEFAULT_DB_ALIAS
    row.__dict__.update(columns)
    return row


def _changes(field: Field[Any, Any]) -> bool:
    """Whether writing may change what stands in this field; a time does only where the field sets it by itself."""
    if isinstance(field, DateField):
        return bool(field.auto_now or field.auto_now_add)
    return type(field).pre_save is not Field.pre_save


@cache
def _columns(model: type[Model]) -> tuple[tuple[tuple[Field[Any, Any], str, bool, bool], ...], str]:
    """The columns to write and the head of the INSERT for one model; the key is left to its sequence.

    A column is its field, the name of its value, whether it points at a row, and whether writing may change the value.
    """
    fields = tuple(field for field in model._meta.local_concrete_fields if not field.primary_key)
    quote = connection.ops.quote_name
    names = ", ".join(quote(str(field.column)) for field in fields)
    columns = tuple((f, f.attname, f.is_relation, _changes(f)) for f in fields)
    return columns, f"INSERT INTO {quote(model._meta.db_table)} ({names}) VALUES "  # noqa: S608


@cache
def _is_word(kind: type) -> bool:
    """Whether values of this type are few and the product's own; they stand in the text of a statement."""
    return issubclass(kind, bool | Choices | type(None))


@cache
def _word(kind: type, value: Any) -> str:
    """What such a value is in the text. The texts are told apart by which stand where; `kind` tells 1 from True."""
    if value is None:
        return "NULL"
    return str(quoted(value.value if issubclass(kind, Choices) else value)).replace("%", "%%")


@lru_cache(maxsize=256)
def _statement(shape: tuple[tuple[type[Model], tuple[Place, ...]], ...], also: tuple[str, ...] = ()) -> str:
    """Write the statement for rows of these models with these things in their columns, and for other changes besides."""
    parts = []
    for number, (model, columns) in enumerate(shape):
        places = ", ".join(
            column if isinstance(column, str) else f"(SELECT id FROM new_{column})"  # noqa: S608
            for column in columns
        )
        parts.append(f"new_{number} AS ({_columns(model)[1]}({places}) RETURNING id)")
    keys = ", ".join(f"new_{number}.id" for number in range(len(shape)))
    for number, text in enumerate(also):
        parts.append(f"also_{number} AS ({text})")
        keys += f", ARRAY(SELECT told FROM also_{number} AS also(told))"  # noqa: S608
    tables = ", ".join(f"new_{number}" for number in range(len(shape)))
    # Only table and column names of our own models and %s marks stand in the text; every value is a parameter.
    return f"WITH {', '.join(parts)} SELECT {keys} FROM {tables}"  # noqa: S608


class Insertion:
    """Several new rows, which may point at each other, to be inserted by one statement.

    rows: unsaved instances with an automatic key. A row may name an earlier one of these rows in a foreign key, also when
    that one has no key yet; a row that names a later one is a mistake (KeyError). also: changes of other rows, made by the same
    statement, each gives rows of one column; their values have names of their own.
    """

    __slots__ = ("_named", "_rows", "statement")

    def __init__(self, *rows: Model, also: Sequence[Statement] = ()) -> None:
        database = _database()
        numbers: dict[int, int] = {}
        shape: list[tuple[type[Model], tuple[Place, ...]]] = []
        values: dict[str, Any] = {}
        times: dict[datetime, str] = {}  # the same moment stands in many columns of an event and is sent once
        named: list[tuple[Model, str, Model]] = []  # a row, its column, and the row it points at, which has no key yet
        for row in rows:
            places: list[Place] = []
            holds, points_at = row.__dict__, row._state.fields_cache
            for field, name, is_relation, changes in _columns(type(row))[0]:
                value = field.pre_save(row, True) if changes else holds[name]
                if value is None:
                    # The row that this one points at, as far as it is known in memory.
                    target: Model | None = points_at.get(field.name) if is_relation else None
                    if target is None:
                        places.append("NULL")
                        continue
                    named.append((row, name, target))
                    if target.pk is None:
                        places.append(numbers[id(target)])
                        continue
                    value = target.pk
                kind: Any = type(value)
                if kind is datetime:
                    place = times.get(value)
                    if place is not None:
                        places.append(place)
                        continue
                    place = times[value] = f"%(v{len(values)})s"
                elif kind is str:
                    if not value:
                        places.append("''")
                        continue
                    place = f"%(v{len(values)})s"
                elif kind is int:
                    value = Int8(value)  # not smaller for smaller numbers, which would be a statement of its own
                    place = f"%(v{len(values)})s"
                elif _is_word(kind) or value == "":
                    places.append(_word(kind, value))
                    continue
                else:
                    if kind not in _AS_THEY_ARE:
                        value = str(value) if isinstance(value, str) else field.get_db_prep_save(value, database)
                    place = f"%(v{len(values)})s"
                values[f"v{len(values)}"] = value
                places.append(place)
            numbers[id(row)] = len(shape)
            shape.append((type(row), tuple(places)))
        self._rows, self._named = rows, named
        for each in also:
            if not isinstance(each.values, dict) or values.keys() & each.values.keys():
                raise ValueError("What is changed besides needs values with names of their own.")
            values |= each.values
        self.statement = Statement(_statement(tuple(shape), tuple(each.text for each in also)), values)

    def written(self, found: list[tuple[Any, ...]]) -> None:
        """Let each row know its key. found: what the statement gave."""
        for row, key in zip(self._rows, found[0], strict=False):  # what was changed besides comes after them
            row.__dict__["id"] = key
            row._state.adding = False
            row._state.db = DEFAULT_DB_ALIAS
        for row, name, target in self._named:
            row.__dict__[name] = target.pk


def insert_together(*rows: Model) -> None:
    """Insert several new rows in one statement; each then knows its primary key. rows: as for `Insertion`.

    Raises IntegrityError like any insert; then nothing is written.
    """
    insertion = Insertion(*rows)
    insertion.written(_rows(_database(), insertion.statement.text, insertion.statement.values))


def insertion(model: type[Model]) -> str:
    """SQL that inserts any number of new rows of one model, to be a part of a statement of its own; its text is always the same.

    It takes one parameter, `rows`, which `as_rows` makes; RETURNING may follow.
    """
    columns, head = _columns(model)
    quote = connection.ops.quote_name
    names = ", ".join(quote(str(field.column)) for field, _name, _is_relation, _changes in columns)
    table = quote(model._meta.db_table)
    return f"{head.removesuffix('VALUES ')}SELECT {names} FROM json_populate_recordset(NULL::{table}, %(rows)s)"  # noqa: S608


def as_rows(rows: Sequence[Model]) -> str:
    """The columns of new rows of one model, as `insertion` takes them. None of them may point at a row that has no key yet."""
    told = []
    for row in rows:
        holds = row.__dict__
        told.append(
            {
                str(field.column): field.pre_save(row, True) if changes else holds[name]
                for field, name, _is_relation, changes in _columns(type(row))[0]
            }
        )
    return json.dumps(told, ensure_ascii=False, default=_as_json)


def _as_json(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no column of a row that is written so.")


@cache
def _read(model: type[Model]) -> tuple[tuple[str, ...], tuple[tuple[str, Callable[..., Any]], ...]]:
    """The names of a model's columns in their order, and how those are read that come otherwise than they are kept."""
    fields = model._meta.concrete_fields
    read = [(f.attname, f.from_db_value) for f in fields if hasattr(f, "from_db_value")]
    return tuple(field.attname for field in fields), tuple(read)


@cache
def columns_of(model: type[Model], table: str) -> str:
    """Every column of a model, for a SELECT or RETURNING of a statement of ours; `read` makes rows of what they give."""
    quote = connection.ops.quote_name
    return ", ".join(f"{table}.{quote(str(field.column))}" for field in model._meta.concrete_fields)


def read(model: type[Row], values: tuple[Any, ...]) -> Row:
    """Make a row from what stands in its `columns_of`, as `model.from_db` does."""
    names, converted = _read(model)
    row = written(model, **dict(zip(names, values, strict=True)))
    for name, convert in converted:
        row.__dict__[name] = convert(row.__dict__[name], None, connection)
    return row
