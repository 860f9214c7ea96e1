"""Random stories told twice: what may not matter is changed, and everything that follows must stay as it was.

1,000 stories a promise, 100,000 with `make metamorphic`; the calendars' own stories are in tests/crm/test_calendars.py.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from crm import policy as crm_policy
from crm.actions import intake
from crm.actions.intake import SPOKEN
from crm.channels import Channel, Message
from crm.language import complaints
from crm.models import Conversation, Interaction, Promise
from crm.policy import ALWAYS, Calendar, PromiseKind, queue_key
from crm.policy.calendars import after
from recovery import actions, api
from recovery.admin.cases import FactsForm
from recovery.models import Case
from recovery.policy import ComplaintType, Facts, canonical, entitlement_for, fingerprint
from tests.conftest import NOON
from tests.crm.stories import message
from tests.metamorphic import fewer, many, metamorphic
from tests.parity.loud import BOASTS, EMOJI, LOUD, SIGNATURES, Loud, shouted
from tests.parity.told import STORIES
from tests.parity.versions import POLICIES

pytestmark = metamorphic

facts = st.builds(
    Facts,
    complaint_type=st.sampled_from(ComplaintType),
    loss=st.decimals(min_value=0, max_value=100_000, places=2),
    currency=st.sampled_from(["EUR", "USD", "GBP"]),
    days_without=st.integers(0, 400),
    our_failures=st.integers(0, 99),
    safety=st.booleans(),
    essential=st.booleans(),
    vulnerable=st.booleans(),
)
channels = st.sampled_from(list(Channel))
OFFICE = Calendar(
    "Europe/Berlin", (((540, 750), (810, 1080)),) * 5 + (((600, 720),), ()), {date(2030, 12, 24): ((540, 720),)}
)
CALENDARS = [ALWAYS, OFFICE, Calendar("America/St_Johns", (((0, 1440),),) * 7)]
times = st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2040, 1, 1), timezones=st.just(UTC))
words = st.lists(st.sampled_from([story.words for story in STORIES]), min_size=1, max_size=3).map(" ".join)


# --- decisions ------------------------------------------------------------------------------------------------------


def noted_on_the_page(known: Facts) -> Facts:
    """What the admin's form makes of facts that a colleague notes."""
    values = {**known.as_data(), **{f.name: "on" for f in fields(known) if getattr(known, f.name) is True}}
    form = FactsForm({name: str(value) for name, value in values.items() if value is not False})
    assert form.is_valid(), form.errors
    return form.facts()


def noted_by_the_api(known: Facts) -> Facts:
    """What the API makes of them: amounts in the smallest unit."""
    given_in = api.FactsIn(data={**known.as_data(), "loss": int(known.loss * 100)})
    assert given_in.is_valid(), given_in.errors
    return api.facts_of(given_in.validated_data)


@many
@given(facts, channels, channels)
def test_a_decision_is_the_same_bytes_whatever_channel_and_however_it_was_noted_R048_E06_Q7(known, one, other):
    """Facts know no channel; here they are noted for talks on two channels, on the page for one and by the API for the other."""
    heard = {channel: note(known) for channel, note in ((one, noted_on_the_page), (other, noted_by_the_api))}
    for rules in POLICIES:
        plain = canonical(entitlement_for(known, rules).as_data())
        for channel, told in heard.items():
            assert canonical(entitlement_for(told, rules).as_data()) == plain, channel
            assert fingerprint(told.as_data()) == fingerprint(known.as_data())


@many
@given(
    facts,
    st.sampled_from(["channel", "followers", "reach", "press", "verified", "threat", "sentiment", "provider"]),
    channels,
)
def test_what_is_smuggled_beside_the_facts_is_refused_E06_R075(known, smuggled, value):
    with pytest.raises(ValueError, match="no facts"):
        Facts.from_data({**known.as_data(), smuggled: value})
    with pytest.raises(actions.UnusableFacts):
        actions.facts_from({**{field.name: getattr(known, field.name) for field in fields(known)}, smuggled: value})


@many
@given(facts, times, st.sampled_from(CALENDARS), channels, channels)
def test_every_deadline_is_the_same_to_the_second_on_every_channel_R048(known, spoke_at, calendar, one, other):
    """What everybody is promised, with what the rules promise for these facts: the place in the queue follows from both."""

    def placed(channel: Channel) -> tuple[object, ...]:
        usual = crm_policy.default_promises(spoke_at, spoken=channel in SPOKEN, calendar=calendar)
        return tuple(
            crm_policy.queue_due(
                [
                    *((promise.kind, promise.due_at) for promise in usual),
                    *(
                        (kind, after(calendar, spoke_at, within))
                        for kind, within in entitlement_for(known, rules).within.items()
                    ),
                ]
            )
            for rules in POLICIES
        )

    assert placed(one) == placed(other)


# --- the queue ------------------------------------------------------------------------------------------------------

moments = st.integers(0, 10**5).map(lambda minutes: NOON + timedelta(minutes=minutes))  # few enough to meet twice
places = st.lists(st.tuples(st.integers(0, 1), moments, moments), min_size=2, max_size=12).map(
    lambda rows: [(*row, number) for number, row in enumerate(rows)]
)


@many
@given(places, st.randoms(use_true_random=False))
def test_the_order_of_the_queue_does_not_depend_on_who_is_looked_at_first_R059(standing, chance):
    def ordered(rows: Sequence[tuple[int, datetime, datetime, int]]) -> list[tuple[object, ...]]:
        return sorted(queue_key(queue_class=c, due_at=d, spoke_at=s, number=n) for c, d, s, n in rows)

    dealt = list(standing)
    chance.shuffle(dealt)
    assert ordered(dealt) == ordered(standing)


