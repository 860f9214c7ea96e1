"""How it stands now, out of counts: a page beside the looks, which opens and ends no finding."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.admin import pages, words
from recovery.actions import audits, live
from recovery.admin.audit_files import CAN_SEE
from recovery.admin.audit_words import MARKS, METRICS, SHORT, channel_name, size_shown

SHARES = ("response_coverage", "answered_as_promised", "promises_kept", "came_back")
"""Yes/no outcomes that the page of how it stands now shows."""


@pages.page(CAN_SEE, methods=["GET"])
def now(request: HttpRequest) -> HttpResponse:
    """How it stands now, out of counts: times and shares by channel, and verdicts that open no finding."""
    at = timezone.now()
    seen = live.look(since=at - audits.WINDOW, until=at, at=at)
    channels = list(dict.fromkeys(wait.channel for wait in seen.waits))
    lines = {(line.metric, line.channel): line for line in seen.lines}
    return pages.render(
        request,
        "admin/recovery/parity_now.html",
        _("How it stands now"),
        seen=seen,
        rows=[_now(seen, channel, lines) for channel in channels],
        shares=[METRICS[metric] for metric in SHARES],
    )


def _now(seen: live.Live, channel: str, lines: Mapping[tuple[str, str], live.Line]) -> dict[str, Any]:
    def told(metric: str) -> dict[str, Any]:
        line, wait = lines.get((metric, channel)), seen.wait(channel, metric)
        return {
            "wait": wait,
            "median": _lasting(wait.median_seconds) if wait else "",
            "p90": _lasting(wait.p90_seconds) if wait else "",
            "share": seen.share(channel, metric),
            "verdict": line.verdict if line else "",
            "says": SHORT[line.verdict] if line else "",
            "mark": MARKS[line.verdict] if line else "",
            "size": size_shown(metric, line.effect, line.value) if line else "",
        }

    return {
        "on": channel_name(channel),
        "waits": [told("first_response"), told("time_to_resolution")],
        "shares": [told(metric) for metric in SHARES],
    }


def _lasting(seconds: float | None) -> str:
    return "" if seconds is None else words.duration(timedelta(seconds=seconds))


urlpatterns: list[URLPattern] = [path("equal-treatment/now/", now, name="parity_now")]
