"""Play audits with a known answer through the code that reports, and say how often it is wrong.

Sections: equality (nobody is treated differently: is anything red?), margin (a gap exactly as large as the margin: is it
called alike?), real (the channels of a real export dealt anew inside its types), power (a planted gap: is it found?),
themselves (the same customer on two channels), public (does going public pay?), daily (nobody is treated differently, and somebody
looks every night), slipped (a channel slows down: how soon does it ring?), bursts (a channel's posts come on congested
days), remedies (what was given of what was owed, amounts, hand-offs), pairs (agreed test pairs, weighed every night).
The world is told in tests/calibrate/world.py. Every finished line is kept, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

import recovery.parity
from tests.calibrate import bursts, chart, daily, pairs, questions, remedies, tables, world
from tests.calibrate.tables import Line, Lines

ROOT = Path(__file__).resolve().parents[2]
WHOLE = 500  # replications per line
OFTEN = 4  # times as many at the margin and every night, where .05 must be told from .06
SIZES = (500, 2_000, 5_000)
AUDITED = (*SIZES, 20_000)
SAMPLES = (500, 2_000, 10_000, 0)  # of the real export; 0: all of it
CASES = (500, 2_000, 5_000, 10_000)
HIT = ("phone", "social", "letter")
MARGINS: dict[str, tuple[float, ...]] = {
    "response": (1.25, 0.8),
    "resolution": (1.25, 0.8),
    "visit": (0.55,),  # a chance of waiting longer
    "resolution_days": (0.55,),
    "answered": (-0.05,),
    "approved": (-0.05,),
    "reopened": (0.05,),
    "handed_on": (0.05,),
}
PLANTED: dict[str, tuple[float, ...]] = {
    "response": (1.25, 1.5, 2.0),
    "resolution": (1.25, 1.5, 2.0),
    "visit": (1.5,),
    "answered": (-0.05, -0.10),
    "approved": (-0.10, -0.20),
    "reopened": (0.06,),
    "handed_on": (0.10,),
}
THEMSELVES: dict[str, tuple[float, float, bool]] = {
    "nothing": (1.0, 0.0, False),
    "nothing; a second case follows a slow first one": (1.0, 0.0, True),
    "waits × 1.25, share + 10 points": (1.25, 0.1, False),
    "waits × 1.5, share + 20 points": (1.5, 0.2, False),
}
IN_PUBLIC = (1.0, 1.3, 1.6)
CUSTOMERS = (120, 500)
BURSTS = {"bursts": True, "even": False}
IN_BURSTS = (("response", 1.25, "social"), ("resolution", 1.5, "social"))
OWED = (200, 500, 2_000)
OF_REMEDIES = (
    ("part", 0.9, "social"),
    ("part", 0.95, "social"),
    ("halved", 0.25, "social"),
    ("amount", 0.6, "social"),
    ("hand_offs", 1.5, "social"),
)
Job = Callable[[int], Counter[str]]
CHUNK = 10
JUDGING = (
    "audit", "contrasts", "customers", "effects", "kernel", "means", "metrics", "probes", "prognostic", "public", "ranking",
    "sequential", "verdicts",
)  # fmt: skip


def asked(sections: tuple[str, ...], real: Path | None) -> Iterator[tuple[Line, Job, int]]:
    """Yield every line with the job that plays one replication of it, and its first seed."""
    if "equality" in sections:
        for n in AUDITED:
            yield Line("equality", n), partial(questions.under_equality, n), 0
    if "real" in sections and real:
        for n in SAMPLES:
            yield Line("real", n), partial(questions.dealt_anew, real, n), 0
    if "margin" in sections:
        for metric, sizes in MARGINS.items():
            for size in sizes:
                ratio = world.ratio_for(size, metric) if metric in ("visit", "resolution_days") else size
                for channel in HIT:
                    for n in SIZES:
                        job = partial(questions.called_alike, metric, channel, ratio, n)
                        yield Line("margin", n, metric, size, channel), job, 1_000_000
    if "power" in sections:
        for metric, sizes in PLANTED.items():
            for size in sizes:
                for channel in HIT:
                    for n in CASES:
                        job = partial(questions.found_red, metric, channel, size, n)
                        yield Line("power", n, metric, size, channel), job, 2_000_000
    if "themselves" in sections:
        for name, (ratio, more, follow_up) in THEMSELVES.items():
            job = partial(questions.with_themselves, ratio, more, follow_up)
            yield Line("themselves", 500, channel=name), job, 3_000_000
    if "public" in sections:
        for customers in CUSTOMERS:
            for size in IN_PUBLIC:
                job = partial(questions.in_public, size, customers)
                yield Line("public", customers, size=size), job, 4_000_000
    if "daily" in sections:
        for a_day in daily.A_DAY:
            yield Line("daily", a_day), partial(daily.watched, a_day), 5_000_000
    if "slipped" in sections:
        for channel, size in daily.SLIPPED:
            for a_day in daily.A_DAY:
                job = partial(daily.slipped, channel, size, a_day)
                yield Line("slipped", a_day, "response", size, channel), job, 6_000_000

    if "bursts" in sections:
        for name, bunched in BURSTS.items():
            for n in SIZES:
                yield Line("bursts", n, channel=name), partial(bursts.under_equality, bunched, n), 5_000_000
        for metric, size, channel in IN_BURSTS:
            for n in SIZES:
                job = partial(bursts.found_red, metric, channel, size, n)
                yield Line("bursts", n, metric, size, channel), job, 5_500_000
    if "remedies" in sections:
        for n in OWED:
            yield Line("remedies", n), partial(remedies.asked, "", "", 1.0, n), 6_000_000
        for metric, size, channel in OF_REMEDIES:
            for n in OWED:
                job = partial(remedies.asked, channel, metric, size, n)
                yield Line("remedies", n, metric, size, channel), job, 6_500_000
    if "pairs" in sections:
        for n in pairs.SIZES:
            yield Line("pairs", n), partial(pairs.equal, n), 7_000_000
        for what, size in pairs.PLANTED:
            for n in pairs.OF_A_CHANNEL:
                yield (
                    Line("pairs", n, f"pairs_{what}", size, pairs.CHANNELS[0]),
                    partial(pairs.planted, what, size, n),
                    7_500_000,
                )


def run(lines: list[tuple[Line, Job, int]], *, replications: int, workers: int, keep: Path, console: Console) -> Lines:
    """Play every line that is not kept yet, and keep it. Returns line -> (replications, what was counted)."""
    code = fingerprint()
    found = kept(keep, code)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        ProcessPoolExecutor(workers) as pool,
        keep.open("a", encoding="utf-8") as file,
        Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress,
    ):
        wanted = {
            line: replications * (OFTEN if line.section in ("margin", "daily", "pairs") else 1) for line, _, _ in lines
        }
        everything = progress.add_task("", total=sum(wanted.values()))
        for line, job, first in lines:
            progress.update(everything, description=line.words())
            if found.get(line, (0,))[0] >= wanted[line]:
                progress.advance(everything, wanted[line])
                continue
            counted: Counter[str] = Counter()
            for one in pool.map(job, range(first, first + wanted[line]), chunksize=CHUNK):
                counted.update({name: int(value) for name, value in one.items()})
                progress.advance(everything)
            found[line] = wanted[line], counted
            file.write(json.dumps([code, line, wanted[line], counted]) + "\n")
            file.flush()
            if not console.is_terminal:
                console.print(f"{line.words()}: {dict(counted)} of {wanted[line]}", soft_wrap=True)
    return found


def fingerprint() -> str:
    """Results of other code are not taken up again."""
    package = Path(recovery.parity.__file__).parent
    played = (bursts, daily, pairs, questions, remedies, world)
    files = [*(package / f"{each}.py" for each in JUDGING), *(Path(str(each.__file__)) for each in played)]
    return hashlib.sha256(b"\0".join(each.read_bytes() for each in sorted(files))).hexdigest()[:12]


def kept(keep: Path, code: str) -> Lines:
    """Lines played before by the same code."""
    found: Lines = {}
    for text in keep.read_text(encoding="utf-8").splitlines() if keep.exists() else []:
        by, line, replications, counted = json.loads(text)
        if by == code:
            found[Line(*line)] = replications, Counter(counted)
    return found


def export() -> Path | None:
    """The real export: in the folder EVENHAND_TEST_DATA, else in ../shared/data."""
    folder = Path(os.environ.get("EVENHAND_TEST_DATA") or ROOT.parent / "shared" / "data")
    file = folder / "cases311" / "boston_311_2015_shared.csv"
    return file if file.exists() else None


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.calibrate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(tables.SECTIONS), help="sections, with commas: equality,power")
    parser.add_argument(
        "--replications",
        type=int,
        default=WHOLE,
        help=f"per line ({WHOLE}); {OFTEN} times at the margin, daily and of pairs",
    )
    parser.add_argument("--real", type=Path, default=export(), help="a Boston 311 export; default: that of the tests")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", type=Path, default=ROOT / "calibration.jsonl", help="where finished lines are kept")
    parser.add_argument("--tables", type=Path, help="write the tables into this page, between its two marks")
    parser.add_argument("--chart", type=Path, help="draw the chart, as SVG")
    given = parser.parse_args()
    sections = tuple(each.strip() for each in given.only.split(","))
    if set(sections) - set(tables.SECTIONS):
        parser.error(f"--only takes {', '.join(tables.SECTIONS)}")
    lines = list(asked(sections, given.real))
    console = Console(stderr=True)
    found = run(lines, replications=given.replications, workers=given.workers, keep=given.keep, console=console)
    shown = {line: found[line] for line, _, _ in lines}
    print(tables.written(shown))
    if given.tables:
        tables.put(given.tables, tables.written(shown))
    if given.chart:
        given.chart.write_text(chart.drawn(shown), encoding="utf-8")


if __name__ == "__main__":
    main()
