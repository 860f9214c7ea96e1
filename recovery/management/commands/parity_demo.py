"""`manage.py parity_demo`: an artificial export in which the phone is worse off like for like and looks better all
together, the web form is answered less often, and going public helps.
"""

from __future__ import annotations

import csv
import io
import math
from argparse import ArgumentParser
from dataclasses import dataclass
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
# Channel: cases, how much longer than the app the same case takes, whether the mix of types is the phone's or the app's,
# and the share that nobody ever answers. Posts on the social network follow from private cases that drag on.
CHANNELS = {
    "phone": (2600, 1.45, 2, 0.02),
    "app": (2200, 1.0, 3, 0.02),
    "web form": (900, 1.0, 3, 0.08),
    "letter": (19, 1.0, 2, 0.02),
}
SOCIAL, POSTS, PATIENCE, HURRIED = "social network", 200, 72.0, 1.8  # patience: mean hours; hurried: from the post on
CUSTOMERS = 2400
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
customer = "customer"

[[outcome]]
name = "first_response"
kind = "duration"
from = "opened"
to = "answered"
unit = "hours"

[options]
response = "first_response"
public_channels = ["social network"]
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


@dataclass
class _Case:
    channel: str
    kind: str
    opened: datetime
    hours: float  # until it is settled
    unanswered: float
    customer: int = 0

    @property
    def closed(self) -> datetime:
        return self.opened + timedelta(hours=self.hours)


def export() -> str:
    """Make the export as CSV text. Log-normal waits; the same seed, the same text."""
    random, people = Random(SEED), Random(SEED + 1)
    cases = []
    for channel, (count, slower, mix, unanswered) in CHANNELS.items():
        shares = [each[mix] for each in TYPES.values()]
        for _ in range(count):
            kind = random.choices(list(TYPES), shares)[0]
            opened = START + timedelta(seconds=random.randrange(DAYS * 86_400))
            hours = TYPES[kind][0] * slower * math.exp(random.gauss(0.0, SPREAD))
            cases.append(_Case(channel, kind, opened, hours, unanswered, people.randrange(CUSTOMERS)))
    cases += _posts(cases, people)
    cases.sort(key=lambda each: each.opened)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("ticket", "customer", "channel", "type", "opened", "answered", "closed", "promised", "status"))
    for number, each in enumerate(cases, start=1):
        answered = each.opened + timedelta(hours=each.hours * people.uniform(0.05, 0.35))
        due = each.opened + timedelta(hours=TYPES[each.kind][1])
        silent = people.random() < each.unanswered or answered > AS_OF
        is_open = each.closed > AS_OF
        times = (_written(each.opened), "" if silent else _written(answered), "" if is_open else _written(each.closed))
        status = "open" if is_open else "closed"
        writer.writerow((number, f"K{each.customer:05}", each.channel, each.kind, *times, _written(due), status))
    return text.getvalue()


def _posts(cases: list[_Case], people: Random) -> list[_Case]:
    """Customers who lose patience while their case is open write publicly, and their case is hurried from then on."""
    posts: list[_Case] = []
    for each in people.sample(cases, len(cases)):
        patience = people.expovariate(1 / PATIENCE)
        if each.hours > patience and each.opened + timedelta(hours=patience) < AS_OF - timedelta(days=7):
            each.hours = patience + (each.hours - patience) / HURRIED
            hours = TYPES[each.kind][0] * math.exp(people.gauss(0.0, SPREAD))
            opened = each.opened + timedelta(hours=patience)
            posts.append(_Case(SOCIAL, each.kind, opened, hours, 0.02, each.customer))
        if len(posts) == POSTS:
            break
    return posts


def _written(moment: datetime) -> str:
    return moment.isoformat(" ", "seconds")
