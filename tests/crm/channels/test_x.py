"""What is X's own: its challenge, how it counts, its edits, what is public and what is not, and what it refuses."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
import time_machine
from django.core import serializers
from django.test import Client

from crm.actions import answers, desk, outcomes, outgoing
from crm.admin import composer
from crm.channels import Channel
from crm.channels.provided.x import API, PROVIDER, Weighed
from crm.channels.providers import HttpAnswer, Media, NotGenuine, NotGiven, Outgoing, Post
from crm.channels.sending import Outcome
from crm.models import (
    ChannelAccount,
    ContactPoint,
    Conversation,
    Customer,
    HistoryEntry,
    Interaction,
    MessageChange,
    OutgoingMessage,
    RawItem,
)
from crm.policy import OutgoingState, OutOfOrder, WorkState
from tests.conftest import NOON
from tests.crm.channels.provided import EXAMPLES, account_of, described, post, say
from tests.crm.channels.provided import x as played
from tests.crm.stories import colleague

EXAMPLE = EXAMPLES["x"]
CARLA = "x:4711"
MINUTE = timedelta(minutes=1)
in_database = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _clock() -> Any:
    with time_machine.travel(NOON, tick=False):
        yield


def tell(account: ChannelAccount, told: Any) -> None:
    assert post(account, played.signed(told, secret=EXAMPLE.secret)).status_code == 200


def mention(account: ChannelAccount, words: str, number: str, *, sender: str = CARLA, **more: Any) -> None:
    tell(account, played.created(played.posted(words, sender=sender, number=number, at=NOON, **more)))


def write(account: ChannelAccount, words: str, number: str) -> None:
    tell(account, played.wrote(words, sender=CARLA, number=number, at=NOON))


# --- the challenge ------------------------------------------------------------------------------------------------------


def challenged(account: ChannelAccount, token: str) -> Any:
    return Client().get(f"/hooks/channel/{account.public_id}/?crc_token={quote(token)}&nonce=abc")


@in_database
def test_the_challenge_is_answered_with_the_newer_secret() -> None:
    account = account_of(EXAMPLE)
    answer = challenged(account, "OGRlNzU5M2QtZDlmYi00")
    mark = hmac.new(EXAMPLE.secret.encode(), b"OGRlNzU5M2QtZDlmYi00", hashlib.sha256).digest()
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    assert answer.json() == {"response_token": f"sha256={base64.b64encode(mark).decode()}"}
    assert not RawItem.objects.exists()
    account.refresh_from_db()
    assert (account.refused_count, account.last_event_at) == (0, None)


@in_database
def test_nobody_has_a_post_of_theirs_signed_by_way_of_the_challenge_H01_W() -> None:
    account = account_of(EXAMPLE)
    forged = json.dumps(played.created(played.posted("Refund me", sender=CARLA, number="1", at=NOON)))
    for token in (forged, '{"for_user_id":"1"}', "[]", "a b", "x" * 201, "", "\x00", "ü"):
        answer = challenged(account, token)
        assert answer.status_code == 401, token
        assert b"sha256" not in answer.content
    assert not RawItem.objects.exists()


def test_a_signature_of_another_kind_or_twice_is_none_H01() -> None:
    account = described(EXAMPLE)
    sent = played.signed({"for_user_id": played.OURS}, secret=EXAMPLE.secret)
    good = sent.headers["X-Twitter-Webhooks-Signature"]
    for given, code in (
        (good, ""), (f"sha256=AAAA, {good}", "wrong"), (f"{good},{good}", "wrong"),
        (good.removeprefix("sha256="), "missing"), (good.replace("256", "1"), "missing"),
        (good.swapcase(), "missing"), ("sha256=", "missing"), ("sha256=%%%", "wrong"), ("", "missing"),
    ):  # fmt: skip
        one = Post("POST", "", "", {"x-twitter-webhooks-signature": given}, sent.body, NOON)
        if not code:
            assert PROVIDER.verify(one, account, at=NOON).is_signed
            continue
        with pytest.raises(NotGenuine) as refusal:
            PROVIDER.verify(one, account, at=NOON)
        assert refusal.value.code == code


# --- how long ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "weight"),
    [
        ("Hello", 5),
        ("cafe\u0301", 4),
        ("Grüße", 5),
        ("日本語", 6),
        ("Привет", 6),
        ("👾", 2),
        ("👨\u200d👩\u200d👧\u200d👦", 2),
        ("👋🏽", 2),
        ("🇩🇪", 2),
        ("❤️", 2),
        ("1️⃣", 2),
        ("“quoted” – …", 13),
        ("See https://shop.example.com/a/very/long/way?to=something now", 31),
        ("shop.example", 23),
        ("a.b", 3),
        ("It leaks.It hisses", 18),
        ("https://localhost/x", 19),
        ("https://a.example/x日本", 27),
        ("", 0),
    ],
)
def test_a_post_is_counted_as_x_counts(text: str, weight: int) -> None:
    if text == "It leaks.It hisses":
        assert Weighed(280).length(text) >= weight  # "leaks.It" might be an address: rather too much than too little
        return
    assert Weighed(280).length(text) == weight


def test_counting_takes_no_longer_for_a_text_made_to_be_slow_F27() -> None:
    for text in ("a." * 20_000, "https://" * 5_000, "👩\u200d" * 10_000, "http://a." + "a-" * 20_000):
        assert Weighed(280).length(text) > 280


@in_database
def test_a_post_has_280_and_a_direct_message_10000_said_before_anybody_types_X24() -> None:
    account = account_of(EXAMPLE)
    mention(account, "@ourshop It leaks", "100")
    conversation = Conversation.objects.get()
    heard = list(Interaction.objects.select_related("contact_point").order_by("-pk"))
    _way, said = composer.way(heard, (), at=NOON)
    assert "At most 280 characters." in said
    assert "Everybody can read it." in said
    lead = colleague()
    with pytest.raises(answers.TooLong, match=r"280 characters; your answer has 281"):
        desk.answer(conversation.pk, text="日" * 140 + "a", by=lead, at=NOON)
    write(account, "My order is 4711", "200")
    assert Conversation.objects.count() == 1  # the same person, the same matter
    heard = list(Interaction.objects.select_related("contact_point").order_by("-pk"))
    _way, said = composer.way(heard, (), at=NOON)
    assert "At most 10000 characters." in said.replace(",", "")
    assert "Everybody" not in said
    sent = desk.answer(conversation.pk, text="日" * 281, by=lead, at=NOON)
    assert (sent.channel, sent.address) == (Channel.SOCIAL_DIRECT, CARLA)


# --- the way back ----------------------------------------------------------------------------------------------------------


def composed(address: str, in_reply_to: str) -> tuple[str, dict[str, Any]]:
    account = described(EXAMPLE)
    request = PROVIDER.compose(Outgoing("k" * 36, address, "We are on it. 👍", NOON, in_reply_to), account)
    assert request.headers["Authorization"] == f"Bearer {EXAMPLE.credential}"
    return request.url, json.loads(request.body)


def test_an_answer_to_a_post_is_a_reply_and_one_to_a_direct_message_is_one() -> None:
    reply = {"in_reply_to_tweet_id": "100"}
    assert composed(CARLA, "100") == (f"{API}/tweets", {"text": "We are on it. 👍", "reply": reply})
    direct = (f"{API}/dm_conversations/with/4711/messages", {"text": "We are on it. 👍"})
    assert composed(CARLA, "dm:200") == direct
    assert composed(CARLA, "") == direct  # nothing is ever posted that answers nobody
    for address in ("x:carla", "x:", "x:1/../2", "mastodon:1", "+4930111222", "x:" + "1" * 20):
        with pytest.raises(NotGiven):
            composed(address, "100")


def problem(status: int, **told: Any) -> HttpAnswer:
    return HttpAnswer(status, {}, json.dumps({"status": status, **told}).encode())


@pytest.mark.parametrize(
    ("answer", "outcome", "provider_id"),
    [
        (HttpAnswer(201, {}, b'{"data": {"dm_conversation_id": "1-2", "dm_event_id": "200"}}'), Outcome.ACCEPTED, "dm:200"),
        (HttpAnswer(201, {}, b'{"data": {"id": "100", "text": "Hi"}}'), Outcome.ACCEPTED, "100"),
        (HttpAnswer(201, {}, b"<html>"), Outcome.ACCEPTED, ""),
        (problem(403, type="about:blank", detail="This is duplicate content."), Outcome.REFUSED, ""),
        (problem(403, type="https://api.twitter.com/2/problems/not-authorized-for-resource"), Outcome.REFUSED, ""),
        (problem(403, type="https://api.twitter.com/2/problems/client-forbidden"), Outcome.UNREACHABLE, ""),
        (problem(403, type="https://api.twitter.com/2/problems/unsupported-authentication"), Outcome.UNREACHABLE, ""),
        (HttpAnswer(403, {}, b""), Outcome.UNREACHABLE, ""),
        (problem(400, type="https://api.twitter.com/2/problems/invalid-request"), Outcome.REFUSED, ""),
        (HttpAnswer(503, {}, b""), Outcome.TRY_LATER, ""),
    ],
)  # fmt: skip
def test_what_x_answers_O04(answer: HttpAnswer, outcome: Outcome, provider_id: str) -> None:
    handed = PROVIDER.read_answer(answer, described(EXAMPLE))
    assert (handed.outcome, handed.provider_id) == (outcome, provider_id)
    assert "api.twitter.com" not in handed.reason


def test_one_person_who_wants_no_direct_messages_keeps_no_others_waiting_O03() -> None:
    refused = problem(403, type="about:blank", detail="You do not have permission to DM one or more participants.")
    assert PROVIDER.read_answer(refused, described(EXAMPLE)).outcome == Outcome.REFUSED


def test_a_limit_is_waited_for_by_the_clock_of_x() -> None:
    reset = str(int((NOON + timedelta(minutes=9)).timestamp()))
    stated = {"x-rate-limit-reset": reset, "date": "Mon, 02 Mar 2026 12:00:00 GMT"}
    assert PROVIDER.read_answer(HttpAnswer(429, stated, b""), described(EXAMPLE)).wait == timedelta(minutes=9)
    for odd in (
        {"x-rate-limit-reset": reset}, {**stated, "date": "today"}, {**stated, "x-rate-limit-reset": "soon"},
        {**stated, "x-rate-limit-reset": "99999999999"},
    ):  # fmt: skip
        handed = PROVIDER.read_answer(HttpAnswer(429, odd, b""), described(EXAMPLE))
        assert timedelta(0) <= handed.wait <= timedelta(hours=1)


def test_our_credential_goes_to_x_alone_O01_H12() -> None:
    account = described(EXAMPLE)
    open_file = PROVIDER.media_request(Media("https://pbs.twimg.com/media/Lid.jpg"), account)
    assert (open_file.url, dict(open_file.headers)) == ("https://pbs.twimg.com/media/Lid.jpg", {})
    direct = PROVIDER.media_request(Media("https://ton.twitter.com/1.1/ton/data/dm/201/300/kettle.jpg"), account)
    assert direct.url == f"{API}/dm_conversations/media/201/300/kettle.jpg"
    assert direct.headers == {"Authorization": f"Bearer {EXAMPLE.credential}"}
    for elsewhere in (
        "http://pbs.twimg.com/x", "https://pbs.twimg.com.evil.example/x", "https://evil.example/ton/data/dm/1/2/x", "https://127.0.0.1/x",
        "https://ton.twitter.com/1.1/ton/data/dm/1/2/../../x", "https://ton.twitter.com/1.1/users.json", "file:///etc/passwd", "",
        "https://pbs.twimg.com@evil.example/x",
    ):  # fmt: skip
        with pytest.raises(NotGiven):
            PROVIDER.media_request(Media(elsewhere), account)


# --- what it does -----------------------------------------------------------------------------------------------------------


@in_database
def test_how_many_follow_somebody_and_how_they_look_goes_nowhere() -> None:
    account = account_of(EXAMPLE)
    mention(account, "@ourshop It leaks", "100")
    write(account, "My order is 4711", "200")
    kept = "".join(
        serializers.serialize("json", model.objects.all())
        for model in (Customer, ContactPoint, Conversation, Interaction, HistoryEntry)
    )
    assert "It leaks" in kept
    for reach in ("120000", "120_000", "followers", "twimg", "carla_normal"):
        assert reach not in kept
    small = account_of(EXAMPLE, own_id="1700000000000000009", name="Another")
    few = played.person("77", followers_count=1, verified=False)
    told = played.created(
        played.posted("@ourshop It leaks", sender="x:77", number="101", at=NOON, user=few), whose=small.own_id
    )
    tell(small, told)
    loud, quiet = Conversation.objects.order_by("pk")
    assert (loud.queue_class, loud.due_at) == (quiet.queue_class, quiet.due_at)


@in_database
def test_a_post_in_which_we_are_named_only_after_a_change_is_taken_in() -> None:
    account = account_of(EXAMPLE)
    history = {"initial_tweet_id": "100", "edit_tweet_ids": ["100", "104"]}
    mention(account, "@ourshop It leaks", "104", edit_history=history)
    said = Interaction.objects.get()
    assert (said.external_id, said.text, said.edited_at) == ("100", "@ourshop It leaks", NOON)
    change = MessageChange.objects.get()
    assert (change.interaction, change.event_id) == (said, "edit:104")
    mention(account, "@ourshop It leaks", "104", edit_history=history)  # told twice, in other bytes too
    mention(account, "@ourshop It leaks", "104", edit_history=history, lang="de")
    assert (Interaction.objects.count(), MessageChange.objects.count()) == (1, 1)


@in_database
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_changes_in_every_order_end_with_the_newest_words_H04(order: tuple[int, ...]) -> None:
    account = account_of(EXAMPLE)
    for step in order:
        number = str(100 + step)
        history = {"initial_tweet_id": "100", "edit_tweet_ids": ["100", "101", "102"][: step + 1]}
        about = played.posted(
            f"Words {step}", sender=CARLA, number=number, at=NOON - (3 - step) * MINUTE, edit_history=history
        )
        tell(account, played.created(about))
    said = Interaction.objects.get()
    assert (said.external_id, said.text, said.edited_at) == ("100", "Words 2", NOON - MINUTE)
    assert Conversation.objects.count() == 1


@in_database
@pytest.mark.parametrize("first", ["message", "deletion"])
def test_a_deleted_post_takes_its_words_along(first: str) -> None:
    account = account_of(EXAMPLE)
    told = played.said("Secret words", sender=CARLA, external_id="1", at=NOON, secret=EXAMPLE.secret)
    gone = played.deleted("1", at=NOON, secret=EXAMPLE.secret)
    for one in (told, gone) if first == "message" else (gone, told):
        assert post(account, one).status_code == 200
    said = Interaction.objects.get()
    assert (said.text, said.full_text, said.withdrawn_at) == ("", "", NOON)
    assert not [raw for raw in RawItem.objects.all() if b"Secret words" in bytes(raw.content)]


@in_database
def test_events_of_another_account_at_the_same_webhook_do_nothing_H07() -> None:
    account = account_of(EXAMPLE)
    tell(
        account,
        played.created(played.posted("@other Hi", sender=CARLA, number="1", at=NOON), whose="1700000000000000002"),
    )
    tell(account, played.wrote("Hi", sender=CARLA, number="2", at=NOON, to="1700000000000000002"))
    assert not Interaction.objects.exists()
    assert set(RawItem.objects.values_list("kind", flat=True)) == {"not_for_us"}


@in_database
def test_what_is_not_as_documented_waits_for_a_person_and_the_rest_goes_on_F24_H06() -> None:
    account = account_of(EXAMPLE)
    good = played.posted("@ourshop It leaks", sender=CARLA, number="2", at=NOON)
    tell(account, {**played.created(good), "tweet_create_events": [{"id_str": "1", "text": "Hi"}, good]})
    assert Interaction.objects.get().text == "@ourshop It leaks"
    raw = RawItem.objects.get()
    assert (raw.state, raw.reason) == (
        WorkState.PARKED,
        "event_not_readable: tweet_create_events: it is not as documented",
    )
    for body in (b"", b"{", b"[]", b"null", b'{"for_user_id": {}, "tweet_create_events": []}', b"\xff"):
        tell(account, body)
    assert Interaction.objects.count() == 1


@in_database
def test_our_own_words_coming_back_settle_what_nobody_knew_F07() -> None:
    account = account_of(EXAMPLE)
    for ours, echo in (
        ("We send a new one.", lambda text: played.created(played.posted(
            f"@carla_writes {text}", sender="x:" + played.OURS, number="900", at=NOON, in_reply_to_user_id_str="4711"))),
        ("Your order is 4711 & paid.", lambda text: played.wrote(
            text.replace("&", "&amp;"), sender="x:" + played.OURS, number="901", at=NOON, to="4711")),
    ):  # fmt: skip
        (mention if "new" in ours else write)(account, ours + "?", str(len(ours)))
        conversation = Conversation.objects.get()
        message = desk.answer(
            conversation.pk, text=ours, by=colleague(), at=NOON, out_of_order=OutOfOrder.KNOWS_IT, public="new" in ours
        )
        outgoing.send_batch(at=NOON)
        OutgoingMessage.objects.filter(pk=message.pk).update(
            state=OutgoingState.HANDING,
            accepted_at=None,
            provider_id="",
            lease_until=NOON,
            attempt=1,
            unknown_outcomes=0,
        )
        message.refresh_from_db()
        outcomes.unknown(message, "the line broke", at=NOON)
        heard = Interaction.objects.filter(direction="in").count()
        tell(account, echo(ours))
        message.refresh_from_db()
        assert message.state == OutgoingState.ACCEPTED
        assert Interaction.objects.filter(direction="in").count() == heard


@in_database
def test_a_read_direct_message_has_arrived() -> None:
    account = account_of(EXAMPLE)
    write(account, "My order is 4711", "200")
    message = desk.answer(Conversation.objects.get().pk, text="It is on its way.", by=colleague(), at=NOON)
    outgoing.send_batch(at=NOON)
    OutgoingMessage.objects.filter(pk=message.pk).update(provider_id="dm:300")
    read = {"created_timestamp": str(int(NOON.timestamp() * 1000)), "sender_id": "4711", "last_read_event_id": "300"}
    tell(account, {"for_user_id": played.OURS, "direct_message_mark_read_events": [read]})
    message.refresh_from_db()
    assert message.delivery == "delivered"


@in_database
def test_a_reply_to_our_post_goes_on_with_its_matter_whoever_posts_first() -> None:
    account = account_of(EXAMPLE)
    assert say(account, EXAMPLE, "First").status_code == 200
    message = desk.answer(Conversation.objects.get().pk, text="We look.", by=colleague(), at=NOON, public=True)
    outgoing.send_batch(at=NOON)
    OutgoingMessage.objects.filter(pk=message.pk).update(provider_id="900")
    mention(account, "@ourshop Thanks", "901", sender=EXAMPLE.sender("carla")[1], in_reply_to_status_id_str="900")
    assert Conversation.objects.count() == 1


def test_an_account_on_x_is_named_by_its_number() -> None:
    account = described(EXAMPLE)
    for own_id in ("ourshop", "@ourshop", "", "1" * 20, "12 3"):
        assert PROVIDER.trouble_with(replace(account, own_id=own_id)).endswith(".")
