"""Whether a post was signed with a secret of ours: over raw bytes, in constant time, with up to two secrets, within a window."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from crm.channels.providers import NotGenuine

TOLERANCE: Final = timedelta(minutes=5)
"""How far a signed time may lie from our clock, before or after (Standard Webhooks, Stripe and Slack name the same)."""
Written = Literal["hex", "base64"]
_HASHES: Final = {"sha1": hashlib.sha1, "sha256": hashlib.sha256}


def digest(secret: bytes, signed: bytes, *, algorithm: Literal["sha1", "sha256"] = "sha256") -> bytes:
    """The HMAC of some bytes (RFC 2104)."""
    return hmac.new(secret, signed, _HASHES[algorithm]).digest()


def check_hmac(
    given: Iterable[str],
    signed: bytes,
    *,
    secrets: Iterable[bytes],
    algorithm: Literal["sha1", "sha256"] = "sha256",
    written: Written = "hex",
) -> None:
    """Raise NotGenuine unless one of the given signatures was made with one of the secrets.

    given: as they stand in the header, without a prefix. Every pair is compared, so that time tells nothing.
    """
    signatures = [_bytes_of(one.strip(), written) for one in given if one.strip()][:10]
    if not signatures:
        raise NotGenuine("missing")
    genuine = False
    for secret in secrets:
        ours = digest(secret, signed, algorithm=algorithm)
        for theirs in signatures:
            genuine |= bool(secret) and hmac.compare_digest(ours, theirs)
    if not genuine:
        raise NotGenuine("wrong")


def check_secret(given: str, *, secrets: Iterable[str]) -> None:
    """Raise NotGenuine unless one of the secrets was given as it is (a token in a header or the query)."""
    if not given:
        raise NotGenuine("missing")
    genuine = False
    for secret in secrets:
        genuine |= bool(secret) and hmac.compare_digest(secret.encode(), given.encode())
    if not genuine:
        raise NotGenuine("wrong")


def check_time(stated: str, *, at: datetime, tolerance: timedelta = TOLERANCE) -> datetime:
    """The time that is part of what was signed, in seconds since 1970. Raises NotGenuine when it is missing or too far off.

    Check the signature as well: a time alone proves nothing.
    """
    if not stated:
        raise NotGenuine("missing")
    if not (stated.isascii() and stated.isdigit() and len(stated) < 12):
        raise NotGenuine("wrong")
    moment = datetime.fromtimestamp(int(stated), UTC)
    if abs(at - moment) > tolerance:
        raise NotGenuine("old")
    return moment


def _bytes_of(written: str, how: Written) -> bytes:
    """A signature as bytes; what cannot be read is equal to none."""
    try:
        return bytes.fromhex(written) if how == "hex" else base64.b64decode(written, validate=True)
    except (ValueError, binascii.Error):
        return b""
