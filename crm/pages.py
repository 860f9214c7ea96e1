"""Public pages: the contact form, of the house itself and those that stand on other sites. A door like every other: it
translates and makes one action call. No cookie is set, nothing comes from elsewhere, and it works without scripts.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.core import signing
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.core.files.uploadedfile import UploadedFile
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.module_loading import import_string
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_exempt

from crm.actions import accounts, identity, intake, letters
from crm.actions import forms as form_actions
from crm.channels import Part, web_form
from crm.language import tags
from crm.models import WebForm
from crm.networks import HOUSEHOLD, network_of_request
from crm.policy import QUESTION_LASTS

logger = logging.getLogger(__name__)

CANNOT_BE_READ = (RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent, MultiPartParserError, UnreadablePostError)
_keys = signing.TimestampSigner(salt="crm.web_form")
_moments = signing.Signer(salt="crm.web_form.promised")


class ContactForm(forms.Form):
    """What somebody tells us through the web. `key` makes a double click one message; `website` is a trap for programs."""

    name = forms.CharField(
        label=_("Your name"), max_length=200, required=False, widget=forms.TextInput({"autocomplete": "name"})
    )
    email = forms.CharField(
        label=_("Your e-mail address"),
        max_length=320,
        required=False,
        widget=forms.EmailInput({"autocomplete": "email", "aria-describedby": "id_email_helptext"}),
        help_text=_("So that we can answer you. If you have none, a phone number is enough."),
    )
    phone = forms.CharField(
        label=_("Your phone number"),
        max_length=60,
        required=False,
        widget=forms.TextInput({"autocomplete": "tel", "type": "tel"}),
    )
    subject = forms.CharField(label=_("What is it about?"), max_length=300, required=False)
    text = forms.CharField(
        label=_("What would you like to tell us?"),
        max_length=100_000,
        widget=forms.Textarea({"rows": 8}),
    )
    answer = forms.CharField(
        max_length=12, required=False, widget=forms.TextInput({"inputmode": "numeric", "autocomplete": "off"})
    )
    website = forms.CharField(required=False)
    key = forms.CharField(max_length=200, required=False, widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        """A way to answer is needed."""
        given = super().clean() or {}
        if not {"email", "phone"} & set(self.errors) and not (given.get("email") or given.get("phone")):
            self.add_error("email", _("Please give an e-mail address or a phone number, so that we can answer you."))
        return given


@csrf_exempt  # no session stands behind it, and a token would be a cookie; what another site sends is looked at first
def contact(request: HttpRequest, public_id: uuid.UUID | None = None) -> HttpResponse:
    """The contact form. What was typed stays when something needs another look."""
    found = _form(public_id)
    if request.method not in ("GET", "HEAD", "POST"):
        return HttpResponse(status=405, headers={"Allow": "GET, HEAD, POST"})
    if request.method == "POST":
        return _framed(_posted(request, found), found)
    return _framed(_page(request, found, asks=_asks(request, found)), found)


def _form(public_id: uuid.UUID | None) -> WebForm | None:
    if public_id is None:
        return None
    found: WebForm | None = WebForm.objects.filter(public_id=public_id, is_active=True).first()
    if found is None:
        raise Http404
    return found


def _posted(request: HttpRequest, found: WebForm | None) -> HttpResponse:
    stated = str(request.META.get("CONTENT_LENGTH") or "0")
    if not stated.isdigit() or int(stated) > web_form.MOST_BYTES:
        return _too_large(request, found)  # before anything of it is read (W07)
    try:
        form, files = ContactForm(request.POST), request.FILES.getlist("files")
    except CANNOT_BE_READ:
        return _too_large(request, found)
    if not form.is_valid():
        return _page(request, found, form, status=400, code="invalid", asks=_asks(request, found))
    key = _key(form.cleaned_data["key"], found)
    if key is None and not _is_from_their_site(request, found):
        note = _("Please look through your message and press Send.")
        return _page(request, found, form, note=note, status=400, code="page_unknown", asks=_asks(request, found))
    try:
        return _sent(request, found, form, files, key or "")
    except (OperationalError, InterfaceError):
        logger.exception("A message from the contact page could not be taken in.")
        form.add_error(
            None,
            _(
                "We cannot take your message this minute. Please press Send again in a moment; your words are still here."
            ),
        )
        answer = _page(request, found, form, status=503, code="busy", keeps_key=True)
        answer["Retry-After"] = "5"
        return answer


def _sent(
    request: HttpRequest, found: WebForm | None, form: ContactForm, files: list[UploadedFile[Any]], key: str
) -> HttpResponse:
    at, source, given = timezone.now(), form_actions.source_of(found), form.cleaned_data
    if form_actions.count(source, network=network_of_request(request, bits=HOUSEHOLD), at=at):
        is_right = key and web_form.is_right(given["answer"], web_form.question(key, secret=settings.SECRET_KEY))
        if not is_right and not form_actions.is_received(source, key=key):
            note = _("Many messages come from where you are. Please answer the short question below, and press Send.")
            code = "question_unanswered"
            return _page(request, found, form, note=note, status=429, code=code, asks=True, keeps_key=True)
    sent = web_form.Sent(
        source=source,
        key=key,
        email=given["email"],
        phone=given["phone"],
        name=given["name"],
        subject=given["subject"],
        text=given["text"].replace("\r\n", "\n"),
        language=get_language() or "",
        files=_files(files),  # also where the form shows no field for them: nothing that was sent is lost
    )
    if given["website"]:
        form_actions.set_aside(sent, at=at)
        return _thanks(request, found, form_actions.promised_by(at))
    try:
        received = form_actions.receive(sent, at=at)
    except identity.UnusableAddress as refusal:
        code = refusal.code
        form.add_error("email" if given["email"] else "phone", str(refusal))
    except intake.NothingSaid as refusal:
        code = refusal.code
        form.add_error("text", str(refusal))
    except intake.DifferentContent as refusal:
        note = _("Your first message is with us. Press Send again to send this one as well.")
        return _page(request, found, form, note=note, status=409, code=refusal.code)
    else:
        return _thanks(request, found, form_actions.promised_by(received.interaction.spoke_at))
    return _page(request, found, form, status=400, code=code)


def _files(given: list[UploadedFile[Any]]) -> tuple[Part, ...]:
    return web_form.judged([(one.name or "", one.content_type or "", one.read()) for one in given])


def _too_large(request: HttpRequest, found: WebForm | None) -> HttpResponse:
    note = _(
        "That was more than we can take at once: 25 MB of files, and words. Please go back, where your words still are, and "
        "leave out some of the files; you can send them in a second message."
    )
    return _page(request, found, note=note, status=413, code="too_large")


def _page(
    request: HttpRequest,
    found: WebForm | None,
    form: ContactForm | None = None,
    *,
    note: Any = "",
    status: int = 200,
    code: str = "",
    asks: bool = False,
    keeps_key: bool = False,
) -> HttpResponse:
    """Show the form. code: why what was sent was not taken, stable, for programs (in `X-Refusal`); people read it in words.

    keeps_key: the same press of Send may still come to its end.
    """
    source = form_actions.source_of(found)
    key = _key(form.data.get("key", ""), found) if form is not None and keeps_key else None
    key = key or str(uuid.uuid4())
    numbers = web_form.question(key, secret=settings.SECRET_KEY)
    context = {
        "form": form or ContactForm(),
        "key": _keys.sign(f"{source}|{key}"),
        "note": note,
        "question": {"one": numbers[0], "other": numbers[1]} if asks else None,
        "takes_files": found is None or found.takes_files,
        "lost_files": bool(request.FILES) if form is not None else False,
        "is_framed": request.GET.get("frame") == "1",
        "figures": _figures(request) if found is None and status == 200 else None,
    }
    page = render(request, "crm/contact.html", context, status=status)
    if code:
        page["X-Refusal"] = code
    return page


def _figures(request: HttpRequest) -> Any:
    """How soon each channel answers, as the house's own page shows it; what measures that is named in the settings."""
    return None if request.GET.get("frame") == "1" else import_string(settings.EVENHAND_CONTACT_FIGURES)()


