"""Pages about people's own data: a copy of it, forgetting them, and for how long things are kept at all."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.apps import apps
from django.core.exceptions import PermissionDenied
from django.db.models import F, OuterRef, Subquery
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actions import belongings, erasure, packages, retention
from crm.admin import pages, words
from crm.models import Customer, DataPackage, Erasure, Hold, RetentionProof, RetentionRule
from crm.models.people import CustomerStatus
from crm.policy.privacy import (
    MOST_DAYS,
    AskedBy,
    ErasureState,
    PackageState,
    RetentionKind,
    obstacle_words,
)

CAN_ASK, CAN_ERASE, CAN_COPY = "crm.ask_erasure", "crm.erase_customer", "crm.export_customer"
CAN_RULE = "crm.set_retention"
PAGE_SIZE = 50
PACKAGES_SHOWN = 10


class AskForm(forms.Form):
    """Who asks that the customer be forgotten, and why."""

    asked_by = forms.ChoiceField(label=gettext_lazy("Who asks"), choices=AskedBy.choices)
    words = forms.CharField(
        label=gettext_lazy("How do you know that it is they?"),
        help_text=gettext_lazy("For example: logged in to the app, letter with a copy of …, known at the counter."),
        max_length=300,
    )
    reason = forms.CharField(label=gettext_lazy("Why"), widget=forms.Textarea(attrs={"rows": 2}), max_length=2000)


class RuleForm(forms.Form):
    """For how long one kind of thing is kept."""

    keep_days = forms.IntegerField(label=gettext_lazy("Kept for, days"), min_value=1, max_value=MOST_DAYS)
    basis = forms.CharField(
        label=gettext_lazy("Why this long"), widget=forms.Textarea(attrs={"rows": 2}), max_length=300
    )


def _customer(request: HttpRequest, public_id: uuid.UUID) -> Customer:
    found = Customer.objects.visible_to(pages.colleague(request)).filter(public_id=public_id).first()
    if found is None:
        raise Http404
    return belongings.standing(found)


def _may_any(request: HttpRequest) -> None:
    if not any(map(request.user.has_perm, (CAN_ASK, CAN_ERASE, CAN_COPY))):
        raise PermissionDenied


@pages.page("crm.view_customer")
def own_data(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Show what may be done with a customer's data; a POST does one of it."""
    _may_any(request)
    found = _customer(request, public_id)
    form, refused = AskForm(), ""
    if request.method == "POST":
        form, refused, done = _act(request, found)
        if done:
            pages.say(request, "", done)
            return redirect("admin:customer_privacy", public_id=found.public_id)
    at = timezone.now()
    asked = Erasure.objects.filter(customer=found).select_related("noted_by", "confirmed_by").order_by("-pk").first()
    if asked is not None and asked.state == ErasureState.DROPPED:
        asked = None
    may_forget = request.user.has_perm(CAN_ASK) or request.user.has_perm(CAN_ERASE)
    copies = DataPackage.objects.filter(customer=found).select_related("asked_by").order_by("-pk")[:PACKAGES_SHOWN]
    may_copy = request.user.has_perm(CAN_COPY)
    return pages.render(
        request,
        "admin/desk/own_data.html",
        _("Their data: %(customer)s") % {"customer": found},
        customer=found,
        is_erased=found.status == CustomerStatus.ERASED,
        asked=asked,
        ways=obstacle_words(asked.stands_in_the_way) if asked else [],
        shown=_shown(found, at) if may_forget and found.status != CustomerStatus.ERASED else None,
        copies=[_copy(one, request) for one in copies] if may_copy else [],
        may_copy=may_copy,
        may_ask=request.user.has_perm(CAN_ASK),
        may_erase=request.user.has_perm(CAN_ERASE),
        is_held=Hold.objects.active(at).filter(customer=found, reason=erasure.LEGAL).exists(),
        form=form,
        refused=refused,
        is_fullwidth="",
        status=409 if refused else 200,
    )


def _act(request: HttpRequest, found: Customer) -> tuple[AskForm, str, str]:
    """Do what was pressed. Gives the form of the request, what stands in the way, and what to say when it was done."""
    wanted, by, at = request.POST.get("do", ""), pages.colleague(request), timezone.now()
    form = AskForm()
    number = request.POST.get("request", "")
    asked = Erasure.objects.filter(customer=found, pk=int(number)).first() if number.isdecimal() else None
    if wanted == "copy":
        pages.require(request, CAN_COPY)
        note = request.POST.get("note", "")
        _made, refused = pages.tried(lambda: packages.ask(found.pk, note=note, by=by, at=at))
        return (
            form,
            refused,
            "" if refused else _("The copy is being made. Everybody at their known addresses is told."),
        )
    if wanted == "ask":
        pages.require(request, CAN_ASK)
        form = AskForm(request.POST)
        if not form.is_valid():
            return form, "", ""
        told = {**form.cleaned_data, "asked_by": AskedBy(form.cleaned_data["asked_by"])}
        _asked, refused = pages.tried(lambda: erasure.ask(found.pk, **told, by=by, at=at))
        return form, refused, "" if refused else _("Noted. Nothing is erased before somebody has it carried out.")
    pages.require(request, CAN_ERASE)
    if wanted in ("hold", "lift"):
        erasure.hold(found, standing_now=wanted == "hold", by=by, at=at)
        return form, "", _("The legal hold stands.") if wanted == "hold" else _("The legal hold is lifted.")
    if asked is None:
        raise Http404
    if wanted == "carry_out":
        _done, refused = pages.tried(lambda: erasure.carry_out(asked.pk, by=by, at=at))
        return form, refused, "" if refused else _("It is being carried out. There is no way back.")
    if wanted == "drop":
        _done, refused = pages.tried(lambda: erasure.drop(asked.pk, by=by, at=at))
        return form, refused, "" if refused else _("The request is taken back.")
    _nothing, refused = pages.tried(lambda: erasure.again(asked.pk, by=by, at=at))
    return form, refused, "" if refused else _("It is tried again.")


