"""The tick of promises: what runs out soon is told its owner, what has run out is written down as missed.

Both are one statement a batch, whatever its size; two sweepers at once share the rows and never take the same one.
"""

from __future__ import annotations

from datetime import datetime

from django.db import connection, transaction

from crm import history
from crm.actions import alerts
from crm.models import Alert
from crm.policy import AlertKind

AT_ONCE = 1_000
TOLD_ONE_BY_ONE = 20
"""More misses than this in one batch are one alert; who has slept for hours needs a number, not a flood (F23)."""

_MISSED = f"""
WITH due AS MATERIALIZED (
  SELECT id, kind, due_at, conversation_id FROM crm_promise
  WHERE state = 'running' AND due_at < %(at)s ORDER BY due_at LIMIT %(size)s FOR UPDATE SKIP LOCKED
), missed AS (
  UPDATE crm_promise AS promise SET state = 'breached', breached_at = %(at)s FROM due WHERE promise.id = due.id
), told AS (
  SELECT talk.customer_id, 'conversation:' || talk.public_id AS ref, %(at)s::timestamptz AS at,
         jsonb_build_object('promise', due.kind, 'due_at', due.due_at) AS detail
  FROM due JOIN crm_conversation AS talk ON talk.id = due.conversation_id
), recorded AS ({history.insert_from("told", verb="promise.missed")})
SELECT id, kind, conversation_id FROM due
"""  # noqa: S608  no value stands in the text

_SOON = """
WITH due AS MATERIALIZED (
  SELECT id, kind, due_at, conversation_id FROM crm_promise
  WHERE state = 'running' AND warned_at IS NULL AND warn_at <= %(at)s ORDER BY warn_at LIMIT %(size)s
  FOR UPDATE SKIP LOCKED
), warned AS (
  UPDATE crm_promise AS promise SET warned_at = %(at)s FROM due WHERE promise.id = due.id
), told AS (
  INSERT INTO crm_alert (key, kind, to_id, conversation_id, detail, raised_at)
  SELECT %(kind)s || ':' || due.id, %(kind)s, talk.owner_id, talk.id,
         jsonb_build_object('promise', due.kind, 'due_at', due.due_at), %(at)s
  FROM due JOIN crm_conversation AS talk ON talk.id = due.conversation_id WHERE due.due_at >= %(at)s
  ON CONFLICT (key) DO NOTHING
)
SELECT count(*) FROM due
"""


def tick(*, at: datetime) -> int:
    """Do one batch of both. Returns how many promises changed; 0 when nothing is due."""
    return miss_batch(at=at) + warn_batch(at=at)


@transaction.atomic
def miss_batch(*, at: datetime, size: int = AT_ONCE) -> int:
    """Write down promises whose time has passed unkept, and tell the leads. Returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(_MISSED, {"at": at, "size": size})
        missed = cursor.fetchall()
    if len(missed) > TOLD_ONE_BY_ONE:
        told = [
            alerts.told(AlertKind.PROMISE_MISSED, key=f"many:{missed[0][0]}", at=at, detail={"number": len(missed)})
        ]
    else:
        told = [
            Alert(
                key=f"{AlertKind.PROMISE_MISSED}:{promise}",
                kind=AlertKind.PROMISE_MISSED,
                conversation_id=conversation,
                detail={"promise": kind},
                raised_at=at,
            )
            for promise, kind, conversation in missed
        ]
    if told:
        alerts.write(told)
    return len(missed)


@transaction.atomic
def warn_batch(*, at: datetime, size: int = AT_ONCE) -> int:
    """Tell owners of promises that run out soon, each once. Returns how many promises were looked at."""
    with connection.cursor() as cursor:
        cursor.execute(_SOON, {"at": at, "size": size, "kind": AlertKind.PROMISE_SOON.value})
        number: int = cursor.fetchone()[0]
        return number
