"""One treatment through every door: the same words at the same moment earn the same promises, the same entitlement and the same
place in the queue, whoever watches (R048, R059, R131, N2, Q7)."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
import time_machine

from crm.actions import desk, elsewhere, outgoing
from crm.models import ContactPoint, Conversation, OutgoingMessage, Promise
from crm.policy import PromiseKind, Role, queue_key
from recovery import actions
from recovery.models import Case, Decision
from recovery.policy import ComplaintType, Facts, Outcome, canonical
from tests.conftest import NOON
from tests.crm.stories import colleague
from tests.parity.doors import DOORS, WITHOUT_A_WAY_BACK, newest

pytestmark = pytest.mark.django_db

WORDS = "My guitar came back from you with a broken neck. Nobody has answered me for three days."
GUITAR = Facts(ComplaintType.DAMAGED_ITEM, loss=Decimal("1200.00"), currency="EUR", days_without=3, our_failures=2)


@pytest.fixture(autouse=True)
def _staff() -> None:
    colleague(name="Ada")
    colleague(name="Bob")


def told_through(door: str, words: str, *, address: str) -> Conversation:
    with time_machine.travel(NOON, tick=False):
        DOORS[door](words, address)
    return newest()


def promised(conversation: Conversation) -> set[tuple[str, str, Any, Any]]:
    """Everything promised, but for the written confirmation that replaces the writing a talk does not have."""
    rows = Promise.objects.filter(conversation=conversation).exclude(kind=PromiseKind.CONFIRMATION)
    return {(p.kind, p.given_by.partition(":")[0], p.starts_at, p.due_at) for p in rows}


def given_number(conversation: Conversation) -> None:
    """Somebody who spoke in public tells us where they can be called."""
    ContactPoint.objects.create(customer=conversation.customer, kind="phone", address="+493012345678", created_at=NOON)


def treated(conversation: Conversation) -> dict[str, Any]:
    """How a conversation was treated, without anything that tells its door."""
    conversation.refresh_from_db()
    case = Case.objects.filter(conversation=conversation).first()
    decisions = [
        (d.facts_hash, canonical(d.entitlement), d.policy_version.number)
        for d in Decision.objects.filter(case=case).select_related("policy_version").order_by("pk")
    ]
    return {
        "promises": promised(conversation),
        "place": queue_key(
            queue_class=conversation.queue_class, due_at=conversation.due_at, spoke_at=conversation.spoke_at, number=0
        ),
        "owned": conversation.owner_id is not None,
        "severity": case and case.severity,
        "decisions": decisions,
    }


def test_the_guitar_earns_the_same_through_every_door_R131_R026():
    treatments = {}
    for number, door in enumerate(DOORS):
        conversation = told_through(door, WORDS, address=f"guitar{number}@home.example")
        while actions.work_batch("triage", at=NOON):
            pass
        case = Case.objects.get(conversation=conversation)
        actions.decide(case.pk, facts=GUITAR, by=colleague(), at=NOON)
        treatments[door] = treated(conversation)
    (first, treatment), *others = treatments.items()
    assert treatment["owned"]
    assert treatment["decisions"]
    for door, other in others:
        assert other == treatment, f"{door} was treated differently from {first}"


@pytest.mark.parametrize(
    "words",
    [
        WORDS,
        "Thank you, the new strings sound lovely.",
        "Could you tell me your opening hours?",
        "You charged me twice for the same ticket.",
        "Ihr habt mir das falsche Kleid geschickt, und es ist kaputt.",
    ],
)
def test_the_same_words_are_promised_the_same_to_the_second(words):
    treatments = []
    for number, door in enumerate(DOORS):
        conversation = told_through(door, words, address=f"words{number}@home.example")
        while actions.work_batch("triage", at=NOON + timedelta(seconds=5)):
            pass
        treatments.append((door, treated(conversation)))
    for (one, first), (two, second) in pairwise(treatments):
        assert first == second, f"{one} and {two} differ"


def test_in_the_queue_they_stand_in_the_order_they_spoke_whatever_door_they_used_R059():
    spoken = []
    for number, door in enumerate([*DOORS, *reversed(DOORS)]):
        with time_machine.travel(NOON + timedelta(seconds=number), tick=False):
            DOORS[door](WORDS, f"queue{number}@home.example")
        spoken.append(newest().pk)
    assert list(Conversation.objects.in_due_order().values_list("pk", flat=True)) == spoken


@pytest.mark.parametrize(
    "loudness",
    [
        "I have four million followers and they all read this.",
        "I AM TELLING THE PRESS!!!",
        "My lawyer will write to you.",
        "This goes on every social network there is.",
        "URGENT!!! ANSWER AT ONCE!!!",
    ],
)
@pytest.mark.parametrize("door", DOORS)
def test_being_loud_earns_no_more_R075_E04_E05(door, loudness):
    calm = told_through(door, WORDS, address="calm@home.example")
    loud = told_through(door, f"{WORDS} {loudness}", address="loud@home.example")
    while actions.work_batch("triage", at=NOON):
        pass
    assert treated(calm) == treated(loud)


@pytest.mark.parametrize("door", sorted(WITHOUT_A_WAY_BACK - {"phone"}))
def test_an_answer_given_by_hand_counts_as_one_that_leaves_from_here_R028(door):
    """The same question answered in the same moment: the promise, the first answer, the place and the case come out alike."""
    by_hand = told_through(door, WORDS, address="hand@home.example")
    by_mail = told_through("mail", WORDS, address="mail@home.example")
    while actions.work_batch("triage", at=NOON):
        pass
    ada, at = colleague(name="Ada"), NOON + timedelta(hours=1)
    Conversation.objects.update(owner=ada)
    where = elsewhere.Given(url="https://forum.example/t/7#2", text="We are on it.")
    elsewhere.log(by_hand.pk, where, by=ada, at=at)
    desk.answer(by_mail.pk, text="We are on it.", by=ada, at=at)
    assert outgoing.send_batch(at=at)

    def met(conversation: Conversation) -> Any:
        rows = Promise.objects.filter(conversation=conversation).exclude(kind=PromiseKind.CONFIRMATION)
        return sorted(rows.values_list("kind", "state", "due_at", "met_at"))

    for one in (by_hand, by_mail):
        one.refresh_from_db()
    assert treated(by_hand) == treated(by_mail)
    assert met(by_hand) == met(by_mail)
    assert (by_hand.state, by_hand.first_answer_at, by_hand.last_outbound_at) == (
        by_mail.state,
        by_mail.first_answer_at,
        by_mail.last_outbound_at,
    )


@pytest.mark.parametrize("door", DOORS)
def test_the_whole_story_ends_the_same_through_every_door(door):
    owner, in_public = colleague(Role.AGENT, name="Ada"), door in ("mastodon", "x")
    conversation = told_through(door, WORDS, address="story@home.example")
    if door in WITHOUT_A_WAY_BACK:  # they are found, and get it by mail
        with pytest.raises(desk.NoWayBack):
            desk.answer(conversation.pk, text="We are on it.", by=owner, at=NOON)
        if door != "phone":
            given_number(conversation)
        caller = conversation.customer.contact_points.get(kind="phone").address
        call = desk.Call(
            key="again", phone=caller, email="story@home.example", said="Is it noted?", agreed="Yes: we will mend it."
        )
        desk.log_call(call, by=owner, at=NOON)
    else:
        desk.answer(conversation.pk, text="We are on it.", by=owner, at=NOON, public=in_public)
    while actions.work_batch("triage", at=NOON):
        pass
    case = Case.objects.get(conversation=conversation)
    actions.decide(case.pk, facts=GUITAR, by=owner, at=NOON)
    told = "We pay the repair, and something on top."  # how much is nobody else's business (P03)
    actions.resolve(case.pk, outcome=Outcome.UPHELD, explanation=told, by=owner, at=NOON, public=in_public)
    assert outgoing.send_batch(at=NOON)
    while actions.work_batch("recovery", at=NOON):
        pass

    case.refresh_from_db()
    assert case.confirmed_at == NOON
    assert set(OutgoingMessage.objects.values_list("state", flat=True)) == {"accepted"}
    resolved = Promise.objects.filter(conversation=conversation, kind=PromiseKind.RESOLUTION)
    assert {p.state for p in resolved} == {"met"}
    assert not Promise.objects.filter(conversation=conversation, kind=PromiseKind.FIRST_RESPONSE).unmet().exists()