def _shown(found: Customer, at: Any) -> dict[str, Any]:
    preview = erasure.preview(found, at=at)
    return {
        "goes": [(_name(label, number), number) for label, number in preview.goes],
        "changes": [(_name(label, number), number) for label, number in preview.changes],
        "stays": [(_name(label, number), number, why) for label, number, why in preview.stays],
        "ways": preview.ways,
        "records": preview.records,
    }


def _name(label: str, number: int) -> str:
    meta = apps.get_model(label)._meta
    return str(meta.verbose_name if number == 1 else meta.verbose_name_plural)


def _copy(one: DataPackage, request: HttpRequest) -> dict[str, Any]:
    is_made = one.state == PackageState.DONE
    return {
        "row": one,
        "link": packages.link_of(one, pages.colleague(request)) if is_made else "",
        "size": words.size(one.size) if one.size else "",
        "percent": 100 * one.parts_done // one.parts if one.parts else 0,
        "is_running": one.state in (PackageState.READY, PackageState.CLAIMED),
    }


@pages.page(CAN_COPY, methods=["GET"])
def package(request: HttpRequest, link: str) -> HttpResponseBase:
    """Hand out a copy, while the link lasts, to the colleague whose page showed it."""
    found, refused = pages.tried(lambda: packages.fetched(link, by=pages.colleague(request), at=timezone.now()))
    if found is None:
        raise Http404(refused)
    return handed_out(found)


def handed_out(found: DataPackage) -> FileResponse:
    """The file of a copy, never shown by the browser itself and never kept by it."""
    try:
        content = found.file.open("rb")
    except FileNotFoundError as missing:
        raise Http404 from missing
    answer = FileResponse(content, as_attachment=True, filename="your-data.zip", content_type="application/zip")
    answer.headers["Cache-Control"] = "no-store"
    return answer


@pages.page("crm.view_erasure", methods=["GET"])
def erasure_list(request: HttpRequest) -> HttpResponse:
    """Who asked to be forgotten and how far it is, newest first."""
    key = pages.read_key(request, int)
    found = Erasure.objects.select_related("customer", "noted_by", "confirmed_by").order_by("-pk")
    if key is not None:
        found = found.filter(pk__lt=key[0])
    rows = list(found[: PAGE_SIZE + 1])
    more, rows = len(rows) > PAGE_SIZE, rows[:PAGE_SIZE]
    return pages.render(
        request,
        "admin/desk/erasures.html",
        _("Who asked to be forgotten"),
        rows=[(row, obstacle_words(row.stands_in_the_way)) for row in rows],
        next_key=pages.write_key(rows[-1].pk) if more else "",
        is_first=key is None,
    )


@pages.page("crm.view_retentionrule")
def rules(request: HttpRequest) -> HttpResponse:
    """Show for how long what is kept, and what each rule would remove now; a POST changes one rule."""
    at, refused, wrong = timezone.now(), "", None
    if request.method == "POST":
        pages.require(request, CAN_RULE)
        kind = request.POST.get("kind", "")
        if kind not in RetentionKind.values:
            raise Http404
        wrong = RuleForm(request.POST, auto_id=f"{kind}_%s")
        if wrong.is_valid():
            told = wrong.cleaned_data
            _set, refused = pages.tried(
                lambda: retention.set_rule(
                    RetentionKind(kind),
                    **told,
                    is_active=request.POST.get("is_active") == "on",
                    by=pages.colleague(request),
                    at=at,
                )
            )
            if not refused:
                pages.say(request, "", _("Noted. What the rule lets go is removed in the coming nights."))
                return redirect("admin:retention")
    newest = RetentionProof.objects.filter(kind=OuterRef("kind")).order_by("-at", "-pk")
    standing = (
        RetentionRule.objects.select_related("changed_by")
        .annotate(last_at=Subquery(newest.values("at")[:1]), last_removed=Subquery(newest.values("removed")[:1]))
        .order_by(F("pk").asc())
    )
    rows = []
    for rule in standing:
        given = {"keep_days": rule.keep_days, "basis": rule.basis}
        is_wrong = wrong is not None and request.POST.get("kind") == rule.kind
        days = wrong.cleaned_data.get("keep_days", rule.keep_days) if is_wrong and wrong else rule.keep_days
        rows.append(
            {
                "rule": rule,
                "form": wrong if is_wrong else RuleForm(initial=given, auto_id=f"{rule.kind}_%s"),
                "look": retention.look(RetentionKind(rule.kind), keep_days=days, at=at),
            }
        )
    return pages.render(
        request,
        "admin/desk/retention.html",
        _("How long things are kept"),
        rows=rows,
        may_change=request.user.has_perm(CAN_RULE),
        refused=refused,
        is_fullwidth="",
        status=409 if refused else 400 if wrong is not None else 200,
    )


def side(request: HttpRequest, customer: Any) -> dict[str, Any]:
    """What the customer's page shows of it: the way to the page about their data."""
    return {"may_see_own_data": any(map(request.user.has_perm, (CAN_ASK, CAN_ERASE, CAN_COPY)))}


urlpatterns: list[URLPattern] = [
    path("customer/<uuid:public_id>/data/", own_data, name="customer_privacy"),
    path("package/<str:link>/", package, name="data_package"),
    path("erasures/", erasure_list, name="erasures"),
    path("retention/", rules, name="retention"),
]
