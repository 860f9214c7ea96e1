"""Our accounts at providers of channels: how each fares, and setting one up."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actions import channel_accounts, channel_hooks, channel_trials, channel_trying
from crm.admin import listening_places, pages, words
from crm.channels import Channel
from crm.channels.kept_secrets import CHANNEL_PREFIX
from crm.channels.provided import NoSuchProvider, all_of_them, by_name
from crm.channels.providers import UNREADABLE, DeliveryReport, Provider, Said
from crm.models import ChannelAccount, RawItem
from crm.policy import WorkState

CAN_SEE, CAN_MANAGE, CAN_RETRY = "crm.view_channelaccount", "crm.manage_channelaccount", "crm.retry_work"
PAGE_SIZE = 50
PARKED_SHOWN = 20
_TRYING = ("example", "example_query")
_PLACE = gettext_lazy(
    "The secret itself is never typed in here. Name an environment variable that begins with %(prefix)s, or a file in a folder "
    "that the installation keeps for secrets."
)

NOT_BELIEVED = {
    "missing": gettext_lazy("They carried no signature: does somebody else post there, or does the provider not sign?"),
    "wrong": gettext_lazy("The signature was wrong: is the secret here the one that the provider signs with?"),
    "old": gettext_lazy("They were signed too long ago: is the clock of one side wrong?"),
}
"""Why posts were not believed, and what to look at; by `ChannelAccount.refused_because`."""
_TROUBLE = {
    "TooMany": gettext_lazy("It holds more events than are taken at once. The sender must make smaller batches."),
    "JSONDecodeError": gettext_lazy("It is not JSON. The sender must mend it and send it again."),
    "UnicodeDecodeError": gettext_lazy("It is not written in UTF-8. The sender must mend it and send it again."),
    "event_not_readable": gettext_lazy("One of its events is not as documented; the others were taken in."),
    "nothing_said": gettext_lazy("It holds a message without any words or files."),
    "unusable_address": gettext_lazy("It holds a message from an address that cannot be one."),
    "idempotency_key_reused": gettext_lazy("It holds other words under the id of an earlier message; those stand."),
    "report_too_early": gettext_lazy("A report came before our answer was noted; it is looked at again."),
    **dict.fromkeys(
        [kind.__name__ for kind in UNREADABLE],
        gettext_lazy("It is not as the provider documents it: something is missing or of another kind."),
    ),
}


def in_words(reason: str) -> str:
    """What went wrong with a post or an answer, for whoever has to mend it; what has words already stays as it is."""
    code, _colon, words_of_it = reason.partition(": ")
    return str(_TROUBLE.get(code, words_of_it if words_of_it and " " not in code else reason))


class AccountForm(forms.Form):
    """The fields of `channel_accounts.Draft`, and those that the provider asks for."""

    name = forms.CharField(label=gettext_lazy("Name for colleagues"), max_length=80)
    channel = forms.ChoiceField(label=gettext_lazy("Medium"))
    is_sandbox = forms.BooleanField(
        label=gettext_lazy("Sandbox: take messages in, but let nothing leave"), required=False, initial=True
    )

    def __init__(self, *args: Any, provider: Provider, is_new: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.provider = provider
        choices = [(channel.value, channel.label) for channel in provider.channels]
        channel: Any = self.fields["channel"]
        channel.choices = choices
        channel.disabled = not is_new
        for setting in provider.settings:
            kinds: dict[str, Any] = {"label": setting.label, "help_text": setting.help, "required": setting.is_required}
            self.fields[f"set_{setting.name}"] = (
                forms.ChoiceField(choices=setting.choices, **kinds)
                if setting.choices
                else forms.CharField(
                    max_length=5000, widget=forms.Textarea(attrs={"rows": 6}) if setting.is_long else None, **kinds
                )
            )
        if provider.own_id_label:
            self.fields["own_id"] = forms.CharField(label=str(provider.own_id_label), max_length=200, required=False)
        place = _PLACE % {"prefix": CHANNEL_PREFIX}
        if provider.secret_help:
            self.fields["secret_from"] = self._secret(_("Where the secret for receiving stands"), provider.secret_help)
            self.fields["secret_from"].required = True
            self.fields["other_secret_from"] = self._secret(
                _("Where a second one stands"),
                _("Only while one secret takes the place of another: both are believed."),
            )
        if provider.credential_help:
            self.fields["credential_from"] = self._secret(
                _("Where the credential for sending stands"), provider.credential_help
            )
        self.place_help = place
        if provider.polled_every is None:
            self.fields["example"] = forms.CharField(
                label=_("A request of the provider"),
                help_text=_("Its body, as it is posted."),
                widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
                max_length=channel_trying.LARGEST,
                required=False,
            )
            self.fields["example_query"] = forms.CharField(
                label=_("Its address or query"),
                help_text=_("As ?sender=4930…&text=Hello, where something stands there."),
                max_length=5000,
                required=False,
            )

    def groups(self) -> list[tuple[Any, list[forms.BoundField]]]:
        """The fields with the heading of each group; what an example needs stands elsewhere."""
        headings = {f"set_{setting.name}": setting.heading for setting in self.provider.settings}
        named = any(headings.values())
        found: list[tuple[Any, list[forms.BoundField]]] = [("", [])]
        for field in self:
            if field.name in _TRYING:
                continue
            heading = headings.get(field.name) or (named and field.name == "own_id" and _("Number and secrets"))
            if heading:
                found.append((heading, []))
            found[-1][1].append(field)
        return found

    @staticmethod
    def _secret(label: Any, help_text: Any) -> forms.CharField:
        return forms.CharField(label=label, help_text=help_text, max_length=400, required=False)

    def as_draft(self) -> channel_accounts.Draft:
        """Translate what was typed into what the action takes."""
        given = {name: value for name, value in self.cleaned_data.items() if name not in _TRYING}
        asked = {one.name: given.pop(f"set_{one.name}") for one in self.provider.settings}
        given["channel"] = Channel(given["channel"])
        return channel_accounts.Draft(provider=self.provider.name, settings=asked, **given)


@pages.page(CAN_SEE, methods=["GET"])
def account_list(request: HttpRequest) -> HttpResponse:
    """Each account with its health: last event, last answer, posts that were not believed, the last error, what is parked."""
    at = timezone.now()
    key = pages.read_key(request, str, int)
    found = ChannelAccount.objects.order_by("name", "pk")
    if key is not None:
        found = found.filter(pages.beyond(("name", "pk"), key))
    rows = list(found[: PAGE_SIZE + 1])
    more, rows = len(rows) > PAGE_SIZE, rows[:PAGE_SIZE]
    waiting = _waiting([account.source for account in rows])
    return pages.render(
        request,
        "admin/desk/channel_accounts.html",
        _("Channels"),
        rows=[_row(account, waiting, at=at) for account in rows],
        may_manage=request.user.has_perm(CAN_MANAGE),
        providers=[(provider.name, provider.title) for provider in all_of_them().values()],
        may_see_places=request.user.has_perm(listening_places.CAN_SEE),
        unheard=listening_places.unheard(request),
        outbound_hosts=sorted(settings.EVENHAND_OUTBOUND_HOSTS),
        next_key=pages.write_key(rows[-1].name, rows[-1].pk) if more else "",
        is_first=key is None,
    )


def _waiting(sources: list[str]) -> dict[str, dict[str, int]]:
    """How many posts of each source wait for another try or are parked; one statement over what is unfinished only."""
    unfinished = [WorkState.READY, WorkState.CLAIMED, WorkState.PARKED]
    found = RawItem.objects.filter(source__in=sources, state__in=unfinished).order_by("source").values("source")
    counted = found.annotate(
        parked=Count("pk", filter=Q(state=WorkState.PARKED)), waits=Count("pk", filter=~Q(state=WorkState.PARKED))
    )
    return {row["source"]: {"parked": row["parked"], "waits": row["waits"]} for row in counted}


def _row(account: ChannelAccount, waiting: dict[str, dict[str, int]], *, at: datetime) -> dict[str, Any]:
    def ago(moment: datetime | None) -> str:
        return words.ago(moment, at=at) if moment else ""

    try:
        title: Any = by_name(account.provider).title
    except NoSuchProvider:
        title = account.provider
    is_wrong = account.error_at is not None and (
        account.last_good_at is None or account.error_at >= account.last_good_at
    )
    return {
        "account": account,
        "title": title,
        "good": ago(account.last_good_at),
        "event": ago(account.last_event_at),
        "sent": ago(account.last_sent_at),
        "refused": ago(account.refused_at),
        "refused_why": NOT_BELIEVED.get(account.refused_because, ""),
        "error": in_words(account.error),
        "error_ago": ago(account.error_at),
        "is_wrong": is_wrong or account.failing_since is not None,
        **waiting.get(account.source, {"parked": 0, "waits": 0}),
    }


@pages.page(CAN_SEE, CAN_MANAGE)
def account_new(request: HttpRequest, provider: str) -> HttpResponse:
    """Set up a further account at a provider."""
    try:
        return _set_up(request, by_name(provider), None)
    except NoSuchProvider:
        raise Http404 from None


@pages.page(CAN_SEE, CAN_MANAGE)
def account_change(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Set an account up differently, and see what of it is parked."""
    account = _found(public_id)
    try:
        return _set_up(request, by_name(account.provider), account)
    except NoSuchProvider:
        raise Http404 from None


