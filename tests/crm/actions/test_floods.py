"""Floods at the providers' door: nothing that was accepted is lost, nobody else waits, and the leads are told (H08)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine

from crm.actions import channel_hooks
from crm.models import Alert, ChannelAccount, Conversation, Interaction, Promise, RawItem
from crm.policy import MESSAGES_OF_A_SENDER, PromiseKind, WorkState, is_flood, left_until_next_look
from crm.policy.floods import SHARED_BY
from tests.conftest import NOON
from tests.crm.channels import provided
from tests.crm.channels.provided import EXAMPLES, account_of, say
from tests.crm.channels.provided import standard_webhooks as generic

pytestmark = pytest.mark.django_db

GENERIC, TWILIO = EXAMPLES["standard_webhooks"], EXAMPLES["twilio_sms"]
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _clock() -> Any:
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.mark.parametrize("most", [1, 2, 20, 3000])
def test_processes_that_share_what_is_left_let_in_no_more_than_is_allowed_H08(most: int) -> None:
    """As many of them as are reckoned with, each with the look of another moment or the same."""
    for count in range(most):
        let_in = SHARED_BY * left_until_next_look(count, most=most) + 1
        assert count + let_in <= most
        assert not is_flood(count, most=most)
    assert is_flood(most, most=most)
    assert left_until_next_look(most, most=most) == 0


def flood(account: ChannelAccount, example: Any, *, count: int) -> list[Any]:
    return [say(account, example, f"Number {number}", by=f"person {number}") for number in range(count)]


def test_a_provider_that_tries_again_is_asked_to_wait_and_loses_nothing_H08(settings: Any) -> None:
    settings.EVENHAND_POSTS_A_MINUTE = 20
    account = account_of(GENERIC)
    answers = flood(account, GENERIC, count=60)
    codes = [answer.status_code for answer in answers]
    assert (codes.count(200), codes.count(429)) == (20, 40)
    assert {answer["Retry-After"] for answer in answers if answer.status_code == 429} == {"60"}
    assert Interaction.objects.count() == 20  # everything that was answered well
    assert say(account_of(TWILIO), TWILIO, "Hello").status_code == 200  # to another account
    account = account_of(GENERIC)
    assert Interaction.objects.count() == 21
    told = Alert.objects.get(kind="channel_flood")
    assert (told.to, told.detail) == (None, {"account": str(account.public_id), "is_sender": False})
    with time_machine.travel(NOON + 2 * MINUTE, tick=False):  # the provider tries the rest again
        again = [say(account, GENERIC, f"Number {n}", by=f"person {n}", at=NOON + 2 * MINUTE) for n in range(20, 40)]
    assert {answer.status_code for answer in again} == {200}
    assert Interaction.objects.filter(source=account.source).count() == 40


def test_a_provider_that_does_not_is_kept_and_taken_in_by_the_lane_H08(settings: Any) -> None:
    settings.EVENHAND_POSTS_A_MINUTE = 20
    account = account_of(TWILIO)
    answers = flood(account, TWILIO, count=60)
    assert {answer.status_code for answer in answers} == {200}
    assert (RawItem.objects.count(), Interaction.objects.count()) == (60, 20)
    while channel_hooks.apply_batch(at=NOON + MINUTE):
        pass
    assert Interaction.objects.count() == 60
    assert not RawItem.objects.exclude(state=WorkState.DONE).exists()
    assert {said.spoke_at for said in Interaction.objects.all()} == {NOON}  # waiting moved no clock
    assert Alert.objects.filter(kind="channel_flood").count() == 1


@pytest.mark.parametrize("name", ["telegram", "messenger", "instagram", "whatsapp_cloud"])
def test_these_document_that_they_post_again_and_hear_429_H08(name: str, settings: Any) -> None:
    settings.EVENHAND_POSTS_A_MINUTE = 3
    example = EXAMPLES[name]
    account = account_of(example)
    answers = flood(account, example, count=5)
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert (RawItem.objects.count(), Interaction.objects.count()) == (3, 3)
    with time_machine.travel(NOON + 2 * MINUTE, tick=False):  # the same bytes, as they were
        again = flood(account, example, count=5)
    assert {answer.status_code for answer in again} == {200}
    assert Interaction.objects.count() == 5


def test_x_gives_up_after_five_minutes_so_its_floods_are_kept_H08(settings: Any) -> None:
    settings.EVENHAND_POSTS_A_MINUTE = 3
    account = account_of(EXAMPLES["x"])
    assert {answer.status_code for answer in flood(account, EXAMPLES["x"], count=5)} == {200}
    assert (RawItem.objects.count(), Interaction.objects.count()) == (5, 3)
    while channel_hooks.apply_batch(at=NOON + MINUTE):
        pass
    assert Interaction.objects.count() == 5


def test_what_one_sender_pours_out_waits_a_minute_behind_everybody_else_H08() -> None:
    account = account_of(GENERIC)
    for number in range(MESSAGES_OF_A_SENDER + 12):
        assert say(account, GENERIC, f"Number {number}").status_code == 200
    assert Interaction.objects.count() == MESSAGES_OF_A_SENDER
    assert say(account, GENERIC, "Somebody else", by="dan").status_code == 200
    assert Interaction.objects.count() == MESSAGES_OF_A_SENDER + 1
    waiting = RawItem.objects.filter(state=WorkState.CLAIMED)
    assert {raw.reason.partition(":")[0] for raw in waiting} == {"sender_floods"}
    RawItem.objects.filter(state=WorkState.CLAIMED).update(lease_until=NOON - timedelta(days=3650))
    while channel_hooks.apply_batch(at=NOON + MINUTE):
        pass
    assert Interaction.objects.count() == MESSAGES_OF_A_SENDER + 13
    assert Conversation.objects.count() == 2
    assert {raw.state for raw in RawItem.objects.all()} == {WorkState.DONE}
    told = Alert.objects.get(kind="channel_flood")
    assert told.detail["is_sender"] is True
    assert "carla" not in told.key


def test_what_was_said_during_an_outage_and_comes_at_once_is_no_flood_H08_H05() -> None:
    account = account_of(GENERIC)
    for number in range(MESSAGES_OF_A_SENDER + 5):
        said_at = NOON - timedelta(hours=3) + number * MINUTE
        told = generic.created(f"Number {number}", sender="chat:carla", external_id=f"{number}", spoke_at=said_at)
        provided.post(account, generic.signed(told, secret=generic.SECRET, at=NOON))
    assert Interaction.objects.count() == MESSAGES_OF_A_SENDER + 5
    first = Promise.objects.get(kind=PromiseKind.FIRST_RESPONSE)
    assert first.starts_at == NOON - timedelta(hours=3)


def test_one_look_tells_that_there_is_no_flood(django_assert_max_num_queries: Any) -> None:
    from crm.actions import floods

    account = account_of(GENERIC)
    say(account, GENERIC, "Hello")
    with django_assert_max_num_queries(1), time_machine.travel(NOON + 2 * MINUTE, tick=False):
        assert not floods.of_account(account, at=NOON + 2 * MINUTE)
