"""Cards leave together: begun by one commit and accepted by one, each still asked about in the moment it leaves.

A worker that dies in between leaves the outcome of up to a batch of cards unknown instead of one. Each is recorded as such and
repeated under its own Message-ID, which words may be; what has value never leaves this way (docs/adr/0009).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.db import transaction
from django.db.models import Case, CharField, Exists, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Concat
from django.db.models.lookups import Exact

from crm.actions import consent, lease, outcomes, suppression
from crm.models import Consent, Conversation, Customer, Hold, OutgoingMessage, Suppression
from crm.policy import ATTEMPTS_BEFORE_PARKING, ConversationState, MessageKind, StopFacts, reason_to_stop
from crm.policy.asking import NOTHING_ASKED_AFTER_A_KINDNESS
from crm.policy.suppression import scopes_that_stop
from crm.together import Repeated, prepared

logger = logging.getLogger(__name__)

BEGUN_FOR = 5.0
"""Seconds for which a card that was begun may wait for its turn; a slow server's others are put back, which is no doubt."""
NOTED_AFTER = 1.0
"""Seconds after which accepted cards are written down, however few."""


def _reached(
    customer: int, purpose: str, medium: str, keys: list[str], scopes: list[str], at: datetime
) -> QuerySet[Customer, tuple[Any, ...]]:
    newest = Consent.objects.decisive().filter(customer=customer, purpose=purpose, medium=medium)
    holds = Hold.objects.not_over(at).filter(customer=customer)
    against = Suppression.objects.active(at).filter(key__in=keys, scope__in=scopes)
    found = Customer.objects.filter(pk=customer).order_by("pk")
    proof = Subquery(newest.order_by("-at", "-id").values("proof")[:1])
    return found.values_list("status", Exists(holds), proof, Exists(against))


_still: Repeated[Customer] = Repeated(
    _reached,
    customer=3,
    purpose="a purpose",
    medium="a medium",
    keys=["a key"],
    scopes=["a scope"],
    at=datetime(2000, 1, 1, tzinfo=UTC),
)


def facts(message: OutgoingMessage, *, at: datetime) -> StopFacts:
    """What is known now of whoever a message that needs a yes would reach; one statement, and one more for a question."""
    kind, medium = MessageKind(message.kind), consent.MEDIUM_OF.get(message.channel, "")
    return known_of(
        message.customer_id, kind=kind, purpose=message.purpose, medium=medium, address=message.address, at=at
    )


def known_of(customer: int, *, kind: MessageKind, purpose: str, medium: str, address: str, at: datetime) -> StopFacts:
    """The same of a message that is not written yet, to an address of theirs over a medium."""
    told = {
        "customer": customer,
        "purpose": purpose,
        "medium": str(medium),
        "keys": suppression.keys_reached(medium, address),
        "scopes": _scopes(purpose, medium),
        "at": at,
    }
    status, held, proof, objects = _still.rows(**told)[0]
    found = _as_facts(status, held, proof, objects=objects)
    return _asked_about(found, customer, at=at) if kind == MessageKind.ASK else found


def _asked_about(found: StopFacts, customer: int, *, at: datetime) -> StopFacts:
    """With what a question waits for besides: something that waits for us, and anything kind that reached them lately (R171)."""
    lately = OutgoingMessage.objects.filter(
        customer=customer, kind=MessageKind.GESTURE, accepted_at__gt=at - NOTHING_ASKED_AFTER_A_KINDNESS
    )
    waiting = Conversation.objects.filter(customer=customer, state=ConversationState.OPEN)
    known = Customer.objects.filter(pk=customer).order_by("pk").values_list(Exists(waiting), Exists(lately))
    has_open_matter, had_kindness_lately = known[0]
    return replace(
        found, kind=MessageKind.ASK, has_open_matter=has_open_matter, had_kindness_lately=had_kindness_lately
    )


def _scopes(purpose: str, medium: str) -> list[str]:
    return [str(scope) for scope in scopes_that_stop(purpose, medium)]


def _as_facts(status: str, held: bool, proof: int | None, *, objects: bool) -> StopFacts:
    """proof: of the newest yes or no; only a yes has one."""
    return StopFacts(
        MessageKind.GESTURE, status, has_outreach_hold=held, has_consent=proof is not None, has_objection=objects
    )


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
        keys = {card.pk: suppression.keys_reached(_medium(card), card.address) for card in cards}
        every = [key for several in keys.values() for key in several]
        known = {number: rest for number, *rest in _known.rows(messages=[card.pk for card in cards], keys=every, at=at)}
        leaving = [card for card in cards if not _stopped(card, known.get(card.pk), keys[card.pk])]
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


def _medium(card: OutgoingMessage) -> str:
    return str(consent.MEDIUM_OF.get(card.channel, ""))


def _stopped(card: OutgoingMessage, known: list[Any] | None, keys: list[str]) -> bool:
    """Whether a card may not leave. known: what `_of_several` says of it, None when it is not there any more."""
    if known is None:
        return True
    status, held, proof, against = known
    objects = False
    if against:
        scopes = _scopes(card.purpose, _medium(card))
        objects = bool({f"{scope} {key}" for scope in scopes for key in keys}.intersection(against))
    return bool(reason_to_stop(_as_facts(status, held, proof, objects=objects)))


def _of_several(messages: list[int], keys: list[str], at: datetime) -> QuerySet[OutgoingMessage, tuple[Any, ...]]:
    """Each message's key and what may stop it; what stands against any of their addresses comes with each."""
    newest = Consent.objects.decisive().filter(
        customer=OuterRef("customer"), purpose=OuterRef("purpose"), medium=_MEDIUM_OF_CARD
    )
    holds = Hold.objects.not_over(at).filter(customer=OuterRef("customer"))
    against = Suppression.objects.active(at).filter(key__in=keys).order_by("id")
    return (
        OutgoingMessage.objects.filter(pk__in=messages)
        .order_by("pk")
        .values_list(
            "pk",
            "customer__status",
            Exists(holds),
            Subquery(newest.order_by("-at", "-id").values("proof")[:1]),
            ArraySubquery(against.values(what=Concat("scope", Value(" "), "key"))),
        )
    )


_MEDIUM_OF_CARD = Case(
    *(
        When(Exact(OuterRef("channel"), Value(name)), then=Value(str(medium)))
        for name, medium in consent.MEDIUM_OF.items()
    ),
    default=Value(""),
    output_field=CharField(),
)
_known: Repeated[OutgoingMessage] = Repeated(
    _of_several, messages=[7], keys=["a key"], at=datetime(2000, 1, 1, tzinfo=UTC)
)
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
