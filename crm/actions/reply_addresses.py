"""The reply addresses we give: one a correspondent and matter, made when a mail leaves, taken back when somebody says so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from crm import history
from crm.channels import Channel
from crm.channels.email import addresses
from crm.models import Conversation, OutgoingMessage, ReplyToken, User
from crm.policy import REPLY_TOKEN_LASTS, REPLY_TOKEN_RENEWED_WITHIN


def of_messages(messages: Sequence[OutgoingMessage], *, at: datetime) -> dict[int, str]:
    """Give the reply address of each mail about a matter, by its primary key; made or prolonged where needed.

    Nothing where no inbound-only domain is set. At most four statements, however many messages.
    """
    if not settings.EVENHAND_INBOUND_DOMAIN:
        return {}
    about = {
        one.pk: (one.conversation_id, one.address)
        for one in messages
        if one.channel == Channel.EMAIL and one.conversation_id is not None
    }
    wanted = set(about.values())
    if not wanted:
        return {}
    standing = _standing(wanted)
    usable = {pair: token for pair, token in standing.items() if _can_be_made_again(token) and token.expires_at > at}
    missing = wanted - usable.keys()
    if missing:
        _replace([standing[pair] for pair in missing if pair in standing], at=at)
        ReplyToken.objects.bulk_create([_new(*pair, at=at) for pair in sorted(missing)], ignore_conflicts=True)
        usable = _standing(wanted)
    soon = [token.pk for token in usable.values() if token.expires_at < at + REPLY_TOKEN_RENEWED_WITHIN]
    if soon:
        ReplyToken.objects.filter(pk__in=soon).update(expires_at=at + REPLY_TOKEN_LASTS)
    made = {pair: addresses.reply_address(addresses.token_of(token.nonce)) for pair, token in usable.items()}
    return {number: made[pair] for number, pair in about.items()}


def _standing(wanted: set[tuple[int, str]]) -> dict[tuple[int, str], ReplyToken]:
    rows = ReplyToken.objects.filter(
        Q(conversation__in={number for number, _address in wanted}, address__in={address for _n, address in wanted}),
        revoked_at=None,
    )
    return {(row.conversation_id, row.address): row for row in rows if (row.conversation_id, row.address) in wanted}


def _can_be_made_again(token: ReplyToken) -> bool:
    """Not after the installation's key has changed; what was given before works on, a new one is given from now on."""
    return addresses.digest_of(addresses.token_of(token.nonce)) == token.digest


def _replace(tokens: list[ReplyToken], *, at: datetime) -> None:
    """Make room for new ones. They work until they run out, since somebody may still have a mail with them."""
    ReplyToken.objects.filter(pk__in=[token.pk for token in tokens]).update(revoked_at=F("expires_at"))


def _new(conversation: int, address: str, *, at: datetime) -> ReplyToken:
    nonce = addresses.new_nonce()
    return ReplyToken(
        nonce=nonce,
        digest=addresses.digest_of(addresses.token_of(nonce)),
        conversation_id=conversation,
        address=address,
        created_at=at,
        expires_at=at + REPLY_TOKEN_LASTS,
    )


@transaction.atomic
def revoke(conversation_id: int, *, by: User, at: datetime) -> int:
    """Take back every reply address of a matter; what is sent to one from now on opens a matter of its own.

    The next mail gives a new one. Returns how many were taken back. Raises Conversation.DoesNotExist.
    """
    conversation = (
        Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=conversation_id)
    )
    given = ReplyToken.objects.filter(Q(revoked_at=None) | Q(revoked_at__gt=at), conversation=conversation)
    count: int = given.update(revoked_at=at, revoked_by=by)
    if count:
        history.record(
            conversation.customer,
            "reply_addresses.revoked",
            ref=f"conversation:{conversation.public_id}",
            by=by,
            at=at,
            detail={"count": count},
        )
    return count
