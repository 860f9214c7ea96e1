"""Addresses that an account names: refused when they are set up unless the house allows them, and looked at again (O01, O02)."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import time_machine
from django.test import Client

from crm.actions import channel_accounts
from crm.channels import http
from crm.channels.providers import HttpRequest
from crm.models import ChannelAccount
from crm.policy import Role
from tests.conftest import NOON
from tests.crm.channels.provided import EXAMPLES, account_of
from tests.crm.stories import colleague

pytestmark = pytest.mark.django_db

NAMED = [
    ("standard_webhooks", "answer_url"), ("sms_gateway", "send_url"), ("sms_gateway", "file_url"), ("mastodon", "server"),
]  # fmt: skip
PRIVATE = [
    "https://127.0.0.1", "https://localhost", "https://[::1]", "https://0.0.0.0", "https://2130706433", "https://0x7f000001",
    "https://127.1", "https://[::ffff:127.0.0.1]", "https://169.254.169.254", "https://10.1.2.3", "https://192.168.0.1:8443",
    "https://[fd00:ec2::254]", "https://[64:ff9b::7f00:1]", "https://100.64.0.1",
]  # fmt: skip


def named(provider: str, field: str, host: str) -> dict[str, Any]:
    """What changes in an example's account so that this field names an address there."""
    behind = {"server": "", "file_url": "/files/{file}", "send_url": "/send?to={to}&text={text}", "answer_url": "/hook"}
    return {"settings": {**EXAMPLES[provider].settings, field: host + behind[field]}}


@pytest.mark.parametrize(("provider", "field"), NAMED)
@pytest.mark.parametrize("host", PRIVATE)
def test_a_private_address_is_refused_when_it_is_set_up_O01(provider: str, field: str, host: str) -> None:
    with pytest.raises(channel_accounts.UnusableAccount, match=r"private network.*EVENHAND_OUTBOUND_HOSTS"):
        account_of(EXAMPLES[provider], **named(provider, field, host))
    assert not ChannelAccount.objects.exists()


@pytest.mark.parametrize(("provider", "field"), NAMED)
def test_an_address_without_encryption_is_refused_when_it_is_set_up_O01(provider: str, field: str) -> None:
    with pytest.raises(channel_accounts.UnusableAccount, match=r"not encrypted.*shop\.example:80"):
        account_of(EXAMPLES[provider], **named(provider, field, "http://shop.example"))
    assert not ChannelAccount.objects.exists()


@pytest.mark.parametrize(("provider", "field"), NAMED)
def test_an_address_that_names_somebody_is_none_O01(provider: str, field: str) -> None:
    with pytest.raises(channel_accounts.UnusableAccount):
        account_of(EXAMPLES[provider], **named(provider, field, "https://shop.example@127.0.0.1"))


@pytest.mark.parametrize(("provider", "field"), NAMED)
@pytest.mark.parametrize("host", ["http://127.0.0.1:8090", "https://10.1.2.3:8443", "http://chat.intern:8090"])
def test_who_runs_the_house_may_allow_one_host_with_its_port_O02(
    provider: str, field: str, host: str, settings: Any
) -> None:
    settings.EVENHAND_OUTBOUND_HOSTS = frozenset({host.partition("://")[2]})
    assert account_of(EXAMPLES[provider], **named(provider, field, host)).pk
    settings.EVENHAND_OUTBOUND_HOSTS = frozenset({host.partition("://")[2] + "1"})  # another port is another host
    account = ChannelAccount.objects.get()
    with pytest.raises(channel_accounts.UnusableAccount):
        channel_accounts.change(account.pk, channel_accounts.draft_of(account), by=None, at=NOON)


def test_a_name_that_points_inside_later_is_not_gone_to_either_O01(monkeypatch: pytest.MonkeyPatch) -> None:
    resolves = ["198.35.26.96", "127.0.0.1"]

    def found(host: str, port: int, **_more: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (resolves.pop(0), port))]

    example = EXAMPLES["standard_webhooks"]
    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", found)
        forbidden = http.forbidden("https://moves.example/hook")
        assert not forbidden
        with pytest.raises(http.NotReached) as refused:
            http.send(HttpRequest("POST", "https://moves.example/hook"))
    assert (refused.value.kind, refused.value.code) == ("inside", "forbidden")
    assert account_of(example, **named(example.provider, "answer_url", "https://nobody.invalid")).pk  # not found now


def test_the_page_says_what_is_wrong_and_keeps_what_was_typed_O01_O02() -> None:
    boss = Client()
    boss.force_login(colleague(Role.ADMINISTRATOR))
    example = EXAMPLES["standard_webhooks"]
    with time_machine.travel(NOON, tick=False):
        account = account_of(example)
    typed = {
        "channel": account.channel, "name": "A new name", "own_id": account.own_id, "secret_from": account.secret_from,
        "credential_from": account.credential_from, "set_answer_url": "https://10.1.2.3/hook", "is_sandbox": "on",
    }  # fmt: skip
    answer = boss.post(f"/admin/channels/{account.public_id}/", typed)
    assert answer.status_code == 409
    page = answer.content.decode()
    assert "10.1.2.3:443" in page
    assert 'value="A new name"' in page
    account.refresh_from_db()
    assert account.name != "A new name"
