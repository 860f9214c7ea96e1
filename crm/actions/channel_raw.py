"""The bytes of providers' posts, as they are kept: what can be read of them again, and what of them is let go."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Any

from crm.channels import letting_go, providers
from crm.channels.provided import by_name
from crm.channels.providers import Event, Post
from crm.models import ChannelAccount, RawItem
from crm.policy import WorkState

WITHDRAWN = "withdrawn"
"""The kind of a post that held nothing but words that were taken back."""


def post_of(item: RawItem, account: providers.Account) -> Post:
    """The post as it was, but for what is not kept of it."""
    facts = item.facts
    query = str(facts.get("query", ""))
    return Post(
        method=str(facts.get("method", "POST")),
        url=account.hook_url + (f"?{query}" if query else ""),
        query=query,
        headers=dict(facts.get("headers", {})),
        body=bytes(item.content),
        received_at=item.received_at,
    )


def let_go(item: RawItem, account: ChannelAccount, told: providers.Account, gone: Collection[str]) -> None:
    """Take the words of these messages out of the bytes of a post; everything else in it stays and is read as before.

    A digest of the bytes as they came stays with the time they came at, and the same delivery is still known when it comes again.
    Where the words cannot be parted from the rest, all of the bytes go, unless something in them still has to be taken in.
    """
    provider = by_name(account.provider)

    def read(post: Post) -> list[Event]:
        return list(provider.parse(post, told))

    before = bytes(item.content)
    after = letting_go.without(post_of(item, told), gone, read=read)
    if after is None and item.state == WorkState.DONE:
        after = b""
    if after is None or (after == before and not (after == b"" and item.facts.get("query"))):
        return
    item.content, item.facts = after, item.facts | {"let_go": hashlib.sha256(before).hexdigest()}
    changed: dict[str, Any] = {"content": after, "facts": item.facts}
    if not after:
        item.facts["query"] = ""
        if item.state == WorkState.PARKED:
            item.state, item.kind, item.reason = WorkState.DONE, WITHDRAWN, ""
            changed |= {"state": item.state, "kind": item.kind, "reason": item.reason}
    RawItem.objects.filter(pk=item.pk).update(**changed)


def let_go_everywhere(
    account: ChannelAccount, told: providers.Account, external_id: str, raw_ids: Collection[int]
) -> None:
    """Take a message's words out of the posts that brought it, and out of those that wait for a person. Others do so themselves
    once they are taken in.
    """
    settled = RawItem.objects.select_for_update(of=("self",)).filter(pk__in=raw_ids, state=WorkState.DONE)
    parked = RawItem.objects.select_for_update(of=("self",)).filter(source=account.source, state=WorkState.PARKED)
    for item in [*settled.order_by("pk"), *parked.order_by("pk")]:
        let_go(item, account, told, [external_id])
