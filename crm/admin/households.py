"""Who shares a home with a customer, as they told us: a panel and a page."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.actions import households
from crm.admin import pages
from crm.admin.lives import CAN_NOTE, customer_of
from crm.admin.persons import other_of
from crm.models import Customer, HouseholdMember

CAN_SEE = "crm.view_householdmember"
SHOWN = 50


@pages.page("crm.view_customer", CAN_SEE)
def household(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Who shares a home with a customer; a POST notes one more."""
    found = customer_of(request, public_id)
    wanted, because, refused = request.POST.get("with", "").strip(), request.POST.get("because", ""), ""
    if request.method == "POST":
        pages.require(request, CAN_NOTE)
        other, refused = other_of(request, wanted)
        if other is not None:
            number = other.pk
            _home, refused = pages.tried(
                lambda: households.share(
                    found.pk, other_id=number, because=because, by=pages.colleague(request), at=timezone.now()
                )
            )
        if not refused:
            pages.say(request, "", _("Noted. They share a home."))
            return redirect("admin:customer_household", public_id=public_id)
    return pages.render(
        request,
        "admin/desk/household.html",
        _("Household"),
        customer=found,
        members=_members(found),
        wanted=wanted,
        because=because,
        may_note=request.user.has_perm(CAN_NOTE),
        refused=refused,
        is_fullwidth="",
        status=409 if refused else 200,
    )


def _members(customer: Customer) -> list[HouseholdMember]:
    """Everybody who shares a home with a customer now, the customer too; one statement."""
    homes = HouseholdMember.objects.filter(customer=customer, left_at=None).values("household")
    members = HouseholdMember.objects.filter(household__in=homes, left_at=None)
    return list(members.select_related("customer", "household", "noted_by").order_by("household", "pk")[:SHOWN])


@pages.page(CAN_SEE, CAN_NOTE, methods=["POST"])
def leave(request: HttpRequest, number: int) -> HttpResponse:
    """Note that somebody does not share a home any more, or never did."""
    member = HouseholdMember.objects.select_related("customer").filter(pk=number).first()
    if member is None:
        raise Http404
    customer, home = member.customer_id, member.household_id
    _left, refused = pages.tried(
        lambda: households.leave(
            customer,
            household_id=home,
            because=request.POST.get("because", ""),
            was_mistake=request.POST.get("do") == "mistake",
            by=pages.colleague(request),
            at=timezone.now(),
        )
    )
    pages.say(request, refused, _("Noted. They do not share this home any more."))
    return redirect("admin:customer_household", public_id=_came_from(request) or member.customer.public_id)


def _came_from(request: HttpRequest) -> uuid.UUID | None:
    try:
        return uuid.UUID(request.POST.get("from", ""))
    except ValueError:
        return None


def side(request: HttpRequest, customer: Customer) -> dict[str, Any]:
    """What the customer's page shows of it; one statement."""
    if not request.user.has_perm(CAN_SEE):
        return {}
    others = {one.customer_id: one.customer for one in _members(customer) if one.customer_id != customer.pk}
    return {"may_see_household": True, "household": list(others.values())}


urlpatterns: list[URLPattern] = [
    path("customer/<uuid:public_id>/household/", household, name="customer_household"),
    path("household/<int:number>/leave/", leave, name="household_leave"),
]
