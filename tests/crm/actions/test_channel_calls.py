"""Calls that a provider tells of: one contact however many posts there are, in whatever order they come."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine

from crm.actions import call_backs, channel_hooks
from crm.channels.provided.twilio_voice import PROVIDER
from crm.models import (
    AwaitedFile,
    Call,
    ChannelAccount,
    ContactPoint,
    Conversation,
    Interaction,
    Promise,
    RawItem,
    WorkItem,
)
from crm.policy import CallState, ConversationState, PromiseKind, WorkState
from recovery.actions import lanes
from recovery.models import Case
from tests.conftest import NOON
from tests.crm.channels.provided import EXAMPLES, account_of, described, post, url_of
from tests.crm.channels.provided.twilio_sms import signed
from tests.crm.channels.provided.twilio_voice import AFTER, FLOW, form
from tests.crm.channels.test_provided import post_of
from tests.crm.stories import colleague

pytestmark = pytest.mark.django_db

VOICE = EXAMPLES["twilio_voice"]
SECOND = timedelta(seconds=1)
WORDS = "My parcel is broken and I am very angry."


def tell(account: ChannelAccount, told: dict[str, str], *, at: datetime) -> None:
    with time_machine.travel(at, tick=False):
        assert post(account, signed(told, secret=VOICE.secret, url=url_of(account))).status_code == 200


def known(account: ChannelAccount) -> None:
    """A line that has been heard of a minute ago, so that what it says is believed from then on."""
    tell(account, form("CA0", "ringing", caller="anonymous"), at=NOON - 60 * SECOND)
    tell(account, form("CA0", "canceled", caller="anonymous", at=NOON - 59 * SECOND), at=NOON - 59 * SECOND)
    Call.objects.update(followed_up_at=NOON)


def after_a_while(at: datetime = NOON + timedelta(minutes=10)) -> None:
    call_backs.recover_dropped_calls(at)


def queued(call: str = "CA1") -> list[dict[str, str]]:
    """A caller who waits 40 seconds for a colleague and talks for a minute."""
    return [
        form(call, "ringing"),
        form(call, "in-progress", QueueSid="QU1", QueueTime="38", DequeingCallSid="CA9"),
        form(call, "completed", at=NOON + 100 * SECOND, CallDuration="98"),
        form(call, "completed", QueueSid="QU1", QueueTime="38", QueueResult="bridged"),
    ]


def test_a_call_that_was_answered_becomes_one_contact_with_its_times() -> None:
    account = account_of(VOICE)
    known(account)
    for seconds, told in zip((0, 40, 100, 101), queued(), strict=True):
        tell(account, told, at=NOON + seconds * SECOND)
    call = Call.objects.get(external_id="CA1")
    assert (call.state, call.rang_at, call.ended_at) == (CallState.ENDED, NOON, NOON + 100 * SECOND)
    assert call.answered_at == NOON + 40 * SECOND
    after_a_while()
    said = Interaction.objects.get(external_id="CA1")
    assert (said.text, said.wait_seconds, said.call_seconds, said.ended_by) == ("", 40, 60, "unknown")
    assert (said.source, said.channel, said.spoke_at) == (account.source, "phone", NOON)
    assert (said.contact_point.kind, said.contact_point.address) == ("phone", "+4930111222")
    assert not RawItem.objects.exclude(state=WorkState.DONE).exists()


def test_in_every_order_and_twice_it_is_the_same_call_H03_H04() -> None:
    """Times are stated; those of what comes without a time are when it reached us, here all at once."""
    account = account_of(VOICE)
    known(account)
    ends = set()
    steps = [
        form("X", "ringing", at=NOON),
        form("X", "in-progress", at=NOON + SECOND),
        form("Y", "in-progress", at=NOON + 40 * SECOND, ParentCallSid="X", Direction="outbound-dial"),
        form("X", "completed", at=NOON + 100 * SECOND, CallDuration="98"),
    ]
    orders = list(itertools.permutations(steps))
    for number, order in enumerate(orders):
        for told in (*order, order[0]):
            names = {name: told[name] + str(number) for name in ("CallSid", "ParentCallSid") if name in told}
            tell(account, {**told, **names}, at=NOON + timedelta(minutes=5))
        call = Call.objects.get(external_id=f"X{number}")
        ends.add((call.state, call.rang_at, call.answered_at, call.ended_at, call.ended_by))
    moments = (NOON, NOON + 40 * SECOND, NOON + 100 * SECOND)
    assert (len(orders), ends) == (24, {(CallState.ENDED, *moments, "unknown")})


@pytest.mark.parametrize(
    ("last", "ended_by"),
    [
        (form("CA1", "completed", QueueSid="QU1", QueueTime="20", QueueResult="hangup"), "customer"),
        (form("CA1", "canceled"), "customer"),
        (form("CA1", "no-answer"), "unknown"),
        (form("CA1", "busy"), "us"),
        (form("CA1", "failed"), "network"),
    ],
)
def test_a_call_that_nobody_took_is_a_contact_without_words_and_is_called_back_R137(
    last: dict[str, str], ended_by: str
) -> None:
    account = account_of(VOICE)
    tell(account, form("CA1", "ringing"), at=NOON)
    tell(account, last, at=NOON + 25 * SECOND)
    after_a_while()
    said = Interaction.objects.get()
    assert (said.text, said.wait_seconds, said.call_seconds, said.ended_by) == ("", 25, None, ended_by)
    owed = Promise.objects.get(conversation=said.conversation, kind=PromiseKind.CALL_BACK)
    assert owed.starts_at == NOON


def test_a_line_that_people_answer_counts_as_picked_up() -> None:
    account = account_of(VOICE, settings={**VOICE.settings, "picked_up": "line"})
    tell(account, form("CA1", "ringing"), at=NOON)
    tell(account, form("CA1", "in-progress", at=NOON + 12 * SECOND), at=NOON + 12 * SECOND)
    call = Call.objects.get()
    assert (call.state, call.waited(NOON)) == (CallState.TALKING, 12 * SECOND)


def test_the_queue_told_before_the_ring_waits_for_it_H04() -> None:
    account = account_of(VOICE)
    known(account)
    ring, _dequeued, _over, left = queued()
    tell(account, left, at=NOON)
    raw = RawItem.objects.latest("pk")
    assert (raw.state, raw.reason.partition(":")[0]) == (WorkState.CLAIMED, "report_too_early")
    tell(account, ring, at=NOON + SECOND)
    RawItem.objects.filter(pk=raw.pk).update(lease_until=NOON - timedelta(days=3650))
    assert channel_hooks.apply_batch(at=NOON + 60 * SECOND) == 1
    assert Call.objects.get(external_id="CA1").answered_at is not None


def words(call: str = "CA1", *, caller: str = "+4930111222", text: str = WORDS) -> dict[str, str]:
    about = {"RecordingSid": "RE1", "RecordingUrl": "https://api.twilio.com/2010-04-01/Accounts/AC1/Recordings/RE1"}
    return form(call, "completed", caller=caller, TranscriptionSid="TR1", TranscriptionText=text, **about)


def recording(call: str = "CA1") -> dict[str, str]:
    told = words(call)
    return {name: value for name, value in told.items() if not name.startswith("Transcription")} | {
        "RecordingStatus": "completed",
        "RecordingSource": "RecordVerb",
        "RecordingDuration": "9",
    }


@pytest.mark.parametrize("is_late", [False, True])
def test_what_is_said_after_the_tone_are_the_words_of_that_call(is_late: bool, settings: Any) -> None:
    """Also when the call was taken in without words before Twilio had written them down; a complaint is seen in either case."""
    colleague()
    account = account_of(VOICE)
    tell(account, form("CA1", "ringing"), at=NOON)
    tell(account, form("CA1", "completed", at=NOON + 30 * SECOND), at=NOON + 30 * SECOND)
    if is_late:
        after_a_while()
        while lanes.work_batch("triage", at=NOON + timedelta(minutes=10)):
            pass
        assert not Case.objects.exists()
    told_at = NOON + timedelta(minutes=11)
    for _number in range(2):
        tell(account, recording(), at=told_at)
        tell(account, words(), at=told_at)
    said = Interaction.objects.get()
    assert (said.text, said.external_id, said.call_seconds) == (WORDS, "CA1", None)
    assert AwaitedFile.objects.get().attachment.interaction == said
    after_a_while(told_at + timedelta(minutes=2))
    assert Interaction.objects.count() == Conversation.objects.count() == 1
    kinds = set(Promise.objects.filter(conversation=said.conversation).values_list("kind", flat=True))
    assert {PromiseKind.FIRST_RESPONSE, PromiseKind.CALL_BACK} <= kinds
    assert PromiseKind.CONFIRMATION not in kinds  # nobody talked to them yet
    while lanes.work_batch("triage", at=told_at):
        pass
    assert Case.objects.filter(conversation=said.conversation).exists()
    assert not WorkItem.objects.filter(state=WorkState.PARKED).exists()


def test_words_of_somebody_who_shows_no_number_open_a_matter_too() -> None:
    account = account_of(VOICE)
    tell(account, form("CA1", "ringing", caller="anonymous"), at=NOON)
    tell(account, form("CA1", "completed", caller="anonymous", at=NOON + 9 * SECOND), at=NOON + 9 * SECOND)
    after_a_while()
    assert Conversation.objects.get().state == ConversationState.CLOSED
    tell(account, words(caller="anonymous"), at=NOON + timedelta(minutes=11))
    assert Interaction.objects.get().text == WORDS
    assert Conversation.objects.get().state == ConversationState.OPEN
    tell(account, words("CA2", caller="anonymous", text="Order 7 is late."), at=NOON + timedelta(minutes=12))
    assert Conversation.objects.filter(state=ConversationState.OPEN).count() == 2


def test_what_two_people_say_to_each_other_is_not_kept() -> None:
    account = account_of(VOICE)
    known(account)
    for told in queued():
        tell(account, told, at=NOON + 101 * SECOND)
    tell(account, words(), at=NOON + 200 * SECOND)
    assert RawItem.objects.latest("pk").kind == "talk_recorded"
    assert not Interaction.objects.filter(text=WORDS).exists()


@pytest.mark.parametrize(
    ("told", "onward"),
    [
        (form("CA1", "ringing"), FLOW),
        (form("CA1", "ringing", at=NOON), ""),
        (form("CA1", "in-progress", QueueResult="leave", QueueTime="3"), AFTER),
        (form("CA1", "completed", QueueResult="hangup", QueueTime="3"), ""),
        (form("CA1", "in-progress", DialCallStatus="no-answer"), AFTER),
        ({**form("CA1", "ringing"), "AccountSid": "AC2"}, ""),
    ],
)
def test_the_call_goes_on_at_our_own_flow(told: dict[str, str], onward: str) -> None:
    account = described(VOICE)
    answer = PROVIDER.reply(post_of(signed(told, secret="x", url=account.hook_url), account), account)
    assert answer.content_type.startswith("text/xml")
    where = onward.replace("&", "&amp;")
    assert answer.body == (
        f'<Response><Redirect method="POST">{where}</Redirect></Response>' if where else "<Response/>"
    )


@pytest.mark.parametrize("url", ["http://shop.example/flow", "javascript:alert(1)", "https://"])
def test_a_call_goes_on_at_a_safe_address_only(url: str) -> None:
    from dataclasses import replace

    account = replace(described(VOICE), settings={**VOICE.settings, "flow_url": url})
    assert PROVIDER.trouble_with(account)
    loop = replace(account, settings={**VOICE.settings, "after_url": account.hook_url + "?x=1"})
    assert PROVIDER.trouble_with(loop)


def test_the_number_that_a_call_shows_proves_nothing_and_reads_nothing_out_H10() -> None:
    """Whoever borrows a number hears the same as everybody, and the number stays a claim."""
    account = account_of(VOICE)
    tell(account, words(text="My name is Carla and my order is number 4711."), at=NOON)
    answers = []
    for number, caller in enumerate(("+4930111222", "+4930999888", "anonymous")):
        told = signed(form(f"CA{number + 5}", "ringing", caller=caller), secret=VOICE.secret, url=url_of(account))
        with time_machine.travel(NOON, tick=False):
            answers.append(post(account, told).content.decode())
    assert len(set(answers)) == 1
    assert "Carla" not in answers[0]
    assert "4711" not in answers[0]
    after_a_while()
    point = ContactPoint.objects.get(kind="phone", address="+4930111222")
    assert point.verified_at is None
