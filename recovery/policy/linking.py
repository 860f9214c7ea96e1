"""Whether two cases of different customers are the same failure, and whether equals got equal (R088, R070)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from recovery.policy.comparing import Difference, difference
from recovery.policy.entitlement import FACT_NAMES, Entitlement, Facts


class Verdict(TextChoices):
    EQUAL = "equal", _("the same facts, and the same for both")
    UNEQUAL = "unequal", _("the same facts, and not the same for both")
    OTHER_FACTS = "other_facts", _("the same failure, other facts")
    OTHER_FAILURE = "other_failure", _("not the same failure")


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: what is known, what that earns, what was given (money, in the same currency), and whether it has ended.

    given: inside the entitlement; beyond: on top of it.
    """

    facts: Facts
    entitlement: Entitlement
    given: Decimal = Decimal(0)
    beyond: Decimal = Decimal(0)
    is_settled: bool = False


@dataclass(frozen=True, slots=True)
class Compared:
    """What two cases have in common. differing: facts that are not the same. more: what the second earns beside the first."""

    verdict: Verdict
    differing: tuple[str, ...]
    more: Difference | None
    given_more: Decimal


def compare(one: Side, other: Side) -> Compared:
    """Compare two cases; the verdict is the same whichever comes first.

    Equal facts must earn the same, whichever rules were in force; what went beyond the rules, and once both are settled
    all that was given, must be the same as well.
    """
    differing = tuple(name for name in FACT_NAMES if getattr(one.facts, name) != getattr(other.facts, name))
    same_money = one.entitlement.currency == other.entitlement.currency
    more = difference(one.entitlement, other.entitlement) if same_money else None
    given_more = other.given + other.beyond - one.given - one.beyond if same_money else Decimal(0)
    if "complaint_type" in differing:
        verdict = Verdict.OTHER_FAILURE
    elif differing or more is None:
        verdict = Verdict.OTHER_FACTS
    else:
        both_settled = one.is_settled and other.is_settled
        is_unequal = (
            more.gives_less
            or more.gives_more
            or one.beyond != other.beyond
            or (both_settled and one.given != other.given)
        )
        verdict = Verdict.UNEQUAL if is_unequal else Verdict.EQUAL
    return Compared(verdict, differing, more, given_more)
