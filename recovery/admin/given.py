"""What is given in a case: a tab of its page, with what the rules still give and the way beyond them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.admin import pages
from crm.models import User
from recovery import actions
from recovery.admin.refusals import REFUSALS
from recovery.models import Case, Grant, TreatmentException
from recovery.policy import ExceptionState, GrantKind

CAN_GIVE = "recovery.give_remedy"
CAN_APPROVE = "recovery.approve_exception"
LISTED = 50


class GrantForm(forms.Form):
    """What is given, and what is said about it in public if anything."""

    kind = forms.ChoiceField(label=gettext_lazy("What"), choices=GrantKind)
    amount = forms.DecimalField(
        label=gettext_lazy("Amount"),
        help_text=gettext_lazy("Leave 0 for what has no price."),
        min_value=0,
        max_digits=12,
        decimal_places=2,
        initial=Decimal(0),
    )
    currency = forms.RegexField(r"^[A-Z]{3}$", label=gettext_lazy("Currency"), initial="EUR", max_length=3)
    key = forms.CharField(widget=forms.HiddenInput, max_length=80, required=False)
    public_words = forms.CharField(
        label=gettext_lazy("What you say about it in public, if anything"),
        help_text=gettext_lazy("Name the rule in its own words, and promise only what everybody gets."),
        widget=forms.Textarea(attrs={"rows": 2}),
        max_length=2000,
        required=False,
    )


class ExceptionForm(forms.Form):
    """Something beyond the rules; a second person decides, and the rules are to follow."""

    kind = forms.ChoiceField(label=gettext_lazy("What"), choices=GrantKind)
    amount = forms.DecimalField(
        label=gettext_lazy("Amount"), min_value=0, max_digits=12, decimal_places=2, initial=Decimal(0)
    )
    currency = forms.RegexField(r"^[A-Z]{3}$", label=gettext_lazy("Currency"), initial="EUR", max_length=3)
    reason = forms.CharField(
        label=gettext_lazy("Why the rules do not reach far enough"), widget=forms.Textarea(attrs={"rows": 2})
    )


def found_or_404(request: HttpRequest, public_id: uuid.UUID) -> Case:
    """The case of a page, if this account may see it."""
    cases = Case.objects.visible_to(pages.colleague(request)).select_related(
        "customer", "conversation", "owner", "same_as"
    )
    found = cases.filter(public_id=public_id).first()
    if found is None:
        raise Http404
    return found


@pages.page("recovery.view_grant")
def given(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Show what was given in a case and what may still be given; a POST is one act, named by its button."""
    found = found_or_404(request, public_id)
    decision = found.decisions.order_by("-pk")[0]
    left = actions.left_to_give(found, decision)
    start = {"amount": left.money, "currency": left.currency, "key": pages.fresh_key()}
    form, asked = GrantForm(initial=start), ExceptionForm(initial={"currency": left.currency})
    refused = ""
    if request.method == "POST":
        does = request.POST.get("do", "")
        if does == "grant":
            form = GrantForm(request.POST)
            refused = _grant(request, found, form)
        elif does == "propose":
            pages.require(request, CAN_GIVE)
            asked = ExceptionForm(request.POST)
            refused = _propose(request, found, asked)
        elif does == "same":
            pages.require(request, CAN_GIVE)
            refused = _same(request, found)
        else:
            refused = _second_person(request, does)
        if not refused:
            return redirect("admin:case_given", public_id=public_id)
    form.fields["kind"].choices = [(kind.value, kind.label) for kind in left.kinds]  # type: ignore[attr-defined]
    earlier = Case.objects.filter(customer=found.customer, pk__lt=found.pk, same_as=None).order_by("-pk")[:LISTED]
    grants = Grant.objects.filter(case=found).select_related("given_by").order_by("-id")[:LISTED]
    exceptions = TreatmentException.objects.filter(case=found).select_related("proposed_by", "decided_by")
    return pages.render(
        request,
        "admin/recovery/given.html",
        str(found),
        case=found,
        tab="given",
        refused="" if refused == INCOMPLETE else refused,
        left=left,
        grants=grants,
        exceptions=[(one, one.state == ExceptionState.PROPOSED) for one in exceptions.order_by("-id")[:LISTED]],
        earlier=earlier,
        form=form,
        asked=asked,
        may_give=request.user.has_perm(CAN_GIVE),
        may_approve=request.user.has_perm(CAN_APPROVE),
        status=409 if refused else 200,
    )


INCOMPLETE = "incomplete"
"""A form says itself what it lacks."""


def _grant(request: HttpRequest, found: Case, form: GrantForm) -> str:
    at, by = timezone.now(), pages.colleague(request)
    if not form.is_valid():
        return INCOMPLETE
    chosen = form.cleaned_data
    kind = GrantKind(chosen["kind"])
    if not by.has_perm(CAN_GIVE):
        actions.note_gap(found.pk, kind=kind, by=by, at=at)
        return _("Your account may not give this. That is noted as a gap of ours, so that it can be mended.")
    return _tried(
        request,
        lambda: actions.grant(
            found.pk,
            kind=kind,
            amount=chosen["amount"],
            currency=chosen["currency"],
            key=chosen["key"] or pages.fresh_key(),
            public_words=chosen["public_words"],
            by=by,
            at=at,
        ),
        _("Given, and on record."),
    )


def _propose(request: HttpRequest, found: Case, form: ExceptionForm) -> str:
    if not form.is_valid():
        return INCOMPLETE
    chosen = form.cleaned_data
    return _tried(
        request,
        lambda: actions.propose_exception(
            found.pk,
            kind=GrantKind(chosen["kind"]),
            amount=chosen["amount"],
            currency=chosen["currency"],
            reason=chosen["reason"],
            by=pages.colleague(request),
            at=timezone.now(),
        ),
        _("Proposed. A colleague decides as the second person."),
    )


def _same(request: HttpRequest, found: Case) -> str:
    chosen = Case.objects.filter(customer=found.customer, pk__lt=found.pk)
    number = request.POST.get("same_as", "")
    first = next((one for one in chosen if str(one.public_id) == number), None)
    if first is None:
        return _("Please choose from the list.")
    return _tried(
        request,
        lambda: actions.same_incident(found.pk, as_case=first, by=pages.colleague(request), at=timezone.now()),
        _("Linked. What is owed for the incident is given in the first case."),
    )


def _second_person(request: HttpRequest, does: str) -> str:
    decides: dict[str, tuple[Callable[..., Any], str]] = {
        "approve": (
            actions.approve_exception,
            _("Given. A change of the rules is proposed, so that the next one gets it too."),
        ),
        "refuse": (actions.refuse_exception, _("Decided: it is not given.")),
    }
    if does not in decides:
        return _("Please use one of the buttons.")
    pages.require(request, CAN_APPROVE)
    act, done = decides[does]
    number = request.POST.get("exception", "")
    if not number.isdigit():
        raise Http404
    by: User = pages.colleague(request)
    try:
        return _tried(request, lambda: act(int(number), by=by, at=timezone.now()), done)
    except TreatmentException.DoesNotExist as missing:
        raise Http404 from missing


def _tried(request: HttpRequest, act: Callable[[], Any], done: str) -> str:
    _result, refused = pages.tried(act, refusals=REFUSALS)
    if not refused:
        pages.say(request, "", done)
    return refused


urlpatterns: list[URLPattern] = [path("case/<uuid:public_id>/given/", given, name="case_given")]
