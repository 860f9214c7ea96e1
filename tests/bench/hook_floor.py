"""The floor of the hook door: the least code that could store what a provider posts, on the same PostgreSQL.

A bare WSGI application with plain psycopg: it checks the same signature and its time, and one statement finds the account, keeps
the raw bytes unless they came before, finds who wrote and whether they have a matter on this account, and writes the same rows as
the product (for somebody new a customer, contact point, conversation, interaction, promise, history and follow-up; for somebody
known an interaction, history and follow-up, and the change of their matter). The statement is its own transaction, so there is one
commit. No rule, no edit that came before its message, no look whether the matter changed meanwhile, no bell.

`rows_of` and `Rows` are the floor of batches: rows as the product wrote them, written once more by one INSERT a table.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

STATEMENT = """
WITH a AS (SELECT 'hook:standard_webhooks:' || public_id AS source, channel, name FROM crm_channelaccount
           WHERE public_id = %(account)s AND is_active),
r AS (INSERT INTO crm_rawitem (public_id, source, external_id, content, label, received_at, facts, state, kind, reason, attempt)
      SELECT uuidv7(), source, %(delivery)s, %(content)s, name, now(), %(facts)s, 'done', 'said', '', 1 FROM a
      ON CONFLICT DO NOTHING RETURNING id, source),
known AS (SELECT p.id, p.customer_id,
                 (SELECT conversation_id FROM crm_interaction i
                  WHERE i.contact_point_id = p.id AND i.source = r.source AND direction = 'in'
                  ORDER BY spoke_at DESC, id DESC LIMIT 1) AS matter_id
          FROM r, crm_contactpoint p WHERE p.kind = 'handle' AND p.address = %(sender)s AND p.unlinked_at IS NULL),
who AS (INSERT INTO crm_customer (public_id, display_name, language, zone, region, status, created_at)
        SELECT uuidv7(), %(name)s, '', '', '', 'active', now() FROM r WHERE NOT EXISTS (SELECT FROM known) RETURNING id),
reached AS (INSERT INTO crm_contactpoint (customer_id, kind, address, created_at)
            SELECT id, 'handle', %(sender)s, now() FROM who RETURNING id, customer_id),
s AS (SELECT id, customer_id, matter_id FROM known UNION ALL SELECT id, customer_id, NULL FROM reached),
n AS (INSERT INTO crm_conversation
        (public_id, customer_id, owner_id, subject, channel, state, queue_class, spoke_at, due_at, last_inbound_at, skill,
         imported)
      SELECT uuidv7(), customer_id,
             coalesce((SELECT owner_id FROM crm_conversation o WHERE o.customer_id = s.customer_id AND owner_id IS NOT NULL
                        AND state IN ('open', 'waiting_customer') ORDER BY id DESC LIMIT 1),
                      (SELECT id FROM crm_user WHERE is_active AND takes_conversations AND is_available AND NOT is_full
                        ORDER BY random() LIMIT 1)),
             '', 'chat', 'open', 1, now(), now() + interval '8 hours', now(), '', false
      FROM s WHERE matter_id IS NULL RETURNING id, public_id, customer_id),
u AS (UPDATE crm_conversation m SET state = 'open', last_inbound_at = now()
      FROM s WHERE m.id = s.matter_id RETURNING m.id, m.public_id, m.customer_id),
c AS (SELECT id, public_id, customer_id, true AS is_new FROM n UNION ALL SELECT id, public_id, customer_id, false FROM u),
i AS (INSERT INTO crm_interaction
        (public_id, conversation_id, direction, channel, contact_point_id, source, external_id, raw_id, subject, text, full_text,
         html, message_id, language, spoke_at, ingested_at, wait_seconds, hold_seconds, ended_by, imported)
      SELECT uuidv7(), c.id, 'in', 'chat', s.id, r.source, %(key)s, r.id, '', %(text)s, '', '', '', '', now(), now(), 0, 0, '',
             false FROM c, s, r
      RETURNING id, public_id),
p AS (INSERT INTO crm_promise
        (conversation_id, kind, given_by, starts_at, due_at, warn_at, within_seconds, reason, explanation, state)
      SELECT id, 'first_response', 'everybody', now(), now() + interval '8 hours', now() + interval '6 hours', 28800, '', '',
             'running' FROM n),
w AS (INSERT INTO crm_workitem (key, lane, event, ref, due_at, state, reason, attempt)
      SELECT 'triage:interaction.received:interaction:' || public_id, 'triage', 'interaction.received',
             'interaction:' || public_id, now(), 'ready', '', 0 FROM i),
h AS (INSERT INTO crm_historyentry (customer_id, verb, ref, origin, at, detail)
      SELECT c.customer_id, CASE WHEN is_new THEN 'conversation.opened' ELSE 'conversation.continued' END,
             'conversation:' || c.public_id, 'standard_webhooks', now(),
             jsonb_build_object('interaction', i.public_id, 'channel', 'chat') FROM c, i)
SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM i)
"""
_kept = threading.local()
_KEY = base64.b64decode(os.environ.get("EVENHAND_CHANNEL_BENCH", "").removeprefix("whsec_"))


def _connection() -> psycopg.Connection[Any]:
    if not hasattr(_kept, "connection"):
        _kept.connection = psycopg.connect(os.environ["EVENHAND_BENCH_DSN"], autocommit=True)
        _kept.connection.prepare_threshold = 0
    return _kept.connection


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer 200 once it is committed."""
    if environ["PATH_INFO"] == "/livez":
        start_response("200 OK", [("Content-Length", "0")])
        return []
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    delivery, stated = environ["HTTP_WEBHOOK_ID"], environ["HTTP_WEBHOOK_TIMESTAMP"]
    ours = base64.b64encode(hmac.new(_KEY, f"{delivery}.{stated}.".encode() + body, hashlib.sha256).digest()).decode()
    genuine = hmac.compare_digest(f"v1,{ours}", environ["HTTP_WEBHOOK_SIGNATURE"])
    if not genuine or abs(time.time() - int(stated)) > 300:
        start_response("401 Unauthorized", [("Content-Length", "0")])
        return []
    about = json.loads(body)["data"]
    values = {
        "account": environ["PATH_INFO"].split("/")[3], "delivery": delivery, "content": body, "key": about["id"],
        "facts": json.dumps({"webhook-id": delivery, "webhook-timestamp": stated}),
        "sender": about["from"]["address"], "name": about["from"]["name"], "text": about["text"],
    }  # fmt: skip
    row = _connection().execute(STATEMENT, values).fetchone()
    start_response("200 OK" if row and row[0] else "404 Not Found", [("Content-Length", "0")])
    return []


# --- batches -----------------------------------------------------------------------------------------------------------

TABLES = (
    "rawitem", "customer", "contactpoint", "conversation", "interaction", "promise", "workitem", "historyentry",
)  # fmt: skip
"""In the order in which rows may point at each other."""
_POINTS_AT = {
    "customer_id": "customer", "contact_point_id": "contactpoint", "conversation_id": "conversation", "raw_id": "rawitem",
}  # fmt: skip
_TOLD_APART = {"public_id", "external_id", "address", "key"}
"""Columns that no two rows may share; they are written anew."""


@dataclass(frozen=True, slots=True)
class Written:
    """Rows of one table as they stand there: names and types of its columns, and each row's values."""

    table: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    values: list[tuple[Any, ...]]


def marks(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """The newest key of each table."""
    found = {}
    for table in TABLES:
        row = connection.execute(f"SELECT coalesce(max(id), 0) FROM crm_{table} WHERE id < {Rows.FIRST}").fetchone()
        found[table] = row[0] if row else 0
    return found


def rows_of(connection: psycopg.Connection[Any], since: dict[str, int]) -> list[Written]:
    """Every row that was written since these keys."""
    found = []
    for table in TABLES:
        asked = connection.execute(
            f"SELECT * FROM crm_{table} WHERE id > %s AND id < {Rows.FIRST} ORDER BY id",
            [since[table]],
        )
        types = connection.execute(
            "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0",
            [f"crm_{table}"],
        )
        named = dict(types.fetchall())
        columns = tuple(each.name for each in asked.description or ())
        found.append(Written(table, columns, tuple(named[name] for name in columns), asked.fetchall()))
    return found


class Rows:
    """Writes the same rows again and again, each time under keys of their own, by one INSERT a table and one commit."""

    FIRST = 4_000_000_000
    """Keys from here on are those of the floor."""

    def __init__(self, connection: psycopg.Connection[Any], written: Sequence[Written], *, as_values: bool) -> None:
        """as_values: VALUES (…), (…); otherwise one array a column (`unnest`), which costs less."""
        self.connection = connection
        self.written = written
        self.as_values = as_values
        self.texts = [self._text(each) for each in written]

    def _text(self, each: Written) -> sql.Composed:
        head = sql.SQL("INSERT INTO {} ({}) ").format(
            sql.Identifier(f"crm_{each.table}"), sql.SQL(", ").join(map(sql.Identifier, each.columns))
        )
        if self.as_values:
            row = sql.SQL("({})").format(sql.SQL(", ").join(sql.SQL("%s") for _name in each.columns))
            return head + sql.SQL("VALUES ") + sql.SQL(", ").join(row for _row in each.values)
        arrays = sql.SQL(", ").join(sql.SQL("%s::{}[]").format(sql.SQL(kind)) for kind in each.types)
        return head + sql.SQL("SELECT * FROM unnest({})").format(arrays)

    def prepared(self, number: int) -> list[list[Any]]:
        """What the statements are given the `number`th time; made beforehand, since it is no part of the writing."""
        found = []
        keys: dict[str, dict[int, int]] = {}
        for each in self.written:
            first = self.FIRST + number * 1000
            own = keys[each.table] = {
                row[each.columns.index("id")]: first + place for place, row in enumerate(each.values)
            }
            kinds = list(zip(each.columns, each.types, strict=True))
            rows = [
                [self._value(*named, value, own, keys, number) for named, value in zip(kinds, row, strict=True)]
                for row in each.values
            ]
            columns = [list(column) for column in zip(*rows, strict=True)]
            found.append([value for row in rows for value in row] if self.as_values else columns)
        return found

    def _value(
        self, name: str, kind: str, value: Any, own: dict[int, int], keys: dict[str, dict[int, int]], number: int
    ) -> Any:
        if name == "id":
            return own[value]
        if name in _POINTS_AT:
            return keys[_POINTS_AT[name]].get(value, value)
        if name == "public_id":
            return uuid.UUID(int=(value.int + (number + 1) * 2**80) % 2**128)
        if name in _TOLD_APART:
            return f"{value}:{number}"
        return json.dumps(value) if kind == "jsonb" else value

    def write(self, values: Sequence[list[Any]]) -> None:
        """Insert them all; committed when it returns."""
        with self.connection.transaction(), self.connection.pipeline():
            for text, given in zip(self.texts, values, strict=True):
                self.connection.execute(text, given, prepare=True)
