"""The audit of our own work as pages: whether each channel's customers were treated alike, what was found, and the very matters."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from crm.admin import pages
from crm.channels import Channel
from crm.models import Conversation
from recovery import actions
from recovery.actions import audits, response_times
from recovery.admin.audit_files import CAN_SEE, look_of
from recovery.admin.refusals import REFUSALS
from recovery.models import ParityAudit, ParityCertificate, ParityFinding
from recovery.policy import BY_PEOPLE, FindingState

CAN_LOOK = "recovery.run_parityaudit"
CAN_ANSWER = "recovery.answer_parityfinding"
PAGE_SIZE = 30
FEWEST = 25
"""Below so many matters a size says nothing, and none is shown; the same as in the audit."""
TREND = 60
"""Looks that the drawing over time goes back."""
GONE_SHOWN = timedelta(days=90)
FINDINGS = 200

METRICS: dict[str, Any] = {
    "response_coverage": gettext_lazy("answered at all"),
    "first_response": gettext_lazy("time to the first answer"),
    "time_to_resolution": gettext_lazy("time until it was settled"),
    "ingest_lag": gettext_lazy("time until it reached us"),
    "answered_as_promised": gettext_lazy("first answer as promised"),
    "confirmed_as_promised": gettext_lazy("written confirmation as promised"),
    "remedy_in_full": gettext_lazy("got all the money that was owed"),
    "came_back": gettext_lazy("came back after it was settled"),
    "handed_over": gettext_lazy("passed on to another colleague"),
    "went_quiet": gettext_lazy("ended because the customer went quiet"),
    "exception_approved": gettext_lazy("exception approved, where one was asked for"),
    "promises_kept": gettext_lazy("every promise kept"),
    "remedy_part": gettext_lazy("part given of what was owed"),
    "remedy_amount": gettext_lazy("money given"),
    "hand_offs": gettext_lazy("how often passed on"),
    "gesture_sent": gettext_lazy("kindness sent as planned"),
    "dismissed": gettext_lazy("ended without an answer"),
    "survey_answered": gettext_lazy("answered our questions"),
    "csat": gettext_lazy("satisfied, they say"),
    "fair_outcome": gettext_lazy("the outcome was fair, they say"),
    "fair_process": gettext_lazy("the way there was fair, they say"),
    "fair_manner": gettext_lazy("we treated them well, they say"),
    "effort": gettext_lazy("we made it easy, they say"),
}
GRADED: frozenset[str] = frozenset({"csat", "fair_outcome", "fair_process", "fair_manner", "effort"})
MEANS: dict[str, Any] = {
    "response_coverage": gettext_lazy(
        "Of matters whose promised first answer was due: the share that a person answered."
    ),
    "first_response": gettext_lazy(
        "From when the customer spoke to our first human answer; who still waits counts as waiting."
    ),
    "time_to_resolution": gettext_lazy(
        "From when the customer spoke until the matter was settled and did not come back."
    ),
    "ingest_lag": gettext_lazy("From when the customer spoke until it reached us: pollers, post, writing up."),
    "answered_as_promised": gettext_lazy("Our first answer left by the time everybody is promised."),
    "confirmed_as_promised": gettext_lazy("After a talk, the confirmation in writing left by the promised time."),
    "remedy_in_full": gettext_lazy("In settled cases: what was given reached what the rules say is owed."),
    "came_back": gettext_lazy("Of settled matters: the share that came back."),
    "handed_over": gettext_lazy("The share that another colleague took over."),
    "went_quiet": gettext_lazy("Of ended matters: the share that ended because the customer no longer answered."),
    "exception_approved": gettext_lazy("Of exceptions asked for: the share that a second person approved."),
    "promises_kept": gettext_lazy(
        "Everything that was promised in the matter and came due was kept in time; the written confirmation stands by itself."
    ),
    "remedy_part": gettext_lazy(
        "In settled cases: what was given as a part of what the rules say is owed, against that part on other channels."
    ),
    "remedy_amount": gettext_lazy(
        "In settled cases: the money that was given, compared within one currency, against the mean on other channels."
    ),
    "hand_offs": gettext_lazy("How often a matter went to another colleague, against the mean on other channels."),
    "gesture_sent": gettext_lazy(
        "Of kindnesses that were to leave: the share that did, by the channel on which the customer first came to us."
    ),
    "dismissed": gettext_lazy("Spam, duplicates, abuse, not for us, or a post that needs no answer."),
    "survey_answered": gettext_lazy(
        "Of matters whose customer was asked how it was: the share that answered. The grades say nothing of the others."
    ),
    "csat": gettext_lazy(
        "Satisfied with how it went, 1 to 5: the chance of the worse grade in a pair of like matters."
    ),
    "fair_outcome": gettext_lazy(
        "What came of it was fair, 1 to 5: the chance of the worse grade in a pair of like matters."
    ),
    "fair_process": gettext_lazy(
        "The way there was fair, 1 to 5: the chance of the worse grade in a pair of like matters."
    ),
    "fair_manner": gettext_lazy(
        "We were polite and explained ourselves, 1 to 5: the chance of the worse grade in a pair."
    ),
    "effort": gettext_lazy("We made it easy, 1 to 7: the chance of the worse grade in a pair of like matters."),
}
TONES = {"red": "late", "amber": "soon", "green": "good", "grey": ""}
SAYS: dict[str, Any] = {
    "red": gettext_lazy("treated differently"),
    "amber": gettext_lazy("to watch"),
    "green": gettext_lazy("shown to be alike"),
    "grey": gettext_lazy("too little to say"),
}


READS: dict[str, Any] = {
    "time_ratio": gettext_lazy("× 1.00 is equal; × 2.00 means that like matters wait twice as long."),
    "risk_difference": gettext_lazy("0 points is equal; + 5 points means five more of a hundred like matters."),
    "probability": gettext_lazy("50 % of pairs is equal: of two like matters, how often this channel's waits longer."),
}
MARKS = {"red": "■", "amber": "▲", "green": "●", "grey": "○"}
"""Beside the colour, so that a verdict is told without it; the same as in the report."""
SHORT: dict[str, Any] = {
    "red": gettext_lazy("differs"),
    "amber": gettext_lazy("watch"),
    "green": gettext_lazy("alike"),
    "grey": gettext_lazy("too little"),
}
MIXES: dict[str, Any] = {
    "explains": gettext_lazy(
        "All together there seems to be a larger gap. Most of it is other work, not other treatment."
    ),
    "hides": gettext_lazy(
        "All together the gap looks smaller than it is: this channel gets other work, which hides it."
    ),
    "reverses": gettext_lazy(
        "All together it points the other way: this channel gets other work. Believe the comparison of like with like."
    ),
}
"""What the mix of matters does to a gap (Simpson's paradox)."""


@pages.page(CAN_SEE)
def parity(request: HttpRequest) -> HttpResponse:
    """The newest look, the findings that stand, and the looks before; a POST looks now."""
    if request.method == "POST":
        pages.require(request, CAN_LOOK)
        made = actions.look_now(by=pages.colleague(request), at=timezone.now())
        pages.say(request, "", _("Looked at %(number)s matters.") % {"number": made.matters})
        return redirect("admin:parity")
    newest = ParityAudit.objects.order_by("-id").first()
    key = pages.read_key(request, int)
    before = ParityAudit.objects.defer("report", "dismissals").select_related("asked_by").order_by("-id")
    rows = list((before.filter(pk__lt=key[0]) if key else before)[: PAGE_SIZE + 1])
    findings = list(_findings())
    return pages.render(
        request,
        "admin/recovery/parity.html",
        _("Equal treatment"),
        newest=newest,
        **(_shown(newest, request.GET.get("metric", "")) if newest else {}),
        findings=[_finding(found) for found in findings if found.state != FindingState.VERIFIED],
        ended=[_finding(found) for found in findings if found.state == FindingState.VERIFIED],
        waiting=[
            {**line, "on": channel_name(line["channel"])} for line in response_times.past_their_promise(timezone.now())
        ],
        certificate=ParityCertificate.objects.defer("metrics").order_by("-month").first(),
        looks=rows[:PAGE_SIZE],
        next_key=pages.write_key(rows[PAGE_SIZE - 1].pk) if len(rows) > PAGE_SIZE else "",
        is_first=key is None,
        may_look=request.user.has_perm(CAN_LOOK),
    )


def _findings() -> QuerySet[ParityFinding]:
    """Those that stand, and those that a look of the last weeks no longer found."""
    gone = timezone.now() - GONE_SHOWN
    shown = ParityFinding.objects.filter(~Q(state=FindingState.VERIFIED) | Q(ended_by__at__gte=gone))
    return shown.select_related("seen_by", "said_by", "found_by", "ended_by").order_by("is_favoured", "pk")[:FINDINGS]


def _shown(audit: ParityAudit, wanted: str) -> dict[str, Any]:
    """Verdict per channel and metric, and one metric with sizes, intervals and how many matters more it would take."""
    from recovery.parity import stored

    first = stored.first_lines(_lines(audit))
    metrics = [name for name in METRICS if any(metric == name for _channel, metric in first)]
    metrics += sorted({metric for _channel, metric in first if metric not in METRICS})
    channels = list(dict.fromkeys(channel for channel, _metric in first))
    reds = sorted((line for line in first.values() if line["verdict"] == "red"), key=lambda one: one["p"] or 0.0)
    chosen = wanted if wanted in metrics else reds[0]["metric"] if reds else metrics[0] if metrics else ""
    return {
        "grid": {
            "channels": [channel_name(name) for name in channels],
            "rows": [
                {
                    "metric": name,
                    "name": METRICS.get(name, name),
                    "means": MEANS.get(name, ""),
                    "is_chosen": name == chosen,
                    "cells": [
                        line_shown(first[channel, name]) if (channel, name) in first else None for channel in channels
                    ],
                }
                for name in metrics
            ],
        },
        "chosen": _chosen(audit, chosen, first) if chosen else None,
        "trend": _trend(chosen) if chosen else None,
        "verdict": _verdict(audit, [line_shown(line) for line in reds]),
        "tone": "late" if audit.red else "soon" if audit.amber else "good" if audit.green and not audit.grey else "",
        "legend": [(MARKS[name], SAYS[name], TONES[name], getattr(audit, name)) for name in SAYS],
        "notes": audit.report["notes"] if audit.report else [],
    }


def _lines(audit: ParityAudit, kind: str = "contrasts") -> list[dict[str, Any]]:
    return [line for report in (audit.report, audit.dismissals) if report for line in report[kind]]


def _chosen(audit: ParityAudit, metric: str, first: Mapping[tuple[str, str], Mapping[str, Any]]) -> dict[str, Any]:
    """One metric: its channels as a forest, crude beside like for like, and what the mix of matters does."""
    from recovery.parity import stored

    adjusted, crude = _lines(audit), _lines(audit, "crude")
    together = stored.first_lines(crude)
    lines = [line for (_channel, name), line in first.items() if name == metric]
    drawn = stored.forest(lines, together)
    margin = stored.margin_of(lines[0])
    rows = []
    for line in lines:
        mixed = stored.mix(line["channel"], metric, adjusted=adjusted, crude=crude)
        before = together.get((line["channel"], metric))
        rows.append(
            {
                **line_shown(line),
                "is_few": line["n"] < FEWEST,
                "plot": drawn["rows"][line["channel"]] if line["n"] >= FEWEST else None,
                "crude": _size(before["metric"], before["effect"], before["estimate"]) if before else "–",
                "mix": MIXES.get(mixed, ""),
            }
        )
    return {
        "metric": metric,
        "name": METRICS.get(metric, metric),
        "means": MEANS.get(metric, ""),
        "rows": rows,
        "drawn": drawn,
        "alike": margin_shown({"effect": lines[0]["effect"], "low": margin.low, "high": margin.high}),
        "reads": READS[lines[0]["effect"]],
    }


def _trend(metric: str) -> dict[str, Any] | None:
    """One metric over the past looks: a line for each channel, with the times in which a finding of it stood."""
    from recovery.parity import stored

    looks = [
        stored.Look(at, {channel: line for (channel, _name), line in stored.first_lines(lines or []).items()})
        for at, lines in reversed(ParityAudit.objects.lines_of(metric)[:TREND])
    ]
    spells = ParityFinding.objects.filter(metric=metric).order_by("pk")
    made = stored.over_time(looks, spells.values_list("channel", "opened_at", "ended_by__at")[:FINDINGS])
    if made is not None:
        for one in made["channels"]:
            one["on"] = channel_name(one["channel"])
            one["newest"] = line_shown(one["newest"]) if one["newest"] else None
            for point in one["points"]:
                point |= {
                    "mark": MARKS[point["verdict"]],
                    "size": _size(point["line"]["metric"], point["line"]["effect"], point["line"]["estimate"]),
                }
    return made


def _verdict(audit: ParityAudit, reds: list[dict[str, Any]]) -> str:
    if audit.report is None:
        return _("No customer spoke to us in this time, so there is nothing to compare.")
    if reds:
        worst = {"what": reds[0]["name"], "channel": reds[0]["on"], "size": reds[0]["size"]}
        said = (
            _("No, not alike: for customers of %(channel)s, “%(what)s” is %(size)s against like matters elsewhere.")
            % worst
        )
        if len(reds) > 1:
            said += " " + ngettext(
                "One more comparison shows a difference.",
                "%(number)s more comparisons show a difference.",
                len(reds) - 1,
            ) % {"number": len(reds) - 1}
        return said
    if audit.amber:
        return _("Not shown to be alike, and worth watching.")
    if audit.green and not audit.grey:
        return _("Yes: on every channel and in everything that is compared, customers were treated alike.")
    if audit.green:
        return _("No difference was found. Where it says “too little”, likeness is not shown either.")
    return _("Too little to say: no difference is shown, and no likeness either.")


def line_shown(line: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **line,
        "name": METRICS.get(line["metric"], line["metric"]),
        "on": channel_name(line["channel"]),
        "says": SAYS[line["verdict"]],
        "short": SHORT[line["verdict"]],
        "mark": MARKS[line["verdict"]],
        "tone": TONES[line["verdict"]],
        "size": _size(line["metric"], line["effect"], line["estimate"]),
        "interval": _interval(line),
    }


def channel_name(name: str) -> str:
    return str(Channel(name).label) if name in Channel.values else name


def _size(metric: str, effect: str, value: float | None) -> str:
    if value is None:
        return "–"
    if effect.endswith("_ratio"):
        return f"× {value:.2f}"
    if metric in GRADED:
        return _("worse in %(share)s of pairs") % {"share": f"{value:.0%}"}
    if effect == "probability":
        return _("longer in %(share)s of pairs") % {"share": f"{value:.0%}"}
    return _("%(points)s points") % {"points": f"{value * 100:+.1f}"}


def _interval(line: Mapping[str, Any]) -> str:
    low, high = line["low"], line["high"]
    if low is None and high is None:
        return ""
    scale = 100 if line["effect"] in ("risk_difference", "probability") else 1
    ends = ["…" if end is None else f"{end * scale:.{1 if scale == 100 else 2}f}" for end in (low, high)]
    return _("%(low)s to %(high)s") % {"low": ends[0], "high": ends[1]}


def margin_shown(margin: Mapping[str, Any]) -> str:
    """A margin in the unit of its sizes."""
    unit = {
        "risk_difference": _("%(range)s points"),
        "time_ratio": "× %(range)s",
        "probability": _("%(range)s % of pairs"),
    }
    return unit[margin["effect"]].replace("%(range)s", _interval(margin))


def _finding(found: ParityFinding) -> dict[str, Any]:
    return {
        "row": found,
        "name": METRICS.get(found.metric, found.metric),
        "means": MEANS.get(found.metric, ""),
        "on": channel_name(found.channel),
        "against": _("all other channels") if found.versus == "others" else channel_name(found.versus),
        "size": _size(found.metric, found.effect, found.value),
        "interval": _interval({"effect": found.effect, "low": found.low, "high": found.high}),
    }


@pages.page(CAN_SEE)
def finding(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """One finding: how large, the very matters, and what is done about it. A POST says that."""
    found = ParityFinding.objects.select_related("seen_by", "said_by", "ended_by").filter(public_id=public_id).first()
    if found is None:
        raise Http404
    refused, words = "", ""
    if request.method == "POST":
        pages.require(request, CAN_ANSWER)
        words = request.POST.get("words", "")
        refused = _answered(request, found, words)
        if not refused:
            pages.say(request, "", _("Noted, with your name. A later look says whether the difference is gone."))
            return redirect("admin:parity_finding", public_id=public_id)
    seen = found.seen_by
    numbers = actions.matters_behind(found.metric, found.channel, since=seen.since, until=seen.until, at=seen.at)
    return pages.render(
        request,
        "admin/recovery/parity_finding.html",
        _("Equal treatment"),
        found=_finding(found),
        states=[(state.value, state.label) for state in FindingState if state in BY_PEOPLE],
        **_listed(request, numbers),
        may_answer=request.user.has_perm(CAN_ANSWER) and found.state != FindingState.VERIFIED,
        words=words,
        refused=refused,
        status=409 if refused else 200,
    )


def _listed(request: HttpRequest, numbers: list[int]) -> dict[str, Any]:
    """A page of the very matters, in the order given; of those that this account may see."""
    page = Paginator(numbers, PAGE_SIZE).get_page(request.GET.get("page"))
    visible = Conversation.objects.visible_to(pages.colleague(request)).filter(pk__in=page.object_list)
    matters = {one.pk: one for one in visible.select_related("customer", "owner")}
    return {
        "matters": [matters[number] for number in page.object_list if number in matters],
        "page": page,
        "number": len(numbers),
        "most": audits.LISTED,
    }


@pages.page(CAN_SEE, methods=["GET"])
def behind(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """The very matters behind one verdict of a look, whether or not there is a finding of it."""
    from recovery.parity import stored

    look = look_of(public_id)
    first = stored.first_lines(_lines(look))
    if not first:
        raise Http404
    asked = (request.GET.get("channel", ""), request.GET.get("metric", ""))
    line = first.get(asked) if any(asked) else next(iter(first.values()))
    if line is None:
        raise Http404
    numbers = actions.matters_behind(line["metric"], line["channel"], since=look.since, until=look.until, at=look.at)
    return pages.render(
        request,
        "admin/recovery/parity_behind.html",
        _("Equal treatment"),
        look=look,
        line=line_shown(line),
        means=MEANS.get(line["metric"], ""),
        is_share=line["effect"] == "risk_difference",
        query=urlencode({"metric": line["metric"], "channel": line["channel"]}),
        **_listed(request, numbers),
    )


def _answered(request: HttpRequest, found: ParityFinding, words: str) -> str:
    told = request.POST.get("state", "")
    if told not in {state.value for state in BY_PEOPLE}:
        return _("Please choose what is done about it.")
    _done, refused = pages.tried(
        lambda: actions.answer_finding(
            found.pk, state=FindingState(told), words=words, by=pages.colleague(request), at=timezone.now()
        ),
        refusals=REFUSALS,
    )
    return refused


urlpatterns: list[URLPattern] = [
    path("equal-treatment/", parity, name="parity"),
    path("equal-treatment/findings/<uuid:public_id>/", finding, name="parity_finding"),
    path("equal-treatment/<uuid:public_id>/matters/", behind, name="parity_behind"),
]
