"""A Mastodon server is asked and answered, on a real one of our own that speaks the documented JSON over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from django.core import serializers

from crm.actions import answers, channel_polling, desk, outgoing
from crm.admin import composer
from crm.channels import Channel
from crm.channels.provided.mastodon import PROVIDER, Counted
from crm.channels.providers import HttpAnswer, Media, NotGenuine, NotGiven, Outgoing, Post
from crm.channels.sending import Outcome
from crm.models import (
    Attachment,
    ChannelAccount,
    ContactPoint,
    Conversation,
    Customer,
    HistoryEntry,
    Interaction,
    MessageChange,
    OutgoingMessage,
    RawItem,
    Source,
)
from crm.policy import OutgoingState, OutOfOrder, WorkState
from tests.conftest import NOON
from tests.crm.channels.provided import EXAMPLES, account_of, described, url_of
from tests.crm.channels.provided import mastodon as played
from tests.crm.channels.serving import Asked, Server, serving
from tests.crm.stories import colleague

EXAMPLE = EXAMPLES["mastodon"]
CARLA = "mastodon:carla@elsewhere.example"
MINUTE = timedelta(minutes=1)
in_database = pytest.mark.django_db
DATE = "Mon, 02 Mar 2026 12:00:00 GMT"


@dataclass(slots=True)
class Social:
    """A server with notifications, as it documents them: newest first, by page, with links; it posts what it is given, once a key.

    page: how many it gives at most. left: requests that it still allows.
    """

    server: Server
    notifications: list[dict[str, Any]] = field(default_factory=list)
    posted: dict[str, dict[str, Any]] = field(default_factory=dict)
    page: int = 40
    left: int = 300
    fails: tuple[int, bytes] | None = None

    def told(self, about: dict[str, Any], *, kind: str = "mention") -> None:
        number = str(1000 + len(self.notifications))
        self.notifications.append(played.notified(about, kind=kind, number=number))

    def answer(self, asked: Asked) -> tuple[int, dict[str, str], bytes] | None:
        self.left -= 1
        headers = {
            "Date": DATE,
            "Content-Type": "application/json; charset=utf-8",
            "X-RateLimit-Limit": "300",
            "X-RateLimit-Remaining": str(max(self.left, 0)),
            "X-RateLimit-Reset": "2026-03-02T12:03:00.000000Z",
        }
        if self.fails is not None:
            return self.fails[0], headers, self.fails[1]
        if asked.headers.get("authorization") != f"Bearer {EXAMPLE.credential}":
            return 401, headers, b'{"error": "The access token is invalid"}'
        if self.left < 0:
            return 429, headers, b'{"error": "Too many requests"}'
        where = urlsplit(asked.path)
        if asked.method == "GET" and where.path == "/api/v1/notifications":
            return self._page(parse_qs(where.query), headers)
        if asked.method == "POST" and where.path == "/api/v1/statuses":
            about = json.loads(asked.body)
            made = self.posted.setdefault(
                asked.headers["idempotency-key"], {"id": str(900 + len(self.posted)), **about}
            )
            return 200, headers, json.dumps(made).encode()
        return 404, headers, b'{"error": "Record not found"}'

    def _page(self, query: dict[str, list[str]], headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        wanted = [one for one in self.notifications if one["type"] in query["types[]"]]
        most = min(self.page, int(query["limit"][0]))
        after = int(query.get("min_id", ["0"])[0])
        newer = [one for one in wanted if int(one["id"]) > after]
        found = (newer[:most] if after else newer[-most:])[::-1]
        if found:
            here = f"http://{self.server.host}/api/v1/notifications"
            older, newest = (
                f"{here}?limit={most}&max_id={found[-1]['id']}",
                f"{here}?limit={most}&min_id={found[0]['id']}",
            )
            headers["Link"] = f'<{older}>; rel="next", <{newest}>; rel="prev"'
        return 200, headers, json.dumps(found).encode()


@pytest.fixture(autouse=True)
def _clock() -> Any:
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.fixture
def social(settings: Any) -> Iterator[Social]:
    with serving() as server:
        settings.EVENHAND_OUTBOUND_HOSTS = frozenset({server.host})
        found = Social(server)
        server.answers = found.answer
        yield found


def live(social: Social, **changes: Any) -> ChannelAccount:
    where = {"server": f"http://{social.server.host}", **changes.pop("settings", {})}
    return account_of(EXAMPLE, **{"is_sandbox": False, "settings": where, **changes})


def ask(at: Any = NOON) -> int:
    ChannelAccount.objects.update(ask_at=at)
    claimed = channel_polling.claim(at=at)
    for account in claimed:
        channel_polling.poll(account, at=at)
    return len(claimed)


def status(words: str, number: str, **more: Any) -> dict[str, Any]:
    return played.status(words, **{"sender": CARLA, "number": number, "at": NOON, **more})


# --- asked --------------------------------------------------------------------------------------------------------------


@in_database
def test_a_server_is_asked_for_what_is_new_page_by_page(social: Social) -> None:
    account = live(social)
    social.told(status("old", "1", at=NOON - timedelta(days=30)))
    social.told(status("first", "2"))
    ask()
    account.refresh_from_db()
    assert [said.text for said in Interaction.objects.all()] == ["first"]
    assert (account.cursor, account.error, account.ask_at) == ("1001", "", NOON + MINUTE)
    social.page = 3
    for number in range(3, 11):
        social.told(status(f"word {number}", str(number)))
    social.told(status("liked", "2"), kind="favourite")
    ask(NOON + MINUTE)
    account.refresh_from_db()
    assert account.cursor == "1009"
    assert list(Interaction.objects.order_by("pk").values_list("text", flat=True)) == [
        "first", *(f"word {number}" for number in range(3, 11)),
    ]  # fmt: skip
    asked = [parse_qs(urlsplit(one.path).query).get("min_id", [""])[0] for one in social.server.asked]
    assert asked == ["", "1001", "1004", "1007", "1009"]
    assert Source.objects.get(name=account.source).last_good_at == NOON + MINUTE
    ask(NOON + 2 * MINUTE)
    ask(NOON + 3 * MINUTE)
    assert Interaction.objects.count() == 9
    assert RawItem.objects.count() == 5  # "nothing is new" is kept once, not every minute


@in_database
def test_an_account_without_a_past_begins_with_the_first_that_comes(social: Social) -> None:
    account = live(social)
    ask()
    account.refresh_from_db()
    assert (account.cursor, account.error) == ("", "")
    social.told(status("first", "1"))
    ask(NOON + MINUTE)
    assert Interaction.objects.get().text == "first"


@in_database
def test_what_was_read_and_not_noted_is_read_again_and_is_one_H03(social: Social) -> None:
    live(social)
    for number in range(30):  # more than are taken in at once: the lane does it
        social.told(status(f"word {number}", str(number + 1)))
    from crm.actions import channel_hooks

    for cursor in ("", "1000", "1010", ""):
        ChannelAccount.objects.update(cursor=cursor)
        ask()
        while channel_hooks.apply_batch(at=NOON):
            pass
    assert Interaction.objects.count() == 30
    assert not RawItem.objects.exclude(state=WorkState.DONE).exists()


@in_database
def test_a_page_of_which_one_cannot_be_read_is_parked_and_the_others_come_in_F24(social: Social) -> None:
    account = live(social)
    social.told(status("first", "1"))
    social.notifications.append({"id": "1001", "type": "mention", "account": played.person("dan")})
    social.told(status("third", "3"))
    ask()
    assert set(Interaction.objects.values_list("text", flat=True)) == {"first", "third"}
    raw = RawItem.objects.get()
    assert (raw.state, raw.reason) == (WorkState.PARKED, "event_not_readable: notification: it is not as documented")
    account.refresh_from_db()
    assert account.cursor == "1002"


@in_database
@pytest.mark.parametrize(
    ("fails", "error"),
    [
        ((401, b'{"error": "The access token is invalid"}'), "The server did not accept our access token (401)."),
        ((403, b"{}"), "The server did not accept our access token (403)."),
        ((503, b"<html>secret words</html>"), "The server answered 503."),
        ((200, b"<html>"), "The server answered with something else than notifications."),
        ((200, b'{"error": "no"}'), "The server answered with something else than notifications."),
        ((200, b'["x"]'), "The server gave notifications without a number."),
        ((302, b""), "The server answered 302."),
    ],
)  # fmt: skip
def test_what_a_server_says_instead_is_shown_and_nothing_is_skipped_O03_O04(
    social: Social, fails: tuple[int, bytes], error: str
) -> None:
    account = live(social)
    social.told(status("first", "1"))
    social.fails = fails
    ask()
    account.refresh_from_db()
    assert (account.error, account.cursor, account.failing_since) == (error, "", NOON)
    assert not RawItem.objects.exists()
    social.fails = None
    ask(NOON + MINUTE)
    account.refresh_from_db()
    assert (account.error, account.failing_since) == ("", None)
    assert Interaction.objects.get().text == "first"


@in_database
def test_a_limit_that_is_nearly_reached_is_kept_and_one_that_is_reached_is_waited_for(social: Social) -> None:
    account = live(social)
    ChannelAccount.objects.update(cursor="1")
    social.page, social.left = 1, 2
    for number in range(1, 4):
        social.told(status(f"word {number}", str(number)))
    ask()
    account.refresh_from_db()
    assert (account.ask_at, account.error) == (NOON + 3 * MINUTE, "")  # two were read, the rest after the limit
    assert Interaction.objects.count() == 2
    ask(NOON)
    account.refresh_from_db()
    assert (account.ask_at, account.error) == (NOON + 3 * MINUTE, "The server asks us to come back later (429).")
    social.left = 300
    ask(NOON + 3 * MINUTE)
    account.refresh_from_db()
    assert (Interaction.objects.count(), account.error) == (3, "")


@in_database
def test_a_server_inside_the_house_is_not_asked_O01_O02(social: Social, settings: Any) -> None:
    account = live(social)
    settings.EVENHAND_OUTBOUND_HOSTS = frozenset()
    ask()
    account.refresh_from_db()
    assert account.error
    assert not social.server.asked


def test_nobody_posts_to_an_account_that_is_asked_H01_W() -> None:
    with pytest.raises(NotGenuine):
        PROVIDER.verify(Post("POST", "", "", {}, b"[]", NOON), described(EXAMPLE), at=NOON)


def test_links_are_read_as_servers_write_them() -> None:
    newest = [{"id": "5"}]
    for link, cursor in (
        ('<https://s.example/x?max_id=3>; rel="next", <https://s.example/x?min_id=5>; rel="prev"', "5"),
        ("<https://s.example/x?max_id=3>; rel=\"next\", <https://s.example/x?min_id=6>;", "6"),
        ('<https://s.example/x?limit=40&min_id=7>; rel="prev"', "7"), ("", "5"), ("nonsense", "5"), ("<" * 9_000, "5"),
        ('<https://s.example/x?min_id=../../etc>; rel="prev"', "5"),
    ):  # fmt: skip
        answer = HttpAnswer(200, {"link": link}, json.dumps(newest).encode())
        assert PROVIDER.read_asked(answer, described(EXAMPLE), "4").cursor == cursor


# --- who and what --------------------------------------------------------------------------------------------------------


@in_database
def test_how_many_follow_somebody_and_how_they_look_goes_nowhere(social: Social) -> None:
    live(social)
    social.told(status("It leaks", "1"))
    social.told(status("It leaks", "2", account=played.person("dan", followers_count=1), sender="mastodon:dan"))
    ask()
    kept = "".join(
        serializers.serialize("json", model.objects.all())
        for model in (Customer, ContactPoint, Conversation, Interaction, HistoryEntry)
    )
    for reach in ("120000", "followers", "avatar", "files.example", "favourites"):
        assert reach not in kept
    loud, quiet = Conversation.objects.order_by("pk")
    assert (loud.queue_class, loud.due_at) == (quiet.queue_class, quiet.due_at)
    assert set(ContactPoint.objects.values_list("address", flat=True)) == {CARLA, "mastodon:dan@social.example"}


@in_database
def test_a_page_in_a_post_is_text_and_its_files_are_fetched_afterwards_without_our_token_O01(social: Social) -> None:
    from crm.actions import channel_files

    account = live(social)
    page = (
        '<p>Hi <script>alert(1)</script><a href="javascript:alert(1)" onclick="x()">there</a> <img src=x onerror=y></p>'
    )
    files = [{"id": "1", "type": "image", "url": f"http://{social.server.host}/kettle.jpeg"}]
    social.told(status("", "1", content=page, media_attachments=files))
    ask()
    said = Interaction.objects.get()
    assert said.text == "Hi there"
    assert "<" not in said.text + said.full_text
    before = len(social.server.asked)
    social.server.answers = lambda _asked: (200, {"Content-Type": "image/jpeg"}, b"\xff\xd8\xff\xe0" + b"\x00" * 99)
    assert channel_files.fetch_batch(at=NOON) == 1
    assert Attachment.objects.get().state == "stored"
    assert "authorization" not in social.server.asked[before].headers
    assert account.source == said.source


@in_database
def test_a_change_is_told_where_we_boosted_it_and_earlier_words_stay(social: Social) -> None:
    live(social)
    social.told(status("It leeks", "1"))
    ask()
    changed_at = NOON + MINUTE
    social.told(status("It leaks", "1", edited_at=played.stated(changed_at)), kind="update")
    social.told(status("Somebody else's", "77", edited_at=played.stated(changed_at)), kind="update")
    with time_machine.travel(NOON + 2 * MINUTE, tick=False):
        ask(NOON + 2 * MINUTE)
    said = Interaction.objects.get()
    assert (said.text, said.edited_at) == ("It leaks", changed_at)
    assert MessageChange.objects.get(interaction=said).text_before == "It leeks"
    ChannelAccount.objects.update(cursor="999")  # read again, as it is by now
    social.notifications[0]["status"] = social.notifications[1]["status"]
    with time_machine.travel(NOON + 3 * MINUTE, tick=False):
        ask(NOON + 3 * MINUTE)
    assert Interaction.objects.get().text == "It leaks"
    assert not RawItem.objects.filter(state=WorkState.PARKED).exists()


# --- the way back ---------------------------------------------------------------------------------------------------------


@in_database
@pytest.mark.parametrize("visible", ["public", "unlisted", "private", "direct"])
def test_an_answer_is_as_visible_as_the_question_and_names_the_person(social: Social, visible: str) -> None:
    live(social)
    social.told(status("It leaks", "17", visibility=visible))
    ask()
    message = desk.answer(
        Conversation.objects.get().pk, text="We send a new one. ☂", by=colleague(), at=NOON, public=visible != "direct"
    )
    assert message.channel == (Channel.SOCIAL_DIRECT if visible == "direct" else Channel.SOCIAL_PUBLIC)
    assert outgoing.send_batch(at=NOON) == 1
    message.refresh_from_db()
    [posted] = social.posted.values()
    assert posted == {
        "id": "900",
        "status": "@carla@elsewhere.example We send a new one. ☂",
        "visibility": visible,
        "in_reply_to_id": "17",
    }
    assert (message.state, message.provider_id) == (OutgoingState.ACCEPTED, "900")
    social.told(status("Thanks", "18", in_reply_to_id="900", visibility=visible))
    ask(NOON + MINUTE)
    assert Conversation.objects.count() == 1


@in_database
def test_an_answer_that_is_tried_again_is_posted_once_F07(social: Social) -> None:
    live(social)
    social.told(status("It leaks", "17"))
    ask()
    message = desk.answer(
        Conversation.objects.get().pk, text="We send a new one.", by=colleague(), at=NOON, public=True
    )
    takes = social.answer

    def line_breaks(asked: Asked) -> None:
        takes(asked)

    social.server.answers = line_breaks
    outgoing.send_batch(at=NOON)
    message.refresh_from_db()
    assert (message.state, message.unknown_outcomes) == (OutgoingState.READY, 1)
    social.server.answers = takes
    outgoing.send_batch(at=NOON + timedelta(hours=1))
    message.refresh_from_db()
    assert (message.state, message.provider_id, len(social.posted)) == (OutgoingState.ACCEPTED, "900", 1)


@in_database
def test_the_limit_of_the_server_is_said_without_the_name_that_comes_before_X24(social: Social) -> None:
    live(social, settings={"longest": "1000"})
    social.told(status("It leaks", "17"))
    ask()
    heard = list(Interaction.objects.select_related("contact_point"))
    assert "At most 968 characters." in composer.way(heard, (), at=NOON)[1]
    conversation, lead = Conversation.objects.get(), colleague()
    with pytest.raises(answers.TooLong, match=r"968 characters; your answer has 969"):
        desk.answer(conversation.pk, text="x" * 969, by=lead, at=NOON, public=True)
    long = "x" * 944 + " https://shop.example/" + "y" * 300
    assert desk.answer(conversation.pk, text=long, by=lead, at=NOON, public=True, out_of_order=OutOfOrder.KNOWS_IT)


@pytest.mark.parametrize(
    ("text", "length"),
    [("Hello", 5), ("https://a.example/" + "x" * 90, 23), ("See http://a.example, and", 32), ("日本", 2), ("", 0)],
)
def test_a_post_is_counted_as_the_server_counts(text: str, length: int) -> None:
    assert Counted(468).length(text) == length


def test_an_answer_to_what_cannot_be_seen_any_more_or_by_nobody_O04() -> None:
    account = described(EXAMPLE)
    gone = PROVIDER.read_answer(HttpAnswer(404, {}, b'{"error": "Record not found"}'), account)
    assert (gone.outcome, gone.reason) == (Outcome.REFUSED, "the post that this answers is not there any more")
    limit = {"x-ratelimit-reset": "2026-03-02T12:05:00.000000Z", "date": DATE}
    assert PROVIDER.read_answer(HttpAnswer(429, limit, b""), account).wait == 5 * MINUTE
    unsaid = json.loads(PROVIDER.compose(Outgoing("k", CARLA, "Hello", NOON), account).body)
    assert unsaid == {"status": "@carla@elsewhere.example Hello", "visibility": "direct"}  # never public by mistake
    odd = json.loads(PROVIDER.compose(Outgoing("k", CARLA, "Hello", NOON, "17:everybody"), account).body)
    assert odd["visibility"] == "direct"
    for address in (
        "mastodon:carla",
        "mastodon:carla@x @dan@y",
        "x:4711",
        "mastodon:@a@b",
        "carla@elsewhere.example",
        "mastodon:a\n@b",
    ):
        with pytest.raises(NotGiven):
            PROVIDER.compose(Outgoing("k", address, "Hello", NOON, "17:public"), account)
    for reference in ("file:///etc/passwd", "ftp://a.example/x", "", "javascript:1"):
        with pytest.raises(NotGiven):
            PROVIDER.media_request(Media(reference), account)


@pytest.mark.parametrize(
    "changes",
    [
        {"own_id": "shop"}, {"own_id": "@shop@social.example"}, {"own_id": ""}, {"settings": {}},
        {"settings": {"server": "social.example"}}, {"settings": {"server": "https://social.example/api"}},
        {"settings": {"server": "https://social.example", "longest": "many"}}, {"settings": {"server": "ftp://social.example"}},
        {"settings": {"server": "https://social.example", "longest": "50"}},
    ],
)  # fmt: skip
def test_an_account_that_cannot_work_is_refused_in_words(changes: dict[str, Any]) -> None:
    assert PROVIDER.trouble_with(replace(described(EXAMPLE), **changes)).endswith(".")


@in_database
def test_an_account_there_has_no_hook_and_a_sandbox_posts_nothing(social: Social) -> None:
    account = live(social)
    assert url_of(account)
    ChannelAccount.objects.update(is_sandbox=True)
    social.told(status("It leaks", "17"))
    assert ask() == 0
    assert not social.server.asked
    assert not OutgoingMessage.objects.exists()
