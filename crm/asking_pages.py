"""Public pages on which a customer answers our questions, or says that they want no more of them. No log-in, no cookie, no script.

Opening a link changes nothing (a mail scanner may); pressing a button does. A link opens one question and nothing else (W11).
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils import timezone, translation
from django.views.decorators.csrf import csrf_exempt

from crm.actions import letters, survey
from crm.language import tags
from crm.models import Ask
from crm.policy.asking import ITEMS


@csrf_exempt  # no session stands behind it; whoever holds the link may press, and nobody else knows it
def answer(request: HttpRequest, token: str) -> HttpResponse:
    """Show the questions (GET); keep the answers, the first time (POST). Every one of them can be skipped."""
    if request.method not in ("GET", "HEAD", "POST"):
        return HttpResponse(status=405, headers={"Allow": "GET, HEAD, POST"})
    at = timezone.now()
    try:
        ask = survey.opened(token, at=at)
        if request.method != "POST":
            return _page(request, ask, is_answered=hasattr(ask, "answer"))
        given = {item: _choice(request.POST.get(item, "")) for item in ITEMS}
        survey.answer(
            token,
            given if request.POST.get("press") != "skip" else {},
            words=request.POST.get("words", ""),
            wants_answer=request.POST.get("wants_answer") == "yes",
            language=_language(request, ask),
            at=at,
        )
    except survey.UnknownLink as unknown:
        raise Http404 from unknown
    except (survey.UnusableAnswer, ValueError):
        return _page(request, ask, refused=True, status=400)
    return _page(request, ask, is_answered=True)


def _choice(told: str) -> int | None:
    """A chosen answer; None for none. Raises ValueError for what the page does not offer."""
    return int(told[:3]) if told else None


@csrf_exempt  # RFC 8058: the mail program posts here by itself, without a page of ours before it
def stop(request: HttpRequest, token: str) -> HttpResponse:
    """Ask (GET) and stop (POST); the link grants this one thing and shows nothing about anybody."""
    if request.method not in ("GET", "HEAD", "POST"):
        return HttpResponse(status=405, headers={"Allow": "GET, HEAD, POST"})
    at = timezone.now()
    try:
        ask = survey.opened(token, at=at, act="stop")
        if request.method == "POST":
            survey.stop(token, at=at)
    except survey.UnknownLink as unknown:
        raise Http404 from unknown
    return _shown(request, ask, "crm/asked_stop.html", {"stopped": request.method == "POST"})


def _page(
    request: HttpRequest, ask: Ask, *, is_answered: bool = False, refused: bool = False, status: int = 200
) -> HttpResponse:
    asked = [
        {"name": item, "words": words, "answers": range(1, ITEMS[item] + 1), "chosen": request.POST.get(item, "")}
        for item, words in survey.questions(_language(request, ask)).items()
    ]
    context = {
        "questions": asked,
        "words": request.POST.get("words", ""),
        "is_answered": is_answered,
        "refused": refused,
        "longest": survey.LONGEST_WORDS,
        "shop": settings.EVENHAND_MAIL_NAME,
    }
    return _shown(request, ask, "crm/asked.html", context, status=status)


def _language(request: HttpRequest, ask: Ask) -> str:
    """The visitor's choice of language, else the one the customer is written to in."""
    chosen = tags.normalised(request.GET.get("language", ""))
    return letters.language_for(chosen or ask.conversation.customer.language)


def _shown(
    request: HttpRequest, ask: Ask, template: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    language = _language(request, ask)
    with translation.override(language):
        request.LANGUAGE_CODE = language
        page = render(request, template, context, status=status)
    page["Cache-Control"] = "no-store"
    page["Referrer-Policy"] = "no-referrer"
    page["X-Robots-Tag"] = "noindex"
    return page


urlpatterns = [
    path("asked/stop/<str:token>/", stop, name="asked-stop"),
    path("asked/<str:token>/", answer, name="asked"),
]
