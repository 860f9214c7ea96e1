"""`manage.py import_threads`: old public messages and their answers, from a file into closed conversations."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from crm.actions import importing
from crm.channels import threads
from crm.channels.rows import NotThisShape

COMPANIES_SHOWN = 20


class Command(BaseCommand):
    """Reads an export of public messages, brings it in, and says how long people waited for a first answer."""

    help = (
        "Import public messages and companies' answers from a CSV file (tweet_id, author_id, inbound, created_at, "
        "text, in_response_to_tweet_id) as closed conversations. Nothing is promised or sent; a repeat adds nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the CSV file")
        parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")

    def handle(self, *args: object, **options: Any) -> None:
        path: Path = options["file"]
        at = timezone.now()
        posts: list[threads.Post] = []
        rejected: list[threads.Rejected] = []
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True, quiet=options["json"]),
        ) as progress:
            try:
                with path.open("rb") as file:
                    reading = progress.add_task("Reading, bytes", total=path.stat().st_size)
                    for row in threads.parse(_told(file, progress, reading), not_after=at):
                        if isinstance(row, threads.Post):
                            posts.append(row)
                        else:
                            rejected.append(row)
            except OSError as trouble:
                raise CommandError(f"{path} cannot be read: {trouble.strerror}.", returncode=2) from trouble
            except NotThisShape as refusal:
                raise CommandError(f"{path} is not imported. {refusal}", returncode=2) from refusal
            every = threads.build(posts)
            with_customer = [thread for thread in every if thread.customer]
            rejected += [
                threads.Rejected("nobody_spoke", threads.written(post))
                for thread in every
                if not thread.customer
                for post in thread.posts
            ]
            writing = progress.add_task("Writing, threads", total=len(with_customer))
            brought = importing.Brought()
            companies = threads.addressed(every)
            for batch in importing.batches(with_customer):
                brought += importing.bring_in(batch, at=at, companies=companies)
                progress.advance(writing, len(batch))
            kept = importing.keep_rejected(rejected, file_name=path.name, at=at)
        waits = threads.waits(every)
        reasons = Counter(one.code for one in rejected)
        figures = {
            "rows": len(posts) + sum(count for code, count in reasons.items() if code != "nobody_spoke"),
            "threads": len(every),
            "inbound": sum(post.is_inbound for post in posts),
            "customers": len({post.author for post in posts if post.is_inbound}),
            "companies": sum(company != threads.NO_COMPANY for company in waits),
            "per_company": {
                company: {
                    "opening": one.opening,
                    "answered": one.answered,
                    "no_reply": one.no_reply,
                    "median_minutes": one.median_minutes,
                    "p90_minutes": one.p90_minutes,
                }
                for company, one in waits.items()
            },
            "rejected": dict(reasons.most_common()),
            "new": {
                "customers": brought.customers,
                "conversations": brought.conversations,
                "interactions": brought.interactions,
                "rejected": kept,
            },
        }
        if options["json"]:
            self.stdout.write(json.dumps(figures, ensure_ascii=False))
        else:
            self._summarise(figures, waits, name=path.name)

    def _summarise(self, figures: dict[str, Any], waits: dict[str, threads.Waits], *, name: str) -> None:
        console = Console(file=_stream(self.stdout), highlight=False, markup=False)
        opening = sum(one.opening for one in waits.values())
        answered = sum(one.answered for one in waits.values())
        new = figures["new"]
        console.print(
            f"{name}: {figures['rows']:,} rows, {figures['threads']:,} threads. {figures['customers']:,} people wrote "
            f"{figures['inbound']:,} messages to {figures['companies']:,} companies."
        )
        console.print(
            f"{opening:,} of these messages began something: {answered:,} were answered, "
            f"{opening - answered:,} got no answer in this file."
        )
        table = Table("company", title="How long people waited for a first answer", title_justify="left")
        for heading in ("began", "answered", "no answer", "half within", "nine of ten within"):
            table.add_column(heading, justify="right")
        for company, one in list(waits.items())[:COMPANIES_SHOWN]:
            table.add_row(
                company,
                f"{one.opening:,}",
                f"{one.answered:,}",
                f"{one.no_reply:,}",
                _minutes(one.median_minutes),
                _minutes(one.p90_minutes),
            )
        console.print(table)
        if len(waits) > COMPANIES_SHOWN:
            console.print(f"… and {len(waits) - COMPANIES_SHOWN} more companies; --json lists them all.")
        for code, count in figures["rejected"].items():
            console.print(f"Not taken in: {count:,} × {threads.REASONS[code]}")
        if figures["rejected"]:
            console.print("These rows are kept among the parked raw items.")
        if not (new["conversations"] or new["interactions"]):
            console.print("Nothing was new: all of this had been imported before.")
        else:
            console.print(
                f"New: {new['customers']:,} customers, {new['conversations']:,} conversations, "
                f"{new['interactions']:,} messages."
            )


def _told(file: BinaryIO, progress: Progress, task: Any) -> Iterator[bytes]:
    """The lines of a file, with the bar moving on as they are read."""
    waiting = 0
    for line in file:
        waiting += len(line)
        if waiting > 200_000:
            progress.advance(task, waiting)
            waiting = 0
        yield line
    progress.advance(task, waiting)


def _minutes(minutes: float | None) -> str:
    if minutes is None:
        return "–"
    if minutes < 120:
        return f"{minutes:,.1f} min"
    return f"{minutes / 60:,.1f} h" if minutes < 2 * 24 * 60 else f"{minutes / 60 / 24:,.1f} days"


def _stream(wrapped: Any) -> IO[str]:
    """The stream under Django's wrapper."""
    return getattr(wrapped, "_out", wrapped)  # type: ignore[no-any-return]
