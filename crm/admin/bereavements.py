"""News of a death on a customer's page: reported, looked at, ended. The next step is said first."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actions import bereavement
from crm.admin import pages, panels
from crm.admin.lives import CAN_NOTE, customer_of
from crm.language.bereavement import words_of_a_death
from crm.models import Bereavement, Conversation, Customer, User
from crm.models.people import CustomerStatus
from crm.policy.bereavement import BereavementState, WhoDied
from crm.policy.lives import LifeSource

CAN_SEE = "crm.view_bereavement"
SHOWN = 20


class ReportForm(forms.Form):
    """What was said about a death."""

    who_died = forms.ChoiceField(
        label=gettext_lazy("Who has died?"), choices=WhoDied.choices, widget=forms.RadioSelect, initial=WhoDied.CLOSE
    )
    source = forms.ChoiceField(label=gettext_lazy("Who told us?"), choices=LifeSource.choices)
    evidence = forms.CharField(
        label=gettext_lazy("What was said, and by whom?"),
        help_text=gettext_lazy(
            "In their words, so that nobody has to ask them again. It gives whoever told us no access."
        ),
        widget=forms.Textarea(attrs={"rows": 3}),
        max_length=2000,
    )
    writer = forms.ModelChoiceField(
        label=gettext_lazy("Who writes to them, by hand?"),
        queryset=User.objects.none(),
        required=False,
        to_field_name="public_id",
        empty_label=gettext_lazy("whoever looks after their matter, else you"),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        writers: Any = self.fields["writer"]
        writers.queryset = User.objects.filter(is_staff=True, is_active=True).order_by("display_name", "pk")


@pages.page("crm.view_customer", CAN_SEE)
def report(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """What was reported about a customer and their home; a POST reports a death."""
    found = customer_of(request, public_id)
    at, refused = timezone.now(), ""
    known = list(
        Bereavement.objects.filter(customer=found)
        .select_related("interaction__conversation", "reported_by", "ended_by", "life_event__handled_by")
        .order_by("-pk")[:SHOWN]
    )
    proposed = next((one for one in known if one.state == BereavementState.PROPOSED), None)
    form = ReportForm(initial={"source": LifeSource.CUSTOMER})
    if request.method == "POST":
        pages.require(request, CAN_NOTE)
        form = ReportForm(request.POST)
        if form.is_valid():
            given = form.cleaned_data
            _reported, refused = pages.tried(
                lambda: bereavement.report(
                    found.pk,
                    who_died=WhoDied(given["who_died"]),
                    source=LifeSource(given["source"]),
                    evidence=given["evidence"],
                    writer=given["writer"],
                    proposed=proposed.pk if proposed else None,
                    by=pages.colleague(request),
                    at=at,
                )
            )
            if not refused:
                pages.say(
                    request, "", _("Noted. Nothing cheerful reaches them any more. Somebody writes to them by hand.")
                )
                return redirect("admin:customer_bereavement", public_id=public_id)
    return pages.render(
        request,
        "admin/desk/bereavement.html",
        _("After news of a death"),
        customer=found,
        rows=[shown(one) for one in known],
        form=form,
        may_note=request.user.has_perm(CAN_NOTE),
        may_decide=request.user.has_perm(bereavement.CAN_DECIDE),
        may_report=found.status in (CustomerStatus.ACTIVE, CustomerStatus.CLOSED),
        refused=refused,
        is_fullwidth="",
        status=409 if refused else 200,
    )


def shown(found: Bereavement) -> dict[str, Any]:
    """One piece of news as the pages show it."""
    said = found.interaction
    return {
        "found": found,
        "words": words_of_a_death(said.text) if said is not None else "",
        "is_proposed": found.state == BereavementState.PROPOSED,
        "is_standing": found.state == BereavementState.STANDING,
        "customer_died": found.who_died == WhoDied.CUSTOMER,
        "is_doubted": found.contradicted_at is not None,
    }


@pages.page(CAN_SEE, CAN_NOTE, methods=["POST"])
def decide(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Say that words told of no death; end the news of one, or let it stand against what was heard since."""
    by, at, form = pages.colleague(request), timezone.now(), request.POST
    found = Bereavement.objects.select_related("customer").filter(public_id=public_id).first()
    if found is None:
        raise Http404
    because, number = form.get("because", ""), found.pk
    does = {
        "dismiss": (
            lambda: bereavement.dismiss(number, because=because, by=by, at=at),
            _("Noted. What was held back goes on, as far as its day has not passed."),
        ),
        "mistaken": (
            lambda: bereavement.lift(number, because=because, was_mistaken=True, by=by, at=at),
            _("Taken back. Everything is as before; what was dropped stays dropped."),
        ),
        "over": (
            lambda: bereavement.lift(number, because=because, was_mistaken=False, by=by, at=at),
            _("Ended. Something cheerful may reach them again."),
        ),
        "uphold": (
            lambda: bereavement.uphold(number, because=because, by=by, at=at),
            _("Noted. The news of their death stands."),
        ),
    }
    chosen = does.get(form.get("do", ""))
    if chosen is None:
        raise Http404
    if form.get("do") != "dismiss":
        pages.require(request, bereavement.CAN_DECIDE)
    _decided, refused = pages.tried(chosen[0])
    pages.say(request, refused, chosen[1])
    return redirect("admin:customer_bereavement", public_id=found.customer.public_id)


def open_of(customer: Any) -> QuerySet[Bereavement]:
    """What stands or is asked about somebody; customer: theirs, or a reference to the outer row's."""
    return Bereavement.objects.filter(
        customer=customer, state__in=[BereavementState.PROPOSED, BereavementState.STANDING]
    )


def side(request: HttpRequest, customer: Customer) -> dict[str, Any]:
    """What the customer's page shows of it; one statement."""
    if not request.user.has_perm(CAN_SEE):
        return {}
    known = open_of(customer)
    rows = known.select_related("interaction", "life_event__handled_by").order_by("-pk")[:SHOWN]
    return {"may_see_bereavement": True, "bereavements": [shown(one) for one in rows]}


def beside(request: HttpRequest, conversation: Conversation) -> str:
    """The panel beside a conversation, so that nobody who is bereaved has to say it again; one statement."""
    if not request.user.has_perm(CAN_SEE) or not getattr(conversation, "somebody_died", True):
        return ""
    shown_here = side(request, conversation.customer)["bereavements"]
    if not shown_here:
        return ""
    context = {"bereavements": shown_here, "customer": conversation.customer, "may_see_bereavement": True}
    return render_to_string("admin/desk/_customer_bereavement.html", context, request=request)


panels.sides.append(beside)


urlpatterns: list[URLPattern] = [
    path("customer/<uuid:public_id>/bereavement/", report, name="customer_bereavement"),
    path("bereavement/<uuid:public_id>/", decide, name="bereavement"),
]
