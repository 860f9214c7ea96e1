"""Thirty stories, each told on every channel, calmly and as loudly as people can: one treatment, to the byte and to the second.

A channel that has a door of its own is used through it; the others through what every door calls. Every version of the rules
is tried: the rules in force on the day, and three more that come into force later.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import cycle, islice
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from crm.actions import desk, intake, mails, outgoing
from crm.channels import Channel
from crm.models import Conversation, OutgoingMessage, Promise
from crm.policy import PromiseKind, Role, queue_key
from recovery import actions
from recovery.models import Case, Decision, PolicyVersion
from recovery.policy import Facts, Outcome, canonical, entitlement_for
from tests.conftest import NOON
from tests.crm.stories import colleague, message, raw_mail
from tests.parity import versions
from tests.parity.doors import by_app, by_form, by_letter, by_link, by_mail, by_phone, newest
from tests.parity.loud import BOASTS, EMOJI, SIGNATURES, Loud, after, before, ending, shouted
from tests.parity.told import GUITAR, STORIES, Story

pytestmark = pytest.mark.django_db

Telling = Callable[[str, str], None]
"""Called with the words and an e-mail address; the clock stands still."""


def written_down(channel: Channel) -> Telling:
    """A colleague writes down what somebody said on the phone, at the counter or at the customer's place."""

    def tell(words: str, address: str) -> None:
        call = desk.Call(
            key=str(uuid.uuid4()), said=words, agreed="", channel=channel, phone=f"030 {uuid.uuid4().int % 10**7:07}"
        )
        desk.log_call(call, by=colleague(name="Listening", takes=False), at=timezone.now())

    return tell


def taken_in(channel: Channel) -> Telling:
    """What every door calls, with a message of that channel."""

    def tell(words: str, address: str) -> None:
        heard = message(words, channel=channel, sender_kind="handle", sender_address=f"{channel}:{address}", subject="")
        intake.receive(heard, at=timezone.now(), origin=channel.value)

    return tell


REAL: dict[Channel, Telling] = {
    Channel.EMAIL: by_mail,
    Channel.WEB_FORM: by_form,
    Channel.APP: by_app,
    Channel.PHONE: by_phone,
    Channel.STORE: written_down(Channel.STORE),
    Channel.FIELD: written_down(Channel.FIELD),
    Channel.LETTER: by_letter,
    Channel.SOCIAL_PUBLIC: by_link,
}
EVERY: dict[Channel, Telling] = {channel: REAL.get(channel) or taken_in(channel) for channel in Channel}
LOUDEST: tuple[Loud, ...] = (
    shouted,
    *(place(boast) for boast, place in zip(BOASTS, cycle([after, before]), strict=False)),
    *(ending(tail) for tail in (*SIGNATURES, *EMOJI)),
)
LATER = NOON + timedelta(days=30)


@pytest.fixture(autouse=True)
def _staff() -> None:
    colleague(name="Ada")
    colleague(name="Bob")


@contextmanager
def clock_at(at: datetime) -> Iterator[None]:
    with time_machine.travel(at, tick=False):
        yield


def tell(channel: Channel, words: str, address: str) -> Conversation:
    with clock_at(NOON):
        EVERY[channel](words, address)
    return newest()


def triaged(at: datetime = NOON) -> None:
    while actions.work_batch("triage", at=at):
        pass


def treatment(conversation: Conversation) -> dict[str, Any]:
    """How a conversation was treated, without anything that tells its channel or its customer."""
    conversation.refresh_from_db()
    promised = Promise.objects.filter(conversation=conversation).exclude(kind=PromiseKind.CONFIRMATION)
    decisions = Decision.objects.filter(case__conversation=conversation).select_related("policy_version")
    return {
        "case": Case.objects.filter(conversation=conversation).exists(),
        "promised": {(p.kind, p.given_by.partition(":")[0], p.starts_at, p.due_at) for p in promised},
        "place": queue_key(
            queue_class=conversation.queue_class,
            due_at=conversation.due_at or NOON,
            spoke_at=conversation.spoke_at,
            number=0,
        ),
        "decided": [
            (d.policy_version.number, d.facts_hash, canonical(d.entitlement)) for d in decisions.order_by("pk")
        ],
        "owned": conversation.owner_id is not None,
    }


