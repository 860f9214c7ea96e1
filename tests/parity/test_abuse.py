"""Ways to bend fairness, from outside and from inside, and what comes of each."""

from __future__ import annotations

import inspect
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given

from crm.actions import desk, intake, owners
from crm.channels import Channel, Part
from crm.models import Conversation, Interaction, Promise
from crm.policy import ConversationState, PromiseKind, PromiseState, QueueClass, Role
from recovery import actions, api
from recovery.admin.cases import FactsForm
from recovery.models import Case, Decision
from recovery.policy import ComplaintType, Facts, Severity, entitlement_for
from tests.conftest import NOON
from tests.crm.stories import colleague, message
from tests.faults.threads import at_once
from tests.metamorphic import many, metamorphic
from tests.parity.loud import BOASTS, shouted
from tests.parity.test_metamorphic import facts, matter, treatment
from tests.parity.told import GUITAR
from tests.parity.versions import POLICIES

WORDS = GUITAR.words


def heard(words: str = WORDS, **changes: object) -> Conversation:
    said = message(words, **{"spoke_at": NOON, **changes})
    return intake.receive(said, at=NOON, origin="test").conversation


def triaged() -> None:
    while actions.work_batch("triage", at=NOON):
        pass


# --- by colleagues --------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_grade_follows_from_facts_and_nobody_can_set_it_E01():
    """No action takes a grade, no door has a field for it; other facts are another decision, and all of them stay on record."""
    for act in (actions.open_case, actions.own, actions.decide, actions.resolve):
        assert not {"severity", "queue_class", "critical", "owed"} & set(inspect.signature(act).parameters)
    assert "severity" not in FactsForm.base_fields
    assert not api.FactsIn(data={"complaint_type": "conduct", "severity": "critical"}).is_valid()
    by, talk = colleague(), heard()
    case = actions.open_case(talk.pk, facts=Facts(), seen_because=["broken"], by=by, at=NOON)
    actions.decide(case.pk, facts=Facts(safety=True), by=by, at=NOON)
    actions.decide(case.pk, facts=Facts(), by=by, at=NOON)
    case.refresh_from_db()
    assert case.severity == Severity.LOW
    told = Decision.objects.filter(case=case).order_by("pk").values_list("decided_by", "entitlement__severity")
    assert list(told) == [(by.pk, "low"), (by.pk, "critical"), (by.pk, "low")]


@pytest.mark.django_db
def test_nothing_but_an_answer_that_leaves_stops_the_clock_E07():
    by, other, talk = colleague(takes=True), colleague(), heard()
    promise = Promise.objects.get(conversation=talk)
    later = NOON + timedelta(hours=1)
    desk.note(talk.pk, text="Waiting for the workshop.", by=by, at=later)
    with pytest.raises(desk.StillPromised):
        desk.close(talk.pk, by=by, at=later)
    for person in (other, by):  # passed from one to the other, it is as due as before
        owners.assign(talk.pk, to=person, by=by, at=later)
    desk.answer(talk.pk, text="We are looking into it.", by=by, at=later)  # written, not gone
    promise.refresh_from_db()
    assert (promise.state, promise.met_at, promise.due_at) == (PromiseState.RUNNING, None, NOON + timedelta(hours=8))


@metamorphic
@many
@given(facts)
def test_only_danger_and_what_people_need_to_live_go_before_everybody_E10(known):
    """Anger, reach and money do not: under every version of the rules a matter is critical for its facts alone."""
    for rules in POLICIES:
        assert entitlement_for(known, rules).critical == (known.safety or known.essential)


# --- by customers ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("boast", BOASTS)
def test_public_anger_is_no_emergency_E10_E05(boast):
    talk = heard(shouted(f"{WORDS} {boast}"), channel=Channel.SOCIAL_PUBLIC)
    triaged()
    talk.refresh_from_db()
    assert talk.queue_class == QueueClass.ORDINARY


