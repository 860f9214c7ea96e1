"""The addresses we give out on our inbound-only domain.

reply+TOKEN@… lets one correspondent speak in one matter; the token is 128 bits that nobody can guess, of which the database
holds a digest only. return+ID MARK@… is where a mail of ours comes back to: its id and a mark that only we can make (VERP).
Upper and lower case are the same, since mail servers may change them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from django.conf import settings

_TOKEN: Final = re.compile(r"[a-z2-7]{26}")
_RETURN: Final = re.compile(r"([a-z2-7]{26})([a-z2-7]{16})")
_REPLY: Final = "reply+"
_BACK: Final = "return+"


@dataclass(frozen=True, slots=True)
class Addressed:
    """Which of our given addresses a mail came to.

    token: of a reply address, as it was written; "" for a return address. message: public id of the mail of ours that came
    back; None when the address is none that we made.
    """

    is_return: bool
    token: str = ""
    message: uuid.UUID | None = None


def new_nonce() -> str:
    """Draw the random half of a reply token: 128 bits in hex, to be stored."""
    return secrets.token_hex(16)


def token_of(nonce: str) -> str:
    """Make the token that belongs to a stored nonce: 26 letters and digits of base32. Without our key nobody else can."""
    return _base32(_keyed("evenhand.reply", bytes.fromhex(nonce), settings.SECRET_KEY)[:16])


def digest_of(token: str) -> str:
    """What is stored of a token and looked up by: sha256 of its lower-case form, in hex."""
    return hashlib.sha256(token.lower().encode()).hexdigest()


def reply_address(token: str) -> str:
    """The address that a token makes; "" where no inbound-only domain is set."""
    return f"{_REPLY}{token}@{settings.EVENHAND_INBOUND_DOMAIN}" if settings.EVENHAND_INBOUND_DOMAIN else ""


def return_address(message: uuid.UUID) -> str:
    """Where the mail with this public id comes back to; "" where no inbound-only domain is set."""
    if not settings.EVENHAND_INBOUND_DOMAIN:
        return ""
    return f"{_BACK}{_base32(message.bytes)}{_mark(message, settings.SECRET_KEY)}@{settings.EVENHAND_INBOUND_DOMAIN}"


def read(addresses: Iterable[str]) -> Addressed | None:
    """Find the first of these addresses (normalised) that is on our inbound-only domain; None when none is."""
    domain = settings.EVENHAND_INBOUND_DOMAIN
    for address in addresses if domain else ():
        local, _at, host = address.lower().rpartition("@")
        if host != domain:
            continue
        if local.startswith(_REPLY):
            return Addressed(is_return=False, token=local.removeprefix(_REPLY)[:64])
        if local.startswith(_BACK):
            return Addressed(is_return=True, message=_message(local.removeprefix(_BACK)))
    return None


def is_token(token: str) -> bool:
    """Whether this has the form of a token at all."""
    return _TOKEN.fullmatch(token) is not None


def _message(written: str) -> uuid.UUID | None:
    match = _RETURN.fullmatch(written)
    if match is None:
        return None
    try:
        message = uuid.UUID(bytes=base64.b32decode(f"{match[1].upper()}======"))
    except (binascii.Error, ValueError):
        return None
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    made = [hmac.compare_digest(_mark(message, str(key)), match[2]) for key in keys]
    return message if any(made) else None


def _mark(message: uuid.UUID, key: str) -> str:
    return _base32(_keyed("evenhand.return", message.bytes, key)[:10])


def _keyed(purpose: str, content: bytes, key: str) -> bytes:
    return hmac.digest(_own_key(purpose, key), content, "sha256")


@lru_cache(maxsize=16)
def _own_key(purpose: str, key: str) -> bytes:
    """A key of its own for each purpose."""
    return hashlib.sha256(f"{purpose}:{key}".encode()).digest()


def _base32(content: bytes) -> str:
    return base64.b32encode(content).decode().rstrip("=").lower()


def is_ours(address: str) -> bool:
    """Whether an address (normalised) is on our inbound-only domain, from which nobody else writes."""
    return bool(settings.EVENHAND_INBOUND_DOMAIN) and address.endswith(f"@{settings.EVENHAND_INBOUND_DOMAIN}")
