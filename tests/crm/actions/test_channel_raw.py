"""Words that were taken back are nowhere to be read, also not in the bytes of a post in which others spoke as well (P05)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import time_machine

from crm.actions import channel_hooks
from crm.models import ChannelAccount, Interaction, MessageChange, Promise, RawItem
from crm.policy import WorkState
from tests.conftest import NOON
from tests.crm.channels import meta, provided
from tests.crm.channels.provided import EXAMPLES, account_of, post
from tests.crm.channels.provided import standard_webhooks as generic
from tests.crm.channels.provided import whatsapp_cloud as whatsapp
from tests.crm.channels.provided import x as x_posts

pytestmark = pytest.mark.django_db
GENERIC, WHATSAPP, X = EXAMPLES["standard_webhooks"], EXAMPLES["whatsapp_cloud"], EXAMPLES["x"]
MINUTE = timedelta(minutes=1)
WORDS = {"1": "Secret words", "2": "The lamp is broken", "3": "Where is my parcel"}


@pytest.fixture(autouse=True)
def _clock() -> Any:
    with time_machine.travel(NOON, tick=False):
        yield


def batch_of_events(words: dict[str, str]) -> provided.Sent:
    told = [generic.created(text, sender=f"chat:{one}", external_id=one) for one, text in words.items()]
    return generic.signed({"events": told}, secret=generic.SECRET, at=NOON)


def batch_at_whatsapp(words: dict[str, str]) -> provided.Sent:
    told = None
    for number, (one, text) in enumerate(words.items()):
        single = whatsapp.message(f"493011122{number}", one, NOON, "text", text={"body": text})
        if told is None:
            told = single
        else:
            told["entry"] += single["entry"]
    return provided.Sent(*meta.signed(told, secret=WHATSAPP.secret))


def batch_at_x(words: dict[str, str]) -> provided.Sent:
    told = [
        x_posts.posted(text, sender=f"x:{x_posts.number_of(text)}", number=x_posts.number_of(one), at=NOON)
        for one, text in words.items()
    ]
    return x_posts.signed({"for_user_id": x_posts.OURS, "tweet_create_events": told}, secret=X.secret)


BATCHES: list[tuple[provided.Example, Callable[[dict[str, str]], provided.Sent]]] = [
    (GENERIC, batch_of_events),
    (WHATSAPP, batch_at_whatsapp),
    (X, batch_at_x),
]
in_batches = pytest.mark.parametrize(("example", "batch"), BATCHES, ids=[one.provider for one, _batch in BATCHES])


def gone(example: provided.Example, number: str = "1") -> provided.Sent:
    assert example.deleted is not None
    sender = f"x:{x_posts.number_of(WORDS[number])}"
    return example.deleted(number, at=NOON, secret=example.secret, sender=sender)


def readable(words: str) -> list[int]:
    """Every row of whatever holds words of customers in which these can be read."""
    raws = [raw.pk for raw in RawItem.objects.all() if words in bytes(raw.content).decode() or words in str(raw.facts)]
    said = Interaction.objects.filter(text__contains=words) | Interaction.objects.filter(full_text__contains=words)
    changed = MessageChange.objects.filter(text__contains=words) | MessageChange.objects.filter(
        text_before__contains=words
    )
    return [*raws, *said.values_list("pk", flat=True), *changed.values_list("pk", flat=True)]


def work(at: Any = NOON + 2 * MINUTE) -> None:
    while channel_hooks.apply_batch(at=at):
        pass


@in_batches
def test_a_deletion_takes_one_message_out_of_a_batch_and_leaves_what_others_said_P05(example: Any, batch: Any) -> None:
    account = account_of(example)
    whole = batch(WORDS)
    assert post(account, whole).status_code == 200
    raw, clocks = RawItem.objects.get(), Promise.objects.count()
    assert post(account, gone(example)).status_code == 200
    assert not readable("Secret words")
    assert len(readable("The lamp is broken")) == 2  # in the bytes and in what was taken in
    assert Promise.objects.count() == clocks
    raw.refresh_from_db()
    assert len(raw.facts["let_go"]) == 64
    # The same delivery once more is the same, and what it says is known.
    assert post(account, whole).status_code == 200
    assert (Interaction.objects.count(), RawItem.objects.filter(pk__lte=raw.pk).count()) == (3, 1)
    assert not readable("Secret words")


@in_batches
def test_what_was_taken_back_before_its_batch_came_does_not_stay_in_it_P05(example: Any, batch: Any) -> None:
    account = account_of(example)
    assert post(account, gone(example)).status_code == 200
    assert post(account, batch(WORDS)).status_code == 200
    assert Interaction.objects.get(withdrawn_at__isnull=False).text == ""
    assert not readable("Secret words")
    assert len(readable("The lamp is broken")) == 2


@in_batches
def test_the_same_words_in_another_batch_are_not_kept_twice_so_a_deletion_finds_them_all_P05(
    example: Any, batch: Any
) -> None:
    account = account_of(example)
    post(account, batch(WORDS))
    post(account, batch({"1": WORDS["1"], "4": "One more thing"}))  # the provider puts them together anew
    assert len(readable("Secret words")) == 2
    assert len(readable("One more thing")) == 2
    post(account, gone(example))
    assert not readable("Secret words")
    assert len(readable("One more thing")) == 2


@in_batches
def test_a_batch_that_waits_for_the_lane_lets_go_when_it_is_taken_in_P05(example: Any, batch: Any) -> None:
    account = account_of(example)
    many = WORDS | {str(number): f"Number {number}" for number in range(10, 35)}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("crm.actions.channel_words.AT_MOST", 1)
        post(account, batch(many))
    assert RawItem.objects.get().state == WorkState.READY
    post(account, gone(example))
    work()
    assert not readable("Secret words")
    assert len(readable("The lamp is broken")) == 2
    assert Interaction.objects.count() == len(many)


def test_a_batch_that_waits_for_a_person_lets_go_of_what_was_taken_back_and_can_be_tried_again_P05() -> None:
    account = account_of(GENERIC)
    told = [generic.created(text, sender=f"chat:{one}", external_id=one) for one, text in WORDS.items()]
    nobody = generic.created("From nobody", sender="", external_id="9")
    post(account, generic.signed({"events": [*told, nobody]}, secret=generic.SECRET, at=NOON))
    raw = RawItem.objects.get()
    assert raw.state == WorkState.PARKED
    post(account, gone(GENERIC))
    assert not readable("Secret words")
    raw.refresh_from_db()
    assert (raw.state, b"From nobody" in bytes(raw.content)) == (WorkState.PARKED, True)
    channel_hooks.try_again(raw.pk)
    work()
    raw.refresh_from_db()
    assert raw.state == WorkState.PARKED
    assert Interaction.objects.count() == 3


def test_a_single_post_with_other_words_under_the_same_id_waits_for_nobody_once_they_are_taken_back_P05() -> None:
    account = account_of(GENERIC)
    for words in ("Secret words", "Secret words, changed"):
        told = generic.created(words, sender="chat:carla", external_id="1")
        post(account, generic.signed(told, secret=generic.SECRET, at=NOON))
    assert RawItem.objects.filter(state=WorkState.PARKED).count() == 1
    post(account, gone(GENERIC))
    assert not readable("Secret words")
    assert not RawItem.objects.filter(state=WorkState.PARKED).exists()


def test_a_single_message_its_change_and_their_repeats_leave_nothing_and_are_known_again_P05() -> None:
    account = account_of(GENERIC)
    told = generic.created("Secret words", sender="chat:carla", external_id="1")
    first = generic.signed(told, secret=generic.SECRET, at=NOON)
    change = generic.changed("1", "Secret words, too", at=NOON, secret=generic.SECRET)
    for sent in (first, change, gone(GENERIC), first, change, gone(GENERIC)):
        assert post(account, sent).status_code == 200
    assert not readable("Secret words")
    assert (Interaction.objects.count(), RawItem.objects.count()) == (1, 3)
    late = generic.changed("1", "Secret words, at last", at=NOON + MINUTE, secret=generic.SECRET)
    with time_machine.travel(NOON + MINUTE, tick=False):
        post(account, replace(late))
    assert not readable("Secret words")
    assert all(len(raw.facts.get("let_go", "")) in (0, 64) for raw in RawItem.objects.all())


def test_a_batch_with_a_message_and_its_deletion_keeps_neither_P05() -> None:
    account: ChannelAccount = account_of(GENERIC)
    told = [
        generic.created("Secret words", sender="chat:carla", external_id="1"),
        {"type": "message.deleted", "data": {"id": "1", "deleted_at": NOON.isoformat()}},
        generic.created("The lamp is broken", sender="chat:dan", external_id="2"),
    ]
    post(account, generic.signed({"events": told}, secret=generic.SECRET, at=NOON))
    assert not readable("Secret words")
    [raw] = RawItem.objects.all()
    assert [one["type"] for one in json.loads(bytes(raw.content))["events"]] == ["message.deleted", "message.created"]
