"""What was counted over all runs of a scenario, as tables for people, and what has to hold."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tests.simulate import desk
from tests.simulate.desk import BLIND, DISCIPLINES, HELPED, LAST_YEAR, LOUD_FIRST, PRODUCT, TEAMS, Discipline
from tests.simulate.world import AGENTS, CHANNELS, CRITICAL, DAY, PROMISED, WAVE, Cases, Floats, Scenario

QUIET = Scenario("load 0.85", 0.85, 60)
BUSY = Scenario("load 0.95", 0.95, 60)
OVERLOAD = Scenario("load 1.10 for 20 days", 1.10, 20)
RUSH = Scenario("5 days of 1.6 times as much on load 0.9", 0.9, 40, surge=(5, 10), times=1.6)
MAILROOM = Scenario("load 0.85, letters reach us 240 minutes late", 0.85, 60, lag=(("letter", 240.0),))
PLAYED: dict[Scenario, tuple[Discipline, ...]] = {
    QUIET: (*DISCIPLINES, HELPED),
    BUSY: DISCIPLINES,
    OVERLOAD: DISCIPLINES,
    RUSH: DISCIPLINES,
    MAILROOM: BLIND,
}
EVEN = (0.97, 1.03)
"""Between these a channel waits as long as the others."""


@dataclass(slots=True)
class Tally:
    """Sums over runs, by channel and severity; times in business minutes."""

    number: Floats = field(default_factory=lambda: np.zeros((len(CHANNELS), len(PROMISED))))
    waited: Floats = field(default_factory=lambda: np.zeros((len(CHANNELS), len(PROMISED))))
    late: Floats = field(default_factory=lambda: np.zeros((len(CHANNELS), len(PROMISED))))
    latest: float = -np.inf

    def add(self, other: Tally) -> None:
        self.number, self.waited, self.late = (
            self.number + other.number,
            self.waited + other.waited,
            self.late + other.late,
        )
        self.latest = max(self.latest, other.latest)

    def ratio(self, channel: int) -> float:
        """Mean wait of a channel divided by that of all others, both with the severities of everybody."""
        mix = self.number.sum(axis=0) / self.number.sum()
        others = [each for each in range(len(CHANNELS)) if each != channel]
        own = self.waited[channel] / self.number[channel]
        rest = self.waited[others].sum(axis=0) / self.number[others].sum(axis=0)
        return float((mix * own).sum() / (mix * rest).sum())

    def ratios(self) -> list[float]:
        return [self.ratio(channel) for channel in range(len(CHANNELS))]

    @property
    def mean(self) -> float:
        return float(self.waited.sum() / self.number.sum())

    @property
    def late_share(self) -> float:
        return float(self.late.sum() / self.number.sum())

    @property
    def critical_late(self) -> float:
        return float(self.late[:, CRITICAL].sum() / self.number[:, CRITICAL].sum())


Found = dict[tuple[str, str], Tally]
"""(scenario, discipline) -> what was counted."""


def counted(cases: Cases, discipline: Discipline) -> Tally:
    """Serve one run and count."""
    begun = desk.serve(cases, discipline)
    cell = cases.channel * len(PROMISED) + cases.severity
    shape = (len(CHANNELS), len(PROMISED))

    def sums(weights: Floats | None = None) -> Floats:
        return np.bincount(cell, weights, minlength=shape[0] * shape[1]).reshape(shape).astype(float)

    lateness = begun - cases.due
    return Tally(sums(), sums(begun - cases.spoke), sums((lateness > 0).astype(float)), float(lateness.max()))


def held(found: Found) -> list[tuple[str, bool]]:
    """What a simulation has to show, and whether it does."""
    loud = found[QUIET.name, LOUD_FIRST.name].ratios()
    blind = [found[scenario.name, each.name] for scenario in (QUIET, BUSY) for each in BLIND]
    evenhand, fifo, edf, grave = (found[OVERLOAD.name, each.name] for each in (PRODUCT, BLIND[0], BLIND[1], BLIND[3]))
    rush = {each.name: found[RUSH.name, each.name].latest for each in DISCIPLINES}
    return [
        (
            f"one line that does not know the channel keeps every ratio between {EVEN[0]} and {EVEN[1]}",
            all(EVEN[0] <= ratio <= EVEN[1] for tally in blind for ratio in tally.ratios()),
        ),
        ("with social and phone first they wait a tenth, others twice as long", min(loud) < 0.1 and max(loud) > 2),
        (
            "the product's order misses no promise at loads 0.85 and 0.95",
            all(not found[scenario.name, PRODUCT.name].late_share for scenario in (QUIET, BUSY)),
        ),
        ("in a long overload the product's order keeps critical harm in time", evenhand.critical_late < 0.001),
        ("the earliest promise alone does not", edf.critical_late > 0.05),
        ("its latest is less than half as late as first come, first served", evenhand.latest < 0.5 * fifo.latest),
        ("serving by severity alone leaves somebody much later", grave.latest > 1.5 * evenhand.latest),
        (
            "in a short rush nobody is as late as under any order that knows the channel",
            all(rush[PRODUCT.name] < rush[each.name] for each in (LOUD_FIRST, TEAMS, LAST_YEAR)),
        ),
        ("the same people in teams wait longer", found[QUIET.name, TEAMS.name].mean > found[QUIET.name, PRODUCT.name].mean),
        (
            "no order makes up for a slow mailroom",
            all(found[MAILROOM.name, each.name].ratio(CHANNELS.index("letter")) > 5 for each in BLIND),
        ),
    ]  # fmt: skip


def written(found: Found, *, runs: int) -> str:
    """The section of docs/policy.md about the order of the queue, in Markdown."""
    quiet, busy, overload, rush, mailroom = (
        {name: tally for (played, name), tally in found.items() if played == scenario.name}
        for scenario in (QUIET, BUSY, OVERLOAD, RUSH, MAILROOM)
    )
    letter = CHANNELS.index("letter")
    letters = [tally.ratio(letter) for tally in mailroom.values()]
    helped = quiet[HELPED.name]
    people = sum(int(tally.number.sum()) for tally in (quiet[PRODUCT.name], busy[PRODUCT.name]))
    lines = [
        "## What the order of the queue does",
        "",
        "Written by `make simulate`, which plays the same people through several orders of the queue; the product's own order is",
        f"asked of its own code (`crm.policy.queue_key`). {AGENTS} colleagues, a day of {DAY / 60:.0f} business hours with "
        f"a wave of {WAVE * 100:.0f} %, 14 minutes of help",
        "for each (log-normal, sigma 0.8), six channels, four severities with promises of 1, 4, 8 and 24 business hours. "
        f"{runs} runs a line,",
        f"{people:,} people in the two ordinary ones. “Beside the others” divides a channel's mean wait by that of all others, "
        "like severity for",
        "like severity: the smallest and the largest of the six channels. `tests/simulate/` says it all, and its fixed seeds "
        "give the same again.",
        "",
        "![What the order of the queue does](queue-simulation.svg)",
        "",
        "When there are enough people (minutes):",
        "",
        "| order | load 0.85: mean wait | beside the others | late | load 0.95: beside the others | late | the latest |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(
            f"| {name} | {tally.mean:.0f} | {_span(tally)} | {_share(tally.late_share)} | {_span(busy[name])} | "
            f"{_share(busy[name].late_share)} | {_minutes(busy[name].latest)} |"
            for name, tally in quiet.items()
            if name in busy
        ),
        "",
        "When there are too few:",
        "",
        "| order | load 1.10 for 20 days: the latest | late | critical harm late | 5 days of 1.6 times as much: the latest "
        "| critical harm late |",
        "| --- | --- | --- | --- | --- | --- |",
        *(
            f"| {name} | {_minutes(tally.latest)} | {_share(tally.late_share)} | {_share(tally.critical_late)} | "
            f"{_minutes(rush[name].latest)} | {_share(rush[name].critical_late)} |"
            for name, tally in overload.items()
        ),
        "",
        "What it says:",
        "",
        "- One line that does not know the channel makes everybody wait alike, and it is also the fastest: in teams the same "
        f"{AGENTS} people",
        f"  make customers wait {quiet[TEAMS.name].mean:.0f} minutes instead of {quiet[PRODUCT.name].mean:.0f}, and a split that "
        f"no longer fits makes it {quiet[LAST_YEAR.name].mean:.0f}.",
        "- With too few people every order is late. Critical harm first, then the earliest promise, keeps those in need in "
        f"time and the latest no more than {max(overload[PRODUCT.name].latest, rush[PRODUCT.name].latest):,.0f} minutes late; "
        f"first come, first served makes it {max(overload[BLIND[0].name].latest, rush[BLIND[0].name].latest):,.0f}.",
        f"- Two of {AGENTS} who help everywhere let teams keep every promise at load 0.85 ({_share(helped.late_share)} late), but "
        f"the waits stay unequal ({_span(helped)}):",
        "  certify people for what is to be done, not for a channel.",
        f"- When letters take 240 minutes to reach us, letter writers wait {min(letters):.0f} to {max(letters):.0f} times as long "
        "in every order: that is mended in the mailroom,",
        "  not in the queue.",
        "- Not in the picture: people who slow down when they change media, and help that takes longer on some channels.",
        "",
    ]
    return "\n".join(lines)


def _span(tally: Tally) -> str:
    low, high = min(tally.ratios()), max(tally.ratios())
    return f"{_ratio(low)} to {_ratio(high)}"


def _ratio(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2f}"


def _share(value: float) -> str:
    percent = value * 100
    return (
        "0"
        if not value
        else "< 0.01 %"
        if percent < 0.01
        else f"{percent:.2f} %"
        if percent < 10
        else f"{percent:.0f} %"
    )


def _minutes(lateness: float) -> str:
    return f"{lateness:,.0f} late" if lateness > 0 else f"{-lateness:.0f} to spare"
