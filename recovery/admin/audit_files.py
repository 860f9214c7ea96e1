"""A look as files: the whole report to read and print, what it stored, and the rows with the map by which others check them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils.translation import gettext as _

from crm.admin import pages
from recovery.actions import audits, outcomes
from recovery.models import ParityAudit

CAN_SEE = "recovery.view_parityaudit"


def look_of(public_id: uuid.UUID) -> ParityAudit:
    """The look of this id; 404 where there is none."""
    found = ParityAudit.objects.filter(public_id=public_id).first()
    if found is None:
        raise Http404
    return found


@pages.page(CAN_SEE, methods=["GET"])
def whole(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """The whole report of a look, for reading and printing, made again from the same window as of the same moment."""
    from recovery.parity import page, report

    look = look_of(public_id)
    compared, _dismissals = audits.compare(outcomes.read(since=look.since, until=look.until, at=look.at))
    if compared is None:
        raise Http404
    made = report.of(compared, file=_("our own matters"), by_stratum=False, modified=0)
    return HttpResponse(render_to_string("recovery/parity/report.html", page.context(compared, made)))


@pages.page(CAN_SEE, methods=["GET"])
def as_json(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """What a look stored, as JSON."""
    look = look_of(public_id)
    said = {
        "since": look.since.isoformat(),
        "until": look.until.isoformat(),
        "at": look.at.isoformat(),
        "content_hash": look.content_hash,
        "report": look.report,
        "dismissals": look.dismissals,
    }
    return as_file(said, f"equal-treatment-{look.at:%Y%m%d-%H%M}.json")


@pages.page(CAN_SEE, methods=["GET"])
def as_map(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """The map by which `parity_report` reads the rows of a look."""
    from recovery.parity import own

    look = look_of(public_id)
    matters = outcomes.read(since=look.since, until=look.until, at=look.at)
    return _file(own.as_map(matters, public=audits.public_channels()), "application/toml", _name(look.at, "toml"))


@pages.page(CAN_SEE, methods=["GET"])
def as_csv(request: HttpRequest, public_id: uuid.UUID) -> HttpResponseBase:
    """The rows that a look compares, as CSV; no person is in them. `parity_report` says the same of them."""
    from recovery.parity import own

    look = look_of(public_id)
    matters = outcomes.read(since=look.since, until=look.until, at=look.at)
    answer = StreamingHttpResponse(own.csv_lines(matters), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{_name(look.at, "csv")}"'
    return answer


def _name(at: datetime, ending: str) -> str:
    return f"equal-treatment-{at:%Y%m%d-%H%M}.{ending}"


def as_file(said: Mapping[str, Any], name: str) -> HttpResponse:
    """Hand out as a file of JSON."""
    return _file(json.dumps(said, ensure_ascii=False, indent=1), "application/json", name)


def _file(text: str, kind: str, name: str) -> HttpResponse:
    answer = HttpResponse(text, content_type=f"{kind}; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


urlpatterns: list[URLPattern] = [
    path("equal-treatment/<uuid:public_id>/report/", whole, name="parity_whole"),
    path("equal-treatment/<uuid:public_id>/report.json", as_json, name="parity_json"),
    path("equal-treatment/<uuid:public_id>/matters.csv", as_csv, name="parity_csv"),
    path("equal-treatment/<uuid:public_id>/map.toml", as_map, name="parity_map"),
]
