"""Who rings and who waits at the counter now, talks to be written down, and call-backs we owe."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import CharField, Count, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Cast, Coalesce, Concat
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.actions import call_backs, calls
from crm.admin import pages, words
from crm.admin.base import ReadOnlyAdmin
from crm.channels import Channel
from crm.models import Call, ContactPoint, Conversation, HistoryEntry, Promise
from crm.models.people import ContactKind
from crm.policy import CallState, EndedBy, PromiseKind
from crm.policy.calls import SILENT_AFTER

PAGE_SIZE = 50
SHOWN_AT_ONCE = 50
NOT_WRITTEN_DOWN_FOR = timedelta(days=1)
RATES_OVER = timedelta(days=30)
CAN_TALK = "crm.log_call"
CAN_SEE = "crm.view_call"
CAN_SEE_RATES = "crm.view_how_talks_end"


@dataclass(frozen=True, slots=True)
class Known:
    """Who uses a number: the customer's name and page, and whom their newest open matter belongs to."""

    name: str
    customer: uuid.UUID
    conversation: uuid.UUID | None
    owner: str


@dataclass(frozen=True, slots=True)
class Row:
    """One call as the panel shows it. since: from when its clock on the page runs; offers: a call-back should be offered."""

    call: Call
    known: Known | None
    words: str
    since: datetime
    clock: str
    tone: str
    at_counter: bool
    offers: bool


@dataclass(frozen=True, slots=True)
class Owed:
    """One call-back that is owed."""

    promise: Promise
    due: words.Due
    numbers: list[str]
    tried: int
    key: str


@pages.page(CAN_SEE, methods=["GET"])
def live_calls(request: HttpRequest) -> HttpResponse:
    """Who is on the line or waits now, what is to be written down, whom we have to call back."""
    at = timezone.now()
    owed, next_key = _owed(request, at=at)
    return pages.render(
        request,
        "admin/desk/calls.html",
        _("Calls"),
        **_now(request, at=at),
        owed=owed,
        next_key=next_key,
        is_first=not request.GET.get("after"),
        may_see_rates=request.user.has_perm(CAN_SEE_RATES),
        rates=_rates(at=at) if request.user.has_perm(CAN_SEE_RATES) else [],
        days=RATES_OVER.days,
    )


@pages.page(CAN_SEE, methods=["GET"])
def calls_now(request: HttpRequest) -> HttpResponse:
    """The part of the page that changes by the second."""
    return TemplateResponse(request, "admin/desk/calls_now.html", _now(request, at=timezone.now()))


@pages.page(CAN_TALK, methods=["POST"])
def call_press(request: HttpRequest, public_id: uuid.UUID, what: str) -> HttpResponse:
    """A press on one of the buttons beside a call."""
    number = _pk(Call.objects.filter(public_id=public_id))
    by, at = pages.colleague(request), timezone.now()
    acts: dict[str, tuple[Callable[[], object], str]] = {
        "pick-up": (lambda: calls.pick_up(number, by=by, at=at), ""),
        "hold": (lambda: calls.hold(number, by=by, at=at), ""),
        "resume": (lambda: calls.resume(number, by=by, at=at), ""),
        "left": (
            lambda: calls.walked_away(number, by=by, at=at),
            _("Noted. They are counted, and called back if we can."),
        ),
        "agree": (
            lambda: call_backs.agree(number, by=by, at=at, phone=request.POST.get("phone", "")),
            _("The call-back is promised, and their place is kept."),
        ),
        **{
            f"end-{ended_by.value}": (partial(calls.end, number, ended_by=ended_by, by=by, at=at), "")
            for ended_by in EndedBy
        },
    }
    if what not in acts:
        raise Http404
    act, done = acts[what]
    _result, refused = pages.tried(act)
    if refused or done:
        pages.say(request, refused, done)
    return redirect("admin:calls")


@pages.page(CAN_TALK, methods=["POST"])
def wait_at_counter(request: HttpRequest) -> HttpResponse:
    """Somebody waits at the counter since now."""
    form = request.POST
    _call, refused = pages.tried(
        lambda: calls.wait_at_counter(
            key=form.get("key", "")[:64] or pages.fresh_key(),
            name=form.get("name", "")[:200],
            phone=form.get("phone", "")[:40],
            by=pages.colleague(request),
            at=timezone.now(),
        )
    )
    pages.say(request, refused, _("Their time counts from now."))
    return redirect("admin:calls")


