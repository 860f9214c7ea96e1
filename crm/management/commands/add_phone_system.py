"""Make the account with which a phone system reports calls; it can do nothing else."""

from __future__ import annotations

import secrets
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from crm.actions import staff


class Command(BaseCommand):
    help = "Makes an account that may report calls and nothing else, and prints its password once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", help="the address it logs in with")
        parser.add_argument("--name", default="Phone system", help="the name colleagues see in the history")

    def handle(self, *args: Any, **options: Any) -> None:
        password = secrets.token_urlsafe(24)
        staff.enrol_phone_system(options["email"], name=options["name"], password=password, at=timezone.now())
        self.stdout.write(password)
