"""Providers that do not post: asked for news under a lease; what they answer is kept and read as a post is (`channel_hooks`)."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from crm.actions import channel_accounts, channel_hooks, lease, sources
from crm.channels import Channel, http
from crm.channels.provided import by_name
from crm.channels.providers import Genuine, NotGiven, Post
from crm.models import ChannelAccount
from crm.policy.mailboxes import ASKED_AT_LEAST_EVERY, SLOWS_BY

logger = logging.getLogger(__name__)

PAGES_AT_MOST = 10
"""Answers of one account that are read in one round; more are asked for in the next, at once."""
LEASED_FOR = timedelta(minutes=4)
"""Ten answers of at most twenty seconds, and some time to take in what they say; begun anew with every page."""


class AccountTaken(Exception):
    """Another worker asks for this account by now, or somebody changed it; nothing more is written."""

    code = "account_taken"


def poll_batch(*, at: datetime) -> int:
    """Ask for the next account that is due. Returns 1, or 0 when none is due."""
    found = _claim(at=at)
    if found is None:
        return 0
    lease.guarded(partial(_round, found, at=at), failed=partial(_failed, found, at=at))
    return 1


@transaction.atomic
def _claim(*, at: datetime) -> ChannelAccount | None:
    found = ChannelAccount.objects.due(at).select_for_update(skip_locked=True).first()
    if found is not None:
        ChannelAccount.objects.filter(pk=found.pk).update(attempt=F("attempt") + 1, lease_until=Now() + LEASED_FOR)
        found.attempt += 1
    return found


def _round(account: ChannelAccount, *, at: datetime) -> None:
    provider, told = by_name(account.provider), channel_accounts.described(account)
    every = provider.polled_every
    if every is None:
        raise NotGiven(_("This provider is not asked for news."), is_final=True)
    cursor, wait = account.cursor, every
    for _number in range(PAGES_AT_MOST):
        answer = http.send(provider.ask(told, cursor))
        if answer.is_cut:
            raise NotGiven(_("The answer was larger than we read."))
        asked = provider.read_asked(answer, told, cursor)
        kinds = {name: value for name, value in answer.headers.items() if name in provider.kept_headers}
        post = Post("POLL", told.hook_url, f"after={cursor}", kinds, answer.body, at)
        # Kept before the cursor goes on: what was read twice is one, what was never kept is read again.
        channel_hooks.take(account, post, Genuine(is_signed=True), at=at)
        if asked.cursor != cursor:
            _mine(account).update(cursor=asked.cursor, lease_until=Now() + LEASED_FOR)
            cursor = asked.cursor
        wait = max(asked.wait, timedelta(0) if asked.has_more else every)
        if not asked.has_more or asked.wait:
            break
    _fared_well(account, ask_at=at + wait, at=at)


@transaction.atomic
def _fared_well(account: ChannelAccount, *, ask_at: datetime, at: datetime) -> None:
    mine = _mine(account)
    noted: dict[str, Any] = {"ask_at": ask_at, "lease_until": None, "last_good_at": at}
    if account.failing_since is not None:
        noted |= {"failing_since": None, "error": "", "error_at": None}
    if mine.update(**noted):
        sources.polled(account.source, channel=Channel(account.channel), at=at)


def _failed(account: ChannelAccount, trouble: Exception, *, at: datetime) -> None:
    if lease.is_trouble_of_the_database(trouble) or isinstance(trouble, AccountTaken):
        return
    since = account.failing_since or at
    wait = min(
        max((at - since) / SLOWS_BY, by_name(account.provider).polled_every or ASKED_AT_LEAST_EVERY), timedelta(hours=1)
    )
    said = str(trouble) if isinstance(trouble, NotGiven | http.NotReached | http.Broken) else type(trouble).__name__
    ChannelAccount.objects.filter(pk=account.pk, attempt=account.attempt).update(
        failing_since=since, error=said[:300] or "unknown", error_at=at, ask_at=at + wait, lease_until=None
    )


def _mine(account: ChannelAccount) -> Any:
    """The row as long as this attempt owns it. Raises AccountTaken."""
    mine = ChannelAccount.objects.filter(pk=account.pk, attempt=account.attempt, is_active=True)
    if not mine.exists():
        raise AccountTaken(_("Somebody else asks for this account by now."))
    return mine
