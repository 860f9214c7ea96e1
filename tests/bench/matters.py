"""Matters with everything the audit asks about, made by SQL: five channels, four kinds, answered, promised, settled, made good.

They lie in the four weeks before UNTIL, apart from the other rows, with keys above FIRST. Waits are log-normal; the phone waits
longer. The draws come from one seed, so two fills of one size are alike.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import connection

from tests.bench import fill

FIRST = 200_000_000
UNTIL = datetime(2025, 12, 1, tzinfo=UTC)
SINCE = UNTIL - timedelta(days=28)
AT = UNTIL + timedelta(hours=4)
A_CUSTOMER = 2
"""Matters of one customer."""
CHANNELS = ("email", "phone", "chat", "social_public", "store", "letter")
SHARES = (0.40, 0.65, 0.80, 0.90, 0.96, 1.0)
"""Cumulated."""

DRAWN = """
CREATE UNLOGGED TABLE bench_matter AS
SELECT n, %(first)s + n AS id, %(first)s + n / %(each)s AS customer, channel, spoke_at, chance,
       chance < 0.03 AS dismissed, kind < 0.3 AS failed,
       (array['damaged_item', 'late_or_missing', 'wrong_charge', 'conduct'])[1 + floor(kind / 0.075)::int] AS complaint,
       CASE WHEN answered < 0.96 THEN spoke_at + span END AS answered_at,
       CASE WHEN answered < 0.96 AND settled < 0.92 THEN spoke_at + span + more END AS settled_at, settled, extra
FROM (SELECT n, kind, answered, settled, chance, extra, channel,
             timestamptz %(until)s - interval '28 days' * place AS spoke_at,
             interval '1 hour' * exp(0.6 + 0.9 * sqrt(-2 * ln(1 - a)) * cos(2 * pi() * b) + CASE channel WHEN 'phone' THEN 0.2
                                     ELSE 0 END) AS span,
             interval '1 hour' * exp(2.5 + 1.1 * sqrt(-2 * ln(1 - a)) * sin(2 * pi() * b)) AS more
      FROM (SELECT n, random() AS place, random() AS a, random() AS b, random() AS kind, random() AS answered, random() AS settled,
                   random() AS chance, random() AS extra,
                   (%(channels)s::text[])[1 + width_bucket(random(), %(shares)s::float[])] AS channel
            FROM generate_series(1, %(size)s) n) AS dice) AS drawn
ORDER BY spoke_at
"""
STATEMENTS = (
    """
INSERT INTO crm_customer (id, public_id, display_name, language, zone, region, status, created_at)
SELECT %(first)s + n, uuidv7(), 'Customer ' || n, 'en', '', '', 'active', timestamptz %(until)s - interval '1 year'
FROM generate_series(0, %(size)s / %(each)s) n
""",
    """
INSERT INTO crm_conversation (id, public_id, customer_id, owner_id, subject, channel, state, queue_class, spoke_at, due_at,
                              last_inbound_at, last_outbound_at, first_answer_at, skill, imported)
SELECT id, uuidv7(), customer, %(owner)s, 'A matter', channel,
       CASE WHEN dismissed OR settled_at IS NOT NULL THEN 'closed' ELSE 'waiting_customer' END, 1, spoke_at, NULL, spoke_at,
       answered_at, CASE WHEN NOT dismissed THEN answered_at END, '', false
FROM bench_matter
""",
    """
INSERT INTO crm_interaction (public_id, conversation_id, direction, channel, source, external_id, subject, text, full_text, html,
                             message_id, language, spoke_at, ingested_at, wait_seconds, hold_seconds, ended_by, imported)
SELECT uuidv7(), id, 'in', channel, 'bench', 'matter' || n, '', 'I ordered two weeks ago and nothing has come yet.', '', '',
       '', 'en', spoke_at, spoke_at + interval '1 minute' * extra, 0, 0, '', false
FROM bench_matter
""",
    """
INSERT INTO crm_promise (conversation_id, kind, given_by, starts_at, due_at, warn_at, within_seconds, reason, explanation, state,
                         met_at, breached_at)
SELECT id, 'first_response', 'everybody', spoke_at, spoke_at + interval '8 hours', spoke_at + interval '6 hours', 28800, '', '',
       CASE WHEN answered_at IS NULL THEN 'breached' WHEN answered_at > spoke_at + interval '8 hours' THEN 'met_late'
            ELSE 'met' END,
       answered_at,
       CASE WHEN coalesce(answered_at, 'infinity') > spoke_at + interval '8 hours' THEN spoke_at + interval '8 hours' END
FROM bench_matter
""",
    """
INSERT INTO crm_promise (conversation_id, kind, given_by, starts_at, due_at, warn_at, within_seconds, reason, explanation, state,
                         met_at)
SELECT id, 'confirmation', 'everybody', spoke_at, spoke_at + interval '24 hours', spoke_at + interval '20 hours', 86400, '', '',
       'met', answered_at
