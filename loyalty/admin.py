"""Kindness to look at: programmes, gestures, and their place in a customer's story."""

from __future__ import annotations

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.actions import gates
from crm.admin import pages, panels
from crm.admin.base import ReadOnlyAdmin
from crm.models import Customer, User
from loyalty import actions
from loyalty.models import Gesture, Programme
from loyalty.policy import GestureState

CAN_SWITCH = "loyalty.change_programme"
TONES: dict[str, str] = {GestureState.SENT: "good", GestureState.DROPPED: "soon"}


def told(user: User, customer: Customer, before: panels.Before | None, limit: int) -> list[panels.Event]:
    """The customer's gestures, for their story."""
    if not user.has_perm("loyalty.view_gesture"):
        return []
    gestures = (
        Gesture.objects.filter(panels.earlier(before, source="4-gesture", field="send_at"), customer=customer)
        .select_related("programme")
        .order_by("-send_at", "-id")[:limit]
    )
    return [
        panels.Event(
            at=gesture.send_at,
            source="4-gesture",
            number=gesture.pk,
            icon="redeem",
            words=_("Card: %(occasion)s") % {"occasion": gesture.programme.get_occasion_display()},
            state=str(gesture.get_state_display()),
            tone=TONES.get(gesture.state, "calm"),
        )
        for gesture in gestures
    ]


panels.sources.append(told)


@pages.page("loyalty.view_programme")
def programmes(request: HttpRequest) -> HttpResponse:
    """What kindness there is, what stands against beginning more, and a switch for each."""
    refused, asked = "", ""
    if request.method == "POST":
        pages.require(request, CAN_SWITCH)
        asked = request.POST.get("programme", "")
        refused = _switched(request, asked)
        if not refused:
            return redirect("admin:programmes")
    return pages.render(
        request,
        "admin/loyalty/programmes.html",
        _("Programmes"),
        programmes=Programme.objects.order_by("occasion"),
        gates=gates.reasons(),
        may_switch=request.user.has_perm(CAN_SWITCH),
        despite=request.POST.get("despite", ""),
        asked=asked,
        refused=refused,
        status=409 if refused else 200,
    )


def _switched(request: HttpRequest, occasion: str) -> str:
    found = Programme.objects.filter(occasion=occasion).values_list("pk", flat=True).first()
    if found is None:
        raise Http404
    by, at = pages.colleague(request), timezone.now()
    if request.POST.get("do") == "off":
        _done, refused = pages.tried(lambda: actions.switch_off(found, by=by, at=at))
    else:
        despite = request.POST.get("despite", "")
        _done, refused = pages.tried(
            lambda: actions.switch_on(found, despite=despite, by=by, at=at),
            refusals=(*pages.REFUSALS, actions.GateClosed),
        )
    if not refused:
        pages.say(request, "", _("Done."))
    return refused


urlpatterns: list[URLPattern] = [path("programmes/", programmes, name="programmes")]


@admin.register(Gesture)
class GestureAdmin(ReadOnlyAdmin):
    list_display = ("customer", "programme", "occasion_on", "send_at", "state", "reason", "sent_at")
    list_select_related = ("customer", "programme")
    list_filter = ("state",)
