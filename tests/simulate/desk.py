"""Serving the cases of a run: who is free takes whoever comes next, by one of several disciplines; nobody is interrupted."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import numpy as np

from crm.policy import QueueClass, queue_key
from tests.simulate.world import AGENTS, CHANNELS, CRITICAL, PROMISED, SHARES, Cases, Floats

FIRST_MORNING = datetime(2026, 1, 5, 8, tzinfo=UTC)
LOUD = frozenset({CHANNELS.index("social"), CHANNELS.index("phone")})
COST = (8.0, 4.0, 2.0, 1.0)  # of a squared waiting time, by severity

Key = tuple[Any, ...]
Place = Callable[[int, int, float, int], Key]
"""Channel, severity, minute of speaking, number -> what is sorted by."""


@dataclass(frozen=True, slots=True)
class Crew:
    """Colleagues who take cases of the same lines."""

    lines: tuple[int, ...]
    people: int


@dataclass(frozen=True, slots=True)
class Discipline:
    """Who is served next, and by whom.

    place: a key that stays as it is, the smallest first; None where it grows with age. grows: worth of a minute of age,
    by severity, the highest first. line_of: which line each channel stands in. crews: who serves which lines.
    """

    name: str
    place: Place | None = None
    grows: tuple[float, ...] = ()
    line_of: tuple[int, ...] = (0,) * len(CHANNELS)
    crews: tuple[Crew, ...] = (Crew((0,), AGENTS),)


class Line(Protocol):
    def enter(self, case: int) -> None: ...
    def first(self, now: float) -> Key | None: ...
    def leave(self, now: float) -> int: ...


class Sorted:
    """A line in the order of a key."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self.keys, self.heap = keys, list[tuple[Key, int]]()

    def enter(self, case: int) -> None:
        heapq.heappush(self.heap, (self.keys[case], case))

    def first(self, now: float) -> Key | None:
        return self.heap[0][0] if self.heap else None

    def leave(self, now: float) -> int:
        return heapq.heappop(self.heap)[1]


class Growing:
    """A line in which a place improves with age, faster for the grave: the oldest of each severity are compared."""

    def __init__(self, cases: Cases, worth: tuple[float, ...]) -> None:
        self.worth = worth
        self.severity, self.spoke = cases.severity.tolist(), cases.spoke.tolist()
        self.waiting: list[deque[int]] = [deque() for _ in worth]

    def enter(self, case: int) -> None:
        self.waiting[self.severity[case]].append(case)

    def first(self, now: float) -> Key | None:
        found = [(-(now - self.spoke[line[0]]) * self.worth[s], s) for s, line in enumerate(self.waiting) if line]
        return min(found, default=None)

    def leave(self, now: float) -> int:
        first = self.first(now)
        assert first is not None
        return self.waiting[first[1]].popleft()


def serve(cases: Cases, discipline: Discipline) -> Floats:
    """Say when each case is begun, in business minutes. Whoever is free takes the first of all lines they may serve."""
    lines = _lines(cases, discipline)
    channel, ingested, handling = cases.channel.tolist(), cases.ingested.tolist(), cases.handling.tolist()
    begun = [0.0] * len(channel)
    idle = [crew.people for crew in discipline.crews]
    leaving: list[tuple[float, int]] = []  # when who of which crew is free again

    def begin(case: int, crew: int, now: float) -> None:
        begun[case] = now
        heapq.heappush(leaving, (now + handling[case], crew))

    def next_for(crew: int, now: float) -> None:
        served = discipline.crews[crew].lines
        firsts = [(key, line) for line in served if (key := lines[line].first(now)) is not None]
        if firsts:
            begin(lines[min(firsts)[1]].leave(now), crew, now)
        else:
            idle[crew] += 1

    able = [[n for n, crew in enumerate(discipline.crews) if line in crew.lines] for line in range(len(lines))]
    for case, now in enumerate(ingested):
        while leaving and leaving[0][0] <= now:
            moment, crew = heapq.heappop(leaving)
            next_for(crew, moment)
        line = discipline.line_of[channel[case]]
        free = next((crew for crew in able[line] if idle[crew]), None)
        if free is None:
            lines[line].enter(case)
        else:
            idle[free] -= 1
            begin(case, free, now)
    while leaving:
        moment, crew = heapq.heappop(leaving)
        next_for(crew, moment)
    return np.asarray(begun)


def _lines(cases: Cases, discipline: Discipline) -> list[Line]:
    number = max(discipline.line_of) + 1
    if discipline.place is None:
        return [Growing(cases, discipline.grows) for _ in range(number)]
    rows = zip(cases.channel.tolist(), cases.severity.tolist(), cases.spoke.tolist(), strict=True)
    keys = [discipline.place(channel, severity, spoke, case) for case, (channel, severity, spoke) in enumerate(rows)]
    return [Sorted(keys) for _ in range(number)]


def product(_channel: int, severity: int, spoke: float, number: int) -> Key:
    """The product's own order, asked of its own code."""
    spoke_at = FIRST_MORNING + timedelta(minutes=spoke)
    return queue_key(
        queue_class=QueueClass.CRITICAL if severity == CRITICAL else QueueClass.ORDINARY,
        due_at=spoke_at + timedelta(minutes=PROMISED[severity]),
        spoke_at=spoke_at,
        number=number,
    )


def loud_first(channel: int, _severity: int, spoke: float, number: int) -> Key:
    return (channel not in LOUD, spoke, number)


def first_come(_channel: int, _severity: int, spoke: float, number: int) -> Key:
    return (spoke, number)


def earliest_promise(_channel: int, severity: int, spoke: float, number: int) -> Key:
    return (spoke + PROMISED[severity], spoke, number)


def gravest(_channel: int, severity: int, spoke: float, number: int) -> Key:
    return (severity, spoke, number)


def teams(name: str, sizes: tuple[int, ...], *, helping: int = 0) -> Discipline:
    """A team per channel, of these sizes, and so many colleagues who help every channel."""
    crews = [Crew((line,), people) for line, people in enumerate(sizes) if people]
    everybody = (Crew(tuple(range(len(sizes))), helping),) if helping else ()
    return Discipline(name, product, line_of=tuple(range(len(CHANNELS))), crews=(*crews, *everybody))


def shares_of(people: int) -> tuple[int, ...]:
    """So many people dealt to the channels by their work, the largest remainders last; every channel gets one."""
    wanted = [share * people for share in SHARES.values()]
    sizes = [max(1, int(each)) for each in wanted]
    order = sorted(range(len(wanted)), key=lambda line: sizes[line] - wanted[line])
    for line in order[: people - sum(sizes)]:
        sizes[line] += 1
    return tuple(sizes)


PRODUCT = Discipline("critical first, then earliest promise (Evenhand)", product)
LOUD_FIRST = Discipline("social and phone first", loud_first)
BLIND = (
    Discipline("first come, first served", first_come),
    Discipline("earliest promise", earliest_promise),
    Discipline("age by promise", grows=tuple(1 / each for each in PROMISED)),
    Discipline("gravest first", gravest),
    Discipline("cost grows with the square of waiting", grows=COST),
    PRODUCT,
)
"""One line for all channels, in an order that does not know the channel."""
TEAMS = teams("a team per channel", shares_of(AGENTS))
LAST_YEAR = teams("a team per channel, sized for last year's mix", (6, 4, 3, 3, 2, 2))
DISCIPLINES = (LOUD_FIRST, *BLIND, TEAMS, LAST_YEAR)
HELPED = teams("teams, and 2 of 20 who help everywhere", shares_of(AGENTS - 2), helping=2)
