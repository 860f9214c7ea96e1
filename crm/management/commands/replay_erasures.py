"""`manage.py replay_erasures`: after a backup was restored, erase again whoever was erased since it was made (P08)."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from crm.actions import erasure, journal


class Command(BaseCommand):
    """Reads the erasure journal and erases whomever it names and the database still knows. Safe to repeat."""

    help = "After a restore: erase again whoever the erasure journal names. Run it before the service opens."
    requires_system_checks = ()  # they would say that this has to be run

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            done = erasure.replay(at=timezone.now())
        except (journal.JournalBroken, OSError) as trouble:
            raise CommandError(str(trouble)) from trouble
        self.stdout.write(f"{done.lines} lines of the journal were new here; {done.persons} people were erased again.")
        for public_id in done.elsewhere:
            self.stdout.write(f"Another customer holds an address of somebody erased; please look at them: {public_id}")
