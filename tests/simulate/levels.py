"""Half a year in which somebody secretly favours a channel: the product's own audit finds who lags, its own planner lifts them.

13 of 20 colleagues serve one channel each, 7 serve all. Whoever serves all takes social messages as if they were due 900 minutes
earlier. Every Monday the last four weeks are compared by recovery.parity, recovery.parity.levelling plans one step, and the pull
of the seven reads the credits by crm.policy.pull_key. A week of a simulated year is 5 days of 8 business hours.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from crm.policy import CREDIT_GUARD, QueueClass, pull_key
from recovery.parity import audit as auditing
from recovery.parity import own
from recovery.parity.levelling import Gap, House, Lag, gap_of, plan
from recovery.policy import LaterLook, is_favoured, is_gone
from tests.simulate.tables import Tally
from tests.simulate.world import CHANNELS, CRITICAL, DAY, PROMISED, Cases, Floats, Scenario, simulate

FIRST = datetime(2026, 1, 5, tzinfo=UTC)  # business minutes count on from here without nights
WEEK = 5 * DAY
WINDOW = 4  # weeks of a look
SPECIALISTS = (5, 3, 2, 2, 1, 0)  # by channel
FLEXIBLE = 7
NOTHING = timedelta(0)
FAVOURED, BY = CHANNELS.index("social"), timedelta(minutes=900)
HALF_A_YEAR = Scenario("half a year at load 0.85", 0.85, 26 * 5)
SETTLED = 13
"""From this week on it is asked how level the channels are."""


@dataclass(slots=True)
class Half:
    """One half-year: credits and standing findings by week, when each case was begun, and who was ever found to lag."""

    cases: Cases
    begun: Floats
    credits: list[dict[str, int]] = field(default_factory=list)
    found: list[set[str]] = field(default_factory=list)
    verified: set[str] = field(default_factory=set)

    def weekly(self) -> Floats:
        """Wait of each channel beside all others in each week, like severity for like: (weeks, channels)."""
        week = (self.cases.spoke // WEEK).astype(int)
        return np.asarray([_tally(self, week == each).ratios() for each in range(int(week.max()) + 1)])

    def settled(self) -> Tally:
        """The second quarter as a whole."""
        return _tally(self, self.cases.spoke >= SETTLED * WEEK)

    def late_shares(self) -> Floats:
        late = self.begun > self.cases.due
        return np.asarray([float(late[self.cases.channel == each].mean()) for each in range(len(CHANNELS))])


def _tally(half: Half, which: np.ndarray) -> Tally:
    cell = half.cases.channel[which] * len(PROMISED) + half.cases.severity[which]
    shape = (len(CHANNELS), len(PROMISED))

    def sums(weights: Floats | None = None) -> Floats:
        return np.bincount(cell, weights, minlength=shape[0] * shape[1]).reshape(shape).astype(float)

    waited, late = (half.begun - half.cases.spoke)[which], (half.begun - half.cases.due)[which]
    return Tally(sums(), sums(waited), sums((late > 0).astype(float)), float(late.max()))


def play(
    scenario: Scenario, seed: int, *, kappa: float | None = None, corrects: bool = True, favours: bool = True
) -> Half:
    """Serve a half-year. kappa: minutes for a unit of log gap, the house's own where none is named."""
    cases = simulate(scenario, seed)
    desk = _Desk(cases, secretly=BY if favours else NOTHING)
    control = _Control(cases, desk, kappa=kappa)
    half = Half(cases, np.empty(0))
    weeks = int(np.ceil(scenario.days * DAY / WEEK))
    for week in range(1, weeks + 1):
        desk.until(week * WEEK)
        if corrects and week < weeks:
            control.step(week)
        half.credits.append(dict(desk.credits))
        half.found.append({channel for channel in control.open if channel in control.lagging})
    desk.until(np.inf)
    half.begun, half.verified = np.asarray(desk.begun), control.verified
    return half


