"""Does the report keep its word? Simulations of audits with a known answer: `python -m tests.calibrate`.

The generator: six channels (34, 24, 16, 12, 9 and 5 % of the cases) over 24 types whose mix depends on the channel;
log-normal waits (first response: sigma 0.9, resolution: sigma 1.1) around a median per type; a shock common to all
cases of a day (sd 0.25); a window of 28 days that leaves about a fifth of the resolutions open; 3 % never answered, the
others however late; approval asked for in 30 % of the cases, 8 % reopened, promises kept as the waits allow. Nothing
depends on the channel but what is planted. The audit is the report's own.

Beside it a negative control: the channels of a real export, dealt anew inside its types.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from recovery.parity import maps, public, reading
from recovery.parity.answers import Answers
from recovery.parity.audit import Audit, audit
from recovery.parity.reading import Cases
from tests.recovery.parity import people

CHANNELS = {"phone": 0.34, "email": 0.24, "web": 0.16, "social": 0.12, "chat": 0.09, "letter": 0.05}
TYPES = 24
WINDOW_HOURS = 28 * 24.0
SIZES = (500, 2_000, 5_000)
WHOLE, SHORT = 500, 60  # replications per cell
PLANTED = (
    ("response", 1.25),
    ("response", 1.5),
    ("response", 2.0),
    ("resolution", 1.5),
    ("resolution", 2.0),
    ("answered", -0.10),
)
HIT = ("phone", "social", "letter")


def simulate(n: int, seed: int, *, channel: str = "", metric: str = "", size: float = 0.0) -> Cases:
    """Make one window of n cases. metric, size: planted in `channel`: a time ratio, or a difference of shares."""
    random = np.random.default_rng(seed)
    shape = np.random.default_rng(99)  # the world stays the same, the cases are new
    mixes = shape.dirichlet(np.full(TYPES, 1.5), size=len(CHANNELS))
    medians = np.exp(shape.normal(0.0, 0.8, TYPES))
    code = random.choice(len(CHANNELS), n, p=list(CHANNELS.values()))
    kind = np.array([random.choice(TYPES, p=mixes[each]) for each in code])
    opened = random.random(n) * WINDOW_HOURS
    shock = random.normal(0.0, 0.25, 28)[(opened // 24).astype(int)]
    hit = np.array(list(CHANNELS))[code] == channel

    def wait(base: float, sigma: float, name: str) -> np.ndarray:
        return (
            base
            * medians[kind]
            * np.exp(shock + random.normal(0, sigma, n))
            * np.where(hit & (metric == name), size, 1.0)
        )

    def yes(chance: float, name: str) -> np.ndarray:
        return random.random(n) < chance + np.where(hit & (metric == name), size, 0.0)

    response, resolution = wait(3.0, 0.9, "response"), wait(60.0, 1.1, "resolution")
    answered, approved, reopened = yes(0.97, "answered"), yes(0.7, "approved"), yes(0.08, "reopened")
    asked = random.random(n) < 0.3
    age = WINDOW_HOURS - opened
    closed = resolution <= age
    promised = np.full(n, 120.0)
    due = closed | (age > promised)
    outcomes = (
        Answers(name="answered", kind="bool", values=answered.astype(float)),
        Answers(name="approved", kind="bool", values=np.where(asked, approved, np.nan)),
        Answers(name="reopened", kind="bool", values=np.where(closed, reopened, np.nan)),
        Answers(name="response", kind="duration", values=np.where(answered, response, np.nan)),
    )
    return Cases(
        channels=tuple(CHANNELS),
        types=tuple(f"type {each}" for each in range(TYPES)),
        channel=code.astype(np.int32),
        type=kind.astype(np.int32),
        month=np.full(n, 2026 * 12, dtype=np.int32),
        hours=np.where(closed, resolution, age),
        closed=closed,
        promised_hours=promised,
        due=due,
        kept=due & closed & (resolution <= promised),
        outcomes=outcomes,
        snapshot=datetime(2026, 1, 29, tzinfo=UTC),
        timed=True,
        promises=True,
        by_day=False,
        typed=True,
        excluded=frozenset(),
        read=n,
        rejected={},
        rejected_by_channel={},
    )


NAMES = {"resolution": "time_to_resolution"}


def verdict_of(made: Audit, channel: str, metric: str) -> str:
    wanted = NAMES.get(metric, metric)
    return next(each.verdict for each in made.overall if (each.channel, each.metric) == (channel, wanted))


def under_equality(n: int, seed: int) -> Counter[str]:
    made = audit(simulate(n, seed))
    verdicts = {each.verdict for each in made.overall}
    greens = sum(each.verdict == "green" for each in made.overall)
    crude = any(each.verdict == "red" for each in made.crude)
    return Counter(
        {
            "any red": "red" in verdicts,
            "any amber": "amber" in verdicts,
            "any crude red": crude,
            "green": greens,
            "all": len(made.overall),
        }
    )


def planted(n: int, seed: int, *, channel: str, metric: str, size: float) -> str:
    return verdict_of(audit(simulate(n, seed, channel=channel, metric=metric, size=size)), channel, metric)


def dealt_anew(cases: Cases, seed: int, *, n: int) -> tuple[bool, bool]:
    """Shuffle channels inside types among the compared channels; n: a sample of so many cases, 0 for all."""
    random = np.random.default_rng(seed)
    left_out = [code for code, name in enumerate(cases.channels) if name in cases.excluded]
    rows = np.flatnonzero(~np.isin(cases.channel, left_out))
    if n:
        rows = np.sort(random.choice(rows, n, replace=False))
    channel = cases.channel[rows].copy()
    kinds = cases.type[rows]
    for kind in np.unique(kinds):
        own = np.flatnonzero(kinds == kind)
        channel[own] = channel[random.permutation(own)]
    columns = {
        name: getattr(cases, name)[rows]
        for name in ("type", "month", "hours", "closed", "promised_hours", "due", "kept")
    }
    made = audit(dataclasses.replace(cases, channel=channel, outcomes=(), **columns))
    verdicts = {each.verdict for each in made.overall}
    return "red" in verdicts, "red" in verdicts or "amber" in verdicts


def with_themselves(seed: int, *, ratio: float, yes: float, follow_up: bool) -> tuple[bool, bool, bool, bool]:
    """500 customers with two to four cases each: is the phone's wait, or its share, significant (5 %) and red?"""
    made = audit(people.pairs(np.random.default_rng(seed), 500, ratio=ratio, yes=yes, follow_up=follow_up))
    assert made.within is not None
    phone = {each.metric: each for each in made.within.contrasts if each.channel == "phone"}
    lines = [phone["time_to_resolution"], phone["satisfied"]]
    return *(each.tested.p < 0.05 for each in lines), *(each.verdict == "red" for each in lines)


