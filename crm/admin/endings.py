"""How matters end and what they wait for: one conversation's page for it, and what the endings and waits add up to."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Avg, Count, DurationField, ExpressionWrapper, F, Q, Sum, Value
from django.db.models.functions import Coalesce, Greatest
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.actions import desk, endings, waits
from crm.admin import pages, panels, words
from crm.channels import Channel
from crm.models import Closing, Continuation, Conversation, Dismissal, InternalWait
from crm.policy import (
    REOPENED_WITHIN,
    ConversationState,
    Department,
    DismissalReason,
    HowClosed,
    Verdict,
)

CAN_ANSWER = "crm.answer_conversation"
CAN_AUDIT = "crm.audit_dismissal"
COUNTED = timedelta(days=90)
LISTED = 50


@pages.page()
def ending(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """One conversation: end it with a reason, note tries to reach a silent customer, note what it waits for inside."""
    found = (
        Conversation.objects.visible_to(pages.colleague(request))
        .select_related("customer")
        .filter(public_id=public_id)
        .first()
    )
    if found is None:
        raise Http404
    refused = ""
    if request.method == "POST":
        pages.require(request, CAN_ANSWER)
        refused, goes_to = _act(request, found)
        if not refused:
            return redirect("admin:ending", public_id=goes_to)
        found.refresh_from_db(fields=["state"])
    at = timezone.now()
    waiting = InternalWait.objects.filter(conversation=found).select_related("begun_by").order_by("-id")[:LISTED]
    others = Conversation.objects.filter(customer=found.customer).exclude(pk=found.pk).order_by("-id")[:LISTED]
    follows = Continuation.objects.filter(Q(conversation=found) | Q(continues=found)).select_related(
        "conversation", "continues"
    )
    return pages.render(
        request,
        "admin/desk/ending.html",
        _("End or wait"),
        conversation=found,
        refused=refused,
        typed=request.POST if refused else {},
        is_closed=found.state == ConversationState.CLOSED,
        may_answer=request.user.has_perm(CAN_ANSWER),
        reasons=DismissalReason.choices,
        media=Channel.choices,
        departments=Department.choices,
        others=others,
        links=[
            (row.continues if row.conversation_id == found.pk else row.conversation, row.conversation_id == found.pk)
            for row in follows
        ],
        tried=[Channel(medium).label for medium in endings.media_tried(found)],
        closings=Closing.objects.filter(conversation=found).select_related("closed_by").order_by("-id")[:LISTED],
        waits=[(wait, words.duration((wait.until or at) - wait.since)) for wait in waiting],
        status=409 if refused else 200,
    )


def _act(request: HttpRequest, found: Conversation) -> tuple[str, uuid.UUID]:
    """Make the one call that the pressed button stands for; gives what stands in the way, and where to go on."""
    at, form, by = timezone.now(), request.POST, pages.colleague(request)
    note = form.get("note", "")
    does: dict[str, tuple[Callable[[], Any], str]] = {
        "close": (
            lambda: desk.close(found.pk, by=by, at=at, reason=form.get("reason", "")),
            _("The conversation is closed."),
        ),
        "reopen": (lambda: desk.reopen(found.pk, by=by, at=at), _("The conversation is open again.")),
        "try": (
            lambda: endings.log_try(found.pk, medium=Channel(form.get("medium", "")), note=note, by=by, at=at),
            _("Noted. Thank you for trying."),
        ),
        "quiet": (
            lambda: endings.go_quiet(found.pk, note=note, by=by, at=at),
            _("Closed as gone quiet. It opens again by itself when the customer writes."),
        ),
        "dismiss": (
            lambda: endings.dismiss(
                found.pk,
                reason=DismissalReason(form.get("reason", "")),
                same_as=_other(found, form.get("same_as", "")),
                by=by,
                at=at,
            ),
            _("Dismissed. One in ten of these is looked at again by somebody else."),
        ),
        "wait": (
            lambda: waits.begin(found.pk, department=Department(form.get("department", "")), by=by, at=at),
            _("Noted as our time. The customer's promises run on."),
        ),
        "arrived": (lambda: waits.end(_wait(found, form.get("wait", "")), by=by, at=at), _("The wait is over.")),
    }
    chosen = does.get(form.get("do", ""))
    if chosen is None:
        return _("Please use one of the buttons."), found.public_id
    try:
        result, refused = pages.tried(chosen[0])
    except ValueError:
        return _("Please choose from the list."), found.public_id
    if not refused:
        pages.say(request, "", chosen[1])
    return refused, result.public_id if isinstance(result, Conversation) else found.public_id


def _other(found: Conversation, public_id: str) -> Conversation | None:
    if not public_id:
        return None
    return Conversation.objects.filter(customer=found.customer, public_id=uuid.UUID(public_id)).first()


def _wait(found: Conversation, public_id: str) -> int:
    number = InternalWait.objects.filter(conversation=found, public_id=uuid.UUID(public_id)).values_list(
        "pk", flat=True
    )
    if not number:
        raise Http404
    return number[0]


@dataclass(frozen=True, slots=True)
class Ended:
    """How the conversations that first came by one channel ended, as counts; shares are whole per cent."""

    channel: str
    all: int
    quiet: int
    dismissed: int
    returned: int

    @property
    def quiet_share(self) -> int:
        return round(100 * self.quiet / self.all)

    @property
    def returned_share(self) -> int:
        return round(100 * self.returned / self.all)


@pages.page("crm.view_closing")
def endings_page(request: HttpRequest) -> HttpResponse:
    """How matters ended in the last 90 days, by first channel, and the dismissals that wait for a second person."""
    refused = ""
    if request.method == "POST":
        pages.require(request, CAN_AUDIT)
        refused = _audit(request)
        if not refused:
            return redirect("admin:endings")
    at = timezone.now()
    rows = (
        Closing.objects.filter(at__gte=at - COUNTED)
        .values("conversation__channel")
        .order_by("conversation__channel")
        .annotate(
            all=Count("pk"),
            quiet=Count("pk", filter=Q(how=HowClosed.WENT_QUIET)),
            dismissed=Count("pk", filter=Q(how=HowClosed.DISMISSED)),
            returned=Count("pk", filter=Q(reopened_at__lte=F("at") + REOPENED_WITHIN)),
        )
    )
    drawn = Dismissal.objects.exclude(sampled_for="").filter(verdict="")
    key = pages.read_key(request, int)
    if key is not None:
        drawn = drawn.filter(pk__lt=key[0])
    listed = list(drawn.select_related("conversation__customer", "dismissed_by").order_by("-id")[: LISTED + 1])
    judged = Dismissal.objects.filter(audited_at__gte=at - COUNTED)
    return pages.render(
        request,
        "admin/desk/endings.html",
        _("How matters end"),
        refused=refused,
        ended=[
            Ended(
                str(Channel(row["conversation__channel"]).label),
                row["all"],
                row["quiet"],
                row["dismissed"],
                row["returned"],
            )
            for row in rows
        ],
        drawn=listed[:LISTED],
        next_key=pages.write_key(listed[LISTED - 1].pk) if len(listed) > LISTED else "",
        is_first=key is None,
        judged=judged.aggregate(all=Count("pk"), wrong=Count("pk", filter=Q(verdict=Verdict.WRONG))),
        verdicts=Verdict.choices,
        may_audit=request.user.has_perm(CAN_AUDIT),
        days=COUNTED.days,
        status=409 if refused else 200,
    )


def _audit(request: HttpRequest) -> str:
    try:
        number = uuid.UUID(request.POST.get("dismissal", ""))
        verdict = Verdict(request.POST.get("verdict", ""))
    except ValueError:
        return _("Please use one of the buttons.")
    found = Dismissal.objects.filter(public_id=number).values_list("pk", flat=True).first()
    if found is None:
        raise Http404
    _row, refused = pages.tried(
        lambda: endings.audit(found, verdict=verdict, by=pages.colleague(request), at=timezone.now())
    )
    if not refused:
        pages.say(request, "", _("Thank you for looking at it again."))
    return refused


@pages.page("crm.view_internalwait", methods=["GET"])
def waits_page(request: HttpRequest) -> HttpResponse:
    """How long matters waited inside the house in the last 90 days, by department: our time, not the customer's."""
    at = timezone.now()
    since = at - COUNTED
    spent = ExpressionWrapper(
        Coalesce(F("until"), Value(at)) - Greatest(F("since"), Value(since)), output_field=DurationField()
    )
    rows = (
        InternalWait.objects.filter(Q(until__isnull=True) | Q(until__gt=since))
        .values("department")
        .order_by("department")
        .annotate(
            number=Count("pk"), running=Count("pk", filter=Q(until__isnull=True)), total=Sum(spent), mean=Avg(spent)
        )
    )
    waiting = InternalWait.objects.filter(until=None)
    key = pages.read_key(request, datetime, int)
    if key is not None:
        waiting = waiting.filter(pages.beyond(("since", "id"), key))
    listed = list(waiting.select_related("conversation__customer").order_by("since", "id")[: LISTED + 1])
    more, listed = len(listed) > LISTED, listed[:LISTED]
    return pages.render(
        request,
        "admin/desk/waits.html",
        _("Waiting inside the house"),
        departments=[
            (
                Department(row["department"]).label,
                row["number"],
                row["running"],
                words.duration(row["total"]),
                words.duration(row["mean"]),
            )
            for row in rows
        ],
        waiting=[(wait, words.duration(at - wait.since)) for wait in listed],
        next_key=pages.write_key(listed[-1].since, listed[-1].pk) if more else "",
        is_first=key is None,
        days=COUNTED.days,
    )


def side(request: HttpRequest, conversation: Conversation) -> str:
    """The way from a conversation to its end and its waits."""
    return render_to_string("admin/desk/ending_side.html", {"conversation": conversation}, request=request)


panels.sides.append(side)

urlpatterns: list[URLPattern] = [
    path("conversation/<uuid:public_id>/end/", ending, name="ending"),
    path("endings/", endings_page, name="endings"),
    path("waits/", waits_page, name="waits"),
]
