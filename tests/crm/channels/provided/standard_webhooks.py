"""Any program that signs as Standard Webhooks says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import datetime
from typing import Any

from crm.channels import Channel
from crm.channels.providers import HttpAnswer
from tests.crm.channels.provided import Example, Sent

SECRET = "whsec_" + base64.b64encode(b"the newer secret of thirty-two b").decode()
OTHER = "whsec_" + base64.b64encode(b"the older secret of thirty-two b").decode()


def signed(told: Any, *, secret: str, at: datetime, delivery: str = "") -> Sent:
    """A post as the specification has it: HMAC-SHA256 over id, time and body, in base64 behind "v1,"."""
    body = json.dumps(told, ensure_ascii=False).encode()
    delivery = delivery or "msg_" + hashlib.sha256(body).hexdigest()[:24]
    stated = str(int(at.timestamp()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mark = base64.b64encode(hmac.new(key, f"{delivery}.{stated}.".encode() + body, hashlib.sha256).digest()).decode()
    return Sent(
        body,
        {
            "Content-Type": "application/json",
            "webhook-id": delivery,
            "webhook-timestamp": stated,
            "webhook-signature": f"v1,{mark}",
        },
    )


def created(
    words: str, *, sender: str, external_id: str, spoke_at: datetime | None = None, **more: Any
) -> dict[str, Any]:
    about = {"id": external_id, "from": {"kind": "handle", "address": sender, "name": "Carla"}, "text": words, **more}
    if spoke_at is not None:
        about["spoke_at"] = spoke_at.isoformat()
    return {"type": "message.created", "data": about}


def said(
    words: str,
    *,
    sender: str,
    external_id: str,
    at: datetime,
    secret: str,
    spoke_at: datetime | None = None,
    **_more: Any,
) -> Sent:
    return signed(created(words, sender=sender, external_id=external_id, spoke_at=spoke_at), secret=secret, at=at)


def reported(provider_id: str, arrival: str, *, key: str, at: datetime, secret: str, **_more: Any) -> Sent:
    about = {"id": provider_id, "key": key, "state": arrival, "at": at.isoformat()}
    return signed({"type": "delivery.updated", "data": about}, secret=secret, at=at)


def changed(external_id: str, words: str, *, at: datetime, secret: str, **_more: Any) -> Sent:
    about = {"id": external_id, "text": words, "updated_at": at.isoformat()}
    return signed({"type": "message.updated", "data": about}, secret=secret, at=at)


def deleted(external_id: str, *, at: datetime, secret: str, **_more: Any) -> Sent:
    about = {"id": external_id, "deleted_at": at.isoformat()}
    return signed({"type": "message.deleted", "data": about}, secret=secret, at=at)


def unknown(*, at: datetime, secret: str, **_more: Any) -> Sent:
    return signed({"type": "weather.changed", "data": {"id": "w1"}}, secret=secret, at=at)


EXAMPLE = Example(
    provider="standard_webhooks",
    channel=Channel.CHAT,
    own_id="shop-chat",
    secret=SECRET,
    other_secret=OTHER,
    credential=SECRET,
    settings={"answer_url": "https://chat.example/answers", "longest": "2000"},
    sender=lambda name: ("handle", f"chat:{name}"),
    said=said,
    reported=reported,
    changed=changed,
    deleted=deleted,
    unknown=unknown,
    accepted=HttpAnswer(200, {}, b'{"id": "their-1"}'),
    provider_id="their-1",
    refused=HttpAnswer(422, {}, b"{}"),
    is_signed_over_time=True,
)
