"""The case's page, and what cases add to crm's pages."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils import timezone, translation
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actions import letters
from crm.admin import custom_fields, pages, panels, words
from crm.admin.base import ReadOnlyAdmin
from crm.models import Conversation, Customer, Promise, User
from crm.policy import ConversationState, DismissalReason, OutOfOrder, PromiseKind
from crm.policy.fields import FieldOf
from recovery import actions
from recovery.admin import fields
from recovery.admin.refusals import REFUSALS
from recovery.models import LIVE, Case, Decision
from recovery.policy import ComplaintType, Facts, Outcome, RemedyKind, Severity, Status

CAN_OPEN = "recovery.open_case"
CAN_SETTLE = "recovery.resolve_case"

WITHOUT_OTHER = [reason for reason in DismissalReason if reason != DismissalReason.DUPLICATE]
"""Reasons for which a case may be dismissed; one that is there twice is linked to the first instead."""

REMEDIES: dict[str, Any] = dict(RemedyKind.choices)
TONES: dict[str, str] = {
    Severity.LOW: "calm",
    Severity.MEDIUM: "busy",
    Severity.HIGH: "soon",
    Severity.CRITICAL: "late",
}


class FactsForm(forms.Form):
    """The fields of `policy.Facts`; how the customer reached us is none of them."""

    complaint_type = forms.ChoiceField(label=gettext_lazy("What went wrong?"), choices=ComplaintType)
    loss = forms.DecimalField(
        label=gettext_lazy("Money lost"), min_value=0, max_digits=10, decimal_places=2, initial=Decimal(0)
    )
    currency = forms.RegexField(r"^[A-Z]{3}$", label=gettext_lazy("Currency"), initial="EUR", max_length=3)
    days_without = forms.IntegerField(
        label=gettext_lazy("Days without what they paid for"), min_value=0, max_value=3650, initial=0
    )
    our_failures = forms.IntegerField(
        label=gettext_lazy("Failures of ours in this matter"), min_value=0, max_value=99, initial=1
    )
    safety = forms.BooleanField(label=gettext_lazy("Somebody is or was in danger"), required=False)
    essential = forms.BooleanField(label=gettext_lazy("It is something they need to live"), required=False)
    vulnerable = forms.BooleanField(label=gettext_lazy("Waiting would hit them harder than others"), required=False)

    def facts(self) -> Facts:
        """Translate what was noted. Raises actions.UnusableFacts."""
        given: dict[str, object] = dict(self.cleaned_data)
        given["complaint_type"] = ComplaintType(str(given["complaint_type"]))
        return actions.facts_from(given)


EVERYBODY_READS = gettext_lazy("They wrote in public: I know that everybody can read this")


class ResolveForm(forms.Form):
    """How a case ends, and what the customer is told."""

    outcome = forms.ChoiceField(
        label=gettext_lazy("Outcome"), choices=[("", gettext_lazy("Please choose")), *Outcome.choices]
    )
    explanation = forms.CharField(
        label=gettext_lazy("What you write to the customer"),
        help_text=gettext_lazy(
            "What happened, what you have done about it, and what they get. It leaves as your answer."
        ),
        widget=forms.Textarea(attrs={"rows": 7}),
        max_length=50_000,
    )
    public = forms.BooleanField(label=EVERYBODY_READS, required=False)
    reason = forms.CharField(
        label=gettext_lazy("If no failure of ours was found: why"),
        help_text=gettext_lazy("They also read how they can object."),
        widget=forms.Textarea(attrs={"rows": 2}),
        max_length=2000,
        required=False,
    )
    settled_because = forms.CharField(
        label=gettext_lazy("If it came back: why it is settled this time"), max_length=1000, required=False
    )
    correction = forms.CharField(
        label=gettext_lazy("If it takes back what we said before: why, in the same words as above"),
        max_length=500,
        required=False,
    )
    out_of_order = forms.ChoiceField(
        label=gettext_lazy("Why before others?"),
        help_text=gettext_lazy("Only when it waits for us, is not next, and you are not working on it."),
        choices=[("", gettext_lazy("it is next, or I am working on it")), *OutOfOrder.choices],
        required=False,
    )


@pages.page()
def case(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Show a case; a POST is one act, named by its button."""
    found = (
        Case.objects.visible_to(pages.colleague(request))
        .select_related("customer", "conversation", "owner")
        .filter(public_id=public_id)
        .first()
    )
    if found is None:
        raise Http404
    decisions = list(found.decisions.select_related("policy_version", "decided_by").order_by("-id"))
    known = decisions[0].facts if decisions else {}
    facts, resolution = FactsForm(initial=known), ResolveForm()
    refused = ""
    if request.method == "POST":
        pages.require(request, CAN_SETTLE)
        at, does = timezone.now(), request.POST.get("do")
        done = ""
        if does == "own":
            _case, refused = pages.tried(
                lambda: actions.own(found.pk, by=pages.colleague(request), at=at, words=request.POST.get("words", "")),
                refusals=REFUSALS,
            )
            done = _("This case is yours now.")
        elif does == "decide":
            facts = FactsForm(request.POST)
            if facts.is_valid():
                _decision, refused = pages.tried(
                    lambda: actions.decide(found.pk, facts=facts.facts(), by=pages.colleague(request), at=at),
                    refusals=REFUSALS,
                )
                done = _("Decided. What is owed stands on this page.")
        elif does == "resolve":
            resolution = ResolveForm(request.POST)
            if resolution.is_valid():
                ends = {**resolution.cleaned_data, "outcome": Outcome(resolution.cleaned_data["outcome"])}
                _case, refused = pages.tried(
                    lambda: actions.resolve(found.pk, by=pages.colleague(request), at=at, **ends), refusals=REFUSALS
                )
                done = _("Settled. It is confirmed once your words are accepted for delivery.")
        elif does in ("reopen", "quiet", "review", "dismiss"):
            done, refused, public_id = _ended(request, found, does, at=at)
        else:
            refused = _("Please use one of the buttons.")
        if done and not refused:
            pages.say(request, "", done)
            return redirect("admin:case", public_id=public_id)
    return _show(request, found, decisions, facts=facts, resolution=resolution, refused=refused)


