"""What follows when somebody writes STOP: kindness ends, answers that are owed go on, and nobody asks back (H11)."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from crm import history
from crm.actions import consent, suppression
from crm.models import ContactPoint, Customer
from crm.models.consents import ConsentActor
from crm.policy.ledger import ConsentState, ProofDoor
from crm.policy.suppression import SuppressionReason, SuppressionScope

START_WORDS = "start word"
"""The version of the words in the proof that a start word is: the customer's own, not ours."""


def stopped(point: ContactPoint, word: str, *, told_at: datetime, at: datetime, origin: str) -> None:
    """End what the customer of this address allowed before they said so. Done again, it adds nothing."""
    evidence = f"{_stop_by(point)} “{word}”"
    with transaction.atomic():
        customer = Customer.objects.select_for_update().get(pk=point.customer_id)
        said_later = consent.end_all(customer, evidence=evidence, told_at=told_at, at=at)
        if not said_later:
            suppression.suppress(
                point.kind,
                point.address,
                scope=SuppressionScope.ALL_BUT_OWED,
                reason=SuppressionReason.UNSUBSCRIBE,
                at=at,
            )
        _record(customer, "customer.wrote_stop", point, at=at, origin=origin)


def started(point: ContactPoint, word: str, *, told_at: datetime, at: datetime, origin: str) -> int:
    """Give back what a stop word from this very address had ended, and nothing else. Returns how much that is.

    Not what they ended elsewhere, and nothing they never allowed. The word is the customer's own proof: it came from their
    number on a channel whose provider signs what it says.
    """
    count = 0
    with transaction.atomic():
        customer = Customer.objects.select_for_update().get(pk=point.customer_id)
        for (purpose, medium), standing in consent.counting(customer.pk).items():
            is_ours = standing.actor == ConsentActor.CUSTOMER and standing.evidence.startswith(_stop_by(point))
            if standing.state == ConsentState.WITHDRAWN and is_ours and standing.at <= told_at:
                words = f"“{word}”, after their stop word of {standing.at:%Y-%m-%d}."
                shown = consent.Shown(
                    words=words,
                    version=START_WORDS,
                    language=customer.language or "und",
                    door=ProofDoor.WORD,
                    point=point,
                )
                consent.grant(customer, purpose, medium, shown=shown, at=at)
                count += 1
        if count:
            _record(customer, "customer.wrote_start", point, at=at, origin=origin)
    return count


def _stop_by(point: ContactPoint) -> str:
    # By its key and not by the number: what is append-only outlasts whoever is forgotten.
    return f"Stop word (contact_point:{point.pk}):"


def _record(customer: Customer, verb: str, point: ContactPoint, *, at: datetime, origin: str) -> None:
    history.record(customer, verb, ref=f"contact_point:{point.pk}", by=None, at=at, origin=origin)
