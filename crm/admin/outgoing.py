"""Everything that leaves: its true state, and the two things a person may do about it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.contrib import admin
from django.db.models import Model, Prefetch
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.actions import answers, outgoing, undo
from crm.admin import pages, words
from crm.admin.base import ReadOnlyAdmin
from crm.models import DeliveryEvent, OutgoingMessage
from crm.policy import UNDO_AT_MOST, OutgoingState

PAGE_SIZE = 50
CAN_RELEASE = "crm.release_outgoing"
STOPPED = (OutgoingState.HELD, OutgoingState.PARKED, OutgoingState.REFUSED, OutgoingState.UNKNOWN)
ON_THEIR_WAY = (OutgoingState.READY, OutgoingState.CLAIMED, OutgoingState.HANDING)
RELEASABLE = (OutgoingState.HELD, OutgoingState.PARKED, OutgoingState.REFUSED, OutgoingState.UNKNOWN)
CANCELLABLE = (OutgoingState.READY, OutgoingState.HELD, OutgoingState.PARKED)


@dataclass(frozen=True, slots=True)
class Row:
    message: OutgoingMessage
    sent: words.Sent
    reports: list[DeliveryEvent]
    can_be_released: bool
    can_be_cancelled: bool
    can_be_taken_back: bool


@pages.page("crm.view_outgoingmessage", methods=["GET"])
def outgoing_mailbox(request: HttpRequest) -> HttpResponse:
    """What leaves and has left, newest first."""
    at = timezone.now()
    tabs = {
        "all": _("All"),
        "stopped": _("Waiting for a person"),
        "moving": _("On their way"),
        "planned": _("Planned"),
    }
    tab = request.GET.get("show", "all")
    messages = OutgoingMessage.objects.all()
    if tab == "stopped":
        messages = messages.filter(state__in=STOPPED)
    elif tab == "moving":
        messages = messages.filter(state__in=ON_THEIR_WAY)
    elif tab == "planned":
        messages = messages.filter(state=OutgoingState.READY, send_after__gt=at + UNDO_AT_MOST)
    else:
        tab = "all"
    # What is planned stands in the order in which it leaves, everything else with the newest first.
    ahead = tab == "planned"
    order = ("send_after", "id") if ahead else ("created_at", "id")
    key = pages.read_key(request, datetime, int)
    if key is not None:
        messages = messages.filter(pages.beyond(order, key, descending=not ahead))
    found = list(
        messages.select_related("customer", "conversation", "signed_by")
        .prefetch_related(Prefetch("delivery_events", DeliveryEvent.objects.order_by("event_at", "id")))
        .defer("html", "headers")
        .order_by(*(order if ahead else (f"-{name}" for name in order)))[: PAGE_SIZE + 1]
    )
    more, found = len(found) > PAGE_SIZE, found[:PAGE_SIZE]
    by, may_act = pages.colleague(request), request.user.has_perm(CAN_RELEASE)
    may_read_reports = request.user.has_perm("crm.view_deliveryevent")
    return pages.render(
        request,
        "admin/desk/outgoing.html",
        _("Outgoing messages"),
        rows=[
            Row(
                message,
                words.sent(message, zone=answers.clock_of(message.customer), at=at),
                list(message.delivery_events.all()) if may_read_reports else [],
                may_act and message.state in RELEASABLE,
                may_act and message.state in CANCELLABLE,
                undo.may_take_back(message, by=by) and message.send_after > at,
            )
            for message in found
        ],
        tabs=[(name, label, name == tab) for name, label in tabs.items()],
        tab=tab,
        next_key=pages.write_key(getattr(found[-1], order[0]), found[-1].pk) if more else "",
        is_first=key is None,
    )


@pages.page(CAN_RELEASE, methods=["POST"])
def release(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Let a message go that waited for a person."""
    return _changed(request, public_id, outgoing.release, _("The message leaves within seconds."))


@pages.page(CAN_RELEASE, methods=["POST"])
def cancel(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Stop a message that has not left."""
    return _changed(request, public_id, undo.stop, _("The message will not leave."))


def _changed(
    request: HttpRequest, public_id: uuid.UUID, act: Callable[..., OutgoingMessage], done: str
) -> HttpResponse:
    number = OutgoingMessage.objects.filter(public_id=public_id).values_list("pk", flat=True).first()
    if number is None:
        raise Http404
    _message, refused = pages.tried(lambda: act(number, by=pages.colleague(request), at=timezone.now()))
    pages.say(request, refused, done)
    shown = request.POST.get("show", "")
    query = f"?show={shown}" if shown in ("stopped", "moving", "planned") else ""
    return redirect(reverse("admin:outgoing") + query)


@admin.register(OutgoingMessage)
class OutgoingMessageAdmin(ReadOnlyAdmin):
    """One message in full; the list people work with is the page above."""

    list_display = ("created_at", "subject", "address", "kind", "state", "reason", "delivery")
    list_filter = ("state", "kind")
    ordering = ("-created_at", "-id")
    search_fields = ("address__exact",)
    hidden = ("headers",)

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        fields = super().get_fields(request, obj)
        return [name for name in fields if name != "text"] if getattr(obj, "is_for_them_alone", False) else fields


@admin.register(DeliveryEvent)
class DeliveryEventAdmin(ReadOnlyAdmin):
    """What the other side told about messages after accepting them."""

    list_display = ("event_at", "message", "kind", "is_permanent", "source", "reason")
    list_select_related = ("message",)
