"""Statements that are run without a cursor say and do what those of a cursor do."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import DEFAULT_DB_ALIAS, IntegrityError, connection, connections, transaction
from psycopg.types.json import Jsonb
from psycopg.types.numeric import Int8

from crm import together
from crm.direct import AT_MOST, Direct

pytestmark = pytest.mark.django_db(transaction=True)

MOMENT = datetime(2026, 3, 2, 12, 0, 0, 123456, tzinfo=UTC)
VALUES: list[tuple[str, Any]] = [
    ("text", "naïve \U0001f642 50 % 'quoted'"),
    ("text", ""),
    ("bigint", Int8(2**40)),
    ("boolean", True),
    ("timestamptz", MOMENT),
    ("uuid", UUID(int=7)),
    ("numeric", Decimal("12.50")),
    ("jsonb", Jsonb({"a": [1, None, "ü"]})),
    ("bytea", b"\x00\xff"),
    ("text[]", ["a", "b,c", ""]),
    ("text", None),
]


def direct() -> Direct:
    connection.ensure_connection()
    return Direct(connections[DEFAULT_DB_ALIAS].connection)


@pytest.mark.parametrize(("kind", "value"), VALUES)
def test_values_go_out_and_come_back_as_through_a_cursor(kind: str, value: Any) -> None:
    text = f"SELECT %(value)s::{kind}, %(other)s::text || '%%', %(value)s::{kind}"
    with connection.cursor() as cursor:
        cursor.execute(text, {"value": value, "other": "x"})
        expected = cursor.fetchall()
    assert direct().rows(text, {"value": value, "other": "x", "not asked for": 1}) == expected
    assert direct().rows(f"SELECT %s::{kind}, %s::int", [value, 3]) == [(expected[0][0], 3)]
    if kind == "bytea":
        assert direct().rows("SELECT %(value)b::bytea", {"value": value})[0][0] == value


def test_a_statement_that_fails_raises_what_psycopg_raises_and_the_next_one_works() -> None:
    text = "SELECT 1 / %(zero)s::int"
    with pytest.raises(psycopg.errors.DivisionByZero):
        direct().rows(text, {"zero": 0})
    with pytest.raises(psycopg.errors.SyntaxError):
        direct().rows("SELECT FROM FROM", {})
    assert direct().rows("SELECT 1", []) == [(1,)]


def test_a_broken_rule_reaches_the_caller_as_djangos_own_error() -> None:
    text = "INSERT INTO crm_user (password, email) SELECT NULL, %(name)s RETURNING id"
    with pytest.raises(IntegrityError) as raised:
        together.prepared(text, {"name": "x"})
    assert raised.value.__cause__.diag.column_name == "password"  # type: ignore[union-attr]


def test_what_psycopg_let_go_after_a_rollback_is_prepared_again() -> None:
    assert together.prepared("SELECT %(a)s::int", {"a": 1}) == [(1,)]
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")
    assert together.prepared("SELECT %(a)s::int", {"a": 2}) == [(2,)]


def test_inside_a_transaction_a_statement_belongs_to_it() -> None:
    with transaction.atomic():
        together.prepared("SELECT set_config('evenhand.seen', %(a)s, true)", {"a": "inside"})
        assert together.prepared("SELECT current_setting('evenhand.seen', true) || %(a)s", {"a": ""}) == [("inside",)]
        transaction.set_rollback(True)
    assert together.prepared("SELECT coalesce(current_setting('evenhand.seen', true), '') || %(a)s", {"a": ""}) == [
        ("",)
    ]


def test_only_so_many_statements_stay_prepared() -> None:
    one = direct()
    for number in range(AT_MOST + 20):
        assert one.rows(f"SELECT {number} + %s::int", [1]) == [(number + 1,)]
    named = one.rows("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'evenhand%%'", [])
    assert named[0][0] <= AT_MOST + 1


def test_a_server_that_goes_without_a_word_is_trouble_of_the_database_F01() -> None:
    """As a cursor says it, and as the doors and the lanes know it: they try again."""
    connection.ensure_connection()
    one = Direct(connections[DEFAULT_DB_ALIAS].connection)
    assert one.rows("SELECT 1", []) == [(1,)]
    socket.socket(fileno=os.dup(connections[DEFAULT_DB_ALIAS].connection.fileno())).shutdown(socket.SHUT_RDWR)
    with pytest.raises(psycopg.OperationalError):
        one.rows("SELECT 2", [])
    assert connections[DEFAULT_DB_ALIAS].connection.closed
    connection.close()
    assert together.prepared("SELECT %(a)s::int", {"a": 3}) == [(3,)]


def test_a_server_that_ends_a_connection_is_trouble_of_the_database_F01() -> None:
    with pytest.raises(psycopg.OperationalError):
        direct().rows("SELECT pg_terminate_backend(pg_backend_pid())", [])
    connection.close()
