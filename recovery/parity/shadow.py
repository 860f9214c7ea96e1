"""Does the order of the queue depend on the channel? A day's arrivals are dealt other channels and served again, and what
really happened is compared with the order that should have been.

Level 2 of the channel-swap promise (docs/adr/0014). Nothing here decides or writes; the places come from the product's own
queue code, which is handed in.
"""

from __future__ import annotations

import heapq
import random
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

LISTED = 200
SHUFFLES = 5

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Stand:
    """What places a matter from a moment on. promised: (promise kind, due at) beside what everybody is promised."""

    since: datetime
    queue_class: int
    promised: tuple[tuple[str, datetime], ...] = ()


@dataclass(frozen=True, slots=True)
class Begun:
    """When somebody of ours began with a matter, and who. reason: code of a reason out of order. live: they were talking.

    credit_from: a credit moved it before such as are due from then on, before nobody else; None where none did.
    """

    at: datetime
    by: int | None
    reason: str = ""
    live: bool = False
    credit_from: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One matter that waited for us. Times are aware.

    number: the matter's own, the last part of its place. opens: its first message, which earns what everybody is promised.
    stands: in order of time, the first since it reached us; another one when its facts became known. skill: what somebody
    has to be certified for to take it, "" for nothing. region: whose service hours count. begun: None while nobody has.
    """

    number: int
    ref: str
    channel: str
    spoke_at: datetime
    ingested_at: datetime
    stands: tuple[Stand, ...]
    opens: bool = True
    skill: str = ""
    region: str = ""
    owner: int | None = None
    begun: Begun | None = None


Place = Callable[[Arrival, Stand, str], Key]
"""The product's queue code: where this matter would stand, had it come on that channel; begins with class and due time."""


# --- served again with other channels -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Difference:
    """A place in the order of service that another matter takes once the channels are dealt anew."""

    swap: int
    place: int
    expected: str
    found: str


def served(
    arrivals: Sequence[Arrival], channels: Sequence[str], moments: Sequence[datetime], *, place: Place
) -> list[int]:
    """Serve all arrivals by the queue code as if they had come on these channels, by people who can do everything.

    moments: when somebody was free. Whoever is first then is served; the rest is served in order at the end.
    Returns positions in `arrivals`, in order of service.
    """
    entries = sorted(
        (stand.since, position, turn)
        for position, arrival in enumerate(arrivals)
        for turn, stand in enumerate(arrival.stands)
    )
    waiting: list[tuple[Key, int, int]] = []
    turns: dict[int, int] = {}  # where each stands now; none any more once it is served
    order: list[int] = []
    gone: set[int] = set()

    def take_one() -> None:
        while waiting:
            _key, position, turn = heapq.heappop(waiting)
            if turns.get(position) == turn:
                del turns[position]
                gone.add(position)
                order.append(position)
                return

    upcoming = iter(entries)
    entry = next(upcoming, None)
    for moment in [*sorted(moments), None]:
        while entry is not None and (moment is None or entry[0] <= moment):
            _since, position, turn = entry
            if position not in gone:
                arrival = arrivals[position]
                turns[position] = turn
                key = place(arrival, arrival.stands[turn], channels[position])
                heapq.heappush(waiting, (key, position, turn))
            entry = next(upcoming, None)
        if moment is not None:
            take_one()
    while turns:
        take_one()
    return order


def swaps(channels: Sequence[str], *, every: Sequence[str], seed: str) -> Iterator[list[str]]:
    """Deal the day's channels anew: shuffled several times, and each replaced by the next of all there are."""
    chance = random.Random(seed)
    for _shuffle in range(SHUFFLES):
        yield chance.sample(channels, len(channels))
    following = dict(zip(every, [*every[1:], every[0]], strict=True))
    yield [following[channel] for channel in channels]


def differences(
    arrivals: Sequence[Arrival], *, moments: Sequence[datetime], every: Sequence[str], seed: str, place: Place
) -> tuple[int, list[Difference]]:
    """Serve the arrivals as they came and under every swap. Returns how many swaps were tried, and what differs (must be nothing).

    every: all channels there are. seed: the same seed deals the same channels.
    """
    labels = [arrival.channel for arrival in arrivals]
    expected = served(arrivals, labels, moments, place=place)
    found: list[Difference] = []
    tried = 0
    for tried, dealt in enumerate(swaps(labels, every=every, seed=seed), 1):
        order = served(arrivals, dealt, moments, place=place)
        found += [
            Difference(tried, number, arrivals[one].ref, arrivals[other].ref)
            for number, (one, other) in enumerate(zip(expected, order, strict=True))
            if one != other
        ]
    return tried, found


# --- what really happened -------------------------------------------------------------------------------------------


class Cause(TextChoices):
    """Why a matter was begun before another that came first, the ones to look at first."""

    UNEXPLAINED = "unexplained", _("no reason is known")
    OWNERS_MATTER = "owners_matter", _("it waited for the colleague who looks after it")
    OWNER_AWAY = "owner_away", _("the colleague who looks after it was not at work")
    CERTIFICATE = "certificate", _("whoever was free is not certified for it")
    INGEST_LAG = "ingest_lag", _("it had not reached us yet")
    LIVE = "live", _("the other customer was on the line or in front of us")
    REASON = "reason", _("a colleague gave a reason for taking the other first")
    CREDIT = "credit", _("a credit moved the other, whose channel waits longer, within the time this one had left")


