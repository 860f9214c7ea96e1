"""Who shares a home, as customers told us: noted by a colleague with the reason, never told from addresses or names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from crm import history
from crm.actions import belongings, endings, mourning
from crm.actions.persons import LIVING
from crm.models import Customer, Household, HouseholdMember, User


class NotAHousehold(Exception):
    """These two cannot be noted as sharing a home."""

    code = "not_a_household"


class NotAMember(Exception):
    """This customer does not belong to that home (any more)."""

    code = "not_a_member"


@transaction.atomic
def share(customer_id: int, *, other_id: int, because: str, by: User, at: datetime) -> Household:
    """Note that two customers share a home: the other one's home where there is one, else the first one's, else a new one.

    because: how it is known, in words. Whoever belongs to it already stays. Raises Customer.DoesNotExist, endings.ReasonMissing,
    NotAHousehold; then nothing has changed.
    """
    if not because.strip():
        raise endings.ReasonMissing(_("Please say how you know that they share a home."))
    one, other = belongings.both(customer_id, other_id)
    if one.pk == other.pk:
        raise NotAHousehold(_("That is this very customer."))
    for customer in (one, other):
        if customer.status not in LIVING:
            raise NotAHousehold(
                _("%(name)s: %(status)s.") % {"name": customer, "status": customer.get_status_display()}
            )
    homes = homes_of([one.pk, other.pk])
    if homes[one.pk] & homes[other.pk]:
        raise NotAHousehold(_("They are noted as sharing a home already."))
    known = min(homes[other.pk] or homes[one.pk], default=None)
    household = Household.objects.get(pk=known) if known is not None else Household.objects.create(noted_at=at)
    for customer in (one, other):
        if household.pk not in homes[customer.pk]:
            _join(household, customer, because=because, by=by, at=at)
    # Whoever joins a house of mourning is held in the same moment.
    mourning.spread(at=at, among=[member.customer_id for member in household.members.all()])
    return household


def _join(household: Household, customer: Customer, *, because: str, by: User, at: datetime) -> None:
    HouseholdMember.objects.create(
        household=household, customer=customer, because=because.strip()[:300], noted_by=by, joined_at=at
    )
    history.record(customer, "household.joined", ref=f"household:{household.public_id}", by=by, at=at)


@transaction.atomic
def leave(
    customer_id: int, *, household_id: int, because: str, by: User, at: datetime, was_mistake: bool = False
) -> None:
    """Note that a customer does not share a home any more; was_mistake: they never did, and nothing follows from it.

    Whoever moves out after a death does not mourn less, so a hold stays then. Raises Customer.DoesNotExist,
    endings.ReasonMissing, NotAMember; then nothing has changed.
    """
    if not because.strip():
        raise endings.ReasonMissing(_("Please say why they do not share a home any more."))
    (customer,) = belongings.both(customer_id)
    left = HouseholdMember.objects.filter(customer=customer, household=household_id, left_at=None).update(
        left_at=at, left_noted_by=by, left_because=because.strip()[:300], was_mistake=was_mistake
    )
    if not left:
        raise NotAMember(_("They do not belong to that household any more."))
    household = Household.objects.get(pk=household_id)
    history.record(
        customer,
        "household.left",
        ref=f"household:{household.public_id}",
        by=by,
        at=at,
        detail={"mistake": was_mistake},
    )


def homes_of(customers: Collection[int]) -> dict[int, frozenset[int]]:
    """The keys of the homes of each of these customers now; for what a home is not given twice (`policy.households`, N10).

    One statement.
    """
    found: defaultdict[int, set[int]] = defaultdict(set)
    members = HouseholdMember.objects.filter(customer__in=customers, left_at=None)
    for customer, household in members.values_list("customer_id", "household_id"):
        found[customer].add(household)
    return {customer: frozenset(found[customer]) for customer in customers}
