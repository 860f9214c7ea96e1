"""Back-pay: settled cases whose customer got less than was owed, and giving each of them the rest; nobody has to approve (R142)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import DateField, DecimalField, F, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce, TruncWeek
from django.utils.translation import gettext as _

from crm.models import User
from crm.models.people import CustomerStatus
from recovery.actions import grants, probes
from recovery.models import Case, Decision, Grant, LedgerWeek
from recovery.policy import GrantKind, Outcome, Status

READ_AT_ONCE = 200
_MONEY = DecimalField(max_digits=14, decimal_places=2)


class NothingOwed(Exception):
    """Everything that was owed in this case has been given."""

    code = "nothing_owed"


@dataclass(frozen=True, slots=True)
class Owed:
    """A settled case in which something is still owed. left: money in `currency`, > 0; by the newest decision, whose key it is."""

    case: Case
    decision: int
    left: Decimal
    currency: str


def owed(*, at: datetime, after: int | None = None, limit: int | None = None) -> Iterator[Owed]:
    """Settled cases whose grants lie below what is owed, the newest first; compared as the audit's `remedy_in_full` compares them.

    after: key of the case that the page before ended with. Nothing is owed where an earlier case of the incident earned the money
    or no failure of ours was found, nor to somebody who was forgotten; agreed testers are not paid.
    Weeks are narrowed by the ledger, which sums every night; the running week is read whole.
    """
    weeks = LedgerWeek.objects.filter(shorted__gt=0).values("week")
    today = at.astimezone(UTC).date()
    settled = Case.objects.filter(**({"pk__lt": after} if after is not None else {}))
    settled = settled.exclude(customer__status=CustomerStatus.ERASED).exclude(customer__in=probes.customers())
    rows: Any = (
        short(settled)
        .annotate(week=Cast(TruncWeek("resolved_at", tzinfo=UTC), DateField()))
        .filter(Q(week__in=weeks) | Q(week__gte=today - timedelta(days=today.weekday())))
        .select_related("customer", "conversation", "owner")
        .order_by("-pk")
    )
    found = rows[:limit] if limit is not None else rows.iterator(chunk_size=READ_AT_ONCE)
    for case in found:
        yield Owed(case, case.decision, case.owed - case.given, case.of)


def short(cases: QuerySet[Case]) -> Any:
    """Of these cases the settled ones in which less was given than the newest decision owes; beside each: decision, owed, of,
    given.

    What was given beyond the rules in the decision's currency counts too: nothing more is owed for it.
    """
    newest = Decision.objects.filter(case=OuterRef("pk")).order_by("-pk")
    given = (
        Grant.objects.filter(case=OuterRef("pk"), currency=OuterRef("of"))
        .order_by()
        .values("case")
        .annotate(total=Sum("amount"))
        .values("total")
    )
    return (
        cases.filter(status=Status.RESOLVED, same_as=None)
        .exclude(outcome=Outcome.NOT_UPHELD)
        .annotate(
            decision=Subquery(newest.values("pk")[:1]),
            owed=Cast(Subquery(newest.annotate(x=KT("entitlement__owed")).values("x")[:1]), _MONEY),
            of=Subquery(newest.annotate(x=KT("entitlement__currency")).values("x")[:1]),
        )
        .annotate(given=Coalesce(Subquery(given), Value(Decimal(0)), output_field=_MONEY))
        .filter(owed__gt=F("given"))
    )


def top_up(case_id: int, *, by: User, at: datetime) -> Grant:
    """Give what is left of what was owed in a settled case, as any grant is given; twice for one decision is one grant.

    Raises Case.DoesNotExist, NothingOwed, and whatever grants.grant raises; then nothing was given. held.HeldForSecondPerson
    means that it was kept for a second person.
    """
    case = Case.objects.select_related("customer", "conversation").get(pk=case_id)
    decision = Decision.objects.filter(case=case).order_by("-pk").first()
    if decision is None or case.status != Status.RESOLVED or case.outcome == Outcome.NOT_UPHELD:
        raise NothingOwed(_("Nothing is owed in this case, or it is not settled yet."))
    key = f"back-pay:{decision.pk}"
    standing = Grant.objects.filter(case=case, key=key).first()
    if standing is not None:
        return standing
    currency = str(decision.entitlement["currency"])
    given = Grant.objects.filter(case=case, currency=currency).aggregate(total=Sum("amount"))["total"] or Decimal(0)
    left = min(Decimal(decision.entitlement["owed"]) - given, grants.left_to_give(case, decision).money)
    if left <= 0:
        raise NothingOwed(_("All that was owed in this case has been given."))
    return grants.grant(case.pk, kind=GrantKind.REFUND, by=by, at=at, key=key, amount=left, currency=currency)
