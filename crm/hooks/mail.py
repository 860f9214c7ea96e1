"""The door of mail providers: what they post about our mail, and the mail they take in for us.

A post is believed when it carries a secret of ours (two may be in use, so that one can be changed) and, where the provider
signs, its signature over the bytes as they came. What cannot be understood is kept for a person and answered well: a
provider that hears of errors stops telling us anything (H06).
"""

from __future__ import annotations

import json
import logging
import re
from importlib import import_module
from typing import Any, Final

from anymail.exceptions import AnymailError, AnymailImproperlyInstalled, AnymailWebhookValidationFailure
from anymail.webhooks.base import AnymailBaseWebhookView, AnymailBasicAuthMixin
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse, QueryDict, UnreadablePostError
from django.urls import path
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from crm.actions import deliveries
from crm.channels import esp, esp_fetching, esp_inbound
from crm.channels.email.writing import File

logger = logging.getLogger(__name__)

LARGEST: Final = 60_000_000
"""Bytes of one post: a mail of 25 MB, written in base64 inside JSON, and the fields around it."""
MOST_FIELDS: Final = 500
_NAMES: Final = {
    "amazon_ses": "AmazonSES",
    "brevo": "Brevo",
    "mailersend": "MailerSend",
    "mailgun": "Mailgun",
    "mailjet": "Mailjet",
    "mailtrap": "Mailtrap",
    "mandrill": "Mandrill",
    "postal": "Postal",
    "postmark": "Postmark",
    "resend": "Resend",
    "sendgrid": "SendGrid",
    "sparkpost": "SparkPost",
    "unisender_go": "UnisenderGo",
}
_FIELD: Final = re.compile(rb'(?<![a-z*])name="((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_FILE: Final = re.compile(rb'filename="((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_TYPE: Final = re.compile(rb"^content-type:[ \t]*([^\r\n]{1,200})", re.IGNORECASE | re.MULTILINE)
_BOUNDARY: Final = re.compile(r'boundary="?([^";,\s]{1,200})"?', re.IGNORECASE)

INBOUND, TRACKING = "inbound", "tracking"


@csrf_exempt  # a program posts here, with a secret instead of a session
def hook(request: HttpRequest, provider: str, what: str) -> HttpResponse:
    """Take one post of the configured provider. what: "tracking" or "inbound"; mandrill posts both to either."""
    view = _view(provider, what)
    if request.method == "HEAD" or (request.method == "GET" and provider == "unisender_go"):
        return HttpResponse()  # providers look whether the address is there
    if request.method != "POST":
        return HttpResponse(status=405, headers={"Allow": "POST, HEAD"})
    view.setup(request)
    try:
        AnymailBasicAuthMixin.validate_request(view, request)
    except AnymailWebhookValidationFailure:
        return _refused("it does not carry our secret", 401)
    body = _body(request)
    if body is None:
        return _refused("its body is cut off or too large", 400)
    try:
        post = _read(request, body)
        view.run_validators(request)
    except AnymailWebhookValidationFailure:
        return _refused("its signature is not right", 403)
    except (AnymailError, ImproperlyConfigured, *esp_inbound.UNREADABLE):
        return _refused("it cannot be read", 400)
    try:
        return _taken(view, request, post, provider=provider, what=what)
    except OperationalError:
        logger.warning("A post of the mail provider waits for the database.")
        return HttpResponse(status=503, headers={"Retry-After": "30"})


def _view(provider: str, what: str) -> Any:
    """anymail's view for one kind of post; 404 for a provider that is not ours."""
    is_ours = provider == settings.EVENHAND_MAIL_PROVIDER and provider in _NAMES and settings.ANYMAIL["WEBHOOK_SECRET"]
    if not is_ours or what not in (INBOUND, TRACKING) or (what == INBOUND and not esp_inbound.takes_mail_in(provider)):
        raise Http404
    kind = "Combined" if provider == "mandrill" else what.capitalize()
    found: Any = getattr(import_module(f"anymail.webhooks.{provider}"), f"{_NAMES[provider]}{kind}WebhookView")
    try:
        return found()
    except AnymailImproperlyInstalled:
        if provider != "amazon_ses":
            raise
    return type(found.__name__, (_WithoutItsLibrary, found), {})()


class _WithoutItsLibrary(AnymailBaseWebhookView):  # type: ignore[misc]
    """Amazon's reports can be heard without its large library; only sending, and mail that it puts into S3, need that."""

    def __init__(self) -> None:
        self.auto_confirm_enabled = True
        AnymailBaseWebhookView.__init__(self)  # past Amazon's own, which asks for the library

    def auto_confirm_sns_subscription(self, told: dict[str, Any]) -> None:
        """Say yes to a subscription whose post carried our secret."""
        esp_fetching.confirm_subscription(str(told["SubscribeURL"]))


def views(provider: str) -> list[Any]:
    """Make every view of a provider, as a check of its settings. Raises ImproperlyConfigured when one is missing."""
    return [
        _view(provider, what) for what in (TRACKING, INBOUND) if what == TRACKING or esp_inbound.takes_mail_in(provider)
    ]


def _refused(why: str, status: int) -> HttpResponse:
    logger.warning("A post to the mail provider's address was refused: %s.", why)
    headers = {"WWW-Authenticate": 'Basic realm="mail provider"'} if status == 401 else {}
    return HttpResponse(status=status, headers=headers)


def _body(request: HttpRequest) -> bytes | None:
    """The bytes of a post as they came; None when some are missing or there are too many."""
    stated = str(request.META.get("CONTENT_LENGTH") or "")
    if not stated.isdigit() or int(stated) > LARGEST:
        return None
    try:
        body = request.read(int(stated))
    except UnreadablePostError:
        return None
    if len(body) != int(stated):
        return None
    # What a mail holds may be larger than what forms of people may hold; anymail's signature checks read these bytes.
    request._body = body
    return body


def _read(request: HttpRequest, body: bytes) -> esp_inbound.Post:
    """Split a post into what it holds. Raises esp_inbound.UNREADABLE for what is neither JSON nor a form."""
    event_id = request.headers.get("svix-id", "")[:200]
    if request.content_type == "application/x-www-form-urlencoded":
        form = QueryDict(body, encoding="utf-8")
        request.POST = form
        return esp_inbound.Post(fields={name: str(value) for name, value in form.items()}, event_id=event_id)
    if request.content_type == "multipart/form-data":
        fields, files = _parts(body, request.META.get("CONTENT_TYPE", ""))
        values = {name: value.decode("utf-8", "replace") for name, value in fields}
        request.POST = _form([(name, value.decode("utf-8", "replace")) for name, value in fields])
        return esp_inbound.Post(fields=values, raw_fields=dict(fields), files=files, event_id=event_id)
    return esp_inbound.Post(document=json.loads(body.decode("utf-8")), event_id=event_id)


def _form(fields: list[tuple[str, str]]) -> Any:
    """The fields as anymail's signature checks read them."""
    form: Any = QueryDict(mutable=True)
    for name, value in fields:
        form.appendlist(name, value)
    return form


def _parts(body: bytes, content_type: str) -> tuple[list[tuple[str, bytes]], dict[str, File]]:
    """The fields and files of a form (RFC 7578), bytes as they came; Django's own reader drops files by their names."""
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        raise ValueError("a form without a boundary")
    fields: list[tuple[str, bytes]] = []
    files: dict[str, File] = {}
    for chunk in (b"\r\n" + body).split(b"\r\n--" + boundary[1].encode())[1 : MOST_FIELDS + 1]:
        head, _blank, content = chunk.partition(b"\r\n\r\n")
        named, file = _FIELD.search(head), _FILE.search(head)
        if chunk.startswith(b"--") or named is None:
            continue
        name = named[1].decode("utf-8", "replace")
        if file is None:
            fields.append((name, content))
        else:
            kind = _TYPE.search(head)
            files[name] = File(
                content, kind[1].decode("ascii", "replace") if kind else "", file[1].decode("utf-8", "replace")
            )
    return fields, files


def _taken(view: Any, request: HttpRequest, post: esp_inbound.Post, *, provider: str, what: str) -> HttpResponse:
    at, body = timezone.now(), request.body
    try:
        mails, news = [], []
        if what == INBOUND or _is_mandrills_mail(post, provider):
            mails = esp_inbound.inbound(post, provider=provider, fetch=esp_fetching.fetcher(view, provider=provider))
        else:
            news = [esp.news(event, provider=provider) for event in view.parse_events(request) if event is not None]
    except esp_fetching.NotFetched as trouble:
        logger.warning("A mail could not be fetched from its provider (%s); it posts again.", trouble)
        return HttpResponse(status=503, headers={"Retry-After": "60"})
    except (AnymailError, ImproperlyConfigured, *esp_inbound.UNREADABLE) as trouble:
        logger.warning("A post of the mail provider could not be understood (%s); it is kept.", type(trouble).__name__)
        deliveries.keep_unreadable(body, provider=provider, reason=type(trouble).__name__, at=at)
        return HttpResponse()
    if mails:
        deliveries.keep_mails(mails, at=at)
    for one in news:
        deliveries.report(one, at=at)
    return HttpResponse()


def _is_mandrills_mail(post: esp_inbound.Post, provider: str) -> bool:
    """Mandrill posts reports and mail to one address, never both in one post."""
    return provider == "mandrill" and any(
        isinstance(one, dict) and one.get("event") == "inbound" for one in json.loads(post.fields["mandrill_events"])
    )


urlpatterns = [path("hooks/mail/<str:provider>/<str:what>/", hook, name="mail_hook")]
