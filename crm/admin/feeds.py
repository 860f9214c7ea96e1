"""The feeds we listen to: how each fares, and setting one up with a first look."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actions import feeds
from crm.admin import pages, words
from crm.channels import Channel
from crm.models import Feed

CAN_SEE, CAN_MANAGE = "crm.view_feed", "crm.manage_feed"
PAGE_SIZE = 50
KINDS = [
    (Channel.BLOG.value, gettext_lazy("A blog")),
    (Channel.VIDEO.value, gettext_lazy("Comments under videos")),
    (Channel.SOCIAL_PUBLIC.value, gettext_lazy("A forum or social network")),
    (Channel.REVIEW.value, gettext_lazy("Reviews")),
]


class FeedForm(forms.Form):
    """The fields of `feeds.Draft`."""

    url = forms.CharField(
        label=gettext_lazy("Address of the feed"),
        max_length=2000,
        widget=forms.TextInput(attrs={"type": "url", "inputmode": "url"}),
        help_text=gettext_lazy(
            "RSS or Atom, also of a search for your name. Another address is another feed, so this one never changes."
        ),
    )
    channel = forms.ChoiceField(label=gettext_lazy("What is it?"), choices=KINDS)
    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=120, required=False, help_text=gettext_lazy("Empty: its host.")
    )
    language = forms.CharField(
        label=gettext_lazy("Language"),
        max_length=16,
        required=False,
        help_text=gettext_lazy("Such as en or pt-BR; empty when it is mixed."),
    )


@pages.page(CAN_SEE, methods=["GET"])
def feed_list(request: HttpRequest) -> HttpResponse:
    """Each feed with its health: last good answer, what it brought, the last error."""
    at = timezone.now()
    key = pages.read_key(request, str, int)
    found = Feed.objects.order_by("name", "pk")
    if key is not None:
        found = found.filter(pages.beyond(("name", "pk"), key))
    rows = list(found[: PAGE_SIZE + 1])
    more, rows = len(rows) > PAGE_SIZE, rows[:PAGE_SIZE]
    return pages.render(
        request,
        "admin/desk/feeds.html",
        _("Feeds"),
        rows=[
            {
                "feed": feed,
                "every": words.duration(feed.asked_every),
                "good": words.ago(feed.last_good_at, at=at) if feed.last_good_at else "",
                "newest": words.ago(feed.newest_at, at=at) if feed.newest_at else "",
                "failing": words.duration(at - feed.failing_since) if feed.failing_since else "",
            }
            for feed in rows
        ],
        may_manage=request.user.has_perm(CAN_MANAGE),
        next_key=pages.write_key(rows[-1].name, rows[-1].pk) if more else "",
        is_first=key is None,
    )


@pages.page(CAN_SEE, CAN_MANAGE)
def feed_new(request: HttpRequest) -> HttpResponse:
    """Begin to listen to a further feed."""
    return _set_up(request, None)


@pages.page(CAN_SEE, CAN_MANAGE)
def feed_change(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Give a feed another name or language."""
    return _set_up(request, _found(public_id))


def _set_up(request: HttpRequest, feed: Feed | None) -> HttpResponse:
    """The form: "try" looks once and writes nothing; what was typed stays in any case."""
    refused, tried, by, at = "", None, pages.colleague(request), timezone.now()
    fixed = {} if feed is None else {"url": feed.url, "channel": feed.channel}
    form = FeedForm({**request.POST.dict(), **fixed} if request.method == "POST" else None, initial=_first_values(feed))
    if request.method == "POST" and form.is_valid():
        draft = feeds.Draft(**form.cleaned_data)
        kept: Any = None
        if request.POST.get("do") == "try":
            tried, refused = pages.tried(lambda: feeds.try_now(draft))
        elif feed is None:
            kept, refused = pages.tried(lambda: feeds.add(draft, by=by, at=at))
        else:
            number = feed.pk
            kept, refused = pages.tried(
                lambda: feeds.rename(number, name=draft.name, language=draft.language, by=by, at=at)
            )
        if kept is not None:
            pages.say(request, "", _("Noted. We listen to %(name)s.") % {"name": kept})
            return redirect("admin:feeds")
    return pages.render(
        request,
        "admin/desk/feed.html",
        _("Change a feed") if feed else _("New feed"),
        form=form,
        feed=feed,
        tried=tried,
        refused=refused,
        status=409 if refused else 200,
        is_fullwidth="",
    )


@pages.page(CAN_SEE, CAN_MANAGE, methods=["POST"])
def feed_switch(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Begin or stop to listen to a feed."""
    number, on = _found(public_id).pk, request.POST.get("on") == "1"
    _feed, refused = pages.tried(lambda: feeds.switch(number, on=on, by=pages.colleague(request), at=timezone.now()))
    pages.say(request, refused, _("Switched on.") if on else _("Switched off; what was heard stays."))
    return redirect("admin:feeds")


def _found(public_id: uuid.UUID) -> Feed:
    feed: Feed | None = Feed.objects.filter(public_id=public_id).first()
    if feed is None:
        raise Http404
    return feed


def _first_values(feed: Feed | None) -> dict[str, Any]:
    if feed is None:
        return {"url": "https://"}
    return {name: getattr(feed, name) for name in ("url", "channel", "name", "language")}


urlpatterns: list[URLPattern] = [
    path("feeds/", feed_list, name="feeds"),
    path("feeds/new/", feed_new, name="feed_new"),
    path("feeds/<uuid:public_id>/", feed_change, name="feed"),
    path("feeds/<uuid:public_id>/switch/", feed_switch, name="feed_switch"),
]
