"""`make bench`: start throw-away servers, fill them, measure, print one table and write bench.json.

A goal that is missed is a finding, not an error: the exit code says only whether the measurement itself worked.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.bench import servers

STAGES = (10, 1_000, 10_000)
FULL, QUICK = 1_000_000, 50_000


def main() -> int:
    """Run the benchmark; 0 unless it could not be run."""
    told = _arguments()
    console = Console(width=None if sys.stdout.isatty() else 200)
    with servers.running(told.folder) as places:
        os.environ["EVENHAND_DATA"] = str(places.data)
        os.environ["DJANGO_SETTINGS_MODULE"] = "evenhand.settings"
        os.environ["EVENHAND_POSTS_A_MINUTE"] = "600000"  # one account posts as many as can be taken in
        for name in ("DATABASE_URL", "CELERY_BROKER_URL", "EVENHAND_DEBUG"):
            os.environ.pop(name, None)
        import django

        django.setup()
        from django.db import connection

        try:
            _measure(told, places, console)
        finally:
            connection.close()
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} conversations and short batches: a first look")
    parser.add_argument("--only", default="", help="numbers of goals, e.g. 6,15")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of alternating batches (at least 5)")
    parser.add_argument("--out", type=Path, default=servers.ROOT / "bench.json", help="where the results go")
    parser.add_argument("--folder", type=Path, help="where the throw-away servers keep their data")
    told = parser.parse_args()
    told.rounds = max(5, told.rounds)
    told.goals = {int(number) for number in told.only.split(",") if number.strip()}
    return told


def _measure(told: argparse.Namespace, places: servers.Places, console: Console) -> None:
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection

    from tests.bench import fill, goals, people, report
    from tests.bench.measure import Door

    logging.getLogger("django.request").setLevel(logging.CRITICAL)  # a page that fails stands in the table
    largest = QUICK if told.quick else FULL
    chosen = {number: goal for number, goal in goals.MEASURED.items() if not told.goals or number in told.goals}
    stages = [*STAGES, largest] if set(chosen) != {11} else []  # which brings matters of its own
    found: list[report.Finding] = []
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=console, transient=True, refresh_per_second=2,
    ) as progress:  # fmt: skip
        bar = progress.add_task("migrating", total=2 + len(stages) + len(chosen))

        def step(words: str) -> None:
            progress.update(bar, advance=1, description=words)

        call_command("migrate", verbosity=0)
        settings.ROOT_URLCONF = "tests.bench.plain"
        door = Door()
        step("making accounts")
        run = goals.Run(
            door=door,
            people=people.enrol(door, customers=goals.CONNECTIONS),
            places=places,
            rounds=told.rounds,
            requests=30 if told.quick else 100,
            seconds=2 if told.quick else 4,
            conversations=largest,
        )
        fill.keep_keys_apart()
        owners = [one.pk for one in run.people.colleagues]
        filled = 0
        for stage in stages:
            step(f"filling {stage:,} conversations")
            fill.conversations(filled, stage, owners=owners)
            fill.longer(1 if filled == 0 else min(filled, 1000) - 1, min(stage, 1000) - 1)
            filled = stage
            run.people.log_in()
            if 15 in chosen:
                goals.count_statements(run, stage)
            if stage == STAGES[-1]:
                connection.close()
                _copy(goals.SMALL)
        fill.settle()
        for number in sorted(chosen, key=lambda number: (goals.WRITES.get(number, 0), -number)):
            step(f"measuring goal {number}")
            run.people.log_in()
            try:
                found += chosen[number](run)
            except Exception as trouble:  # noqa: BLE001  one goal must not take the others with it
                words = f"{type(trouble).__name__}: {trouble}"[:200]
                found.append(report.Finding(number, "all of it", "", "", "", None, note=words))
        step("done")
    if not told.goals:
        found += [report.Finding(n, "all of it", "", "", "", None, note=why) for n, why in report.NOT_YET.items()]
    report.show(found, console)
    started = {"conversations": largest, "rounds": told.rounds, "quick": told.quick, "at": time.strftime("%Y-%m-%d")}
    report.write(found, told.out, told=started)
    console.print(f"Written to {told.out}.")


def _copy(name: str) -> None:
    """Keep the database as it is now under another name."""
    import psycopg
    from django.conf import settings

    database = settings.DATABASES["default"]
    with psycopg.connect(
        host=database["HOST"], port=database["PORT"], user=database["USER"], dbname="postgres", autocommit=True
    ) as direct:
        direct.execute(f'CREATE DATABASE "{name}" TEMPLATE "{database["NAME"]}"')


if __name__ == "__main__":
    sys.exit(main())
