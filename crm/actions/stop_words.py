"""What follows when somebody writes STOP: kindness ends, answers that are owed go on, and nobody asks back (H11)."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from crm import history
from crm.actions import consent
from crm.models import Consent, ContactPoint, Customer
from crm.models.consents import ConsentActor, ConsentState


def stopped(point: ContactPoint, word: str, *, told_at: datetime, at: datetime, origin: str) -> None:
    """End what the customer of this address allowed before they said so. Done again, it adds nothing."""
    evidence = f"{_stop_by(point)} “{word}”"
    with transaction.atomic():
        customer = Customer.objects.select_for_update().get(pk=point.customer_id)
        for standing in _newest(customer):
            if standing.state == ConsentState.GRANTED and standing.at <= told_at:
                consent.withdraw(customer, standing.purpose, evidence=evidence, at=at)
        _record(customer, "customer.wrote_stop", point, at=at, origin=origin)


def started(point: ContactPoint, word: str, *, told_at: datetime, at: datetime, origin: str) -> int:
    """Give back what a stop word from this very address had ended, and nothing else. Returns how much that is.

    Not what they ended elsewhere, and nothing they never allowed.
    """
    count = 0
    with transaction.atomic():
        customer = Customer.objects.select_for_update().get(pk=point.customer_id)
        for standing in _newest(customer):
            is_ours = standing.actor == ConsentActor.CUSTOMER and standing.evidence.startswith(_stop_by(point))
            if standing.state == ConsentState.WITHDRAWN and is_ours and standing.at <= told_at:
                evidence = (
                    f"Start word from {point.address}: “{word}”, after their stop word of {standing.at:%Y-%m-%d}."
                )
                consent.grant(customer, standing.purpose, evidence=evidence, at=at)
                count += 1
        if count:
            _record(customer, "customer.wrote_start", point, at=at, origin=origin)
    return count


def _stop_by(point: ContactPoint) -> str:
    return f"Stop word from {point.address}:"


def _newest(customer: Customer) -> list[Consent]:
    return list(Consent.objects.filter(customer=customer).order_by("purpose", "-at", "-id").distinct("purpose"))


def _record(customer: Customer, verb: str, point: ContactPoint, *, at: datetime, origin: str) -> None:
    history.record(customer, verb, ref=f"contact_point:{point.pk}", by=None, at=at, origin=origin)
