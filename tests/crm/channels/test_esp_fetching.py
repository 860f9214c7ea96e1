"""Getting what a mail provider's post only names, through the one HTTP client."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from crm.channels.esp_fetching import NotFetched, confirm_subscription, fetcher
from tests.crm.channels.serving import serving


@pytest.mark.parametrize("provider", ["resend", "mailtrap"])
def test_a_mail_is_fetched_in_two_steps_and_our_key_goes_only_to_the_first(provider: str, settings: Any) -> None:
    with serving() as server:
        settings.EVENHAND_OUTBOUND_HOSTS = frozenset({server.host})
        place = f"http://{server.host}/raw"
        told = json.dumps({"raw": {"download_url": place}, "raw_message_url": place}).encode()
        server.answers = lambda asked: (200, {}, b"From: a@b.example\r\n\r\nHi" if asked.path == "/raw" else told)
        view = SimpleNamespace(api_url=f"http://{server.host}/", api_key="key", api_token="key")
        content = fetcher(view, provider=provider)({"email": "1", "inbox": 1, "message": "2"})
        assert content.endswith(b"Hi")
        assert server.asked[0].headers["authorization"] == "Bearer key"
        assert "authorization" not in server.asked[1].headers


def test_a_provider_that_stumbles_or_points_inside_is_asked_again_later_O01(settings: Any) -> None:
    with serving() as server:
        settings.EVENHAND_OUTBOUND_HOSTS = frozenset({server.host})
        view = SimpleNamespace(api_url=f"http://{server.host}/", api_key="key")
        server.answers = lambda _asked: (500, {}, b"")
        with pytest.raises(NotFetched):
            fetcher(view, provider="resend")({"email": "1"})
        server.answers = lambda _asked: (200, {}, b'{"raw": {"download_url": "https://169.254.169.254/"}}')
        with pytest.raises(NotFetched):
            fetcher(view, provider="resend")({"email": "1"})
    for address in ("https://sns.eu-west-1.amazonaws.com.evil.example/?a", "http://sns.eu-west-1.amazonaws.com/?a"):
        with pytest.raises(NotFetched):
            confirm_subscription(address)
