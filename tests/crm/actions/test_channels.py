"""Accounts at providers: set up, answered through; what they keep for us is fetched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine

from crm.actions import (
    answers,
    channel_accounts,
    channel_files,
    desk,
    outgoing,
)
from crm.admin import composer
from crm.channels import Channel, provided
from crm.channels.providers import Post
from crm.models import Attachment, ChannelAccount, Conversation, Interaction, OutgoingMessage
from crm.policy import OutgoingState
from tests.conftest import NOON
from tests.crm.channels.provided import EXAMPLES, NEWER, account_of, say
from tests.crm.channels.provided import standard_webhooks as generic
from tests.crm.channels.serving import Server, serving
from tests.crm.stories import colleague

pytestmark = pytest.mark.django_db
GENERIC, TWILIO = EXAMPLES["standard_webhooks"], EXAMPLES["twilio_sms"]


@pytest.fixture(autouse=True)
def _clock() -> Any:
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.fixture
def server(settings: Any) -> Iterator[Server]:
    with serving() as found:
        settings.EVENHAND_OUTBOUND_HOSTS = frozenset({found.host})
        yield found


def live(server: Server, **changes: Any) -> ChannelAccount:
    where = {"answer_url": f"http://{server.host}/answers", "longest": "100"}
    return account_of(GENERIC, **{"is_sandbox": False, "settings": where, **changes})


def answer(account: ChannelAccount, text: str = "We send a new one.") -> OutgoingMessage:
    say(account, GENERIC, "My parcel is broken.")
    conversation = Conversation.objects.latest("pk")
    return desk.answer(conversation.pk, text=text, by=colleague(), at=NOON)


# --- set up -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"provider": "pigeons"}, {"channel": Channel.PHONE}, {"name": " "}, {"settings": {}}, {"settings": {"account_sid": "XX"}},
        {"secret_from": ""}, {"secret_from": "PATH"}, {"secret_from": "/etc/passwd"}, {"secret_from": "EVENHAND_CHANNEL_NONE"},
        {"name": "a\nb"}, {"name": "x" * 81}, {"channel": Channel.CHAT}, {"settings": {"account_sid": "AC\x00"}},
    ],
)  # fmt: skip
def test_an_account_that_cannot_work_is_refused_in_words(changes: dict[str, Any]) -> None:
    account_of(TWILIO, own_id="+491")  # puts the secrets where they are read
    with pytest.raises(channel_accounts.UnusableAccount) as refusal:
        account_of(TWILIO, **changes)
    assert str(refusal.value).endswith(".")
    assert ChannelAccount.objects.count() == 1


def test_the_same_number_is_set_up_once() -> None:
    account_of(TWILIO)
    with pytest.raises(channel_accounts.AccountKnown):
        account_of(TWILIO, name="Again")


def test_a_secret_that_went_away_believes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    account = account_of(GENERIC, other_secret_from="")
    monkeypatch.delenv(NEWER)
    assert say(account, GENERIC, "Hello").status_code == 401


# --- the way back -----------------------------------------------------------------------------------------------------


def test_an_answer_leaves_as_one_signed_request_and_keeps_the_promise(server: Server) -> None:
    account = live(server)
    server.answers = lambda _asked: (200, {}, b'{"id": "their-1"}')
    message = answer(account)
    assert outgoing.send_batch(at=NOON) == 1
    message.refresh_from_db()
    assert (message.state, message.provider_id, message.reason) == (OutgoingState.ACCEPTED, "their-1", "")
    [asked] = server.asked
    told = json.loads(asked.body)
    said = Interaction.objects.get(direction="in")
    assert told["data"] == {
        "id": str(message.public_id),
        "from": account.own_id,
        "to": "chat:carla",
        "text": "We send a new one.",
        "in_reply_to": said.external_id,
    }
    assert provided.by_name("standard_webhooks").verify(
        Post("POST", "", "", asked.headers, asked.body, NOON), channel_accounts.described(account), at=NOON
    )
    account.refresh_from_db()
    assert (account.last_sent_at, account.error) == (NOON, "")


def test_a_sandbox_sends_nothing_outside_and_says_so(server: Server) -> None:
    account = account_of(GENERIC, settings={"answer_url": f"http://{server.host}/answers"})
    message = answer(account)
    assert outgoing.send_batch(at=NOON) == 1
    message.refresh_from_db()
    assert (message.state, message.reason) == (OutgoingState.ACCEPTED, "accepted in sandbox: nothing left")
    assert not server.asked


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (422, OutgoingState.REFUSED), (429, OutgoingState.READY), (500, OutgoingState.READY), (401, OutgoingState.READY),
        (None, OutgoingState.READY),
    ],
)  # fmt: skip
def test_what_came_of_it_is_told_as_it_is_F33_O03(server: Server, status: int | None, state: OutgoingState) -> None:
    account = live(server)
    server.answers = lambda _asked: None if status is None else (status, {"Retry-After": "7"}, b"no")
    message = answer(account)
    outgoing.send_batch(at=NOON)
    message.refresh_from_db()
    assert message.state == state
    assert message.unknown_outcomes == (1 if status in (500, None) else 0)
    assert message.accepted_at is None
    account.refresh_from_db()
    assert account.error
    assert "whsec" not in account.error


def test_a_dead_account_keeps_its_own_messages_waiting_and_no_others_O03(server: Server, settings: Any) -> None:
    dead = live(server, own_id="dead")
    well = live(server, own_id="well", settings={"answer_url": f"http://{server.host}/well"})
    settings.EVENHAND_OUTBOUND_HOSTS = frozenset()
    first = answer(dead)
    assert outgoing.send_batch(at=NOON) == 0  # nothing is gained by going round again at once
    settings.EVENHAND_OUTBOUND_HOSTS = frozenset({server.host})
    say(well, GENERIC, "Hello", by="dan")
    conversation = Conversation.objects.latest("pk")
    from crm.policy import OutOfOrder

    second = desk.answer(conversation.pk, text="Good day.", by=colleague(), at=NOON, out_of_order=OutOfOrder.KNOWS_IT)
    outgoing.send_batch(at=NOON)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, first.failures) == (OutgoingState.READY, 0)
    assert second.state == OutgoingState.ACCEPTED


def test_an_account_that_is_switched_off_holds_what_would_leave(server: Server) -> None:
    account = live(server)
    message = answer(account)
    channel_accounts.switch(account.pk, on=False, by=None, at=NOON)
    outgoing.send_batch(at=NOON)
    message.refresh_from_db()
    assert (message.state, message.reason) == (OutgoingState.HELD, "account_off")
    assert not server.asked


def test_a_longer_answer_than_the_channel_takes_is_refused_with_both_numbers(server: Server) -> None:
    account = live(server)
    with pytest.raises(answers.TooLong, match=r"100 characters; your answer has 101") as refusal:
        answer(account, "x" * 101)
    assert refusal.value.code == "answer_too_long"
    assert not OutgoingMessage.objects.exists()
    assert answer(account, "x" * 100)


def whatsapp() -> ChannelAccount:
    return account_of(TWILIO, channel=Channel.CHAT, own_id="whatsapp:+4930555000")


def write_by_whatsapp(account: ChannelAccount) -> Conversation:
    fields = {"From": "whatsapp:+4930111222", "To": account.own_id}
    assert say(account, TWILIO, "My parcel is broken.", fields=fields).status_code == 200
    return Conversation.objects.latest("pk")


def test_after_the_window_an_answer_is_refused_or_goes_by_mail() -> None:
    account = whatsapp()
    conversation = write_by_whatsapp(account)
    late = NOON + timedelta(hours=24)
    with pytest.raises(answers.WindowClosed) as refusal:
        desk.answer(conversation.pk, text="Hello", by=colleague(), at=late)
    assert refusal.value.code == "reply_window_closed"
    before = NOON + timedelta(hours=23, minutes=59)
    assert desk.answer(conversation.pk, text="Hello", by=colleague(), at=before).account == account
    conversation.customer.contact_points.create(kind="email", address="carla@home.example", created_at=NOON)
    message = desk.answer(conversation.pk, text="Hello", by=colleague(), at=late)
    assert (message.channel, message.address, message.account) == (Channel.EMAIL, "carla@home.example", None)


def test_the_way_and_its_limits_are_said_before_anybody_types_X24() -> None:
    conversation = write_by_whatsapp(whatsapp())
    heard = list(Interaction.objects.filter(conversation=conversation).select_related("contact_point"))
    _way, said = composer.way(heard, (), at=NOON)
    assert "+4930111222" in said
    assert "1600 characters" in said.replace(",", "")
    assert "must leave before Tue 3 Mar" in said
    assert "sandbox" in said
    assert "24 hours" in composer.way(heard, (), at=NOON + timedelta(days=2))[1]


def test_a_customer_on_two_channels_is_answered_where_they_wrote_last(server: Server) -> None:
    account = account_of(TWILIO)
    say(account, TWILIO, "By text")
    conversation = Conversation.objects.latest("pk")
    from crm.actions import intake
    from tests.crm.stories import message as mail

    with time_machine.travel(NOON + timedelta(minutes=1), tick=False):
        given = mail("By mail", sender_address="carla@home.example", spoke_at=NOON + timedelta(minutes=1))
        intake.receive(given, at=NOON + timedelta(minutes=1), origin="test", conversation=conversation)
        sent = desk.answer(conversation.pk, text="Hello", by=colleague(), at=NOON + timedelta(minutes=1))
    assert sent.channel == Channel.EMAIL


# --- files ------------------------------------------------------------------------------------------------------------

PICTURE = b"\xff\xd8\xff\xe0" + b"\x00" * 100


def with_file(server: Server, path: str = "/photo.jpg", **more: Any) -> Attachment:
    account = live(server)
    told = generic.created(
        "",
        sender="chat:carla",
        external_id="1",
        files=[{"url": f"http://{server.host}{path}", "name": "photo.jpg", "type": "image/jpeg"}],
    )
    from tests.crm.channels.provided import post

    assert post(account, generic.signed(told, secret=generic.SECRET, at=NOON)).status_code == 200
    assert not server.asked  # nothing is fetched while the provider waits
    return Attachment.objects.get()


def test_a_file_is_fetched_afterwards_and_judged_as_files_of_mails_are(server: Server) -> None:
    found = with_file(server)
    assert found.state == "fetching"
    server.answers = lambda _asked: (200, {"Content-Type": "image/jpeg"}, PICTURE)
    assert channel_files.fetch_batch(at=NOON) == 1
    found.refresh_from_db()
    assert (found.state, found.size, found.content_type, found.name) == (
        "stored",
        len(PICTURE),
        "image/jpeg",
        "photo.jpg",
    )
    assert found.file.read() == PICTURE
    assert channel_files.fetch_batch(at=NOON) == 0


def test_a_page_that_says_it_is_a_picture_is_kept_apart_M21(server: Server) -> None:
    found = with_file(server)
    server.answers = lambda _asked: (200, {"Content-Type": "image/jpeg"}, b"<html><script>alert(1)</script>")
    channel_files.fetch_batch(at=NOON)
    found.refresh_from_db()
    assert found.state == "quarantined"
    assert found.reason


def test_a_file_that_is_not_there_is_named_with_the_reason_M22(server: Server) -> None:
    found = with_file(server)
    server.answers = lambda _asked: (404, {}, b"")
    channel_files.fetch_batch(at=NOON)
    found.refresh_from_db()
    assert found.state == "refused"
    assert "404" in found.reason


def test_a_provider_that_stumbles_is_asked_for_the_file_again(server: Server) -> None:
    found = with_file(server)
    server.answers = lambda _asked: (500, {}, b"")
    assert channel_files.fetch_batch(at=NOON) == 1
    assert channel_files.fetch_batch(at=NOON) == 0
    server.answers = lambda _asked: (200, {"Content-Type": "image/jpeg"}, PICTURE)
    assert channel_files.fetch_batch(at=NOON + timedelta(hours=1)) == 1
    found.refresh_from_db()
    assert found.state == "stored"


def test_a_file_inside_the_house_is_not_fetched_H12_O01(server: Server, settings: Any) -> None:
    found = with_file(server)
    settings.EVENHAND_OUTBOUND_HOSTS = frozenset()
    channel_files.fetch_batch(at=NOON)
    found.refresh_from_db()
    assert found.state == "refused"
    assert not server.asked
