"""The audit of our own work as pages: whether each channel's customers were treated alike, what was found, and the very matters."""

from __future__ import annotations

import json
import uuid
from datetime import datetime
from typing import Any

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.admin import pages
from crm.channels import Channel
from crm.models import Conversation
from recovery import actions
from recovery.actions import audits, outcomes
from recovery.admin.refusals import REFUSALS
from recovery.models import ParityAudit, ParityFinding
from recovery.policy import BY_PEOPLE, FindingState

CAN_SEE = "recovery.view_parityaudit"
CAN_LOOK = "recovery.run_parityaudit"
CAN_ANSWER = "recovery.answer_parityfinding"
PAGE_SIZE = 30

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
    return pages.render(
        request,
        "admin/recovery/parity.html",
        _("Equal treatment"),
        newest=newest,
        **(_shown(newest) if newest else {}),
        findings=[_finding(found) for found in _live()],
        looks=rows[:PAGE_SIZE],
        next_key=pages.write_key(rows[PAGE_SIZE - 1].pk) if len(rows) > PAGE_SIZE else "",
        is_first=key is None,
        may_look=request.user.has_perm(CAN_LOOK),
    )


def _live() -> QuerySet[ParityFinding]:
    live = ParityFinding.objects.exclude(state=FindingState.VERIFIED)
    return live.select_related("seen_by", "said_by").order_by("is_favoured", "pk")


def _shown(audit: ParityAudit) -> dict[str, Any]:
    """Verdict per channel and metric, with sizes, intervals and how many matters more it would take."""
    lines = [line for report in (audit.report, audit.dismissals) if report for line in report["contrasts"]]
    first: dict[tuple[str, str], dict[str, Any]] = {}
    for line in lines:
        first.setdefault((line["channel"], line["metric"]), line)
    metrics = [name for name in METRICS if any(metric == name for _channel, metric in first)]
    channels = list(dict.fromkeys(channel for channel, _metric in first))
    reds = [_line(line) for line in first.values() if line["verdict"] == "red"]
    return {
        "grid": {
            "metrics": [(METRICS[name], MEANS[name]) for name in metrics],
            "rows": [
                (
                    _channel(channel),
                    [_line(first[channel, name]) if (channel, name) in first else None for name in metrics],
                )
                for channel in channels
            ],
        },
        "verdict": _verdict(audit, reds),
        "tone": "late" if audit.red else "soon" if audit.amber else "good" if audit.green and not audit.grey else "",
        "legend": [(SAYS[name], TONES[name], getattr(audit, name)) for name in SAYS],
        "notes": audit.report["notes"] if audit.report else [],
    }


def _verdict(audit: ParityAudit, reds: list[dict[str, Any]]) -> str:
    if audit.report is None:
        return _("No customer spoke to us in this time, so there is nothing to compare.")
    if reds:
        return _("No, not alike: %(number)s comparisons show a difference that is neither chance nor small.") % {
            "number": len(reds)
        }
    if audit.amber:
        return _("Not shown to be alike, and worth watching.")
    if audit.green and not audit.grey:
        return _("Yes: on every channel and in everything that is compared, customers were treated alike.")
    if audit.green:
        return _("No difference was found. Where it says “too little to say”, likeness is not shown either.")
    return _("Too little to say: no difference is shown, and no likeness either.")


def _line(line: dict[str, Any]) -> dict[str, Any]:
    return {
        **line,
        "name": METRICS.get(line["metric"], line["metric"]),
        "on": _channel(line["channel"]),
        "says": SAYS[line["verdict"]],
        "tone": TONES[line["verdict"]],
        "size": _size(line["metric"], line["effect"], line["estimate"]),
        "interval": _interval(line),
    }


def _channel(name: str) -> str:
    return str(Channel(name).label) if name in Channel.values else name


def _size(metric: str, effect: str, value: float | None) -> str:
    if value is None:
        return "–"
    if effect == "time_ratio":
        return f"× {value:.2f}"
    if metric in GRADED:
        return _("worse in %(share)s of pairs") % {"share": f"{value:.0%}"}
    if effect == "probability":
        return _("longer in %(share)s of pairs") % {"share": f"{value:.0%}"}
    return _("%(points)s points") % {"points": f"{value * 100:+.1f}"}


