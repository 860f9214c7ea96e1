"""Where colleagues write the lines that stand below their name in what customers read, and see how that looks."""

from __future__ import annotations

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actions import letters, staff
from crm.admin import pages
from crm.language import signatures
from crm.models import User

SIGNS = "crm.answer_conversation"


class SignatureForm(forms.Form):
    signature = forms.CharField(
        label=gettext_lazy("Lines below the name"),
        help_text=gettext_lazy("At most six lines of plain text: what they look after, a phone number, hours."),
        widget=forms.Textarea(attrs={"rows": 6}),
        max_length=2 * signatures.MAX_CHARS,
        required=False,
    )


def preview(user: User, signature: str) -> str:
    """The end of an answer as the customer would read it."""
    letter = letters.render(
        "crm/answer",
        language="",
        text="…",
        subject="",
        is_owner=True,
        signed_by=str(user),
        signature=signatures.lines(signature),
    )
    return letter.text.partition("-- \n")[2]


@pages.page(SIGNS)
def my_signature(request: HttpRequest) -> HttpResponse:
    """One's own signature. A POST shows how it would look, or keeps it, as its button says."""
    user, refused = pages.colleague(request), ""
    form = SignatureForm(request.POST if request.method == "POST" else None, initial={"signature": user.signature})
    if form.is_valid() and request.POST.get("do") == "keep":
        told = form.cleaned_data["signature"]
        _user, refused = pages.tried(lambda: staff.sign_as(user.pk, signature=told, by=user, at=timezone.now()))
        if not refused:
            pages.say(request, "", _("Your signature is kept. It stands below everything you write from now on."))
            return redirect("admin:my_signature")
    shown = form.cleaned_data["signature"] if form.is_bound and form.is_valid() else user.signature
    return pages.render(
        request,
        "admin/desk/signature.html",
        _("My signature"),
        form=form,
        preview=preview(user, shown),
        refused=refused,
        status=409 if refused else 200,
    )