def in_public(seed: int, *, customers: int, hazard_ratio: float) -> tuple[bool, bool, bool, float]:
    made = public.went_public(people.posters(np.random.default_rng(seed), customers, hazard_ratio=hazard_ratio))
    assert made is not None
    whole = made.whole
    inside = bool(whole.ratio.low and whole.ratio.high and whole.ratio.low < hazard_ratio < whole.ratio.high)
    return whole.tested.p < 0.05, whole.verdict == "red", inside, float(np.log(whole.ratio.value or 1.0))


def run_people(tell: Callable[[str], None], pool: ProcessPoolExecutor, replications: int) -> None:
    tell(
        "\nCustomers compared with themselves (500 customers, about 170 pairs):\n\n"
        "| planted in the phone | wait, p < 0.05 | wait, red | share, p < 0.05 | share, red |\n"
        "| --- | --- | --- | --- | --- |"
    )
    for name, planted_here in (
        ("nothing", {"ratio": 1.0, "yes": 0.0, "follow_up": False}),
        ("nothing; a second case follows a slow first one", {"ratio": 1.0, "yes": 0.0, "follow_up": True}),
        ("waits × 1.25, share + 10 points", {"ratio": 1.25, "yes": 0.1, "follow_up": False}),
        ("waits × 1.5, share + 20 points", {"ratio": 1.5, "yes": 0.2, "follow_up": False}),
    ):
        found = list(pool.map(partial(with_themselves, **planted_here), range(replications), chunksize=4))
        columns = [rate(bool(each[column]) for each in found) for column in (0, 2, 1, 3)]
        tell(f"| {name} | {' | '.join(columns)} |")
    tell(
        "\nGoing public (hazard of the private case from the post on):\n\n"
        "| customers | planted | p < 0.05 | red | interval holds it | geometric mean |\n| --- | --- | --- | --- | --- | --- |"
    )
    for customers in (120, 500):
        for size in (1.0, 1.3, 1.6):
            job = partial(in_public, customers=customers, hazard_ratio=size)
            found = list(pool.map(job, range(replications), chunksize=4))
            columns = [rate(bool(each[column]) for each in found) for column in range(3)]
            mean = np.exp(np.mean([each[3] for each in found]))
            tell(f"| {customers} | {size:g} | {' | '.join(columns)} | {mean:.2f} |")


