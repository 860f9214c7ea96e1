"""Asking customers: begun and ended by leads, who is asked, by first channel, and the draw done again before everybody's eyes."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import get_language_info, gettext_lazy
from django.utils.translation import gettext as _

from crm.actions import asking
from crm.admin import pages
from crm.channels import Channel
from crm.models import Ask, Asking
from crm.policy.asking import ITEMS, NOT_AGAIN_FOR, REASONS, AskingKind, AskOutcome

CAN_SEE = "crm.view_asking"
CAN_RUN = "crm.run_asking"
CAN_READ = "crm.view_surveyanswer"
PAGE_SIZE = 50
SHOWN = 20


class AskingForm(forms.Form):
    """What is to be asked from now on."""

    kind = forms.ChoiceField(label=gettext_lazy("What is asked"), choices=AskingKind)
    share = forms.IntegerField(
        label=gettext_lazy("Of a hundred settled matters, so many are drawn"),
        min_value=1,
        max_value=100,
        initial=100,
        help_text=gettext_lazy(
            "100 asks everybody. The share is the same on every channel; nobody chooses who is drawn."
        ),
    )
    not_again_for = forms.IntegerField(
        label=gettext_lazy("The same person not again for so many days"),
        min_value=min(NOT_AGAIN_FOR.values()),
        max_value=3_650,
        required=False,
        help_text=gettext_lazy("Left empty: 90 days for questions, 180 for a review."),
    )
    place = forms.CharField(
        label=gettext_lazy("For a review: the place"),
        max_length=80,
        required=False,
        help_text=gettext_lazy("As the customer reads it."),
    )
    link = forms.CharField(label=gettext_lazy("For a review: its address"), max_length=300, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for tag in settings.EVENHAND_CUSTOMER_LANGUAGES:
            self.fields[f"text-{tag}"] = forms.CharField(
                label=_("Our own words, %(language)s") % {"language": _(get_language_info(tag)["name"])},
                max_length=asking.LONGEST_TEXT,
                required=False,
                widget=forms.Textarea(attrs={"rows": 2}),
            )

    def plan(self) -> asking.Plan:
        """What was filled in."""
        given = self.cleaned_data
        texts = {tag: given[f"text-{tag}"] for tag in settings.EVENHAND_CUSTOMER_LANGUAGES}
        return asking.Plan(
            kind=given["kind"],
            share=given["share"],
            not_again_for=given["not_again_for"],
            place=given["place"],
            link=given["link"],
            texts=texts,
        )


@pages.page(CAN_SEE)
def asking_list(request: HttpRequest) -> HttpResponse:
    """What is asked now and was before; a POST begins an asking or ends one."""
    refused, form = "", AskingForm()
    if request.method == "POST":
        pages.require(request, CAN_RUN)
        by, at = pages.colleague(request), timezone.now()
        if request.POST.get("do") == "end":
            found = _found(request.POST.get("asking", ""))
            _ended, refused = pages.tried(lambda: asking.end(found.pk, by=by, at=at))
            done = _("Ended. Nobody is asked any more, neither those whose question had not left yet.")
        else:
            form, done = AskingForm(request.POST), _("Begun. The first are asked a day after their matter is settled.")
            if form.is_valid():
                plan = form.plan()
                _begun, refused = pages.tried(lambda: asking.begin(plan, by=by, at=at))
        if not refused and (not form.is_bound or form.is_valid()):
            pages.say(request, "", done)
            return redirect("admin:asking")
    rows = Asking.objects.select_related("started_by", "ended_by").order_by("-pk")[:SHOWN]
    return pages.render(
        request,
        "admin/desk/asking.html",
        _("Asking customers"),
        rows=rows,
        form=form,
        may_run=request.user.has_perm(CAN_RUN),
        refused=refused,
        status=409 if refused else 200,
    )


@pages.page(CAN_SEE, methods=("GET",))
def asking_page(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """One asking: how far it reaches by first channel, its settled matters newest first, and its draw done again."""
    found = _found(str(public_id))
    key = pages.read_key(request, int)
    rows = Ask.objects.filter(asking=found).select_related("conversation", "message", "answer").order_by("-pk")
    if key is not None:
        rows = rows.filter(pk__lt=key[0])
    shown = list(rows[: PAGE_SIZE + 1])
    more, shown = len(shown) > PAGE_SIZE, shown[:PAGE_SIZE]
    may_read = request.user.has_perm(CAN_READ)
    return pages.render(
        request,
        "admin/desk/asking_one.html",
        str(found),
        asking=found,
        coverage=[{"line": line, "channel": Channel(line.channel).label} for line in asking.coverage(found)],
        redrawn=asking.redraw(found) if request.GET.get("redraw") == "1" else None,
        rows=[_shown(row, may_read=may_read) for row in shown],
        may_read=may_read,
        next_key=pages.write_key(shown[-1].pk) if more else "",
        is_first=key is None,
    )


def _found(public_id: str) -> Asking:
    try:
        number = uuid.UUID(public_id)
    except ValueError as unknown:
        raise Http404 from unknown
    found = Asking.objects.select_related("started_by", "ended_by").filter(public_id=number).first()
    if found is None:
        raise Http404
    return found


def _shown(row: Ask, *, may_read: bool) -> dict[str, Any]:
    became = row.message.get_state_display() if row.message else ""
    kept = getattr(row, "answer", None)
    return {
        "ask": row,
        "channel": row.conversation.get_channel_display(),
        "became": became,
        "is_asked": row.outcome == AskOutcome.ASKED,
        "reason": REASONS.get(row.reason, row.reason),
        "is_answered": kept is not None,
        "given": [f"{value} / {ITEMS[item]}" if value else "–" for item, value in kept.given.items()] if kept and may_read else [],
        "words": kept.words if kept and may_read else "",
    }  # fmt: skip


urlpatterns: list[URLPattern] = [
    path("asking/", asking_list, name="asking"),
    path("asking/<uuid:public_id>/", asking_page, name="asking_one"),
]
