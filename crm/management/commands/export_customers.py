"""`manage.py export_customers`: customers into a file, row by row, with a bar; what left is written down."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from crm.actions import customer_exports as actions
from crm.management import files
from crm.models.people import CustomerStatus


class Command(BaseCommand):
    """Writes all customers, or those of one status, into a CSV file or as JSON lines."""

    help = (
        "Export customers as CSV (safe for spreadsheets) or JSON lines, one row each, at any number in the same memory. "
        "That they were exported, with which columns and how many, is written into the history."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the file to write; it must not be there yet")
        parser.add_argument("--form", choices=actions.FORMS, default="csv", help="csv or jsonl (default: csv)")
        parser.add_argument("--columns", default="", help="columns, separated by commas (default: all)")
        parser.add_argument("--status", choices=CustomerStatus.values, default="", help="only customers of this status")

    def handle(self, *args: object, **options: Any) -> None:
        chosen = [name.strip() for name in options["columns"].split(",") if name.strip()] or list(actions.columns())
        found = actions.every()
        filters = {}
        if options["status"]:
            found, filters = found.filter(status=options["status"]), {"status": options["status"]}
        progress = actions.Progress()
        try:
            lines = actions.lines(
                found, chosen=chosen, form=options["form"], filters=filters, by=None, origin="command",
                clock=timezone.now, progress=progress,
            )  # fmt: skip
            with files.progress(quiet=False) as bar, options["file"].open("xb") as file:
                writing = bar.add_task("Writing, rows", total=actions.about() or None)
                for piece in lines:
                    file.write(piece)
                    bar.update(writing, completed=progress.rows)
        except actions.NotWritable as refusal:
            raise CommandError(str(refusal), returncode=2) from refusal
        except OSError as trouble:
            raise CommandError(f"{options['file']} cannot be written: {trouble}.", returncode=2) from trouble
        self.stdout.write(f"{progress.rows:,} customers stand in {options['file']}.")
