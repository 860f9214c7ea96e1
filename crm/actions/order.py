"""Whether every open matter stands in the queue where its promises place it, and whether critical harm still fits."""

from __future__ import annotations

from datetime import datetime

from django.db import connection, transaction
from django.db.models import Count, Q

from crm import history
from crm.actions import alerts
from crm.models import Conversation
from crm.policy import AlertKind, QueueClass, critical_share_is_high

# What `queue_due` says, for all open matters at once; a test compares the two.
_WRONG = f"""
WITH place AS (
  SELECT conversation_id,
         coalesce(min(due_at) FILTER (WHERE kind <> 'confirmation'), min(due_at)) AS due_at
  FROM crm_promise WHERE state IN ('running', 'breached') GROUP BY conversation_id
), wrong AS MATERIALIZED (
  SELECT talk.id, talk.customer_id, talk.public_id, talk.due_at AS stood, place.due_at
  FROM crm_conversation AS talk JOIN place ON place.conversation_id = talk.id
  WHERE talk.state = 'open' AND talk.due_at IS DISTINCT FROM place.due_at
  FOR UPDATE OF talk SKIP LOCKED
), righted AS (
  UPDATE crm_conversation AS talk SET due_at = wrong.due_at FROM wrong WHERE talk.id = wrong.id
), told AS (
  SELECT customer_id, 'conversation:' || public_id AS ref, %(at)s::timestamptz AS at,
         jsonb_build_object('before', stood, 'after', due_at) AS detail
  FROM wrong
), recorded AS ({history.insert_from("told", verb="conversation.place_righted")})
SELECT id FROM wrong
"""  # noqa: S608  no value stands in the text


@transaction.atomic
def put_right(at: datetime) -> int:
    """Bring every open matter to the place its promises give it; actions keep it there, so finding one is an alarm.

    Returns how many stood elsewhere (must be 0). Safe to repeat; a matter that somebody is changing is left to the next run.
    """
    with connection.cursor() as cursor:
        cursor.execute(_WRONG, {"at": at})
        wrong = [number for (number,) in cursor.fetchall()]
    if wrong:
        alerts.write([alerts.told(AlertKind.PLACE_WRONG, key=at.isoformat(), at=at, detail={"number": len(wrong)})])
    _watch_critical(at)
    return len(wrong)


def _watch_critical(at: datetime) -> None:
    count = Conversation.objects.waiting_for_us().aggregate(
        all=Count("pk"), critical=Count("pk", filter=Q(queue_class=QueueClass.CRITICAL))
    )
    if critical_share_is_high(critical=count["critical"], waiting=count["all"]):
        alerts.write([alerts.told(AlertKind.CRITICAL_SHARE, key=at.date().isoformat(), at=at, detail=count)])