def in_every_version(conversation: Conversation) -> list[str]:
    """What the facts that stand in the newest decision earn in each version of the rules there is, to the byte."""
    newest_facts = (
        Decision.objects.filter(case__conversation=conversation).order_by("-pk").values_list("facts", flat=True)[0]
    )
    every = PolicyVersion.objects.order_by("number").prefetch_related("rules")
    return [canonical(entitlement_for(Facts.from_data(newest_facts), each.as_policy()).as_data()) for each in every]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_story_is_treated_alike_on_every_channel_however_loudly_and_in_every_version_R048_R059_R075_E05_Q7(
    story: Story,
):
    turn = STORIES.index(story)
    every = [
        versions.approved(number, effective_from=LATER + timedelta(days=number), change=change)
        for number, change in enumerate(versions.CHANGES, 2)
    ]
    calm = {channel: tell(channel, story.words, f"{channel}@home.example") for channel in Channel}
    ways = islice(cycle(LOUDEST), turn * len(Channel), None)  # over all stories every channel meets every way
    loud = {channel: tell(channel, next(ways)(story.words), f"loud.{channel}@home.example") for channel in Channel}
    triaged()
    assert treatment(calm[Channel.EMAIL])["case"] == (story.facts is not None)
    if story.facts is not None:
        by, later = colleague(), every[turn % len(every)]
        for talk in (*calm.values(), *loud.values()):
            case = Case.objects.get(conversation=talk)
            actions.decide(case.pk, facts=story.facts, by=by, at=NOON)
        earned = in_every_version(calm[Channel.EMAIL])
        assert len(set(earned)) > 1
        for talk in calm.values():
            assert in_every_version(talk) == earned
            case = Case.objects.get(conversation=talk)
            actions.decide(case.pk, facts=story.facts, by=by, at=later.effective_from)
    first, loudest = treatment(calm[Channel.EMAIL]), treatment(loud[Channel.EMAIL])
    for channel, talk in calm.items():
        assert treatment(talk) == first, f"{channel} is treated differently"
    for channel, talk in loud.items():
        assert treatment(talk) == loudest, f"{channel}, told loudly, is treated differently"
    if story.facts is None:
        assert loudest == first
    else:  # told loudly it was decided in the first version only
        assert loudest["decided"] == [decided for decided in first["decided"] if decided[0] == 1]
        assert (loudest["case"], loudest["owned"]) == (first["case"], first["owned"])


@pytest.mark.parametrize("story", [GUITAR, STORIES[13], STORIES[-2]], ids=lambda story: story.name)
def test_told_loudly_it_stands_where_it_stands_told_calmly_R059_E04(story: Story):
    """At one instant, before anybody has looked: the order of the queue is the order in which they spoke."""
    spoken = []
    for number, (channel, way) in enumerate(zip(Channel, [*LOUDEST, *LOUDEST], strict=False)):
        words = story.words if number % 2 else way(story.words)
        with clock_at(NOON + timedelta(seconds=number)):
            EVERY[channel](words, f"queue{number}@home.example")
        spoken.append(newest().pk)
    triaged(NOON + timedelta(minutes=1))
    order = Conversation.objects.in_due_order().values_list("pk", flat=True)
    assert list(order) == spoken


@pytest.mark.parametrize(
    "headers",
    [
        "X-Priority: 1 (Highest)\r\n",
        "Importance: high\r\nPriority: urgent\r\n",
        "X-MSMail-Priority: High\r\nPrecedence: special-delivery\r\n",
        "X-Followers: 4000000\r\nX-Verified: true\r\nX-Queue: vip\r\n",
    ],
)
@pytest.mark.parametrize("subject", ["URGENT!!! ANSWER AT ONCE", "[VIP] [PRESS]", "Re: Re: URGENT"])
def test_what_a_sender_writes_into_the_head_of_a_mail_moves_nothing_E04(headers, subject):
    plain = tell(Channel.EMAIL, GUITAR.words, "plain@home.example")
    raw = raw_mail(GUITAR.words, sender="pushy@home.example", subject=subject, extra=headers)
    mails.keep_raw(raw, source="mail:file", label="a.eml", at=NOON)
    mails.ingest_batch(at=NOON)
    pushy = newest()
    assert pushy != plain
    triaged()
    assert treatment(pushy) == treatment(plain)


