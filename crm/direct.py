"""A prepared statement run without a cursor: psycopg adapts the values and reads the rows, libpq runs it in one call.

A cursor lets go of the interpreter several times a statement, so that with many threads each waits for its turn again and again; a
call of libpq lets go once. For statements that are transactions of their own and come with every event (`crm.together`).
"""

from __future__ import annotations

import itertools
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from psycopg import Connection, OperationalError, errors
from psycopg.abc import Transformer as Adapts
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, TransactionStatus

AT_MOST = 100
"""Statements that a connection keeps prepared; the one that was not used for longest goes first."""
_numbers = itertools.count()
_PLACE = re.compile(r"%(?:\((\w+)\))?([sbt%])")
_FORMATS = {"s": PyFormat.AUTO, "b": PyFormat.BINARY, "t": PyFormat.TEXT}


class Direct:
    """The prepared statements of one connection, which one thread uses."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection
        self._prepared: OrderedDict[tuple[bytes, tuple[int, ...]], bytes] = OrderedDict()

    def can_run(self) -> bool:
        """Whether a statement would be a transaction of its own; elsewhere a cursor keeps account of the transaction."""
        status = self._connection.pgconn.transaction_status
        return self._connection.autocommit and status == TransactionStatus.IDLE

    def rows(self, text: str, values: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Run a statement that gives rows. Raises what psycopg raises for it."""
        query, names, formats = _parsed(text)
        given = [values[name] for name in names] if isinstance(values, Mapping) else values
        transformer = Transformer(self._connection)
        dumped: Any = transformer.dump_sequence(given, formats)
        try:
            result = self._run(query, dumped, transformer)
        except errors.InvalidSqlStatementName:  # psycopg lets all go after a ROLLBACK, ours too; nothing was done
            self._prepared.clear()
            result = self._run(query, dumped, transformer)
        transformer.set_pgresult(result)
        return transformer.load_rows(0, result.ntuples, tuple)

    def _run(self, query: bytes, dumped: Any, transformer: Adapts) -> Any:
        name = self._name(query, transformer.types or ())
        result = self._connection.pgconn.exec_prepared(name, dumped, transformer.formats)
        if result.status != ExecStatus.TUPLES_OK:
            raise self._trouble(result)
        return result

    def _trouble(self, result: Any) -> Exception:
        pgconn = self._connection.pgconn
        if pgconn.status == ConnStatus.BAD and not result.error_field(DiagnosticField.SQLSTATE):
            return OperationalError(pgconn.get_error_message())  # the server went without a word
        return errors.error_from_result(result, encoding=self._connection.info.encoding)

    def _name(self, query: bytes, types: tuple[int, ...]) -> bytes:
        name = self._prepared.get((query, types))
        if name is not None:
            self._prepared.move_to_end((query, types))
            return name
        pgconn = self._connection.pgconn
        name = b"evenhand_%d" % next(_numbers)
        result = pgconn.prepare(name, query, types)
        if result.status != ExecStatus.COMMAND_OK:
            raise self._trouble(result)
        self._prepared[query, types] = name
        if len(self._prepared) > AT_MOST:
            _key, oldest = self._prepared.popitem(last=False)
            pgconn.exec_(b"DEALLOCATE " + oldest)
        return name


@lru_cache(maxsize=500)
def _parsed(text: str) -> tuple[bytes, tuple[str, ...], tuple[PyFormat, ...]]:
    """A statement with `%s` or `%(name)s` marks as PostgreSQL takes it: its text, and of each value the name and the format.

    A value without a name has "". The same name twice is one value.
    """
    numbers: dict[str, int] = {}
    names: list[str] = []
    formats: list[PyFormat] = []

    def numbered(mark: re.Match[str]) -> str:
        name, kind = mark[1], mark[2]
        if kind == "%":
            return "%"
        key = name or f" {len(names)}"
        if key not in numbers:
            names.append(name or "")
            formats.append(_FORMATS[kind])
            numbers[key] = len(names)
        return f"${numbers[key]}"

    return _PLACE.sub(numbered, text).encode(), tuple(names), tuple(formats)
