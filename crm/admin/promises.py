"""What colleagues say about promises on the page of a conversation: their own, why one was missed, that one is not wanted."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actions import promises
from crm.admin import pages, words
from crm.admin.calls import MOMENT
from crm.models import Conversation, Promise
from crm.policy import MissReason, PromiseKind, PromiseState

CAN_ANSWER = "crm.answer_conversation"


class PersonalForm(forms.Form):
    """A colleague's own promise."""

    words = forms.CharField(
        label=gettext_lazy("What do you promise?"),
        max_length=300,
        widget=forms.TextInput(attrs={"placeholder": gettext_lazy("I call you back about the part.")}),
    )
    due_at = forms.DateTimeField(label=gettext_lazy("By when?"), widget=MOMENT)
    key = forms.CharField(widget=forms.HiddenInput, max_length=48)


def shown(conversation: Conversation, *, at: datetime) -> list[dict[str, Any]]:
    """The promises of a conversation as its page shows them, the earliest due first."""
    rows = Promise.objects.filter(conversation=conversation).select_related("explained_by").order_by("due_at", "id")
    return [
        {
            "promise": promise,
            "due": words.due(promise.due_at, at=at),
            "tone": words.promise_tone(promise, at=at),
            "may_explain": promise.breached_at is not None and not promise.reason,
            "may_keep": promise.kind == PromiseKind.PERSONAL and promise.met_at is None and _open(promise),
            "may_release": promise.kind in (PromiseKind.PERSONAL, PromiseKind.CALL_BACK)
            and promise.state == PromiseState.RUNNING,
        }
        for promise in rows
    ]


def _open(promise: Promise) -> bool:
    return promise.state in (PromiseState.RUNNING, PromiseState.BREACHED)


@pages.page("crm.view_conversation", CAN_ANSWER, methods=["POST"])
def promise(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """One act about a promise of a conversation, named by its button."""
    user = pages.colleague(request)
    conversation = Conversation.objects.visible_to(user).filter(public_id=public_id).only("pk").first()
    if conversation is None:
        raise Http404
    form, at = request.POST, timezone.now()
    chosen = form.get("do", "")
    said = form.get("words", "")
    if chosen == "promise":
        personal = PersonalForm(form)
        if not personal.is_valid():
            pages.say(request, _("Please write what you promise, and by when."), "")
            return redirect("admin:conversation", public_id=public_id)
        given = personal.cleaned_data
        _done, refused = pages.tried(
            lambda: promises.promise_personally(
                conversation.pk, due_at=given["due_at"], words=given["words"], by=user, at=at, key=given["key"]
            )
        )
        pages.say(request, refused, _("Your promise is written down. You are reminded before it runs out."))
        return redirect("admin:conversation", public_id=public_id)
    number = form.get("promise", "")
    found = Promise.objects.filter(conversation=conversation, pk=int(number) if number.isdecimal() else 0).first()
    if found is None:
        raise Http404
    acts = {
        "explain": (
            lambda: promises.explain(found.pk, reason=MissReason(form.get("reason", "")), words=said, by=user, at=at),
            _("Thank you. The reason is written down; the miss stays on record."),
        ),
        "keep": (lambda: promises.keep_personally(found.pk, by=user, at=at), _("Kept. Well done.")),
        "release": (
            lambda: promises.release(found.pk, words=said, by=user, at=at),
            _("Written down: the customer does not want it any more."),
        ),
    }
    if chosen not in acts or (chosen == "explain" and form.get("reason") not in MissReason.values):
        pages.say(request, _("Please choose a reason and use one of the buttons."), "")
        return redirect("admin:conversation", public_id=public_id)
    act, done = acts[chosen]
    _done, refused = pages.tried(act)
    pages.say(request, refused, done)
    return redirect("admin:conversation", public_id=public_id)
