"""What customers allowed: an append-only ledger. Staff may take a permission away, never give one."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from crm import history
from crm.models import Consent, Customer, User
from crm.models.consents import ConsentActor, ConsentState


class EvidenceMissing(ValueError):
    """A permission without evidence is none."""

    code = "evidence_missing"


@transaction.atomic
def grant(customer: Customer, purpose: str, *, evidence: str, at: datetime) -> Consent:
    """Write down that the customer allowed something. evidence: the words shown to them and where they said yes.

    Raises EvidenceMissing.
    """
    if not evidence.strip():
        raise EvidenceMissing("A permission needs its evidence: what the customer was asked, and where they agreed.")
    event = Consent.objects.create(
        customer=customer,
        purpose=purpose,
        state=ConsentState.GRANTED,
        actor=ConsentActor.CUSTOMER,
        evidence=evidence,
        at=at,
    )
    history.record(customer, "consent.granted", ref=f"consent:{purpose}", by=None, at=at, origin="customer")
    return event


@transaction.atomic
def withdraw(customer: Customer, purpose: str, *, evidence: str, at: datetime, by: User | None = None) -> Consent:
    """Write down that a permission ended. by: the colleague who noted it; None when the customer did it themselves.

    Doing it twice adds nothing. Raises EvidenceMissing.
    """
    if not evidence.strip():
        raise EvidenceMissing("Please note how the customer said no.")
    customer = Customer.objects.select_for_update().get(pk=customer.pk)
    if customer.merged_into_id is not None:  # whoever says no by an old link is one with another record now
        customer = Customer.objects.select_for_update().get(pk=customer.merged_into_id)
    newest = Consent.objects.filter(customer=customer, purpose=purpose).order_by("-at", "-id").first()
    if newest is not None and newest.state == ConsentState.WITHDRAWN:
        return newest
    event = Consent.objects.create(
        customer=customer,
        purpose=purpose,
        state=ConsentState.WITHDRAWN,
        actor=ConsentActor.STAFF if by else ConsentActor.CUSTOMER,
        evidence=evidence,
        at=at,
    )
    history.record(
        customer, "consent.withdrawn", ref=f"consent:{purpose}", by=by, at=at, origin="" if by else "customer"
    )
    return event
