"""`manage.py parity_demo`: an artificial export in which the phone is worse off like for like and looks better all
together.
"""

from __future__ import annotations

import csv
import io
import math
from argparse import ArgumentParser
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from django.core.management.base import BaseCommand

from recovery.management.commands.parity_report import write_whole
from recovery.parity import Unusable

SEED = 20_260_105
START = datetime(2026, 1, 5, 8, 0)  # noqa: DTZ001 local time, as exports write it
DAYS = 120
AS_OF = START + timedelta(days=DAYS + 14)

# Type: usual hours to settle, promised hours, share of the phone's cases, share of the app's. The phone gets the quick
# work.
TYPES = {
    "Billing question": (6.0, 24, 0.55, 0.08),
    "Address change": (3.0, 24, 0.20, 0.07),
    "Lost parcel": (60.0, 96, 0.15, 0.40),
    "Broken on arrival": (90.0, 120, 0.10, 0.45),
}
# Channel: cases, how much longer than the app the same case takes, and whether the mix of types is the phone's or the
# app's.
CHANNELS = {"phone": (2600, 1.45, 2), "app": (2200, 1.0, 3), "web form": (1100, 1.0, 3), "letter": (19, 1.0, 2)}
SPREAD = 0.8  # of the logarithm of hours
MAP = """# Made by manage.py parity_demo.
[columns]
id = "ticket"
channel = "channel"
opened = "opened"
closed = "closed"
promised = "promised"
type = "type"
status = "status"

[options]
timezone = "Europe/Berlin"
date_formats = ["%Y-%m-%d %H:%M:%S"]
closed_statuses = ["closed"]
"""


class Command(BaseCommand):
    """Writes the export and its map; the same every time."""

    help = "Write an artificial export (and its map) in which all together hides what like for like shows."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "file",
            type=Path,
            nargs="?",
            default=Path("parity-demo.csv"),
            help="where the export goes; the map beside it",
        )

    def handle(self, *args: object, **options: Any) -> None:
        file: Path = options["file"]
        plan = file.with_suffix(".toml")
        try:
            write_whole(file, export())
            write_whole(plan, MAP)
        except Unusable as refusal:
            from django.core.management.base import CommandError

            raise CommandError(str(refusal), returncode=2) from refusal
        page = file.with_suffix(".html")
        self.stdout.write(
            f"Wrote {file} and {plan}. Artificial. Now:\n"
            f"  manage.py parity_report {file} --map {plan} --by-stratum --html {page}"
        )


def export() -> str:
    """Make the export as CSV text. Log-normal waits; the same seed, the same text."""
    random = Random(SEED)
    rows = []
    for channel, (cases, slower, mix) in CHANNELS.items():
        shares = [each[mix] for each in TYPES.values()]
        for _ in range(cases):
            kind = random.choices(list(TYPES), shares)[0]
            usual, promised, *_ = TYPES[kind]
            opened = START + timedelta(seconds=random.randrange(DAYS * 86_400))
            closed = opened + timedelta(hours=usual * slower * math.exp(random.gauss(0.0, SPREAD)))
            is_open = closed > AS_OF
            rows.append(
                (
                    opened,
                    channel,
                    kind,
                    "" if is_open else closed.isoformat(" ", "seconds"),
                    opened + timedelta(hours=promised),
                )
            )
    rows.sort(key=lambda each: each[0])
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("ticket", "channel", "type", "opened", "closed", "promised", "status"))
    for number, (opened, channel, kind, closed_at, due) in enumerate(rows, start=1):
        times = (opened.isoformat(" ", "seconds"), closed_at, due.isoformat(" ", "seconds"))
        writer.writerow((number, channel, kind, *times, "closed" if closed_at else "open"))
    return text.getvalue()
