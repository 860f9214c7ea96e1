"""The floor: the least code that could store what a customer writes in the app, on the same PostgreSQL.

A bare WSGI application with plain psycopg. One statement finds the customer and writes the same five rows as the product
(conversation, interaction, promise, history, follow-up); it is its own transaction, so there is one commit. No check who
asks, no rule, no bell.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

import psycopg

STATEMENT = """
WITH who AS (SELECT id, customer_id FROM crm_contactpoint WHERE kind = 'app' AND address = %s AND unlinked_at IS NULL),
c AS (INSERT INTO crm_conversation
        (public_id, customer_id, subject, channel, state, queue_class, spoke_at, due_at, last_inbound_at, imported)
      SELECT uuidv7(), customer_id, '', 'app', 'open', 1, now(), now() + interval '8 hours', now(), false FROM who
      RETURNING id, public_id, customer_id),
i AS (INSERT INTO crm_interaction
        (public_id, conversation_id, direction, channel, contact_point_id, source, external_id, subject, text, full_text,
         html, message_id, language, spoke_at, ingested_at, wait_seconds, hold_seconds, imported)
      SELECT uuidv7(), c.id, 'in', 'app', who.id, 'app', %s, '', %s, '', '', '', '', now(), now(), 0, 0, false FROM c, who
      RETURNING id, public_id),
p AS (INSERT INTO crm_promise (conversation_id, kind, given_by, starts_at, due_at, state)
      SELECT id, 'first_response', 'everybody', now(), now() + interval '8 hours', 'running' FROM c),
w AS (INSERT INTO crm_workitem (key, lane, event, ref, due_at, state, reason, attempt)
      SELECT 'triage:interaction.received:interaction:' || public_id, 'triage', 'interaction.received',
             'interaction:' || public_id, now(), 'ready', '', 0 FROM i),
h AS (INSERT INTO crm_historyentry (customer_id, verb, ref, origin, at, detail)
      SELECT customer_id, 'conversation.opened', 'conversation:' || public_id, 'api', now(), '{}' FROM c)
SELECT c.public_id, i.public_id FROM c, i
"""

_kept = threading.local()


def _connection() -> psycopg.Connection[Any]:
    if not hasattr(_kept, "connection"):
        _kept.connection = psycopg.connect(os.environ["EVENHAND_BENCH_DSN"], autocommit=True)
    return _kept.connection


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer 201 with the two ids."""
    if environ["PATH_INFO"] == "/livez":
        start_response("200 OK", [("Content-Length", "0")])
        return []
    given = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    account = environ["HTTP_X_ACCOUNT"]
    row = _connection().execute(STATEMENT, [account, f"{account}:{given['key']}", given["text"]]).fetchone()
    body = json.dumps({"conversation": str(row[0]), "interaction": str(row[1])}).encode()  # type: ignore[index]
    start_response("201 Created", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
