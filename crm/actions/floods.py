"""Floods at the door of the providers: seen, told to the leads, and kept from holding up what others say (H08)."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from psycopg.types.numeric import Int8

from crm.actions import alerts
from crm.models import ChannelAccount, Conversation
from crm.policy import COUNTED_WITHIN, MESSAGES_OF_A_SENDER, STANDS_FOR, AlertKind, is_flood, left_until_next_look
from crm.together import prepared


class SenderFloods(Exception):
    """One sender says more at once than anybody writes; the rest is taken in a little later."""

    code = "sender_floods"


_OF_ACCOUNT = """
SELECT CASE WHEN (
  SELECT received_at > %(since)s FROM crm_rawitem WHERE id >= (SELECT max(id) FROM crm_rawitem) - %(half)s
  AND (SELECT min(id) FROM crm_rawitem) <= (SELECT max(id) FROM crm_rawitem) - %(half)s + 1 ORDER BY id LIMIT 1
) THEN (SELECT count(*) FROM (
  SELECT FROM (SELECT source, received_at FROM crm_rawitem ORDER BY id DESC LIMIT 2 * %(most)s) newest
  WHERE source = %(source)s AND received_at > %(since)s LIMIT %(most)s) lately) END
"""
"""How much an account posted within the minute. As numbers are given in order, all accounts together posted less than half of
it when the row that far back is older than a minute, or when there are not so many rows at all: nothing is counted then (NULL)."""
OF_SENDER = """
SELECT count(*) FROM (
  SELECT FROM (
    SELECT source FROM crm_interaction
    WHERE conversation_id = heard.conversation_id AND spoke_at > %(since)s AND direction = 'in' OFFSET 0
  ) lately WHERE source = %(source)s LIMIT %(most)s) counted
"""
"""SQL for what one person said in the matter `heard.conversation_id` through an account; its values are `counting`. The fence
(OFFSET 0) keeps the planner to this matter; of an account that is new it believes that next to nothing came there."""


@dataclass(slots=True)
class _Found:
    """What the last look at an account found. left: posts until the next look; until: when a flood is looked at again."""

    left: int
    until: datetime | None


_found: dict[str, _Found] = {}
_looking = threading.Lock()


def of_account(account: ChannelAccount, *, at: datetime) -> bool:
    """Whether an account has posted as much within a minute as it may; what was posted twice counts once.

    This process looks again when it has let in its share of what was left, or a second after it found a flood.
    """
    most = settings.EVENHAND_POSTS_A_MINUTE
    with _looking:
        found = _found.get(account.source)
        if found is not None:
            if found.until is not None and found.until - STANDS_FOR <= at < found.until:
                return True
            if found.until is None and found.left > 0:
                found.left -= 1
                return False
    asked = {"source": account.source, "since": at - COUNTED_WITHIN, "most": Int8(most), "half": Int8(most // 2)}
    counted = prepared(_OF_ACCOUNT, asked)[0][0]
    count = most // 2 if counted is None else counted
    is_one = is_flood(count, most=most)
    with _looking:
        _found[account.source] = _Found(left_until_next_look(count, most=most), at + STANDS_FOR if is_one else None)
    return is_one


def counting(account: ChannelAccount, *, at: datetime) -> dict[str, Any]:
    """The values of `OF_SENDER`."""
    return {"source": account.source, "since": at - COUNTED_WITHIN, "most": Int8(MESSAGES_OF_A_SENDER)}


def of_sender(account: ChannelAccount, matter: Conversation, *, at: datetime) -> bool:
    """Whether one person has said as much in a matter within a minute as anybody can; what was said before does not count."""
    asked = counting(account, at=at) | {"matter": matter.pk}
    said = prepared(f"SELECT ({OF_SENDER}) FROM (SELECT %(matter)s::bigint AS conversation_id) heard", asked)  # noqa: S608
    return is_flood(said[0][0], most=MESSAGES_OF_A_SENDER)


def tell(account: ChannelAccount, *, at: datetime, sender: str = "") -> None:
    """Tell the leads, of an account once an hour, of a sender of it once a day. sender: a digest, no address."""
    day = at.date().isoformat()
    key = f"{account.public_id}:{sender}:{day}" if sender else f"{account.public_id}:{day}:{at.hour}"
    detail = {"account": str(account.public_id), "is_sender": bool(sender)}
    alerts.write([alerts.told(AlertKind.CHANNEL_FLOOD, key=key, at=at, detail=detail)])