@pytest.mark.parametrize("channel", Channel)
@pytest.mark.parametrize("from_private", [False, True], ids=["public to private", "private to public"])
def test_going_elsewhere_in_the_middle_is_the_same_case_clock_and_owner_R060_R059(channel: Channel, from_private: bool):
    """Whoever is asked to write in private, or goes public, keeps everything; staying where they were gives no less."""
    begins, goes_on = (channel, Channel.SOCIAL_PUBLIC) if from_private else (Channel.SOCIAL_PUBLIC, channel)
    stayed, moved = (tell(begins, GUITAR.words, f"{who}@home.example") for who in ("stayed", "moved"))
    owner = moved.owner_id
    triaged()
    later = NOON + timedelta(hours=1)
    for talk, medium in ((stayed, begins), (moved, goes_on)):
        more = message("Here is my order number: 4711.", channel=medium, spoke_at=later)
        intake.receive(more, at=later, origin="test", conversation=talk)
    triaged(later)
    assert treatment(moved) == treatment(stayed)
    assert (moved.owner_id, moved.spoke_at) == (owner, NOON)
    assert Case.objects.filter(conversation=moved).count() == 1


# --- the guitar -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", Channel)
def test_the_guitar_is_owned_on_day_0_and_earns_its_repair_on_every_channel_R131_R026_R132(channel: Channel):
    """3,500 is what it is worth, 1,200 is what we owe; nine months later the same, and no window has closed."""
    ada = colleague(Role.AGENT, name="Ada Agent")
    talk = tell(channel, GUITAR.words, f"guitar.{channel}@home.example")
    triaged()
    case = Case.objects.get(conversation=talk)
    assert talk.owner_id is not None  # a named person from the first minute
    owned = actions.own(case.pk, by=ada, at=NOON + timedelta(minutes=20))
    assert (owned.owner, owned.owned_at) == (ada, NOON + timedelta(minutes=20))

    on_day_0 = Facts(GUITAR.facts.complaint_type, loss=Decimal("1200.00"))  # before we failed again
    first = actions.decide(case.pk, facts=on_day_0, by=ada, at=NOON + timedelta(minutes=30))
    assert first.entitlement["owed"] == "1200.00"
    assert {"repair_or_replace", "refund_loss", "apology_by_name", "named_owner"} <= set(first.entitlement["remedies"])

    nine_months_later = NOON + timedelta(days=270)
    second = actions.decide(case.pk, facts=GUITAR.facts, by=ada, at=nine_months_later)
    assert Decimal("1200.00") <= Decimal(second.entitlement["owed"]) < Decimal("1300.00")
    assert set(first.entitlement["remedies"]) <= set(second.entitlement["remedies"])


def test_the_ownership_statement_is_in_the_customers_hands_on_day_0_R131_R132():
    ada = colleague(Role.AGENT, name="Ada Agent")
    talk = tell(Channel.EMAIL, GUITAR.words, "guitar@home.example")
    triaged()
    case = Case.objects.get(conversation=talk)
    actions.own(case.pk, by=ada, at=NOON)
    desk.answer(talk.pk, text="I am Ada, this is mine now. I am sorry.", by=ada, at=NOON, stays_open=True)
    outgoing.send_batch(at=NOON + timedelta(minutes=1))
    sent = OutgoingMessage.objects.get(kind="service")
    assert (sent.state, sent.signed_by) == ("accepted", ada)
    assert "Ada Agent" in sent.text
    answered = Promise.objects.get(conversation=talk, kind=PromiseKind.FIRST_RESPONSE, given_by="everybody")
    assert (answered.state, answered.met_at) == ("met", NOON + timedelta(minutes=1))


def test_a_claim_told_nine_months_late_earns_what_it_earns_on_the_day_R131():
    """There is no filing window: no fact asks when the claim was made, and the same words told later open the same case."""
    early = tell(Channel.EMAIL, GUITAR.words, "early@home.example")
    with clock_at(NOON + timedelta(days=270)):
        by_mail(GUITAR.words, "late@home.example")
    late = newest()
    triaged(NOON + timedelta(days=271))
    ada = colleague()
    owed = {}
    for talk in (early, late):
        case = Case.objects.get(conversation=talk)
        decision = actions.decide(case.pk, facts=GUITAR.facts, by=ada, at=NOON + timedelta(days=271))
        owed[talk.pk] = canonical(decision.entitlement)
        settled = actions.resolve(
            case.pk, outcome=Outcome.UPHELD, explanation="We pay the repair.", by=ada, at=NOON + timedelta(days=271)
        )
        assert settled.outcome == Outcome.UPHELD
    assert owed[early.pk] == owed[late.pk]
