"""Writing down a talk on the phone or at the counter."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actions import desk, talks
from crm.admin import pages
from crm.channels import Channel

MOMENT = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")


class CallForm(forms.Form):
    """The fields of `talks.Call`, in the order in which a talk goes."""

    key = forms.CharField(widget=forms.HiddenInput, max_length=64)
    channel = forms.ChoiceField(
        label=gettext_lazy("Where did you talk?"),
        choices=[
            (Channel.PHONE.value, gettext_lazy("On the phone")),
            (Channel.STORE.value, gettext_lazy("At the counter")),
            (Channel.FIELD.value, gettext_lazy("On a visit")),
        ],
        widget=forms.RadioSelect,
        initial=Channel.PHONE.value,
    )
    name = forms.CharField(label=gettext_lazy("Name"), max_length=200, required=False)
    phone = forms.CharField(
        label=gettext_lazy("Phone number"), max_length=40, required=False, widget=forms.TextInput(attrs={"type": "tel"})
    )
    email = forms.CharField(
        label=gettext_lazy("E-mail address"),
        max_length=320,
        required=False,
        help_text=gettext_lazy("Where the written confirmation goes."),
        widget=forms.TextInput(attrs={"type": "email"}),
    )
    subject = forms.CharField(label=gettext_lazy("What is it about?"), max_length=300, required=False)
    said = forms.CharField(
        label=gettext_lazy("What did the customer say?"),
        help_text=gettext_lazy("In their words, as close as you can."),
        widget=forms.Textarea(attrs={"rows": 6}),
        max_length=50_000,
    )
    agreed = forms.CharField(
        label=gettext_lazy("What did you agree on?"),
        help_text=gettext_lazy(
            "This is sent to the customer as the written confirmation. Leave it empty if nothing was agreed."
        ),
        widget=forms.Textarea(attrs={"rows": 4}),
        max_length=50_000,
        required=False,
    )
    spoke_at = forms.DateTimeField(
        label=gettext_lazy("It began at"),
        help_text=gettext_lazy("Only if it was not just now."),
        widget=MOMENT,
        required=False,
    )
    spoke_at_known_from = forms.CharField(
        label=gettext_lazy("How do you know?"),
        help_text=gettext_lazy("For example: phone display."),
        max_length=120,
        required=False,
    )
    call_minutes = forms.IntegerField(
        label=gettext_lazy("Length of the talk, minutes"), min_value=0, max_value=1440, required=False
    )
    hold_minutes = forms.IntegerField(
        label=gettext_lazy("Of these on hold, minutes"), min_value=0, max_value=1440, required=False
    )

    def clean(self) -> dict[str, Any]:
        """An address of some kind is needed to recognise the customer."""
        given = super().clean() or {}
        if not given.get("phone") and not given.get("email"):
            self.add_error("phone", _("Please note a phone number or an e-mail address, so that we can reach them."))
        return given

    def as_call(self) -> talks.Call:
        """Translate what was typed into what the action takes."""
        given = dict(self.cleaned_data)
        given["channel"] = Channel(given["channel"])
        given["call_seconds"] = 60 * (given.pop("call_minutes") or 0)
        given["hold_seconds"] = 60 * (given.pop("hold_minutes") or 0)
        return talks.Call(**given)


@pages.page("crm.log_call")
def log_call(request: HttpRequest) -> HttpResponse:
    """Write down a talk; what was agreed leaves in writing."""
    refused = ""
    form = CallForm(request.POST) if request.method == "POST" else CallForm(initial={"key": pages.fresh_key()})
    if request.method == "POST" and form.is_valid():
        call = form.as_call()
        received, refused = pages.tried(lambda: desk.log_call(call, by=pages.colleague(request), at=timezone.now()))
        if received is not None:
            if call.email and call.agreed:
                pages.say(request, "", _("The talk is written down, and the confirmation is on its way."))
            else:
                pages.say(request, "", _("The talk is written down. A written confirmation is still promised."))
            return redirect("admin:conversation", public_id=received.conversation.public_id)
    return pages.render(
        request,
        "admin/desk/call.html",
        _("Log a call"),
        form=form,
        refused=refused,
        status=409 if refused else 200,
        is_fullwidth="",
    )
