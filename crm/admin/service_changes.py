"""Changes of services that nobody asked for: what waits to be put back, what became of the rest, and who records how many."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, OuterRef
from django.db.models.functions import JSONObject, TruncMonth
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm import money
from crm.actions import service_changes
from crm.admin import pages, words
from crm.models import Customer, Reversal, ServiceChange
from crm.models.people import CustomerStatus
from crm.policy.service_changes import Every, ReversalState

CAN_SEE = "crm.view_servicechange"
CAN_RECORD = "crm.record_service_change"
CAN_PUT_BACK = "crm.answer_conversation"
PAGE_SIZE = 50
SHOWN_BESIDE = 5
COUNTED_FOR = timedelta(days=366)
COUNTED_AT_MOST = 200
BY_HAND = "staff"
"""The system of what a colleague records on a page."""


class ChangeForm(forms.Form):
    """What a colleague records that was changed for a customer."""

    key = forms.CharField(max_length=100, widget=forms.HiddenInput)
    code = forms.SlugField(
        label=gettext_lazy("What kind"),
        max_length=40,
        help_text=gettext_lazy("A short word, always the same: tariff, bundle."),
    )
    changed_from = forms.CharField(label=gettext_lazy("Until now"), max_length=300, required=False)
    changed_to = forms.CharField(
        label=gettext_lazy("Changed to"), max_length=300, help_text=gettext_lazy("As the customer reads it.")
    )
    effective_at = forms.DateTimeField(
        label=gettext_lazy("In effect from"), widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
    )  # fmt: skip
    cost = forms.DecimalField(
        label=gettext_lazy("Costs more"), min_value=Decimal(0), max_digits=10, decimal_places=3, required=False
    )
    currency = forms.RegexField(r"^[A-Z]{3}$", label=gettext_lazy("Currency"), max_length=3, required=False)
    every = forms.ChoiceField(
        label=gettext_lazy("How often"),
        choices=[("", gettext_lazy("does not cost more")), *Every.choices],
        required=False,
    )
    asked_in = forms.CharField(
        label=gettext_lazy("Where the customer asked for it"),
        help_text=gettext_lazy(
            "The address of their own message or talk. Without it, it is put back and they are told."
        ),
        max_length=300,
        required=False,
    )


@pages.page("crm.view_customer", CAN_RECORD)
def record_change(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Record what was changed for a customer."""
    found = Customer.objects.visible_to(pages.colleague(request)).filter(public_id=public_id).first()
    if found is None:
        raise Http404
    at, refused = timezone.now(), ""
    form = ChangeForm(initial={"key": pages.fresh_key(), "effective_at": at, "currency": "EUR"})
    if request.method == "POST":
        form = ChangeForm(request.POST)
        if form.is_valid():
            told = _told(found, form.cleaned_data)
            recorded, refused = pages.tried(
                lambda: service_changes.record([told], by=pages.colleague(request), at=at, origin="admin")
            )
            if recorded is not None:
                done = _("Recorded, as the customer asked for it.")
                if not recorded[0].is_requested:
                    done = _("Recorded. We find no request of theirs: it is to be put back, and they are being told.")
                pages.say(request, "", done)
                return redirect("admin:customer", public_id=public_id)
    return pages.render(
        request,
        "admin/desk/service_change_new.html",
        _("What was changed for %(name)s") % {"name": found},
        customer=found,
        form=form,
        refused=refused,
        is_fullwidth="",
        status=409 if refused else 200,
    )


def _told(customer: Customer, given: dict[str, Any]) -> service_changes.Told:
    costs = bool(given["cost"])
    return service_changes.Told(
        customer=customer.public_id,
        system=BY_HAND,
        key=given["key"],
        code=given["code"],
        changed_from=given["changed_from"],
        changed_to=given["changed_to"],
        effective_at=given["effective_at"],
        cost=given["cost"] if costs else None,
        currency=given["currency"] if costs else "",
        every=given["every"] if costs else "",
        asked_in=service_changes.words_named(given["asked_in"], customer=customer),
    )


