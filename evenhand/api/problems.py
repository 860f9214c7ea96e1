"""One error shape for everything (RFC 9457): stable codes for programs, one sentence for people."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from django.utils.translation import gettext as _
from django.views import defaults
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import set_rollback

from crm.actions import (
    accounts,
    adverse,
    answers,
    call_backs,
    calls,
    consent,
    custom_fields,
    customers,
    desk,
    drafts,
    elsewhere,
    endings,
    handoffs,
    identity,
    identity_checks,
    in_public,
    intake,
    letters,
    outgoing,
    owners,
    packages,
    preferences,
    queue,
    representatives,
    rota,
    routing,
    service_changes,
    statements,
    talks,
    undo,
    waits,
    work,
)
from crm.language.searching import UnusableSearch
from crm.policy import NoSuchTime
from crm.policy.fields import UnusableValue
from recovery import actions as recovery_actions

logger = logging.getLogger(__name__)

PROBLEM = "application/problem+json"

REFUSALS: dict[type[Exception], int] = {
    intake.NothingSaid: 400,
    intake.DifferentContent: 422,
    outgoing.DifferentContent: 422,
    outgoing.WrongState: 409,
    identity.UnusableAddress: 400,
    identity_checks.AlreadyAsked: 409,
    identity_checks.CheckSettled: 409,
    identity_checks.CodeAlone: 409,
    identity_checks.NothingProved: 409,
    identity_checks.NotThatCode: 400,
    identity_checks.ReasonNeeded: 400,
    identity_checks.TooManyCodes: 429,
    desk.WrongState: 409,
    desk.NoWayBack: 409,
    desk.StillPromised: 409,
    answers.NotThen: 409,
    answers.NewerSaid: 409,
    elsewhere.AnswerHere: 409,
    in_public.OtherVisibility: 409,
    in_public.TellsPersonalThings: 409,
    in_public.NothingToLookAt: 409,
    in_public.NeedsAnother: 409,
    elsewhere.SignOffMissing: 409,
    answers.TooLong: 422,
    answers.WindowClosed: 409,
    representatives.NotTold: 409,
    NoSuchTime: 400,
    packages.NotProved: 403,
    packages.AddressIsNew: 409,
    packages.NoPackage: 404,
    undo.TooLate: 409,
    undo.NotTheirs: 403,
    undo.PartOfMore: 409,
    drafts.NotShared: 409,
    drafts.Changed: 409,
    owners.AlreadyOwned: 409,
    queue.NotNext: 409,
    queue.InWork: 409,
    queue.NotHeld: 409,
    routing.Refused: 409,
    handoffs.NotYours: 403,
    handoffs.HandOffLocked: 409,
    handoffs.AlreadyOffered: 409,
    handoffs.NotOffered: 409,
    rota.NotPossible: 400,
    talks.NotYet: 400,
    talks.NotTheirMatter: 409,
    calls.NotAnswered: 409,
    calls.WrittenDown: 409,
    call_backs.CallOver: 409,
    call_backs.NoNumber: 409,
    call_backs.NothingToTry: 409,
    work.NotParked: 409,
    consent.CannotBeAllowed: 400,
    consent.EvidenceMissing: 400,
    customers.NoSuchDay: 400,
    custom_fields.RecordClosed: 409,
    UnusableValue: 400,
    accounts.NoSecondWay: 409,
    accounts.CodesUsedUp: 429,
    accounts.WrongCode: 400,
    accounts.SecondProofMissing: 409,
    accounts.AddressIsNew: 409,
    preferences.OtherWords: 409,
    UnusableSearch: 400,
    letters.Unfilled: 400,
    service_changes.OtherChange: 422,
    service_changes.UnknownCustomer: 400,
    service_changes.UnusableChange: 400,
    statements.Contradicts: 409,
    endings.SamePerson: 409,
    endings.ReasonMissing: 400,
    endings.NotTriedEnough: 409,
    waits.AlreadyWaiting: 409,
    waits.NotWaiting: 409,
    adverse.WrongStep: 409,
    adverse.NeedsSecondPerson: 409,
    adverse.Involved: 409,
    recovery_actions.ReasonMissing: 400,
    recovery_actions.SettledBySame: 409,
    recovery_actions.FellSilent: 409,
    recovery_actions.BeyondEntitlement: 409,
    recovery_actions.InsideEntitlement: 409,
    recovery_actions.NotForPublic: 409,
    recovery_actions.OtherPersonWrote: 409,
    recovery_actions.SameApprover: 409,
    recovery_actions.HeldForSecondPerson: 409,
    recovery_actions.SawReach: 409,
    recovery_actions.AlreadyDecided: 409,
    recovery_actions.DifferentGrant: 422,
    recovery_actions.UnusableAmount: 400,
    recovery_actions.WrongReview: 409,
    recovery_actions.HadAPart: 409,
    recovery_actions.WrongStatus: 409,
    recovery_actions.ExplanationMissing: 400,
    recovery_actions.UnusableFacts: 400,
    recovery_actions.WrongVersionState: 409,
    recovery_actions.UnusableRule: 400,
    recovery_actions.NoSuchRule: 404,
    recovery_actions.DraftNotChecked: 409,
    recovery_actions.DraftFailedChecks: 409,
    recovery_actions.DraftChangedSinceCheck: 409,
    recovery_actions.NeedsSecondPerson: 409,
    recovery_actions.MustStartInFuture: 400,
}
"""Every refusal an action may give, and the HTTP status it has at this door; the code is the refusal's own."""

