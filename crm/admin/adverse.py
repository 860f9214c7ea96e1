"""Acts to a customer's disadvantage: prepared at the customer, confirmed and carried out in one list that shows them all."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.actions import adverse
from crm.admin import pages
from crm.models import AdverseAct, Customer
from crm.policy import SPEECH_PROTECTED_FOR, AdverseKind, AdverseState

PAGE_SIZE = 50
CAN_PREPARE = "crm.prepare_adverse"
CAN_CONFIRM = "crm.confirm_adverse"


@pages.page("crm.view_adverseact")
def adverse_acts(request: HttpRequest, customer: uuid.UUID | None = None) -> HttpResponse:
    """Every act, newest first; for one customer also the form to prepare another."""
    about = None
    if customer is not None:
        about = Customer.objects.visible_to(pages.colleague(request)).filter(public_id=customer).first()
        if about is None:
            raise Http404
    refused = ""
    if request.method == "POST":
        refused = _act(request, about)
        if not refused:
            return redirect(request.get_full_path())
    acts = AdverseAct.objects.filter(customer=about) if about else AdverseAct.objects.all()
    key = pages.read_key(request, int)
    if key is not None:
        acts = acts.filter(pk__lt=key[0])
    found = list(
        acts.select_related("customer", "prepared_by", "confirmed_by", "ended_by").order_by("-pk")[: PAGE_SIZE + 1]
    )
    more, found = len(found) > PAGE_SIZE, found[:PAGE_SIZE]
    return pages.render(
        request,
        "admin/desk/adverse.html",
        _("Acts to customers' disadvantage"),
        about=about,
        refused=refused,
        typed=request.POST if refused else {},
        acts=[(act, act.state in (AdverseState.PREPARED, AdverseState.CONFIRMED)) for act in found],
        kinds=AdverseKind.choices,
        days=SPEECH_PROTECTED_FOR.days,
        may_prepare=request.user.has_perm(CAN_PREPARE),
        may_confirm=request.user.has_perm(CAN_CONFIRM),
        next_key=pages.write_key(found[-1].pk) if more else "",
        is_first=key is None,
        status=409 if refused else 200,
    )


def _act(request: HttpRequest, about: Customer | None) -> str:
    at, form, by = timezone.now(), request.POST, pages.colleague(request)
    if form.get("do") == "prepare" and about is not None:
        pages.require(request, CAN_PREPARE)
        if form.get("kind") not in AdverseKind:
            return _("Please choose from the list.")
        kind = AdverseKind(form["kind"])
        _prepared, refused = pages.tried(
            lambda: adverse.prepare(about.pk, kind=kind, reason=form.get("reason", ""), by=by, at=at)
        )
        if not refused:
            pages.say(request, "", _("Prepared. Nothing has taken effect."))
        return refused
    does: dict[str, tuple[str, Callable[[int], Any], str]] = {
        "confirm": (
            CAN_CONFIRM,
            lambda number: adverse.confirm(number, unrelated_because=form.get("because", ""), by=by, at=at),
            _("Confirmed, with your reason on record."),
        ),
        "carry_out": (CAN_PREPARE, lambda number: adverse.carry_out(number, by=by, at=at), _("It is in effect now.")),
        "drop": (CAN_PREPARE, lambda number: adverse.drop(number, by=by, at=at), _("Dropped.")),
    }
    chosen = does.get(form.get("do", ""))
    if chosen is None:
        return _("Please use one of the buttons.")
    pages.require(request, chosen[0])
    try:
        public_id = uuid.UUID(form.get("act", ""))
    except ValueError as unknown:
        raise Http404 from unknown
    number = AdverseAct.objects.filter(public_id=public_id).values_list("pk", flat=True).first()
    if number is None:
        raise Http404
    _changed, refused = pages.tried(lambda: chosen[1](number))
    if not refused:
        pages.say(request, "", chosen[2])
    return refused


urlpatterns: list[URLPattern] = [
    path("adverse/", adverse_acts, name="adverse"),
    path("customer/<uuid:customer>/adverse/", adverse_acts, name="customer_adverse"),
]
