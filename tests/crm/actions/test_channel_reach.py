"""Reach as providers state it: parted from what was said before anything is kept; dropped unless the house keeps it (R152, N3)."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import time_machine
from django.apps import apps
from django.db import models, transaction

from crm.actions import channel_hooks, queue, reach
from crm.channels import profiles
from crm.channels.provided import by_name
from crm.channels.providers import UNREADABLE, Post
from crm.models import Alert, ContactPoint, Conversation, Interaction, RawItem, Reach, ReachLook
from crm.policy import RevealReason, Role, WorkState
from tests.conftest import NOON
from tests.crm.channels import provided
from tests.crm.channels.provided import EXAMPLES, account_of, described, post
from tests.crm.channels.provided import mastodon as mastodon_posts
from tests.crm.channels.provided import x as x_posts
from tests.crm.stories import colleague

pytestmark = pytest.mark.django_db
X, MASTODON = EXAMPLES["x"], EXAMPLES["mastodon"]
CARLA = x_posts.number_of("carla")
AT_MASTODON = "carla@elsewhere.example"
PICTURE = "https://pictures.example/carla.png"
STATED = re.compile(
    r"follower|friends_count|listed|statuses_count|verified|profile_image|avatar|reblogs|favourites|pictures\.example|2000000"
)


@pytest.fixture(autouse=True)
def _clock() -> Any:
    with time_machine.travel(NOON, tick=False):
        yield


def post_on_x(words: str, *, followers: int, badge: bool, number: str = "1") -> provided.Sent:
    who = x_posts.person(CARLA, followers_count=followers, verified=badge, profile_image_url_https=PICTURE)
    told = x_posts.posted(words, sender=f"x:{CARLA}", number=x_posts.number_of(number), at=NOON, user=who)
    told |= {"retweet_count": followers, "quoted_status": {"user": who, "favorite_count": followers}}
    return x_posts.signed(x_posts.created(told), secret=X.secret)


def written_on_x(words: str, *, followers: int, badge: bool, number: str = "1") -> provided.Sent:
    told = x_posts.wrote(words, sender=f"x:{CARLA}", number=x_posts.number_of(number), at=NOON)
    told["users"][CARLA] |= {"followers_count": followers, "verified": badge, "profile_image_url_https": PICTURE}
    return x_posts.signed(told, secret=X.secret)


def asked_of_mastodon(words: str, *, followers: int, badge: bool, number: str = "1") -> provided.Sent:
    who = mastodon_posts.person(AT_MASTODON, followers_count=followers, avatar=PICTURE, statuses_count=followers)
    about = mastodon_posts.status(
        words, sender=f"mastodon:{AT_MASTODON}", number=number, at=NOON, account=who, reblogs_count=followers
    )
    return mastodon_posts.page(mastodon_posts.notified(about))


SAYS = [(X, post_on_x), (X, written_on_x), (MASTODON, asked_of_mastodon)]
who_states_it = pytest.mark.parametrize(("example", "says"), SAYS, ids=["x", "x direct", "mastodon"])


def rows() -> dict[str, list[str]]:
    """Every row of every table but that of reach, without the numbers that are given anew each time."""
    found = {}
    for app in ("crm", "recovery", "loyalty"):
        for model in apps.get_app_config(app).get_models():
            if model is Reach:
                continue
            plain = [
                field.attname
                for field in model._meta.concrete_fields
                if not isinstance(field, models.UUIDField | models.ForeignKey) and not field.primary_key
            ]
            kept = [
                str([bytes(value) if isinstance(value, memoryview) else value for value in row])
                for row in model._default_manager.order_by("pk").values_list(*plain)
            ]
            found[model.__name__] = [re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|(?<=message:)[0-9]+", "*", one) for one in kept]
    return found


class _Undone(Exception):
    pass


def left_by(example: provided.Example, sent: provided.Sent) -> tuple[dict[str, list[str]], list[Any]]:
    """What one post leaves: the rows of all tables, and those of reach; then all of it is undone."""
    found: list[Any] = []
    try:
        with transaction.atomic():
            post(account_of(example), sent)
            found += [rows(), list(Reach.objects.values_list("followers", "has_badge", "avatar_url", "told_at"))]
            raise _Undone
    except _Undone:
        return found[0], found[1]


@who_states_it
def test_it_is_dropped_before_anything_is_kept_unless_the_house_keeps_it_R152(example: Any, says: Any) -> None:
    assert post(account_of(example), says("My parcel is broken.", followers=2_000_000, badge=True)).status_code == 200
    assert Interaction.objects.get().text == "My parcel is broken."
    assert not Reach.objects.exists()
    assert not STATED.search(bytes(RawItem.objects.get().content).decode())
    assert not STATED.search(str(rows()))


@who_states_it
def test_it_is_kept_apart_for_whoever_speaks_where_the_house_keeps_it_R152(
    example: Any, says: Any, settings: Any
) -> None:
    settings.EVENHAND_KEEP_REACH = True
    post(account_of(example), says("My parcel is broken.", followers=2_000_000, badge=True))
    row = Reach.objects.get()
    assert row.contact_point == Interaction.objects.get().contact_point
    badge = True if example is X else None  # Mastodon marks nobody
    assert (row.followers, row.has_badge, row.avatar_url, row.told_at) == (2_000_000, badge, PICTURE, NOON)
    assert not STATED.search(str(rows()))
    post(account_of(example), says("And now?", followers=7, badge=False, number="2"))
    assert Reach.objects.get().followers == 7


@who_states_it
@pytest.mark.parametrize("is_kept", [False, True])
def test_two_messages_that_differ_only_in_reach_leave_the_same_rows_Q7_R152_E01(
    example: Any, says: Any, is_kept: bool, settings: Any
) -> None:
    settings.EVENHAND_KEEP_REACH = is_kept
    colleague()
    quiet, of_quiet = left_by(example, says("My parcel is broken.", followers=3, badge=False))
    loud, of_loud = left_by(example, says("My parcel is broken.", followers=2_000_000, badge=True))
    assert quiet == loud
    assert len(quiet["Interaction"]) == len(quiet["RawItem"]) == 1
    assert [row[0] for row in (*of_quiet, *of_loud)] == ([3, 2_000_000] if is_kept else [])


def test_what_waits_for_the_lane_tells_it_when_it_is_taken_in_and_does_not_keep_it_R152(settings: Any) -> None:
    settings.EVENHAND_KEEP_REACH = True
    told = [
        mastodon_posts.notified(
            mastodon_posts.status(
                f"Number {number}",
                sender="",
                number=str(number),
                at=NOON,
                account=mastodon_posts.person(f"p{number}@elsewhere.example", followers_count=number, avatar=PICTURE),
                media_attachments=[{"url": "https://files.example/1.png"}],
            )
        )
        for number in range(1, 31)
    ]
    post(account_of(MASTODON), mastodon_posts.page(*told))
    assert RawItem.objects.get().state == WorkState.READY
    while channel_hooks.apply_batch(at=NOON):
        pass
    assert Interaction.objects.count() == 30
    assert sorted(Reach.objects.values_list("followers", flat=True)) == list(range(1, 31))
    assert not STATED.search(bytes(RawItem.objects.get().content).decode())


def test_of_somebody_who_only_stands_in_the_post_nothing_is_kept_R152(settings: Any) -> None:
    settings.EVENHAND_KEEP_REACH = True
    account = account_of(X)
    post(account, post_on_x("Hello", followers=5, badge=False))
    other = x_posts.person(x_posts.number_of("dan"), followers_count=9, profile_image_url_https=PICTURE)
    who = x_posts.person(CARLA, followers_count=6)
    told = x_posts.posted("Look", sender=f"x:{CARLA}", number=x_posts.number_of("2"), at=NOON, user=who)
    post(account, x_posts.signed(x_posts.created(told | {"quoted_status": {"user": other}}), secret=X.secret))
    assert list(Reach.objects.values_list("followers", flat=True)) == [6]


def test_what_cannot_be_kept_takes_no_message_with_it_R152(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.EVENHAND_KEEP_REACH = True
    monkeypatch.setattr(reach, "keep", lambda *_given, **_named: 1 / 0)
    assert post(account_of(X), post_on_x("Hello", followers=5, badge=True)).status_code == 200
    assert Interaction.objects.get().text == "Hello"
    assert not Reach.objects.exists()


def test_it_is_hidden_until_the_owner_has_taken_the_matter_and_the_look_is_logged_N3(settings: Any) -> None:
    settings.EVENHAND_KEEP_REACH = True
    owner, lead = colleague(), colleague(Role.LEAD, takes=False)
    post(account_of(X), post_on_x("Hello", followers=5, badge=True))
    talk = Conversation.objects.get()
    asked = {"reason": RevealReason.LEGAL, "words": "The police ask.", "by": lead, "at": NOON}
    with pytest.raises(reach.Hidden):
        reach.reveal(talk.pk, **asked)
    queue.take(talk.pk, by=owner, at=NOON)
    [seen] = reach.reveal(talk.pk, **asked)
    assert (seen.followers, seen.has_badge, seen.avatar_url) == (5, True, PICTURE)
    assert seen.account == ContactPoint.objects.get().address
    assert ReachLook.objects.get().by == lead
    assert "5" not in str(list(Alert.objects.values("detail")))


@pytest.mark.parametrize("example", [X, MASTODON], ids=["x", "mastodon"])
def test_parting_leaves_everything_else_as_it_was_and_does_it_once(example: provided.Example) -> None:
    provider, account = by_name(example.provider), described(example)
    for case in example.documented:
        body = json.dumps(case["body"]).encode() if "body" in case else case.get("text", "").encode()
        whole = Post(case.get("method", "POST"), account.hook_url, case.get("query", ""), {}, body, NOON)
        parted, _told = provider.part_reach(whole, account)
        assert provider.part_reach(parted, account) == (parted, ())
        try:
            before = provider.parse(whole, account)
        except UNREADABLE as trouble:  # what cannot be read cannot be read afterwards
            with pytest.raises(type(trouble)):
                provider.parse(parted, account)
        else:
            assert provider.parse(parted, account) == before


@pytest.mark.parametrize("body", [b"", b"no json", b"\xff", b"[" * 100_000, b'"followers_count"', b"7"])
def test_what_is_no_object_comes_back_without_harm(body: bytes) -> None:
    names = profiles.Names("followers_count")
    parted, told = profiles.part(body, names, who=str)
    assert (parted, told) == (body, ())


@pytest.mark.parametrize("stated", [None, "many", -1, True, 10**30, {"a": 1}, [1]])
def test_nonsense_that_is_stated_is_no_reach(stated: Any, settings: Any) -> None:
    settings.EVENHAND_KEEP_REACH = True
    assert post(account_of(X), post_on_x("Hello", followers=stated, badge=False)).status_code == 200
    assert Reach.objects.get().followers is None
    assert Interaction.objects.count() == 1