def rate(found: Iterable[bool]) -> str:
    values = list(found)
    share = sum(values) / len(values)
    return f"{share:.3f} ± {1.96 * (share * (1 - share) / len(values)) ** 0.5:.3f}"


def run(tell: Callable[[str], None], *, replications: int, real: Path | None, workers: int) -> None:
    with ProcessPoolExecutor(workers) as pool:
        tell(
            f"{replications} replications per line; ± is the 95 % Monte-Carlo half-width.\n\n"
            "No channel is treated differently:\n"
        )
        tell(
            "| cases | any red | any amber | any red without types | share of contrasts shown alike |\n"
            "| --- | --- | --- | --- | --- |"
        )
        for n in SIZES:
            found = list(pool.map(partial(under_equality, n), range(replications), chunksize=4))
            alike = sum(each["green"] for each in found) / sum(each["all"] for each in found)
            columns = [rate(bool(each[name]) for each in found) for name in ("any red", "any amber", "any crude red")]
            tell(f"| {n:,} | {' | '.join(columns)} | {alike:.2f} |")
        tell(
            "\nExactly at the margin, called alike (should be at most 0.05):\n\n"
            "| cases | channel | planted | green |\n| --- | --- | --- | --- |"
        )
        for n in SIZES[1:]:
            for channel, metric, size in (
                ("phone", "response", 1.25),
                ("social", "resolution", 1.25),
                ("phone", "approved", -0.05),
                ("email", "reopened", 0.05),
            ):
                job = partial(planted, n, channel=channel, metric=metric, size=size)
                found = list(pool.map(job, range(10_000, 10_000 + replications), chunksize=4))
                tell(f"| {n:,} | {channel} | {metric} {size:+g} | {rate(each == 'green' for each in found)} |")
        if real:
            cases = reading.read(real, maps.load("boston311"))
            tell(
                "\nChannels of a real export dealt anew inside types:\n\n"
                "| cases | any red | any red or amber |\n| --- | --- | --- |"
            )
            for n in (500, 2_000, 10_000, 0):
                found = list(pool.map(partial(dealt_anew, cases, n=n), range(replications), chunksize=4))
                tell(f"| {n or len(cases):,} | {rate(each[0] for each in found)} | {rate(each[1] for each in found)} |")
        run_people(tell, pool, replications)
        tell(
            "\nPlanted in one channel, found (red):\n\n| planted | channel | "
            + " | ".join(f"{n:,}" for n in SIZES)
            + " |"
        )
        tell("| --- | --- |" + " --- |" * len(SIZES))
        for metric, size in PLANTED:
            for channel in HIT:
                cells = []
                for n in SIZES:
                    job = partial(planted, n, channel=channel, metric=metric, size=size)
                    seeds = range(20_000, 20_000 + max(20, replications // 3))
                    cells.append(f"{np.mean([each == 'red' for each in pool.map(job, seeds, chunksize=4)]):.2f}")
                tell(f"| {metric} {size:+g} | {channel} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replications", type=int, default=WHOLE, help=f"per line; {SHORT} gives a first look")
    parser.add_argument("--real", type=Path, help="a Boston 311 export for the negative control")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    run(lambda line: print(line, flush=True), replications=given.replications, real=given.real, workers=given.workers)


if __name__ == "__main__":
    main()
