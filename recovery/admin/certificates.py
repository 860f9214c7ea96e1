"""Certificates of equal treatment as pages: the list with the switch to show them to everybody; each to read, print and check."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.admin import pages
from recovery.actions import audits, certificates, outcomes
from recovery.admin.audit_files import CAN_SEE, as_file
from recovery.admin.audit_words import METRICS, channel_name, line_shown, margin_shown
from recovery.models import ParityCertificate
from recovery.policy import CertificateResult, Pool

CAN_SEE_THEM = "recovery.view_paritycertificate"
CAN_PUBLISH = "recovery.publish_paritycertificate"
LISTED = 60
TONES = {
    CertificateResult.SHOWN: "good",
    CertificateResult.SHOWN_IN_GROUPS: "good",
    CertificateResult.DIFFERS: "late",
    CertificateResult.NOT_SHOWN: "",
    CertificateResult.NOTHING: "",
}


@pages.page(CAN_SEE, CAN_SEE_THEM)
def listed(request: HttpRequest) -> HttpResponse:
    """Every month, the newest first; a POST shows them to everybody, or no longer."""
    if request.method == "POST":
        pages.require(request, CAN_PUBLISH)
        wanted = request.POST.get("public") == "yes"
        changed = certificates.publish(is_public=wanted, by=pages.colleague(request), at=timezone.now())
        said = _("Everybody can read them now.") if wanted else _("They no longer stand in public.")
        pages.say(request, "", said if changed else _("That is so already."))
        return redirect("admin:certificates")
    rows = ParityCertificate.objects.defer("metrics").order_by("-month")[:LISTED]
    return pages.render(
        request,
        "admin/recovery/certificates.html",
        _("Certificates of equal treatment"),
        rows=[(row, TONES[result], result.says) for row in rows for result in (CertificateResult(row.result),)],
        disclosure=certificates.disclosure(),
        may_publish=request.user.has_perm(CAN_PUBLISH),
    )


@pages.page(CAN_SEE, CAN_SEE_THEM, methods=["GET"])
def certificate(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """One month: what was compared and what it showed. `?check=1` reads the rows again and compares the fingerprint."""
    found = _found(public_id)
    result = CertificateResult(found.result)
    return pages.render(
        request,
        "admin/recovery/certificate.html",
        _("Certificate of equal treatment"),
        certificate=found,
        tone=TONES[result],
        says=result.says,
        counts=[(channel_name(name), number) for name, number in sorted(found.counts.items(), key=lambda one: -one[1])],
        metrics=[_metric(each) for each in found.metrics],
        pools=[pool.label for pool in Pool],
        checked=certificates.check(found) if request.GET.get("check") == "1" else None,
    )


def _found(public_id: uuid.UUID) -> ParityCertificate:
    found = ParityCertificate.objects.filter(public_id=public_id).first()
    if found is None:
        raise Http404
    return found


def _metric(told: dict[str, Any]) -> dict[str, Any]:
    result = CertificateResult(told["result"])
    return {
        "name": METRICS.get(told["metric"], told["metric"]),
        "result": result.says,
        "tone": TONES[result],
        "alike": margin_shown(told["margin"]) if told["margin"] else "",
        "channels": [_place(one, told["metric"], channel_name(one["name"])) for one in told["channels"]],
        "groups": [_place(one, told["metric"], Pool(one["name"]).short) for one in told["groups"]],
    }


def _place(told: dict[str, Any], metric: str, name: str) -> dict[str, Any]:
    return {**line_shown({**told, "metric": metric, "channel": told["name"]}), "on": name}


@pages.page(CAN_SEE, CAN_SEE_THEM, methods=["GET"])
def as_json(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """What a certificate says, as JSON; the same as in public."""
    found = _found(public_id)
    return as_file(certificates.as_told(found), f"certificate-{found.month:%Y-%m}.json")


@pages.page(CAN_SEE, CAN_SEE_THEM, methods=["GET"])
def as_csv(request: HttpRequest, public_id: uuid.UUID) -> HttpResponseBase:
    """The rows of a certificate's month; no person is in them. Their SHA-256 is the certificate's, byte for byte."""
    from recovery.parity import own

    found = _found(public_id)
    matters = outcomes.read(since=found.since, until=found.until, at=found.at)
    answer = StreamingHttpResponse(own.csv_lines(matters), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="certificate-{found.month:%Y-%m}.csv"'
    return answer


@pages.page(CAN_SEE, CAN_SEE_THEM, methods=["GET"])
def as_map(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """The map by which `parity_report` reads these rows."""
    from recovery.parity import own

    found = _found(public_id)
    matters = outcomes.read(since=found.since, until=found.until, at=found.at)
    answer = HttpResponse(
        own.as_map(matters, public=audits.public_channels()), content_type="application/toml; charset=utf-8"
    )
    answer["Content-Disposition"] = f'attachment; filename="certificate-{found.month:%Y-%m}.toml"'
    return answer


urlpatterns: list[URLPattern] = [
    path("equal-treatment/certificates/", listed, name="certificates"),
    path("equal-treatment/certificates/<uuid:public_id>/", certificate, name="certificate"),
    path("equal-treatment/certificates/<uuid:public_id>/certificate.json", as_json, name="certificate_json"),
    path("equal-treatment/certificates/<uuid:public_id>/matters.csv", as_csv, name="certificate_csv"),
    path("equal-treatment/certificates/<uuid:public_id>/map.toml", as_map, name="certificate_map"),
]