def _set_up(request: HttpRequest, provider: Provider, account: ChannelAccount | None) -> HttpResponse:
    refused, by, at = "", pages.colleague(request), timezone.now()
    tried: dict[str, Any] | None = None
    if request.method == "POST":
        initial = {"channel": account.channel} if account else None
        form = AccountForm(request.POST, provider=provider, is_new=account is None, initial=initial)
        if form.is_valid():
            draft = form.as_draft()
            if request.POST.get("do") == "try":
                body, query = form.cleaned_data.get("example", ""), form.cleaned_data.get("example_query", "")
                read, refused = pages.tried(lambda: channel_trying.read(draft, body=body, query=query, at=at))
                tried, kept = _shown(read) if read is not None else None, None
            elif account is None:
                kept, refused = pages.tried(lambda: channel_accounts.add(draft, by=by, at=at))
            else:
                number = account.pk
                kept, refused = pages.tried(lambda: channel_accounts.change(number, draft, by=by, at=at))
            if kept is not None:
                pages.say(
                    request,
                    "",
                    _("Noted. Give the provider this address: %(url)s") % {"url": channel_accounts.hook_url(kept)},
                )
                return redirect("admin:channel_account", public_id=kept.public_id)
    else:
        form = AccountForm(provider=provider, is_new=account is None, initial=_first_values(provider, account))
    parked = (
        RawItem.objects.filter(source=account.source, state=WorkState.PARKED)
        .defer("content")
        .order_by("-id")[:PARKED_SHOWN]
        if account
        else []
    )
    return pages.render(
        request,
        "admin/desk/channel_account.html",
        str(account or provider.title),
        form=form,
        account=account,
        provider=provider,
        hook_url=channel_accounts.hook_url(account) if account else "",
        parked=[{"item": item, "why": in_words(item.reason)} for item in parked],
        can_try=account is not None and channel_trials.can_try(account),
        tried=tried,
        may_retry=request.user.has_perm(CAN_RETRY),
        refused=refused,
        status=409 if refused else 200,
        is_fullwidth="",
    )


