"""Public pages of loyalty: no more cards. Opening the link changes nothing (a mail scanner may); pressing the button does."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from loyalty import actions


@csrf_exempt  # RFC 8058: the mail program posts here by itself, without a page of ours before it
def stop(request: HttpRequest, token: str) -> HttpResponse:
    """Ask (GET) and stop (POST); the link grants this one thing and shows nothing about anybody."""
    try:
        if request.method == "POST":
            actions.stop(token, at=timezone.now())
        else:
            actions.opened(token)
    except actions.UnknownLink as refusal:
        raise Http404 from refusal
    return render(request, "loyalty/stop.html", {"stopped": request.method == "POST"})


urlpatterns = [path("stop/<str:token>/", stop, name="stop-gestures")]
