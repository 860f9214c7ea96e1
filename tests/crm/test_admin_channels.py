"""The pages of channel accounts: who may see them, how each fares, setting one up without ever showing a secret."""

from __future__ import annotations

from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from crm.actions import sources
from crm.channels import Channel
from crm.channels.provided import by_name
from crm.models import ChannelAccount, Conversation, HistoryEntry, RawItem
from crm.policy import Role, WorkState
from tests.conftest import NOON
from tests.crm.channels.provided import EXAMPLES, NEWER, OLDER, SENDING, Example, account_of, post, say
from tests.crm.channels.provided import standard_webhooks as generic
from tests.crm.stories import colleague

pytestmark = pytest.mark.django_db
GENERIC, TWILIO = EXAMPLES["standard_webhooks"], EXAMPLES["twilio_sms"]


def page_of(role: Role) -> Client:
    client = Client()
    client.force_login(colleague(role))
    return client


def typed(**changes: Any) -> dict[str, Any]:
    return {
        "name": "Text messages", "channel": "sms", "own_id": "+4930555000", "set_account_sid": "AC1", "secret_from": NEWER,
        "other_secret_from": "", "credential_from": SENDING, "is_sandbox": "on", **changes,
    }  # fmt: skip


@pytest.fixture(autouse=True)
def _secrets() -> None:
    account_of(TWILIO, own_id="+491")  # puts the secrets where they are read
    ChannelAccount.objects.all().delete()


@pytest.mark.parametrize(
    ("role", "sees"), [(Role.AGENT, 403), (Role.LEAD, 200), (Role.ADMINISTRATOR, 200), (Role.AUDITOR, 200)]
)
def test_who_may_see_and_who_may_change(role: Role, sees: int) -> None:
    account = account_of(TWILIO)
    client = page_of(role)
    assert client.get(reverse("admin:channel_accounts")).status_code == sees
    may = 200 if role in (Role.LEAD, Role.ADMINISTRATOR) else 403
    assert client.get(reverse("admin:channel_account", args=[account.public_id])).status_code == may
    switched = client.post(reverse("admin:channel_account_switch", args=[account.public_id]), {"on": "0"})
    assert switched.status_code == (302 if may == 200 else 403)
    assert client.get(reverse("admin:channel_account_switch", args=[account.public_id])).status_code in (403, 405)


def test_an_account_is_set_up_and_its_address_is_shown() -> None:
    client = page_of(Role.ADMINISTRATOR)
    form = client.get(reverse("admin:channel_account_new", args=["twilio_sms"]))
    assert "Account SID" in form.content.decode()
    answer = client.post(reverse("admin:channel_account_new", args=["twilio_sms"]), typed(), follow=True)
    account = ChannelAccount.objects.get()
    assert (account.settings, account.is_sandbox, account.secret_from) == ({"account_sid": "AC1"}, True, NEWER)
    assert f"/hooks/channel/{account.public_id}/" in answer.content.decode()
    assert TWILIO.secret not in answer.content.decode()
    assert client.get(reverse("admin:channel_account_new", args=["pigeons"])).status_code == 404


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_every_provider_is_set_up_on_the_same_page(example: Example) -> None:
    client, place = page_of(Role.ADMINISTRATOR), reverse("admin:channel_account_new", args=[example.provider])
    assert client.get(place).status_code == 200
    typed_in = {
        "name": "Ours", "channel": str(example.channel), "own_id": example.own_id, "secret_from": NEWER if example.secret else "",
        "other_secret_from": "", "credential_from": SENDING, **{f"set_{name}": value for name, value in example.settings.items()},
    }  # fmt: skip
    assert client.post(place, typed_in).status_code == 302
    account = ChannelAccount.objects.get()
    assert (account.own_id, account.settings, account.is_sandbox) == (example.own_id, example.settings, False)
    assert (account.ask_at is not None) == (by_name(example.provider).polled_every is not None)


