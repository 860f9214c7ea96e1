"""The door of every channel's provider: what it posts is believed by its signature over the bytes as they came, and kept.

What is not believed leaves nothing but a count. What cannot be understood is kept for a person and answered well: a provider that
hears of errors stops telling us anything (H06).
"""

from __future__ import annotations

import logging
import uuid
from typing import Final

from django.conf import settings
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.urls import path
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from crm.actions import channel_accounts, channel_hooks, floods
from crm.channels.provided import NoSuchProvider, by_name
from crm.channels.providers import NotGenuine, Post, Reply
from crm.models import ChannelAccount
from crm.policy import COUNTED_WITHIN

logger = logging.getLogger(__name__)

LARGEST: Final = 3_000_000
"""Bytes of one post; files come by address, not inside."""


@csrf_exempt  # a program posts here, with a signature instead of a session
def hook(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Take one post for an account; the account stands in the address, never in what is posted (H07)."""
    known = channel_accounts.hooked(public_id)
    if known is None:
        raise Http404
    account, told = known.account, known.told
    try:
        provider = by_name(account.provider)
    except NoSuchProvider:
        raise Http404 from None
    if request.method not in ("GET", "HEAD", "POST"):
        return HttpResponse(status=405, headers={"Allow": "GET, HEAD, POST"})
    at = timezone.now()
    body = _body(request)
    if body is None:
        return HttpResponse(status=413 if _stated(request) > LARGEST else 400)
    post = _post(request, body)
    if request.method == "HEAD" or (request.method == "GET" and not post.query):
        return HttpResponse()  # somebody looks whether the address is there
    try:
        if request.method == "GET":
            answered = provider.handshake(post, told)
            if answered is not None:
                return _answer(answered)
        try:
            genuine = provider.verify(post, told, at=at)
        except NotGenuine:
            newest = None if known.is_fresh else channel_accounts.hooked(public_id, again=True)
            if newest is None:
                raise
            account, told = newest.account, newest.told  # its secret may be a new one
            genuine = provider.verify(post, told, at=at)
        if provider.asks(post):
            return _answer(provider.handshake(post, told) or Reply(status=400))
    except NotGenuine as refusal:
        return _refused(account, refusal)
    except ValueError:  # more fields than a form may have, or bytes that are no text where text is signed
        return HttpResponse(status=400)
    try:
        floods_now = floods.of_account(account, at=at)
        if floods_now:
            floods.tell(account, at=at)
            if provider.tries_again:
                return HttpResponse(status=429, headers={"Retry-After": str(int(COUNTED_WITHIN.total_seconds()))})
        channel_hooks.take(account, post, genuine, at=at, later=floods_now, told=told)
    except OperationalError:
        logger.warning("A post for the channel account %s waits for the database.", account.public_id)
        return HttpResponse(status=503, headers={"Retry-After": "30"})
    return _answer(provider.reply(post, told))


def _body(request: HttpRequest) -> bytes | None:
    """The bytes of a post as they came; None when some are missing or there are too many (W07)."""
    if request.method in ("GET", "HEAD"):
        return b""
    stated = _stated(request)
    if not 0 <= stated <= LARGEST:
        return None
    try:
        body = request.read(stated)
    except UnreadablePostError:
        return None
    return body if len(body) == stated else None


def _stated(request: HttpRequest) -> int:
    """How long a post says that it is; -1 when it says nothing that is a length."""
    stated = str(request.META.get("CONTENT_LENGTH") or "0")
    return int(stated) if stated.isascii() and stated.isdigit() and len(stated) < 16 else -1


def _post(request: HttpRequest, body: bytes) -> Post:
    query = str(request.META.get("QUERY_STRING", ""))
    return Post(
        method=str(request.method),
        url=settings.PUBLIC_URL + request.path + (f"?{query}" if query else ""),
        query=query,
        headers=_headers(request),
        body=body,
        received_at=timezone.now(),
    )


def _headers(request: HttpRequest) -> dict[str, str]:
    """What `request.headers` holds, by names in small letters."""
    told = {
        name[5:].replace("_", "-").lower(): value for name, value in request.META.items() if name.startswith("HTTP_")
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if name in request.META:
            told[name.replace("_", "-").lower()] = request.META[name]
    return told


def _refused(account: ChannelAccount, refusal: NotGenuine) -> HttpResponse:
    logger.warning("A post for the channel account %s was not believed: %s.", account.public_id, refusal.code)
    channel_accounts.not_believed(account, refusal.code, at=timezone.now())
    return HttpResponse(status=refusal.status)


def _answer(reply: Reply) -> HttpResponse:
    answered = HttpResponse(reply.body, status=reply.status, content_type=reply.content_type)
    answered["X-Content-Type-Options"] = "nosniff"
    return answered


urlpatterns = [path("hooks/channel/<uuid:public_id>/", hook, name="channel_hook")]
