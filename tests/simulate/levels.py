"""Half a year in which somebody secretly favours a channel: the product's own audit finds who lags, its own planner lifts them.

13 of 20 colleagues serve one channel each, 7 serve all. Whoever serves all takes social messages as if they were due 900 minutes
earlier. Every Monday the last four weeks are compared by recovery.parity, recovery.parity.levelling plans one step, and the pull
of the seven reads the credits by crm.policy.pull_key. A week of a simulated year is 5 days of 8 business hours.
"""

from __future__ import annotations

import argparse
import heapq
import os
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

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
HALF_A_YEAR = Scenario("half a year at load 0.98", 0.98, 26 * 5)
RUSH = Scenario("half a year at load 0.9 with 5 days of 1.6 times as much", 0.9, 26 * 5, surge=(100, 105), times=1.6)
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
    scenario: Scenario,
    seed: int,
    *,
    kappa: float | None = None,
    corrects: bool = True,
    favours: bool = True,
    like: tuple[str, ...] = ("type", "load"),
) -> Half:
    """Serve a half-year. kappa: minutes for a unit of log gap, the house's own where none is named.

    like: what makes matters alike in a look.
    """
    cases = simulate(scenario, seed)
    desk = _Desk(cases, secretly=BY if favours else NOTHING)
    control = _Control(cases, desk, kappa=kappa, like=like)
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

    def __init__(self, cases: Cases, desk: _Desk, *, kappa: float | None, like: tuple[str, ...]) -> None:
        self.cases, self.desk, self.kappa, self.like = cases, desk, kappa, like
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
        audit = auditing.audit(own.cases_of(matters), strata_by=self.like)
        return {line.channel: (gap_of(line), line.verdict) for line in audit.overall if line.metric == "first_response"}


def _seconds(minutes: Floats) -> np.ndarray:
    return np.floor(FIRST.timestamp() + np.asarray(minutes) * 60).astype(np.int64)


def _moment(minutes: float) -> datetime:
    return FIRST + timedelta(minutes=minutes)


# --- the page ---------------------------------------------------------------------------------------------------------

ROOT = Path(__file__).resolve().parents[2]
RUNS = 2
GAINS: dict[str, dict[str, float | bool]] = {
    "no correction": {"corrects": False},
    "the house's own gain (60)": {},
    "gain 200": {"kappa": 200.0},
    "gain 3000": {"kappa": 3000.0},
}


@dataclass(frozen=True, slots=True)
class Line:
    """What one half-year shows. worst: the longest wait beside all others in the second quarter, and whose it is by number.

    ratios: of every channel. swing: standard deviation from week to week of the logarithm of the ratio of whoever lagged most
    without a correction. late: share of each channel. credits: of each week.
    """

    ratios: tuple[float, ...]
    swing: float
    late: tuple[float, ...]
    late_share: float
    latest: float
    verified: int
    most_credit: int
    moved: float


def summed(half: Half) -> Line:
    """Boil a half-year down to a line."""
    settled = half.settled()
    weekly = np.log(half.weekly()[SETTLED:-1])
    credits = [list(week.values()) or [0] for week in half.credits[SETTLED:]]
    steps = [
        abs(after.get(channel, 0) - before.get(channel, 0))
        for before, after in zip(half.credits[SETTLED:], half.credits[SETTLED + 1 :], strict=False)
        for channel in CHANNELS
    ]
    return Line(
        ratios=tuple(settled.ratios()),
        swing=float(weekly.std(axis=0, ddof=1)[[0, 1, 2, 4, 5]].mean()),
        late=tuple(half.late_shares().tolist()),
        late_share=float((half.begun > half.cases.due).mean()),
        latest=float((half.begun - half.cases.due).max()),
        verified=len(half.verified),
        most_credit=max(max(week) for week in credits),
        moved=float(np.mean(steps)),
    )


def one(name: str, seed: int, *, scenario: Scenario = HALF_A_YEAR) -> Line:
    """One half-year at one of the gains."""
    return summed(play(scenario, seed, **GAINS[name]))  # type: ignore[arg-type]


def late_in_all(rows: list[Line]) -> float:
    """The share of everybody who was late."""
    return float(np.mean([line.late_share for line in rows]))


