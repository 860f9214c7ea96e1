"""What a case's messages did: they were accepted for delivery, which confirms it, or came back, which undoes that."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from crm import history
from crm.actions import closing_lines, endings, holds, promises
from crm.models import Conversation, OutgoingMessage
from crm.policy import Delivery, OutgoingState, PromiseKind
from recovery.actions.cases import CAME_BACK, ref_of
from recovery.models import Case, Settlement
from recovery.policy import Status

KEPT_BY_CONFIRMING = (PromiseKind.RESOLUTION, PromiseKind.OWNERSHIP, PromiseKind.CONFIRMATION, PromiseKind.STATUTORY)


def confirm(event: str, ref: str, at: datetime) -> None:
    """Note that a case's written confirmation, or its owner's words, were accepted for delivery."""
    kind, _colon, public_id = ref.partition(":")
    if kind == "owner":
        _told_whose_it_is(public_id, at=at)
    if kind == "case":
        _confirmed(public_id, at=at)


def came_back(event: str, ref: str, at: datetime) -> None:
    """Note that a case's written confirmation, or its owner's words, did not reach the customer after all."""
    kind, _colon, public_id = ref.partition(":")
    if kind == "owner":
        _not_told_whose_it_is(public_id, at=at)
    if kind == "case":
        _not_confirmed(public_id, at=at)


@transaction.atomic
def _confirmed(public_id: str, *, at: datetime) -> None:
    case = _case(public_id)
    if case.status != Status.RESOLVED or case.confirmed_at is not None or not _has_arrived(case):
        return
    case.confirmed_at = at
    case.save(update_fields=["confirmed_at"])
    conversation = _conversation(case)
    promises.meet(conversation, KEPT_BY_CONFIRMING, at=at, interaction=None)
    holds.lift(ref_of(case), at=at)
    closing_lines.settled(conversation, at=at)
    history.record(case.customer, "case.confirmed", ref=ref_of(case), by=None, at=at)


@transaction.atomic
def _not_confirmed(public_id: str, *, at: datetime) -> None:
    """Take the case up again as decided: its owner tells the customer another way. It counts as settled no more."""
    case = _case(public_id)
    if case.status != Status.RESOLVED or _has_arrived(case):
        return
    if case.confirmed_at is not None:
        promises.unmeet(_conversation(case), KEPT_BY_CONFIRMING, kept_at=case.confirmed_at, at=at)
    case.status, case.resolved_at, case.confirmed_at = Status.DECIDED, None, None
    case.save(update_fields=["status", "resolved_at", "confirmed_at"])
    for standing in Settlement.objects.filter(case=case, reopened_at=None):
        standing.reopened_at, standing.reopened_because = at, CAME_BACK
        standing.save(update_fields=["reopened_at", "reopened_because"])
    holds.place(case.customer, key=ref_of(case), reason="open_case", at=at)
    endings.wait_for_us(case.conversation_id, by=None, at=at)
    history.record(case.customer, "case.came_back", ref=ref_of(case), by=None, at=at)


@transaction.atomic
def _told_whose_it_is(public_id: str, *, at: datetime) -> None:
    case = _case(public_id)
    if case.ownership_told_at is None and _messages(case, f"owner:{case.public_id}").exists():
        case.ownership_told_at = at
        case.save(update_fields=["ownership_told_at"])
        history.record(case.customer, "case.ownership_told", ref=ref_of(case), by=None, at=at)


@transaction.atomic
def _not_told_whose_it_is(public_id: str, *, at: datetime) -> None:
    case = _case(public_id)
    if case.ownership_told_at is not None and not _messages(case, f"owner:{case.public_id}").exists():
        case.ownership_told_at = None
        case.save(update_fields=["ownership_told_at"])
        history.record(case.customer, "case.ownership_not_told", ref=ref_of(case), by=None, at=at)


def _case(public_id: str) -> Case:
    return Case.objects.select_for_update(of=("self",)).select_related("customer").get(public_id=uuid.UUID(public_id))


def _conversation(case: Case) -> Conversation:
    return Conversation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=case.conversation_id)


def _has_arrived(case: Case) -> bool:
    """Whether the confirmation of how it was settled this time was accepted and did not come back."""
    return _messages(case, ref_of(case)).filter(created_at__gte=case.resolved_at).exists()


def _messages(case: Case, concerns: str) -> QuerySet[OutgoingMessage]:
    """What was accepted for delivery in this matter on that account and did not come back."""
    return OutgoingMessage.objects.filter(
        conversation_id=case.conversation_id, concerns=concerns, state=OutgoingState.ACCEPTED
    ).exclude(delivery_events__kind=Delivery.BOUNCED)
