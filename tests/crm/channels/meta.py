"""Signing as Meta does, for the examples of WhatsApp, Messenger and Instagram."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import datetime
from typing import Any

VERIFY = "a-word-of-ours"
Signed = tuple[bytes, dict[str, str]]
"""The body and the headers of a request."""


def signed(told: Any, *, secret: str) -> Signed:
    """A post with HMAC-SHA256 over its bytes. Meta writes everything beyond ASCII with backslashes, and signs that."""
    return signed_bytes(json.dumps(told, ensure_ascii=True, separators=(",", ":")).encode(), secret=secret)


def signed_bytes(body: bytes, *, secret: str) -> Signed:
    mark = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return body, {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={mark}"}


def millis(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def private(subject: str, own_id: str, person: str, at: datetime, **about: Any) -> dict[str, Any]:
    """One private event of Messenger or Instagram."""
    event = {"sender": {"id": person}, "recipient": {"id": own_id}, "timestamp": millis(at), **about}
    return {"object": subject, "entry": [{"id": own_id, "time": millis(at), "messaging": [event]}]}
