"""Play the same people through several orders of the queue and write the section of docs/policy.md about it, and its chart.

The world is told in tests/simulate/world.py, the orders in tests/simulate/desk.py. Ends with an error when what the page
says does not hold.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tests.simulate import chart, tables, world
from tests.simulate.tables import PLAYED, Found, Tally

ROOT = Path(__file__).resolve().parents[2]
RUNS = 40


def run(scenario: world.Scenario, seed: int) -> dict[str, Tally]:
    """Serve one run under every discipline of its scenario."""
    cases = world.simulate(scenario, seed)
    return {discipline.name: tables.counted(cases, discipline) for discipline in PLAYED[scenario]}


def play(runs: int, *, workers: int, console: Console) -> Found:
    """Play every scenario so many times. The same number of runs always gives the same result."""
    found: Found = {(scenario.name, each.name): Tally() for scenario, served in PLAYED.items() for each in served}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task("", total=runs * len(PLAYED))
        for scenario in PLAYED:
            progress.update(task, description=scenario.name)
            for one in _runs(scenario, runs, workers):
                for name, tally in one.items():
                    found[scenario.name, name].add(tally)
                progress.advance(task)
            if not console.is_terminal:
                console.print(f"{scenario.name}: {runs} runs", soft_wrap=True)
    return found


def _runs(scenario: world.Scenario, runs: int, workers: int) -> Iterable[dict[str, Tally]]:
    if workers == 1:
        yield from (run(scenario, seed) for seed in range(runs))
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(run, [scenario] * runs, range(runs))


def put(page: Path, section: str) -> None:
    """Put the section in the place of the one that the page has, or at its end."""
    heading = section.partition("\n")[0]
    before, found, after = page.read_text(encoding="utf-8").partition(heading + "\n")
    _old, another, rest = after.partition("\n## ")
    page.write_text(
        (before if found else before.rstrip("\n") + "\n\n") + section + (f"\n## {rest}" if another else ""),
        encoding="utf-8",
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=RUNS, help=f"per scenario ({RUNS})")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--page", type=Path, default=ROOT / "docs/queue-simulation.md", help="where the section goes")
    parser.add_argument(
        "--policy", type=Path, default=ROOT / "docs/policy.md", help="the page that has the section too"
    )
    parser.add_argument("--chart", type=Path, default=ROOT / "docs/queue-simulation.svg", help="where the chart goes")
    given = parser.parse_args()
    found = play(given.runs, workers=given.workers, console=Console(stderr=True))
    section = tables.written(found, runs=given.runs)
    print(section)
    held = tables.held(found)
    for says, holds in held:
        print(f"{'holds' if holds else 'DOES NOT HOLD'}: {says}")
    if not all(holds for _says, holds in held):
        sys.exit(1)
    given.page.write_text(section, encoding="utf-8")
    put(given.policy, section)
    given.chart.write_text(chart.drawn(found), encoding="utf-8")


if __name__ == "__main__":
    main()
