"""`manage.py customer_package`: write a copy of everything about one customer to a file."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from crm.actions import package_contents
from crm.models import Customer


class Command(BaseCommand):
    """Writes the ZIP file at once; who may read it is up to whoever runs this."""

    help = "Write a ZIP file with everything about one customer (data.json, index.html, files)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("public_id", help="the customer's public id, as in the address of their page")
        parser.add_argument("--to", required=True, type=Path, metavar="FILE", help="where to write; must not exist yet")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            customer = Customer.objects.get(public_id=options["public_id"])
        except (Customer.DoesNotExist, ValidationError, ValueError) as unknown:
            raise CommandError("There is no customer with this id.") from unknown
        try:
            descriptor = os.open(options["to"], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as trouble:
            raise CommandError(f"{options['to']} cannot be written: {trouble.strerror}.") from trouble
        with os.fdopen(descriptor, "wb") as target:
            package_contents.write(target, customer, at=timezone.now(), progress=lambda done, parts: None)
        self.stdout.write(f"Written: {options['to']}")
