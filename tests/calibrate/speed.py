"""How long does a parity report take, and how much memory: `python -m tests.calibrate.speed`.

Writes an artificial export of a million tickets, and a real one as XLSX where it is at hand, and makes reports of them
by the command. Processor seconds are told beside those of the clock, for other work on the machine does not change them.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import openpyxl

from recovery.parity import effects, kernel, metrics
from tests.calibrate import world
from tests.calibrate.__main__ import ROOT, export

ROWS = 1_000_000
WRITTEN = "%Y-%m-%d %H:%M:%S"
MAP = """[columns]
id = "ticket"
channel = "channel"
opened = "opened"
closed = "closed"
promised = "due"
type = "type"

[[outcome]]
name = "satisfied"
kind = "bool"
column = "rating"
true = ["good"]

[[outcome]]
name = "first_response"
kind = "duration"
from = "opened"
to = "answered"
unit = "hours"

[options]
timezone = "Europe/Berlin"
"""


def tickets(rows: int) -> Iterator[list[str]]:
    """A year of tickets on six channels, of 24 types."""
    random = np.random.default_rng(1)
    start, end = datetime(2025, 1, 1), datetime(2026, 1, 1)
    channels = random.choice(list(world.CHANNELS), rows, p=list(world.CHANNELS.values()))
    kinds = np.minimum(random.geometric(0.12, rows), world.TYPES)
    opened, waits = random.random(rows) * 365 * 24, np.exp(random.normal(4, 1.1, rows))
    answers, ratings = np.exp(random.normal(1, 0.9, rows)), random.choice(["good", "bad", "", ""], rows)
    yield ["ticket", "channel", "type", "opened", "answered", "due", "closed", "rating"]
    for number in range(rows):
        at = start + timedelta(hours=opened[number])
        answered, closed = at + timedelta(hours=answers[number]), at + timedelta(hours=waits[number])
        times = [each.strftime(WRITTEN) if each < end else "" for each in (at, answered, closed)]
        due = (at + timedelta(hours=120)).strftime(WRITTEN)
        yield [
            str(number), channels[number], f"type {kinds[number]}", times[0], times[1], due, times[2], ratings[number]
        ]  # fmt: skip


def as_workbook(source: Path, target: Path) -> None:
    """The Boston export as XLSX, dates as dates."""
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    with source.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        header = next(rows)
        dated = {place for place, name in enumerate(header) if name.endswith("_DT")}
        sheet.append(header)
        for row in rows:
            sheet.append(
                [
                    datetime.strptime(value, "%m/%d/%Y %I:%M:%S %p") if place in dated and value else value
                    for place, value in enumerate(row)
                ]
            )
    book.save(target)


def measured(*command: str) -> str:
    """Run a report; a line of a table: clock, processor, memory."""
    started = time.perf_counter()
    arguments = [sys.executable, str(ROOT / "manage.py"), "parity_report", *command]
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    child = os.posix_spawn(sys.executable, arguments, os.environ, file_actions=quiet)
    _, status, used = os.wait4(child, 0)
    if status:
        raise SystemExit(f"The report ended with {os.waitstatus_to_exitcode(status)}.")
    clock, processor = time.perf_counter() - started, used.ru_utime + used.ru_stime
    return f"{clock:.1f} s | {processor:.1f} s | {used.ru_maxrss / 1024:,.0f} MB |"  # kilobytes, on Linux


def from_cells(rows: int) -> tuple[float, float]:
    """Processor seconds of the 48 comparisons of the calibration's world: tests alone; with effects and intervals."""
    cases = world.simulate(rows, 1)
    pairs = []
    for metric in metrics.of(cases, world.TYPES):
        stratum, code = (each[metric.valid].astype(np.int64) for each in (cases.type, cases.channel))
        shape = (world.TYPES, len(cases.channels), metric.bins)
        table = kernel.table(stratum, code, metric.place, metric.event, shape)
        for each in range(len(cases.channels)):
            sides = (np.stack([part[:, each], part.sum(axis=1) - part[:, each]], axis=1) for part in table)
            pairs.append((metric, kernel.Pair(*sides)))
    started = time.process_time()
    for metric, pair in pairs:
        effects.p_value(pair, is_time=metric.is_time)
    tested = time.process_time()
    for metric, pair in pairs:
        effects.times(pair, width=metric.width) if metric.is_time else effects.binary(pair)
    return tested - started, time.process_time() - tested


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.calibrate.speed", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--real", type=Path, default=export(), help="a Boston 311 export")
    given = parser.parse_args()
    print("| report | clock | processor | memory |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        page = str(folder / "report.html")
        if given.real:
            book = folder / "boston.xlsx"
            as_workbook(given.real, book)
            print("| Boston, XLSX to HTML |", measured(str(book), "--map", "boston311", "--html", page), flush=True)
        large, plan = folder / "large.csv", folder / "large.toml"
        plan.write_text(MAP)
        with large.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(tickets(given.rows))
        for options in (("--strata", "type"), ("--strata", "type,month", "--by-stratum")):
            line = measured(str(large), "--map", str(plan), "--html", page, *options)
            print(f"| {given.rows:,} rows, `{' '.join(options)}` |", line, flush=True)
    for rows in (2_000, 200_000):
        tests, effect = from_cells(rows)
        print(f"| 48 comparisons from the cells of {rows:,} cases | | {tests:.3f} s tests, {effect:.2f} s effects | |")


if __name__ == "__main__":
    main()
