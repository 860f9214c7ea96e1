"""Public pages: how soon each channel answers, and the certificates of equal treatment where the house shows them.

They read what was measured at night and compute nothing. No cookie is set, and it works without scripts.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import path
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from crm.channels import Channel
from recovery.actions import certificates, response_times
from recovery.models import ParityCertificate, ResponseTimes
from recovery.policy import CertificateResult, Pool

KEPT_FOR = 600
"""Seconds that a cache may keep what everybody reads alike; what is shown changes once a day."""
MONTHS = 24
WHAT: dict[str, Any] = {
    "response_coverage": gettext_lazy("Whether a person answered at all"),
    "first_response": gettext_lazy("How long the first answer took"),
    "time_to_resolution": gettext_lazy("How long it took until it was settled"),
    "ingest_lag": gettext_lazy("How long it took until it reached us"),
    "answered_as_promised": gettext_lazy("Whether the first answer came by the promised time"),
    "confirmed_as_promised": gettext_lazy("Whether the written confirmation came by the promised time"),
    "remedy_in_full": gettext_lazy("Whether all the money that was owed was given"),
    "came_back": gettext_lazy("How often something came back after it was settled"),
    "handed_over": gettext_lazy("How often it was passed on to another colleague"),
    "went_quiet": gettext_lazy("How often it ended because the customer no longer answered"),
    "exception_approved": gettext_lazy("How often an exception was approved, where one was asked for"),
    "dismissed": gettext_lazy("How often it ended without an answer"),
    "promises_kept": gettext_lazy("Whether everything that was promised came in time"),
    "remedy_part": gettext_lazy("How much of the money that was owed was given"),
    "remedy_amount": gettext_lazy("How much money was given"),
    "hand_offs": gettext_lazy("How many times it was passed on"),
    "verification_steps": gettext_lazy("How many times customers had to show who they are"),
    "gesture_sent": gettext_lazy("Whether a planned kindness was sent"),
    "survey_answered": gettext_lazy("How many answered when they were asked"),
    "csat": gettext_lazy("How satisfied customers say they are"),
    "fair_outcome": gettext_lazy("How fair customers find what came of it"),
    "fair_process": gettext_lazy("How fair customers find the way there"),
    "fair_manner": gettext_lazy("How well customers say we treated them"),
    "effort": gettext_lazy("How easy customers say we made it"),
}
"""What is compared, in customers' words."""
SAYS: dict[str, Any] = {
    "red": gettext_lazy("different"),
    "amber": gettext_lazy("perhaps different"),
    "green": gettext_lazy("alike"),
    "grey": gettext_lazy("too few to say"),
}
MARKS = {"red": "■", "amber": "▲", "green": "●", "grey": "○"}
COLOURS = {
    CertificateResult.SHOWN: "#1b6b3a", CertificateResult.SHOWN_IN_GROUPS: "#1b6b3a", CertificateResult.DIFFERS: "#a3261d",
    CertificateResult.NOT_SHOWN: "#4f5d5d", CertificateResult.NOTHING: "#4f5d5d",
}  # fmt: skip
LETTER = 6.6
"""Pixels of one letter of the badge, on the wide side."""


# --- how soon each channel answers (R062) ------------------------------------------------------------------------------


@require_safe
def times(request: HttpRequest) -> HttpResponse:
    """For each channel how soon half and nine in ten had their first answer."""
    return _cached(request, render(request, "recovery/response_times.html", {"figures": figures()}))


@require_safe
def times_json(request: HttpRequest) -> HttpResponse:
    """The same for programs, in minutes; null where there are too few to say."""
    found = response_times.newest()
    said: dict[str, Any] = {"since": None, "until": None, "fewest": response_times.FEWEST, "channels": []}
    if found is not None:
        said |= {"since": found.since.isoformat(), "until": found.until.isoformat(), "channels": found.lines}
    return _cached(request, JsonResponse(said))


def figures() -> dict[str, Any] | None:
    """What was measured last, in the visitor's words; None while nothing was. One statement."""
    found = response_times.newest()
    return _figures(found) if found is not None else None


def _figures(found: ResponseTimes) -> dict[str, Any]:
    return {
        "since": found.since,
        "until": found.until - timedelta(seconds=1),
        "lines": [
            {
                "channel": Channel(line["channel"]).label,
                "is_staffed": line["is_staffed"],
                "n": line["n"],
                "half": _time(line["median_minutes"]),
                "most": _time(line["p90_minutes"]),
                "is_known": line["n"] >= response_times.FEWEST,
            }
            for line in found.lines
        ],
    }


def _time(minutes: float | None) -> str:
    """A length of time in hours and minutes; long ones in hours alone."""
    if minutes is None:
        return ""
    whole = max(1, round(minutes))
    if whole < 60:
        return _("%(minutes)s min") % {"minutes": whole}
    hours, rest = divmod(whole, 60)
    if hours >= 10 or not rest:
        return _("%(hours)s h") % {"hours": round(whole / 60)}
    return _("%(hours)s h %(minutes)s min") % {"hours": hours, "minutes": rest}