def _shown(read: channel_trying.Tried) -> dict[str, Any]:
    """What an account would read in an example, for people."""
    rows = []
    for event in read.events:
        facts: list[tuple[Any, Any]] = []
        if isinstance(event, Said):
            said = event.message
            spoke_at = date_format(timezone.localtime(said.spoke_at), "D j M Y, H:i:s T") if said.spoke_at else ""
            facts = [
                (_("Sender"), said.sender_address),
                (_("Name"), said.sender_name),
                (_("Words"), said.text),
                (_("Id"), said.external_id),
                (_("Time"), spoke_at or _("none: the time of receipt counts")),
                (_("Files"), ", ".join(one.reference for one in event.media)),
            ]
        elif isinstance(event, DeliveryReport):
            facts = [
                (_("Id"), event.provider_id),
                (_("Our key"), event.key),
                (_("What became of it"), event.arrival),
                (_("Reason"), event.reason),
            ]
        else:
            facts = [(_("What it says"), getattr(event, "why", "") or getattr(event, "kind", ""))]
        kind = _READ_AS.get(type(event).__name__, type(event).__name__)
        rows.append({"kind": kind, "facts": [(name, value) for name, value in facts if value]})
    return {"rows": rows, "trouble": read.trouble}


_READ_AS: dict[str, Any] = {
    "Said": gettext_lazy("A message"),
    "Edited": gettext_lazy("A changed message"),
    "Deleted": gettext_lazy("A message taken back"),
    "Echo": gettext_lazy("A message of ours"),
    "DeliveryReport": gettext_lazy("What became of a message of ours"),
    "NotForUs": gettext_lazy("Not for us"),
    "NotReadable": gettext_lazy("Not readable: kept for a person"),
    "Unknown": gettext_lazy("Nothing that we know: kept without effect"),
}