def held(found: Mapping[str, list[Line]], rush: Mapping[str, list[Line]]) -> list[tuple[str, bool]]:
    """What the half-years have to show, and whether they do."""
    plain, own, strong, wild = (found[name] for name in GAINS)
    worst = {name: float(np.mean([max(line.ratios) for line in lines])) for name, lines in found.items()}
    names = list(GAINS)
    return [
        ("without a correction somebody waits more than 1.5 times as long", worst[names[0]] > 1.5),
        ("the house's gain brings the worst a tenth nearer to equal at least", worst[names[1]] < worst[names[0]] - 0.1),
        ("so does a gain of 200", worst[names[2]] < worst[names[0]] - 0.2),
        (
            "nobody is late because of a credit, on any channel, at any gain",
            all(
                after <= before
                for lines in (own, strong, wild)
                for line, base in zip(lines, plain, strict=True)
                for after, before in zip(line.late, base.late, strict=True)
            ),
        ),
        (
            "in a rush, when a credit has no slack to borrow, as many are late as without one, within a hundredth",
            late_in_all(rush[names[1]]) <= 1.01 * late_in_all(rush[names[0]]),
        ),
        ("a later look no longer finds channels that lagged", all(line.verified for line in own + strong)),
        ("a gain of 3000 swings: its credits move many times as far in a week",
         np.mean([line.moved for line in wild]) > 4 * np.mean([line.moved for line in own])),
    ]  # fmt: skip


def written(found: Mapping[str, list[Line]], rush: Mapping[str, list[Line]]) -> str:
    """The section of docs/parity.md about levelling up, in Markdown."""
    runs = len(next(iter(found.values())))
    lines = [
        "## Levelling up, tried for half a year",
        "",
        f"Written by `make levels` ({runs} half-years a line, fixed seeds). 13 of 20 colleagues serve one channel each",
        f"({', '.join(f'{name} {number}' for name, number in zip(CHANNELS, SPECIALISTS, strict=True))}), 7 serve all;",
        "load 0.98, at which a gap is long enough to matter.",
        "The seven secretly take social messages as if they were due 900 minutes earlier. Every Monday the product's own audit",
        "code (`recovery.parity`) compares the last four weeks, its own planner (`recovery.parity.levelling`) plans a step, and",
        "the pull of the seven reads the credits (`crm.policy.pull_key`). The ratios are a channel's mean wait divided by that of",
        "all others, like severity for like severity, in the second quarter; the favoured channel is among the others, so 1.00 for",
        "all cannot be reached while it is favoured. “Swing” is the standard deviation of the logarithm of that ratio from week",
        "to week; “moves” is by how many minutes a credit changes in a week.",
        "",
        "| | the worst | " + " | ".join(CHANNELS) + " | swing | moves | largest credit | late | the latest |",
        "| --- |" + " --- |" * (len(CHANNELS) + 6),
    ]
    for name, rows in found.items():
        ratios = np.mean([line.ratios for line in rows], axis=0)
        late = float(np.mean([np.mean(line.late) for line in rows]))
        spare = max(line.latest for line in rows)
        lines.append(
            f"| {name} | {np.mean([max(line.ratios) for line in rows]):.2f} | "
            + " | ".join(f"{ratio:.2f}" for ratio in ratios)
            + f" | {np.mean([line.swing for line in rows]):.2f} | {np.mean([line.moved for line in rows]):.0f} min "
            + f"| {max(line.most_credit for line in rows)} min | {late:.2%} | "
            + (f"{spare:.0f} min late |" if spare > 0 else f"{-spare:.0f} min to spare |")
        )
    own = found[list(GAINS)[1]]
    rushed, corrected = (f"{late_in_all(lines):.2%}" for lines in rush.values())
    lines += [
        "",
        f"In every half-year a later look ended findings that a credit had put right ({np.mean([r.verified for r in own]):.1f} "
        "channels on average at the house's gain).",
        "Nobody was late because of a credit on any channel: the share that was late is nowhere larger than without one.",
        "In five days of 1.6 times as much work on load 0.9 promises break under every order, and somebody is always due soon, so",
        f"that credits hardly count: {rushed} of the half-year's customers are late without and {corrected} with credits. It is",
        "not the very same people: what was answered before the rush differs, and so does who is still waiting in it.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    from tests.simulate.__main__ import put

    parser = argparse.ArgumentParser(prog="python -m tests.simulate.levels", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help=f"half-years a line ({RUNS})")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--page", type=Path, default=ROOT / "docs/parity.md", help="where the section goes")
    given = parser.parse_args()
    with ProcessPoolExecutor(given.workers) as pool:
        found = {name: list(pool.map(partial(one, name), range(given.runs))) for name in GAINS}
        names = list(GAINS)[:2]
        rush = {name: list(pool.map(partial(one, name, scenario=RUSH), range(given.runs))) for name in names}
    section, shown = written(found, rush), held(found, rush)
    print(section)
    for says, holds in shown:
        print(f"{'holds' if holds else 'DOES NOT HOLD'}: {says}")
    if not all(holds for _says, holds in shown):
        sys.exit(1)
    put(given.page, section)


if __name__ == "__main__":
    main()
