"""What only a browser's pages need: sessions, forms, messages, frames. A request by access token goes past all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from csp.middleware import CSPMiddleware
from django.contrib.auth import middleware as auth
from django.contrib.messages import middleware as messages
from django.contrib.sessions import middleware as sessions
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware import clickjacking, csrf


class _ForPages:
    """Lets a request of a program pass: it brings no cookie that counts, sees no form, and is answered in JSON.

    A program names itself by a token at every request, so nobody else's page can make it ask.
    """

    get_response: Callable[[HttpRequest], Any]

    def __call__(self, request: HttpRequest) -> Any:
        if request.META.get("HTTP_AUTHORIZATION", "")[:7] == "Bearer " and request.path_info.startswith("/api/"):
            return self.get_response(request)
        return super().__call__(request)  # type: ignore[misc]


class ContentPolicyMiddleware(_ForPages, CSPMiddleware):
    """Builds the content policy of pages; an answer that brought its own is left as it is."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        return response if "Content-Security-Policy" in response else super().process_response(request, response)


class SessionMiddleware(_ForPages, sessions.SessionMiddleware):
    """Sessions of browsers."""


class CsrfViewMiddleware(_ForPages, csrf.CsrfViewMiddleware):
    """Protects forms."""


class AuthenticationMiddleware(_ForPages, auth.AuthenticationMiddleware):
    """Who is logged in by a session."""


class MessageMiddleware(_ForPages, messages.MessageMiddleware):
    """Messages on the next page."""


class XFrameOptionsMiddleware(_ForPages, clickjacking.XFrameOptionsMiddleware):
    """No page of ours in another's frame."""