def _ended(request: HttpRequest, found: Case, does: str, *, at: datetime) -> tuple[str, str, uuid.UUID]:
    """What may follow the end of a case, or end it in silence; gives what was done, what stands in the way, and the case."""
    by, note = pages.colleague(request), request.POST.get("note", "")
    if does == "review":
        _review, refused = pages.tried(lambda: actions.ask_for_review(found.pk, by=by, at=at), refusals=REFUSALS)
        return _("Asked for. Somebody who was not involved looks at it again."), refused, found.public_id
    if does == "quiet":
        _case, refused = pages.tried(lambda: actions.go_quiet(found.pk, note=note, by=by, at=at), refusals=REFUSALS)
        return _("Ended as gone quiet."), refused, found.public_id
    if does == "dismiss":
        if request.POST.get("reason") not in WITHOUT_OTHER:
            return "", _("Please choose from the list."), found.public_id
        reason = DismissalReason(request.POST["reason"])
        _case, refused = pages.tried(lambda: actions.dismiss(found.pk, reason=reason, by=by, at=at), refusals=REFUSALS)
        return _("Dismissed. One in ten of these is looked at again by somebody else."), refused, found.public_id
    again, refused = pages.tried(lambda: actions.reopen(found.pk, because=note, by=by, at=at), refusals=REFUSALS)
    return _("The case is open again."), refused, again.public_id if again else found.public_id


def _this_is_mine(request: HttpRequest, found: Case) -> str:
    """Words that say whose it is now, for the colleague to change or to leave out."""
    with translation.override(letters.language_for(found.customer.language)):
        return _("This is mine now. I am %(name)s, and I look after it until it is settled.") % {
            "name": pages.colleague(request)
        }


def _show(
    request: HttpRequest,
    found: Case,
    decisions: Sequence[Decision],
    *,
    facts: FactsForm,
    resolution: ResolveForm,
    refused: str,
) -> HttpResponse:
    at = timezone.now()
    promises = list(Promise.objects.filter(conversation=found.conversation_id).order_by("due_at", "id"))
    return pages.render(
        request,
        "admin/recovery/case.html",
        str(found),
        case=found,
        tone=TONES[found.severity],
        because=[str(words_said) for words_said in found.seen_because],
        complaint=ComplaintType(found.complaint_type).label,
        newest=in_words(decisions[0], promises) if decisions else None,
        earlier=[in_words(decision, promises) for decision in decisions[1:]],
        promises=[(given, words.due(given.due_at, at=at), words.promise_tone(given, at=at)) for given in promises],
        facts=facts,
        resolution=resolution,
        refused=refused,
        may_settle=request.user.has_perm(CAN_SETTLE),
        tab="case",
        this_is_mine=_this_is_mine(request, found),
        is_settled=found.status == Status.RESOLVED,
        has_ended=found.status not in LIVE,
        reasons=[(reason.value, reason.label) for reason in WITHOUT_OTHER],
        is_unowned=found.status == Status.DETECTED,
        can_be_settled=found.status == Status.DECIDED,
        conversation_is_closed=found.conversation.state == ConversationState.CLOSED,
        status=409 if refused else 200,
        **fields.side(request, found),
    )


