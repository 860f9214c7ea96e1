"""Served again with other channels, and who was served out of order and why: without a database."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.channels import Channel
from crm.policy import QueueClass, queue_key
from recovery.parity import shadow
from recovery.parity.shadow import Arrival, Begun, Cause, Key, Stand
from tests.conftest import NOON

EVERY = list(Channel.values)
ADA, BOB = 1, 2
EVENING = NOON + timedelta(days=1)


def by_key(arrival: Arrival, stand: Stand, _channel: str) -> Key:
    """The product's key: it cannot look at the channel."""
    return queue_key(
        queue_class=stand.queue_class, due_at=stand.promised[0][1], spoke_at=arrival.spoke_at, number=arrival.number
    )


def loud_first(arrival: Arrival, stand: Stand, channel: str) -> Key:
    """A planted queue: social media goes before everybody else."""
    return (channel != Channel.SOCIAL_PUBLIC, *by_key(arrival, stand, channel))


def sooner_in_writing(arrival: Arrival, stand: Stand, channel: str) -> Key:
    """A planted queue: the written confirmation of a talk moves callers forward."""
    key = by_key(arrival, stand, channel)
    return (key[0], key[1] - timedelta(hours=7) if channel == Channel.PHONE else key[1], *key[2:])


def minute(number: float) -> datetime:
    return NOON + timedelta(minutes=number)


def matter(
    number: int,
    *,
    spoke: float,
    begun: float | None = None,
    by: int | None = ADA,
    lag: float = 0,
    hours: float = 8,
    critical: bool = False,
    channel: str = Channel.EMAIL,
    reason: str = "",
    live: bool = False,
    owner: int | None = None,
    skill: str = "",
) -> Arrival:
    due_at = minute(spoke) + timedelta(hours=hours)
    place = Stand(minute(spoke + lag), 0 if critical else 1, (("first_response", due_at),))
    return Arrival(
        number=number,
        ref=f"matter {number}",
        channel=channel,
        spoke_at=minute(spoke),
        ingested_at=minute(spoke + lag),
        stands=(place,),
        skill=skill,
        owner=owner,
        begun=None if begun is None else Begun(minute(begun), by, reason, live),
    )


def busy_day(number: int, *, seed: int = 1, colleagues: int = 12) -> list[Arrival]:
    """So many matters over a day; most are begun, by whoever, some out of order."""
    chance = random.Random(seed)
    made = []
    for n in range(number):
        spoke = chance.uniform(0, 600)
        begun = spoke + chance.expovariate(1 / 60)
        made.append(
            matter(
                n,
                spoke=spoke,
                begun=begun if chance.random() < 0.9 else None,
                by=chance.randint(1, colleagues),
                lag=chance.choice([0, 0, 0, 5, 90]),
                hours=chance.choice([1, 4, 8, 24]),
                critical=chance.random() < 0.05,
                channel=chance.choice(EVERY),
                owner=chance.choice([None, *range(1, colleagues + 3)]),
                skill=chance.choice(["", "damaged_item", "conduct"]),
                reason=chance.choice(["", "", "", "same_cause"]),
                live=chance.random() < 0.1,
            )
        )
    return made


# --- served again ---------------------------------------------------------------------------------------------------


def tried(arrivals: Sequence[Arrival], place: shadow.Place) -> tuple[int, list[shadow.Difference]]:
    moments = [each.begun.at for each in arrivals if each.begun]
    return shadow.differences(arrivals, moments=moments, every=EVERY, seed="2026-03-02", place=place)


def test_the_products_key_serves_the_same_whatever_the_channels_Q7():
    swaps, found = tried(busy_day(400), by_key)
    assert swaps == shadow.SHUFFLES + 1
    assert found == []


@pytest.mark.parametrize("planted", [loud_first, sooner_in_writing])
def test_a_queue_that_looks_at_the_channel_is_found(planted):
    _swaps, found = tried(busy_day(400), planted)
    assert found
    assert found[0].expected != found[0].found


