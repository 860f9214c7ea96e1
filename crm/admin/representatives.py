"""Who acts for a customer: a panel and a page, what stands beside a conversation, and whom an answer may go to."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django import forms
from django.db.models import OuterRef, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actions import representatives
from crm.admin import pages, panels
from crm.admin.lives import CAN_NOTE, customer_of
from crm.admin.persons import other_of
from crm.models import ContactPoint, Conversation, Customer, Interaction, Placement, Representative
from crm.models.people import ContactKind
from crm.policy.lives import LifeSource
from crm.policy.representation import Ask, Authority, Scope

CAN_SEE = "crm.view_representative"
SHOWN = 50


class RepresentativeForm(forms.Form):
    """An authority as it was shown to us."""

    person = forms.CharField(
        label=gettext_lazy("A customer we know: the address of their page, a mail address or a phone number"),
        required=False,
        max_length=400,
    )
    name = forms.CharField(label=gettext_lazy("Or a name"), required=False, max_length=200)
    address = forms.EmailField(label=gettext_lazy("Mail address they write from"), required=False)
    authority = forms.ChoiceField(label=gettext_lazy("By what authority?"), choices=Authority.choices)
    scope = forms.ChoiceField(label=gettext_lazy("What does it cover?"), choices=Scope.choices)
    matter = forms.ModelChoiceField(
        label=gettext_lazy("The one matter, where it covers only that"),
        queryset=Conversation.objects.none(),
        required=False,
        to_field_name="public_id",
    )
    source = forms.ChoiceField(
        label=gettext_lazy("Who told us?"),
        choices=[one for one in LifeSource.choices if one[0] != LifeSource.PUBLIC_POST],
    )
    evidence = forms.CharField(
        label=gettext_lazy("What did we see or hear that shows it?"),
        widget=forms.Textarea(attrs={"rows": 2}),
        max_length=2000,
    )
    valid_until = forms.DateField(
        label=gettext_lazy("Until and with (empty: until it is ended)"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
    )

    def __init__(self, *args: Any, customer: Customer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        matters: Any = self.fields["matter"]
        matters.queryset = Conversation.objects.filter(customer=customer).order_by("-pk")


@pages.page("crm.view_customer", CAN_SEE)
def of_customer(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Who acts or acted for a customer; a POST notes somebody."""
    found = customer_of(request, public_id)
    at, refused = timezone.now(), ""
    form = RepresentativeForm(customer=found)
    if request.method == "POST":
        pages.require(request, CAN_NOTE)
        form = RepresentativeForm(request.POST, customer=found)
        if form.is_valid():
            refused = _note(request, found, form.cleaned_data, at=at)
            if not refused:
                pages.say(request, "", _("Noted. What they ask for counts as the customer's own."))
                return redirect("admin:customer_representatives", public_id=public_id)
    rows = representatives.of(found.pk).select_related("ended_by")[:SHOWN]
    return pages.render(
        request,
        "admin/desk/representatives.html",
        _("Who acts for them"),
        customer=found,
        rows=[shown(one, at=at) for one in rows],
        form=form,
        may_note=request.user.has_perm(CAN_NOTE),
        refused=refused,
        is_fullwidth="",
        status=409 if refused else 200,
    )


def _note(request: HttpRequest, principal: Customer, given: dict[str, Any], *, at: datetime) -> str:
    person = None
    if given["person"]:
        person, refused = other_of(request, given["person"])
        if person is None:
            return refused
    until = given["valid_until"]
    _noted, refused = pages.tried(
        lambda: representatives.note(
            principal.pk,
            authority=Authority(given["authority"]),
            scope=Scope(given["scope"]),
            source=LifeSource(given["source"]),
            evidence=given["evidence"],
            person_id=person.pk if person else None,
            name=given["name"],
            address=given["address"],
            conversation_id=given["matter"].pk if given["matter"] else None,
            valid_until=timezone.make_aware(datetime.combine(until, datetime.max.time())) if until else None,
            by=pages.colleague(request),
            at=at,
        )
    )
    return refused