@pages.page(CAN_SEE)
def change_list(request: HttpRequest) -> HttpResponse:
    """What waits to be put back, the soonest first; a POST is one act. Below, who records how many of them."""
    refused = ""
    if request.method == "POST":
        refused = _act(request)
        if not refused:
            return redirect(request.get_full_path())
    at = timezone.now()
    shows_ended = request.GET.get("ended") == "1"
    found = Reversal.objects.select_related(
        "change__customer", "change__conversation", "change__by", "ended_by", "told", "confirmed"
    )  # fmt: skip
    key = pages.read_key(request, datetime, int)
    if shows_ended:
        found, order = found.exclude(state=ReversalState.OPEN).order_by("-ended_at", "-pk"), ("ended_at", "pk")
    else:
        found, order = found.filter(state=ReversalState.OPEN).order_by("due_at", "pk"), ("due_at", "pk")
    if key is not None:
        found = found.filter(pages.beyond(order, key, descending=shows_ended))
    rows = list(found[: PAGE_SIZE + 1])
    more, rows = len(rows) > PAGE_SIZE, rows[:PAGE_SIZE]
    next_key = pages.write_key(getattr(rows[-1], order[0]), rows[-1].pk) if more else ""
    return pages.render(
        request,
        "admin/desk/service_changes.html",
        _("Changes nobody asked for"),
        rows=[_shown(row, at=at) for row in rows],
        shows_ended=shows_ended,
        counts=_counts(at),
        may_put_back=request.user.has_perm(CAN_PUT_BACK),
        refused=refused,
        next_key=next_key,
        is_first=key is None,
        status=409 if refused else 200,
    )


def _act(request: HttpRequest) -> str:
    """Put one change back, or note how its confirmation reached the customer; gives what stands in the way."""
    pages.require(request, CAN_PUT_BACK)
    form, by, at = request.POST, pages.colleague(request), timezone.now()
    try:
        public_id = uuid.UUID(form.get("change", ""))
    except ValueError as unknown:
        raise Http404 from unknown
    change = ServiceChange.objects.unrequested().visible_to(by).filter(public_id=public_id).first()
    if change is None:
        raise Http404
    number = change.pk
    if form.get("do") == "put_back":
        ended, refused = pages.tried(lambda: service_changes.put_back(number, by=by, at=at))
        if ended is not None:
            was_first = _("Put back. The customer gets it in writing.")
            pages.say(request, "", was_first if ended[1] else _("Somebody was quicker; it had ended already."))
        return refused
    if form.get("do") == "by_hand":
        _noted, refused = pages.tried(
            lambda: service_changes.confirmed_by_hand(number, words=form.get("words", ""), by=by, at=at)
        )
        if not refused:
            pages.say(request, "", _("Noted."))
        return refused
    return _("Please use one of the buttons.")


def _shown(row: Reversal, *, at: datetime) -> dict[str, Any]:
    change = row.change
    is_open = row.state == ReversalState.OPEN
    return {
        "reversal": row,
        "change": change,
        "cost": service_changes.cost_in_words(change, language="en"),
        "owed": f"{money.rounded(row.owed, change.currency)} {change.currency}" if row.owed else "",
        "is_open": is_open,
        "due": words.due(row.due_at, at=at) if is_open else None,
        "told": row.told.get_state_display() if row.told else "",
        "confirmed": row.confirmed.get_state_display() if row.confirmed else "",
        "needs_hand": not is_open and row.confirmed is None and not row.by_hand,
    }


def _counts(at: datetime) -> list[dict[str, Any]]:
    """How many changes nobody asked for were recorded within a year, by month, kind and who recorded them; one statement."""
    recorded = ServiceChange.objects.unrequested().filter(at__gt=at - COUNTED_FOR)
    grouped = recorded.annotate(month=TruncMonth("at")).values(
        "month", "code", "system", "by__display_name", "by__email"
    )
    counted = grouped.annotate(number=Count("pk")).order_by("-month", "-number", "code", "system", "by__email")
    return [dict(line) for line in counted[:COUNTED_AT_MOST]]


# --- beside the customer --------------------------------------------------------------------------------------------


def changes_of(customer: OuterRef) -> ArraySubquery:
    """The newest changes of each customer of a query, for `side`."""
    told = JSONObject(changed_to="changed_to", at="at", state="reversal__state")
    rows = ServiceChange.objects.filter(customer=customer).order_by("-pk")
    return ArraySubquery(rows.values(json=told)[:SHOWN_BESIDE])


def side(request: HttpRequest, customer: Any) -> dict[str, Any]:
    """What the customer's page shows of them. customer: with `changes_of` as newest_changes."""
    if not request.user.has_perm(CAN_SEE):
        return {}
    states = dict(ReversalState.choices)
    return {
        "service_changes": [
            {
                "changed_to": one["changed_to"],
                "at": datetime.fromisoformat(one["at"]),
                "state": states.get(one["state"], _("as they asked")),
                "is_open": one["state"] == ReversalState.OPEN,
            }
            for one in customer.newest_changes
        ],
        "may_record_change": request.user.has_perm(CAN_RECORD) and customer.status == CustomerStatus.ACTIVE,
    }


urlpatterns: list[URLPattern] = [
    path("changes/", change_list, name="service_changes"),
    path("customer/<uuid:public_id>/change/", record_change, name="record_change"),
]
