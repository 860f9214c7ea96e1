"""The visit that a public post tells of: what may be it and why, confirmed by a person, and taken back."""

from __future__ import annotations

import re
import uuid
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.actions import joining as matters
from crm.admin import pages, panels
from crm.models import Conversation, Joining
from recovery.actions import joining
from recovery.admin.refusals import REFUSALS

CAN_JOIN = "crm.join_conversations"
_NUMBER = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@pages.page("crm.view_conversation", CAN_JOIN)
def join(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """What a post may tell of, the likeliest first; a press makes the two one matter."""
    visible = Conversation.objects.visible_to(pages.colleague(request))
    found = visible.select_related("customer").filter(public_id=public_id).first()
    if found is None:
        raise Http404
    refused, form = "", request.POST
    if request.method == "POST":
        named = _NUMBER.search(form.get("into", ""))
        into = visible.filter(public_id=uuid.UUID(named[0])).first() if named else None
        if into is None:
            refused = _("Please choose one of the matters, or copy the address of its page.")
        else:
            number = into.pk
            _joining, refused = pages.tried(
                lambda: joining.join(
                    found.pk,
                    into_id=number,
                    because=form.get("because", ""),
                    by=pages.colleague(request),
                    at=timezone.now(),
                ),
                refusals=REFUSALS,
            )
            if not refused:
                pages.say(request, "", _("They are one matter now; the earliest promise counts."))
                return redirect("admin:conversation", public_id=into.public_id)
    suggested = matters.suggest(found)
    may_see = set(visible.filter(pk__in=[one.conversation.pk for one in suggested]).values_list("pk", flat=True))
    shown = [
        {"found": one, "because": "; ".join(str(reason.label) for reason in one.reasons)}
        for one in suggested
        if one.conversation.pk in may_see
    ]
    return pages.render(
        request,
        "admin/recovery/join.html",
        _("The visit it tells of"),
        conversation=found,
        suggestions=shown,
        refused=refused,
        into=form.get("into", ""),
        because=form.get("because", ""),
        status=409 if refused else 200,
    )


@pages.page("crm.view_conversation", CAN_JOIN, methods=["POST"])
def part(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Take a joining back."""
    visible = Conversation.objects.visible_to(pages.colleague(request))
    found = Joining.objects.filter(public_id=public_id, into__in=visible).select_related("moved", "into").first()
    if found is None:
        raise Http404
    _parted, refused = pages.tried(
        lambda: joining.undo(found.pk, by=pages.colleague(request), at=timezone.now()), refusals=REFUSALS
    )
    pages.say(request, refused, _("They are two matters again, each with its own promises."))
    return redirect("admin:conversation", public_id=(found.into if refused else found.moved).public_id)


def side(request: HttpRequest, conversation: Conversation) -> str:
    """What went on here from a public post, or the way to look for the visit a post tells of; one statement, if any."""
    # A matter in which nothing stands in public has neither; the page has looked already.
    if not getattr(conversation, "was_in_public", True) or not request.user.has_perm(CAN_JOIN):
        return ""
    joined = list(matters.joined_into(conversation)[:5])
    may_look = not joined
    context: dict[str, Any] = {"conversation": conversation, "joined": joined, "may_look": may_look}
    return render_to_string("admin/recovery/join_side.html", context, request=request)


panels.sides.append(side)

urlpatterns: list[URLPattern] = [
    path("conversation/<uuid:public_id>/join/", join, name="join"),
    path("joining/<uuid:public_id>/take-back/", part, name="part"),
]
