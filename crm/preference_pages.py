"""Public pages on which customers say what we may send them: their own page, the answer to a question, and the way there.

A door like every other: it translates and makes one action call. No cookie, no log-in, no script. Opening a page changes
nothing; every change is a POST that carries a field which only a page just opened has (W02, W03, W06).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_exempt

from crm.actions import consent, identity, preferences, questions
from crm.language import tags
from crm.networks import PROOF, network_of_request
from crm.policy.consent import PAUSES, WORDS, WORDS_VERSION, Medium, Purpose
from crm.policy.ledger import ProofDoor

PAGE_LASTS = timedelta(days=1)
"""For how long a page that stands open can still be pressed."""
SAME_FOR_ALL = 0.2
"""Seconds after which whoever asks for a link is answered, whether we know the address or not (W01)."""
GO_ON_WORDS = _("Go on sending me cards and surprises.")
NOT_SAVED = _(
    "This page stood open for long, or its words have changed since. Nothing was changed; please look again and press once more."
)
DONE: dict[str, Promise] = {
    "yes": _("Thank you. We have noted your yes."),
    "no": _("Done. We will not do that any more."),
    "not-me": _("Thank you for telling us. It is taken back, and noted that it was not you."),
    "pause": _("Done. Until then we send you nothing cheerful; answers to what you write still come."),
    "go-on": _("Done. The pause is over."),
    "nothing": _("Done. No more cards or surprises; answers to what you write still come."),
}
_fields = signing.TimestampSigner(salt="crm.preferences.field")


def _shown(request: HttpRequest, words: str, door: ProofDoor) -> consent.Shown:
    language = get_language() or settings.LANGUAGE_CODE
    return consent.Shown(
        words=words,
        version=WORDS_VERSION,
        language=language,
        door=door,
        network=network_of_request(request, bits=PROOF),
    )


def _kept_close(response: HttpResponse) -> HttpResponse:
    """The address of the page is the key to it: it is told to nobody, and no cache keeps what it opens."""
    response["Referrer-Policy"] = "no-referrer"
    response["Cache-Control"] = "no-store"
    response["X-Robots-Tag"] = "noindex"
    return response


def _field(token: str) -> str:
    return _fields.sign(f"{WORDS_VERSION}|{get_language()}|{signing.Signer(salt='crm.preferences').signature(token)}")


def _is_from_page(request: HttpRequest, token: str) -> bool:
    """Whether what was pressed stood on this very page, with the words as they are now, in the language that will be noted."""
    try:
        said = _fields.unsign(request.POST.get("field", ""), max_age=PAGE_LASTS)
    except signing.BadSignature:
        return False
    return said == f"{WORDS_VERSION}|{get_language()}|{signing.Signer(salt='crm.preferences').signature(token)}"


def _language_chosen(request: HttpRequest) -> str:
    return tags.normalised(request.GET.get("language", ""))


# --- their own page ----------------------------------------------------------------------------------------------------


@csrf_exempt  # no session stands behind it, and a token would be a cookie; the field of the page itself is asked for
def page(request: HttpRequest, token: str) -> HttpResponse:
    """Show what a customer allows; a POST changes one thing. A link that is not ours, too old or revoked is not there (W04)."""
    if request.method not in ("GET", "HEAD", "POST"):
        return HttpResponse(status=405, headers={"Allow": "GET, HEAD, POST"})
    at = timezone.now()
    try:
        opened = preferences.opened(token, at=at)
        if request.method != "POST":
            return _page(request, token, opened)
        if not _is_from_page(request, token):
            return _page(request, token, opened, note=NOT_SAVED, status=400)
        done = _changed(request, token)
    except questions.UnknownLink as refusal:
        raise Http404 from refusal
    except ValueError:  # a press that the page does not offer
        return _page(request, token, opened, note=NOT_SAVED, status=400)
    language = _language_chosen(request)
    again = f"{request.path}?done={done}" + (f"&language={language}" if language else "")
    return _kept_close(redirect(again))


def _changed(request: HttpRequest, token: str) -> str:
    """Make the one change that was pressed; which it was."""
    at = timezone.now()
    act, _colon, about = request.POST.get("press", "").partition(":")
    purpose, _dot, medium = about.partition(".")
    changes: dict[str, Callable[[], Any]] = {
        "yes": lambda: preferences.say_yes(
            token, purpose, medium, shown=_shown(request, _words(purpose, medium), ProofDoor.PAGE), at=at
        ),
        "no": lambda: preferences.say_no(token, purpose, medium, at=at),
        "not-me": lambda: preferences.say_no(token, purpose, medium, at=at, was_not_me=True),
        "pause": lambda: preferences.pause(token, int(about), at=at),
        "go-on": lambda: preferences.go_on(token, shown=_shown(request, str(GO_ON_WORDS), ProofDoor.PAGE), at=at),
        "nothing": lambda: preferences.nothing_cheerful(token, at=at),
    }
    if act not in changes:
        raise consent.CannotBeAllowed
    changes[act]()
    return act


def _words(purpose: str, medium: str) -> str:
    words = WORDS.get((purpose, medium))
    if words is None:
        raise consent.CannotBeAllowed
    return str(words)


def _page(
    request: HttpRequest, token: str, opened: preferences.Opened, *, note: Any = "", status: int = 200
) -> HttpResponse:
    at = timezone.now()
    shown = preferences.page(opened, at=at)
    groups = [
        (purpose.label, [(f"{line.purpose}.{line.medium}", line, Medium(line.medium).label) for line in lines])
        for purpose in Purpose
        if (lines := [line for line in shown.lines if line.purpose == purpose])
    ]
    context = {
        "shown": shown,
        "groups": groups,
        "pauses": PAUSES,
        "go_on_words": GO_ON_WORDS,
        "field": _field(token),
        "note": note,
        "done": DONE.get(request.GET.get("done", ""), ""),
        "shop": settings.EVENHAND_MAIL_NAME,
    }
    return _kept_close(render(request, "crm/preferences.html", context, status=status))


# --- the answer to a question ------------------------------------------------------------------------------------------


@csrf_exempt  # as above
def answer(request: HttpRequest, token: str) -> HttpResponse:
    """Show a question; a POST answers it. Whatever merely opens the link has said nothing (W06)."""
    if request.method not in ("GET", "HEAD", "POST"):
        return HttpResponse(status=405, headers={"Allow": "GET, HEAD, POST"})
    at, context = timezone.now(), {"shop": settings.EVENHAND_MAIL_NAME}
    try:
        opened = questions.opened(token, at=at)
        if request.method == "POST" and _is_from_page(request, token):
            yes = request.POST.get("press") == "yes"
            questions.answer(token, yes=yes, shown=_shown(request, opened.words, ProofDoor.LINK), at=at)
            done = {**context, "done": DONE["yes"] if yes else _("Thank you. We will not do that, and not ask again.")}
            return _kept_close(render(request, "crm/preferences_answered.html", done))
    except questions.UnknownLink as refusal:
        raise Http404 from refusal
    pressed = request.method == "POST"
    asked = {**context, "words": opened.words, "field": _field(token), "note": NOT_SAVED if pressed else ""}
    return _kept_close(render(request, "crm/preferences_answer.html", asked, status=400 if pressed else 200))


# --- the way to it -----------------------------------------------------------------------------------------------------


@csrf_exempt  # it changes nothing for anybody, and tells nobody anything
def ask(request: HttpRequest) -> HttpResponse:
    """Let somebody ask for the link to their page; the answer is the same for every address (W01)."""
    if request.method not in ("GET", "HEAD", "POST"):
        return HttpResponse(status=405, headers={"Allow": "GET, HEAD, POST"})
    began, address, refused = time.monotonic(), request.POST.get("email", ""), ""
    if request.method == "POST":
        try:
            preferences.send_link(address[:400], language=get_language() or "", at=timezone.now())
        except identity.UnusableAddress as refusal:
            refused = str(refusal)
        else:
            done = _kept_close(render(request, "crm/preferences_ask.html", {"done": True}))
            # Writing a letter takes a few milliseconds more than writing none; the clock must not tell which it was.
            time.sleep(max(0.0, SAME_FOR_ALL - (time.monotonic() - began)))
            return done
    context = {"refused": refused, "address": address}
    return _kept_close(render(request, "crm/preferences_ask.html", context, status=400 if refused else 200))


urlpatterns = [
    path("preferences/", ask, name="preferences-ask"),
    path("preferences/answer/<str:token>/", answer, name="preferences-answer"),
    path("preferences/<str:token>/", page, name="preferences"),
]
