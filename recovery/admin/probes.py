"""Agreed test pairs as pages, for those alone who may know which they are: plan, follow, compare, end with thanks."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.admin import pages, words
from crm.channels import Channel
from crm.models.people import ContactKind
from recovery import actions
from recovery.actions import probes, weighing
from recovery.admin.audit_words import METRICS, channel_name, interval_shown, size_shown
from recovery.admin.cases import FactsForm
from recovery.admin.refusals import REFUSALS
from recovery.models import ParityProbe, ProbeSide
from recovery.parity import stored
from recovery.parity.effects import Estimate
from recovery.parity.probes import FEWEST, MEASURES, limit
from recovery.policy import ProbeState, Severity

SHOWN_DAYS = 730
"""Of the evidence: a house tells some dozens of pairs a year."""
PAIR_NAMES: dict[str, Any] = {"severity_graded_low": gettext_lazy("graded milder")}
"""What a measure is called of pairs, where it is another thing than of matters graded again."""
CAN_PLAN = "recovery.plan_parityprobe"
PAGE_SIZE = 50
SAID_OF_SEVERITY: dict[str, Any] = dict(Severity.choices)


class PlanForm(forms.Form):
    title = forms.CharField(label=gettext_lazy("Name of the pair"), max_length=120)
    consent = forms.CharField(
        label=gettext_lazy("Who agreed to it, and how"),
        help_text=gettext_lazy(
            "Both testers, when and how they said yes, and that what they are paid back by mistake comes back."
        ),
        widget=forms.Textarea(attrs={"rows": 2}),
        max_length=2000,
    )
    begins_on = forms.DateField(label=gettext_lazy("Not before"), widget=forms.DateInput(attrs={"type": "date"}))
    ends_on = forms.DateField(label=gettext_lazy("Not after"), widget=forms.DateInput(attrs={"type": "date"}))

    def window(self, *, at: datetime) -> tuple[datetime, datetime]:
        """From the first day's begin, or now, to the end of the last day."""
        zone = ZoneInfo(settings.EVENHAND_ZONE)
        first, last = self.cleaned_data["begins_on"], self.cleaned_data["ends_on"] + timedelta(days=1)
        begins = datetime.combine(first, time.min, tzinfo=zone)
        return (at if first == timezone.localdate(at, zone) else begins), datetime.combine(last, time.min, tzinfo=zone)


class SideForm(forms.Form):
    channel = forms.ChoiceField(label=gettext_lazy("Channel"), choices=Channel.choices)
    kind = forms.ChoiceField(label=gettext_lazy("Kind of address"), choices=ContactKind.choices)
    address = forms.CharField(
        label=gettext_lazy("Address under which the tester speaks"),
        help_text=gettext_lazy("One that no customer has used with us."),
        max_length=320,
    )
    text = forms.CharField(
        label=gettext_lazy("What is told"), widget=forms.Textarea(attrs={"rows": 4}), max_length=10_000
    )

    def side(self) -> probes.Side:
        """Raises KeyError before the form is found valid."""
        told = self.cleaned_data
        return probes.Side(Channel(told["channel"]), told["kind"], told["address"], told["text"])


@pages.page(CAN_PLAN, methods=["GET"])
def pairs(request: HttpRequest) -> HttpResponse:
    """What all pairs say of each channel, and the pairs, the newest first."""
    found = ParityProbe.objects.select_related("planned_by").prefetch_related("sides")
    key = pages.read_key(request, int)
    if key is not None:
        found = found.filter(pk__lt=key[0])
    rows = list(found.order_by("-pk")[: PAGE_SIZE + 1])
    more, rows = len(rows) > PAGE_SIZE, rows[:PAGE_SIZE]
    chosen = request.GET.get("metric", "")
    chosen = chosen if chosen in MEASURES else next(iter(MEASURES))
    compared = probes.pairs(timezone.now())
    return pages.render(
        request,
        "admin/recovery/probes.html",
        _("Test pairs"),
        rows=rows,
        measures=[{"metric": name, "name": _name(name), "days": each.days} for name, each in MEASURES.items()],
        lines=_lines(),
        chosen={"metric": chosen, "name": _name(chosen)},
        evidence=_evidence(chosen),
        number=len(compared),
        spoiled=sum(pair.is_spoiled for pair in compared),
        withdrawn=probes.withdrawn_when_one_was_told(),
        fewest=FEWEST,
        odds=round(math.exp(limit(len(Channel)))),
        next_key=pages.write_key(rows[-1].pk) if more else "",
        is_first=key is None,
    )


def _lines() -> list[dict[str, Any]]:
    """Every channel that was counted, with how large the difference is by each measure."""
    found = {name: weighing.sizes(name) for name in MEASURES}
    channels = sorted({channel for each in found.values() for channel in each})
    return [
        {"on": Channel(channel).label, "cells": [_cell(name, found[name].get(channel)) for name in MEASURES]}
        for channel in channels
    ]