def test_a_mistake_stays_in_the_form_and_is_said_in_words() -> None:
    client = page_of(Role.LEAD)
    answer = client.post(reverse("admin:channel_account_new", args=["twilio_sms"]), typed(set_account_sid="XX"))
    assert answer.status_code == 409
    assert "The Account SID begins with AC." in answer.content.decode()
    assert "Text messages" in answer.content.decode()
    assert not ChannelAccount.objects.exists()


def test_a_form_with_a_field_left_out_answers_400_and_keeps_the_others_Q11() -> None:
    client = page_of(Role.LEAD)
    answer = client.post(reverse("admin:channel_account_new", args=["twilio_sms"]), typed(name=""))
    assert (answer.status_code, b"AC" in answer.content) == (400, True)
    assert not ChannelAccount.objects.exists()
    assert client.get(reverse("admin:channel_account_new", args=["twilio_sms"])).status_code == 200


def test_a_change_is_told_by_the_history_without_any_secret() -> None:
    account = account_of(TWILIO)
    client = page_of(Role.LEAD)
    client.post(reverse("admin:channel_account", args=[account.public_id]), typed(other_secret_from="", name="Renamed"))
    account.refresh_from_db()
    assert (account.name, account.other_secret_from) == ("Renamed", "")
    entry = HistoryEntry.objects.get(verb="channel_account.changed")
    assert (entry.detail["other_secret_from"], entry.detail["name"][1]) == ([OLDER, ""], "Renamed")
    assert TWILIO.other_secret not in str(entry.detail)


def test_what_is_parked_shows_and_can_be_tried_again() -> None:
    account = account_of(GENERIC)
    with time_machine.travel(NOON, tick=False):
        told = generic.created("  ", sender="chat:carla", external_id="1")
        post(account, generic.signed(told, secret=generic.SECRET, at=NOON))
    client = page_of(Role.LEAD)
    page = client.get(reverse("admin:channel_account", args=[account.public_id])).content.decode()
    assert "nothing_said" in page
    raw = RawItem.objects.get()
    assert client.post(reverse("admin:channel_post_again", args=[account.public_id, raw.pk])).status_code == 302
    raw.refresh_from_db()
    assert raw.state == WorkState.READY
    assert client.post(reverse("admin:channel_post_again", args=[account.public_id, raw.pk])).status_code == 404


def test_what_went_wrong_is_said_in_words_with_what_to_look_at() -> None:
    account, client = account_of(GENERIC), page_of(Role.LEAD)
    with time_machine.travel(NOON, tick=False):
        post(account, generic.signed({"events": 7}, secret=generic.SECRET, at=NOON))
        post(account, generic.signed({"type": "x"}, secret="whsec_c29tZSBvdGhlciBzZWNyZXQ=", at=NOON))
    RawItem.objects.update(state=WorkState.PARKED)
    pages = [
        client.get(reverse("admin:channel_accounts")).content.decode(),
        client.get(reverse("admin:channel_account", args=[account.public_id])).content.decode(),
    ]
    for page in pages:
        assert "It is not as the provider documents it" in page
    assert "is the secret here the one that the provider signs with?" in pages[0]
    assert "ValueError" not in pages[0]


def test_a_door_with_a_way_back_needs_what_its_answers_are_signed_with(monkeypatch: pytest.MonkeyPatch) -> None:
    client = page_of(Role.LEAD)
    new = reverse("admin:channel_account_new", args=["standard_webhooks"])
    form = typed(channel="chat", own_id="shop", set_answer_url="https://chat.example/answers", credential_from="")
    assert "Our answers are signed" in client.post(new, form).content.decode()
    monkeypatch.setenv(SENDING, "whsec_*not base64*")
    assert "goes on in base64" in client.post(new, {**form, "credential_from": SENDING}).content.decode()
    assert not ChannelAccount.objects.exists()
    monkeypatch.setenv(SENDING, GENERIC.credential)
    assert client.post(new, {**form, "credential_from": SENDING}).status_code == 302


