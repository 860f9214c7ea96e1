"""Public closing lines: what waits for somebody, one line with its three steps, and a word beside the conversation (R128)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.actions import closing_lines, closing_stops
from crm.admin import pages, panels, words
from crm.models import ClosingLine, Conversation
from crm.policy.closing_lines import LONGEST, REASONS, STANDING, VETO_FOR, LineState

PAGE_SIZE = 50
CAN_ANSWER = "crm.answer_conversation"


@pages.page("crm.view_conversation", methods=["GET"])
def line_list(request: HttpRequest) -> HttpResponse:
    """Lines with which something can still be done, the oldest first."""
    at, key = timezone.now(), pages.read_key(request, int)
    found = _visible(request).filter(state__in=STANDING)
    if key is not None:
        found = found.filter(pk__gt=key[0])
    listed = list(found.order_by("pk")[: PAGE_SIZE + 1])
    more, listed = len(listed) > PAGE_SIZE, listed[:PAGE_SIZE]
    return pages.render(
        request,
        "admin/desk/closing_lines.html",
        _("Public closing lines"),
        rows=[
            {"line": line, "is_mine": line.conversation.owner_id == request.user.pk, **_standing(line, at=at)}
            for line in listed
        ],
        next_key=pages.write_key(listed[-1].pk) if more else "",
        is_first=key is None,
    )


@pages.page("crm.view_conversation")
def one_line(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """One line below the post it answers; a POST is one step, named by its button."""
    found = _visible(request).filter(public_id=public_id).first()
    if found is None:
        raise Http404
    at, refused = timezone.now(), ""
    if request.method == "POST":
        pages.require(request, CAN_ANSWER)
        refused = _step(request, found, at=at)
        if not refused:
            return redirect("admin:closing_line", public_id=public_id)
    stops = closing_stops.reason_of(found, at=at) if found.is_standing else ""
    return pages.render(
        request,
        "admin/desk/closing_line.html",
        _("Public closing line"),
        line=found,
        text=request.POST.get("text", found.text),
        because=request.POST.get("because", ""),
        stops=REASONS.get(stops, ""),
        sent=words.sent(found.message, zone=timezone.get_current_timezone(), at=at) if found.message else None,
        may_act=request.user.has_perm(CAN_ANSWER) and found.is_standing,
        longest=LONGEST,
        hours=VETO_FOR.total_seconds() // 3600,
        refused=refused,
        status=409 if refused else 200,
        **_standing(found, at=at),
    )


def _step(request: HttpRequest, line: ClosingLine, *, at: datetime) -> str:
    form, by = request.POST, pages.colleague(request)
    knows_them = line.state == LineState.TOLD and " ".join(form.get("text", "").split()) == line.text
    steps: dict[str, tuple[Callable[[], Any], str]] = {
        "tell": (
            lambda: closing_lines.tell(line.pk, text=form.get("text", ""), by=by, at=at),
            _("The customer was told these very words before; nothing was sent again.")
            if knows_them
            else _("The customer is told these words, and can say no for a day. Then you can write them."),
        ),
        "post": (
            lambda: closing_lines.post(line.pk, by=by, at=at),
            _("The line is on its way to where everybody can read it."),
        ),
        "drop": (
            lambda: closing_lines.drop(line.pk, because=form.get("because", ""), by=by, at=at),
            _("Left out, with your reason."),
        ),
    }
    chosen = steps.get(form.get("do", ""))
    if chosen is None:
        return _("Please use one of the buttons.")
    _done, refused = pages.tried(chosen[0])
    if not refused:
        pages.say(request, "", chosen[1])
    return refused


def _standing(line: ClosingLine, *, at: datetime) -> dict[str, Any]:
    """Whether a line may be written by now, and from when."""
    stands_from = line.may_stand_from if line.state == LineState.TOLD else None
    return {"stands_from": stands_from, "is_ripe": stands_from is not None and stands_from <= at}


def _visible(request: HttpRequest) -> Any:
    visible = Conversation.objects.visible_to(pages.colleague(request))
    return ClosingLine.objects.filter(conversation__in=visible).select_related(
        "conversation__customer", "conversation__owner", "post__contact_point", "word", "message", "decided_by"
    )


def side(request: HttpRequest, conversation: Conversation) -> str:
    """What became of the public last word of a matter; one statement, none where there is no such line."""
    # The page has looked already whether there is one (`has_closing_line`).
    if not getattr(conversation, "has_closing_line", True):
        return ""
    line = ClosingLine.objects.filter(conversation=conversation).select_related("word").order_by("-pk").first()
    if line is None:
        return ""
    shown = {"line": line, **_standing(line, at=timezone.now())}
    return render_to_string("admin/desk/closing_line_side.html", shown, request=request)


panels.sides.append(side)

urlpatterns: list[URLPattern] = [
    path("closing-lines/", line_list, name="closing_lines"),
    path("closing-lines/<uuid:public_id>/", one_line, name="closing_line"),
]
