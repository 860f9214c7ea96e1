"""What a platform tells about an account besides what was said there: read with care, and never a part of a Message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
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
