"""Which failures spread: for learning what to put right first at its cause; never for how anybody is treated (R130)."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.actions import reach
from crm.admin import pages
from crm.policy import REACH_KEPT_FOR
from recovery.admin.answered import kind_words
from recovery.models import Case

CAN_SEE = "recovery.view_parityaudit"


@pages.page(CAN_SEE, methods=["GET"])
def spread(request: HttpRequest) -> HttpResponse:
    """How far matters that began in public may have spread, by what went wrong; sums alone, no customer and no matter."""
    kind = Subquery(Case.objects.filter(conversation=OuterRef("conversation")).values("complaint_type")[:1])
    found = reach.spread_by(kind, at=timezone.now())
    return pages.render(
        request,
        "admin/recovery/spread.html",
        _("Which failures spread"),
        rows=sorted((_row(one) for one in found), key=lambda row: (-row["posts"], row["kind"])),
        days=REACH_KEPT_FOR.days,
        least=reach.LEAST_IN_GROUP,
        is_kept=settings.EVENHAND_KEEP_REACH,
    )


def _row(one: reach.Spread) -> dict[str, Any]:
    return {
        "kind": kind_words(one.group or None),
        "matters": one.matters,
        "posts": one.posts,
        "each": one.posts / one.matters if one.matters else None,
        "known": one.known,
        "mean": one.mean,
    }


urlpatterns: list[URLPattern] = [path("spread/", spread, name="spread")]