WORST_FIRST = tuple(Cause)


@dataclass(frozen=True, slots=True)
class Passed:
    """A matter that was begun out of order, and the one among those passed over that should have come first.

    begun, passed: positions among the arrivals. number: how many it passed over. how: when it was begun, and by whom.
    """

    begun: int
    passed: int
    cause: Cause
    number: int
    how: Begun


@dataclass(slots=True)
class Inversions:
    """counts: (cause, channel of what was begun, channel of what was passed over) -> number of pairs."""

    begun: int = 0
    counts: Counter[tuple[Cause, str, str]] = field(default_factory=Counter)
    gravest: list[Passed] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.counts.total()


class _Line:
    """Those who wait, by rank; who stands before a rank is counted in logarithmic time (Fenwick 1994)."""

    __slots__ = ("number", "sums")

    def __init__(self, size: int) -> None:
        self.sums, self.number = [0] * (size + 1), 0

    def change(self, rank: int, by: int) -> None:
        self.number += by
        rank += 1
        while rank < len(self.sums):
            self.sums[rank] += by
            rank += rank & -rank

    def before(self, rank: int) -> int:
        found = 0
        while rank:
            found += self.sums[rank]
            rank &= rank - 1
        return found

    def first(self) -> int:
        """The rank of the first who waits; somebody does."""
        rank, step = 0, 1 << (len(self.sums).bit_length() - 1)
        while step:
            if rank + step < len(self.sums) and self.sums[rank + step] == 0:
                rank += step
            step >>= 1
        return rank


Whose = int | str | None
"""A colleague's number: their matters; NOBODYS, PRESENT (those of everybody at work), AWAY; LAGGING: not here yet."""
NOBODYS, PRESENT, AWAY, LAGGING = "nobody", "present", "away", "lagging"


class _Waiting:
    """Everybody who waits, in lines by whose matter it is, skill and channel; each line knows only its own ranks."""

    def __init__(self, places: Sequence[tuple[int, tuple[tuple[Whose, str, str], ...]]]) -> None:
        members: dict[tuple[Whose, str, str], list[int]] = defaultdict(list)
        for rank, groups in sorted(places, key=lambda place: place[0]):
            for group in groups:
                members[group].append(rank)
        self.ranks = members
        self.own = {group: {rank: place for place, rank in enumerate(ranks)} for group, ranks in members.items()}
        self.lines = {group: _Line(len(ranks)) for group, ranks in members.items()}
        self.of: dict[Whose, list[tuple[str, str]]] = defaultdict(list)
        for whose, skill, channel in members:
            self.of[whose].append((skill, channel))

    def change(self, rank: int, groups: tuple[tuple[Whose, str, str], ...], by: int) -> None:
        for group in groups:
            self.lines[group].change(self.own[group][rank], by)

    def before(self, rank: int, whose: Whose) -> Iterator[tuple[str, str, int, int]]:
        """Yield skill, channel, how many of theirs stand before this rank, and the first one's rank."""
        for skill, channel in self.of.get(whose, ()):
            group = (whose, skill, channel)
            line = self.lines[group]
            if line.number and (first := self.ranks[group][line.first()]) < rank:
                yield skill, channel, line.before(_position(self.ranks[group], rank)), first


def _position(ranks: list[int], rank: int) -> int:
    low, high = 0, len(ranks)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if ranks[middle] < rank else (low, middle)
    return low