def _interval(line: dict[str, Any]) -> str:
    low, high = line["low"], line["high"]
    if low is None and high is None:
        return ""
    scale = 100 if line["effect"] in ("risk_difference", "probability") else 1
    ends = ["…" if end is None else f"{end * scale:.{1 if scale == 100 else 2}f}" for end in (low, high)]
    return _("%(low)s to %(high)s") % {"low": ends[0], "high": ends[1]}


def _finding(found: ParityFinding) -> dict[str, Any]:
    return {
        "row": found,
        "name": METRICS.get(found.metric, found.metric),
        "means": MEANS.get(found.metric, ""),
        "on": _channel(found.channel),
        "against": _("all other channels") if found.versus == "others" else _channel(found.versus),
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
    pager = Paginator(numbers, PAGE_SIZE)
    page = pager.get_page(request.GET.get("page"))
    matters = {
        one.pk: one
        for one in Conversation.objects.visible_to(pages.colleague(request))
        .filter(pk__in=page.object_list)
        .select_related("customer", "owner")
    }
    return pages.render(
        request,
        "admin/recovery/parity_finding.html",
        _("Equal treatment"),
        found=_finding(found),
        states=[(state.value, state.label) for state in FindingState if state in BY_PEOPLE],
        matters=[matters[number] for number in page.object_list if number in matters],
        page=page,
        number=len(numbers),
        most=audits.LISTED,
        may_answer=request.user.has_perm(CAN_ANSWER) and found.state != FindingState.VERIFIED,
        words=words,
        refused=refused,
        status=409 if refused else 200,
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


def _audit(public_id: uuid.UUID) -> ParityAudit:
    found = ParityAudit.objects.filter(public_id=public_id).first()
    if found is None:
        raise Http404
    return found


@pages.page(CAN_SEE, methods=["GET"])
def whole(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """The whole report of a look, for reading and printing, made again from the same window as of the same moment."""
    from recovery.parity import page, report

    look = _audit(public_id)
    compared, _dismissals = audits.compare(outcomes.read(since=look.since, until=look.until, at=look.at))
    if compared is None:
        raise Http404
    made = report.of(compared, file=_("our own matters"), by_stratum=False, modified=0)
    return HttpResponse(render_to_string("recovery/parity/report.html", page.context(compared, made)))


@pages.page(CAN_SEE, methods=["GET"])
def as_json(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """What a look stored, as JSON."""
    look = _audit(public_id)
    said = {
        "since": look.since.isoformat(),
        "until": look.until.isoformat(),
        "at": look.at.isoformat(),
        "content_hash": look.content_hash,
        "report": look.report,
        "dismissals": look.dismissals,
    }
    return _file(
        json.dumps(said, ensure_ascii=False, indent=1),
        "application/json",
        f"equal-treatment-{look.at:%Y%m%d-%H%M}.json",
    )


@pages.page(CAN_SEE, methods=["GET"])
def as_map(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """The map by which `parity_report` reads the rows of a look."""
    from recovery.parity import own

    look = _audit(public_id)
    matters = outcomes.read(since=look.since, until=look.until, at=look.at)
    return _file(own.as_map(matters, public=audits.public_channels()), "application/toml", _name(look.at, "toml"))


@pages.page(CAN_SEE, methods=["GET"])
def as_csv(request: HttpRequest, public_id: uuid.UUID) -> HttpResponseBase:
    """The rows that a look compares, as CSV; no person is in them. `parity_report` says the same of them."""
    from recovery.parity import own

    look = _audit(public_id)
    matters = outcomes.read(since=look.since, until=look.until, at=look.at)
    answer = StreamingHttpResponse(own.csv_lines(matters), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{_name(look.at, "csv")}"'
    return answer


def _name(at: datetime, ending: str) -> str:
    return f"equal-treatment-{at:%Y%m%d-%H%M}.{ending}"


def _file(text: str, kind: str, name: str) -> HttpResponse:
    answer = HttpResponse(text, content_type=f"{kind}; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


urlpatterns: list[URLPattern] = [
    path("equal-treatment/", parity, name="parity"),
    path("equal-treatment/findings/<uuid:public_id>/", finding, name="parity_finding"),
    path("equal-treatment/<uuid:public_id>/report/", whole, name="parity_whole"),
    path("equal-treatment/<uuid:public_id>/report.json", as_json, name="parity_json"),
    path("equal-treatment/<uuid:public_id>/matters.csv", as_csv, name="parity_csv"),
    path("equal-treatment/<uuid:public_id>/map.toml", as_map, name="parity_map"),
]