def test_sources_posts_and_coverage_call_an_account_by_its_name() -> None:
    account, client = account_of(GENERIC, channel=Channel.SOCIAL_PUBLIC, name="Our square"), page_of(Role.LEAD)
    now = timezone.now()
    say(account, GENERIC, "My parcel is broken.", at=now)
    sources.watch_ingest_lag(timezone.now())
    for page in ("/admin/sources/", "/admin/posts/", "/admin/coverage/?by=account"):
        assert "Our square" in client.get(page).content.decode(), page


def test_the_list_costs_the_same_for_one_account_and_for_ten() -> None:
    client = page_of(Role.LEAD)
    account_of(GENERIC)
    client.get(reverse("admin:channel_accounts"))
    with CaptureQueriesContext(
        connection,
    ) as one:
        client.get(reverse("admin:channel_accounts"))
    for number in range(9):
        account_of(GENERIC, own_id=f"shop-{number}")
    with CaptureQueriesContext(connection) as ten:
        client.get(reverse("admin:channel_accounts"))
    assert len(one) == len(ten)


def test_the_conversation_says_how_an_answer_goes_and_what_was_changed() -> None:
    account = account_of(GENERIC)
    with time_machine.travel(NOON, tick=False):
        say(account, GENERIC, "Fisrt words", external_id="1")
        post(account, generic.changed("1", "First words", at=NOON, secret=generic.SECRET))
        client = page_of(Role.AGENT)
        page = client.get(reverse("admin:conversation", args=[Conversation.objects.get().public_id])).content.decode()
    assert "It goes through Our standard_webhooks to chat:carla." in page
    assert "At most 2,000 characters." in page or "At most 2000 characters." in page
    assert "Changed by the customer" in page
    assert "Fisrt words" in page
    with time_machine.travel(NOON, tick=False):
        post(account, generic.deleted("1", at=NOON, secret=generic.SECRET))
        client = page_of(Role.AGENT)
        page = client.get(reverse("admin:conversation", args=[Conversation.objects.get().public_id])).content.decode()
    assert "words are gone" in page
    assert "Fisrt" not in page
    assert "First words" not in page


def gateway_form(**changes: Any) -> dict[str, Any]:
    settings = {"reads": "json", "sender_at": "from", "text_at": "text", "secret_by": "query", "secret_name": "secret"}
    given = {f"set_{name}": value for name, value in settings.items()}
    return {"name": "Our gateway", "channel": "sms", "secret_from": NEWER, "is_sandbox": "on", **given, **changes}


def test_an_example_is_read_with_what_stands_in_the_form_and_nothing_is_kept() -> None:
    client, page = page_of(Role.LEAD), reverse("admin:channel_account_new", args=["sms_gateway"])
    assert "Try it" in client.get(page).content.decode()
    body = '[{"from": "+4930111222", "text": "<b>Hello</b>"}, {"from": "", "text": "x"}]'
    shown = client.post(page, gateway_form(do="try", example=body)).content.decode()
    assert "+4930111222" in shown
    assert "&lt;b&gt;Hello&lt;/b&gt;" in shown
    assert "No sender stands where one is looked for." in shown
    assert "It is no JSON." in client.post(page, gateway_form(do="try", example="<m/>")).content.decode()
    wrong = client.post(page, gateway_form(do="try", example=body, set_sender_at="a..b"))
    assert wrong.status_code == 409
    assert "names no place that we can read" in wrong.content.decode()
    query = gateway_form(do="try", set_reads="query", example_query="https://us.example/hook?from=%2B4930111&text=Hi")
    assert "+4930111" in client.post(page, query).content.decode()
    assert not ChannelAccount.objects.exists()
    assert not RawItem.objects.exists()
    assert client.post(page, gateway_form(do="keep")).status_code == 302
    assert ChannelAccount.objects.get().settings["sender_at"] == "from"
    assert page_of(Role.AGENT).post(page, gateway_form(do="try", example=body)).status_code == 403
