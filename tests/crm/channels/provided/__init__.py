"""One example of each provider: an account, and what its provider posts, signed as its provider signs.

Each module here is named as the provider's and has an EXAMPLE; tests/crm/test_channel_hooks.py, tests/crm/channels/test_provided.py
and the parity suite run over all of them. What the provider documents stands beside it, in <name>.json.
"""

from __future__ import annotations

import hashlib
import json
import os
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from crm.actions import channel_accounts, channel_hooks
from crm.channels import Channel, providers
from crm.models import ChannelAccount
from tests.conftest import NOON

HERE = Path(__file__).parent
NEWER, OLDER, SENDING = "EVENHAND_CHANNEL_TEST_NEWER", "EVENHAND_CHANNEL_TEST_OLDER", "EVENHAND_CHANNEL_TEST_SENDING"


@dataclass(frozen=True, slots=True)
class Sent:
    """One request of a provider. query: without its question mark. method: "POLL" for an answer of one that is asked."""

    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    query: str = ""
    method: str = "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """What the tests need to play one provider.

    secret, other_secret, credential: of a form that the provider gives. sender: who writes, made from a name or address: kind and
    address as they are stored. said: a genuine post in which somebody says something; called with words, sender's address,
    external_id, at, secret, url and account. reported: the same for what became of a message of ours, called with provider_id,
    arrival ("delivered" or "failed"), key, at, secret, url and account; None where the provider tells nothing. unknown: an event
    of a kind that nobody knows. accepted, refused: what the provider answers to a message. is_signed_over_time: an old post is
    refused by its own time. is_body_signed: a post with another body is not believed; a secret that is only given along says
    nothing of it. has_edits: `changed` and `deleted` make such posts.
    """

    provider: str
    channel: Channel
    own_id: str
    secret: str
    other_secret: str
    credential: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    sender: Callable[[str], tuple[str, str]]
    said: Callable[..., Sent]
    reported: Callable[..., Sent] | None = None
    unknown: Callable[..., Sent]
    changed: Callable[..., Sent] | None = None
    deleted: Callable[..., Sent] | None = None
    accepted: providers.HttpAnswer | None = None
    provider_id: str = ""
    refused: providers.HttpAnswer | None = None
    is_signed_over_time: bool = False
    is_body_signed: bool = True

    @property
    def documented(self) -> list[dict[str, Any]]:
        """What the provider documents, and what it means; see docs/adding-a-provider.md."""
        return json.loads((HERE / f"{self.provider}.json").read_text(encoding="utf-8"))


def phone_of(name: str) -> tuple[str, str]:
    """A phone number of somebody, always the same for the same name."""
    return "phone", f"+4930{int(hashlib.sha256(name.encode()).hexdigest(), 16) % 10**7:07}"


def account_of(example: Example, **changes: Any) -> ChannelAccount:
    """The account of an example, set up as a colleague does it; its secrets stand in the environment."""
    os.environ.update({NEWER: example.secret, OLDER: example.other_secret, SENDING: example.credential or "none"})
    found = ChannelAccount.objects.filter(provider=example.provider, own_id=example.own_id).first()
    if found is not None and not changes:
        return found
    draft: dict[str, Any] = {
        "provider": example.provider,
        "channel": example.channel,
        "name": f"Our {example.provider}",
        "own_id": example.own_id,
        "settings": example.settings,
        "secret_from": NEWER if example.secret else "",
        "other_secret_from": OLDER if example.other_secret else "",
        "credential_from": SENDING if example.credential else "",
        "is_sandbox": True,
    }
    return channel_accounts.add(channel_accounts.Draft(**{**draft, **changes}), by=None, at=NOON)


def described(example: Example) -> providers.Account:
    """The same account without a database."""
    return providers.Account(
        provider=example.provider,
        channel=example.channel,
        public_id="018f0000-0000-7000-8000-000000000000",
        name="Ours",
        own_id=example.own_id,
        settings=example.settings,
        receiving=(example.secret, example.other_secret),
        sending=example.credential,
        hook_url=f"{settings.PUBLIC_URL}/hooks/channel/018f0000-0000-7000-8000-000000000000/",
        source=f"hook:{example.provider}:018f0000-0000-7000-8000-000000000000",
    )


def url_of(account: ChannelAccount) -> str:
    return channel_accounts.hook_url(account)


def post(account: ChannelAccount, sent: Sent) -> Any:
    """Send a request to an account's hook as its provider would; what a provider answers that is asked is taken as such."""
    if sent.method == "POLL":
        at, headers = timezone.now(), {name.lower(): value for name, value in sent.headers.items()}
        told = providers.Post("POLL", url_of(account), sent.query, headers, sent.body, at)
        channel_hooks.take(account, told, providers.Genuine(), at=at)
        return HttpResponse()
    path = f"/hooks/channel/{account.public_id}/" + (f"?{sent.query}" if sent.query else "")
    kind = sent.headers.get("Content-Type", "application/octet-stream")
    headers = {name: value for name, value in sent.headers.items() if name != "Content-Type"}
    if sent.method == "GET":
        return Client().get(path, headers=headers)
    return Client().post(path, sent.body, content_type=kind, headers=headers)


def say(
    account: ChannelAccount, example: Example, words: str, *, by: str = "carla", at: datetime = NOON, **more: Any
) -> Any:
    """Let somebody say something through an account; `by` is whoever `Example.sender` makes of it."""
    number = more.pop("external_id", None) or hashlib.sha256(f"{words}{by}{at}".encode()).hexdigest()[:30]
    given = {"secret": example.secret, **more}
    sent = example.said(
        words, sender=example.sender(by)[1], external_id=number, at=at, url=url_of(account), account=account, **given
    )
    return post(account, sent)


EXAMPLES: dict[str, Example] = {
    module.name: import_module(f"{__name__}.{module.name}").EXAMPLE for module in pkgutil.iter_modules(__path__)
}
