"""What a provider posts becomes what a customer said: raw bytes and effects in one transaction.

When the effects fail, the raw bytes are kept alone, and a lane repeats them.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from psycopg.types.json import Jsonb
from psycopg.types.numeric import Int8

from crm import dispatch
from crm.actions import (
    channel_accounts,
    channel_effects,
    channel_raw,
    channel_reach,
    channel_words,
    floods,
    identity,
    intake,
    lease,
)
from crm.actions.channel_effects import Effect
from crm.channels import Message, providers
from crm.channels.profiles import Told
from crm.channels.provided import by_name
from crm.channels.providers import Event, Genuine, Post
from crm.models import ChannelAccount, RawItem
from crm.models.channels import HOOK
from crm.policy import ATTEMPTS_BEFORE_PARKING, WorkState, after_failure
from crm.together import Statement, new, run

logger = logging.getLogger(__name__)

AT_ONCE = 20
"""Events of one post that are taken in before it is answered; a larger batch is kept and left to the lane at once."""
SAYS_THE_SAME = (
    intake.NothingSaid,
    intake.DifferentContent,
    identity.UnusableAddress,
    channel_effects.EventNotReadable,
)
"""Refusals that a second try would meet again."""

_KEEP = """
INSERT INTO crm_rawitem (public_id, source, external_id, content, label, received_at, facts, state, kind, reason, attempt)
VALUES (%(public_id)s, %(source)s, %(external_id)s, %(content)s, %(label)s, %(at)s, %(facts)s, 'done', %(kind)s, '', %(attempt)s)
ON CONFLICT DO NOTHING
RETURNING id, (SELECT count(pg_advisory_xact_lock(lock)::text) FROM unnest(%(locks)s::bigint[]) lock)
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of one post. is_new: it had not come before; waits: its effects are still to come, from the lane."""

    is_new: bool
    waits: bool


def take(
    account: ChannelAccount,
    post: Post,
    genuine: Genuine,
    *,
    at: datetime,
    later: bool = False,
    told: providers.Account | None = None,
) -> Kept:
    """Keep a post that is believed, and let it have its effects, in one transaction; when they fail, only keep it.

    The same post twice is one. later: only keep it now, since many come at once; the lane takes it in. told: what the provider may
    know of the account, where the caller has read it already.
    Raises what the database raises when it cannot be reached; then nothing is kept.
    """
    told = told or channel_accounts.described(account)
    came, (post, reach) = post, by_name(account.provider).part_reach(post, told)
    item = _item(account, post, genuine, at=at)
    # What waits for the lane waits with what it tells about reach, where the house keeps that; it is parted from it then.
    whole = came.body if settings.EVENHAND_KEEP_REACH else post.body
    kept: list[Kept] = []
    trouble: list[Exception] = []
    lease.guarded(
        lambda: kept.append(_taken(account, told, item, post, genuine, reach, whole=whole, at=at, later=later)),
        failed=trouble.append,
    )
    if kept:
        if kept[0].is_new:
            _note(account, item, at=at)
        return kept[0]
    if lease.is_trouble_of_the_database(trouble[0]):
        raise trouble[0]
    item.attempt, item.state, item.kind, item.reason = 1, WorkState.CLAIMED, "", _reason(trouble[0])
    item.content = whole
    with transaction.atomic():
        is_new = _insert(item)
        if is_new:
            _again_later(item)
    channel_accounts.went_wrong(account, _code(item.reason), at=at)
    return Kept(is_new=is_new, waits=True)


def apply_batch(*, at: datetime, size: int = 20) -> int:
    """Let posts have their effects that were kept without them. A bad one is parked after three attempts; the next go on."""
    due = (
        RawItem.objects.filter(source__startswith=HOOK)
        .filter(lease.claimable(ready=WorkState.READY, claimed=WorkState.CLAIMED))
        .order_by("id")
    )
    items = lease.claim(due, size=size, claimed_state=WorkState.CLAIMED)
    accounts = channel_accounts.of_sources([item.source for item in items])
    for item in items:
        account = accounts.get(item.source)
        if account is None or item.attempt > ATTEMPTS_BEFORE_PARKING:
            _settle(item, WorkState.PARKED, item.reason or _("Reading it stopped the worker several times."))
            continue
        lease.guarded(partial(_apply, item, account, at=at), failed=partial(_failed, item, account, at=at))
    return len(items)


@transaction.atomic
def try_again(raw_id: int) -> None:
    """Let a parked post try to have its effects again, three times. Raises RawItem.DoesNotExist."""
    item = RawItem.objects.select_for_update().get(pk=raw_id, state=WorkState.PARKED, source__startswith=HOOK)
    item.state, item.attempt, item.lease_until = WorkState.READY, 0, None
    item.save(update_fields=["state", "attempt", "lease_until"])
    dispatch.after_commit("post.kept")


# --- one post -----------------------------------------------------------------------------------------------------------


def _item(account: ChannelAccount, post: Post, genuine: Genuine, *, at: datetime) -> RawItem:
    provider = by_name(account.provider)
    query = "&".join(
        part for part in post.query.split("&") if part and part.partition("=")[0] not in provider.secret_query
    )
    digest = hashlib.sha256(query.encode() + b"\n" + post.body).hexdigest()
    return new(
        RawItem,
        source=account.source,
        external_id=(provider.delivery_id(post) or digest)[:200],
        content=post.body,
        label=account.name[:300],
        received_at=at,
        facts={
            "method": post.method,
            "query": query,
            "headers": {name: post.headers[name][:2000] for name in provider.kept_headers if name in post.headers},
            "is_signed": genuine.is_signed,
        },
    )


def _taken(
    account: ChannelAccount,
    told: providers.Account,
    item: RawItem,
    post: Post,
    genuine: Genuine,
    reach: Sequence[Told],
    *,
    whole: bytes,
    at: datetime,
    later: bool,
) -> Kept:
    several = None if later else _plain(account, told, item, post, genuine)
    if several:
        kept: list[Kept] = []
        ways = [_at_once] if len(several[0]) > 1 or len(several) > 1 else [_alone, _at_once]
        for way in ways:
            if lease.guarded(lambda way=way: kept.append(way(account, item, several, at=at)), failed=_one_by_one):  # type: ignore[misc]
                if kept[0].is_new:
                    channel_reach.keep(reach, {one.sender_address for some in several for one in some}, at=at)
                return kept[0]
            item.pk, item._state.adding = None, True  # what was begun is undone
            item.kind, item.attempt, item.state = "", 0, WorkState.READY
    item.content = whole
    with transaction.atomic():
        if not _insert(item):
            return Kept(is_new=False, waits=False)
        if later:
            _leave_to_the_lane(item, kind="flood")
            return Kept(is_new=True, waits=True)
        waits = _effects(item, account, told, replace(post, body=whole), is_signed=genuine.is_signed, attempt=1, at=at)
    return Kept(is_new=True, waits=waits)


def _plain(
    account: ChannelAccount, told: providers.Account, item: RawItem, post: Post, genuine: Genuine
) -> list[list[Message]] | None:
    """The messages of a post that says nothing else, as `channel_words.plain` parts them."""
    try:
        events = by_name(account.provider).parse(post, told)
    except providers.UNREADABLE:
        return None  # it is read once more when it is kept, and its fault is written down then
    return channel_words.plain(events, account, item, is_signed=genuine.is_signed)


def _alone(account: ChannelAccount, item: RawItem, several: list[list[Message]], *, at: datetime) -> Kept:
    """Keep a post that says one thing, and take that in, with the fewest statements. Raises what `channel_words` raises."""
    item.kind, item.attempt, item.state = "said", 1, WorkState.DONE
    try:
        if not channel_words.take_in_alone(several[0][0], account, item, at=at):
            raise channel_words.OneByOne
    except IntegrityError as collision:
        if not intake.hit_by(collision, "raw_item_kept_once"):
            raise
        return Kept(is_new=False, waits=False)
    return Kept(is_new=True, waits=False)


@transaction.atomic
def _at_once(account: ChannelAccount, item: RawItem, several: list[list[Message]], *, at: datetime) -> Kept:
    """Keep a post and take in everything that it says, with few statements. Raises what `channel_words.take_in` raises."""
    item.kind, item.attempt = "said", 1
    locks = sorted({channel_effects.lock_of(account, message) for some in several for message in some})
    kept, *found = run(_keeping(item, locks=locks), *channel_words.asking(several[0], account, at=at))
    if not kept:
        return Kept(is_new=False, waits=False)
    _is_kept(item, kept)
    channel_words.take_in(several[0], found, account, item, at=at)
    for some in several[1:]:
        channel_words.take_in(some, run(*channel_words.asking(some, account, at=at)), account, item, at=at)
    item.state = WorkState.DONE
    return Kept(is_new=True, waits=False)


def _one_by_one(trouble: Exception) -> None:
    """Nothing is lost: each event is tried by itself, and what is wrong with one is written down then."""
    if lease.is_trouble_of_the_database(trouble):
        raise trouble
    if not isinstance(trouble, channel_words.OneByOne):
        logger.info("What a post says is taken in one by one (%s).", type(trouble).__name__)


def _apply(item: RawItem, account: ChannelAccount, *, at: datetime) -> None:
    told = channel_accounts.described(account)
    with transaction.atomic():
        mine = RawItem.objects.select_for_update().filter(pk=item.pk, attempt=item.attempt, state=WorkState.CLAIMED)
        if not mine.exists():
            return
        is_signed = item.facts.get("is_signed") is True
        _effects(item, account, told, channel_raw.post_of(item, told), is_signed=is_signed, attempt=item.attempt, at=at)
    _note(account, item, at=at)


def _effects(
    item: RawItem,
    account: ChannelAccount,
    told: providers.Account,
    post: Post,
    *,
    is_signed: bool,
    attempt: int,
    at: datetime,
) -> bool:
    """Apply each event in a savepoint of its own, so that one takes no others with it. Says whether some are to be tried again.

    Raises what reading the post raises.
    """
    provider = by_name(account.provider)
    post, reach = provider.part_reach(post, told)
    events = provider.parse(post, told)
    if not item.attempt and len(events) > AT_ONCE:
        _leave_to_the_lane(item, kind="batch")
        return True
    effects: list[Effect] = []
    final: list[str] = []
    again: list[str] = []

    def failed(trouble: Exception) -> None:
        if lease.is_trouble_of_the_database(trouble):
            raise trouble
        if isinstance(trouble, floods.SenderFloods):
            floods.tell(account, at=at, sender=str(trouble))
        (final if isinstance(trouble, SAYS_THE_SAME) else again).append(_reason(trouble))

    is_last = after_failure(attempt) == WorkState.PARKED

    def work(event: Event) -> None:
        effects.append(channel_effects.apply(event, account, item, is_signed=is_signed, is_last=is_last, at=at))

    for event in events:
        lease.guarded(partial(work, event), failed=failed)
    channel_reach.keep(reach, channel_reach.speakers_of(events), at=at)
    kinds = {effect.kind for effect in effects}
    several = "batch" if kinds else "refused" if final or again else "nothing"
    item.kind = kinds.pop() if len(kinds) == 1 else several
    item.reason = next(iter([*again, *final, *(effect.note for effect in effects if effect.note)]), "")[:300]
    if again and not is_last:
        item.attempt, item.state = attempt, WorkState.CLAIMED
        RawItem.objects.filter(pk=item.pk).update(
            attempt=attempt, kind=item.kind, reason=item.reason, state=WorkState.CLAIMED
        )
        _again_later(item)
        return True
    item.state = WorkState.PARKED if again or final else WorkState.DONE
    changed: dict[str, Any] = {"kind": item.kind, "reason": item.reason, "state": item.state, "lease_until": None}
    if bytes(item.content) != post.body:
        item.content = changed["content"] = post.body
    RawItem.objects.filter(pk=item.pk).update(attempt=attempt, **changed)
    gone = {effect.lets_go for effect in effects} - {""}
    if gone:
        channel_raw.let_go(item, account, told, gone)
    return False


def _keeping(item: RawItem, *, locks: Sequence[int] = ()) -> Statement:
    """What keeps the bytes, and then takes advisory locks in this order; no row when the same delivery was kept before.

    Waits for whoever keeps the same at this moment.
    """
    columns = {
        "public_id": item.public_id,
        "source": item.source,
        "external_id": item.external_id,
        "content": bytes(item.content),
        "label": item.label,
        "at": item.received_at,
        "facts": Jsonb(item.facts),
        "kind": item.kind,
        "attempt": Int8(item.attempt),
        "locks": [Int8(lock) for lock in locks],
    }
    return Statement(_KEEP, columns)


def _is_kept(item: RawItem, kept: list[tuple[Any, ...]]) -> None:
    item.pk, item._state.adding, item._state.db = kept[0][0], False, connection.alias


def _insert(item: RawItem) -> bool:
    """Keep the bytes; False when the same delivery was kept before."""
    kept = run(_keeping(item))[0]
    if kept:
        _is_kept(item, kept)
    return bool(kept)


def _leave_to_the_lane(item: RawItem, *, kind: str) -> None:
    item.state = WorkState.READY
    RawItem.objects.filter(pk=item.pk).update(state=WorkState.READY, kind=kind)
    dispatch.after_commit("post.kept")


def _again_later(item: RawItem) -> None:
    """Let the lane take it up once a lease has passed."""
    RawItem.objects.filter(pk=item.pk).update(
        attempt=item.attempt,
        state=WorkState.CLAIMED,
        reason=item.reason,
        lease_until=Now() + settings.EVENHAND_LEASE,
    )


def _failed(item: RawItem, account: ChannelAccount, trouble: Exception, *, at: datetime) -> None:
    if lease.is_trouble_of_the_database(trouble):  # no attempt of the post's: again after its lease
        RawItem.objects.filter(pk=item.pk, attempt=item.attempt).update(attempt=item.attempt - 1)
        return
    item.reason = _reason(trouble)
    channel_accounts.went_wrong(account, _code(item.reason), at=at)
    if after_failure(item.attempt) == WorkState.PARKED:
        told = channel_accounts.described(account)
        parted, _reach = by_name(account.provider).part_reach(channel_raw.post_of(item, told), told)
        if parted.body != bytes(item.content):
            RawItem.objects.filter(pk=item.pk, attempt=item.attempt).update(content=parted.body)
        _settle(item, WorkState.PARKED, item.reason)
    else:
        _again_later(item)


def _settle(item: RawItem, state: WorkState, reason: str) -> None:
    RawItem.objects.filter(pk=item.pk, attempt=item.attempt).update(state=state, reason=reason[:300], lease_until=None)


def _note(account: ChannelAccount, item: RawItem, *, at: datetime) -> None:
    if item.state in (WorkState.DONE, WorkState.READY):
        channel_accounts.went_well(account, at=at)
    else:
        channel_accounts.went_wrong(account, _code(item.reason), at=at)


def _reason(trouble: Exception) -> str:
    """A refusal's own sentence with its code in front; of anything else only its kind, since its words may be a customer's."""
    code = getattr(trouble, "code", "")
    return providers.words_of(f"{code}: {trouble}" if code else type(trouble).__name__)[:300]


def _code(reason: str) -> str:
    """What went wrong without its sentence, which may name a customer."""
    return reason.partition(":")[0]