def _cell(metric: str, found: tuple[int, Estimate] | None) -> dict[str, Any]:
    if found is None:
        return {"name": _name(metric), "pairs": 0}
    pairs, effect = found
    line = {"effect": effect.kind, "low": effect.low, "high": effect.high}
    return {
        "name": _name(metric),
        "pairs": pairs,
        "size": size_shown(metric, effect.kind, effect.value),
        "interval": interval_shown(line) if pairs >= FEWEST else "",
    }


def _evidence(metric: str) -> dict[str, Any] | None:
    """What pairs add up to by one measure, channel by channel; None before the second day that counted."""
    made = stored.evidence(actions.probe_series(metric, days=SHOWN_DAYS))
    if made is not None:
        for one in made["lines"]:
            one["on"] = channel_name(one["channel"])
    return made


def _name(metric: str) -> str:
    return str(PAIR_NAMES.get(metric, METRICS[metric]))


@pages.page(CAN_PLAN)
def plan(request: HttpRequest) -> HttpResponse:
    """Plan a pair; a POST does."""
    posted = request.POST if request.method == "POST" else None
    planned, facts = PlanForm(posted), FactsForm(posted)
    one, other = SideForm(posted, prefix="one"), SideForm(posted, prefix="other")
    refused, at = "", timezone.now()
    if posted is not None and all(each.is_valid() for each in (planned, facts, one, other)):
        begins_at, ends_at = planned.window(at=at)
        made, refused = pages.tried(
            lambda: probes.plan(
                title=planned.cleaned_data["title"],
                facts=facts.facts(),
                consent=planned.cleaned_data["consent"],
                sides=[one.side(), other.side()],
                begins_at=begins_at,
                ends_at=ends_at,
                by=pages.colleague(request),
                at=at,
            ),
            refusals=REFUSALS,
        )
        if made is not None:
            pages.say(request, "", _("Planned. Each side has a moment of its own; please keep to it."))
            return redirect("admin:probe", public_id=made.public_id)
    return pages.render(
        request,
        "admin/recovery/probe_plan.html",
        _("Plan a test pair"),
        planned=planned,
        facts=facts,
        one=one,
        other=other,
        refused=refused,
        status=409 if refused else 200,
    )


@pages.page(CAN_PLAN)
def probe(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """One pair: what is told when, what became of it, and its end."""
    found = ParityProbe.objects.select_related("planned_by", "ended_by").filter(public_id=public_id).first()
    if found is None:
        raise Http404
    refused = ""
    if request.method == "POST":
        refused = _act(request, found)
        if not refused:
            return redirect("admin:probe", public_id=public_id)
    sides = list(found.sides.select_related("conversation").order_by("tell_at", "pk"))
    compared = next(iter(probes.pairs_of(found, at=timezone.now())), None)
    became = {each.side: _became(each) for each in (compared.one, compared.other)} if compared else {}
    return pages.render(
        request,
        "admin/recovery/probe.html",
        found.title,
        probe=found,
        sides=[(side, became.get(side.pk)) for side in sides],
        is_spoiled=compared is not None and compared.is_spoiled,
        all_told=all(side.conversation_id for side in sides),
        is_planned=found.state == ProbeState.PLANNED,
        may_name=found.planned_by_id != request.user.pk,
        words=request.POST.get("words", ""),
        refused=refused,
        status=409 if refused else 200,
    )


def _became(side: probes.Outcome) -> dict[str, Any]:
    return {
        "first": words.duration(timedelta(hours=side.first_response)),
        "is_answered": side.is_answered,
        "resolution": words.duration(timedelta(hours=side.resolution)),
        "is_settled": side.is_settled,
        "severity": SAID_OF_SEVERITY.get(side.severity, "–"),
        "in_full": side.in_full,
    }


def _act(request: HttpRequest, found: ParityProbe) -> str:
    at, by, form = timezone.now(), pages.colleague(request), request.POST
    said = form.get("words", "")
    does: dict[str, Callable[[], Any]] = {
        "end": lambda: probes.end(found.pk, words=said, by=by, at=at),
        "withdraw": lambda: probes.withdraw(found.pk, words=said, by=by, at=at),
        "name": lambda: probes.name_matter(
            _side(found, form.get("side", "")), conversation=_number(form.get("conversation", "")), by=by, at=at
        ),
    }
    act = does.get(form.get("do", ""))
    if act is None:
        return _("Please use one of the buttons.")
    _done, refused = pages.tried(act, refusals=REFUSALS)
    if not refused:
        pages.say(request, "", _("Noted."))
    return refused


def _side(found: ParityProbe, public_id: str) -> int:
    numbers = ProbeSide.objects.filter(probe=found, public_id=_number(public_id)).values_list("pk", flat=True)
    if not numbers:
        raise Http404
    return numbers[0]


def _number(told: str) -> str:
    """A public id, as it stands at the end of a page's address too. Raises Http404 for what holds none."""
    try:
        return str(uuid.UUID(told.strip().rstrip("/").rpartition("/")[2]))
    except ValueError:
        raise Http404 from None


urlpatterns: list[URLPattern] = [
    path("probes/", pairs, name="probes"),
    path("probes/plan/", plan, name="probe_plan"),
    path("probes/<uuid:public_id>/", probe, name="probe"),
]
