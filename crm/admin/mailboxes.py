"""The mailboxes we fetch from: how each fares, and setting one up with a test of its connection."""

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

from crm.actions import mailboxes
from crm.admin import pages, words
from crm.channels.imap import VARIABLE_PREFIX
from crm.models import Mailbox
from crm.policy import AfterFetch, MailboxSecurity

CAN_SEE, CAN_MANAGE = "crm.view_mailbox", "crm.manage_mailbox"
PAGE_SIZE = 50


class MailboxForm(forms.Form):
    """The fields of `mailboxes.Draft`, in the order in which somebody has them at hand."""

    address = forms.CharField(
        label=gettext_lazy("Address that customers write to"),
        max_length=320,
        widget=forms.TextInput(attrs={"type": "email"}),
    )
    host = forms.CharField(
        label=gettext_lazy("Mail server"), max_length=255, help_text=gettext_lazy("Such as imap.example.org.")
    )
    security = forms.ChoiceField(label=gettext_lazy("Encryption"), choices=MailboxSecurity)
    port = forms.IntegerField(label=gettext_lazy("Port"), min_value=1, max_value=65535)
    username = forms.CharField(label=gettext_lazy("Log-in name"), max_length=320)
    secret_from = forms.CharField(
        label=gettext_lazy("Where the password stands"),
        max_length=400,
        help_text=gettext_lazy(
            "The password itself is never typed in here. Name an environment variable that begins with %(prefix)s, or a file in a "
            "folder that the installation keeps for secrets."
        )
        % {"prefix": VARIABLE_PREFIX},
    )
    uses_token = forms.BooleanField(label=gettext_lazy("It is an OAuth 2 access token, not a password"), required=False)
    folder = forms.CharField(label=gettext_lazy("Folder"), max_length=200)
    after_fetch = forms.ChoiceField(label=gettext_lazy("When we have kept a mail"), choices=AfterFetch)
    move_to = forms.CharField(
        label=gettext_lazy("Folder for what was fetched"),
        max_length=200,
        required=False,
        help_text=gettext_lazy("Only where mails are moved; the folder must be there."),
    )
    border_host = forms.CharField(
        label=gettext_lazy("The server's own name"),
        max_length=255,
        required=False,
        help_text=gettext_lazy(
            "As it names itself in the headers it adds. Only what it wrote is believed about a sender."
        ),
    )
    ca_file = forms.CharField(
        label=gettext_lazy("Certificates of your own authority"),
        max_length=400,
        required=False,
        help_text=gettext_lazy("A PEM file on the server; empty for the authorities that everybody trusts."),
    )

    def as_draft(self) -> mailboxes.Draft:
        """Translate what was typed into what the action takes."""
        given = dict(self.cleaned_data)
        given["security"] = MailboxSecurity(given["security"])
        given["after_fetch"] = AfterFetch(given["after_fetch"])
        return mailboxes.Draft(**given)


@pages.page(CAN_SEE, methods=["GET"])
def mailbox_list(request: HttpRequest) -> HttpResponse:
    """Each mailbox with its health: last good answer, what waits there and since when, the last error."""
    at = timezone.now()
    key = pages.read_key(request, str, int)
    found = Mailbox.objects.order_by("address", "pk")
    if key is not None:
        found = found.filter(pages.beyond(("address", "pk"), key))
    rows = list(found[: PAGE_SIZE + 1])
    more, rows = len(rows) > PAGE_SIZE, rows[:PAGE_SIZE]
    return pages.render(
        request,
        "admin/desk/mailboxes.html",
        _("Mailboxes"),
        rows=[_row(mailbox, at=at) for mailbox in rows],
        may_manage=request.user.has_perm(CAN_MANAGE),
        next_key=pages.write_key(rows[-1].address, rows[-1].pk) if more else "",
        is_first=key is None,
    )


def _row(mailbox: Mailbox, *, at: datetime) -> dict[str, Any]:
    def ago(moment: datetime | None) -> str:
        return words.ago(moment, at=at) if moment else ""

    return {
        "mailbox": mailbox,
        "good": ago(mailbox.last_good_at),
        "oldest": ago(mailbox.oldest_waiting_at),
        "failing": words.duration(at - mailbox.failing_since) if mailbox.failing_since else "",
    }


@pages.page(CAN_SEE, CAN_MANAGE)
def mailbox_new(request: HttpRequest) -> HttpResponse:
    """Set up a further mailbox."""
    return _set_up(request, None)


@pages.page(CAN_SEE, CAN_MANAGE)
def mailbox_change(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Set up a mailbox differently."""
    return _set_up(request, _found(public_id))


def _set_up(request: HttpRequest, mailbox: Mailbox | None) -> HttpResponse:
    """The form: "try" tests the connection and changes nothing; what was typed stays in any case."""
    refused, tried, by, at = "", None, pages.colleague(request), timezone.now()
    if request.method == "POST":
        form = MailboxForm(request.POST)
        if form.is_valid():
            draft = form.as_draft()
            if request.POST.get("do") == "try":
                tried, refused = pages.tried(lambda: mailboxes.try_now(draft))
            elif mailbox is None:
                kept, refused = pages.tried(lambda: mailboxes.add(draft, by=by, at=at))
            else:
                number = mailbox.pk
                kept, refused = pages.tried(lambda: mailboxes.change(number, draft, by=by, at=at))
            if tried is None and not refused:
                pages.say(request, "", _("Noted. %(address)s is asked within seconds.") % {"address": kept})
                return redirect("admin:mailboxes")
    else:
        form = MailboxForm(initial=_first_values(mailbox))
    return pages.render(
        request,
        "admin/desk/mailbox.html",
        _("Change a mailbox") if mailbox else _("New mailbox"),
        form=form,
        mailbox=mailbox,
        tried=tried,
        refused=refused,
        status=409 if refused else 200,
        is_fullwidth="",
    )


@pages.page(CAN_SEE, CAN_MANAGE, methods=["POST"])
def mailbox_switch(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Begin or stop to fetch from a mailbox."""
    number, on = _found(public_id).pk, request.POST.get("on") == "1"
    _mailbox, refused = pages.tried(
        lambda: mailboxes.switch(number, on=on, by=pages.colleague(request), at=timezone.now())
    )
    pages.say(request, refused, _("Switched on.") if on else _("Switched off; what is there stays there."))
    return redirect("admin:mailboxes")


def _found(public_id: uuid.UUID) -> Mailbox:
    mailbox: Mailbox | None = Mailbox.objects.filter(public_id=public_id).first()
    if mailbox is None:
        raise Http404
    return mailbox


def _first_values(mailbox: Mailbox | None) -> dict[str, Any]:
    if mailbox is None:
        return {
            "security": MailboxSecurity.TLS,
            "port": 993,
            "folder": "INBOX",
            "after_fetch": AfterFetch.DELETE,
            "secret_from": VARIABLE_PREFIX,
        }
    draft = mailboxes.draft_of(mailbox)
    return {name: getattr(draft, name) for name in mailboxes.FIELDS}


urlpatterns: list[URLPattern] = [
    path("mailboxes/", mailbox_list, name="mailboxes"),
    path("mailboxes/new/", mailbox_new, name="mailbox_new"),
    path("mailboxes/<uuid:public_id>/", mailbox_change, name="mailbox"),
    path("mailboxes/<uuid:public_id>/switch/", mailbox_switch, name="mailbox_switch"),
]