TITLES = {
    400: "The request cannot be understood",
    401: "Please log in",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible here",
    406: "Not available in this form",
    409: "Not possible now",
    413: "Too large",
    415: "Not in this form",
    422: "Used before with other content",
    429: "Too many requests",
    500: "Something went wrong on our side",
    503: "Not available for a moment",
}


def problem(
    request: HttpRequest | Request, *, code: str, http_status: int, detail: str, errors: Sequence[dict[str, str]] = ()
) -> dict[str, Any]:
    """Make a problem document."""
    return {
        "type": f"urn:evenhand:problem:{code}",
        "title": TITLES.get(http_status, "Refused"),
        "status": http_status,
        "code": code,
        "detail": detail,
        "instance": request.path,
        "errors": list(errors),
    }


def problem_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Turn whatever a view raised into a problem document; an unexpected error stays a 500 for the log and handler500."""
    request: Request = context["request"]
    headers: dict[str, str] = {}
    errors: list[dict[str, str]] = []
    http_status = next((status for refusal, status in REFUSALS.items() if isinstance(exc, refusal)), 0)
    if http_status:
        code, detail = str(getattr(exc, "code", "refused")), str(exc)
    else:
        if isinstance(exc, Http404):
            exc = exceptions.NotFound()
        elif isinstance(exc, PermissionDenied):
            exc = exceptions.PermissionDenied()
        elif isinstance(exc, OperationalError):
            logger.error("The database did not answer in time.", exc_info=exc)
            set_rollback()
            document = problem(
                request,
                code="busy",
                http_status=503,
                detail=_("We are busy for a moment. Please try again; nothing was changed."),
            )
            return Response(document, status=503, headers={"Retry-After": "2"}, content_type=PROBLEM)
        if not isinstance(exc, exceptions.APIException):
            return None
        http_status = exc.status_code
        code = exc.default_code if isinstance(exc, exceptions.ValidationError) else str(exc.get_codes())
        if isinstance(exc, exceptions.ValidationError):
            errors = _flat(exc.get_full_details(), "")
            detail = _("Some fields need another look.") if errors else str(exc.detail)
            code = "invalid"
        else:
            detail = str(exc.detail)
        if getattr(exc, "auth_header", None):
            headers["WWW-Authenticate"] = exc.auth_header  # type: ignore[attr-defined]
        if getattr(exc, "wait", None):
            headers["Retry-After"] = str(int(exc.wait))  # type: ignore[attr-defined]
    set_rollback()
    document = problem(request, code=code, http_status=http_status, detail=detail, errors=errors)
    return Response(document, status=http_status, headers=headers, content_type=PROBLEM)


def _flat(details: Any, path: str) -> list[dict[str, str]]:
    if (
        isinstance(details, dict)
        and set(details) == {"message", "code"}
        and not isinstance(details["message"], dict | list)
    ):
        return [{"field": path, "code": str(details["code"]), "detail": str(details["message"])}]
    if isinstance(details, dict):
        return [found for name, inner in details.items() for found in _flat(inner, f"{path}.{name}".strip("."))]
    return [found for inner in details for found in _flat(inner, path)]


def not_found(request: HttpRequest, exception: Exception) -> Any:
    """404 in the one error shape under /api/, a page elsewhere."""
    if request.path.startswith("/api/"):
        document = problem(request, code="not_found", http_status=404, detail=_("There is nothing here."))
        return JsonResponse(document, status=404, content_type=PROBLEM)
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> Any:
    """500 in the one error shape under /api/, a page elsewhere."""
    if request.path.startswith("/api/"):
        document = problem(
            request,
            code="internal_error",
            http_status=500,
            detail=_("Something went wrong on our side. Nothing was changed."),
        )
        return JsonResponse(document, status=500, content_type=PROBLEM)
    return defaults.server_error(request)
