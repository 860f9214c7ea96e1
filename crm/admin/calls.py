"""Writing down a talk on the phone or at the counter."""

from __future__ import annotations

import uuid
from typing import Any, TypeVar

from django import forms
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actions import calls, desk, talks
from crm.admin import pages, words
from crm.channels import Channel
from crm.models import Call, ContactPoint, Conversation
from crm.policy import unfinished

Row = TypeVar("Row", bound=Model)

MATTERS_OFFERED = 10
MOMENT = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")


class CallForm(forms.Form):
    """The fields of `talks.Call`, in the order in which a talk goes."""

    key = forms.CharField(widget=forms.HiddenInput, max_length=64)
    live = forms.UUIDField(widget=forms.HiddenInput, required=False)
    conversation = forms.UUIDField(
        label=gettext_lazy("Is it the same matter?"),
        help_text=gettext_lazy("A matter that goes on keeps its owner and its promises."),
        widget=forms.Select,
        required=False,
    )
    channel = forms.ChoiceField(
        label=gettext_lazy("Where did you talk?"),
        choices=[
            (Channel.PHONE.value, gettext_lazy("On the phone")),
            (Channel.STORE.value, gettext_lazy("At the counter")),
            (Channel.FIELD.value, gettext_lazy("On a visit")),
        ],
        widget=forms.RadioSelect,
        initial=Channel.PHONE.value,
        required=False,
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
    said_all = forms.BooleanField(label=gettext_lazy("Everything was said before the talk ended"), required=False)
    wait_minutes = forms.IntegerField(
        label=gettext_lazy("Waited before somebody answered, minutes"), min_value=0, max_value=1440, required=False
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
        given["channel"] = Channel(given["channel"] or Channel.PHONE)
        given["said_all"] = given["said_all"] if given["live"] else None
        given["wait_seconds"] = 60 * (given.pop("wait_minutes") or 0)
        given["call_seconds"] = 60 * (given.pop("call_minutes") or 0)
        given["hold_seconds"] = 60 * (given.pop("hold_minutes") or 0)
        return talks.Call(**given)


@pages.page("crm.log_call")
def log_call(request: HttpRequest) -> HttpResponse:
    """Write down a talk; what was agreed leaves in writing. It may be about a call of the panel, or go on with a matter."""
    refused, at = "", timezone.now()
    live = _asked(Call.objects.all(), request, "live")
    matter = _asked(Conversation.objects.visible_to(pages.colleague(request)), request, "conversation")
    form = CallForm(request.POST) if request.method == "POST" else CallForm(initial=_first_values(live, matter))
    if request.method == "POST" and form.is_valid():
        call = form.as_call()
        received, refused = pages.tried(lambda: desk.log_call(call, by=pages.colleague(request), at=at))
        if received is not None:
            if call.email and call.agreed:
                pages.say(request, "", _("The talk is written down, and the confirmation is on its way."))
            else:
                pages.say(request, "", _("The talk is written down. A written confirmation is still promised."))
            return redirect("admin:conversation", public_id=received.conversation.public_id)
    matters = _matters(request, live, matter)
    form.fields["conversation"].widget.choices = [("", _("No, something new")), *matters]
    talked = live.talked(at) if live else None
    return pages.render(
        request,
        "admin/desk/call.html",
        _("Log a call"),
        form=form,
        live=live,
        same_matter=matter,
        has_matters=bool(matters),
        waited=words.clock(live.waited(at)) if live else "",
        on_hold=words.clock(live.on_hold(at)) if live else "",
        talked=words.clock(talked) if talked is not None else "",
        fresh_key=pages.fresh_key(),
        refused=refused,
        status=409 if refused else 200,
        is_fullwidth="",
    )


def _asked(rows: QuerySet[Row], request: HttpRequest, name: str) -> Row | None:
    """The row whose public id the address or the form names; None when none is named. Raises Http404 for one that is not."""
    named = request.POST.get(name, "") if request.method == "POST" else request.GET.get(name, "")
    if not named:
        return None
    try:
        return get_object_or_404(rows, public_id=uuid.UUID(named))
    except ValueError as nonsense:
        raise Http404 from nonsense


def _first_values(live: Call | None, matter: Conversation | None) -> dict[str, Any]:
    known: dict[str, Any] = {"key": pages.fresh_key()}
    if matter is not None:
        known["conversation"] = matter.public_id
        points = ContactPoint.objects.filter(customer=matter.customer, unlinked_at=None).order_by("-id")
        for kind, address in points.values_list("kind", "address"):
            known.setdefault(kind, address)
    if live is not None:
        known |= {
            "live": live.public_id,
            "phone": live.caller,
            "name": live.caller_name,
            "said_all": not unfinished(live.ended_by, said_all=None),
        }
    return known


def _matters(request: HttpRequest, live: Call | None, matter: Conversation | None) -> list[tuple[str, str]]:
    """What the talk may go on with: the matter it was opened from, and the open ones of whoever called."""
    found = {str(matter.public_id): _("Yes: %(matter)s") % {"matter": matter}} if matter is not None else {}
    customer = calls.customer_of(live.caller) if live is not None else None
    if customer is not None:
        open_ones = Conversation.objects.visible_to(pages.colleague(request)).filter(
            customer=customer, state__in=calls.LIVE_MATTERS
        )
        for one in open_ones.order_by("-id")[:MATTERS_OFFERED]:
            found.setdefault(str(one.public_id), _("Yes: %(matter)s") % {"matter": one})
    return list(found.items())