# --- certificates of equal treatment (R070) ----------------------------------------------------------------------------


@require_safe
def equal_treatment(request: HttpRequest) -> HttpResponse:
    """The newest certificate, or that of `?month=2026-10`, with all months before; and what holds now."""
    _shown_at_all()
    wanted = _month(request.GET.get("month", ""))
    rows = list(ParityCertificate.objects.order_by("-month")[:MONTHS])
    chosen = next((row for row in rows if wanted is None or (row.month.year, row.month.month) == wanted), None)
    if wanted is not None and chosen is None:
        raise Http404
    now = certificates.state_now()
    return _cached(
        request,
        render(
            request,
            "recovery/equal_treatment.html",
            {
                "house": settings.EVENHAND_MAIL_NAME,
                "chosen": _certificate(chosen) if chosen is not None else None,
                "pools": [pool.label for pool in Pool],
                "months": [
                    (_month_name(row.month), f"{row.month:%Y-%m}", CertificateResult(row.result).says) for row in rows
                ],
                "findings": now.findings,
                "since": now.since,
            },
        ),
    )


def _shown_at_all() -> None:
    if not certificates.is_public():
        raise Http404


def _month(asked: str) -> tuple[int, int] | None:
    if not asked:
        return None
    try:
        found = datetime.strptime(asked, "%Y-%m")  # noqa: DTZ007  a month has no zone
    except ValueError as mistake:
        raise Http404 from mistake
    return found.year, found.month


def _month_name(day: Any) -> str:
    return date_format(day, "YEAR_MONTH_FORMAT")


def _certificate(row: ParityCertificate) -> dict[str, Any]:
    return {
        "row": row,
        "month": _month_name(row.month),
        "until": row.until - timedelta(seconds=1),
        "result": CertificateResult(row.result).says,
        "metrics": [
            {
                "name": WHAT.get(each["metric"], each["metric"].replace("_", " ")),
                "result": CertificateResult(each["result"]).says,
                "places": [_place(one, Channel(one["name"]).label) for one in each["channels"]],
                "groups": [_place(one, Pool(one["name"]).short) for one in each["groups"]],
            }
            for each in row.metrics
        ],
    }


def _place(told: dict[str, Any], name: Any) -> dict[str, Any]:
    return {"name": name, "mark": MARKS[told["verdict"]], "says": SAYS[told["verdict"]], "n": told["n"]}


@require_safe
def equal_treatment_json(request: HttpRequest) -> HttpResponse:
    """All certificates of the last two years and what holds now, for programs."""
    _shown_at_all()
    now = certificates.state_now()
    said = {
        "now": {
            "result": now.result,
            "findings": now.findings,
            "since": now.since.isoformat() if now.since else None,
        },
        "certificates": [certificates.as_told(row) for row in ParityCertificate.objects.order_by("-month")[:MONTHS]],
    }
    return _cached(request, JsonResponse(said))


@require_safe
def badge(request: HttpRequest) -> HttpResponse:
    """A small picture that says what holds now, with its month or its day; for other pages to show."""
    _shown_at_all()
    now = certificates.state_now()
    if now.result is None:
        says, when, colour = _("not measured yet"), "", COLOURS[CertificateResult.NOTHING]
    else:
        says, colour = _badge_words(now.result), COLOURS[now.result]
        if now.findings and now.since is not None:
            when = date_format(timezone.localtime(now.since), "SHORT_DATE_FORMAT")
        else:
            when = _month_name(now.certificate.month) if now.certificate is not None else ""
    name, told = _("Equal treatment"), f"{says} · {when}" if when else says
    left, right = (round(len(words) * LETTER) + 16 for words in (name, told))
    shape = {"name": name, "told": told, "left": left, "right": right, "colour": colour}
    shape |= {"wide": left + right, "left_x": left / 2, "right_x": left + right / 2}
    return _cached(request, render(request, "recovery/badge.svg", shape, content_type="image/svg+xml"))


def _badge_words(result: CertificateResult) -> str:
    return {
        CertificateResult.SHOWN: _("shown"),
        CertificateResult.SHOWN_IN_GROUPS: _("shown in groups"),
        CertificateResult.NOT_SHOWN: _("not shown"),
        CertificateResult.DIFFERS: _("difference found"),
        CertificateResult.NOTHING: _("nothing to compare"),
    }[result]


def _cached(request: HttpRequest, answer: HttpResponse) -> HttpResponse:
    """Let caches keep what is the same for everybody; what somebody who is logged in reads is kept nowhere."""
    answer["Cache-Control"] = "no-store" if request.user.is_authenticated else f"public, max-age={KEPT_FOR}"
    return answer


urlpatterns = [
    path("response-times/", times, name="response-times"),
    path("response-times.json", times_json, name="response-times-json"),
    path("equal-treatment/", equal_treatment, name="equal-treatment"),
    path("equal-treatment.json", equal_treatment_json, name="equal-treatment-json"),
    path("equal-treatment/badge.svg", badge, name="equal-treatment-badge"),
]
