"""What cases know of a customer that may not stand in public."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from crm.actions import in_public
from crm.language.confidences import Kind
from recovery.models import Case, Grant


def of(customers: QuerySet[Any, Any]) -> Iterable[QuerySet[Any, tuple[str, str]]]:
    """Query sets of what is known; read by crm in one statement with everything else."""
    cases, grants = Case.objects.filter(customer__in=customers), Grant.objects.filter(case__customer__in=customers)
    return [
        in_public.row(cases, Kind.REFERENCE, "public_id"),
        in_public.row(cases.exclude(custom={}), in_public.OWN_FIELDS, "custom"),
        in_public.row(grants.filter(amount__gt=0), Kind.AMOUNT, "amount"),
        in_public.row(grants, Kind.GIFT, "pk"),
    ]