@pages.page(CAN_SEE, CAN_NOTE, methods=["POST"])
def end(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """End an authority."""
    found = Representative.objects.select_related("principal").filter(public_id=public_id).first()
    if found is None:
        raise Http404
    number = found.pk
    _ended, refused = pages.tried(
        lambda: representatives.end(
            number, because=request.POST.get("because", ""), by=pages.colleague(request), at=timezone.now()
        )
    )
    pages.say(request, refused, _("Ended. What they write from now on is somebody else's word."))
    return redirect("admin:customer_representatives", public_id=found.principal.public_id)


@pages.page("crm.view_conversation", CAN_NOTE, methods=["POST"])
def place(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Give a matter to the customer whom its writer acts for, or put it back."""
    by, at = pages.colleague(request), timezone.now()
    found = Conversation.objects.visible_to(by).filter(public_id=public_id).first()
    if found is None:
        raise Http404
    matter = found.pk
    if request.POST.get("do") == "put_back":
        placed = Placement.objects.filter(conversation=matter, put_back_at=None).first()
        if placed is None:
            raise Http404
        number = placed.pk
        _back, refused = pages.tried(lambda: representatives.put_back(number, by=by, at=at))
        pages.say(request, refused, _("The matter is back with whoever wrote it."))
        return redirect("admin:conversation", public_id=public_id)
    noted = Representative.objects.filter(public_id=_uuid(request.POST.get("for", ""))).first()
    if noted is None:
        raise Http404
    acts = noted.pk
    _placed, refused = pages.tried(lambda: representatives.place(matter, representative_id=acts, by=by, at=at))
    pages.say(request, refused, _("The matter is with the customer it is about. It stays known who wrote."))
    return redirect("admin:conversation", public_id=public_id)


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        return uuid.UUID(int=0)


# --- in words -----------------------------------------------------------------------------------------------------------


def shown(noted: Representative, *, at: datetime) -> dict[str, Any]:
    """One authority as a list shows it."""
    return {
        "noted": noted,
        "stands": noted.stands(status=noted.principal.status, at=at),
        "authority": authority_in_words(noted),
        "scope": noted.get_scope_display(),
    }


def authority_in_words(noted: Representative) -> str:
    """The authority with its end: “power of attorney until 3 Mar 2027”."""
    words = str(noted.get_authority_display())
    if noted.valid_until is None:
        return words
    until = date_format(timezone.localtime(noted.valid_until), "j M Y")
    return _("%(authority)s until %(until)s") % {"authority": words, "until": until}


def known_around(customer: Any) -> QuerySet[Representative]:
    """Who acts for a customer and for whom that customer acts; customer: a key, or a reference to the outer row's."""
    theirs = OuterRef(customer) if isinstance(customer, OuterRef) else customer  # one query further inside
    points = ContactPoint.objects.filter(
        customer=theirs, kind=ContactKind.EMAIL, unlinked_at=None, verified_at__isnull=False
    )
    return Representative.objects.filter(
        Q(principal=customer) | Q(person=customer) | Q(address__in=points.values("address"))
    )


def _around(conversation: Any) -> list[Representative]:
    """The same of a conversation's customer; read once for one page, and not where the page knows that there is none."""
    if not hasattr(conversation, "acting"):
        found = known_around(conversation.customer_id).select_related("person", "principal", "conversation", "noted_by")
        is_known = getattr(conversation, "somebody_acts", True)
        conversation.acting = list(found.order_by("-pk")[:SHOWN]) if is_known else []
    around: list[Representative] = conversation.acting
    return around


def of_conversation(conversation: Conversation) -> list[Representative]:
    """Who acts or acted for the customer of a conversation."""
    return [one for one in _around(conversation) if one.principal_id == conversation.customer_id]


def writer(conversation: Conversation, said: Interaction) -> str:
    """Who wrote something into a customer's matter for them, in words; "" for the customer and for strangers."""
    if not said.other_address:
        return ""
    noted = representatives.who_wrote(said, of_conversation(conversation))
    if noted is None:
        return ""
    return _("%(name)s for %(customer)s") % {"name": noted, "customer": conversation.customer}


def may_be_answered(conversation: Conversation, *, at: datetime) -> list[tuple[uuid.UUID, str]]:
    """Whom an answer may go to instead of the customer: id, and in words."""
    status = conversation.customer.status
    return [
        (one.public_id, f"{one} ({authority_in_words(one)})")
        for one in of_conversation(conversation)
        if one.may(Ask.BE_TOLD, matter=conversation.pk, status=status, at=at)
    ]


def beside(request: HttpRequest, conversation: Conversation) -> str:
    """The panel beside a conversation: who acts for its customer, and for whom its writer acts."""
    if not request.user.has_perm(CAN_SEE):
        return ""
    at = timezone.now()
    mine = of_conversation(conversation)
    others = [shown(one, at=at) for one in _around(conversation) if one.principal_id != conversation.customer_id]
    others = [one for one in others if one["stands"]]
    placed = (
        any(one.pk for one in mine) and Placement.objects.filter(conversation=conversation, put_back_at=None).exists()
    )
    if not (mine or others):
        return ""
    return render_to_string(
        "admin/desk/representatives_side.html",
        {
            "conversation": conversation,
            "mine": [shown(one, at=at) for one in mine],
            "others": others,
            "is_placed": placed,
            "may_note": request.user.has_perm(CAN_NOTE),
        },
        request=request,
    )


panels.sides.append(beside)


def side(request: HttpRequest, customer: Customer) -> dict[str, Any]:
    """What the customer's page shows of it; one statement."""
    if not request.user.has_perm(CAN_SEE):
        return {}
    at = timezone.now()
    both = Representative.objects.filter(Q(principal=customer) | Q(person=customer), ended_at=None)
    rows = list(both.select_related("principal", "person").order_by("-pk")[:SHOWN])
    return {
        "may_see_representatives": True,
        "acting_for_them": [shown(one, at=at) for one in rows if one.principal_id == customer.pk],
        "they_act_for": [shown(one, at=at) for one in rows if one.principal_id != customer.pk],
    }


urlpatterns: list[URLPattern] = [
    path("customer/<uuid:public_id>/representatives/", of_customer, name="customer_representatives"),
    path("representative/<uuid:public_id>/end/", end, name="representative_end"),
    path("conversation/<uuid:public_id>/place/", place, name="conversation_place"),
]
