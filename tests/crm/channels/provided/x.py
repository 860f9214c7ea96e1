"""X's posts, with the fields of its documentation."""

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

OURS = "1700000000000000001"


def number_of(name: str) -> str:
    """The number of somebody or something, always the same for the same name."""
    return str(10**17 + int(hashlib.sha256(name.encode()).hexdigest(), 16) % 10**17)


def signed(told: Any, *, secret: str) -> Sent:
    """HMAC-SHA256 over the body, in base64 behind "sha256="."""
    body = told if isinstance(told, bytes) else json.dumps(told, ensure_ascii=False).encode()
    mark = base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()
    return Sent(body, {"Content-Type": "application/json", "X-Twitter-Webhooks-Signature": f"sha256={mark}"})


def person(number: str, **more: Any) -> dict[str, Any]:
    return {
        "id": int(number), "id_str": number, "name": "Carla", "screen_name": "carla_writes", "followers_count": 120_000,
        "verified": True, "profile_image_url_https": "https://pbs.twimg.com/profile_images/1/carla_normal.jpg", **more,
    }  # fmt: skip


def posted(words: str, *, sender: str, number: str, at: datetime, **more: Any) -> dict[str, Any]:
    """A post, as somebody's who names us."""
    return {
        "created_at": at.strftime("%a %b %d %H:%M:%S +0000 %Y"), "id": int(number), "id_str": number, "text": words,
        "truncated": False, "in_reply_to_status_id_str": None, "in_reply_to_user_id_str": None,
        "user": person(sender.removeprefix("x:")), "entities": {"urls": [], "user_mentions": []}, "lang": "en",
        "timestamp_ms": str(int(at.timestamp() * 1000)), **more,
    }  # fmt: skip


def created(about: dict[str, Any], *, whose: str = OURS) -> dict[str, Any]:
    return {"for_user_id": whose, "user_has_blocked": False, "tweet_create_events": [about]}


def wrote(words: str, *, sender: str, number: str, at: datetime, to: str = OURS, **more: Any) -> dict[str, Any]:
    """A direct message."""
    about = {
        "type": "message_create", "id": number, "created_timestamp": str(int(at.timestamp() * 1000)),
        "message_create": {
            "target": {"recipient_id": to}, "sender_id": sender.removeprefix("x:"),
            "message_data": {"text": words, "entities": {"urls": []}, **more},
        },
    }  # fmt: skip
    users = {one: {"id": one, "name": "Carla", "followers_count": 9} for one in (sender.removeprefix("x:"), to)}
    return {"for_user_id": OURS, "direct_message_events": [about], "users": users}


def said(words: str, *, sender: str, external_id: str, at: datetime, secret: str, **_more: Any) -> Sent:
    return signed(created(posted(words, sender=sender, number=number_of(external_id), at=at)), secret=secret)


def changed(external_id: str, words: str, *, at: datetime, secret: str, sender: str = "x:4711", **_more: Any) -> Sent:
    """A change is a post with a number of its own."""
    first, now = number_of(external_id), number_of(f"{external_id}{words}")
    history = {"initial_tweet_id": first, "edit_tweet_ids": [first, now]}
    return signed(created(posted(words, sender=sender, number=now, at=at, edit_history=history)), secret=secret)


def deleted(external_id: str, *, at: datetime, secret: str, sender: str = "x:4711", **_more: Any) -> Sent:
    gone = {
        "status": {"id": number_of(external_id), "user_id": sender.removeprefix("x:")},
        "timestamp_ms": str(int(at.timestamp() * 1000)),
    }
    return signed({"for_user_id": OURS, "tweet_delete_events": [gone]}, secret=secret)


def unknown(*, secret: str, **_more: Any) -> Sent:
    return signed({"for_user_id": OURS, "weather_events": [{"id": "1"}]}, secret=secret)


EXAMPLE = Example(
    provider="x",
    channel=Channel.SOCIAL_PUBLIC,
    own_id=OURS,
    secret="the newer consumer secret",
    other_secret="the older consumer secret",
    credential="an access token of ours",
    sender=lambda name: ("handle", f"x:{number_of(name)}"),
    said=said,
    changed=changed,
    deleted=deleted,
    unknown=unknown,
    accepted=HttpAnswer(201, {}, b'{"data": {"id": "1800000000000000009", "text": "We are on it."}}'),
    provider_id="1800000000000000009",
    refused=HttpAnswer(
        403,
        {},
        b'{"detail": "You are not permitted to perform this action.", "type": "about:blank", "title": "Forbidden", "status": 403}',
    ),
)
