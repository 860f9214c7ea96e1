"""The test of a connection: one harmless question, whose answer is told in words and without a secret."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from crm.actions import channel_trials
from crm.channels.provided import twilio_sms
from crm.models import HistoryEntry, OutgoingMessage
from crm.policy import Role
from tests.crm.channels.provided import EXAMPLES, SENDING, account_of
from tests.crm.channels.provided.twilio_sms import ACCOUNT
from tests.crm.channels.serving import Server, serving
from tests.crm.stories import colleague

pytestmark = pytest.mark.django_db
TWILIO, VOICE, GENERIC = (EXAMPLES[name] for name in ("twilio_sms", "twilio_voice", "standard_webhooks"))


@pytest.fixture
def server(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving() as found:
        settings.EVENHAND_OUTBOUND_HOSTS = frozenset({found.host})
        monkeypatch.setattr(twilio_sms, "API", f"http://{found.host}")
        yield found


@pytest.mark.parametrize("example", [TWILIO, VOICE], ids=["messages", "calls"])
@pytest.mark.parametrize(
    ("status", "body", "is_well", "said"),
    [
        (200, b'{"status": "active"}', True, "The provider knows us by our credential."),
        (200, b'{"status": "suspended"}', False, "Twilio knows us, and the account is suspended."),
        (200, b"<html>", False, "What answered is not Twilio."),
        (401, b"{}", False, "The provider does not know our credential."),
        (503, b"secret words of theirs", False, "The provider answered 503."),
    ],
)
def test_the_answer_is_told_in_words(
    server: Server, example: Any, status: int, body: bytes, is_well: bool, said: str
) -> None:
    account = account_of(example)
    server.answers = lambda _asked: (status, {}, body)
    trial = channel_trials.try_now(account.pk)
    assert (trial.is_well, trial.said) == (is_well, said)
    [asked] = server.asked
    assert (asked.method, asked.path) == ("GET", f"/2010-04-01/Accounts/{ACCOUNT}.json")
    assert not OutgoingMessage.objects.exists()


def test_an_api_key_is_asked_for_what_it_may_see(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    account = account_of(TWILIO)
    monkeypatch.setenv(SENDING, "SK1:secret")
    server.answers = lambda _asked: (200, {}, b'{"messages": []}')
    assert channel_trials.try_now(account.pk).is_well
    assert server.asked[0].path.endswith("/Messages.json?PageSize=1")


def test_a_credential_that_cannot_be_read_is_told_and_nobody_is_asked(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = account_of(TWILIO)
    monkeypatch.delenv(SENDING)
    assert channel_trials.can_try(account)
    assert channel_trials.try_now(account.pk).said == "The credential cannot be read where it is said to stand."
    assert not server.asked
    assert not channel_trials.can_try(account_of(TWILIO, own_id="+491", credential_from=""))


def test_a_server_that_hangs_up_is_told(server: Server) -> None:
    account = account_of(TWILIO)
    server.answers = lambda _asked: None
    trial = channel_trials.try_now(account.pk)
    assert not trial.is_well
    assert TWILIO.credential not in trial.said


def test_the_button_is_there_where_a_provider_can_be_asked_and_for_those_who_may(server: Server) -> None:
    account, other = account_of(TWILIO), account_of(GENERIC)
    account_of(TWILIO)
    button = reverse("admin:channel_account_trial", args=[account.public_id])
    lead, agent = Client(), Client()
    lead.force_login(colleague(Role.LEAD))
    agent.force_login(colleague(Role.AGENT))
    assert button in lead.get(reverse("admin:channel_account", args=[account.public_id])).content.decode()
    nothing = lead.get(reverse("admin:channel_account", args=[other.public_id])).content.decode()
    assert "Test the connection" not in nothing
    assert agent.post(button).status_code == 403
    assert lead.get(button).status_code == 405
    assert not server.asked
    entries = HistoryEntry.objects.count()
    server.answers = lambda _asked: (401, {}, b"{}")
    told = lead.post(button, follow=True).content.decode()
    assert "The provider does not know our credential." in told
    assert HistoryEntry.objects.count() == entries