class _Desk:
    """Colleagues who take from six lines, each in the product's own order; the seven choose among the heads by the pull's."""

    def __init__(self, cases: Cases, *, secretly: timedelta) -> None:
        self.channel, self.handling = cases.channel.tolist(), cases.handling.tolist()
        self.ingested, self.due, self.spoke = cases.ingested.tolist(), cases.due.tolist(), cases.spoke.tolist()
        self.critical = (cases.severity == CRITICAL).tolist()
        self.secretly = secretly
        self.begun: list[float] = [np.inf] * len(self.channel)
        self.credits: dict[str, int] = {}
        self.lines: list[list[tuple[bool, float, float, int]]] = [[] for _ in CHANNELS]
        self.idle = [*SPECIALISTS, FLEXIBLE]
        self.leaving: list[tuple[float, int]] = []
        self.next = 0

    def until(self, end: float) -> None:
        """Serve what comes and what waits before a moment."""
        while True:
            comes = self.ingested[self.next] if self.next < len(self.ingested) else np.inf
            leaves = self.leaving[0][0] if self.leaving else np.inf
            now = min(comes, leaves)
            if now >= end or now == np.inf:
                return
            if leaves <= comes:
                _moment, crew = heapq.heappop(self.leaving)
                self._next_for(crew, now)
            else:
                self._enter(self.next, now)
                self.next += 1

    def _enter(self, case: int, now: float) -> None:
        line = self.channel[case]
        crew = line if self.idle[line] else len(CHANNELS) if self.idle[-1] else None
        if crew is None:
            entry = (not self.critical[case], self.due[case], self.spoke[case], case)
            heapq.heappush(self.lines[line], entry)
        else:
            self.idle[crew] -= 1
            self._begin(case, crew, now)

    def _begin(self, case: int, crew: int, now: float) -> None:
        self.begun[case] = now
        heapq.heappush(self.leaving, (now + self.handling[case], crew))

    def _next_for(self, crew: int, now: float) -> None:
        lines = [crew] if crew < len(CHANNELS) else range(len(CHANNELS))
        heads = [line for line in lines if self.lines[line]]
        if not heads:
            self.idle[crew] += 1
            return
        line = heads[0] if len(heads) == 1 else min(heads, key=lambda each: self._key(each, now))
        self._begin(heapq.heappop(self.lines[line])[-1], crew, now)

    def _key(self, line: int, now: float) -> tuple[int, bool, datetime, datetime, int]:
        ordinary, due, spoke, case = self.lines[line][0]
        return pull_key(
            queue_class=QueueClass.ORDINARY if ordinary else QueueClass.CRITICAL,
            due_at=FIRST + timedelta(minutes=due),
            spoke_at=FIRST + timedelta(minutes=spoke),
            number=case,
            credit=timedelta(minutes=self.credits.get(CHANNELS[line], 0))
            + (self.secretly if line == FAVOURED else NOTHING),
            guarded_until=FIRST + timedelta(minutes=now) + CREDIT_GUARD,
        )


class _Control:
    """The Mondays: a look over four weeks as the product takes it, its findings, and the planner's step."""

    def __init__(self, cases: Cases, desk: _Desk, *, kappa: float | None) -> None:
        self.cases, self.desk, self.kappa = cases, desk, kappa
        self.open: dict[str, datetime] = {}
        self.lagging: set[str] = set()
        self.verified: set[str] = set()
        self.stepped: dict[str, float] = {}
        self.house = House(promised=float(np.median(np.asarray(PROMISED)[cases.severity])))

    def step(self, week: int) -> None:
        now, since = week * WEEK, max(0.0, (week - WINDOW) * WEEK)
        self._follow(self._compared(since, now), since=since, now=now)
        begins = {channel: max(since, self.stepped.get(channel, since)) for channel in CHANNELS}
        looks = {each: self._compared(each, now) for each in set(begins.values())}
        lags = [
            Lag(
                channel=channel,
                gap=looks[begins[channel]].get(channel, (None, ""))[0],
                stands=channel in self.lagging,
                credit=self.desk.credits.get(channel, 0),
            )
            for channel in CHANNELS
        ]
        for step in plan(lags, self.house, kappa=self.kappa).steps:
            self.desk.credits[step.channel] = int(step.size)
            self.stepped[step.channel] = now

    def _follow(self, lines: Mapping[str, tuple[Gap | None, str]], *, since: float, now: float) -> None:
        for channel, (gap, verdict) in lines.items():
            if verdict == "red" and gap is not None:
                self.open.setdefault(channel, _moment(now))
                if not is_favoured("first_response", effect="time_ratio", value=gap.ratio):
                    self.lagging.add(channel)
            elif channel in self.open and is_gone(LaterLook(verdict, _moment(since)), opened_at=self.open[channel]):
                del self.open[channel]
                if channel in self.lagging:
                    self.lagging.remove(channel)
                    self.verified.add(channel)

    def _compared(self, since: float, now: float) -> dict[str, tuple[Gap | None, str]]:
        """Gap and verdict of every channel, by the code that compares the product's own matters."""
        which = np.flatnonzero((self.cases.spoke >= since) & (self.cases.spoke < now))
        if not len(which):
            return {}
        done = np.asarray(self.desk.begun)[which] + self.cases.handling[which]
        answered = np.where(done <= now, _seconds(np.where(np.isfinite(done), done, 0.0)), own.UNKNOWN)
        nothing = np.full(len(which), own.UNKNOWN)
        columns = dict.fromkeys(own.COLUMNS, nothing) | {
            "number": which,
            "customer": which,
            "channel": self.cases.channel[which],
            "type": np.zeros(len(which), dtype=np.int64),
            "severity": self.cases.severity[which],
            "spoke_at": _seconds(self.cases.spoke[which]),
            "reached_us_at": _seconds(self.cases.ingested[which]),
            "answer_due_at": _seconds(self.cases.due[which]),
            "answered_at": answered,
        }
        matters = own.Matters(
            columns={name: np.asarray(values, dtype=np.int64) for name, values in columns.items()},
            dismissed={},
            channels=CHANNELS, types=("failure",), severities=("critical", "high", "medium", "low"), at=_moment(now),
        )  # fmt: skip
        audit = auditing.audit(own.cases_of(matters))
        return {line.channel: (gap_of(line), line.verdict) for line in audit.overall if line.metric == "first_response"}


def _seconds(minutes: Floats) -> np.ndarray:
    return np.floor(FIRST.timestamp() + np.asarray(minutes) * 60).astype(np.int64)


def _moment(minutes: float) -> datetime:
    return FIRST + timedelta(minutes=minutes)
