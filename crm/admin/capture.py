"""Writing down what was said at the counter, in a letter or in public; from a phone with its camera as well."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actions import capture, intake
from crm.admin import pages
from crm.admin.calls import MOMENT
from crm.channels import Channel, web_form

CAN_CAPTURE = "crm.log_call"
WHERE = [
    (Channel.STORE.value, gettext_lazy("At the counter")),
    (Channel.FIELD.value, gettext_lazy("On a visit or delivery")),
    (Channel.LETTER.value, gettext_lazy("In a letter")),
    (Channel.REVIEW.value, gettext_lazy("In a review")),
    (Channel.BLOG.value, gettext_lazy("In a blog")),
    (Channel.VIDEO.value, gettext_lazy("Below a video")),
    (Channel.SOCIAL_PUBLIC.value, gettext_lazy("In a forum or social network")),
]

SAID_TO_US = (Channel.STORE, Channel.FIELD)
"""Where it is noted as it is said; a letter or a post was written before."""
WAITED = timedelta(seconds=30)
"""What is sent sooner waited for nothing."""


class CaptureForm(forms.Form):
    """The fields of `capture.Capture`, in the order in which somebody has them at hand."""

    key = forms.CharField(widget=forms.HiddenInput, max_length=64)
    kept_at = forms.CharField(
        widget=forms.HiddenInput, max_length=40, required=False
    )  # by the device, when it was pressed
    channel = forms.ChoiceField(
        label=gettext_lazy("Where was it said?"), choices=WHERE, widget=forms.RadioSelect, initial=Channel.STORE.value
    )
    said = forms.CharField(
        label=gettext_lazy("What did the customer say?"),
        help_text=gettext_lazy("In their words, as close as you can. A photo of a letter may say it instead."),
        widget=forms.Textarea(attrs={"rows": 5}),
        max_length=50_000,
        required=False,
    )
    name = forms.CharField(label=gettext_lazy("Name"), max_length=200, required=False)
    email = forms.CharField(
        label=gettext_lazy("E-mail address"),
        max_length=320,
        required=False,
        widget=forms.TextInput(attrs={"type": "email"}),
    )
    phone = forms.CharField(
        label=gettext_lazy("Phone number"), max_length=40, required=False, widget=forms.TextInput(attrs={"type": "tel"})
    )
    url = forms.CharField(
        label=gettext_lazy("Link"),
        max_length=2000,
        required=False,
        help_text=gettext_lazy("Of what stands in public, as near to the very words as it goes."),
        widget=forms.TextInput(attrs={"type": "url", "inputmode": "url"}),
    )
    account = forms.CharField(
        label=gettext_lazy("Name there"),
        max_length=200,
        required=False,
        help_text=gettext_lazy("Under which it was written."),
    )
    rating = forms.DecimalField(
        label=gettext_lazy("Stars"), min_value=0, max_value=100, decimal_places=2, max_digits=5, required=False
    )
    rated_out_of = forms.DecimalField(
        label=gettext_lazy("out of"), min_value=0, max_value=100, decimal_places=2, max_digits=5, required=False
    )
    spoke_at = forms.DateTimeField(
        label=gettext_lazy("It was said at"),
        help_text=gettext_lazy(
            "Only if it was not just now. Of a letter: when it reached us. Of something public: when it was published."
        ),
        widget=MOMENT,
        required=False,
    )
    spoke_at_known_from = forms.CharField(
        label=gettext_lazy("How do you know?"),
        help_text=gettext_lazy("For example: stamp on the envelope, the till's slip."),
        max_length=120,
        required=False,
    )

    def clean(self) -> dict[str, Any]:
        """Stars without a scale are out of five; what a device kept was said when it was noted there, if nothing else is stated."""
        given = super().clean() or {}
        given.update(_noted_at(given.pop("kept_at", ""), given, at=timezone.now()))
        if given.get("rating") is None:
            given["rated_out_of"] = None
        elif given.get("rated_out_of") is None:
            given["rated_out_of"] = 5
        return given


def _noted_at(kept_at: str, given: Mapping[str, Any], *, at: datetime) -> dict[str, Any]:
    """When it was said, of a note that waited on a device for a connection. A clock that runs ahead, or a moment, is now."""
    try:
        noted_at = parse_datetime(kept_at)
    except ValueError:
        noted_at = None
    is_stated = given.get("spoke_at") is not None or given.get("channel") not in SAID_TO_US
    if is_stated or noted_at is None or noted_at.tzinfo is None or at - noted_at < WAITED:
        return {}
    return {"spoke_at": noted_at, "spoke_at_known_from": _("the clock of the device on which it was noted")}


@pages.page(CAN_CAPTURE)
def capture_page(request: HttpRequest) -> HttpResponse:
    """Write something down. What was typed stays when something needs another look; a browser forgets files."""
    refused = ""
    form = CaptureForm(
        request.POST if request.method == "POST" else None,
        initial={"key": pages.fresh_key(), "channel": request.GET.get("channel", Channel.STORE.value)},
    )
    if request.method == "POST" and form.is_valid():
        given = dict(form.cleaned_data)
        files = [(one.name or "", one.content_type or "", one.read()) for one in request.FILES.getlist("files")]
        noted = capture.Capture(**{**given, "channel": Channel(given["channel"]), "files": web_form.judged(files)})
        try:
            received, refused = pages.tried(
                lambda: capture.write_down(noted, by=pages.colleague(request), at=timezone.now()),
                refusals=tuple(one for one in pages.REFUSALS if one is not intake.DifferentContent),
            )
        except intake.DifferentContent:
            received, refused = None, _("Your first words are written down. Press again to write these down as well.")
            form.data = {**request.POST.dict(), "key": pages.fresh_key()}
        if received is not None:
            pages.say(request, "", _("It is written down. Its promise counts from when it was said."))
            return redirect("admin:conversation", public_id=received.conversation.public_id)
    return pages.render(
        request,
        "admin/desk/capture.html",
        _("Note what was said"),
        form=form,
        lost_files=bool(request.FILES),
        refused=refused,
        status=409 if refused else 200,
        is_fullwidth="",
    )


urlpatterns: list[URLPattern] = [path("capture/", capture_page, name="capture")]
