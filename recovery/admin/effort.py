"""What a matter cost the customer: a tab of its case, with a suggestion that nobody has to follow."""

from __future__ import annotations

import uuid

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from crm.admin import pages
from recovery import actions
from recovery.admin.given import found_or_404
from recovery.policy import COUNTS, failures_suggested


@pages.page(methods=["GET"])
def effort(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Show what was counted, what of it counts as our failure and why; the facts are noted by a person."""
    found = found_or_404(request, public_id)
    ledger = actions.effort_of(found.conversation)
    newest = found.decisions.order_by("-pk").values_list("facts", flat=True)[0]
    return pages.render(
        request,
        "admin/recovery/effort.html",
        str(found),
        case=found,
        tab="effort",
        rows=[(kind.label, ledger.of(kind), counts.as_failure, counts.because) for kind, counts in COUNTS.items()],
        suggested=failures_suggested(ledger),
        noted=newest["our_failures"],
    )


urlpatterns: list[URLPattern] = [path("case/<uuid:public_id>/effort/", effort, name="case_effort")]
