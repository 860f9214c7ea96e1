"""Accounts of networks as files name them, brought into the address under which crm knows whoever writes from there.

A key is the network and the account's id there (C06). The name that an account shows is no key: whoever gives it up, somebody
else may take it. Mastodon's names carry their server and are what Mastodon itself recognises an account by.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote, urlsplit

from crm.channels.feeds import LONGEST_HANDLE, site_of, web_link

PROVIDERS: Final = ("x", "mastodon", "instagram", "messenger", "telegram", "whatsapp", "other")
"""The networks whose ids are known. “other”: as a program that signs states it (docs/channels.md), kept as it is."""

_ALSO: Final = {"twitter": "x", "facebook": "messenger", "fb": "messenger", "insta": "instagram", "tg": "telegram"}
_IDS: Final = {
    "x": re.compile(r"[0-9]{1,19}"),
    "mastodon": re.compile(r"[\w.-]{1,100}@[\w.-]{1,253}(?::[0-9]{1,5})?"),
    "instagram": re.compile(r"[0-9]{5,40}"),
    "messenger": re.compile(r"[0-9]{5,40}"),
    "telegram": re.compile(r"-?[0-9]{1,20}(?:/-?[0-9]{1,20})?"),
    "whatsapp": re.compile(r"[A-Z]{2}\.[A-Za-z0-9.]{1,150}"),
}
_PAGE: Final = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+/\S+")
_NAMES_ONLY: Final = frozenset(
    {"x.com", "twitter.com", "instagram.com", "facebook.com", "m.me", "t.me", "telegram.me", "wa.me"}
)
"""Sites whose pages stand under a name, and whose posts reach us under a number."""
_FIGURES: Final = re.compile(r"\+?[0-9][0-9 ()/.-]{6,24}")


class OnlyAName(ValueError):
    """A name that an account shows: a claim, and no key."""


def known(provider: str) -> str:
    """The network of this name; "" for one whose ids are not known."""
    plain = provider.strip().casefold()
    plain = _ALSO.get(plain, plain)
    return plain if plain in PROVIDERS else ""


def is_phone(provider: str, told: str) -> bool:
    """Whether this account is a phone number, as those of WhatsApp are."""
    return known(provider) == "whatsapp" and bool(_FIGURES.fullmatch(_bare("whatsapp", told)))


def phone_of(told: str) -> str:
    """The phone number of such an account, with its country code."""
    figures = re.sub(r"\D", "", _bare("whatsapp", told))
    return f"+{figures}"


def address_of(provider: str, told: str) -> str:
    """The address of an account, as a customer has it who writes from there. Raises OnlyAName.

    provider: a network of PROVIDERS, or "" where `told` names it ("x:2244994945") or is the account's page on some site.
    """
    told = told.strip()
    if not provider:
        named, colon, rest = told.partition(":")
        provider = known(named) if colon else ""
        told = rest if provider else told
        if not provider:
            return _page(told)
    provider = known(provider)
    if provider == "other":
        return told[:LONGEST_HANDLE]
    account = unquote(_bare(provider, told))
    if provider == "mastodon":
        account = _full_name(account)
    if not provider or not _IDS[provider].fullmatch(account):
        raise OnlyAName(told)
    return f"{provider}:{account}"


def _bare(provider: str, told: str) -> str:
    told = told.strip()
    named, colon, rest = told.partition(":")
    return rest.strip().removeprefix("//") if colon and known(named) == provider else told


def _full_name(account: str) -> str:
    """A Mastodon name with its server, in small letters, also from the address of its page."""
    page = web_link(account)
    if page:
        name = urlsplit(page).path.strip("/").partition("/")[0]
        return f"{name.removeprefix('@')}@{urlsplit(page).netloc}".lower() if name.startswith("@") else ""
    return account.removeprefix("@").lower()


def _page(told: str) -> str:
    """An author's own page on a site, as posts of feeds are told apart."""
    page = web_link(told)
    if (site_of(page) if page else told.lower().partition("/")[0]) in _NAMES_ONLY:
        raise OnlyAName(told)
    if page and urlsplit(page).path.strip("/"):
        return f"{site_of(page)}{urlsplit(page).path.rstrip('/')}".lower()[:LONGEST_HANDLE]
    if _PAGE.fullmatch(told.lower()):
        return told.lower()[:LONGEST_HANDLE]
    raise OnlyAName(told)


def of_export(address: str) -> str:
    """An address in the form in which `address_of("", …)` reads it again."""
    named, colon, _rest = address.partition(":")
    if (colon and known(named) == named and named != "other") or _PAGE.fullmatch(address):
        try:
            if address_of("", address) == address:
                return address
        except OnlyAName:
            pass
    return f"other:{address}"
