"""What customers say through providers of channels, taken in at once: one look at all of them, one write of all that they leave.

What is told here holds for plain words only. Whatever needs more (files, an answer to a message of ours, an edit that came first, a
matter that was closed) is done by `channel_effects`, one event at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from crm import dispatch
from crm.actions import channel_effects, floods, identity, intake
from crm.channels import Message
from crm.channels.providers import Event, Said
from crm.language import stop_words
from crm.models import ChannelAccount, RawItem
from crm.policy import MESSAGES_OF_A_SENDER, ConversationState, is_flood
from crm.together import Statement, run

AT_MOST = 100
"""Events of one post that are taken in at once."""

_ONE = "(SELECT %(kind)s::text AS kind, %(address)s::text AS address, %(id)s::text AS external_id, 1 AS place) one"
_EACH = "unnest(%(kinds)s::text[], %(addresses)s::text[], %(ids)s::text[]) WITH ORDINALITY one(kind, address, external_id, place)"
# The fences (OFFSET 0, LIMIT) keep the planner to the indexes of one person; it knows nothing of an account that is new.
_LAST = f"""
LEFT JOIN LATERAL (
    SELECT id, customer_id FROM crm_contactpoint
    WHERE kind = one.kind AND address = one.address AND unlinked_at IS NULL LIMIT 1
) p ON true
LEFT JOIN LATERAL ({channel_effects.LAST_MATTER}) heard ON true
"""  # noqa: S608  our own text
_LOCK = f"""
SELECT {intake.COLUMNS} FROM crm_conversation m JOIN crm_customer c ON c.id = m.customer_id
WHERE m.id = ANY(ARRAY(SELECT heard.conversation_id FROM {_EACH} {_LAST}))
ORDER BY m.id FOR UPDATE OF m
"""  # noqa: S608  names of our own columns
_KNOWN = """
SELECT EXISTS (SELECT FROM crm_interaction WHERE source = %(source)s AND external_id = one.external_id),
       p.customer_id, p.id,
       (SELECT owner_id FROM crm_conversation
        WHERE customer_id = p.customer_id AND state IN ('open', 'waiting_customer') AND owner_id IS NOT NULL
        ORDER BY id DESC LIMIT 1),
       c.region, c.language, c.zone, heard.conversation_id,
       CASE WHEN heard.conversation_id IS NULL THEN ARRAY(
         SELECT id FROM crm_user WHERE is_active AND takes_conversations AND is_available AND NOT is_full ORDER BY id) END
"""
_ITS_CUSTOMER = """
LEFT JOIN LATERAL (SELECT region, language, zone FROM crm_customer WHERE id = p.customer_id LIMIT 1) c ON true
"""
_UNMET = """
SELECT array_agg(kind ORDER BY id) AS kinds, array_agg(due_at ORDER BY id) AS due_at,
       string_agg(concat_ws(' ', id, kind, extract(epoch FROM due_at)), ',' ORDER BY id) AS told
FROM crm_promise WHERE conversation_id = heard.conversation_id AND state IN ('running', 'breached')
"""
_ASK_ONE = f"""
{_KNOWN}, EXISTS (SELECT FROM crm_outgoingmessage
                  WHERE conversation_id = heard.conversation_id AND stops_if_they_write AND state = 'ready'),
       unmet.kinds, unmet.due_at, ({floods.OF_SENDER}), coalesce(unmet.told, ''), m.version, {intake.COLUMNS}
FROM {_ONE} {_LAST} {_ITS_CUSTOMER}
LEFT JOIN LATERAL ({_UNMET}) unmet ON true
LEFT JOIN LATERAL (SELECT *, xmin::text AS version FROM crm_conversation WHERE id = heard.conversation_id LIMIT 1) m ON true
"""  # noqa: S608  our own text
_ASK = f"""
{_KNOWN}, EXISTS (SELECT FROM crm_outgoingmessage
                  WHERE conversation_id = heard.conversation_id AND stops_if_they_write AND state = 'ready'),
       unmet.kinds, unmet.due_at, ({floods.OF_SENDER})
