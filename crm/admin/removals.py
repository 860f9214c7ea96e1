"""Public words taken away: one list of every use, counted by channel, where a second person agrees (R029)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.actions import removals
from crm.admin import pages
from crm.channels import Channel
from crm.models import Conversation, PublicPost, Removal
from crm.policy.removals import RemovalKind, RemovalReason, RemovalState

PAGE_SIZE = 50
COUNTED = timedelta(days=365)
CAN_ASK = "crm.ask_removal"
CAN_AGREE = "crm.agree_removal"


@pages.page("crm.view_publicpost")
def removal_list(request: HttpRequest) -> HttpResponse:
    """Every use, newest first, and how often by channel in a year; a POST is one step of one of them."""
    refused = ""
    if request.method == "POST":
        refused = _step(request)
        if not refused:
            return redirect(request.get_full_path())
    at, visible = timezone.now(), Conversation.objects.visible_to(pages.colleague(request))
    found = Removal.objects.filter(post__conversation__in=visible)
    counted = (
        found.filter(asked_at__gte=at - COUNTED)
        .values("post__channel")
        .order_by("post__channel")
        .annotate(
            asked=Count("pk"),
            refused=Count("pk", filter=Q(state=RemovalState.REFUSED)),
            done=Count("pk", filter=Q(done_at__isnull=False)),
            undone=Count("pk", filter=Q(state=RemovalState.UNDONE)),
            **{reason.value: Count("pk", filter=Q(reason=reason, done_at__isnull=False)) for reason in RemovalReason},
        )
    )
    key = pages.read_key(request, int)
    if key is not None:
        found = found.filter(pk__lt=key[0])
    listed = list(
        found.select_related(
            "post__interaction", "post__conversation__customer", "asked_by", "decided_by", "done_by"
        ).order_by("-pk")[: PAGE_SIZE + 1]
    )
    more, listed = len(listed) > PAGE_SIZE, listed[:PAGE_SIZE]
    by = pages.colleague(request)
    return pages.render(
        request,
        "admin/desk/removals.html",
        _("Public words taken away"),
        counted=[{**row, "channel": Channel(row["post__channel"]).label} for row in counted],
        rows=[
            {
                "removal": removal,
                "channel": removal.post.get_channel_display(),
                "may_decide": removal.state == RemovalState.ASKED and removal.asked_by_id != by.pk,
                "may_do": removal.state == RemovalState.AGREED,
                "may_undo": removal.state == RemovalState.DONE,
            }
            for removal in listed
        ],
        days=COUNTED.days,
        may_ask=by.has_perm(CAN_ASK),
        may_agree=by.has_perm(CAN_AGREE),
        refused=refused,
        next_key=pages.write_key(listed[-1].pk) if more else "",
        is_first=key is None,
        status=409 if refused else 200,
    )


def _step(request: HttpRequest) -> str:
    form, by, at = request.POST, pages.colleague(request), timezone.now()
    steps: dict[str, tuple[str, Callable[[int], Any], str]] = {
        "agree": (
            CAN_AGREE,
            lambda number: removals.decide(number, agree=True, because=form.get("because", ""), by=by, at=at),
            _("Agreed, with your name and reason. It is carried out by hand at the platform."),
        ),
        "refuse": (
            CAN_AGREE,
            lambda number: removals.decide(number, agree=False, because=form.get("because", ""), by=by, at=at),
            _("Refused. It stays where everybody can read it."),
        ),
        "done": (
            CAN_ASK,
            lambda number: removals.note_done(number, link=form.get("link", ""), by=by, at=at),
            _("Noted, with where it was."),
        ),
        "undone": (
            CAN_ASK,
            lambda number: removals.note_undone(number, by=by, at=at),
            _("Noted: it can be read again."),
        ),
    }
    chosen = steps.get(form.get("do", ""))
    if chosen is None:
        return _("Please use one of the buttons.")
    pages.require(request, chosen[0])
    try:
        public_id = uuid.UUID(form.get("removal", ""))
    except ValueError as unknown:
        raise Http404 from unknown
    found = Removal.objects.filter(post__conversation__in=Conversation.objects.visible_to(by), public_id=public_id)
    number = found.values_list("pk", flat=True).first()
    if number is None:
        raise Http404
    _row, refused = pages.tried(lambda: chosen[1](number))
    if not refused:
        pages.say(request, "", chosen[2])
    return refused


@pages.page("crm.view_publicpost", CAN_ASK)
def ask_removal(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Ask a second person about one post; the only reasons are listed."""
    by = pages.colleague(request)
    post = (
        PublicPost.objects.filter(conversation__in=Conversation.objects.visible_to(by))
        .select_related("interaction", "conversation__customer")
        .filter(interaction__public_id=public_id)
        .first()
    )
    if post is None:
        raise Http404
    form, refused = request.POST, ""
    if request.method == "POST":
        kind, reason = form.get("kind", ""), form.get("reason", "")
        if kind not in RemovalKind.values or reason not in RemovalReason.values:
            refused = _("Please choose what, and one of the three reasons. There are no others.")
        else:
            _asked, refused = pages.tried(
                lambda: removals.ask(
                    post.interaction_id,
                    kind=RemovalKind(kind),
                    reason=RemovalReason(reason),
                    words=form.get("words", ""),
                    by=by,
                    at=timezone.now(),
                )
            )
        if not refused:
            pages.say(request, "", _("Asked. Nothing is done before a colleague agrees."))
            return redirect("admin:removals")
    return pages.render(
        request,
        "admin/desk/removal_ask.html",
        _("Unlawful or endangering?"),
        post=post,
        kinds=RemovalKind.choices,
        reasons=RemovalReason.choices,
        typed=form,
        refused=refused,
        status=409 if refused else 200,
    )


urlpatterns: list[URLPattern] = [
    path("removals/", removal_list, name="removals"),
    path("posts/<uuid:public_id>/unlawful/", ask_removal, name="ask_removal"),
]
