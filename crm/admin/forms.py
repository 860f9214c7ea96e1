"""Contact forms for other sites: where each may stand, and the few lines that put it there."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actions import forms as actions
from crm.admin import pages
from crm.models import WebForm

CAN_SEE, CAN_MANAGE = "crm.view_webform", "crm.manage_webform"
PAGE_SIZE = 50


class WebFormForm(forms.Form):
    """The fields of `forms.Draft`."""

    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=120, help_text=gettext_lazy("For colleagues; visitors never read it.")
    )
    origins = forms.CharField(
        label=gettext_lazy("Sites it may stand on"),
        required=False,
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text=gettext_lazy(
            "One on each line, such as https://www.shop.example or https://*.shop.example. Nobody else can show it in a frame "
            "or send to it without its visitor seeing our page first."
        ),
    )
    takes_files = forms.BooleanField(label=gettext_lazy("It asks for photos and papers"), required=False)

    def as_draft(self) -> actions.Draft:
        """Translate what was typed into what the action takes."""
        given = self.cleaned_data
        return actions.Draft(given["name"], tuple(given["origins"].split()), given["takes_files"])


@pages.page(CAN_SEE, methods=["GET"])
def form_list(request: HttpRequest) -> HttpResponse:
    """Each form, where it may stand, and its way to the lines that put it there."""
    key = pages.read_key(request, str, int)
    found = WebForm.objects.order_by("name", "pk")
    if key is not None:
        found = found.filter(pages.beyond(("name", "pk"), key))
    rows = list(found[: PAGE_SIZE + 1])
    more, rows = len(rows) > PAGE_SIZE, rows[:PAGE_SIZE]
    return pages.render(
        request,
        "admin/desk/forms.html",
        _("Contact forms"),
        rows=rows,
        may_manage=request.user.has_perm(CAN_MANAGE),
        next_key=pages.write_key(rows[-1].name, rows[-1].pk) if more else "",
        is_first=key is None,
    )


@pages.page(CAN_SEE, CAN_MANAGE)
def form_new(request: HttpRequest) -> HttpResponse:
    """Make a further form."""
    return _set_up(request, None)


@pages.page(CAN_SEE)
def form_change(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """One form with the lines for another site; a POST sets it up differently."""
    if request.method == "POST":
        pages.require(request, CAN_MANAGE)
    return _set_up(request, _found(public_id))


def _set_up(request: HttpRequest, found: WebForm | None) -> HttpResponse:
    refused, by, at = "", pages.colleague(request), timezone.now()
    form = WebFormForm(request.POST if request.method == "POST" else None, initial=_first_values(found))
    if request.method == "POST" and form.is_valid():
        draft = form.as_draft()
        kept: WebForm | None
        if found is None:
            kept, refused = pages.tried(lambda: actions.add(draft, by=by, at=at))
        else:
            number = found.pk
            kept, refused = pages.tried(lambda: actions.change(number, draft, by=by, at=at))
        if kept is not None:
            pages.say(request, "", _("Noted. Below are the lines that put it on a page."))
            return redirect("admin:web_form", public_id=kept.public_id)
    return pages.render(
        request,
        "admin/desk/form.html",
        str(found) if found else _("New contact form"),
        form=form,
        found=found,
        may_manage=request.user.has_perm(CAN_MANAGE),
        refused=refused,
        status=409 if refused else 200,
        is_fullwidth="",
        **(_snippets(found) if found else {}),
    )


def _snippets(found: WebForm) -> dict[str, str]:
    """The lines for another site: a frame with our page, and a plain form that sends to it. No script in either."""
    address = f"{settings.PUBLIC_URL}{reverse('form', args=[found.public_id])}"
    words = {"address": address}
    return {
        "address": address,
        "frame": render_to_string("crm/snippet_frame.html", words).strip(),
        "plain": render_to_string("crm/snippet_plain.html", words).strip(),
    }


@pages.page(CAN_SEE, CAN_MANAGE, methods=["POST"])
def form_switch(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Open or close a form."""
    number, on = _found(public_id).pk, request.POST.get("on") == "1"
    _form, refused = pages.tried(lambda: actions.switch(number, on=on, by=pages.colleague(request), at=timezone.now()))
    pages.say(request, refused, _("The form is open.") if on else _("The form is closed; its page is gone."))
    return redirect("admin:web_forms")


def _found(public_id: uuid.UUID) -> WebForm:
    found: WebForm | None = WebForm.objects.filter(public_id=public_id).first()
    if found is None:
        raise Http404
    return found


def _first_values(found: WebForm | None) -> dict[str, Any]:
    if found is None:
        return {"takes_files": True}
    return {"name": found.name, "origins": "\n".join(found.origins), "takes_files": found.takes_files}


urlpatterns: list[URLPattern] = [
    path("forms/", form_list, name="web_forms"),
    path("forms/new/", form_new, name="web_form_new"),
    path("forms/<uuid:public_id>/", form_change, name="web_form"),
    path("forms/<uuid:public_id>/switch/", form_switch, name="web_form_switch"),
]