def in_words(decision: Decision, promises: list[Promise]) -> dict[str, Any]:
    """One decision as the page shows it: what is owed, by when, and why."""
    owed, facts = decision.entitlement, decision.facts
    kinds = dict(PromiseKind.choices)
    earliest = {promise.kind: promise.due_at for promise in reversed(promises)}
    return {
        "decision": decision,
        "severity": Severity(owed["severity"]).label,
        "tone": TONES[owed["severity"]],
        "amount": owed["owed"] if Decimal(owed["owed"]) else "",
        "currency": owed["currency"],
        "remedies": [REMEDIES.get(code, code.replace("_", " ")) for code in owed["remedies"]],
        "due": [
            (kinds.get(kind, kind), earliest.get(kind), words.service_time(within))
            for kind, within in sorted(
                ((kind, timedelta(minutes=minutes)) for kind, minutes in owed["within_minutes"].items()),
                key=lambda item: item[1],
            )
        ],
        "because": [reason for _code, reason in owed["explanation"]],
        "facts": [
            (FactsForm.base_fields[name].label, value_in_words(name, value))
            for name, value in facts.items()
            if name in FactsForm.base_fields
        ],
    }


def value_in_words(name: str, value: Any) -> str:
    """What was noted in one field, as a page shows it."""
    if name == "complaint_type":
        return str(ComplaintType(value).label)
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return str(value)


@pages.page(CAN_OPEN, methods=["POST"])
def open_case(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Open the case of a conversation because a colleague saw that something went wrong."""
    conversation = (
        Conversation.objects.visible_to(pages.colleague(request)).filter(public_id=public_id).only("pk").first()
    )
    if conversation is None:
        raise Http404
    said = request.POST.get("words", "").strip()[:300]
    opened, refused = pages.tried(
        lambda: actions.open_case(
            conversation.pk,
            facts=Facts(),
            seen_because=[said] if said else [],
            by=pages.colleague(request),
            at=timezone.now(),
        ),
        refusals=REFUSALS,
    )
    if opened is None:
        pages.say(request, refused, "")
        return redirect("admin:conversation", public_id=public_id)
    pages.say(request, "", _("The case is open. Please note what you know; the rules say what is owed."))
    return redirect("admin:case", public_id=opened.public_id)


urlpatterns: list[URLPattern] = [
    path("case/<uuid:public_id>/", case, name="case"),
    path("conversation/<uuid:public_id>/case/", open_case, name="open_case"),
]


# --- on crm's pages -------------------------------------------------------------------------------------------------


def mark(user: User, conversations: Sequence[Conversation]) -> dict[int, panels.Mark]:
    """The open case of each conversation of an inbox page, one statement."""
    if not user.has_perm("recovery.view_case"):
        return {}
    cases = Case.objects.filter(conversation__in=[found.pk for found in conversations], status__in=LIVE)
    return {
        found.conversation_id: panels.Mark(
            _("Case: %(severity)s") % {"severity": found.get_severity_display()}, TONES[found.severity]
        )
        for found in cases.only("conversation", "severity")
    }


def side(request: HttpRequest, conversation: Conversation) -> str:
    """The case beside its conversation, or the way to open one."""
    if not request.user.has_perm("recovery.view_case"):
        return ""
    found = Case.objects.filter(conversation=conversation).select_related("owner").first()
    return render_to_string(
        "admin/recovery/side.html",
        {
            "case": found,
            "tone": TONES[found.severity] if found else "",
            "conversation": conversation,
            "may_open": request.user.has_perm(CAN_OPEN),
        },
        request=request,
    )


def told(user: User, customer: Customer, before: panels.Before | None, limit: int) -> list[panels.Event]:
    """The customer's cases, for their story."""
    if not user.has_perm("recovery.view_case"):
        return []
    cases = Case.objects.filter(panels.earlier(before, source="3-case", field="opened_at"), customer=customer).order_by(
        "-opened_at", "-id"
    )[:limit]
    return [
        panels.Event(
            at=found.opened_at,
            source="3-case",
            number=found.pk,
            icon="support",
            words=_("%(case)s opened: %(what)s") % {"case": found, "what": ComplaintType(found.complaint_type).label},
            state=f"{found.get_status_display()} · {found.get_severity_display()}",
            tone="good" if found.status == Status.RESOLVED else TONES[found.severity],
            url=reverse("admin:case", args=[found.public_id]),
        )
        for found in cases
    ]


panels.markers.append(mark)
panels.sides.append(side)
panels.sources.append(told)


# --- lists ----------------------------------------------------------------------------------------------------------


@admin.register(Case)
class CaseAdmin(ReadOnlyAdmin):
    list_display = ("page", "customer", "status", "severity", "owner", "opened_at", "resolved_at")
    list_display_links = None
    list_select_related = ("customer", "owner")
    list_filter = ("status", "severity")
    ordering = ("-opened_at", "-id")

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        return [*self.list_filter, *custom_fields.filters(request, FieldOf.CASE)]

    @admin.display(description=gettext_lazy("case"))
    def page(self, found: Case) -> SafeString:
        """The case's name, as the way to its page."""
        return format_html('<a class="eh-link" href="{}">{}</a>', reverse("admin:case", args=[found.public_id]), found)