def test_it_is_found_even_on_a_day_with_one_channel():
    day = [matter(n, spoke=n, hours=1 + n % 3, channel=Channel.PHONE) for n in range(10)]
    mixed = [replace(each, channel=Channel.CHAT) if each.number == 3 else each for each in day]
    assert tried(mixed, sooner_in_writing)[1]


def test_facts_that_became_known_move_a_matter_from_then_on():
    slow, grave = matter(1, spoke=0), matter(2, spoke=1)
    grave = replace(grave, stands=(*grave.stands, replace(grave.stands[0], since=minute(30), queue_class=0)))
    labels = [Channel.EMAIL] * 2
    assert shadow.served([slow, grave], labels, [minute(10)], place=by_key) == [0, 1]
    assert shadow.served([slow, grave], labels, [minute(31)], place=by_key) == [1, 0]


def test_whoever_has_not_reached_us_is_not_served():
    late, here = matter(1, spoke=0, lag=60), matter(2, spoke=10)
    assert shadow.served([late, here], [Channel.LETTER] * 2, [minute(20), minute(70)], place=by_key) == [1, 0]


@given(st.integers(0, 10**6), st.integers(2, 40))
def test_any_day_is_served_the_same_R059(seed, number):
    assert tried(busy_day(number, seed=seed), by_key)[1] == []


# --- what happened --------------------------------------------------------------------------------------------------


def looked_at(
    arrivals: Sequence[Arrival],
    *,
    at_work: set[int] | None = None,
    lacking: dict[int, set[str]] | None = None,
    listed: int = 200,
) -> shadow.Inversions:
    return shadow.inversions(
        arrivals,
        place=by_key,
        at_work={ADA, BOB} if at_work is None else at_work,
        lacking=lacking or {},
        since=NOON,
        until=EVENING,
        listed=listed,
    )


def test_in_order_there_is_nothing_to_tell():
    found = looked_at([matter(n, spoke=n, begun=100 + n) for n in range(20)])
    assert (found.begun, found.total, found.gravest) == (20, 0, [])


@pytest.mark.parametrize(
    ("first", "passed", "cause"),
    [
        ({}, {}, Cause.UNEXPLAINED),
        ({}, {"owner": ADA}, Cause.UNEXPLAINED),
        ({}, {"owner": BOB}, Cause.OWNERS_MATTER),
        ({}, {"owner": 7}, Cause.OWNER_AWAY),
        ({}, {"skill": "conduct"}, Cause.CERTIFICATE),
        ({}, {"skill": "conduct", "owner": BOB}, Cause.CERTIFICATE),
        ({}, {"lag": 90}, Cause.INGEST_LAG),
        ({"live": True}, {"owner": 7}, Cause.LIVE),
        ({"reason": "same_cause"}, {"skill": "conduct"}, Cause.REASON),
    ],
)
def test_every_inversion_has_its_cause(first, passed, cause):
    day = [
        matter(1, spoke=0, channel=Channel.LETTER, begun=120, **passed),
        matter(2, spoke=10, channel=Channel.SOCIAL_PUBLIC, begun=60, **first),
    ]
    found = looked_at(day, lacking={ADA: {"conduct"}})
    assert found.counts == {(cause, Channel.SOCIAL_PUBLIC, Channel.LETTER): 1}
    (line,) = found.gravest
    assert (day[line.begun].number, day[line.passed].number, line.cause, line.number) == (2, 1, cause, 1)


def test_whoever_came_later_or_was_promised_later_is_not_passed_over():
    assert not looked_at([matter(1, spoke=0, begun=50), matter(2, spoke=60, hours=1, begun=70)]).total
    assert not looked_at([matter(1, spoke=0, begun=50, hours=1), matter(2, spoke=1, begun=60)]).total


