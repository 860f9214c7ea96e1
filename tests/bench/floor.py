"""The floor: the least code that could store what a customer writes in the app, on the same PostgreSQL.

A bare WSGI application with plain psycopg that does the same work: it checks the token's signature, and one statement
looks whether its session and account still stand, finds the customer and who has their matters, or else one of the
colleagues who take new ones, and writes the same five rows as the product (conversation, interaction, promise, history,
follow-up). The statement is its own transaction, so there is one commit. No rights, no rule, no shape, no bell.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

import jwt
import psycopg
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

STATEMENT = """
WITH who AS (
  SELECT p.id, p.customer_id, u.public_id, u.id AS account_id,
         coalesce(
           (SELECT owner_id FROM crm_conversation WHERE customer_id = p.customer_id AND owner_id IS NOT NULL
             AND state IN ('open', 'waiting_customer') ORDER BY id DESC LIMIT 1),
           (SELECT id FROM crm_user WHERE is_active AND takes_conversations AND is_available AND NOT is_full
             ORDER BY random() LIMIT 1)) AS owner_id
  FROM crm_user u
  JOIN crm_contactpoint p ON p.kind = 'app' AND p.address = u.public_id::text AND p.unlinked_at IS NULL
  WHERE u.id = %s AND u.is_active
    AND EXISTS (SELECT FROM django_session WHERE session_key = %s AND expire_date > now())),
c AS (INSERT INTO crm_conversation
        (public_id, customer_id, owner_id, subject, channel, state, queue_class, spoke_at, due_at, last_inbound_at, skill,
         imported)
      SELECT uuidv7(), customer_id, owner_id, '', 'app', 'open', 1, now(), now() + interval '8 hours', now(), '', false
      FROM who
      RETURNING id, public_id, customer_id),
i AS (INSERT INTO crm_interaction
        (public_id, conversation_id, direction, channel, contact_point_id, source, external_id, subject, text, full_text,
         html, message_id, language, spoke_at, ingested_at, wait_seconds, hold_seconds, ended_by, imported)
      SELECT uuidv7(), c.id, 'in', 'app', who.id, 'app', who.public_id || %s, '', %s, '', '', '', '', now(), now(), 0, 0,
             '', false FROM c, who
      RETURNING id, public_id),
p AS (INSERT INTO crm_promise
        (conversation_id, kind, given_by, starts_at, due_at, warn_at, within_seconds, reason, explanation, state)
      SELECT id, 'first_response', 'everybody', now(), now() + interval '8 hours', now() + interval '6 hours', 28800, '', '',
             'running' FROM c),
w AS (INSERT INTO crm_workitem (key, lane, event, ref, due_at, state, reason, attempt)
      SELECT 'triage:interaction.received:interaction:' || public_id, 'triage', 'interaction.received',
             'interaction:' || public_id, now(), 'ready', '', 0 FROM i),
h AS (INSERT INTO crm_historyentry (customer_id, verb, ref, by_id, origin, at, detail)
      SELECT c.customer_id, 'conversation.opened', 'conversation:' || c.public_id, who.account_id, 'api', now(),
             jsonb_build_object('interaction', i.public_id, 'channel', 'app') FROM c, i, who)
SELECT c.public_id, i.public_id FROM c, i
"""

_kept = threading.local()
_KEY: Any = load_pem_private_key(os.environ["EVENHAND_BENCH_JWT_KEY"].encode(), None).public_key()
_SEAL = hashlib.sha256(os.environ["EVENHAND_BENCH_SECRET"].encode()).digest()


def _connection() -> psycopg.Connection[Any]:
    if not hasattr(_kept, "connection"):
        _kept.connection = psycopg.connect(os.environ["EVENHAND_BENCH_DSN"], autocommit=True)
    return _kept.connection


def _session_key(sid: str) -> str:
    """A token names its session encrypted, as django-allauth does it."""
    sealed = base64.b64decode(sid)
    reader = Cipher(algorithms.AES(_SEAL), modes.CTR(sealed[:16])).decryptor()
    return (reader.update(sealed[16:]) + reader.finalize()).decode()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer 201 with the two ids."""
    if environ["PATH_INFO"] == "/livez":
        start_response("200 OK", [("Content-Length", "0")])
        return []
    given = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    token = jwt.decode(environ["HTTP_AUTHORIZATION"].removeprefix("Bearer "), _KEY, algorithms=["RS256"])
    values = [int(token["sub"]), _session_key(token["sid"]), f":{given['key']}", given["text"]]
    row = _connection().execute(STATEMENT, values).fetchone()
    body = json.dumps({"conversation": str(row[0]), "interaction": str(row[1])}).encode()  # type: ignore[index]
    start_response("201 Created", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
