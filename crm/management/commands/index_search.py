"""Read what messages and customers are found by, where it has not been read yet; after an upgrade of a large installation."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from crm.actions import search_index


class Command(BaseCommand):
    help = (
        "Reads the words of messages and customers that cannot be found yet, newest first. It may be stopped and begun again at "
        "any time; the workers do the same by themselves, this is quicker."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        read, left = 0, search_index.left_behind()
        with Progress(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(),
            console=Console(stderr=True), transient=True,
        ) as progress:  # fmt: skip
            bar = progress.add_task("reading", total=max(left, 1))
            while done := search_index.read_batch(at=timezone.now(), most=2_000):
                read += done
                progress.update(bar, completed=left - search_index.left_behind())
        self.stdout.write(f"{read:,} read; everything can be found.")
