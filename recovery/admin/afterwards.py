"""What customers do after a failure that was settled, beside like customers who met none; no cause is claimed (R129)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Count, Exists, OuterRef, Q
from django.db.models.functions import TruncMonth
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.admin import pages
from crm.models import Closing, Conversation, Erasure
from recovery.admin.answered import NEEDED_NONE
from recovery.models import Case
from recovery.policy import Status
from recovery.policy.shares import Stratum, matched_difference

BEGAN_WITHIN = timedelta(days=365)
FOLLOWED_FOR = timedelta(days=180)
NOT_BEFORE = timedelta(days=15)
"""What comes sooner belongs to the same matter (R139)."""
OUTCOMES = ("again", "left")


def counted(at: datetime) -> Iterable[Mapping[str, Any]]:
    """Count customers by the channel and month of the first matter they brought, and whether it was a failure that was settled.

    Everybody was followed equally long, FOLLOWED_FOR from that matter on. Rows: channel, month, failed, customers, again (they
    brought another matter), left (they asked to be forgotten). One statement.
    """
    since, until = at - FOLLOWED_FOR - BEGAN_WITHIN, at - FOLLOWED_FOR
    brought = Conversation.objects.filter(imported=False, last_inbound_at__isnull=False)
    theirs = brought.filter(customer=OuterRef("customer"))
    before = theirs.filter(spoke_at__gte=since).filter(
        Q(spoke_at__lt=OuterRef("spoke_at")) | Q(spoke_at=OuterRef("spoke_at"), pk__lt=OuterRef("pk"))
    )
    case = Case.objects.filter(conversation=OuterRef("pk"))
    needed_none = Closing.objects.filter(conversation=OuterRef("pk"), reopened_at=None, how__in=NEEDED_NONE)
    later = {"gt": OuterRef("spoke_at") + NOT_BEFORE, "lte": OuterRef("spoke_at") + FOLLOWED_FOR}
    asked = Erasure.objects.filter(
        customer=OuterRef("customer"), asked_at__gt=OuterRef("spoke_at"), asked_at__lte=later["lte"]
    )
    return (
        brought.filter(spoke_at__gte=since, spoke_at__lt=until)
        .filter(~Exists(before), ~Exists(needed_none))
        .annotate(failed=Exists(case.filter(status=Status.RESOLVED)), had_case=Exists(case))
        .exclude(had_case=True, failed=False)
        .annotate(
            month=TruncMonth("spoke_at", tzinfo=ZoneInfo(settings.EVENHAND_ZONE)),
            came=Exists(theirs.filter(spoke_at__gt=later["gt"], spoke_at__lte=later["lte"])),
            asked=Exists(asked),
        )
        .values("channel", "month", "failed")
        .order_by("channel", "month", "failed")
        .annotate(customers=Count("pk"), again=Count("pk", filter=Q(came=True)), left=Count("pk", filter=Q(asked=True)))
    )


@pages.page("recovery.view_case", methods=["GET"])
def afterwards(request: HttpRequest) -> HttpResponse:
    """What customers did in the half year after, like compared with like."""
    at = timezone.now()
    groups: dict[tuple[str, datetime], dict[bool, Mapping[str, Any]]] = defaultdict(dict)
    for row in counted(at):
        groups[row["channel"], row["month"]][row["failed"]] = row
    labels = {"again": _("brought us another matter"), "left": _("asked to be forgotten")}
    nobody = {"customers": 0, "again": 0, "left": 0}
    rows = []
    for outcome in OUTCOMES:
        strata = [
            Stratum(
                found.get(True, nobody)[outcome],
                found.get(True, nobody)["customers"],
                found.get(False, nobody)[outcome],
                found.get(False, nobody)["customers"],
            )
            for found in groups.values()
        ]
        rows.append({"words": labels[outcome], **_shown(strata)})
    everybody = [row for found in groups.values() for row in found.values()]
    return pages.render(
        request,
        "admin/recovery/afterwards.html",
        _("Afterwards"),
        rows=rows,
        failed=sum(row["customers"] for row in everybody if row["failed"]),
        others=sum(row["customers"] for row in everybody if not row["failed"]),
        days=FOLLOWED_FOR.days,
        sooner=NOT_BEFORE.days,
    )


def _shown(strata: list[Stratum]) -> dict[str, Any]:
    found = matched_difference(strata)
    if found is None:
        return {"found": None}
    return {
        "found": found,
        "share": 100 * found.share,
        "other_share": 100 * found.other_share,
        "difference": 100 * found.difference,
        "low": 100 * found.low,
        "high": 100 * found.high,
    }


urlpatterns: list[URLPattern] = [path("afterwards/", afterwards, name="afterwards")]