FROM bench_matter WHERE channel IN ('phone', 'store') AND answered_at IS NOT NULL
""",
    """
INSERT INTO crm_closing (conversation_id, how, reason, closed_by_id, at, reopened_at)
SELECT id, CASE WHEN dismissed THEN 'dismissed' WHEN settled < 0.05 THEN 'went_quiet' ELSE 'closed' END, '', %(owner)s,
       CASE WHEN dismissed THEN spoke_at ELSE settled_at END,
       CASE WHEN NOT dismissed AND chance > 0.95 THEN settled_at + interval '1 day' END
FROM bench_matter WHERE dismissed OR settled_at IS NOT NULL
""",
    """
INSERT INTO crm_handoff (public_id, conversation_id, giver_id, to_id, reason, context_note, state, offered_at, settled_at)
SELECT uuidv7(), id, %(owner)s, %(other)s, 'workload', 'Please go on.', 'accepted', spoke_at, spoke_at + interval '1 hour'
FROM bench_matter WHERE extra < 0.08
""",
    """
INSERT INTO crm_identitycheck (public_id, conversation_id, kind, need, is_beyond, because, state, asked_at, asked_by_id, settled_at,
                               settled_by_id, digest, tries)
SELECT uuidv7(), id, kind, 'money', false, '', 'passed', spoke_at + interval '1 hour', %(owner)s, spoke_at + interval '2 hours',
       %(owner)s, '', 0
FROM bench_matter CROSS JOIN unnest(array['document', 'reference']) kind WHERE extra < 0.06
""",
    """
INSERT INTO recovery_case (id, public_id, customer_id, conversation_id, owner_id, status, severity, complaint_type, seen_because,
                           spoke_at, opened_at, owned_at, resolved_at, outcome, explanation, reason, recourse, reopened_count,
                           custom)
SELECT id, uuidv7(), customer, id, %(owner)s, CASE WHEN settled_at IS NULL THEN 'owned' ELSE 'resolved' END,
       (array['low', 'medium', 'high'])[1 + floor(extra * 3)::int], complaint, '[]', spoke_at, spoke_at, spoke_at, settled_at,
       CASE WHEN settled_at IS NULL THEN '' ELSE 'upheld' END, CASE WHEN settled_at IS NULL THEN '' ELSE 'We are sorry.' END,
       '', '', 0, '{}'
FROM bench_matter WHERE failed AND NOT dismissed
""",
    """
INSERT INTO recovery_decision (id, case_id, policy_version_id, facts, facts_hash, entitlement, entitlement_hash, decided_at)
SELECT id, id, (SELECT min(id) FROM recovery_policyversion), '{"loss": "80.00"}', '', '{"owed": "100.00", "currency": "EUR"}',
       '', spoke_at
FROM bench_matter WHERE failed AND NOT dismissed
""",
    """
INSERT INTO recovery_settlement (case_id, outcome, settled_by_id, at, settled_because, reopened_because)
SELECT id, 'upheld', %(owner)s, settled_at, '', '' FROM bench_matter WHERE failed AND NOT dismissed AND settled_at IS NOT NULL
""",
    """
INSERT INTO recovery_grant (case_id, decision_id, key, kind, amount, currency, public_words, given_by_id, at)
SELECT id, id, 'made good', 'refund', CASE WHEN extra < 0.1 THEN 80 ELSE 100 END, 'EUR', '', %(owner)s, settled_at
FROM bench_matter WHERE failed AND NOT dismissed AND settled_at IS NOT NULL
""",
    """
INSERT INTO recovery_treatmentexception (public_id, case_id, decision_id, kind, amount, currency, reason, state, proposed_by_id,
                                         proposed_at, decided_by_id, decided_at)
SELECT uuidv7(), id, id, 'goodwill', 20, 'EUR', 'It was the second time.',
       CASE WHEN settled < 0.6 THEN 'approved' ELSE 'declined' END,
       %(owner)s, spoke_at, %(other)s, spoke_at + interval '2 hours'
FROM bench_matter WHERE failed AND NOT dismissed AND extra > 0.95
""",
    "DROP TABLE bench_matter",
)


def matters(size: int, *, owners: list[int]) -> None:
    """Add so many matters of the window. owners: keys of two colleagues at least."""
    told = {
        "size": size, "first": FIRST, "until": UNTIL.isoformat(), "each": A_CUSTOMER, "channels": list(CHANNELS),
        "shares": list(SHARES[:-1]), "owner": owners[0], "other": owners[1],
    }  # fmt: skip
    with connection.cursor() as cursor:
        # The rows are right by construction; checking every reference of millions would take most of the time.
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("SET synchronous_commit = off")
        cursor.execute("SELECT setseed(0.5)")
        for statement in (DRAWN, *STATEMENTS):
            cursor.execute(statement, told)
    fill.settle()
