"""Who it is: what a customer was asked to show before they are helped, beside the conversation and on a page of its own."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.actions import identity_checks
from crm.admin import pages, panels
from crm.models import Conversation, IdentityCheck, User
from crm.policy import ConversationState
from crm.policy.identity_checks import CheckKind, CheckNeed, CheckState

CAN_ANSWER = "crm.answer_conversation"
SHOWN = 5
"""Steps that stand beside the conversation; all of them are on the page."""
TONES: dict[str, str] = {
    CheckState.ASKED: "soon", CheckState.PASSED: "good", CheckState.FAILED: "late", CheckState.WITHDRAWN: "calm",
}  # fmt: skip


@pages.page("crm.view_conversation")
def checks(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """What was asked in one matter, and what the rules ask for now; a POST asks for one thing."""
    user = pages.colleague(request)
    visible = Conversation.objects.visible_to(user)
    found = visible.filter(public_id=public_id).select_related("customer").first()
    if found is None:
        raise Http404
    refused = ""
    if request.method == "POST":
        pages.require(request, CAN_ANSWER)
        refused = _ask(request, found)
        if not refused:
            return redirect("admin:conversation", public_id=public_id)
    rows = list(identity_checks.of_matter(found))
    return pages.render(
        request,
        "admin/desk/identity_checks.html",
        _("Who it is"),
        conversation=found,
        rows=rows,
        asks=[
            {"label": one.need.label, "one": one, "kinds": [kind.label for kind in CheckKind if kind in one.kinds]}
            for one in identity_checks.asks(found)
        ],
        refused=refused,
        typed=request.POST,
        status=409 if refused else 200,
        **_forms(user, found),
    )


def _ask(request: HttpRequest, conversation: Conversation) -> str:
    form, by = request.POST, pages.colleague(request)
    kind, need = form.get("kind", ""), form.get("need", "")
    if kind not in CheckKind.values or need not in CheckNeed.values:
        return _("Please choose from both lists first.")
    asked, refused = pages.tried(
        lambda: identity_checks.ask(
            conversation.pk,
            kind=CheckKind(kind),
            need=CheckNeed(need),
            because=form.get("because", ""),
            by=by,
            at=timezone.now(),
        )
    )
    if asked is not None:
        pages.say(
            request,
            "",
            _("A code is on its way to %(address)s. Type in here what the customer tells you.")
            % {"address": asked.message.address}
            if asked.message is not None
            else _("It is noted that they are asked. Note here what comes of it; keep nothing of what they show."),
        )
    return refused


@pages.page("crm.view_conversation", CAN_ANSWER, methods=["POST"])
def settle(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Note what came of one step, by its button."""
    user, at, form = pages.colleague(request), timezone.now(), request.POST
    visible = Conversation.objects.visible_to(user)
    found = IdentityCheck.objects.filter(public_id=public_id, conversation__in=visible)
    check = found.select_related("conversation").first()
    if check is None:
        raise Http404
    does: dict[str, tuple[Callable[[], IdentityCheck], str]] = {
        "code": (
            lambda: identity_checks.try_code(check.pk, code=form.get("code", ""), by=user, at=at),
            _("That is the code; it is noted as shown."),
        ),
        "passed": (lambda: identity_checks.passed(check.pk, by=user, at=at), _("Noted as shown.")),
        "failed": (lambda: identity_checks.failed(check.pk, by=user, at=at), _("Noted as not shown.")),
        "withdraw": (
            lambda: identity_checks.withdraw(check.pk, by=user, at=at),
            _("They are not asked for it any more. It counts as a step, because they were asked."),
        ),
    }
    act = does.get(form.get("do", ""))
    if act is None:
        pages.say(request, _("Please use one of the buttons."), "")
    else:
        _settled, refused = pages.tried(act[0])
        pages.say(request, refused, act[1])
    return redirect("admin:conversation", public_id=check.conversation.public_id)


def _forms(user: User, conversation: Conversation) -> dict[str, Any]:
    may_act = user.has_perm(CAN_ANSWER)
    return {
        "may_act": may_act,
        "may_ask": may_act and conversation.state != ConversationState.CLOSED and not conversation.imported,
        "kinds": CheckKind.choices,
        "needs": CheckNeed.choices,
    }


def side(request: HttpRequest, conversation: Conversation) -> str:
    """What was asked of the customer in this matter, and how to ask; one statement, none where nothing was asked."""
    # The page has looked already whether there is anything (`has_identity_check`).
    rows = list(identity_checks.of_matter(conversation)[: SHOWN + 1]) if _has_any(conversation) else []
    user = pages.colleague(request)
    forms = _forms(user, conversation)
    if not rows and not forms["may_ask"]:
        return ""
    shown = {"conversation": conversation, "rows": rows[:SHOWN], "has_more": len(rows) > SHOWN, **forms}
    return render_to_string("admin/desk/identity_checks_side.html", shown, request=request)


def _has_any(conversation: Conversation) -> bool:
    return getattr(conversation, "has_identity_check", True)


panels.sides.append(side)

urlpatterns: list[URLPattern] = [
    path("conversation/<uuid:public_id>/identity/", checks, name="identity_checks"),
    path("identity-check/<uuid:public_id>/", settle, name="settle_identity_check"),
]
