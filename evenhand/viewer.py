"""Times are stored in UTC and shown in the zone of whoever looks."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

ADMIN_POLICY = {"script-src": ["'self'", "'unsafe-eval'"], "style-src": ["'self'", "'unsafe-inline'"]}
"""What the admin's theme needs beyond the strict policy of the settings: it evaluates expressions of its own templates
(Alpine.js) and sets inline styles. No inline script anywhere; every other page keeps the strict policy."""
NOT_A_PAGE = "default-src 'none'; frame-ancestors 'none'"
"""The policy of an answer for programs: nothing in it is ever to be shown or run."""
THEMED = ("/admin/", "/accounts/")


def not_a_page(response: HttpResponseBase) -> HttpResponseBase:
    """Keep an answer for programs out of caches, and what is not to be shown from being shown."""
    response.headers.setdefault("Cache-Control", "no-store")
    if response.headers.get("Content-Type", "").startswith(("application/json", "application/problem+json")):
        response.headers.setdefault("Content-Security-Policy", NOT_A_PAGE)
    return response


class ViewerZoneMiddleware:
    """Activates the viewer's zone on pages, and keeps pages of people who are logged in out of caches (P16).

    Pages that wear the admin's theme are given the content policy that it needs.

    The API speaks UTC and is left alone: no account is looked up for it here.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path.startswith(("/api/", "/_allauth/", "/static/", "/livez", "/readyz")):
            response = self.get_response(request)
            return response if request.path.startswith("/static/") else not_a_page(response)
        zone = getattr(request.user, "zone", "") or settings.EVENHAND_ZONE
        try:
            timezone.activate(ZoneInfo(zone))
        except (ZoneInfoNotFoundError, ValueError):
            timezone.activate(ZoneInfo(settings.EVENHAND_ZONE))
        try:
            response = self.get_response(request)
        finally:
            timezone.deactivate()
        if request.path.startswith(THEMED):
            response._csp_replace = ADMIN_POLICY  # type: ignore[attr-defined]
        if request.user.is_authenticated:
            response.headers.setdefault("Cache-Control", "no-store")
        return response