def inversions(
    arrivals: Sequence[Arrival],
    *,
    place: Place,
    at_work: Collection[int],
    lacking: Mapping[int, Collection[str]],
    since: datetime,
    until: datetime,
    listed: int = LISTED,
) -> Inversions:
    """Count every pair of a matter begun from `since` to `until` and another that should have come before it and still waited.

    at_work: colleagues who worked on that day. lacking: colleague -> skills they are not certified for.
    A matter that had not reached us yet counts too: it waited, its customer had spoken. Where several causes hold the first
    of these counts: not here yet, on the line, a reason given, not certified, somebody else's matter, a credit.
    Time and room grow as n log n for n arrivals, times the number of skills and channels.
    """
    keys = [[place(a, stand, a.channel) for stand in a.stands] for a in arrivals]
    flat = sorted((key, n, turn) for n, turns in enumerate(keys) for turn, key in enumerate(turns))
    rank_of = {(n, turn): rank for rank, (_key, n, turn) in enumerate(flat)}
    groups = [_groups(arrival, at_work) for arrival in arrivals]
    lag = [((LAGGING, "", arrival.channel),) for arrival in arrivals]
    waiting = _Waiting(
        [(rank, groups[n]) for (n, _turn), rank in rank_of.items()]
        + [(rank_of[n, 0], lag[n]) for n in range(len(arrivals))]
    )
    found = Inversions()
    standing: dict[int, tuple[int, tuple[tuple[Whose, str, str], ...]]] = {}
    candidates: list[tuple[tuple[Any, ...], Passed]] = []
    for _at, kind, rank, n, turn in _events(arrivals, rank_of):
        if n in standing:
            waiting.change(*standing.pop(n), -1)
        if kind != _BEGUN:
            standing[n] = rank, lag[n] if kind == _SPOKEN else groups[n]
            waiting.change(*standing[n], 1)
            continue
        begun = arrivals[n].begun
        if begun is None or not since <= begun.at < until:
            continue
        found.begun += 1
        firsts: dict[Cause, int] = {}
        passed = 0
        lifted = _lifted_from(flat, keys[n][turn], begun)
        for cause, channel, number, first in _passed(waiting, rank, begun, lacking.get(begun.by or 0, ()), lifted):
            found.counts[cause, arrivals[n].channel, channel] += number
            firsts[cause] = min(first, firsts.get(cause, first))
            passed += number
        if passed:
            cause = min(firsts, key=WORST_FIRST.index)
            _key, other, other_turn = flat[firsts[cause]]
            mine, theirs = keys[n][turn], keys[other][other_turn]
            gravity = (-WORST_FIRST.index(cause), mine[0] - theirs[0], mine[1] - theirs[1], passed)
            candidates.append((gravity, Passed(n, other, cause, passed, begun)))
    best = heapq.nlargest(listed, candidates, key=lambda candidate: candidate[0])
    found.gravest = [each for _gravity, each in best]
    return found


_SPOKEN, _STANDS, _BEGUN = range(3)  # what happens at one instant happens in this order


def _events(
    arrivals: Sequence[Arrival], rank_of: Mapping[tuple[int, int], int]
) -> list[tuple[datetime, int, int, int, int]]:
    events = []
    for n, arrival in enumerate(arrivals):
        begun_at = arrival.begun.at if arrival.begun else None
        if begun_at is None or arrival.spoke_at <= begun_at:
            events.append((arrival.spoke_at, _SPOKEN, rank_of[n, 0], n, 0))
        turn = 0
        for number, stand in enumerate(arrival.stands):
            if begun_at is None or stand.since <= begun_at:
                events.append((max(stand.since, arrival.spoke_at), _STANDS, rank_of[n, number], n, number))
                turn = number
        if begun_at is not None:
            events.append((max(begun_at, arrival.spoke_at), _BEGUN, rank_of[n, turn], n, turn))
    return sorted(events)


def _groups(arrival: Arrival, at_work: Collection[int]) -> tuple[tuple[Whose, str, str], ...]:
    kind = (arrival.skill, arrival.channel)
    if arrival.owner is None:
        return ((NOBODYS, *kind),)
    return ((arrival.owner, *kind), (PRESENT if arrival.owner in at_work else AWAY, *kind))


def _lifted_from(flat: list[tuple[Key, int, int]], key: Key, begun: Begun) -> int | None:
    """The first rank of those before whom a credit moved a matter; places begin with class and due time."""
    return None if begun.credit_from is None else bisect_left(flat, ((key[0], begun.credit_from),))


def _passed(
    waiting: _Waiting, rank: int, begun: Begun, lacks: Collection[str], lifted: int | None
) -> Iterator[tuple[Cause, str, int, int]]:
    """Yield cause, channel, number and first rank of those who stood before a matter when it was begun.

    lifted: from this rank on a credit explains what nothing else does.
    """
    for _skill, channel, number, first in waiting.before(rank, LAGGING):
        yield Cause.INGEST_LAG, channel, number, first
    whole = Cause.LIVE if begun.live else Cause.REASON if begun.reason else None
    mine = {(skill, channel): (number, first) for skill, channel, number, first in waiting.before(rank, begun.by)}
    for whose, cause in ((NOBODYS, Cause.UNEXPLAINED), (PRESENT, Cause.OWNERS_MATTER), (AWAY, Cause.OWNER_AWAY)):
        out_of_reach = _out_of_reach(waiting, lifted, begun.by if whose == PRESENT else whose)
        for skill, channel, number, first in waiting.before(rank, whose):
            if whole is not None:
                yield whole, channel, number, first
            elif skill in lacks:
                yield Cause.CERTIFICATE, channel, number, first
            else:
                own, own_first = mine.get((skill, channel), (0, 0)) if whose == PRESENT else (0, 0)
                if whose == NOBODYS:
                    own, own_first = number, first
                unexplained = own if out_of_reach is None else out_of_reach.get((skill, channel), 0)
                if unexplained:
                    yield Cause.UNEXPLAINED, channel, unexplained, own_first
                if own > unexplained:
                    yield Cause.CREDIT, channel, own - unexplained, own_first
                if number > own:
                    yield cause, channel, number - own, first


def _out_of_reach(waiting: _Waiting, lifted: int | None, whose: Whose) -> dict[tuple[str, str], int] | None:
    """How many of somebody's stood even before those whom a credit let pass; None where no credit let anybody pass."""
    if lifted is None:
        return None
    return {(skill, channel): number for skill, channel, number, _first in waiting.before(lifted, whose)}
