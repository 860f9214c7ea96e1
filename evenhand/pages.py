"""What Evenhand's pages need of the middlewares that packages bring."""

from __future__ import annotations

from csp.middleware import CSPMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase


class ContentPolicyMiddleware(CSPMiddleware):
    """Builds the content policy of pages; an answer that brought its own is left as it is."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        return response if "Content-Security-Policy" in response else super().process_response(request, response)
