"""What is Telegram's own: groups, files in two steps, refusals, and updates gathered by another program's tests."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine

from crm.channels import Channel, http
from crm.channels.provided.telegram import PROVIDER
from crm.channels.providers import Fetched, HttpAnswer, HttpRequest, Media, NotGiven, Outgoing, Post, Said
from crm.channels.sending import Outcome
from crm.models import AwaitedFile, Interaction, MessageChange, RawItem
from tests.conftest import NOON
from tests.crm.channels.provided import EXAMPLES, Sent, account_of, described, post
from tests.crm.channels.provided import telegram as told
from tests.crm.channels.serving import serving

EXAMPLE = EXAMPLES["telegram"]
ACCOUNT = described(EXAMPLE)
JSON = {"content-type": "application/json"}
FILE = Media("file-1", "photo.jpg", "image/jpeg")


def parsed(update: dict[str, Any], **settings: str) -> Any:
    account = replace(ACCOUNT, settings=settings)
    [event] = PROVIDER.parse(Post("POST", account.hook_url, "", {}, json.dumps(update).encode(), NOON), account)
    return event


def in_group(person: int) -> dict[str, Any]:
    message = told.message("Hi", sender=f"telegram:{person}", external_id="1")
    return {"update_id": 1, "message": {**message, "chat": {"id": -100200, "type": "supergroup", "title": "Us"}}}


def outgoing(address: str, **more: Any) -> dict[str, Any]:
    request = PROVIDER.compose(Outgoing("k" * 36, address, "We are on it.", NOON, **more), ACCOUNT)
    return json.loads(request.body)


def test_a_group_is_taken_only_where_a_setting_says_so_and_is_answered_there() -> None:
    assert type(parsed(in_group(1))).__name__ == "NotForUs"
    said = parsed(in_group(1), takes="groups")
    assert isinstance(said, Said)
    assert (said.message.channel, said.message.sender_address) == (Channel.SOCIAL_PUBLIC, "telegram:1/-100200")
    assert parsed(in_group(2), takes="all").message.sender_address != said.message.sender_address
    assert outgoing("telegram:1/-100200")["chat_id"] == -100200
    assert PROVIDER.trouble_with(replace(ACCOUNT, channel=Channel.SOCIAL_PUBLIC))
    assert PROVIDER.trouble_with(replace(ACCOUNT, own_id="@shop_bot"))


def test_a_channel_is_taken_only_where_a_setting_says_so() -> None:
    chat = {"id": -100300, "type": "channel", "title": "News"}
    update = {
        "update_id": 1,
        "channel_post": {"message_id": 5, "sender_chat": chat, "chat": chat, "date": 1, "text": "Hi"},
    }
    assert type(parsed(update, takes="groups")).__name__ == "NotForUs"
    assert parsed(update, takes="all").message.sender_address == "telegram:-100300/-100300"


def test_an_answer_stands_under_what_it_answers_and_goes_all_the_same_when_that_is_gone() -> None:
    assert outgoing("telegram:4711", in_reply_to="4711:12")["reply_parameters"] == {
        "message_id": 12,
        "allow_sending_without_reply": True,
    }
    assert "reply_parameters" not in outgoing("telegram:4711", in_reply_to="callback:9")
    with pytest.raises(NotGiven):
        outgoing("telegram:carla")
    limits = PROVIDER.limits(ACCOUNT)
    assert (limits.longest, limits.length("a😀"), limits.may_write_first) == (4096, 3, False)


@pytest.mark.parametrize(
    ("status", "about", "outcome"),
    [
        (403, {"description": "Forbidden: user is deactivated"}, Outcome.REFUSED),
        (403, {"description": "Forbidden: bot can't initiate conversation with a user"}, Outcome.REFUSED),
        (400, {"description": "Bad Request: chat not found"}, Outcome.REFUSED),
        (404, {"description": "Not Found"}, Outcome.UNREACHABLE),
        (502, {"description": "Bad Gateway"}, Outcome.UNKNOWN),
    ],
)
def test_what_a_refusal_means(status: int, about: dict[str, Any], outcome: Outcome) -> None:
    handed = PROVIDER.read_answer(HttpAnswer(status, JSON, json.dumps({"ok": False, **about}).encode()), ACCOUNT)
    assert handed.outcome == outcome


@pytest.mark.parametrize(("stated", "wait"), [(5, 5), (10**9, 86_400), ("5", 0), (None, 0), (-3, 0)])
def test_telegram_says_how_long_it_wants_to_be_left_alone(stated: Any, wait: int) -> None:
    body = json.dumps({"ok": False, "error_code": 429, "parameters": {"retry_after": stated}}).encode()
    handed = PROVIDER.read_answer(HttpAnswer(429, JSON, body), ACCOUNT)
    assert (handed.outcome, handed.wait) == (Outcome.TRY_LATER, timedelta(seconds=wait))


# --- files -----------------------------------------------------------------------------------------------------------


def answered(**result: Any) -> HttpAnswer:
    return HttpAnswer(200, JSON, json.dumps({"ok": True, "result": {"file_id": "file-1", **result}}).encode())


def test_a_file_is_had_in_two_steps() -> None:
    first = PROVIDER.media_request(FILE, ACCOUNT)
    assert json.loads(first.body) == {"file_id": "file-1"}
    second = PROVIDER.read_media(FILE, answered(file_size=9, file_path="photos/file_1.jpg"), ACCOUNT)
    assert isinstance(second, HttpRequest)
    assert second.url == f"https://api.telegram.org/file/bot{told.TOKEN}/photos/file_1.jpg"
    assert second.most == 20_000_000
    stream = HttpAnswer(
        200, {"content-type": "application/octet-stream"}, b'{"ok": true, "result": {"file_path": "x"}}'
    )
    assert PROVIDER.read_media(FILE, stream, ACCOUNT) == Fetched(stream.body, "image/jpeg")
    theirs = HttpAnswer(200, JSON, b'{"anything": 1}')
    assert PROVIDER.read_media(FILE, theirs, ACCOUNT) == Fetched(theirs.body, "image/jpeg")


@pytest.mark.parametrize(
    "path", ["", "../../getUpdates", "/etc/passwd", "a/../b", "x?y=1", "https://evil.example/x", "a\nb"]
)
def test_a_path_that_leads_elsewhere_is_not_followed_O01(path: str) -> None:
    with pytest.raises(NotGiven) as refusal:
        PROVIDER.read_media(FILE, answered(file_path=path), ACCOUNT)
    assert refusal.value.is_final


@pytest.mark.parametrize(
    ("answer", "is_final"),
    [
        (answered(file_size=20_000_001, file_path="videos/file_2.mp4"), True),
        (HttpAnswer(400, JSON, b'{"ok": false, "description": "Bad Request: file is too big"}'), True),
        (HttpAnswer(500, JSON, b'{"ok": false}'), False),
        (HttpAnswer(401, JSON, b'{"ok": false, "description": "Unauthorized"}'), False),
    ],
)
def test_a_file_that_cannot_be_had_is_said_so(answer: HttpAnswer, is_final: bool) -> None:
    with pytest.raises(NotGiven) as refusal:
        PROVIDER.read_media(FILE, answer, ACCOUNT)
    assert refusal.value.is_final == is_final
    assert told.TOKEN not in str(refusal.value)


def test_the_token_stands_in_no_error_and_no_log_O04(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    request = PROVIDER.media_request(FILE, ACCOUNT)
    assert told.TOKEN not in repr(request)
    caplog.set_level(logging.INFO)
    with serving() as server:
        settings.EVENHAND_OUTBOUND_HOSTS = [server.host]
        here = replace(request, url=request.url.replace("https://api.telegram.org", f"http://{server.host}"))
        server.answers = lambda _asked: None
        with pytest.raises(http.Broken) as trouble:
            http.send(here)
        assert told.TOKEN not in f"{trouble.value!r} {trouble.value}"
        server.answers = lambda _asked: (302, {"Location": "/x"}, b"")
        with pytest.raises(NotGiven) as refused:
            PROVIDER.read_media(FILE, http.send(here), ACCOUNT)
        assert told.TOKEN not in str(refused.value)
    assert told.TOKEN not in caplog.text
    assert logging.getLogger("urllib3").getEffectiveLevel() >= logging.INFO
    for token in ("", "not a token", f"{told.TOKEN}/../x"):
        with pytest.raises(NotGiven) as refusal:
            PROVIDER.media_request(FILE, replace(ACCOUNT, sending=token))
        assert not token or token not in str(refusal.value)


# --- through the door --------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_edit_changes_the_words_also_when_it_comes_first() -> None:
    account, sender = account_of(EXAMPLE), EXAMPLE.sender("carla")[1]
    given: dict[str, Any] = {"sender": sender, "secret": EXAMPLE.secret, "at": NOON}
    with time_machine.travel(NOON, tick=False):
        assert post(account, told.changed("1", "My parcel is wet.", **given)).status_code == 200
        assert post(account, told.said("My parcel is broken.", external_id="1", **given)).status_code == 200
        assert post(account, told.changed("1", "My parcel is wet.", **given)).status_code == 200
    assert Interaction.objects.get().text == "My parcel is wet."
    assert MessageChange.objects.get().text_before == "My parcel is broken."


@pytest.mark.django_db
def test_start_makes_no_matter() -> None:
    account = account_of(EXAMPLE)
    message = told.message("/start", sender="telegram:4711", external_id="1")
    with time_machine.travel(NOON, tick=False):
        assert post(account, told.updated("message", message, secret=EXAMPLE.secret)).status_code == 200
    assert not Interaction.objects.exists()
    assert (RawItem.objects.get().kind, RawItem.objects.get().state) == ("unknown_event", "done")


def lines(outside_data: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (outside_data / "webhooks/courier/telegram.jsonl").read_text().splitlines()]


@pytest.mark.django_db
@pytest.mark.parametrize("number", range(11))
def test_every_gathered_update_gives_what_it_states(number: int, outside_data: Path) -> None:
    line = lines(outside_data)[number]
    expect, account = line["expect"], account_of(EXAMPLE)
    headers = {"Content-Type": "application/json", "X-Telegram-Bot-Api-Secret-Token": EXAMPLE.secret}
    with time_machine.travel(NOON, tick=False):
        assert post(account, Sent(line["payload"].encode(), headers)).status_code == 200
    if expect["ExpectedBodyContains"] == "Ignoring":
        assert not Interaction.objects.exists()
        return
    said = Interaction.objects.get()
    if (
        "ExpectedURN" not in expect
    ):  # there the file could not be had; here it is fetched afterwards, or named as missing
        assert "sticker" in line["payload"]
        assert AwaitedFile.objects.get().reference in ("nook", "error", "nofile")
        return
    assert said.text == expect["ExpectedMsgText"]
    assert said.contact_point.address == expect["ExpectedURN"].partition("#")[0]
    assert said.external_id.rpartition(":")[2] == expect["ExpectedExternalID"]
    files = AwaitedFile.objects.count()
    for stated in expect.get("ExpectedAttachments", []):
        if stated.startswith("geo:"):
            assert stated in said.full_text
        else:
            files -= 1
    assert files == 0
    [event] = PROVIDER.parse(Post("POST", "", "", {}, line["payload"].encode(), NOON), ACCOUNT)
    assert isinstance(event, Said)
    assert event.message.spoke_at == datetime.fromisoformat(expect["ExpectedDate"])
    assert event.message.sender_name == expect["ExpectedContactName"]