@pytest.mark.django_db
def test_the_same_complaint_on_five_channels_stands_no_better_than_on_one_E02():
    """As one matter where the door knows it; and where it cannot know, no copy stands before a neighbour who told it once."""
    twin = heard(sender_address="once@home.example", channel=Channel.LETTER)
    first = heard(sender_address="often@home.example", channel=Channel.EMAIL)
    for number, channel in enumerate([Channel.WEB_FORM, Channel.CHAT, Channel.SOCIAL_PUBLIC, Channel.REVIEW], 1):
        at = NOON + timedelta(minutes=number)
        again = matter(WORDS, address="often@home.example", channel=channel)
        intake.receive(again, at=at, origin="test", conversation=first)
        copy = message(WORDS, sender_address="often@home.example", channel=channel, spoke_at=at)
        intake.receive(copy, at=at, origin="test")
    triaged()
    assert treatment(first) == treatment(twin)
    assert Case.objects.filter(conversation=first).count() == 1
    order = list(Conversation.objects.in_due_order().values_list("pk", flat=True))
    assert order[:2] == [twin.pk, first.pk]
    assert set(Conversation.objects.filter(customer=first.customer).values_list("owner", flat=True)) == {first.owner_id}


@pytest.mark.django_db
def test_a_hundred_messages_are_one_case_and_no_better_place_E12():
    twin, talk = heard(), heard(sender_address="often@home.example")
    for number in range(100):
        more = message(
            f"{WORDS} {number}", sender_address="often@home.example", spoke_at=NOON + timedelta(seconds=number)
        )
        intake.receive(more, at=NOON + timedelta(seconds=number), origin="test", conversation=talk)
    triaged()
    assert Interaction.objects.filter(conversation=talk).count() == 101
    assert Case.objects.filter(conversation=talk).count() == 1
    assert treatment(talk) == treatment(twin)


@pytest.mark.django_db(transaction=True)
def test_two_workers_and_two_channels_in_one_second_open_one_case_E13():
    """Both messages of one matter are heard at once: one case, the same promises as for a single one."""
    colleague()
    single, talk = heard(), heard(sender_address="often@home.example")
    other = matter(f"{WORDS} Now by chat.", address="often@home.example", channel=Channel.CHAT)
    intake.receive(other, at=NOON, origin="test", conversation=talk)
    at_once(*[triaged] * 4)
    assert Case.objects.filter(conversation=talk).count() == 1
    assert treatment(talk) == treatment(single)


# --- by circumstances -----------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("channel", Channel)
def test_a_channel_that_was_down_for_six_hours_costs_its_customers_nothing_E15(channel):
    """The promise counts from when they spoke, so what was held up stands before what came in time."""
    said = message(WORDS, channel=channel, spoke_at=NOON)
    late = intake.receive(said, at=NOON + timedelta(hours=6), origin="test").conversation
    fresh = message(WORDS, spoke_at=NOON + timedelta(hours=5))
    intake.receive(fresh, at=NOON + timedelta(hours=5), origin="test")
    answer = Promise.objects.get(conversation=late, kind=PromiseKind.FIRST_RESPONSE)
    assert (answer.starts_at, answer.due_at) == (NOON, NOON + timedelta(hours=8))
    assert Conversation.objects.in_due_order().first() == late


@pytest.mark.django_db
def test_a_file_that_is_looked_at_first_moves_no_clock_E18():
    photo = Part("neck.jpg", "image/jpeg", "image/jpeg", 3, b"abc", "stored", "")
    with_file, without = heard(attachments=(photo,)), heard()
    triaged()
    assert treatment(with_file) == treatment(without)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("de", "Das Glas ist zerbrochen angekommen."),
        ("fr", "La lampe est arrivée cassée."),
        ("es", "El paquete nunca llegó."),
        ("en", "The glass arrived broken."),
    ],
)
def test_a_language_is_no_reason_E20(language, words):
    talk, plain = heard(words, language=language), heard("The lamp arrived broken.")
    triaged()
    assert talk.state == ConversationState.OPEN
    assert treatment(talk) == treatment(plain)


@pytest.mark.django_db
def test_what_was_looked_at_by_two_roles_is_decided_alike_E16():
    """Who notes the facts and on which channel they were told leaves the remedies as they are."""
    known = Facts(ComplaintType.DAMAGED_ITEM, loss=Decimal("80.00"), days_without=3)
    owed = set()
    for role, channel in ((Role.AGENT, Channel.SOCIAL_PUBLIC), (Role.LEAD, Channel.LETTER)):
        by = colleague(role)
        case = actions.open_case(heard(channel=channel).pk, facts=Facts(), seen_because=[], by=by, at=NOON)
        decision = actions.decide(case.pk, facts=known, by=by, at=NOON)
        owed.add(decision.entitlement_hash)
    assert len(owed) == 1
