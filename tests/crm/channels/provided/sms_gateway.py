"""A gateway that posts JSON and signs the body, as an account describes it."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from crm.channels import Channel
from crm.channels.providers import HttpAnswer
from tests.crm.channels.provided import Example, Sent, phone_of

NUMBER = "+4930555000"
SETTINGS = {
    "reads": "json",
    "batch_at": "results",
    "sender_at": "from",
    "text_at": "text",
    "id_at": "messageId",
    "time_at": "receivedAt",
    "to_at": "to",
    "files_at": "media",
    "kind_at": "type",
    "kind_words": "MO",
    "number_prefix": "+",
    "status_at": "status",
    "status_words": "delivered: DELIVERED\nfailed: REJECTED, EXPIRED",
    "status_key_at": "callbackData",
    "secret_by": "hmac",
    "secret_name": "X-Signature",
    "secret_before": "sha256=",
    "send_url": "https://api.gateway.example/messages",
    "send_written": "json",
    "send_body": '{"from": "{from}", "to": "{to_digits}", "text": "{text}", "callbackData": "{key}"}',
    "send_header": "Authorization",
    "send_header_value": "App {credential}",
    "sent_reads": "json",
    "sent_id_at": "messages.0.id",
    "sent_status_at": "messages.0.status",
    "sent_good": "PENDING",
    "longest": "1530",
}


def signed(items: list[dict[str, Any]], *, secret: str) -> Sent:
    body = json.dumps({"results": items}, ensure_ascii=False).encode()
    mark = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return Sent(body, {"Content-Type": "application/json", "X-Signature": f"sha256={mark}"})


def said(words: str, *, sender: str, external_id: str, at: Any, secret: str, **_more: Any) -> Sent:
    item = {"type": "MO", "messageId": external_id, "from": sender, "to": NUMBER, "text": words}
    return signed([{**item, "receivedAt": at.isoformat()}], secret=secret)


def reported(provider_id: str, arrival: str, *, key: str, secret: str, **_more: Any) -> Sent:
    status = {"delivered": "DELIVERED", "failed": "REJECTED"}[arrival]
    return signed([{"type": "DLR", "messageId": provider_id, "status": status, "callbackData": key}], secret=secret)


def unknown(*, secret: str, **_more: Any) -> Sent:
    return signed([{"type": "BALANCE", "amount": 12}], secret=secret)


EXAMPLE = Example(
    provider="sms_gateway",
    channel=Channel.SMS,
    own_id=NUMBER,
    secret="the newer key of the gateway",
    other_secret="the older key of the gateway",
    credential="the credential of the gateway",
    settings=SETTINGS,
    sender=phone_of,
    said=said,
    reported=reported,
    unknown=unknown,
    accepted=HttpAnswer(200, {}, b'{"messages": [{"id": "g-1", "status": "PENDING"}]}'),
    provider_id="g-1",
    refused=HttpAnswer(200, {}, b'{"messages": [{"id": "g-1", "status": "REJECTED_NUMBER"}]}'),
)