def _key(given: str, found: WebForm | None) -> str | None:
    """The key that a page of this very form carries; None for anything else, and for a page that stood open too long."""
    try:
        source, _bar, key = _keys.unsign(given, max_age=QUESTION_LASTS).partition("|")
    except signing.BadSignature:
        return None
    return key if source == form_actions.source_of(found) else None


def _is_from_their_site(request: HttpRequest, found: WebForm | None) -> bool:
    """Whether a page without a key is one of a site that may send to this form, as the browser states it."""
    return found is not None and web_form.is_from(request.headers.get("Origin", ""), found.origins)


def _asks(request: HttpRequest, found: WebForm | None) -> bool:
    return form_actions.asks(
        form_actions.source_of(found), network=network_of_request(request, bits=HOUSEHOLD), at=timezone.now()
    )


def _thanks(request: HttpRequest, found: WebForm | None, by: datetime | None) -> HttpResponse:
    address = reverse("contact-thanks") if found is None else reverse("form-thanks", args=[found.public_id])
    return redirect(_in_same_look(request.GET, address, by={"by": _moments.sign(by.isoformat())} if by else {}))


def thanks(request: HttpRequest, public_id: uuid.UUID | None = None) -> HttpResponse:
    """What happens now, and by when. The same words for everybody, whether we know them or not (W01)."""
    found = _form(public_id)
    by = None
    try:
        by = parse_datetime(_moments.unsign(request.GET.get("by", "")))
    except signing.BadSignature:
        by = None
    again = reverse("contact") if found is None else reverse("form", args=[found.public_id])
    context = {
        "answer_by": letters.moment(by, zone="") if by is not None else "",
        "again": _in_same_look(request.GET, again, by={}),
        "is_framed": request.GET.get("frame") == "1",
    }
    return _framed(render(request, "crm/contact_thanks.html", context), found)


