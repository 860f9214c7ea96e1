"""Whom nobody answered in time: by channel, oldest first, with why; on the first page, and as a page of its own (R032)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.actions import promises
from crm.admin import pages, words
from crm.channels import Channel
from crm.models import Conversation, Promise, User
from crm.policy import REASON_WITHIN, MissReason

PAGE_SIZE = 50
CAN_ANSWER = "crm.answer_conversation"


@dataclass(frozen=True, slots=True)
class Neglect:
    """How many customers of one channel nobody answered in time; of these without a reason, and without one for too long."""

    channel: str
    number: int
    unexplained: int
    overdue: int


def by_channel(user: User, *, at: datetime) -> list[Neglect]:
    """The neglect index now, every channel that has one, the largest first. One statement."""
    open_to = Conversation.objects.visible_to(user)
    counted = (
        Promise.objects.neglected(at)
        .filter(conversation__in=open_to)
        .with_reasons()
        .values("conversation__channel")
        .order_by("conversation__channel")
        .annotate(
            number=Count("pk"),
            unexplained=Count("pk", filter=Q(is_explained=False)),
            overdue=Count("pk", filter=Q(is_explained=False, due_at__lte=at - REASON_WITHIN)),
        )
    )
    found = [
        Neglect(str(Channel(row["conversation__channel"]).label), row["number"], row["unexplained"], row["overdue"])
        for row in counted
    ]
    return sorted(found, key=lambda line: (-line.number, line.channel))


def on_the_first_page(user: User, *, at: datetime) -> dict[str, Any]:
    """What the page of today says of it."""
    lines = by_channel(user, at=at)
    return {"neglected": lines, **_sums(lines)}


def _sums(lines: Sequence[Neglect]) -> dict[str, int]:
    return {
        "neglected_number": sum(line.number for line in lines),
        "neglected_overdue": sum(line.overdue for line in lines),
    }


@pages.page("crm.view_conversation")
def neglect(request: HttpRequest) -> HttpResponse:
    """Everybody nobody answered in time, longest overdue first; a POST writes down why, for one of them."""
    at, user, refused = timezone.now(), pages.colleague(request), ""
    if request.method == "POST":
        pages.require(request, CAN_ANSWER)
        refused = _explain(request, user, at=at)
        if not refused:
            return redirect(request.get_full_path())
    lines = by_channel(user, at=at)
    shown = Promise.objects.neglected(at).filter(conversation__in=Conversation.objects.visible_to(user)).with_reasons()
    key = pages.read_key(request, datetime, int)
    if key is not None:
        shown = shown.filter(pages.beyond(("due_at", "id"), key))
    found = list(
        shown.select_related("conversation__customer", "conversation__owner", "explained_by").order_by("due_at", "id")[
            : PAGE_SIZE + 1
        ]
    )
    more, found = len(found) > PAGE_SIZE, found[:PAGE_SIZE]
    return pages.render(
        request,
        "admin/desk/neglect.html",
        _("Nobody answered in time"),
        lines=lines,
        **_sums(lines),
        rows=[_row(promise, at=at) for promise in found],
        reasons=MissReason.choices,
        hours=int(REASON_WITHIN.total_seconds() // 3600),
        may_answer=user.has_perm(CAN_ANSWER),
        refused=refused,
        typed=request.POST if refused else {},
        next_key=pages.write_key(found[-1].due_at, found[-1].pk) if more else "",
        is_first=key is None,
        status=409 if refused else 200,
    )


def _row(promise: Any, *, at: datetime) -> dict[str, Any]:
    return {
        "promise": promise,
        "conversation": promise.conversation,
        "channel": promise.conversation.get_channel_display(),
        "late": words.duration(at - promise.due_at),
        "reason_due": words.due(promise.due_at + REASON_WITHIN, at=at),
        "is_explained": promise.is_explained,
    }


def _explain(request: HttpRequest, user: User, *, at: datetime) -> str:
    form = request.POST
    number, reason = form.get("promise", ""), form.get("reason", "")
    found = (
        Promise.objects.filter(conversation__in=Conversation.objects.visible_to(user))
        .filter(pk=int(number) if number.isdecimal() and len(number) < 19 else 0)
        .first()
    )
    if found is None:
        raise Http404
    if reason not in MissReason.values:
        return _("Please choose why it was missed.")
    _done, refused = pages.tried(
        lambda: promises.explain(found.pk, reason=MissReason(reason), words=form.get("words", ""), by=user, at=at)
    )
    if not refused:
        pages.say(request, "", _("Thank you. The reason is written down; the customer still waits for an answer."))
    return refused


urlpatterns: list[URLPattern] = [path("neglect/", neglect, name="neglect")]
