"""Rows for a measurement, made by SQL: a realistic past, most of it closed, with a queue of open conversations.

Row number n has the primary key FIRST + n. What the product itself writes meanwhile gets keys above PRODUCT.
"""

from __future__ import annotations

from django.db import connection

FIRST = 1_000
PRODUCT = 100_000_000
ALL_OPEN_UNTIL = 1_000
"""Conversations up to this number are all open; of those behind it, one in OPEN_EVERY."""
OPEN_EVERY = 20
A_CUSTOMER = 4
"""Conversations of one customer."""

TABLES = ("customer", "contactpoint", "conversation", "interaction", "promise", "historyentry")

CUSTOMERS = """
INSERT INTO crm_customer (id, public_id, display_name, language, zone, region, status, created_at)
SELECT %(first)s + n, uuidv7(), 'Customer ' || n, 'en', '', '', 'active', timestamptz '2026-01-01' + n * interval '1 minute'
FROM generate_series(%(start)s / %(each)s + 1, %(stop)s / %(each)s + 1) n ON CONFLICT DO NOTHING
"""
CONTACT_POINTS = """
INSERT INTO crm_contactpoint (id, customer_id, kind, address, created_at)
SELECT %(first)s + n, %(first)s + n, 'email', 'customer' || n || '@fill.example', timestamptz '2026-01-01'
FROM generate_series(%(start)s / %(each)s + 1, %(stop)s / %(each)s + 1) n ON CONFLICT DO NOTHING
"""
CONVERSATIONS = """
INSERT INTO crm_conversation (id, public_id, customer_id, owner_id, subject, channel, state, queue_class, spoke_at, due_at,
                              last_inbound_at, last_outbound_at, first_answer_at, skill, imported)
SELECT %(first)s + n, uuidv7(), %(first)s + n / %(each)s + 1, (%(owners)s::bigint[])[1 + n %% cardinality(%(owners)s::bigint[])],
       'Where is my order ' || n, 'email', CASE WHEN open THEN 'open' ELSE 'closed' END,
       CASE WHEN n %% 500 = 0 THEN 0 ELSE 1 END, spoke_at, CASE WHEN open THEN spoke_at + interval '8 hours' END,
       spoke_at, CASE WHEN NOT open THEN spoke_at + interval '1 hour' END,
       CASE WHEN NOT open THEN spoke_at + interval '1 hour' END, '', false
FROM (SELECT n, n <= %(all_open)s OR n %% %(open_every)s = 0 AS open,
             timestamptz '2026-01-01' + n * interval '20 seconds' AS spoke_at
      FROM generate_series(%(start)s + 1, %(stop)s) n) AS numbers
"""
INTERACTIONS = """
INSERT INTO crm_interaction (id, public_id, conversation_id, direction, channel, contact_point_id, source, external_id,
                             subject, text, full_text, html, message_id, language, spoke_at, ingested_at, wait_seconds,
                             hold_seconds, ended_by, imported)
SELECT %(first)s + n, uuidv7(), %(first)s + n, 'in', 'email', %(first)s + n / %(each)s + 1, 'mail:fill', 'fill' || n,
       'Where is my order ' || n, 'I ordered two weeks ago and nothing has come yet. My order number is ' || n || '.'
       || CASE WHEN n %% 100 = 0 THEN ' It is for a wedding.' ELSE '' END
       || CASE WHEN n %% 400 = 7 THEN ' It is for an anniversary.' ELSE '' END, '', '',
       'fill' || n || '@fill.example', 'en', timestamptz '2026-01-01' + n * interval '20 seconds',
       timestamptz '2026-01-01' + n * interval '20 seconds', 0, 0, '', false
FROM generate_series(%(start)s + 1, %(stop)s) n
"""
PROMISES = """
INSERT INTO crm_promise (id, conversation_id, kind, given_by, starts_at, due_at, warn_at, within_seconds, reason,
                         explanation, state, met_at)
SELECT id, id, 'first_response', 'everybody', spoke_at, spoke_at + interval '8 hours', spoke_at + interval '6 hours', 28800, '', '',
       CASE WHEN state = 'open' THEN 'running' ELSE 'met' END, first_answer_at
FROM crm_conversation WHERE id > %(first)s + %(start)s AND id <= %(first)s + %(stop)s
"""
HISTORY = """
INSERT INTO crm_historyentry (id, customer_id, verb, ref, origin, at, detail)
SELECT id, customer_id, 'conversation.opened', 'conversation:' || public_id, 'mail', spoke_at, '{"channel": "email"}'
FROM crm_conversation WHERE id > %(first)s + %(start)s AND id <= %(first)s + %(stop)s
"""
LONGER = """
INSERT INTO crm_interaction (id, public_id, conversation_id, direction, channel, contact_point_id, source, external_id,
                             subject, text, full_text, html, message_id, language, spoke_at, ingested_at, wait_seconds,
                             hold_seconds, ended_by, imported)
SELECT 50000000 + n, uuidv7(), conversation_id, direction, channel, contact_point_id, source, 'longer' || n, subject, text, '',
       '', '', '', spoke_at + n * interval '1 second', ingested_at, 0, 0, '', false
FROM crm_interaction, generate_series(%(start)s + 1, %(stop)s) n WHERE crm_interaction.id = %(first)s + 1
"""


def keep_keys_apart() -> None:
    """Let the product's own new rows begin above every filled one."""
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", [f"crm_{table}", PRODUCT])


def conversations(start: int, stop: int, *, owners: list[int]) -> None:
    """Add conversations start + 1 to stop, each with its customer, one interaction, one promise and one history entry."""
    told = {
        "start": start,
        "stop": stop,
        "first": FIRST,
        "owners": owners,
        "each": A_CUSTOMER,
        "all_open": ALL_OPEN_UNTIL,
        "open_every": OPEN_EVERY,
    }
    with connection.cursor() as cursor:
        # The rows are right by construction; checking every reference of millions would take most of the time.
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("SET synchronous_commit = off")
        for statement in (CUSTOMERS, CONTACT_POINTS, CONVERSATIONS, INTERACTIONS, PROMISES, HISTORY):
            cursor.execute(statement, told)
    settle()


def longer(start: int, stop: int) -> None:
    """Let the first filled conversation hold stop + 1 interactions, after start + 1."""
    with connection.cursor() as cursor:
        cursor.execute(LONGER, {"start": start, "stop": stop, "first": FIRST})


def settle() -> None:
    """Do now what autovacuum and the checkpointer would do in the middle of a measurement; then as the product connects."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")
    connection.close()
