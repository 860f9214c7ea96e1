"""`manage.py import_calls`: call records of Asterisk (cdr_csv, Master.csv) become calls, waits and missed calls."""

from __future__ import annotations

import json
import re
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from crm.actions import call_records as actions
from crm.actions import rejected as rejections
from crm.channels import call_records
from crm.channels.rows import Rejected
from crm.management import files


class Command(BaseCommand):
    """Reads a file of call records, brings it in, and says how many calls were answered and how many were not."""

    help = (
        "Import Asterisk's call records (Master.csv). Calls of the last 24 hours are followed up as if the phone system had "
        "reported them: nobody answered means a call-back. Older ones are counted. A repeat adds nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the CSV file")
        parser.add_argument("--system", default="asterisk", help="the name of the phone system (default: asterisk)")
        parser.add_argument(
            "--zone", default=settings.EVENHAND_ZONE, help="time zone of the file; UTC where usegmtime is on"
        )
        parser.add_argument(
            "--context", action="append", default=[], metavar="NAME",
            help="dcontext in which customers' calls arrive, such as from-trunk; may be given several times",
        )  # fmt: skip
        parser.add_argument("--history", action="store_true", help="only count these calls; follow up none of them")
        parser.add_argument("--dry-run", action="store_true", help="say what would be new, and write nothing")
        parser.add_argument(
            "--errors", type=Path, help="where rows go that are not taken in (default: FILE.errors.csv)"
        )
        parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")

    def handle(self, *args: object, **options: Any) -> None:
        path, at, dry = options["file"], timezone.now(), options["dry_run"]
        if not re.fullmatch(r"[\w-]{1,60}", options["system"]):
            raise CommandError(
                "The name of a phone system has letters, digits, - and _ only, at most 60.", returncode=2
            )
        try:
            zone = ZoneInfo(options["zone"])
        except (ZoneInfoNotFoundError, ValueError) as trouble:
            raise CommandError(f"There is no time zone “{options['zone']}”.", returncode=2) from trouble
        records: list[call_records.CallRecord] = []
        rejected: list[Rejected] = []
        brought = actions.Brought()
        with files.progress(quiet=options["json"]) as bar:
            try:
                with path.open("rb") as file:
                    reading = bar.add_task("Reading, bytes", total=path.stat().st_size)
                    lines = files.lines(file, bar, reading)
                    for found in call_records.parse(lines, zone=zone, not_after=at, contexts=options["context"]):
                        (rejected if isinstance(found, Rejected) else records).append(found)  # type: ignore[arg-type]
            except OSError as trouble:
                raise CommandError(f"{path} cannot be read: {trouble.strerror}.", returncode=2) from trouble
            rows = len(records) + len(rejected)
            if call_records.wrong_zone_share(rejected, rows) > 0.5:
                raise CommandError(
                    f"Most calls carry an id of another time than {zone.key} says. Nothing was imported; --zone names the "
                    "time zone of the file.",
                    returncode=2,
                )
            every = call_records.calls(records)
            theirs = [call for call in every if not call.is_ours]
            writing = bar.add_task("Looking, calls" if dry else "Writing, calls", total=len(theirs))
            for batch in actions.batches(theirs):
                brought += actions.bring_in(
                    batch, system=options["system"], by=None, at=at, only_count=options["history"], dry=dry
                )
                bar.advance(writing, len(batch))
            if not dry:
                source = actions.source_of(options["system"])
                rejections.keep(rejected, source=source, kind="call_record", file_name=path.name, at=at)
        written = files.write_errors(rejected, beside=path, named=options["errors"])
        figures = {
            "rows": rows,
            "calls": len(every),
            "from_our_own_phones": len(every) - len(theirs),
            "new": {
                "answered": brought.talked,
                "not_answered": brought.missed,
                "followed_up": brought.followed_up,
                "counted": brought.remembered,
            },
            "known": brought.known,
            "rejected": dict(Counter(one.code for one in rejected).most_common()),
            "dry_run": dry,
        }
        self.stdout.write(json.dumps(figures) if options["json"] else _told(figures, path.name, written))


def _told(figures: dict[str, Any], name: str, errors: Path | None) -> str:
    new = figures["new"]
    said = [
        f"{name}: {figures['rows']:,} rows are {figures['calls']:,} calls, {figures['from_our_own_phones']:,} of them from "
        "our own phones, which are left out.",
        f"{'Would be new' if figures['dry_run'] else 'New'}: {new['answered']:,} answered, {new['not_answered']:,} that nobody "
        f"answered; {new['followed_up']:,} to follow up, {new['counted']:,} only counted. Known before: {figures['known']:,}.",
    ]
    said += [
        f"Not taken in: {number:,} × {call_records.REASONS.get(code, code)}"
        for code, number in figures["rejected"].items()
    ]
    if errors is not None:
        said.append(f"These rows stand in {errors} with the reason.")
    if figures["dry_run"]:
        said.append("This was a dry run: nothing was written.")
    return "\n".join(said)
