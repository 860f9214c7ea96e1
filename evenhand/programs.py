"""The short way of programs: a request under /api/ by access token, or what a provider posts, goes past everything that only pages
need."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from allauth.core import context
from django.core.handlers.base import BaseHandler
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest
from django.middleware.common import CommonMiddleware
from django.middleware.security import SecurityMiddleware
from django.utils import translation
from django.utils.cache import patch_vary_headers

from evenhand.viewer import NOT_A_PAGE, not_a_page

Answers = Callable[[HttpRequest], Any]


class _Straight(BaseHandler):
    """Finds the view of an address and calls it, with nothing around it."""

    _view_middleware = _template_response_middleware = _exception_middleware = ()


class ProgramsMiddleware:
    """Stands before all others. A program's request goes straight to its view; any other goes on through the pages' ones.

    A program names itself by a token or a signature at every request, so nobody else's page can make it ask: it needs no session,
    form, message or frame. What the others do for programs too is done here: safe headers, a host that is ours, a language,
    the length of the answer, no cache. An address without its last slash is left to the others, which mend it.
    """

    def __init__(self, get_response: Answers) -> None:
        self._pages = get_response
        self._security = SecurityMiddleware(get_response)
        self._common = CommonMiddleware(get_response)
        self._straight: Any = _Straight()  # what it is asked for is known to Django's own handlers only
        self._viewed = convert_exception_to_response(self._view)

    def __call__(self, request: HttpRequest) -> Any:
        path = request.path_info
        by_token = path.startswith("/api/") and _brings_token(request)
        posts = path.startswith("/hooks/channel/") and request.method == "POST"
        if not (path.endswith("/") and (by_token or posts)):
            return self._pages(request)
        response = self._security.process_request(request) or self._answer(request)
        return self._security.process_response(request, response)

    def _answer(self, request: Any) -> Any:
        translation.activate(translation.get_language_from_request(request))
        request.LANGUAGE_CODE = language = translation.get_language()
        request.allauth = SimpleNamespace()
        with context.request_context(request):
            response: Any = self._viewed(request)
        patch_vary_headers(response, ("Accept-Language",))
        response.headers.setdefault("Content-Language", language)
        if request.path_info.startswith("/hooks/"):
            response.headers.setdefault("Content-Security-Policy", NOT_A_PAGE)
        return not_a_page(self._common.process_response(request, response))

    def _view(self, request: HttpRequest) -> Any:
        return self._common.process_request(request) or self._straight._get_response(request)


def _brings_token(request: HttpRequest) -> bool:
    return str(request.META.get("HTTP_AUTHORIZATION", "")).startswith("Bearer ")
