"""Public pages: the contact form. A door like every other: it translates and makes one action call."""

from __future__ import annotations

import logging
import uuid

from django import forms
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from crm.actions import identity, intake
from crm.channels import Channel, Message
from crm.language import tags

logger = logging.getLogger(__name__)


class ContactForm(forms.Form):
    """What somebody tells us through the web. `key` makes a double click one message."""

    name = forms.CharField(
        label=_("Your name"), max_length=200, required=False, widget=forms.TextInput({"autocomplete": "name"})
    )
    email = forms.CharField(
        label=_("Your e-mail address"),
        max_length=320,
        widget=forms.EmailInput({"autocomplete": "email"}),
        help_text=_("So that we can answer you."),
    )
    subject = forms.CharField(label=_("What is it about?"), max_length=300, required=False)
    text = forms.CharField(
        label=_("What would you like to tell us?"), max_length=100_000, widget=forms.Textarea({"rows": 8})
    )
    key = forms.UUIDField(widget=forms.HiddenInput)


def contact(request: HttpRequest) -> HttpResponse:
    """The contact form. What was typed stays when something needs another look."""
    if request.method != "POST":
        return render(request, "crm/contact.html", {"form": ContactForm(initial={"key": uuid.uuid4()})})
    form = ContactForm(request.POST)
    if form.is_valid():
        try:
            intake.receive(_message(form), at=timezone.now(), origin="web form")
        except (identity.UnusableAddress, intake.NothingSaid, intake.DifferentContent) as refusal:
            form.add_error("email" if isinstance(refusal, identity.UnusableAddress) else "text", str(refusal))
        except (OperationalError, InterfaceError):
            logger.exception("A message from the contact page could not be taken in.")
            form.add_error(
                None,
                _(
                    "We cannot take your message this minute. Please press Send again in a moment; your words are still here."
                ),
            )
            answer = render(request, "crm/contact.html", {"form": form}, status=503)
            answer["Retry-After"] = "5"
            return answer
        else:
            return redirect(_in_same_language(request, reverse("contact-thanks")))
    return render(request, "crm/contact.html", {"form": form}, status=400)


def thanks(request: HttpRequest) -> HttpResponse:
    """What happens now. The same words for everybody, whether we know them or not (W01)."""
    return render(request, "crm/contact_thanks.html")


def _in_same_language(request: HttpRequest, address: str) -> str:
    """The address, with the language the visitor chose on this page, where they chose one."""
    chosen = tags.normalised(request.GET.get("language", ""))
    return f"{address}?language={chosen}" if chosen else address


def _message(form: ContactForm) -> Message:
    given = form.cleaned_data
    text = given["text"].replace("\r\n", "\n")
    return Message(
        channel=Channel.WEB_FORM,
        source="form",
        external_id=str(given["key"]),
        sender_kind="email",
        sender_address=given["email"],
        sender_name=given["name"],
        subject=given["subject"],
        text=text,
        full_text=text,
        language=get_language() or "",
    )


urlpatterns = [path("contact/", contact, name="contact"), path("contact/thanks/", thanks, name="contact-thanks")]
