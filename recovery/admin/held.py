"""What waits in a case for a second person because reach was looked at: as it was asked for, beside what counts now."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.admin import pages
from crm.models import User
from crm.policy import RevealReason
from recovery import actions
from recovery.admin.cases import FactsForm, value_in_words
from recovery.admin.given import CAN_APPROVE, LISTED, found_or_404
from recovery.admin.refusals import REFUSALS
from recovery.models import Case, HeldStep
from recovery.policy import GrantKind, HeldKind, HeldState, Severity


@pages.page("recovery.view_grant")
def held(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """The steps of a case that wait for a second person, and those that one decided on; a POST decides on one."""
    found = found_or_404(request, public_id)
    refused, typed = "", ""
    if request.method == "POST":
        pages.require(request, CAN_APPROVE)
        refused, typed = _decided(request, found), request.POST.get("words", "")
        if not refused:
            return redirect("admin:case_held", public_id=public_id)
    steps = list(
        HeldStep.objects.filter(case=found)
        .select_related("asked_by", "decided_by", "decision")
        .order_by("-id")[:LISTED]
    )
    people = User.objects.in_bulk({int(look["by"]) for step in steps for look in step.looks})
    return pages.render(
        request,
        "admin/recovery/held.html",
        str(found),
        case=found,
        tab="held",
        refused=refused,
        typed=typed,
        typed_for=request.POST.get("step", ""),
        steps=[in_words(step, people) for step in steps],
        may_approve=request.user.has_perm(CAN_APPROVE),
        status=409 if refused else 200,
    )


def in_words(step: HeldStep, people: dict[int, User]) -> dict[str, Any]:
    """One step as a page shows it: what was asked for, what it would change, who had looked."""
    counted = step.decision
    changes: list[tuple[Any, Any, Any]] = []
    if step.kind == HeldKind.FACTS:
        fields = FactsForm.base_fields
        changes = [
            (fields[name].label, value_in_words(name, counted.facts.get(name)), value_in_words(name, value))
            for name, value in step.wanted.items()
            if name in fields and value != counted.facts.get(name)
        ]
        changes.append(
            (
                _("Severity"),
                Severity(counted.entitlement["severity"]).label,
                Severity(step.would_be["severity"]).label,
            )
        )
        changes.append((_("What is owed"), _owed(counted.entitlement), _owed(step.would_be)))
    else:
        kind = GrantKind(step.wanted["kind"]).label
        changes.append((_("Given"), "–", f"{kind} {step.wanted['amount']} {step.wanted['currency']}".strip()))
    reasons = dict(RevealReason.choices)
    return {
        "step": step,
        "changes": changes,
        "waits": step.state == HeldState.HELD,
        "looks": [
            (
                people.get(int(look["by"])),
                reasons.get(look["reason"], look["reason"]),
                datetime.fromisoformat(look["at"]),
            )
            for look in step.looks
        ],
    }


def _owed(entitlement: dict[str, Any]) -> str:
    return f"{entitlement['owed']} {entitlement['currency']}"


def _decided(request: HttpRequest, found: Case) -> str:
    acts = {
        "approve": (actions.approve_held, _("Done, with both your names on it.")),
        "refuse": (actions.refuse_held, _("Decided: it is not done.")),
    }
    act, done = acts.get(request.POST.get("do", ""), (None, ""))
    if act is None:
        return _("Please use one of the buttons.")
    number = request.POST.get("step", "")
    if not number.isdecimal() or not HeldStep.objects.filter(pk=int(number), case=found).exists():
        raise Http404
    words, by = request.POST.get("words", "")[:2000], pages.colleague(request)
    _step, refused = pages.tried(lambda: act(int(number), words=words, by=by, at=timezone.now()), refusals=REFUSALS)
    if not refused:
        pages.say(request, "", done)
    return refused


urlpatterns: list[URLPattern] = [path("case/<uuid:public_id>/held/", held, name="case_held")]
