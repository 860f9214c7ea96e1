"""The page on which colleagues look for messages, customers and cases."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actions import searching as actions
from crm.actions.searching import Found, Hit, Place
from crm.admin import pages
from crm.channels import Channel
from crm.language.searching import SAID_BY, UnusableSearch
from crm.policy import Direction

CAN_SEARCH = "crm.view_conversation"
AT_ONCE, TOGETHER = 25, 8
"""Finds on a page of one kind, and of each kind where all are shown together."""
KINDS = {"customer": gettext_lazy("Customers"), "case": gettext_lazy("Cases"), "message": gettext_lazy("Messages")}
VIEWS = {"customer": "admin:customer", "case": "admin:case", "message": "admin:conversation"}
SAID: dict[str, Any] = {
    Direction.INBOUND: gettext_lazy("Customer"),
    Direction.OUTBOUND: gettext_lazy("Our answer"),
    Direction.INTERNAL: gettext_lazy("Note among us"),
}
MEDIA: dict[str, Any] = dict(Channel.choices)


@pages.page(CAN_SEARCH, methods=["GET"])
def search(request: HttpRequest) -> HttpResponse:
    """What is found by `q`, by kind; `of` shows more of one kind."""
    typed, of = request.GET.get("q", "").strip(), request.GET.get("of", "")
    groups, refused = [], ""
    if typed:
        try:
            groups = _groups(request, typed, of if of in KINDS else "")
        except UnusableSearch as mistake:
            refused = str(mistake)
    return pages.render(
        request,
        "admin/desk/search.html",
        _("Search"),
        typed=typed,
        of=of if of in KINDS else "",
        groups=groups,
        is_empty=bool(typed) and not refused and not any(group["hits"] for group in groups),
        looks_on=any(group["looked_to"] for group in groups),
        kinds=list(KINDS.items()),
        media=[channel.value for channel in Channel],
        said_by=list(SAID_BY),
        refused=refused,
        status=400 if refused else 200,
        is_fullwidth="",
    )


def _groups(request: HttpRequest, typed: str, of: str) -> list[dict[str, Any]]:
    user, wanted = pages.colleague(request), actions.read(typed)
    key = pages.read_key(request, datetime, int) if of else None
    place, most = (key[0], key[1]) if key else None, AT_ONCE if of else TOGETHER
    found: dict[str, Found] = {}
    if of in ("", "customer"):
        found["customer"] = actions.customers(user, wanted, place=place, most=most)
    if of in ("", "case"):
        found.update(actions.elsewhere(user, wanted, place=place, most=most))
    if of in ("", "message"):
        found["message"] = actions.messages(user, wanted, place=place, most=most)
    return [
        {
            "kind": kind,
            "name": name,
            "hits": [_row(hit, kind) for hit in found[kind].hits],
            "next_key": _key(found[kind].next),
            "looked_to": found[kind].looked_to,
            "is_first": key is None,
        }
        for kind, name in KINDS.items()
        if kind in found
    ]


def _key(place: Place | None) -> str:
    return pages.write_key(*place) if place else ""


def _row(hit: Hit, kind: str) -> tuple[Hit, str, Any, Any]:
    return hit, VIEWS[kind], SAID.get(hit.direction, ""), MEDIA.get(hit.channel, "")


urlpatterns: list[URLPattern] = [path("find/", search, name="find")]
