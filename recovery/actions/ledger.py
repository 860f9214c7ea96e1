"""The special-treatment ledger: what was given less what was owed, by first channel, owner and week (R065).

Agreed testers are in it: its rows are small enough that an owner who missed one of their cases would know which it is (R051).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import Sum

from recovery.models import Case, Decision, Grant, LedgerWeek
from recovery.policy import Status

WEEKS_KEPT_FRESH = 8
"""How many weeks back the ledger is summed again every night; a case that comes back changes its week for so long."""


@dataclass(slots=True)
class _Sum:
    cases: int = 0
    shorted: int = 0
    entitled: Decimal = Decimal(0)
    delivered: Decimal = Decimal(0)


def refresh_ledger(at: datetime) -> int:
    """Sum the last weeks of the ledger again from the cases that are settled; the same rows whoever does it, however often.

    Returns how many rows the weeks have now. A case stands in the week it was settled, under the channel it first came by.
    """
    today = at.astimezone(UTC).date()
    first = today - timedelta(days=today.weekday(), weeks=WEEKS_KEPT_FRESH - 1)
    since = datetime.combine(first, time.min, tzinfo=UTC)
    rows = _summed(since)
    with transaction.atomic():
        LedgerWeek.objects.select_for_update().filter(week__gte=first).delete()
        LedgerWeek.objects.bulk_create(
            LedgerWeek(
                week=week,
                channel=channel,
                owner_id=owner,
                currency=currency,
                cases=found.cases,
                shorted=found.shorted,
                entitled=found.entitled,
                delivered=found.delivered,
            )
            for (week, channel, owner, currency), found in sorted(rows.items(), key=str)
        )
    return len(rows)


def _summed(since: datetime) -> dict[tuple[date, str, int | None, str], _Sum]:
    settled = Case.objects.filter(status=Status.RESOLVED, resolved_at__gte=since)
    newest = (
        Decision.objects.filter(case__in=settled)
        .order_by("case_id", "-pk")
        .distinct("case_id")
        .values_list("case_id", "entitlement__owed", "entitlement__currency")
    )
    owed = {case: (Decimal(amount), str(currency)) for case, amount, currency in newest}
    given: dict[int, dict[str, Decimal]] = defaultdict(dict)
    sums = Grant.objects.filter(case__in=settled, amount__gt=0).values("case", "currency").order_by("case", "currency")
    for row in sums.annotate(total=Sum("amount")):
        given[row["case"]][row["currency"]] = row["total"]
    rows: dict[tuple[date, str, int | None, str], _Sum] = defaultdict(_Sum)
    cases = settled.order_by("pk").values_list("pk", "resolved_at", "conversation__channel", "owner", "same_as")
    for case, resolved_at, channel, owner, same_as in cases:
        if resolved_at is None or case not in owed:
            continue
        day = resolved_at.astimezone(UTC).date()
        week = day - timedelta(days=day.weekday())
        entitled, of = owed[case]
        if same_as is not None:  # the first case of the incident earned it
            entitled = Decimal(0)
        for currency in {of, *given[case]}:
            row_of = rows[week, channel, owner, currency]
            delivered = given[case].get(currency, Decimal(0))
            row_of.delivered += delivered
            if currency == of:
                row_of.cases += 1
                row_of.entitled += entitled
                row_of.shorted += delivered < entitled
    return dict(rows)
