"""What recovery does about a change that its customer did not ask for: a case of that kind, with what it cost (R049)."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from crm import money
from crm.models import Reversal, ServiceChange
from crm.policy.service_changes import charged
from recovery.actions import cases
from recovery.models import LIVE, Case
from recovery.policy import ComplaintType, Facts
from recovery.policy.causes import Cause


def opened(event: str, ref: str, at: datetime) -> None:
    """Open the case of a change that nobody asked for, with what it has cost so far; the policy says what is owed."""
    reversal = _reversal(ref)
    conversation_id = reversal.change.conversation_id
    if conversation_id is not None:
        cases.open_case(
            conversation_id,
            facts=_facts(reversal.change, until=reversal.ended_at or at),
            seen_because=[],
            by=None,
            at=at,
            cause=Cause.UNREQUESTED_CHANGE,
        )


@transaction.atomic
def ended(event: str, ref: str, at: datetime) -> None:
    """Decide again when the change cost more by the time it was put back, or kept by the customer's own word.

    What a colleague has noted since stays; the loss only rises. A case that has ended is left as it was settled.
    """
    reversal = _reversal(ref)
    opened("", ref, at)  # the two nudges may come in either order
    case = cases.locked(Case.objects.values_list("pk", flat=True).get(conversation=reversal.change.conversation_id))
    if case.status not in LIVE or not reversal.owed:
        return
    noted = Facts.from_data(case.decisions.order_by("-pk")[0].facts)
    if noted.currency == reversal.change.currency and noted.loss < reversal.owed:
        cases.decide_on(case, replace(noted, loss=reversal.owed), by=None, at=at)


def _facts(change: ServiceChange, *, until: datetime) -> Facts:
    kind = ComplaintType.UNREQUESTED_CHANGE
    if change.cost is None:
        return Facts(complaint_type=kind)
    so_far: Decimal = charged(change.cost, change.every, since=change.effective_at, until=until)
    return Facts(complaint_type=kind, loss=money.rounded(so_far, change.currency), currency=change.currency)


def _reversal(ref: str) -> Reversal:
    return Reversal.objects.select_related("change").get(change__public_id=uuid.UUID(ref.partition(":")[2]))
