"""Is it alive, is it ready."""

from __future__ import annotations

from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse

from crm.actions import journal


def livez(request: HttpRequest) -> HttpResponse:
    """The web server answers."""
    return HttpResponse("ok\n", content_type="text/plain")


def readyz(request: HttpRequest) -> JsonResponse:
    """The web server and the database answer, and nobody who was erased is back.

    The broker is not asked: nothing that a request does needs it.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except OperationalError:
        return JsonResponse({"ready": False, "database": "does not answer"}, status=503)
    shut = journal.shut_because()
    if shut:  # a restored backup, in which people are who were erased since (P08)
        return JsonResponse({"ready": False, "code": shut}, status=503)
    return JsonResponse({"ready": True})
