"""What a platform tells about an account besides what was said there: read with care, and never a part of a Message."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from crm.channels.email.files import is_picture

LONGEST_ADDRESS: Final = 500
LARGEST_PICTURE: Final = 200_000  # bytes
LOOKED_AT: Final = 65_536  # bytes at its beginning, which say what it is
MOST_FOLLOWERS: Final = 10**12


@dataclass(frozen=True, slots=True)
class Profile:
    """followers: how many accounts read this one; has_badge: the platform marks it as genuine; None where it does not tell.

    avatar_url: where its picture lies, http(s), "" for none; avatar: the picture's bytes, b"" for none.
    """

    followers: int | None = None
    has_badge: bool | None = None
    avatar_url: str = ""
    avatar: bytes = b""


@dataclass(frozen=True, slots=True)
class Told:
    """What a post states about somebody's account. address: as a `Message` would name them as its sender, of kind "handle"."""

    address: str
    profile: Profile


@dataclass(frozen=True, slots=True)
class Names:
    """What a provider calls it in its JSON. dropped: whatever else tells there how far somebody or something reaches."""

    followers: str = ""
    badge: str = ""
    picture: str = ""
    dropped: frozenset[str] = frozenset()


def part(body: bytes, names: Names, *, who: Callable[[Mapping[str, Any]], str]) -> tuple[bytes, tuple[Told, ...]]:
    """Part what JSON states about reach from everything else, wherever it stands: the JSON without it, and it by itself.

    who: the address of the person an object is about, "" for none. What is no JSON comes back as it is.
    """
    try:
        document = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return body, ()
    found: dict[str, Profile] = {}
    waiting = [document]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            profile = _taken_out(one, names)
            address = who(one) if profile is not None else ""
            if address and profile is not None:
                found.setdefault(address, profile)
            waiting += one.values()
    return json.dumps(document).encode(), tuple(Told(address, profile) for address, profile in found.items())


def _taken_out(one: dict[str, Any], names: Names) -> Profile | None:
    for name in names.dropped & one.keys():
        del one[name]
    asked = (names.followers, names.badge, names.picture)
    if not {name for name in asked if name} & one.keys():
        return None
    followers, badge, picture = (one.pop(name, None) if name else None for name in asked)
    is_count = isinstance(followers, int) and not isinstance(followers, bool)
    return Profile(
        followers=followers if is_count else None,
        has_badge=badge if isinstance(badge, bool) else None,
        avatar_url=picture if isinstance(picture, str) else "",
    )


def cleaned(told: Profile) -> Profile:
    """Leave out of a profile what cannot be kept: impossible numbers, addresses that are none, files that are no picture."""
    followers = told.followers if told.followers is not None and 0 <= told.followers <= MOST_FOLLOWERS else None
    is_small_picture = 0 < len(told.avatar) <= LARGEST_PICTURE and is_picture(told.avatar[:LOOKED_AT])
    return Profile(
        followers=followers,
        has_badge=told.has_badge,
        avatar_url=told.avatar_url if _is_address(told.avatar_url) else "",
        avatar=told.avatar if is_small_picture else b"",
    )


def _is_address(url: str) -> bool:
    if not url or len(url) > LONGEST_ADDRESS or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
