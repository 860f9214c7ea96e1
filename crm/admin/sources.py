"""Where messages come from, and how late they reach us."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.actions import listening_places, sources
from crm.admin import pages, words
from crm.models import Source

CAN_EXPECT = "crm.change_source"
PAGE_SIZE = 100
GAPS_SHOWN_FOR, GAPS_AT_MOST = timedelta(days=30), 50
MINUTES_AT_MOST = 60 * 24 * 31


@pages.page("crm.view_source", methods=["GET"])
def source_list(request: HttpRequest) -> HttpResponse:
    """Each source with its last sign of life and its lag; late ones say so. Below, the outages of the last month."""
    at = timezone.now()
    key = pages.read_key(request, str, str, int)
    found = Source.objects.order_by("channel", "name", "id")
    if key is not None:
        found = found.filter(pages.beyond(("channel", "name", "id"), key))
    rows = list(found[: PAGE_SIZE + 1])
    more, rows = len(rows) > PAGE_SIZE, rows[:PAGE_SIZE]
    gaps = list(sources.gaps(since=at - GAPS_SHOWN_FOR, until=at)[:GAPS_AT_MOST])
    names = sources.in_words([one.name for one in (*rows, *(gap.source for gap in gaps))])
    return pages.render(
        request,
        "admin/desk/sources.html",
        _("Sources"),
        rows=[
            {
                "source": source,
                "name": names[source.name],
                "heard": words.ago(source.last_good_at, at=at) if source.last_good_at else "",
                "middle": None if source.lag_middle is None else words.clock(source.lag_middle),
                "slowest": None if source.lag_slowest is None else words.clock(source.lag_slowest),
                "budget": words.clock(source.budget),
                "minutes": int(source.expected_every.total_seconds() // 60) if source.expected_every else "",
            }
            for source in rows
        ],
        gaps=[
            {
                "gap": gap,
                "name": names[gap.source.name],
                "length": words.duration((gap.ended_at or at) - gap.began_at),
            }
            for gap in gaps
        ],
        listening_gaps=[
            {"gap": gap, "length": words.duration((gap.ended_at or at) - gap.began_at)}
            for gap in listening_places.gaps(since=at - GAPS_SHOWN_FOR, until=at)[:GAPS_AT_MOST]
        ],
        may_expect=request.user.has_perm(CAN_EXPECT),
        next_key=pages.write_key(rows[-1].channel, rows[-1].name, rows[-1].pk) if more else "",
        is_first=key is None,
    )


@pages.page(CAN_EXPECT, methods=["POST"])
def expect(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Say how often at least a source must be heard of."""
    number = Source.objects.filter(public_id=public_id).values_list("pk", flat=True).first()
    if number is None:
        raise Http404
    typed = request.POST.get("minutes", "").strip()
    if typed and not (typed.isascii() and typed.isdigit() and 0 < int(typed) <= MINUTES_AT_MOST):
        pages.say(
            request, _("Please give whole minutes, from 1 to %(most)d, or nothing.") % {"most": MINUTES_AT_MOST}, ""
        )
        return redirect("admin:sources")
    every = timedelta(minutes=int(typed)) if typed else None
    _source, refused = pages.tried(
        lambda: sources.expect(number, every=every, by=pages.colleague(request), at=timezone.now())
    )
    pages.say(request, refused, _("Noted."))
    return redirect("admin:sources")


urlpatterns: list[URLPattern] = [
    path("sources/", source_list, name="sources"),
    path("sources/<uuid:public_id>/", expect, name="source_expect"),
]