FROM {_EACH} {_LAST} {_ITS_CUSTOMER}
LEFT JOIN LATERAL ({_UNMET}) unmet ON true
ORDER BY one.place
"""  # noqa: S608  our own text
# An edit or a deletion that came before its message lets the whole statement fail: a word is no number.
_NONE_BEFORE = """
SELECT ('told before: ' || id)::bigint FROM crm_messagechange
WHERE source = %(told_source)s AND external_id = %(told_id)s AND interaction_id IS NULL
"""
_TOLD_BEFORE = """
SELECT external_id FROM crm_messagechange
WHERE source = %(source)s AND external_id = ANY(%(ids)s) AND interaction_id IS NULL
"""


class OneByOne(Exception):
    """Something about these events is done for one of them at a time only."""

    code = "one_by_one"


def plain(
    events: Sequence[Event], account: ChannelAccount, item: RawItem, *, is_signed: bool
) -> list[list[Message]] | None:
    """The messages of a post, parted into those that can be taken in at once: no two of one person; in their order.

    None when there are none, or more is to be done for one of them. Asks no database.
    """
    if not 0 < len(events) <= AT_MOST:
        return None
    several: list[list[Message]] = []
    spoken: dict[tuple[str, str], int] = {}
    for event in events:
        if not isinstance(event, Said) or event.media or event.message.in_reply_to or event.message.attachments:
            return None
        message = channel_effects.message_of(event, account, item, is_signed=is_signed)
        if not message.text.strip() and not message.subject.strip():
            return None
        if event.wish or stop_words.wish_of(message.text):
            return None
        try:
            who = message.sender_kind, identity.normalised(message.sender_kind, message.sender_address)
        except identity.UnusableAddress:
            return None
        place = spoken[who] = spoken.get(who, -1) + 1
        if place == len(several):
            several.append([])
        several[place].append(message)
    if len({message.external_id for some in several for message in some}) < len(events):
        return None
    return several


def take_in_alone(message: Message, account: ChannelAccount, item: RawItem, *, at: datetime) -> bool:
    """Keep a post that says one thing, and take that in: by one question and one statement, which is a transaction of its own.

    Somebody new opens a matter; somebody known goes on with theirs, which the statement locks; it must still be as it was read.
    False when something else is to be done; then nothing has changed. Raises IntegrityError when the same post is kept already, or
    somebody wrote the same in this instant; InternalError when the matter has just changed; DataError for an edit that came before.
    """
    number = message.external_id[:200]
    told = floods.counting(account, at=at) | {
        "kind": str(message.sender_kind),
        "address": identity.normalised(message.sender_kind, message.sender_address),
        "id": number,
    }
    row = run(Statement(_ASK_ONE, told))[0][0]
    was_received, customer, point, owner, region, language, zone, matter, colleagues, *rest = row
    has_planned, kinds, due, said, unmet, version, *columns = rest
    if was_received or has_planned or (point is None) != (matter is None) or _is_too_much(said):
        return False
    goes_on = None
    also = [Statement(_NONE_BEFORE, {"told_source": account.source, "told_id": number})]
    if point is None:
        speaker = identity.newcomer(
            message.sender_kind, message.sender_address, name=message.sender_name, language=message.language, at=at
        )
    else:
        goes_on = intake.joined([[tuple(columns)], _unmet(kinds, due)])
        found = goes_on.conversation
        # One that has nothing promised any more is promised something by a statement of its own.
        has_nothing_due = found.due_at is None and not kinds
        if found.state == ConversationState.CLOSED or found.customer_id != customer or has_nothing_due:
            return False
        speaker = identity.met(customer, point, owner, region=region, language=language, zone=zone)
    with transaction.atomic() if connection.in_atomic_block else nullcontext():
        taking = intake.take(
            message, speaker=speaker, goes_on=goes_on, colleagues=colleagues, at=at, origin=account.provider, raw=item
        )
        taking.rows.insert(0, item)
        if goes_on is not None:
            also.append(intake.changing(goes_on.conversation, as_read=(version, unmet)))
        intake.write_alone(taking, *also)
        dispatch.after_commit("interaction.received")
    return True


def _unmet(kinds: list[str] | None, due: list[datetime] | None) -> list[tuple[Any, ...]]:
    """What is promised and not kept, as `intake.joined` takes it; no answer is planned."""
    return [(False, *one) for one in zip(kinds or (), due or (), strict=True)] or [(False, None, None)]


def _is_too_much(said: int) -> bool:
    return is_flood(said, most=MESSAGES_OF_A_SENDER)


def asking(messages: Sequence[Message], account: ChannelAccount, *, at: datetime) -> list[Statement]:
    """What locks the matters that messages of different people go on with, and reads everything known of these people.

    To be run in a transaction that holds `channel_effects.lock_of` each of them.
    """
    told = floods.counting(account, at=at) | {
        "kinds": [str(message.sender_kind) for message in messages],
        "addresses": [identity.normalised(message.sender_kind, message.sender_address) for message in messages],
        "ids": [message.external_id[:200] for message in messages],
    }
    return [Statement(_LOCK, told), Statement(_ASK, told)]


def take_in(
    messages: Sequence[Message],
    found: Sequence[list[tuple[Any, ...]]],
    account: ChannelAccount,
    item: RawItem,
    *,
    at: datetime,
) -> None:
    """Take in messages of different people. found: what `asking` gave. In the same transaction, which is undone when it raises.

    Raises OneByOne, and IntegrityError when somebody else wrote the same in this instant.
    """
    locked = {row[0]: row for row in found[0]}
    takings = []
    met: set[int] = set()
    for message, row in zip(messages, found[1], strict=True):
        (
            was_received,
            customer,
            point,
            owner,
            region,
            language,
            zone,
            matter,
            colleagues,
            has_planned,
            kinds,
            due,
            said,
        ) = row
        if was_received or has_planned or customer in met or _is_too_much(said):
            raise OneByOne
        goes_on = None
        if matter is not None:
            if matter not in locked:
                raise OneByOne  # it has just become another one
            goes_on = intake.joined([[locked[matter]], _unmet(kinds, due)])
            if goes_on.conversation.state == ConversationState.CLOSED:
                raise OneByOne
        if point is None:
            speaker = identity.newcomer(
                message.sender_kind, message.sender_address, name=message.sender_name, language=message.language, at=at
            )
        else:
            met.add(customer)
            speaker = identity.met(customer, point, owner, region=region, language=language, zone=zone)
        takings.append(
            intake.take(
                message,
                speaker=speaker,
                goes_on=goes_on,
                colleagues=colleagues,
                at=at,
                origin=account.provider,
                raw=item,
            )
        )
    # Read after they are written, as an edit reads its message after itself is written: one of the two sees the other.
    ids = [message.external_id[:200] for message in messages]
    told_before = intake.write(takings, Statement(_TOLD_BEFORE, {"source": account.source, "ids": ids}))
    if told_before[0]:
        raise OneByOne
    dispatch.after_commit("interaction.received")
