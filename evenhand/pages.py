"""What Evenhand's pages need of the middlewares that packages bring."""

from __future__ import annotations

from csp.middleware import CSPMiddleware
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.locale import LocaleMiddleware
from django.utils import translation

from crm.language import tags

FOR_STAFF_AND_PROGRAMS = ("/admin/", "/accounts/", "/api/", "/_allauth/")


class ContentPolicyMiddleware(CSPMiddleware):
    """Builds the content policy of pages; an answer that brought its own is left as it is."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        return response if "Content-Security-Policy" in response else super().process_response(request, response)


class LanguageMiddleware(LocaleMiddleware):
    """Speaks the visitor's language: on public pages one of those customers are written to in, on all others the staff's.

    On a public page `?language=de` comes before what the browser asks for, so that a visitor can choose; nothing is kept.
    """

    def process_request(self, request: HttpRequest) -> None:
        if request.path_info.startswith(FOR_STAFF_AND_PROGRAMS):
            super().process_request(request)
            return
        wanted = (request.GET.get("language", ""), *tags.told(request.headers.get("Accept-Language", "")))
        language = tags.closest(wanted, offered=settings.EVENHAND_CUSTOMER_LANGUAGES)
        translation.activate(language)
        request.LANGUAGE_CODE = language
        request.offered_languages = [(tag, tags.own_name(tag)) for tag in settings.EVENHAND_CUSTOMER_LANGUAGES]  # type: ignore[attr-defined]
