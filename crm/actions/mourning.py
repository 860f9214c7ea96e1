"""Houses of mourning: whom a death concerns, what is held and dropped for them, and that this stays so (R168, P01).

What leaves asks for holds in the moment it is handed over; this is the rest: what waited is dropped, whoever shares the home is
held as well, and a duty looks every minute for what came in between.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from crm import history
from crm.actions import belongings, outcomes
from crm.models import Bereavement, Customer, HistoryEntry, Hold, HouseholdMember, OutgoingMessage, Parting, User
from crm.policy import OutgoingState
from crm.policy.bereavement import BEREAVEMENT, GRIEF, OWED, BereavementState

WAITED_AT_MOST = 3.0
"""Seconds for which a report waits for what is being handed over in its very moment."""
LOOKED_AGAIN_AFTER = 0.02
MAY_STILL_LEAVE = (OutgoingState.READY, OutgoingState.CLAIMED, OutgoingState.HELD, OutgoingState.PARKED)
STOPPED_AT_ONCE = 500


def _members(since: Any) -> QuerySet[HouseholdMember]:
    """Who belongs to a home as policy counts it (`counts_as_member`). since: a time, or an expression of the outer query."""
    return HouseholdMember.objects.filter(Q(left_at=None) | Q(left_at__gte=since), was_mistake=False)


def concerned(customer_id: int, *, since: datetime) -> list[int]:
    """The keys of everybody whom a death concerns that was told about this customer: them, their homes, and whoever was parted
    from their record since. In order.
    """
    homes = _members(since).filter(customer=customer_id).values("household")
    others = _members(since).filter(household__in=homes).values_list("customer_id", flat=True)
    parted = Parting.objects.filter(source=customer_id, at__gte=since).values_list("made_id", flat=True)
    return sorted({customer_id, *others, *parted})


def mourning(at: datetime, *reasons: str) -> QuerySet[Hold]:
    """The holds of everybody whom a death concerns now, or of these reasons alone."""
    return Hold.objects.not_over(at).filter(reason__in=reasons or GRIEF)


def wait_for_what_is_leaving(customers: Collection[int]) -> None:
    """Wait for the end of what is being handed over in this moment, so that nothing leaves after the commit that follows.

    The customers are locked, so nothing more begins. Only a server that needs longer than we wait may still take one that it has
    begun to take.
    """
    leaving = OutgoingMessage.objects.exclude(kind__in=OWED).filter(
        customer__in=customers, state=OutgoingState.HANDING, lease_until__gt=Now()
    )
    began = time.monotonic()
    while leaving.exists() and time.monotonic() - began < WAITED_AT_MOST:
        time.sleep(LOOKED_AGAIN_AFTER)


def hold(
    found: Bereavement,
    customers: Collection[Customer],
    *,
    reason: str,
    until: datetime | None,
    by: User | None,
    at: datetime,
) -> None:
    """Hold back what is cheerful from these customers, whom the caller has locked; what words alone held is held for good."""
    keys = {f"bereavement:{found.public_id}:{customer.pk}": customer for customer in customers}
    standing = {hold.key for hold in Hold.objects.filter(key__in=keys, reason=reason, until=until)}
    fresh = [
        Hold(key=key, customer=customer, reason=reason, starts_at=at, until=until, placed_by=by, bereavement=found)
        for key, customer in keys.items()
        if key not in standing
    ]
    Hold.objects.bulk_create(
        fresh,
        update_conflicts=True,
        unique_fields=["key"],
        update_fields=["reason", "starts_at", "until", "placed_by", "customer"],
    )
    HistoryEntry.objects.bulk_create(
        history.entry(hold.customer, "hold.placed", ref=f"hold:{hold.key}", by=by, at=at, detail={"reason": reason})
        for hold in fresh
    )


def drop(customers: Any, *, at: datetime) -> int:
    """Drop what is cheerful and waits for these customers (keys, or a query of them). Returns how many messages."""
    stopped = 0
    for _round in range(2):  # a card that was being written while we looked is among the messages afterwards
        for name in settings.EVENHAND_WHEN_BEREAVED:
            import_string(name)(customers, at=at)
        stopped += _cancel(customers, at=at)
    return stopped


def _cancel(customers: Any, *, at: datetime) -> int:
    waiting = OutgoingMessage.objects.exclude(kind__in=OWED).filter(customer__in=customers, state__in=MAY_STILL_LEAVE)
    found = list(waiting.select_for_update(of=("self",)).select_related("customer").order_by("pk")[:STOPPED_AT_ONCE])
    if found:
        OutgoingMessage.objects.filter(pk__in=[message.pk for message in found]).update(
            state=OutgoingState.CANCELLED, reason=BEREAVEMENT, lease_until=None
        )
        HistoryEntry.objects.bulk_create(
            history.entry(
                message.customer,
                "message.cancelled",
                ref=outcomes.ref_of(message),
                by=None,
                at=at,
                detail={"before": message.state, "because": BEREAVEMENT},
            )
            for message in found
        )
    return len(found)


def lift(holds: QuerySet[Hold], *, by: User | None, at: datetime) -> int:
    running = list(
        holds.filter(Q(until=None) | Q(until__gt=at))
        .select_for_update(of=("self",))
        .select_related("customer")
        .order_by("pk")
    )
    for hold in running:
        hold.until = max(at, hold.starts_at)
    Hold.objects.bulk_update(running, ["until"])
    HistoryEntry.objects.bulk_create(
        history.entry(hold.customer, "hold.lifted", ref=f"hold:{hold.key}", by=by, at=at) for hold in running
    )
    return len(running)


# --- every minute --------------------------------------------------------------------------------------------------------


def spread(*, at: datetime, among: Collection[int] | None = None) -> int:
    """Hold what is cheerful from everybody who came to share the home of a death that stands; among: of these customers alone."""
    count = 0
    for found, customers in _missing(among):
        with transaction.atomic():
            hold(found, belongings.both(*customers), reason=BEREAVEMENT, until=None, by=None, at=at)
            drop(customers, at=at)
        count += len(customers)
    return count


def _missing(among: Collection[int] | None) -> list[tuple[Bereavement, list[int]]]:
    """Each death that stands, with whom it concerns and who is not held; one statement and one for each that lacks somebody."""
    is_held = Hold.objects.filter(bereavement=OuterRef(OuterRef("pk")), customer=OuterRef("customer"), until=None)
    home = _members(OuterRef(OuterRef("reported_at"))).filter(
        customer=OuterRef(OuterRef("customer")), household=OuterRef("household")
    )
    others = _members(OuterRef("reported_at")).filter(Exists(home)).exclude(Exists(is_held))
    own = Hold.objects.filter(bereavement=OuterRef("pk"), customer=OuterRef("customer"), until=None)
    parted = Parting.objects.filter(source=OuterRef("customer"), at__gte=OuterRef("reported_at")).exclude(
        Exists(Hold.objects.filter(bereavement=OuterRef(OuterRef("pk")), customer=OuterRef("made"), until=None))
    )
    standing = Bereavement.objects.standing()
    if among is not None:
        others = others.filter(customer__in=among)
        standing = standing.filter(Exists(others))
    else:
        standing = standing.filter(Exists(others) | ~Exists(own) | Exists(parted))
    found = []
    for each in standing.select_related("customer").order_by("pk"):
        held = set(Hold.objects.filter(bereavement=each, until=None).values_list("customer_id", flat=True))
        lacking = [one for one in concerned(each.customer_id, since=_since(each)) if one not in held]
        if lacking:
            found.append((each, lacking))
    return found


def _since(found: Bereavement) -> datetime:
    assert found.reported_at is not None  # noqa: S101 – what stands was reported
    return found.reported_at


def let_go(*, at: datetime) -> int:
    """End the holds of whoever a death does not concern after all: noted in the home by mistake, or taken for one person."""
    mine = _members(OuterRef(OuterRef("bereavement__reported_at"))).filter(
        household=OuterRef("household"), customer=OuterRef(OuterRef("customer"))
    )
    at_home = _members(OuterRef("bereavement__reported_at")).filter(
        Exists(mine), customer=OuterRef("bereavement__customer")
    )
    parted = Parting.objects.filter(
        source=OuterRef("bereavement__customer"),
        made=OuterRef("customer"),
        at__gte=OuterRef("bereavement__reported_at"),
    )
    loose = (
        Hold.objects.filter(bereavement__state=BereavementState.STANDING, until=None, reason=BEREAVEMENT)
        .exclude(customer=F("bereavement__customer"))
        .exclude(Exists(at_home))
        .exclude(Exists(parted))
    )
    with transaction.atomic():
        return lift(Hold.objects.filter(pk__in=list(loose.values_list("pk", flat=True))), by=None, at=at)
