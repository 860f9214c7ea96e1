"""`manage.py import_reviews`: a review site's export becomes public posts."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from crm.actions import rejected as rejections
from crm.actions import review_files as actions
from crm.channels import review_files
from crm.channels.rows import NotThisShape, Rejected
from crm.management import files


class Command(BaseCommand):
    """Reads an export of reviews, brings it in, and says how many were new."""

    help = (
        "Import a review site's CSV export. Reviews since the last import open a matter with its promises; older ones are "
        "counted. A repeat adds nothing. --columns names a TOML file that says which column is which."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the CSV file")
        parser.add_argument("--columns", type=Path, required=True, help="the table of columns (TOML)")
        parser.add_argument("--history", action="store_true", help="only count these reviews; none opens a matter")
        parser.add_argument("--dry-run", action="store_true", help="say what would be new, and write nothing")
        parser.add_argument(
            "--errors", type=Path, help="where rows go that are not taken in (default: FILE.errors.csv)"
        )
        parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")

    def handle(self, *args: object, **options: Any) -> None:
        path, at, dry = options["file"], timezone.now(), options["dry_run"]
        reviews: list[review_files.Review] = []
        rejected: list[Rejected] = []
        brought = actions.Brought()
        with files.progress(quiet=options["json"]) as bar:
            try:
                mapping = review_files.mapped(options["columns"].read_text(encoding="utf-8"))
                with path.open("rb") as file:
                    reading = bar.add_task("Reading, bytes", total=path.stat().st_size)
                    for found in review_files.parse(files.lines(file, bar, reading), mapping, not_after=at):
                        (rejected if isinstance(found, Rejected) else reviews).append(found)  # type: ignore[arg-type]
            except (OSError, UnicodeDecodeError) as trouble:
                raise CommandError(f"{path} or its table cannot be read: {trouble}.", returncode=2) from trouble
            except NotThisShape as refusal:
                raise CommandError(f"{path} is not imported. {refusal}", returncode=2) from refusal
            last = actions.last_good_at(mapping.site)
            writing = bar.add_task("Looking, reviews" if dry else "Writing, reviews", total=len(reviews))
            for batch in actions.batches(reviews):
                brought += actions.bring_in(
                    batch, site=mapping.site, last_good_at=last, by=None, at=at, only_count=options["history"], dry=dry
                )
                bar.advance(writing, len(batch))
            rejected += brought.refused
            if not dry:
                source = actions.source_of(mapping.site)
                rejections.keep(rejected, source=source, kind="review_row", file_name=path.name, at=at)
                actions.brought(mapping.site, at=at)
        written = files.write_errors(rejected, beside=path, named=options["errors"])
        figures = {
            "rows": len(reviews) + len(rejected),
            "news": brought.news,
            "counted": brought.old,
            "known": brought.known,
            "rejected": dict(Counter(one.code for one in rejected).most_common()),
            "dry_run": dry,
        }
        self.stdout.write(json.dumps(figures) if options["json"] else _told(figures, path.name, written))


def _told(figures: dict[str, Any], name: str, errors: Path | None) -> str:
    verb = "Would open" if figures["dry_run"] else "Opened"
    said = [
        f"{name}: {figures['rows']:,} rows. {verb} {figures['news']:,} matters; {figures['counted']:,} older reviews are only "
        f"counted; {figures['known']:,} were known before."
    ]
    said += [
        f"Not taken in: {number:,} × {review_files.REASONS.get(code, code)}"
        for code, number in figures["rejected"].items()
    ]
    if errors is not None:
        said.append(f"These rows stand in {errors} with the reason.")
    if figures["dry_run"]:
        said.append("This was a dry run: nothing was written.")
    return "\n".join(said)
