"""Mail providers: their reports about what we sent, read by django-anymail, in a shape of our own."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from crm.channels import statuses

OUR_KEY: Final = "evenhand"
"""The name under which a provider keeps our key of a message and gives it back."""
_RAW_KEPT: Final = 100_000  # characters of a report nobody knows
_REPORTED: Final = frozenset(
    (
        "queued", "sent", "rejected", "failed", "bounced", "deferred", "delivered", "autoresponded", "opened", "clicked",
        "complained", "unsubscribed", "subscribed",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DeliveryNews:
    """What a provider told about one message to one recipient.

    event: as anymail names it, "unknown" for what it does not know. key: the public id of our message, where the provider
    kept it; provider_id: what the provider calls the message. reason: a RejectReason of anymail or "". said: the words of
    the receiving server or the provider. event_at: aware, the provider's time, None where it tells none. event_id: tells
    this report from any other of the provider. is_permanent: the address works no more. raw: the report, where its kind
    is unknown.
    """

    provider: str
    event: str
    key: uuid.UUID | None
    provider_id: str
    recipient: str
    reason: str
    said: str
    event_at: datetime | None
    event_id: str
    is_permanent: bool
    raw: bytes = b""


def news(event: Any, *, provider: str) -> DeliveryNews:
    """Normalise one tracking event of anymail. Raises nothing for any event that anymail made."""
    metadata = event.metadata if isinstance(event.metadata, Mapping) else {}
    tags = event.tags if isinstance(event.tags, list | tuple) else []
    kind = event.event_type if event.event_type in _REPORTED else "unknown"
    provider_id, recipient = one_line(event.message_id, 200), one_line(event.recipient, 320).lower()
    raw = _raw_of(event.esp_event)
    identity = one_line(event.event_id, 100) or hashlib.sha256(raw).hexdigest()
    return DeliveryNews(
        provider=provider,
        event=kind,
        key=_key(metadata.get(OUR_KEY)) or next(filter(None, map(_key, tags)), None),
        provider_id=provider_id,
        recipient=recipient,
        reason=one_line(event.reject_reason, 40),
        said=one_line(event.mta_response, 300) or one_line(event.description, 300),
        event_at=event.timestamp if isinstance(event.timestamp, datetime) and event.timestamp.tzinfo else None,
        event_id=f"{identity}:{kind}",
        is_permanent=kind in ("bounced", "rejected", "failed") and _is_permanent(event, provider),
        raw=raw[:_RAW_KEPT] if kind == "unknown" else b"",
    )


def _key(value: object) -> uuid.UUID | None:
    """Our key as metadata or as a tag holds it; the public id of a message is never longer or shorter."""
    if not isinstance(value, str) or len(value) != 36:
        return None
    try:
        return uuid.UUID(value)
    except ValueError:
        return None


def one_line(value: object, most: int) -> str:
    """One line of text that can be stored, whatever somebody put there."""
    if value is None:
        return ""
    text = " ".join(str(value)[: most * 4].replace("\x00", "\ufffd").split())
    return text.encode("utf-8", "replace").decode()[:most]


def _raw_of(report: Any) -> bytes:
    if hasattr(report, "lists"):  # a form
        report = dict(report.lists())
    return json.dumps(report, sort_keys=True, default=str).encode("utf-8", "replace")


def _given(report: Any, *names: str) -> str:
    """A value deep inside a report, as text; "" where it is not there."""
    for name in names:
        report = report.get(name) if hasattr(report, "get") else None
    return "" if report is None else str(report)


_HARD: Final[dict[str, Callable[[Any], bool]]] = {
    "amazon_ses": lambda report: _given(report, "bounce", "bounceType") == "Permanent",
    "brevo": lambda report: _given(report, "event") in ("hard_bounce", "invalid_email"),
    "mailersend": lambda report: _given(report, "data", "type") == "hard_bounced",
    "mailgun": lambda report: (
        _given(report, "event-data", "severity") == "permanent" or _given(report, "event") in ("bounced", "dropped")
    ),
    "mailjet": lambda report: _given(report, "hard_bounce").lower() in ("true", "1"),
    "mailtrap": lambda report: _given(report, "event") == "bounce",
    "mandrill": lambda report: _given(report, "event") == "hard_bounce",
    "postmark": lambda report: _given(report, "Type") in ("HardBounce", "BadEmailAddress"),
    "resend": lambda report: _given(report, "data", "bounce", "type") == "Permanent",
    "sendgrid": lambda report: _given(report, "event") == "bounce" and _given(report, "type") != "blocked",
    "sparkpost": lambda report: (
        _given(report, "msys", "message_event", "bounce_class") in ("10", "30")
        or _given(report, "msys", "gen_event", "bounce_class") in ("10", "30")
    ),
    "unisender_go": lambda report: (
        _given(report, "delivery_info", "delivery_status")
        in ("err_user_unknown", "err_user_inactive", "err_domain_inactive", "err_mailbox_discarded")
    ),
}
"""Where each provider says that a bounce is final for the address, which anymail does not carry over."""


def _is_permanent(event: Any, provider: str) -> bool:
    """Say whether a failed delivery means that the address works no more, not just that this mail was refused."""
    if event.reject_reason in ("blocked", "spam", "unsubscribed", "timed_out"):
        return False
    if event.reject_reason == "invalid":
        return True
    by_code = statuses.is_gone(str(event.mta_response or ""))
    if event.event_type == "rejected":  # not tried, because it came back before
        return bool(event.reject_reason == "bounced")
    if provider in _HARD and event.event_type == "bounced":
        return _HARD[provider](event.esp_event) and by_code is not False
    return by_code is True
