"""The public page on which a customer says what becomes of a change that they did not ask for.

Opening the link changes nothing (a mail scanner may); pressing a button does. The link opens this one change and nothing else.
"""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils import timezone, translation
from django.views.decorators.csrf import csrf_exempt

from crm.actions import letters, service_changes
from crm.language import tags
from crm.models import Reversal
from crm.policy.service_changes import ReversalState


@csrf_exempt  # no session stands behind it; whoever holds the link may press, and nobody else knows it
def service_change(request: HttpRequest, token: str) -> HttpResponse:
    """Show the change (GET); put it back, keep it, or say that it is back already (POST)."""
    if request.method not in ("GET", "HEAD", "POST"):
        return HttpResponse(status=405, headers={"Allow": "GET, HEAD, POST"})
    try:
        found = service_changes.opened(token)
        if request.method == "POST":
            chosen = request.POST.get("do", "")
            if chosen not in ReversalState or chosen == ReversalState.OPEN:
                return _page(request, found, status=400)
            found, _ended = service_changes.answer(token, ReversalState(chosen), at=timezone.now())
    except service_changes.UnknownLink as unknown:
        raise Http404 from unknown
    return _page(request, found)


def _page(request: HttpRequest, found: Reversal, *, status: int = 200) -> HttpResponse:
    """The page in the visitor's choice of language, else in the one the customer is written to in."""
    change, customer = found.change, found.change.customer
    chosen = tags.normalised(request.GET.get("language", ""))
    language = letters.language_for(chosen or customer.language)
    with translation.override(language):
        request.LANGUAGE_CODE = language
        page = render(
            request,
            "crm/service_change.html",
            {
                "change": change,
                "is_open": found.state == ReversalState.OPEN,
                "is_kept": found.state == ReversalState.KEPT,
                "effective": letters.moment(change.effective_at, zone=customer.zone),
                "put_back_by": letters.moment(found.due_at, zone=customer.zone),
                "ended": letters.moment(found.ended_at, zone=customer.zone) if found.ended_at else "",
                "cost": service_changes.cost_in_words(change, language=language),
            },
            status=status,
        )
    page["Cache-Control"] = "no-store"
    page["Referrer-Policy"] = "no-referrer"
    page["X-Robots-Tag"] = "noindex"
    return page


urlpatterns = [path("changes/<str:token>/", service_change, name="service-change")]
