"""The places where customers talk: who listens there, where nobody does, and a look by hand in one press."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actions import listening_places
from crm.admin import pages, words
from crm.channels import Channel
from crm.models import ListeningPlace
from crm.policy import Cover, is_listening_gap

CAN_SEE, CAN_MANAGE, CAN_CHECK = "crm.view_listeningplace", "crm.manage_listeningplace", "crm.check_listeningplace"
PAGE_SIZE = 50
COVERS_AT_ALL = (Cover.ACCOUNT, Cover.FEED, Cover.MAILBOX)


class PlaceForm(forms.Form):
    """The fields of `listening_places.Draft`; what listens is one choice, by hand or one of what is switched on."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=120)
    channel = forms.ChoiceField(label=gettext_lazy("What is it?"), choices=Channel.choices)
    url = forms.CharField(
        label=gettext_lazy("Link"),
        max_length=2000,
        required=False,
        help_text=gettext_lazy("Where to look, as one would open it in a browser."),
        widget=forms.TextInput(attrs={"type": "url", "inputmode": "url"}),
    )
    listens = forms.ChoiceField(
        label=gettext_lazy("How do we listen there?"),
        help_text=gettext_lazy("By hand: somebody looks at least every seven days and says so here."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices: Any = [(Cover.BY_HAND.value, Cover.BY_HAND.label)]
        for cover in COVERS_AT_ALL:
            several = [(f"{cover.value}:{number}", name) for number, name in listening_places.what_may_listen(cover)]
            choices += [(cover.label, several)] if several else []
        field: Any = self.fields["listens"]
        field.choices = choices

    def as_draft(self) -> listening_places.Draft:
        """Translate what was typed into what the action takes."""
        given = dict(self.cleaned_data)
        cover, _colon, number = given.pop("listens").partition(":")
        return listening_places.Draft(**given, cover=cover, covered_by=uuid.UUID(number) if number else None)


@pages.page(CAN_SEE, methods=["GET"])
def place_list(request: HttpRequest) -> HttpResponse:
    """Each place with what listens there and when somebody last did; the gaps say so."""
    at = timezone.now()
    key = pages.read_key(request, str, int)
    unlisted = request.GET.get("show") == "unlisted"
    found = listening_places.covered(ListeningPlace.objects.filter(is_active=not unlisted).order_by("name", "id"))
    if key is not None:
        found = found.filter(pages.beyond(("name", "id"), key))
    rows = list(found[: PAGE_SIZE + 1])
    more, rows = len(rows) > PAGE_SIZE, rows[:PAGE_SIZE]
    return pages.render(
        request,
        "admin/desk/places.html",
        _("Where customers talk"),
        rows=[row_of(place, at=at) for place in rows],
        unlisted=unlisted,
        may_manage=request.user.has_perm(CAN_MANAGE),
        may_check=request.user.has_perm(CAN_CHECK) and not unlisted,
        next_key=pages.write_key(rows[-1].name, rows[-1].pk) if more else "",
        is_first=key is None,
    )


def row_of(place: ListeningPlace, *, at: datetime) -> dict[str, Any]:
    """One place as lists show it."""
    heard_at = listening_places.listened_at(place, at=at)
    return {
        "place": place,
        "listens": place.account or place.feed or place.mailbox or place.get_cover_display(),
        "heard_at": heard_at,
        "heard": words.ago(heard_at, at=at) if heard_at else "",
        "is_gap": place.is_active and is_listening_gap(heard_at, at=at),
    }


def unheard(request: HttpRequest) -> list[dict[str, Any]]:
    """The places where nobody listens, for pages that tell how we hear; none for those who may not see them."""
    at = timezone.now()
    return [row_of(place, at=at) for place in listening_places.unheard(at)] if request.user.has_perm(CAN_SEE) else []


@pages.page(CAN_SEE, CAN_MANAGE)
def place_new(request: HttpRequest) -> HttpResponse:
    """List a further place."""
    return _set_up(request, None)


@pages.page(CAN_SEE, CAN_MANAGE)
def place_change(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Say something else about a place."""
    return _set_up(request, _found(public_id))


def _set_up(request: HttpRequest, place: ListeningPlace | None) -> HttpResponse:
    refused, by, at = "", pages.colleague(request), timezone.now()
    form = PlaceForm(request.POST if request.method == "POST" else None, initial=_first_values(place))
    if request.method == "POST" and form.is_valid():
        draft = form.as_draft()
        kept, refused = pages.tried(
            lambda: (
                listening_places.add(draft, by=by, at=at)
                if place is None
                else listening_places.change(place.pk, draft, by=by, at=at)
            )
        )
        if kept is not None:
            pages.say(request, "", _("Noted."))
            return redirect("admin:places")
    return pages.render(
        request,
        "admin/desk/place.html",
        _("Change a place") if place else _("New place"),
        form=form,
        refused=refused,
        status=409 if refused else 200,
        is_fullwidth="",
    )


@pages.page(CAN_SEE, CAN_CHECK, methods=["POST"])
def place_checked(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Note a look by hand: nothing new, or so many noted."""
    number, typed = _found(public_id).pk, request.POST.get("found", "0").strip() or "0"
    found = int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 5 else -1
    _look, refused = pages.tried(
        lambda: listening_places.checked(number, found=found, by=pages.colleague(request), at=timezone.now())
    )
    pages.say(request, refused, _("Noted. Thank you for looking."))
    return redirect("admin:places")


@pages.page(CAN_SEE, CAN_MANAGE, methods=["POST"])
def place_listed(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Take a place off the list, or put it back."""
    number, is_listed = _found(public_id).pk, request.POST.get("listed") == "1"
    _place, refused = pages.tried(
        lambda: listening_places.list_or_unlist(
            number, is_listed=is_listed, by=pages.colleague(request), at=timezone.now()
        )
    )
    pages.say(
        request, refused, _("It is on the list again.") if is_listed else _("Taken off the list; its looks stay.")
    )
    return redirect("admin:places")


def _found(public_id: uuid.UUID) -> ListeningPlace:
    place: ListeningPlace | None = (
        listening_places.covered(ListeningPlace.objects.all()).filter(public_id=public_id).first()
    )
    if place is None:
        raise Http404
    return place


def _first_values(place: ListeningPlace | None) -> dict[str, Any]:
    if place is None:
        return {"channel": Channel.SOCIAL_PUBLIC.value, "listens": Cover.BY_HAND.value}
    by = place.account or place.feed or place.mailbox
    return {
        "name": place.name,
        "channel": place.channel,
        "url": place.url,
        "listens": f"{place.cover}:{by.public_id}" if by else place.cover,
    }


urlpatterns: list[URLPattern] = [
    path("places/", place_list, name="places"),
    path("places/new/", place_new, name="place_new"),
    path("places/<uuid:public_id>/", place_change, name="place"),
    path("places/<uuid:public_id>/looked/", place_checked, name="place_checked"),
    path("places/<uuid:public_id>/listed/", place_listed, name="place_listed"),
]
