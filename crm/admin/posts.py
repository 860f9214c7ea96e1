"""Public posts: which nobody has judged yet, what was judged to need no answer, and what is looked at again."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.db.models import CharField, F, OuterRef, Subquery, Value
from django.db.models.functions import Coalesce, NullIf
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.actions import judgements, sources
from crm.admin import pages, panels, words
from crm.models import Conversation, PostJudgement, PublicPost
from crm.policy import ConversationState, NoAnswerReason, PostVerdict, SecondLook

PAGE_SIZE = 50
SHOWN = 8
CAN_JUDGE = "crm.judge_post"
CAN_AUDIT = "crm.audit_judgement"
CAN_REVEAL = "crm.reveal_reach"
_NAME = Coalesce(NullIf(F("judged_by__display_name"), Value("")), F("judged_by__email"), output_field=CharField())


@pages.page("crm.view_publicpost", methods=["GET"])
def post_list(request: HttpRequest) -> HttpResponse:
    """What waits for a judgement, oldest first; what was judged to need no answer; what was drawn for a second look."""
    tabs = {"judge": _("To judge"), "none": _("No answer needed"), "again": _("To look at again")}
    tab = request.GET.get("show", "judge")
    tab = tab if tab in tabs else "judge"
    rows, next_key, is_first = _waiting(request) if tab == "judge" else _judged(request, is_drawn=tab == "again")
    names = sources.in_words([row["post"].account for row in rows])
    for row in rows:
        row["account"] = names[row["post"].account]
    return pages.render(
        request,
        "admin/desk/posts.html",
        _("Public posts"),
        rows=rows,
        tabs=[(name, label, name == tab) for name, label in tabs.items()],
        tab=tab,
        reasons=NoAnswerReason.choices,
        looks=SecondLook.choices,
        may_judge=request.user.has_perm(CAN_JUDGE),
        may_audit=request.user.has_perm(CAN_AUDIT),
        next_key=next_key,
        is_first=is_first,
    )


def _waiting(request: HttpRequest) -> tuple[list[dict[str, Any]], str, bool]:
    at = timezone.now()
    key = pages.read_key(request, datetime, int)
    found = _visible(request).to_judge()
    if key is not None:
        found = found.filter(pages.beyond(("spoke_at", "id"), key))
    posts = list(found.order_by("spoke_at", "id")[: PAGE_SIZE + 1])
    more, posts = len(posts) > PAGE_SIZE, posts[:PAGE_SIZE]
    rows = [
        {
            "post": post,
            "due": words.due(post.due_at, at=at) if post.due_at else None,
            "on_its_way": post.conversation.state == ConversationState.WAITING,
        }
        for post in posts
    ]
    return rows, pages.write_key(posts[-1].spoke_at, posts[-1].pk) if more else "", key is None


def _judged(request: HttpRequest, *, is_drawn: bool) -> tuple[list[dict[str, Any]], str, bool]:
    key = pages.read_key(request, int)
    found = PostJudgement.objects.filter(
        verdict=PostVerdict.NO_ANSWER, taken_back_at=None, post__conversation__in=_conversations(request)
    )
    if is_drawn:
        found = found.filter(drawn_at__isnull=False, second_look="")
    if key is not None:
        found = found.filter(pk__lt=key[0])
    listed = list(
        found.select_related("judged_by", "audited_by", "post__interaction", "post__conversation__customer").order_by(
            "-pk"
        )[: PAGE_SIZE + 1]
    )
    more, listed = len(listed) > PAGE_SIZE, listed[:PAGE_SIZE]
    by = pages.colleague(request)
    rows = [
        {"post": row.post, "judgement": row, "is_mine": row.judged_by_id == by.pk, "due": None, "on_its_way": False}
        for row in listed
    ]
    return rows, pages.write_key(listed[-1].pk) if more else "", key is None


@pages.page("crm.view_publicpost", CAN_JUDGE, methods=["POST"])
def judge(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Say whether a post needs an answer."""
    post = _visible(request).filter(interaction__public_id=public_id).first()
    if post is None:
        raise Http404
    form = request.POST
    needs_answer = form.get("do") == "answer"
    try:
        reason = NoAnswerReason(form["reason"]) if form.get("reason") and not needs_answer else None
    except ValueError:
        reason = None
    _row, refused = pages.tried(
        lambda: judgements.judge(
            post.interaction_id,
            verdict=PostVerdict.ANSWER if needs_answer else PostVerdict.NO_ANSWER,
            reason=reason,
            words="" if needs_answer else form.get("words", ""),
            by=pages.colleague(request),
            at=timezone.now(),
        )
    )
    done = (
        _("It waits for an answer, counted from when the customer wrote.")
        if needs_answer
        else _("Noted. Some of these are looked at again by somebody else.")
    )
    pages.say(request, refused, done)
    if form.get("from") == "conversation":
        return redirect("admin:conversation", public_id=post.conversation.public_id)
    return redirect("admin:posts")


