"""Telegram's updates, with the fields of its Bot API."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from crm.channels import Channel
from crm.channels.providers import HttpAnswer
from tests.conftest import NOON
from tests.crm.channels.provided import Example, Sent

BOT, TOKEN = "777000111", "777000111:AAexample-token_of-thirty-five-chars"


def number_of(name: str) -> int:
    return int(hashlib.sha256(name.encode()).hexdigest()[:9], 16)


def updated(kind: str, told: dict[str, Any], *, secret: str, number: int = 0) -> Sent:
    """An update, as setWebhook with a secret_token lets it come."""
    body = json.dumps({"update_id": number or number_of(json.dumps(told)), kind: told}, ensure_ascii=False).encode()
    return Sent(body, {"Content-Type": "application/json", "X-Telegram-Bot-Api-Secret-Token": secret})


def message(words: str, *, sender: str, external_id: str, at: datetime = NOON, **more: Any) -> dict[str, Any]:
    chat = int(sender.removeprefix("telegram:"))
    return {
        "message_id": number_of(external_id),
        "from": {"id": chat, "is_bot": False, "first_name": "Carla", "last_name": "Conti", "language_code": "it"},
        "chat": {"id": chat, "type": "private", "first_name": "Carla"},
        "date": int(at.timestamp()),
        "text": words,
        **more,
    }


def said(words: str, *, sender: str, external_id: str, at: datetime, secret: str, **_more: Any) -> Sent:
    return updated("message", message(words, sender=sender, external_id=external_id, at=at), secret=secret)


def changed(external_id: str, words: str, *, sender: str, at: datetime, secret: str, **_more: Any) -> Sent:
    told = message(words, sender=sender, external_id=external_id, at=NOON, edit_date=int(at.timestamp()))
    return updated("edited_message", told, secret=secret)


def unknown(*, secret: str, **_more: Any) -> Sent:
    return updated("chat_boost", {"chat": {"id": 1}}, secret=secret)


EXAMPLE = Example(
    provider="telegram",
    channel=Channel.CHAT,
    own_id=BOT,
    secret="the_newer-secret_token_of_telegram",
    other_secret="the_older-secret_token_of_telegram",
    credential=TOKEN,
    sender=lambda name: ("handle", f"telegram:{number_of(name)}"),
    said=said,
    changed=changed,
    unknown=unknown,
    accepted=HttpAnswer(
        200, {}, b'{"ok": true, "result": {"message_id": 12, "chat": {"id": 4711, "type": "private"}}}'
    ),
    provider_id="4711:12",
    refused=HttpAnswer(
        403, {}, b'{"ok": false, "error_code": 403, "description": "Forbidden: bot was blocked by the user"}'
    ),
    is_body_signed=False,
)
