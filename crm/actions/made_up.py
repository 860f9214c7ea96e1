"""A made-up past for demonstrations: settled matters as doors and desk would have written them, thousands at once.

It refuses any house in which somebody has spoken, so that nothing invented ever stands beside a customer's own words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from crm import history
from crm.actions import calendars, promises
from crm.models import (
    Closing,
    ContactPoint,
    Conversation,
    Customer,
    HistoryEntry,
    IdentityCheck,
    Interaction,
    Promise,
    User,
)
from crm.models.people import ContactKind
from crm.policy import ConversationState, Direction, HowClosed, PromiseState, default_promises
from crm.policy.identity_checks import CheckKind, CheckNeed, CheckState

SOURCE = "made up"
AT_ONCE = 2000


class HouseInUse(Exception):
    """Somebody has spoken here; nothing is made up beside that."""

    code = "house_in_use"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody made up, with an address at a domain and a number in a range that nobody can own."""

    name: str
    email: str
    phone: str


@dataclass(frozen=True, slots=True)
class Matter:
    """One settled matter: asked, answered once by a colleague, closed by them. by_phone: they are reached by their number.

    steps: how many steps they showed who they are, 0 to 2; a document, then the number of their order.
    """

    person: Person
    channel: str
    by_phone: bool
    skill: str
    subject: str
    asked: str
    answer: str
    spoke_at: datetime
    answered_at: datetime
    settled_at: datetime
    by: User
    steps: int = 0


@transaction.atomic
def bring_in(matters: Sequence[Matter], *, at: datetime) -> int:
    """Write matters that were made up, the earliest first. Returns how many. Raises HouseInUse; then nothing has changed."""
    if Conversation.objects.exists():
        raise HouseInUse
    ordered = sorted(matters, key=lambda one: one.spoke_at)
    points = _people(ordered)
    for place in range(0, len(ordered), AT_ONCE):
        _write(ordered[place : place + AT_ONCE], points, before=place)
    return len(ordered)


def _people(matters: Sequence[Matter]) -> dict[tuple[Person, bool], ContactPoint]:
    """The contact point of everybody: by phone, or by mail."""
    customers: dict[Person, Customer] = {}
    points: dict[tuple[Person, bool], ContactPoint] = {}
    for one in matters:
        customer = customers.setdefault(one.person, Customer(display_name=one.person.name, created_at=one.spoke_at))
        if (one.person, one.by_phone) not in points:
            points[one.person, one.by_phone] = ContactPoint(
                customer=customer,
                kind=ContactKind.PHONE if one.by_phone else ContactKind.EMAIL,
                address=one.person.phone if one.by_phone else one.person.email,
                created_at=one.spoke_at,
            )
    Customer.objects.bulk_create(customers.values(), batch_size=AT_ONCE)
    ContactPoint.objects.bulk_create(points.values(), batch_size=AT_ONCE)
    return points


def _write(matters: Sequence[Matter], points: dict[tuple[Person, bool], ContactPoint], *, before: int) -> None:
    conversations = [
        Conversation(
            customer=points[one.person, one.by_phone].customer, owner=one.by, subject=one.subject, channel=one.channel,
            state=ConversationState.CLOSED, spoke_at=one.spoke_at, last_inbound_at=one.spoke_at,
            last_outbound_at=one.answered_at, first_answer_at=one.answered_at, skill=one.skill,
        )
        for one in matters
    ]  # fmt: skip
    Conversation.objects.bulk_create(conversations)
    told = list(zip(matters, conversations, strict=True))
    asked = [
        Interaction(
            conversation=conversation, direction=Direction.INBOUND, channel=one.channel,
            contact_point=points[one.person, one.by_phone], source=SOURCE, external_id=f"{before + place}",
            subject=one.subject, text=one.asked, language="en", spoke_at=one.spoke_at, ingested_at=one.spoke_at,
        )
        for place, (one, conversation) in enumerate(told)
    ]  # fmt: skip
    answers = [
        Interaction(
            conversation=conversation, direction=Direction.OUTBOUND, channel=one.channel, author=one.by,
            contact_point=points[one.person, one.by_phone], source=SOURCE, external_id=f"{before + place} answered",
            text=one.answer, language="en", spoke_at=one.answered_at, ingested_at=one.answered_at,
        )
        for place, (one, conversation) in enumerate(told)
    ]  # fmt: skip
    Interaction.objects.bulk_create([*asked, *answers])
    Promise.objects.bulk_create(
        promise
        for (one, conversation), answer in zip(told, answers, strict=True)
        for promise in _promised(one, conversation, answer)
    )
    Closing.objects.bulk_create(
        Closing(conversation=conversation, how=HowClosed.CLOSED, closed_by=one.by, at=one.settled_at)
        for one, conversation in told
    )
    IdentityCheck.objects.bulk_create(
        IdentityCheck(
            conversation=conversation, kind=kind, need=CheckNeed.MONEY if one.steps > 1 else CheckNeed.RELEASE,
            state=CheckState.PASSED, asked_by=one.by, asked_at=one.answered_at, settled_by=one.by,
            settled_at=one.answered_at,
        )
        for one, conversation in told
        for kind in (CheckKind.DOCUMENT, CheckKind.REFERENCE)[: one.steps]
    )  # fmt: skip
    HistoryEntry.objects.bulk_create(
        history.entry(
            conversation.customer, verb, ref=f"conversation:{conversation.public_id}", by=by, at=moment, origin=origin,
            detail={"channel": one.channel},
        )
        for one, conversation in told
        for verb, by, moment, origin in (
            ("conversation.opened", None, one.spoke_at, SOURCE), ("conversation.closed", one.by, one.settled_at, SOURCE),
        )
    )  # fmt: skip


def _promised(one: Matter, conversation: Conversation, answer: Interaction) -> list[Promise]:
    found = []
    for due in default_promises(one.spoke_at, spoken=False, calendar=calendars.in_force("", one.spoke_at)):
        is_late = one.answered_at > due.due_at
        found.append(
            Promise(
                conversation=conversation, given_by="everybody", met_at=one.answered_at, met_by=answer,
                state=PromiseState.MET_LATE if is_late else PromiseState.MET,
                breached_at=due.due_at if is_late else None, **promises.columns(due),
            )
        )  # fmt: skip
    return found
