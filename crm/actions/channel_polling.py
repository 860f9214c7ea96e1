"""Providers that do not post: asked for news under a lease; what they answer is kept and read as a post is (`channel_hooks`)."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from crm import history
from crm.actions import alerts, channel_accounts, channel_hooks, lease, rounds, sources
from crm.channels import Channel, http
from crm.channels.provided import NoSuchProvider, by_name
from crm.channels.providers import Genuine, NotGiven, Post
from crm.models import ChannelAccount
from crm.policy import AlertKind
from crm.policy.mailboxes import ASKED_AT_LEAST_EVERY, asked_again_after, is_told

logger = logging.getLogger(__name__)

PAGES_AT_MOST = 10
"""Answers of one account that are read in one round; more are asked for in the next, at once."""
ROUND_FOR = 20.0
"""Seconds after which a round asks for no further page; what is left is due at once."""
LEASED_FOR = timedelta(minutes=2)
"""One answer of at most twenty seconds, a name server that hangs, and time to take in what was said; begun anew with every page."""


class AccountTaken(Exception):
    """Another worker asks for this account by now, or somebody changed it; nothing more is written."""

    code = "account_taken"


def poll_due(*, at: datetime, held_for: float = rounds.HELD_FOR) -> int:
    """Ask the accounts that are due, side by side, so that a server that hangs holds up no other. Returns how many."""
    return rounds.side_by_side(claim(at=at), partial(poll, at=at), held_for=held_for)


def claim(*, at: datetime) -> list[ChannelAccount]:
    """Lease accounts that are due, as `rounds.claim` does."""
    return rounds.claim(ChannelAccount.objects.due(at), leased_for=LEASED_FOR)


def poll(account: ChannelAccount, *, at: datetime) -> None:
    """Ask one claimed account for what is new and write down how it fared. Raises nothing but what the database raises."""
    lease.guarded(partial(_round, account, at=at), failed=partial(_failed, account, at=at))


def _round(account: ChannelAccount, *, at: datetime) -> None:
    provider, told = by_name(account.provider), channel_accounts.described(account)
    every = provider.polled_every
    if every is None:
        raise NotGiven(_("This provider is not asked for news."), is_final=True)
    cursor, wait, until = account.cursor, every, time.monotonic() + ROUND_FOR
    for _number in range(PAGES_AT_MOST):
        answer = http.send(provider.ask(told, cursor))
        if answer.is_cut:
            raise NotGiven(_("The answer was larger than we read."))
        asked = provider.read_asked(answer, told, cursor)
        kinds = {name: value for name, value in answer.headers.items() if name in provider.kept_headers}
        post = Post("POLL", told.hook_url, f"after={cursor}", kinds, answer.body, at)
        # Kept before the cursor goes on: what was read twice is one, what was never kept is read again.
        channel_hooks.take(account, post, Genuine(is_signed=True), at=at)
        _mine(account).update(cursor=asked.cursor, lease_until=Now() + LEASED_FOR)
        cursor = asked.cursor
        wait = max(asked.wait, timedelta(0) if asked.has_more else every)
        if not asked.has_more or asked.wait or time.monotonic() > until:
            break
    _fared_well(account, ask_at=at + wait, at=at)


@transaction.atomic
def _fared_well(account: ChannelAccount, *, ask_at: datetime, at: datetime) -> None:
    mine = _mine(account).select_for_update().get()
    noted: dict[str, Any] = {"ask_at": ask_at, "lease_until": None, "last_good_at": at}
    if mine.failing_since is not None:
        noted |= {"failing_since": None, "error": "", "error_at": None}
        if is_told(at - mine.failing_since):
            _record(account, "channel_account.well_again", at=at, detail={"since": mine.failing_since.isoformat()})
    ChannelAccount.objects.filter(pk=account.pk).update(**noted)
    sources.polled(account.source, channel=Channel(account.channel), at=at)


@transaction.atomic
def _failed(account: ChannelAccount, trouble: Exception, *, at: datetime) -> None:
    """Write down what is wrong; after five minutes leads and administrators are told, once an incident."""
    if isinstance(trouble, AccountTaken):
        return
    if lease.is_trouble_of_the_database(trouble):  # no fault of the account's; it is asked again after its lease
        logger.warning(
            "Channel account %s: the database did not answer (%s).", account.public_id, type(trouble).__name__
        )
        return
    mine = ChannelAccount.objects.select_for_update().filter(pk=account.pk, attempt=account.attempt).first()
    if mine is None:
        return
    is_known = isinstance(trouble, NotGiven | http.NotReached | http.Broken)
    if not is_known:
        logger.error("Channel account %s: unexpected %s.", account.public_id, type(trouble).__name__)
    since = mine.failing_since or at
    wait = max(
        asked_again_after(at - since), _every(mine), trouble.wait if isinstance(trouble, NotGiven) else timedelta(0)
    )
    ChannelAccount.objects.filter(pk=mine.pk).update(
        failing_since=since,
        error=(str(trouble) if is_known else type(trouble).__name__)[:300] or "unknown",
        error_at=at,
        ask_at=at + wait,
        lease_until=None,
    )
    code = getattr(trouble, "code", "") or type(trouble).__name__
    if is_told(at - since) and alerts.tell_of_failure(
        AlertKind.CHANNEL_FAILS, of=str(mine.public_id), since=since, name=mine.name, code=code, at=at
    ):
        _record(mine, "channel_account.fails", at=at, detail={"code": code})


def _every(account: ChannelAccount) -> timedelta:
    try:
        return by_name(account.provider).polled_every or ASKED_AT_LEAST_EVERY
    except NoSuchProvider:  # of a version that knew it
        return ASKED_AT_LEAST_EVERY


def _mine(account: ChannelAccount) -> Any:
    """The row as long as this attempt owns it. Raises AccountTaken."""
    mine = ChannelAccount.objects.filter(pk=account.pk, attempt=account.attempt, is_active=True)
    if not mine.exists():
        raise AccountTaken(_("Somebody else asks for this account by now."))
    return mine


def _record(account: ChannelAccount, verb: str, *, at: datetime, detail: dict[str, Any]) -> None:
    history.record(None, verb, ref=f"channel_account:{account.public_id}", by=None, at=at, detail=detail)