@pages.page(CAN_TALK, methods=["POST"])
def call_tried(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """We called back and reached nobody."""
    number = _pk(Conversation.objects.visible_to(pages.colleague(request)).filter(public_id=public_id))
    key = request.POST.get("key", "")[:64] or pages.fresh_key()
    _count, refused = pages.tried(
        lambda: call_backs.tried(number, by=pages.colleague(request), at=timezone.now(), key=key)
    )
    pages.say(request, refused, _("Noted. After the second attempt you may write to them instead."))
    return redirect("admin:calls")


def _pk(rows: QuerySet[Any]) -> int:
    number: int | None = rows.values_list("pk", flat=True).first()
    if number is None:
        raise Http404
    return number


def _now(request: HttpRequest, *, at: datetime) -> dict[str, Any]:
    live = list(
        Call.objects.filter(ended_at=None, heard_at__gt=at - SILENT_AFTER)
        .select_related("answered_by")
        .order_by("rang_at", "id")[:SHOWN_AT_ONCE]
    )
    ended_talks = Call.objects.filter(
        ended_at__gt=at - NOT_WRITTEN_DOWN_FOR, answered_at__isnull=False, written_down=None
    )
    to_note = list(ended_talks.select_related("answered_by").order_by("-ended_at", "-id")[:SHOWN_AT_ONCE])
    known = _known({call.caller for call in (*live, *to_note) if call.caller})
    return {
        "at": at,
        "live": [_row(call, known.get(call.caller), at=at) for call in live],
        "to_note": [_row(call, known.get(call.caller), at=at) for call in to_note],
        "may_talk": request.user.has_perm(CAN_TALK),
        "may_see_customer": request.user.has_perm("crm.view_customer"),
        "fresh_key": pages.fresh_key(),
    }


def _row(call: Call, known: Known | None, *, at: datetime) -> Row:
    at_counter = call.channel == Channel.STORE
    since, tone = call.rang_at, "soon"
    if call.state == CallState.RINGING:
        said = _("waits at the counter") if at_counter else _("rings")
        if not at_counter and call.waited(at) >= settings.EVENHAND_RING_PATIENCE:
            tone = "late"
    elif call.hold_began_at is not None:
        said, since = _("on hold"), call.hold_began_at
        tone = "late" if at - call.hold_began_at >= settings.EVENHAND_HOLD_LIMIT else "soon"
    elif call.state == CallState.TALKING:
        said, since, tone = (_("is served") if at_counter else _("talking")), call.answered_at or call.rang_at, "busy"
    else:
        said, since, tone = str(call.get_ended_by_display()), call.ended_at or call.rang_at, "calm"
    offers = call.state == CallState.TALKING and call.on_hold(at) >= settings.EVENHAND_HOLD_LIMIT
    return Row(
        call=call,
        known=known,
        words=said,
        since=since,
        clock=words.clock(at - since),
        tone=tone,
        at_counter=at_counter,
        offers=offers and call.call_back_agreed_at is None,
    )


def _known(callers: set[str]) -> dict[str, Known]:
    """Who uses these numbers, in one statement."""
    matters = Conversation.objects.filter(customer=OuterRef("customer"), state__in=calls.LIVE_MATTERS).order_by("-id")
    uses = (
        ContactPoint.objects.filter(kind=ContactKind.PHONE, address__in=callers, unlinked_at=None)
        .select_related("customer")
        .annotate(
            conversation=Subquery(matters.values("public_id")[:1]),
            owner=Subquery(matters.annotate(who=Coalesce("owner__display_name", Value(""))).values("who")[:1]),
        )
        .order_by("id")
    )
    return {
        use.address: Known(str(use.customer), use.customer.public_id, use.conversation, use.owner or "") for use in uses
    }


def _owed(request: HttpRequest, *, at: datetime) -> tuple[list[Owed], str]:
    """One page of the call-backs we owe, the next due first."""
    reference = Concat(Value("conversation:"), Cast(OuterRef("conversation__public_id"), CharField()))
    attempts = HistoryEntry.objects.filter(ref=reference, verb=call_backs.TRIED).order_by().values("ref")
    numbers = ContactPoint.objects.filter(
        customer=OuterRef("conversation__customer"), kind=ContactKind.PHONE, unlinked_at=None
    )
    promises = Promise.objects.filter(kind=PromiseKind.CALL_BACK).unmet()
    key = pages.read_key(request, datetime, int)
    if key is not None:
        promises = promises.filter(pages.beyond(("due_at", "id"), key))
    found: list[Any] = list(
        promises.select_related("conversation__customer", "conversation__owner")
        .annotate(
            attempts=Coalesce(Subquery(attempts.annotate(count=Count("pk")).values("count")), Value(0)),
            numbers=ArraySubquery(numbers.order_by("-id").values("address")),
        )
        .order_by("due_at", "id")[: PAGE_SIZE + 1]
    )
    more, found = len(found) > PAGE_SIZE, found[:PAGE_SIZE]
    rows = [
        Owed(promise, words.due(promise.due_at, at=at), promise.numbers, promise.attempts, pages.fresh_key())
        for promise in found
    ]
    return rows, pages.write_key(found[-1].due_at, found[-1].pk) if more else ""


def _rates(*, at: datetime) -> list[dict[str, Any]]:
    """How each colleague's talks of the last 30 days ended; most often ended by us first."""
    ended = Call.objects.filter(answered_at__isnull=False, answered_by__isnull=False, ended_at__gte=at - RATES_OVER)
    counted = (
        ended.values("answered_by__display_name", "answered_by__email")
        .order_by("answered_by")
        .annotate(all=Count("pk"), by_us=Count("pk", filter=Q(ended_by=EndedBy.US)))
        .order_by("-by_us", "-all", "answered_by")[:SHOWN_AT_ONCE]
    )
    return [
        {
            "who": row["answered_by__display_name"] or row["answered_by__email"],
            "all": row["all"],
            "by_us": row["by_us"],
            "share": round(100 * row["by_us"] / row["all"]),
        }
        for row in counted
    ]


@admin.register(Call)
class CallAdmin(ReadOnlyAdmin):
    """Every call and everybody who waited at the counter, to look things up in."""

    list_display = ("rang_at", "caller", "caller_name", "channel", "state", "answered_by", "ended_at", "ended_by")
    list_select_related = ("answered_by",)
    list_filter = ("state",)
    search_fields = ("caller__exact",)
    hidden = ("trusted_from", "held_at", "heard_at")


urlpatterns: list[URLPattern] = [
    path("calls/", live_calls, name="calls"),
    path("calls/now/", calls_now, name="calls_now"),
    path("calls/counter/", wait_at_counter, name="wait_at_counter"),
    path("calls/tried/<uuid:public_id>/", call_tried, name="call_tried"),
    path("calls/<uuid:public_id>/<slug:what>/", call_press, name="call_press"),
]