@many
@given(places, st.randoms(use_true_random=False))
def test_taking_one_out_leaves_the_order_of_the_others_R059(standing, chance):
    """Nobody's place depends on who else waits: a public post beside them, or a hundred."""
    keys = {n: queue_key(queue_class=c, due_at=d, spoke_at=s, number=n) for c, d, s, n in standing}
    gone = chance.choice(list(keys))
    order = sorted(keys, key=keys.__getitem__)
    assert [n for n in order if n != gone] == sorted((n for n in keys if n != gone), key=keys.__getitem__)


# --- hearing a complaint --------------------------------------------------------------------------------------------

loud = st.lists(st.sampled_from(LOUD), min_size=1, max_size=4)


def told(plain: str, ways: list[Loud]) -> str:
    """Signatures and emoji stand at the end, whatever else is put around the words."""
    tails = {"".join(tail.split()) for tail in (*SIGNATURES, *EMOJI)}
    ends = [way for way in ways if "".join(way("").split()) in tails]
    for way in [*(way for way in ways if way not in ends), *ends[:1]]:
        plain = way(plain)
    return plain


@many
@given(words, loud)
def test_being_loud_makes_no_complaint_and_hides_none_E04_E05_R075(plain, ways):
    assert complaints.spot(told(plain, ways)).is_complaint == complaints.spot(plain).is_complaint


@many
@given(
    st.lists(st.sampled_from([*BOASTS, *EMOJI]), min_size=1, max_size=6),
    st.sampled_from(["", *SIGNATURES]),
    st.booleans(),
)
def test_being_loud_about_nothing_is_no_complaint_E04_E05(parts, signature, loudly):
    said = " ".join(parts) + signature
    assert not complaints.spot(shouted(said) if loudly else said).is_complaint


@many
@given(words, st.sampled_from(["  ", "\n", " \t ", "\u00a0", "!"]))
def test_white_space_and_exclamation_marks_change_nothing(plain, between):
    assert complaints.spot(plain.replace(". ", "." + between)).is_complaint == complaints.spot(plain).is_complaint


# --- the order in which things come, told to the database -----------------------------------------------------------


def treatment(conversation: Conversation) -> tuple[object, ...]:
    """What a customer has from us, without what tells one customer from another."""
    conversation.refresh_from_db()
    promised = Promise.objects.filter(conversation=conversation).exclude(kind=PromiseKind.CONFIRMATION)
    case = Case.objects.filter(conversation=conversation).first()
    return (
        conversation.queue_class, conversation.due_at, conversation.spoke_at,
        {(promise.kind, promise.starts_at, promise.due_at) for promise in promised},
        case and case.severity, case and [canonical(d.entitlement) for d in case.decisions.order_by("pk")],
    )  # fmt: skip


def take_in(said: Sequence[Message], *, of: Conversation | None = None) -> Conversation:
    """Take these in, one after the other, as one matter."""
    for each in said:
        of = intake.receive(each, at=max(NOON, each.spoke_at or NOON), origin="test", conversation=of).conversation
    while actions.work_batch("triage", at=NOON + timedelta(minutes=1)):
        pass
    assert of is not None
    return of


def matter(plain: str, *, address: str, channel: Channel) -> Message:
    return replace(message(plain, sender_address=address), channel=channel, spoke_at=NOON)


@contextmanager
def undone() -> Iterator[None]:
    """What a story writes is taken back after it."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.mark.django_db
@fewer
@given(words, channels, channels, loud, st.integers(2, 12), st.randoms(use_true_random=False))
def test_saying_it_again_and_again_on_any_channel_moves_nobody_forward_E02_E12(
    plain, one, other, ways, times_said, chance
):
    """The same words again, loudly, on another channel, each delivered twice: one matter, one place, one case at most."""
    with undone():
        single = take_in([matter(plain, address="calm@home.example", channel=one)])
        first = matter(plain, address="loud@home.example", channel=one)
        again = [
            replace(
                message(told(plain, ways), sender_address="loud@home.example"),
                channel=other,
                spoke_at=NOON + timedelta(seconds=n),
            )
            for n in range(1, times_said)
        ]
        delivered = [*again, *again]
        chance.shuffle(delivered)
        often = take_in([first, *delivered])
        assert Interaction.objects.filter(conversation=often).count() == times_said
        assert Case.objects.filter(conversation=often).count() == Case.objects.filter(conversation=single).count()
        assert treatment(often) == treatment(single)


@pytest.mark.django_db
@fewer
@given(
    st.lists(st.tuples(words, channels, st.integers(0, 600)), min_size=2, max_size=6), st.randoms(use_true_random=False)
)
def test_the_order_in_which_messages_reach_us_changes_no_treatment_Q7_E13(said, chance):
    """Each comes from somebody else; however late the one or the other reaches us, what they are owed is the same."""

    def treated(order: Sequence[int], who: str) -> dict[int, tuple[object, ...]]:
        found = {}
        for number in order:
            plain, channel, seconds = said[number]
            single = matter(plain, address=f"{who}{number}@home.example", channel=channel)
            late = replace(single, spoke_at=NOON - timedelta(seconds=seconds))
            found[number] = take_in([late])
        return {number: treatment(conversation) for number, conversation in found.items()}

    with undone():
        dealt = list(range(len(said)))
        chance.shuffle(dealt)
        assert treated(range(len(said)), "one") == treated(dealt, "other")


def test_the_stories_are_not_all_alike():
    heard = [complaints.spot(story.words).is_complaint for story in STORIES]
    assert heard == [story.facts is not None for story in STORIES]
    assert len({story.words for story in STORIES}) == len(STORIES) >= 21
    assert random.Random(1).choice(STORIES).facts is None or Decimal(0) <= STORIES[0].facts.loss
