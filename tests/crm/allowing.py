"""A customer who says yes, as they do it on their own page."""

from __future__ import annotations

from datetime import datetime

from crm.actions import consent
from crm.models import Consent, ContactPoint, Customer
from crm.policy.ledger import ProofDoor
from tests.conftest import NOON

WORDS = "Yes, please."


def shown_to(customer: Customer, *, words: str = WORDS) -> consent.Shown:
    """What they had before their eyes, opened from the first address they have; a device where they have none."""
    point = customer.contact_points.filter(unlinked_at=None).order_by("pk").first()
    if point is None:
        address = f"device-{customer.public_id}"
        point = ContactPoint.objects.create(customer=customer, kind="device", address=address, created_at=NOON)
    return consent.Shown(words=words, version="test", language="en", door=ProofDoor.PAGE, point=point)


def allows(
    customer: Customer, purpose: str = "birthday", medium: str = "email", *, at: datetime = NOON, words: str = WORDS
) -> Consent:
    """Let a customer allow something."""
    return consent.grant(customer, purpose, medium, shown=shown_to(customer, words=words), at=at)
