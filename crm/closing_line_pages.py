"""The public page on which a customer says that they want no public last word. No log-in, no cookie, no script.

Opening the link changes nothing (a mail scanner may); pressing the button does. It opens this one line and nothing else (W11).
"""

from __future__ import annotations

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils import timezone, translation
from django.views.decorators.csrf import csrf_exempt

from crm.actions import closing_lines, letters
from crm.language import tags
from crm.policy.closing_lines import LineState


@csrf_exempt  # no session stands behind it; whoever holds the link may press, and nobody else knows it
def say_no(request: HttpRequest, token: str) -> HttpResponse:
    """Show the planned words (GET); keep them from standing in public (POST)."""
    if request.method not in ("GET", "HEAD", "POST"):
        return HttpResponse(status=405, headers={"Allow": "GET, HEAD, POST"})
    try:
        line = closing_lines.opened(token)
        if request.method == "POST":
            line = closing_lines.say_no(token, at=timezone.now())
    except closing_lines.UnknownLink as unknown:
        raise Http404 from unknown
    chosen = tags.normalised(request.GET.get("language", ""))
    language = letters.language_for(chosen or line.conversation.customer.language)
    is_written = line.state == LineState.POSTED
    context = {
        "house": settings.EVENHAND_MAIL_NAME,
        "words": line.text,
        "is_written": is_written,
        "is_late": is_written and line.said_no_at is not None,
        "is_stopped": line.state in (LineState.STOPPED, LineState.DROPPED),
    }
    with translation.override(language):
        request.LANGUAGE_CODE = language
        page = render(request, "crm/closing_line.html", context)
    page["Cache-Control"] = "no-store"
    page["Referrer-Policy"] = "no-referrer"
    page["X-Robots-Tag"] = "noindex"
    return page


urlpatterns = [path("in-public/<str:token>/", say_no, name="in-public")]
