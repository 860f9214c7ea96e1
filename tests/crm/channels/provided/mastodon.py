"""What a Mastodon server answers when it is asked, with the fields of its documentation."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from html import escape
from typing import Any

from crm.channels import Channel
from crm.channels.providers import HttpAnswer
from tests.crm.channels.provided import Example, Sent

OURS = "shop@social.example"


def number_of(name: str) -> str:
    """The number of a post or notification, always the same for the same name."""
    return str(10**17 + int(hashlib.sha256(name.encode()).hexdigest(), 16) % 10**17)


def stated(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def person(acct: str, **more: Any) -> dict[str, Any]:
    return {
        "id": "211", "username": acct.partition("@")[0], "acct": acct, "display_name": "Carla", "locked": False, "bot": False,
        "url": f"https://elsewhere.example/@{acct}", "avatar": "https://files.example/avatars/carla.png",
        "followers_count": 120_000, **more,
    }  # fmt: skip


def status(words: str, *, sender: str, number: str, at: datetime, **more: Any) -> dict[str, Any]:
    """A post."""
    return {
        "id": number, "created_at": stated(at), "in_reply_to_id": None, "in_reply_to_account_id": None, "sensitive": False,
        "spoiler_text": "", "visibility": "public", "language": "en", "uri": f"https://elsewhere.example/statuses/{number}",
        "url": f"https://elsewhere.example/@carla/{number}", "replies_count": 4, "reblogs_count": 51, "favourites_count": 900,
        "edited_at": None, "content": f"<p>{escape(words)}</p>", "reblog": None,
        "account": person(sender.removeprefix("mastodon:")),
        "media_attachments": [], "mentions": [], "tags": [], "emojis": [], "card": None, "poll": None, **more,
    }  # fmt: skip


def notified(about: dict[str, Any], *, kind: str = "mention", number: str = "") -> dict[str, Any]:
    return {
        "id": number or number_of(f"n{about['id']}{kind}"), "type": kind, "created_at": about["created_at"],
        "account": about["account"], "status": about,
    }  # fmt: skip


def page(*notifications: dict[str, Any], after: str = "1") -> Sent:
    """An answer: the newest first."""
    body = json.dumps(list(notifications), ensure_ascii=False).encode()
    return Sent(body, {"Content-Type": "application/json; charset=utf-8"}, f"after={after}", "POLL")


def said(words: str, *, sender: str, external_id: str, at: datetime, **_more: Any) -> Sent:
    return page(notified(status(words, sender=sender, number=number_of(external_id), at=at)))


def changed(
    external_id: str, words: str, *, at: datetime, sender: str = "mastodon:carla@elsewhere.example", **_more: Any
) -> Sent:
    about = status(words, sender=sender, number=number_of(external_id), at=at, edited_at=stated(at))
    return page(notified(about, kind="update"))


def unknown(*, at: datetime, **_more: Any) -> Sent:
    return page({"id": "1", "type": "weather", "created_at": stated(at), "account": person("carla@elsewhere.example")})


EXAMPLE = Example(
    provider="mastodon",
    channel=Channel.SOCIAL_PUBLIC,
    own_id=OURS,
    secret="",
    other_secret="",
    credential="an access token of ours there",
    settings={"server": "https://social.example"},
    sender=lambda name: ("handle", f"mastodon:{hashlib.sha256(name.encode()).hexdigest()[:12]}@elsewhere.example"),
    said=said,
    changed=changed,
    unknown=unknown,
    accepted=HttpAnswer(200, {}, b'{"id": "113900000000000009", "content": "<p>We are on it.</p>"}'),
    provider_id="113900000000000009",
    refused=HttpAnswer(422, {}, b'{"error": "Validation failed: Text character limit of 500 exceeded"}'),
)
