"""Floods at the door of the providers: seen, told to the leads, and kept from holding up what others say (H08)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection
from psycopg.types.numeric import Int8

from crm.actions import alerts
from crm.models import ChannelAccount, Conversation
from crm.policy import COUNTED_WITHIN, MESSAGES_OF_A_SENDER, AlertKind, is_flood
from crm.together import prepared


class SenderFloods(Exception):
    """One sender says more at once than anybody writes; the rest is taken in a little later."""

    code = "sender_floods"


# As numbers are given in order, fewer came within the minute than asked for when the row that far back is older than it, or when
# there are not so many at all.
_IS_BUSY = """
SELECT received_at > %(since)s FROM crm_rawitem
WHERE id >= (SELECT max(id) FROM crm_rawitem) - %(most)s
AND (SELECT min(id) FROM crm_rawitem) <= (SELECT max(id) FROM crm_rawitem) - %(most)s + 1 ORDER BY id LIMIT 1
"""
_OF_ACCOUNT = """
SELECT count(*) FROM (
  SELECT FROM (SELECT source, received_at FROM crm_rawitem ORDER BY id DESC LIMIT 2 * %(most)s) newest
  WHERE source = %(source)s AND received_at > %(since)s LIMIT %(most)s) lately
"""
_OF_SENDER = """
SELECT count(*) FROM (
  SELECT FROM crm_interaction WHERE conversation_id = %(id)s AND spoke_at > %(since)s AND direction = 'in'
  AND source = %(source)s LIMIT %(most)s) lately
"""

_OF_SENDERS = """
SELECT m.id FROM unnest(%(ids)s::bigint[]) m(id)
CROSS JOIN LATERAL (
  SELECT count(*) AS said FROM (
    SELECT FROM crm_interaction WHERE conversation_id = m.id AND spoke_at > %(since)s AND direction = 'in' AND source = %(source)s
    LIMIT %(most)s) lately) counted
WHERE counted.said >= %(most)s
"""


def of_account(account: ChannelAccount, *, at: datetime) -> bool:
    """Whether an account has posted as much within a minute as it may; what was posted twice counts once."""
    asked: dict[str, Any] = {
        "source": account.source,
        "since": at - COUNTED_WITHIN,
        "most": settings.EVENHAND_POSTS_A_MINUTE,
    }
    with connection.cursor() as cursor:
        cursor.execute(_IS_BUSY, asked)
        if (cursor.fetchone() or (False,))[0] is not True:
            return False
        cursor.execute(_OF_ACCOUNT, asked)
        return is_flood(cursor.fetchone()[0], most=settings.EVENHAND_POSTS_A_MINUTE)


def of_sender(account: ChannelAccount, matter: Conversation, *, at: datetime) -> bool:
    """Whether one person has said as much in a matter within a minute as anybody can; what was said before does not count."""
    asked: dict[str, Any] = {
        "id": matter.pk,
        "source": account.source,
        "since": at - COUNTED_WITHIN,
        "most": MESSAGES_OF_A_SENDER,
    }
    with connection.cursor() as cursor:
        cursor.execute(_OF_SENDER, asked)
        return is_flood(cursor.fetchone()[0], most=MESSAGES_OF_A_SENDER)


def of_senders(account: ChannelAccount, matters: Sequence[int], *, at: datetime) -> bool:
    """The same for the senders of several matters, by their keys: whether one of them has. One statement."""
    asked = {
        "ids": [Int8(matter) for matter in matters],
        "source": account.source,
        "since": at - COUNTED_WITHIN,
        "most": Int8(MESSAGES_OF_A_SENDER),
    }
    return bool(prepared(_OF_SENDERS, asked))


def tell(account: ChannelAccount, *, at: datetime, sender: str = "") -> None:
    """Tell the leads, of an account once an hour, of a sender of it once a day. sender: a digest, no address."""
    day = at.date().isoformat()
    key = f"{account.public_id}:{sender}:{day}" if sender else f"{account.public_id}:{day}:{at.hour}"
    detail = {"account": str(account.public_id), "is_sender": bool(sender)}
    alerts.write([alerts.told(AlertKind.CHANNEL_FLOOD, key=key, at=at, detail=detail)])