def test_somebody_who_is_never_begun_is_passed_over_too():
    assert looked_at([matter(1, spoke=0), matter(2, spoke=1, begun=60), matter(3, spoke=2, begun=61)]).total == 2


def test_what_was_begun_on_another_day_is_told_on_that_day():
    early = matter(2, spoke=-100, begun=-5)
    assert not looked_at([matter(1, spoke=-200), early]).total
    assert looked_at([matter(1, spoke=-200), replace(early, begun=Begun(minute(5), ADA))]).total == 1


def test_a_matter_counts_as_grave_only_from_when_its_facts_were_known():
    grave = matter(2, spoke=5, begun=120)
    grave = replace(grave, stands=(*grave.stands, replace(grave.stands[0], since=minute(90), queue_class=0)))
    assert not looked_at([matter(1, spoke=0, begun=60), grave]).total
    assert looked_at([matter(1, spoke=0, begun=100), grave]).total == 1


def test_the_gravest_come_first_and_only_so_many_are_listed():
    day = [
        matter(1, spoke=0, hours=24, begun=500),
        matter(2, spoke=0, hours=1, critical=True, begun=490),
        *(matter(n, spoke=1, hours=30, begun=10 + n) for n in range(3, 40)),
    ]
    found = looked_at(day, listed=5)
    assert len(found.gravest) == 5
    assert {day[line.passed].number for line in found.gravest} == {2}
    assert found.total == 2 * 37


def plainly(
    arrivals: Sequence[Arrival], *, at_work: set[int], lacking: dict[int, set[str]]
) -> Counter[tuple[Cause, str, str]]:
    """The same by looking at every pair."""
    found: Counter[tuple[Cause, str, str]] = Counter()
    for one in arrivals:
        if one.begun is None or not NOON <= one.begun.at < EVENING:
            continue
        for other in arrivals:
            waits = other.spoke_at <= one.begun.at and other is not one
            if not waits or by_key(other, other.stands[0], "") > by_key(one, one.stands[0], ""):
                continue
            if other.begun is not None and max(other.begun.at, other.spoke_at) <= max(one.begun.at, one.spoke_at):
                continue
            if other.ingested_at > one.begun.at:
                cause = Cause.INGEST_LAG
            elif one.begun.live:
                cause = Cause.LIVE
            elif one.begun.reason:
                cause = Cause.REASON
            elif other.skill in lacking.get(one.begun.by or 0, set()):
                cause = Cause.CERTIFICATE
            elif other.owner in (None, one.begun.by):
                cause = Cause.UNEXPLAINED
            else:
                cause = Cause.OWNERS_MATTER if other.owner in at_work else Cause.OWNER_AWAY
            found[cause, one.channel, other.channel] += 1
    return found


@given(st.integers(0, 10**6), st.integers(2, 60))
def test_counting_in_one_sweep_gives_what_looking_at_every_pair_gives(seed, number):
    day = busy_day(number, seed=seed, colleagues=4)
    at_work, lacking = {1, 2, 3, 4}, {1: {"conduct"}, 2: {"conduct", "damaged_item"}}
    assert looked_at(day, at_work=at_work, lacking=lacking).counts == plainly(day, at_work=at_work, lacking=lacking)


def test_ten_thousand_matters_a_day_are_looked_at_within_seconds():
    day = busy_day(10_000, colleagues=40)
    began = time.process_time()
    found = looked_at(day, at_work=set(range(1, 41)), lacking={n: {"conduct"} for n in range(1, 20)})
    swaps, differing = tried(day, by_key)
    spent = time.process_time() - began
    print(f"{found.total:,} inversions of {found.begun:,} matters and {swaps} swaps in {spent:.1f} s")
    assert spent < 20
    assert len(found.gravest) == shadow.LISTED
    assert not differing


def test_the_classes_are_those_of_the_queue():
    assert (QueueClass.CRITICAL, QueueClass.ORDINARY) == (0, 1)