def _first_values(provider: Provider, account: ChannelAccount | None) -> dict[str, Any]:
    if account is None:
        return {"channel": provider.channels[0], "is_sandbox": True, "secret_from": CHANNEL_PREFIX}
    draft = channel_accounts.draft_of(account)
    given = {name: getattr(draft, name) for name in channel_accounts.FIELDS if name not in ("provider", "settings")}
    return {**given, **{f"set_{name}": value for name, value in draft.settings.items()}}


@pages.page(CAN_SEE, CAN_MANAGE, methods=["POST"])
def account_switch(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Begin or stop to take in and send through an account."""
    number, on = _found(public_id).pk, request.POST.get("on") == "1"
    _account, refused = pages.tried(
        lambda: channel_accounts.switch(number, on=on, by=pages.colleague(request), at=timezone.now())
    )
    pages.say(request, refused, _("Switched on.") if on else _("Switched off; the provider's posts are turned away."))
    return redirect("admin:channel_accounts")


@pages.page(CAN_SEE, CAN_MANAGE, methods=["POST"])
def account_trial(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Ask the provider whether it knows us; nothing is sent to anybody and nothing changes."""
    account = _found(public_id)
    try:
        trial = channel_trials.try_now(account.pk)
    except NoSuchProvider:
        raise Http404 from None
    pages.say(request, "" if trial.is_well else trial.said, trial.said)
    return redirect("admin:channel_account", public_id=account.public_id)


@pages.page(CAN_SEE, CAN_RETRY, methods=["POST"])
def post_again(request: HttpRequest, public_id: uuid.UUID, number: int) -> HttpResponse:
    """Let a parked post try again."""
    account = _found(public_id)
    if not RawItem.objects.filter(pk=number, source=account.source, state=WorkState.PARKED).exists():
        raise Http404
    channel_hooks.try_again(number)
    pages.say(request, "", _("It is tried again within seconds."))
    return redirect(reverse("admin:channel_account", args=[account.public_id]))


def _found(public_id: uuid.UUID) -> ChannelAccount:
    account: ChannelAccount | None = ChannelAccount.objects.filter(public_id=public_id).first()
    if account is None:
        raise Http404
    return account


urlpatterns: list[URLPattern] = [
    path("channels/", account_list, name="channel_accounts"),
    path("channels/new/<str:provider>/", account_new, name="channel_account_new"),
    path("channels/<uuid:public_id>/", account_change, name="channel_account"),
    path("channels/<uuid:public_id>/switch/", account_switch, name="channel_account_switch"),
    path("channels/<uuid:public_id>/trial/", account_trial, name="channel_account_trial"),
    path("channels/<uuid:public_id>/again/<int:number>/", post_again, name="channel_post_again"),
]
