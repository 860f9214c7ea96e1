"""`manage.py erase_customer`: have a customer erased from the command line, in the same two steps as on the page."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from crm.actions import erasure
from crm.models import Customer, User
from crm.policy.privacy import AskedBy


class Command(BaseCommand):
    """Shows what would go; with --yes it is asked for and carried out."""

    help = "Show what erasing a customer would do; with --yes, do it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("public_id", help="the customer's public id, as in the address of their page")
        parser.add_argument("--by", required=True, metavar="EMAIL", help="the colleague who answers for it")
        parser.add_argument("--asked-by", choices=AskedBy.values, default=AskedBy.CUSTOMER)
        parser.add_argument("--words", default="", help="how you know that it is they who ask")
        parser.add_argument("--reason", default="", help="why")
        parser.add_argument("--yes", action="store_true", help="do it; there is no way back")

    def handle(self, *args: Any, **options: Any) -> None:
        at = timezone.now()
        by = User.objects.filter(email=options["by"].lower(), is_staff=True, is_active=True).first()
        if by is None or not by.has_perm("crm.erase_customer"):
            raise CommandError("There is no colleague with this address who may erase.")
        try:
            customer = Customer.objects.get(public_id=options["public_id"])
        except (Customer.DoesNotExist, ValidationError, ValueError) as unknown:
            raise CommandError("There is no customer with this id.") from unknown
        shown = erasure.preview(customer, at=at)
        for title, rows in (("goes", shown.goes), ("is emptied", shown.changes)):
            for label, number in rows:
                self.stdout.write(f"{title}: {number} x {label}")
        for words in shown.ways:
            self.stdout.write(self.style.WARNING(words))
        if not options["yes"]:
            self.stdout.write("Nothing was changed. Add --yes to have it done.")
            return
        try:
            asked = erasure.ask(
                customer.pk,
                asked_by=AskedBy(options["asked_by"]),
                words=options["words"],
                reason=options["reason"],
                by=by,
                at=at,
            )
            erasure.carry_out(asked.pk, by=by, at=at)
        except (erasure.WordsMissing, erasure.NotErasable, erasure.Restricted) as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write(f"Agreed: the worker erases {customer.public_id} now.")