@pages.page("crm.view_postjudgement", CAN_AUDIT, methods=["POST"])
def second_look(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Say whether a drawn judgement was right."""
    found = PostJudgement.objects.filter(public_id=public_id, post__conversation__in=_conversations(request))
    number = found.values_list("pk", flat=True).first()
    if number is None:
        raise Http404
    try:
        look = SecondLook(request.POST.get("found", ""))
    except ValueError:
        pages.say(request, _("Please use one of the buttons."), "")
        return redirect("admin:posts")
    _row, refused = pages.tried(
        lambda: judgements.audit(number, found=look, by=pages.colleague(request), at=timezone.now())
    )
    done = (
        _("It waits for an answer again, counted from when the customer wrote.")
        if look == SecondLook.WRONG
        else _("Thank you for looking at it again.")
    )
    pages.say(request, refused, done)
    response = redirect("admin:posts")
    response["Location"] += "?show=again"
    return response


def side(request: HttpRequest, conversation: Conversation) -> str:
    """What was posted in public in this matter, and what was judged about it; one statement, none where nothing was."""
    # The page has looked already whether there is any (`was_in_public`).
    if not getattr(conversation, "was_in_public", True) or not request.user.has_perm("crm.view_publicpost"):
        return ""
    standing = PostJudgement.objects.filter(post=OuterRef("pk"), taken_back_at=None)
    posts = list(
        PublicPost.objects.filter(conversation=conversation)
        .select_related("interaction")
        .defer("interaction__html", "interaction__full_text")
        .annotate(
            reason=Subquery(standing.values("reason")[:1]),
            words=Subquery(standing.values("words")[:1]),
            judged_at=Subquery(standing.values("at")[:1]),
            judge=Subquery(standing.values(name=_NAME)[:1]),
        )
        .order_by("-id")[:SHOWN]
    )
    if not posts:
        return ""
    labels = dict(NoAnswerReason.choices)
    return render_to_string(
        "admin/desk/posts_side.html",
        {
            "conversation": conversation,
            "posts": [(post, labels.get(getattr(post, "reason", "") or "", "")) for post in posts],
            "reasons": NoAnswerReason.choices,
            "may_judge": request.user.has_perm(CAN_JUDGE),
            "may_reveal": request.user.has_perm(CAN_REVEAL),
            "may_ask_removal": request.user.has_perm("crm.ask_removal"),
        },
        request=request,
    )


panels.sides.append(side)


def _conversations(request: HttpRequest) -> Any:
    return Conversation.objects.visible_to(pages.colleague(request))


def _visible(request: HttpRequest) -> Any:
    return (
        PublicPost.objects.filter(conversation__in=_conversations(request))
        .select_related("interaction", "conversation__customer")
        .defer("interaction__html", "interaction__full_text")
    )


urlpatterns: list[URLPattern] = [
    path("posts/", post_list, name="posts"),
    path("posts/<uuid:public_id>/judge/", judge, name="judge_post"),
    path("posts/second-look/<uuid:public_id>/", second_look, name="second_look_at_post"),
]