def _in_same_look(asked: Mapping[str, str], address: str, *, by: Mapping[str, str]) -> str:
    """The address, with the language the visitor chose on this page and in the frame it stands in, where there are such."""
    chosen = tags.normalised(asked.get("language", ""))
    query = {
        **({"language": chosen} if chosen else {}),
        **({"frame": "1"} if asked.get("frame") == "1" else {}),
        **by,
    }
    return f"{address}?{urlencode(query)}" if query else address


def _framed(response: HttpResponse, found: WebForm | None) -> HttpResponse:
    """Let the page stand in a frame of the sites that this form names, and nowhere else (W13)."""
    response["Cache-Control"] = "no-store"
    if found is not None and found.origins:
        response.xframe_options_exempt = True  # it knows no list; frame-ancestors does
        response._csp_replace = {"frame-ancestors": list(found.origins)}  # type: ignore[attr-defined]
    return response


@csrf_exempt  # the link itself is what is shown; no log-in stands behind it that another site's page could use
def undo_address(request: HttpRequest, token: str) -> HttpResponse:
    """Ask (GET) and give an account its old address back (POST); it does and shows nothing else (C07)."""
    try:
        if request.method == "POST":
            accounts.undo_change(token, at=timezone.now())
        else:
            accounts.change_of(token, at=timezone.now())
    except accounts.NotToUndo as refusal:
        raise Http404 from refusal
    page = render(request, "crm/address_undone.html", {"undone": request.method == "POST"})
    page["Cache-Control"] = "no-store"
    return page


urlpatterns = [
    path("account/address/<str:token>/", undo_address, name="undo-address"),
    path("contact/", contact, name="contact"),
    path("contact/thanks/", thanks, name="contact-thanks"),
    path("contact/<uuid:public_id>/", contact, name="form"),
    path("contact/<uuid:public_id>/thanks/", thanks, name="form-thanks"),
]
