"""What Meta's three services have in common, and where they differ from what every provider is tried for."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import time_machine

from crm.actions import answers, channel_accounts, channel_hooks, desk, outgoing
from crm.channels import Channel, http
from crm.channels.graph import PUBLIC, moment, own_address
from crm.channels.provided import by_name
from crm.channels.providers import (
    Account,
    Fetched,
    Handed,
    HttpAnswer,
    HttpRequest,
    Media,
    NotGenuine,
    NotGiven,
    Outgoing,
    Post,
)
from crm.channels.sending import Outcome
from crm.models import Conversation, Interaction, OutgoingMessage, RawItem
from crm.policy import OutgoingState, OutOfOrder, WorkState
from tests.conftest import NOON
from tests.crm.channels import meta
from tests.crm.channels.provided import EXAMPLES, Example, Sent, account_of, described, post
from tests.crm.channels.provided import messenger as facebook
from tests.crm.channels.provided import whatsapp_cloud as whatsapp
from tests.crm.stories import colleague

NAMES = ("whatsapp_cloud", "messenger", "instagram")
all_three = pytest.mark.parametrize("example", [EXAMPLES[name] for name in NAMES], ids=NAMES)
KEY = "018f0000-0000-7000-8000-000000000001"


def asked(query: str, account: Account, method: str = "GET") -> Post:
    return Post(method, f"{account.hook_url}?{query}", query, {}, b"", NOON)


def marked(example: Example, mark: str, body: bytes = b"{}") -> Post:
    account = described(example)
    headers = {"x-hub-signature-256": mark} if mark else {}
    return Post("POST", account.hook_url, "", headers, body, NOON)


def written(example: Example, *, to: str, in_reply_to: str = "", **changes: Any) -> tuple[HttpRequest, dict[str, Any]]:
    account = replace(described(example), **changes)
    request = by_name(example.provider).compose(Outgoing(KEY, to, "We are on it. 😀", NOON, in_reply_to), account)
    return request, json.loads(request.body)


# --- believed or not --------------------------------------------------------------------------------------------------


@all_three
def test_the_challenge_comes_back_for_our_word_alone(example: Example) -> None:
    provider, account = by_name(example.provider), described(example)
    query = f"hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={meta.VERIFY}"
    answered = provider.handshake(asked(query, account), account)
    assert answered is not None
    assert (answered.body, answered.status, answered.content_type[:10]) == ("1158201444", 200, "text/plain")
    for other, code in (("hub.verify_token=guessed", "wrong"), ("hub.verify_token=", "missing"), ("", "missing")):
        with pytest.raises(NotGenuine) as refusal:
            provider.handshake(asked(f"hub.mode=subscribe&hub.challenge=1&{other}", account), account)
        assert refusal.value.code == code
    wordless = replace(account, settings={})
    with pytest.raises(NotGenuine):
        provider.handshake(asked("hub.mode=subscribe&hub.verify_token=", wordless), wordless)
    assert provider.handshake(asked("hub.challenge=1", account), account) is None
    assert provider.handshake(asked(query, account, "POST"), account) is None


@all_three
@pytest.mark.parametrize("mark", ["", "sha256=", "sha1=ab", "ab", "sha256=zz", "sha256=" + "0" * 64, "sha256=é"])
def test_no_other_mark_is_believed_H01(example: Example, mark: str) -> None:
    with pytest.raises(NotGenuine):
        by_name(example.provider).verify(marked(example, mark), described(example), at=NOON)


@all_three
def test_a_mark_that_came_twice_or_without_its_beginning_is_not_believed_H01(example: Example) -> None:
    provider, account = by_name(example.provider), described(example)
    mark = meta.signed_bytes(b"{}", secret=example.secret)[1]["X-Hub-Signature-256"]
    assert provider.verify(marked(example, mark), account, at=NOON).is_signed
    for other in (f"{mark},{mark}", mark.removeprefix("sha256="), mark.replace("sha256", "SHA256")):
        with pytest.raises(NotGenuine):
            provider.verify(marked(example, other), account, at=NOON)
    with pytest.raises(NotGenuine):
        provider.verify(marked(example, mark), replace(account, receiving=()), at=NOON)
    with pytest.raises(NotGenuine):
        provider.verify(marked(example, mark), replace(account, receiving=("",)), at=NOON)


@all_three
def test_what_is_signed_are_the_bytes_and_not_their_meaning_H01(example: Example) -> None:
    """Meta writes "ü" as \\u00fc and signs that; written anew it is another post."""
    provider, account = by_name(example.provider), described(example)
    sent = example.said("Grüße 😀", sender=example.sender("carla")[1], external_id="1", at=NOON, secret=example.secret)
    mark = sent.headers["X-Hub-Signature-256"]
    assert rb"\u00fc" in sent.body
    assert provider.verify(marked(example, mark, sent.body), account, at=NOON).is_signed
    anew = json.dumps(json.loads(sent.body), ensure_ascii=False, separators=(",", ":")).encode()
    with pytest.raises(NotGenuine):
        provider.verify(marked(example, mark, anew), account, at=NOON)


@all_three
@pytest.mark.parametrize(
    "told",
    [
        {"entry": 7}, {"entry": [7, None, {"changes": 7, "messaging": "x"}]}, {"entry": [{"id": {}, "time": []}]},
        {"entry": [{"changes": [{"field": 7, "value": []}], "messaging": [{"sender": 1, "recipient": [], "message": 7}]}]},
    ],
)  # fmt: skip
def test_what_is_not_as_documented_takes_nothing_with_it_H06(example: Example, told: dict[str, Any]) -> None:
    provider, account = by_name(example.provider), described(example)
    body = json.dumps({"object": provider.subject, **told}).encode()  # type: ignore[attr-defined]
    assert provider.parse(Post("POST", account.hook_url, "", {}, body, NOON), account)


@pytest.mark.parametrize(
    ("stated", "year"),
    [
        (1772452800, 2026), ("1772452800", 2026), (1772452800123, 2026), (0, None), (-5, None), (10**18, None), ("soon", None),
        ([], None),
    ],
)  # fmt: skip
def test_times_come_in_seconds_and_in_milliseconds(stated: Any, year: int | None) -> None:
    found = moment(stated)
    assert (found.year if found else None) == year


# --- set up -------------------------------------------------------------------------------------------------------------


@all_three
@pytest.mark.parametrize(
    ("changes", "is_well"),
    [
        ({}, True), ({"own_id": "@shop"}, False), ({"own_id": ""}, False), ({"own_id": "+4930555000"}, False),
        ({"settings": {"api_version": "v25.0"}}, True), ({"settings": {"api_version": "latest"}}, False),
        ({"settings": {"api_version": "v1.0/../me"}}, False),
    ],
)  # fmt: skip
def test_a_mistake_in_setting_up_is_named(example: Example, changes: dict[str, Any], is_well: bool) -> None:
    trouble = by_name(example.provider).trouble_with(replace(described(example), **changes))
    assert (not trouble) == is_well


# --- answers ------------------------------------------------------------------------------------------------------------


def test_an_answer_on_whatsapp_goes_to_a_number_or_to_an_id() -> None:
    request, told = written(whatsapp.EXAMPLE, to="+4930111222", in_reply_to="wamid.1")
    assert request.url == f"https://graph.facebook.com/v24.0/{whatsapp.NUMBER}/messages"
    assert request.headers["Authorization"] == f"Bearer {whatsapp.EXAMPLE.credential}"
    assert (told["to"], told["text"]["body"], told["biz_opaque_callback_data"]) == (
        "+4930111222",
        "We are on it. 😀",
        KEY,
    )
    assert written(whatsapp.EXAMPLE, to="whatsapp:DE.1349")[1]["recipient"] == "DE.1349"
    assert written(whatsapp.EXAMPLE, to="whatsapp:5678")[1]["to"] == "5678"
    with pytest.raises(NotGiven):
        written(whatsapp.EXAMPLE, to="facebook:5678")


@pytest.mark.parametrize(
    ("name", "host", "given"),
    [
        ("messenger", "https://graph.facebook.com/v24.0", {}),
        ("messenger", "https://graph.facebook.com/v26.0", {"api_version": "v26.0"}),
        ("instagram", "https://graph.facebook.com/v24.0", {"login": "facebook"}),
        ("instagram", "https://graph.instagram.com/v24.0", {"login": "instagram"}),
    ],
)
def test_an_answer_in_private_goes_to_the_host_and_version_of_the_account(
    name: str, host: str, given: dict[str, str]
) -> None:
    example = EXAMPLES[name]
    request, told = written(example, to=f"{by_name(name).network}:4711", in_reply_to="m_1", settings=given)  # type: ignore[attr-defined]
    assert request.url == f"{host}/me/messages"
    assert (told["recipient"], told["message"]["text"]) == ({"id": "4711"}, "We are on it. 😀")
    assert "tag" not in told
    assert told.get("messaging_type") != "MESSAGE_TAG"
    assert example.credential not in request.url
    with pytest.raises(NotGiven):
        written(example, to="+4930111222")


@pytest.mark.parametrize(("name", "under"), [("messenger", "comments"), ("instagram", "replies")])
def test_an_answer_to_a_comment_stands_below_it_R028(name: str, under: str) -> None:
    request, told = written(EXAMPLES[name], to="facebook:4711", in_reply_to="public:106_7")
    assert request.url.endswith(f"/v24.0/106_7/{under}")
    assert told == {"message": "We are on it. 😀"}
    for bad in ("public:", "public:../me/feed", "public:1?x=1", "public:m_1"):
        with pytest.raises(NotGiven):
            written(EXAMPLES[name], to="facebook:4711", in_reply_to=bad)
    handed = by_name(name).read_answer(HttpAnswer(200, {}, b'{"id": "106_8"}'), described(EXAMPLES[name]))
    assert (handed.outcome, handed.provider_id) == (Outcome.ACCEPTED, "106_8")


@pytest.mark.parametrize(
    ("name", "private", "counted", "public"),
    [("whatsapp_cloud", 4096, "utf16", 0), ("messenger", 2000, "utf16", 8000), ("instagram", 1000, "bytes", 2200)],
)
def test_what_may_be_said_where(name: str, private: int, counted: str, public: int) -> None:
    account = described(EXAMPLES[name])
    limits = by_name(name).limits(account)
    assert (limits.longest, limits.counted_in, limits.may_write_first) == (private, counted, False)
    assert limits.reply_within == timedelta(hours=24)
    if public:
        below = by_name(name).limits(replace(account, channel=Channel.SOCIAL_PUBLIC))
        assert (below.longest, below.reply_within) == (public, None)


@all_three
@pytest.mark.parametrize(
    ("status", "code", "subcode", "outcome"),
    [
        (400, 190, 463, Outcome.UNREACHABLE),  # the token has expired
        (403, 10, 0, Outcome.UNREACHABLE),  # a right is missing
        (403, 200, 0, Outcome.UNREACHABLE),
        (400, 368, 0, Outcome.UNREACHABLE),  # blocked for a while
        (403, 131031, 0, Outcome.UNREACHABLE),
        (400, 133010, 0, Outcome.UNREACHABLE),
        (403, 10, 2018278, Outcome.REFUSED),  # outside of the window
        (403, 200, 1545041, Outcome.REFUSED),  # somebody takes no messages
        (400, 100, 33, Outcome.REFUSED),  # there is no such comment
        (400, 551, 0, Outcome.REFUSED),
        (400, 131026, 0, Outcome.REFUSED),
        (400, 131047, 0, Outcome.REFUSED),
        (400, 4, 0, Outcome.TRY_LATER),
        (400, 613, 0, Outcome.TRY_LATER),
        (429, 130429, 0, Outcome.TRY_LATER),
        (400, 131056, 0, Outcome.TRY_LATER),
        (500, 1200, 0, Outcome.TRY_LATER),
        (500, 2, 0, Outcome.UNKNOWN),
        (400, 1, 99, Outcome.UNKNOWN),
        (500, 131000, 0, Outcome.UNKNOWN),
        (502, 9999, 0, Outcome.UNKNOWN),
    ],
)
def test_what_an_error_says_F33(example: Example, status: int, code: int, subcode: int, outcome: Outcome) -> None:
    error = {
        "message": "words of the message",
        "type": "OAuthException",
        "code": code,
        "error_subcode": subcode or None,
    }
    answer = HttpAnswer(status, {"retry-after": "30"}, json.dumps({"error": error}).encode())
    handed = by_name(example.provider).read_answer(answer, described(example))
    assert handed.outcome == outcome
    assert str(code) in handed.reason
    assert "words of the message" not in handed.reason


@all_three
def test_an_answer_of_something_in_between_is_read_by_its_status(example: Example) -> None:
    for status, body, outcome in (
        (502, b"<html>", Outcome.UNKNOWN),
        (404, b"[]", Outcome.REFUSED),
        (400, b'{"error": "no"}', Outcome.REFUSED),
        (200, b"ok", Outcome.ACCEPTED),
        (200, b"\xff", Outcome.ACCEPTED),
    ):
        handed: Handed = by_name(example.provider).read_answer(HttpAnswer(status, {}, body), described(example))
        assert handed.outcome == outcome


# --- files ----------------------------------------------------------------------------------------------------------------

ELSEWHERE = (
    "http://lookaside.fbsbx.com/x", "https://169.254.169.254/x", "https://fbcdn.net.evil.example/x", "https://evilfbcdn.net/x",
    "https://user@lookaside.fbsbx.com:8443/x", "https://[::1/x", "file:///etc/passwd", "",
)  # fmt: skip


def test_a_file_on_whatsapp_takes_two_steps_both_with_our_credential_H12_O01() -> None:
    provider, account = by_name("whatsapp_cloud"), described(whatsapp.EXAMPLE)
    media = Media("2754859441498128", declared_type="image/jpeg")
    first = provider.media_request(media, account)
    assert first.url == f"https://graph.facebook.com/v24.0/2754859441498128?phone_number_id={whatsapp.NUMBER}"
    where = {"url": "https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1", "id": "2754859441498128"}
    told = HttpAnswer(200, {"content-type": "application/json; charset=UTF-8"}, json.dumps(where).encode())
    second = provider.read_media(media, told, account)
    assert isinstance(second, HttpRequest)
    assert (second.url, second.headers["Authorization"]) == (where["url"], f"Bearer {whatsapp.EXAMPLE.credential}")
    got = provider.read_media(media, HttpAnswer(200, {"content-type": "image/jpeg"}, b"\xff\xd8"), account)
    assert isinstance(got, Fetched)
    for elsewhere in ELSEWHERE:
        astray = json.dumps({**where, "url": elsewhere or "x"}).encode()
        with pytest.raises(NotGiven) as refusal:
            provider.read_media(media, HttpAnswer(200, {"content-type": "application/json"}, astray), account)
        assert refusal.value.is_final
    with pytest.raises(NotGiven):
        provider.media_request(Media("../me?fields=x"), account)


def test_json_that_a_customer_sent_is_a_file_and_no_address() -> None:
    provider, account = by_name("whatsapp_cloud"), described(whatsapp.EXAMPLE)
    for body in (b'{"url": "https://lookaside.fbsbx.com/x", "id": "of something else"}', b"[1]", b"{"):
        got = provider.read_media(Media("2754"), HttpAnswer(200, {"content-type": "application/json"}, body), account)
        assert isinstance(got, Fetched)


@pytest.mark.parametrize("name", ["messenger", "instagram"])
def test_a_file_of_messenger_and_instagram_is_asked_for_without_our_credential_H12_O01(name: str) -> None:
    provider, account = by_name(name), described(EXAMPLES[name])
    media = Media("https://scontent.xx.fbcdn.net/v/photo.jpg?oh=1")
    assert provider.media_request(media, account).headers == {}
    moved = HttpAnswer(302, {"location": "https://scontent.cdninstagram.com/v/1.jpg"}, b"")
    assert provider.read_media(media, moved, account) == HttpRequest(
        "GET", "https://scontent.cdninstagram.com/v/1.jpg", most=25_000_000
    )
    for elsewhere in ELSEWHERE:
        with pytest.raises(NotGiven):
            provider.media_request(Media(elsewhere), account)
        with pytest.raises(NotGiven):
            provider.read_media(media, HttpAnswer(302, {"location": elsewhere}, b""), account)
    with pytest.raises(NotGiven):
        own_address("https://graph.facebook.com/me")


# --- through the door -------------------------------------------------------------------------------------------------------


@pytest.fixture
def _clock() -> Any:
    with time_machine.travel(NOON, tick=False):
        yield


def comment(words: str, *, verb: str = "add", number: int = 5) -> Sent:
    value = {
        "item": "comment", "verb": verb, "comment_id": f"{facebook.PAGE}1_{number}", "post_id": f"{facebook.PAGE}_1",
        "parent_id": f"{facebook.PAGE}_1", "created_time": int(NOON.timestamp()), "message": words,
        "from": {"id": facebook.person("carla")[1].removeprefix("facebook:"), "name": "Carla"},
    }  # fmt: skip
    entry = {"id": facebook.PAGE, "time": int(NOON.timestamp()), "changes": [{"field": "feed", "value": value}]}
    return Sent(*meta.signed({"object": "page", "entry": [entry]}, secret=facebook.EXAMPLE.secret))


@pytest.mark.django_db
@pytest.mark.usefixtures("_clock")
def test_a_comment_is_answered_below_it_at_any_time_and_a_message_in_private_within_a_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account = account_of(facebook.EXAMPLE, is_sandbox=False)
    gone: list[HttpRequest] = []

    def taken(request: HttpRequest) -> HttpAnswer:
        gone.append(request)
        return HttpAnswer(200, {}, b'{"id": "106_8"}')

    monkeypatch.setattr(http, "send", taken)
    assert post(account, comment("Never arrived!")).status_code == 200
    said = Interaction.objects.get()
    assert (said.channel, said.external_id) == (Channel.SOCIAL_PUBLIC, f"{PUBLIC}{facebook.PAGE}1_5")
    later = NOON + timedelta(days=3)
    with time_machine.travel(later, tick=False):
        message = desk.answer(
            said.conversation_id,
            text="We send a new one.",
            by=colleague(),
            at=later,
            out_of_order=OutOfOrder.KNOWS_IT,
            public=True,
        )
        assert message.channel == Channel.SOCIAL_PUBLIC
        assert outgoing.send_batch(at=later)
    message.refresh_from_db()
    assert (message.state, message.provider_id) == (OutgoingState.ACCEPTED, "106_8")
    assert [request.url for request in gone] == [f"https://graph.facebook.com/v24.0/{facebook.PAGE}1_5/comments"]
    private = facebook.EXAMPLE.said(
        "And my lamp?", sender=facebook.person("dan")[1], external_id="1", at=NOON, secret=facebook.EXAMPLE.secret
    )
    assert post(account, private).status_code == 200
    with time_machine.travel(NOON + timedelta(hours=25), tick=False), pytest.raises(answers.WindowClosed):
        desk.answer(
            Conversation.objects.latest("pk").pk,
            text="It is on its way.",
            by=colleague(),
            at=NOON + timedelta(hours=25),
            out_of_order=OutOfOrder.KNOWS_IT,
        )
    assert OutgoingMessage.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.usefixtures("_clock")
def test_a_comment_that_was_taken_back_has_no_words_any_more() -> None:
    account = account_of(facebook.EXAMPLE)
    for verb, words in (("add", "Secret words"), ("edited", "Other secret words"), ("remove", "")):
        assert post(account, comment(words, verb=verb)).status_code == 200
    said = Interaction.objects.get()
    assert (said.text, said.withdrawn_at) == ("", NOON)
    assert not [raw for raw in RawItem.objects.all() if b"ecret words" in bytes(raw.content)]


@pytest.mark.django_db
@pytest.mark.usefixtures("_clock")
@all_three
def test_words_are_changed_and_taken_back_in_private_too(example: Example) -> None:
    account = account_of(example)
    about = {"at": NOON, "secret": example.secret}
    said = example.said("Secret one", sender=example.sender("carla")[1], external_id="1", **about)
    assert example.changed is not None
    assert example.deleted is not None
    for sent in (example.changed("1", "Secret two", **about), said):
        assert post(account, sent).status_code == 200
    assert Interaction.objects.get().text == "Secret two"
    assert post(account, example.deleted("1", **about)).status_code == 200
    assert Interaction.objects.get().text == ""
    assert not [raw for raw in RawItem.objects.all() if b"Secret" in bytes(raw.content)]


@pytest.mark.django_db
@pytest.mark.usefixtures("_clock")
def test_a_sender_without_an_id_is_kept_for_a_person_and_takes_nobody_with_them_F24_H06() -> None:
    account = account_of(whatsapp.EXAMPLE)
    told = whatsapp.message("+4930111222", "wamid.1", NOON, "text", text={"body": "Hello"})
    told["entry"][0]["changes"][0]["value"]["messages"].insert(
        0, {"id": "wamid.0", "type": "text", "text": {"body": "Hi"}}
    )
    assert post(account, Sent(*meta.signed(told, secret=whatsapp.EXAMPLE.secret))).status_code == 200
    assert Interaction.objects.get().external_id == "wamid.1"
    raw = RawItem.objects.get()
    assert (raw.state, raw.reason.partition(":")[0]) == (WorkState.PARKED, "unusable_address")


@pytest.mark.django_db
@pytest.mark.usefixtures("_clock")
def test_a_hundred_messages_in_one_post_are_kept_at_once_and_all_taken_in() -> None:
    account = account_of(whatsapp.EXAMPLE)
    entries = [
        whatsapp.message(f"+493011{number:04}", f"wamid.{number}", NOON, "text", text={"body": "Hello"})["entry"][0]
        for number in range(100)
    ]
    sent = Sent(*meta.signed({"object": "whatsapp_business_account", "entry": entries}, secret=whatsapp.EXAMPLE.secret))
    assert post(account, sent).status_code == 200
    assert channel_hooks.apply_batch(at=NOON) == 0  # nothing waits for the lane
    assert Interaction.objects.count() == 100


@pytest.mark.django_db
@pytest.mark.usefixtures("_clock")
@all_three
def test_what_a_colleague_wrote_elsewhere_is_nothing_a_customer_said(example: Example) -> None:
    account = account_of(example)
    if example is whatsapp.EXAMPLE:
        told = whatsapp.value(
            NOON, message_echoes=[{"to": "4930111222", "id": "wamid.9", "type": "text", "text": {"body": "Hi"}}]
        )
        told["entry"][0]["changes"][0]["field"] = "smb_message_echoes"
    else:
        subject = by_name(example.provider).subject  # type: ignore[attr-defined]
        told = meta.private(
            subject, "4711", example.own_id, NOON, message={"mid": "m_9", "is_echo": True, "text": "Hi"}
        )
    assert post(account, Sent(*meta.signed(told, secret=example.secret))).status_code == 200
    assert not Interaction.objects.exists()
    assert RawItem.objects.get().kind == "echo"
    assert channel_accounts.described(account).own_id == example.own_id
