"""Cards leave together: begun by one commit and accepted by one, each still asked about in the moment it leaves.

A worker that dies in between leaves the outcome of up to a batch of cards unknown instead of one. Each is recorded as such and
repeated under its own Message-ID, which words may be; what has value never leaves this way (docs/adr/0009).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet, Subquery

from crm.actions import lease, outcomes
from crm.models import Consent, Customer, Hold, OutgoingMessage
from crm.policy import ATTEMPTS_BEFORE_PARKING, MessageKind, StopFacts, reason_to_stop
from crm.together import Repeated, prepared

logger = logging.getLogger(__name__)

BEGUN_FOR = 5.0
"""Seconds for which a card that was begun may wait for its turn; a slow server's others are put back, which is no doubt."""
NOTED_AFTER = 1.0
"""Seconds after which accepted cards are written down, however few."""


def _reached(customer: int, purpose: str, at: datetime) -> QuerySet[Customer, tuple[Any, ...]]:
    newest = Consent.objects.filter(customer=customer, purpose=purpose).order_by("-at", "-id")
    holds = Hold.objects.not_over(at).filter(customer=customer)
    found = Customer.objects.filter(pk=customer).order_by("pk")
    return found.values_list("status", Exists(holds), Subquery(newest.values("state")[:1]))


_still: Repeated[Customer] = Repeated(_reached, customer=3, purpose="a purpose", at=datetime(2000, 1, 1, tzinfo=UTC))


def facts(message: OutgoingMessage, *, at: datetime) -> StopFacts:
    """What is known now of whoever a message of kindness would reach; one statement."""
    status, held, consented = _still.rows(customer=message.customer_id, purpose=message.purpose, at=at)[0]
    return _as_facts(status, held, consented)


def _as_facts(status: str, held: bool, consented: str | None) -> StopFacts:
    return StopFacts(MessageKind.GESTURE, status, has_outreach_hold=held, has_consent=consented == "granted")


@dataclass(slots=True)
class Together:
    """The cards of one batch: which were begun, and which were accepted and not yet written down."""

    begun: set[int] = field(default_factory=set)
    began: float = field(default_factory=time.monotonic)
    accepted: list[outcomes.Arrived] = field(default_factory=list)
    first: float = 0.0

    def begin(self, messages: Sequence[OutgoingMessage], *, at: datetime) -> None:
        """Commit that the cards among these are being handed over; those that may not leave are left to be held one by one."""
        cards = [one for one in messages if _leaves_together(one)]
        if len(cards) > 1:
            lease.guarded(partial(self._begin, cards, at=at), failed=_left_to_themselves)

    @transaction.atomic
    def _begin(self, cards: Sequence[OutgoingMessage], *, at: datetime) -> None:
        prepared(_LOCK, {"ids": [card.customer_id for card in cards]})
        known = _known.rows(messages=[card.pk for card in cards], at=at)
        may = {number for number, *facts in known if not reason_to_stop(_as_facts(*facts))}
        leaving = [card for card in cards if card.pk in may]
        begun = prepared(
            _BEGIN,
            {
                "ids": [card.pk for card in leaving],
                "attempts": [card.attempt for card in leaving],
                "lease": settings.EVENHAND_LEASE,
            },
        )
        self.begun, self.began = {number for (number,) in begun}, time.monotonic()

    def in_time(self, message: OutgoingMessage, *, at: datetime) -> bool:
        """Take up a card that was begun, when its turn comes; one that waited too long for it is put back."""
        self.begun.discard(message.pk)
        if time.monotonic() - self.began < BEGUN_FOR:
            return True
        outcomes.put_back(message, at=at)
        return False

    def may_leave(self, message: OutgoingMessage, *, at: datetime) -> bool:
        """Ask once more, in the moment it leaves; a card that may not is put back, and held when it is looked at again."""
        if not reason_to_stop(facts(message, at=at)):
            return True
        outcomes.put_back(message, at=at)
        return False

    def arrived(self, message: OutgoingMessage, *, at: datetime, provider_id: str) -> None:
        """Keep for the next commit that a card was accepted."""
        self.first = self.first if self.accepted else time.monotonic()
        self.accepted.append(outcomes.Arrived(message, at, provider_id))
        if time.monotonic() - self.first > NOTED_AFTER:
            self.note()

    def note(self) -> None:
        """Write down every card that was accepted since the last time; one commit."""
        arrived, self.accepted = self.accepted, []
        if arrived:
            lease.guarded(partial(outcomes.accepted_alone, arrived), failed=_not_noted)


def _leaves_together(message: OutgoingMessage) -> bool:
    return (
        message.kind == MessageKind.GESTURE
        and not message.has_value
        and message.conversation_id is None
        and message.failures < ATTEMPTS_BEFORE_PARKING
    )


def _of_several(messages: list[int], at: datetime) -> QuerySet[OutgoingMessage, tuple[Any, ...]]:
    """Each message's key and what may stop it."""
    newest = Consent.objects.filter(customer=OuterRef("customer"), purpose=OuterRef("purpose")).order_by("-at", "-id")
    holds = Hold.objects.not_over(at).filter(customer=OuterRef("customer"))
    return (
        OutgoingMessage.objects.filter(pk__in=messages)
        .order_by("pk")
        .values_list("pk", "customer__status", Exists(holds), Subquery(newest.values("state")[:1]))
    )


_known: Repeated[OutgoingMessage] = Repeated(_of_several, messages=[7], at=datetime(2000, 1, 1, tzinfo=UTC))
_LOCK = "SELECT id FROM crm_customer WHERE id = ANY(%(ids)s::bigint[]) ORDER BY id FOR NO KEY UPDATE"
"""In the order of their keys, against a withdrawal or a hold in this moment."""
_BEGIN = """
UPDATE crm_outgoingmessage m SET state = 'handing', lease_until = statement_timestamp() + %(lease)s
FROM unnest(%(ids)s::bigint[], %(attempts)s::int[]) AS card (id, attempt)
WHERE m.id = card.id AND m.attempt = card.attempt AND m.state = 'claimed' RETURNING m.id
"""


def _left_to_themselves(trouble: Exception) -> None:
    logger.warning("A batch of cards was not begun together (%s); each goes by itself.", type(trouble).__name__)


def _not_noted(trouble: Exception) -> None:
    """Their lease ends by itself; then it is recorded that nobody knows whether they arrived."""
    logger.exception("Cards were accepted and could not be written down.", exc_info=trouble)
