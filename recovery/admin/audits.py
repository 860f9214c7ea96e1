"""The audit of our own work as pages: whether each channel's customers were treated alike, what was found, and the very matters."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from crm.admin import pages
from crm.models import Closing, Conversation
from crm.policy import HowClosed
from recovery import actions
from recovery.actions import audits, corrections, response_times, weighing
from recovery.admin.audit_files import CAN_SEE, look_of
from recovery.admin.audit_words import (
    FEWEST,
    GRADED,
    MARKS,
    MEANS,
    METRICS,
    MIXES,
    PAIRS_MEAN,
    READS,
    READS_OF_GRADES,
    SAYS,
    TONES,
    channel_name,
    had_none,
    interval_shown,
    line_shown,
    margin_shown,
    size_shown,
)
from recovery.admin.refusals import REFUSALS
from recovery.models import Case, ParityAudit, ParityCertificate, ParityFinding
from recovery.policy import BY_PEOPLE, CertificateResult, FindingOrigin, FindingState

CAN_LOOK = "recovery.run_parityaudit"
CAN_ANSWER = "recovery.answer_parityfinding"
CAN_SEE_PAIRS = "recovery.plan_parityprobe"
PAGE_SIZE = 30
TREND = 60
"""Looks that the drawing over time goes back."""
GONE_SHOWN = timedelta(days=90)
FINDINGS = 200

WATCHED_DAYS = 182
"""Of the evidence between looks."""


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
    standing = [one for one in findings if one.state != FindingState.VERIFIED]
    certificate = ParityCertificate.objects.defer("metrics").order_by("-month").first()
    return pages.render(
        request,
        "admin/recovery/parity.html",
        _("Equal treatment"),
        newest=newest,
        **(_shown(newest, request.GET.get("metric", ""), standing=len(standing)) if newest else {}),
        findings=_with_corrections(standing),
        held=sum(_is_of_pairs(one) for one in standing),
        ended=[_finding(found) for found in findings if found.state == FindingState.VERIFIED],
        waiting=[
            {**line, "on": channel_name(line["channel"])} for line in response_times.past_their_promise(timezone.now())
        ],
        taught=actions.in_words(taught) if (taught := actions.newest_teaching()) is not None else "",
        certificate=certificate,
        certified=CertificateResult(certificate.result).says if certificate is not None else "",
        looks=rows[:PAGE_SIZE],
        next_key=pages.write_key(rows[PAGE_SIZE - 1].pk) if len(rows) > PAGE_SIZE else "",
        is_first=key is None,
        may_look=request.user.has_perm(CAN_LOOK),
    )


def _with_corrections(findings: list[ParityFinding]) -> list[dict[str, Any]]:
    """Findings with what is proposed or at work against each."""
    against: dict[int, list[corrections.Standing]] = {}
    for one in corrections.standing() if findings else ():
        against.setdefault(one.finding, []).append(one)
    return [{**_finding(found), "corrections": against.get(found.pk, [])} for found in findings]


def _findings() -> QuerySet[ParityFinding]:
    """Those that stand, and those that a look of the last weeks no longer found."""
    gone = timezone.now() - GONE_SHOWN
    shown = ParityFinding.objects.filter(~Q(state=FindingState.VERIFIED) | Q(ended_by__at__gte=gone))
    return shown.select_related("seen_by", "said_by", "found_by", "ended_by").order_by("is_favoured", "pk")[:FINDINGS]


def _shown(audit: ParityAudit, wanted: str, *, standing: int) -> dict[str, Any]:
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
        "evidence": _evidence(chosen) if chosen else None,
        "verdict": _verdict(audit, [line_shown(line) for line in reds], is_compared=bool(first), standing=standing),
        "tone": "late"
        if audit.red or standing
        else "soon"
        if audit.amber
        else "good"
        if audit.green and not audit.grey
        else "",
        "has_nothing": any(had_none(line) for line in first.values()),
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
                "crude": size_shown(before["metric"], before["effect"], before["estimate"]) if before else "–",
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
        "reads": READS_OF_GRADES if metric in GRADED else READS[lines[0]["effect"]],
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
                    "size": size_shown(point["line"]["metric"], point["line"]["effect"], point["line"]["estimate"]),
                }
    return made


def _evidence(metric: str) -> dict[str, Any] | None:
    """What the nights between looks add up to, for a measure that is watched; None for others, and before the second night."""
    from recovery.parity import stored, watched

    if metric not in watched.MEASURES:
        return None
    made = stored.evidence(actions.series(metric, days=WATCHED_DAYS))
    if made is not None:
        for one in made["lines"]:
            one["on"] = channel_name(one["channel"]) if one["channel"] else _("All channels together")
    return made


def _verdict(audit: ParityAudit, reds: list[dict[str, Any]], *, is_compared: bool, standing: int) -> str:
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
    if audit.red:
        return _("No, not alike: whoever goes public is settled sooner than before. Shouting pays, and should not.")
    if standing:
        return ngettext(
            "No new difference was found, but one that was found before still stands: likeness has not been shown since.",
            "No new difference was found, but %(number)s that were found before still stand: likeness has not been shown since.",
            standing,
        ) % {"number": standing}
    if not is_compared:
        return _("All customers came by one channel, so there is nothing to compare.")
    if audit.amber:
        return _("Not shown to be alike, and worth watching.")
    if audit.green and not audit.grey:
        return _("Yes: on every channel and in everything that is compared, customers were treated alike.")
    if audit.green:
        return _("No difference was found. Where it says “too little”, likeness is not shown either.")
    return _("Too little to say: no difference is shown, and no likeness either.")


def _finding(found: ParityFinding) -> dict[str, Any]:
    return {
        "row": found,
        "name": METRICS.get(found.metric, found.metric),
        "means": PAIRS_MEAN.get(found.metric, "") if _is_of_pairs(found) else MEANS.get(found.metric, ""),
        "is_of_pairs": _is_of_pairs(found),
        "on": channel_name(found.channel),
        "against": _("all other channels") if found.versus == "others" else channel_name(found.versus),
        "size": size_shown(found.metric, found.effect, found.value),
        "interval": interval_shown({"effect": found.effect, "low": found.low, "high": found.high}),
    }


def _is_of_pairs(found: ParityFinding) -> bool:
    """Whether its size is that of test pairs: they opened it, and no look has found it since."""
    return found.origin == FindingOrigin.PAIRS and found.seen_by_id == found.found_by_id


def _pairs(request: HttpRequest, found: ParityFinding) -> dict[str, Any] | None:
    """The pairs that rang for a finding, for those alone who may know which they are; to others it says as much as to nobody."""
    if not request.user.has_perm(CAN_SEE_PAIRS):
        return None
    rows = weighing.behind(found)
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("pairs"))
    return {
        "page": page,
        "number": len(rows),
        "rows": [
            {
                "title": row.side.probe.title,
                "probe": row.side.probe.public_id,
                "matter": row.side.conversation,
                "size": _of_pair(found.metric, row.difference or 0.0),
                "day": row.day,
            }
            for row in page.object_list
        ],
        "since": weighing.told_since(found).count() if found.held_by_pairs else 0,
    }


def _of_pair(metric: str, difference: float) -> str:
    """What one pair says: how many times as long this side waited, or which side had the better."""
    if metric in weighing.TIMES:
        return size_shown(metric, "time_ratio", math.exp(difference))
    said = {
        "remedy_in_full": {1: _("all that was owed, the other not"), -1: _("less than was owed, the other not")},
        "severity_graded_low": {1: _("graded milder than the other"), -1: _("graded graver than the other")},
    }
    return said[metric].get(round(difference), _("alike"))


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
        pairs=_pairs(request, found),
        fewest=FEWEST,
        states=[(state.value, state.label) for state in FindingState if state in BY_PEOPLE],
        chosen=request.POST.get("state", ""),
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
    closings = Closing.objects.filter(conversation=OuterRef("pk"), how=HowClosed.CLOSED, reopened_at=None)
    case, closed = Case.objects.filter(conversation=OuterRef("pk")), closings.order_by("-id")
    settled = Coalesce(Subquery(case.values("resolved_at")[:1]), Subquery(closed.values("at")[:1]))
    found = visible.annotate(settled_at=settled).select_related("customer", "owner")
    matters = {one.pk: one for one in found}
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
            found.pk,
            state=FindingState(told),
            words=words,
            by=pages.colleague(request),
            at=timezone.now(),
            read=request.POST.get("read", ""),
        ),
        refusals=REFUSALS,
    )
    return refused


urlpatterns: list[URLPattern] = [
    path("equal-treatment/", parity, name="parity"),
    path("equal-treatment/findings/<uuid:public_id>/", finding, name="parity_finding"),
    path("equal-treatment/<uuid:public_id>/matters/", behind, name="parity_behind"),
]
