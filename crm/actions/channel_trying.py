"""Trying how an account would read a request, before anything is kept: nothing is stored, sent or noted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from crm.actions.channel_accounts import Draft, UnusableAccount
from crm.channels.places import Unreadable
from crm.channels.provided import NoSuchProvider, by_name
from crm.channels.providers import UNREADABLE, Account, Event, Post

LARGEST = 200_000
"""Characters of an example."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What would be read. trouble: why nothing can be read, in words; "" when it can."""

    events: tuple[Event, ...] = ()
    trouble: str = ""


def read(draft: Draft, *, body: str, query: str, at: datetime) -> Tried:
    """Read an example as an account of this draft would; whether it is signed is not looked at.

    body, query: as the provider posts them; a whole address may stand for the query. Raises UnusableAccount.
    """
    try:
        provider = by_name(draft.provider)
    except NoSuchProvider:
        raise UnusableAccount(_("We do not know this provider.")) from None
    if len(body) + len(query) > LARGEST:
        raise UnusableAccount(_("This example is longer than we can read here."))
    told = _told(draft)
    trouble = provider.trouble_with(told)
    if trouble:
        raise UnusableAccount(trouble)
    query = query.strip().rpartition("?")[2]
    post = Post("POST" if body else "GET", told.hook_url, query, {}, body.encode("utf-8", "replace"), at)
    try:
        events: Sequence[Event] = provider.parse(post, told)
    except Unreadable as refusal:
        return Tried(trouble=str(refusal))
    except UNREADABLE:
        return Tried(trouble=_("The example is not written as this account is told to read."))
    return Tried(tuple(events))


def _told(draft: Draft) -> Account:
    return Account(
        provider=draft.provider,
        channel=draft.channel,
        public_id="",
        name=draft.name,
        own_id=draft.own_id.strip(),
        settings={name: str(value).strip() for name, value in draft.settings.items() if str(value).strip()},
        receiving=(),
        sending="",
        hook_url="",
        source=f"hook:{draft.provider}:",
    )
