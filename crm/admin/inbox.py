"""The inbox: everything that waits for us, in the one order of the queue. Nobody's reach is to be seen here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import OuterRef, Subquery
from django.db.models.functions import JSONObject, Left
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.admin import pages, panels, queue, words
from crm.models import Conversation, Interaction, User
from crm.models.talk import ConversationQuerySet
from crm.policy import Direction

PAGE_SIZE = 50
LINE = 300
ORDER = ("queue_class", "due_at", "spoke_at", "id")


@dataclass(frozen=True, slots=True)
class Row:
    conversation: Conversation
    url: str
    due: words.Due
    line: str
    mark: panels.Mark | None
    worker: str


@pages.page("crm.view_conversation", methods=["GET"])
def inbox(request: HttpRequest) -> HttpResponse:
    """What waits for us, most urgent first, 50 at a time."""
    at = timezone.now()
    user = pages.colleague(request)
    tabs = {
        "mine": _("Mine"),
        "unowned": _("Nobody's yet"),
        "all": _("Everybody's"),
        "overdue": _("Overdue"),
    }
    tab = request.GET.get("show", "")
    if tab not in tabs:
        tab = "mine" if user.takes_conversations else "all"
    waiting = Conversation.objects.visible_to(user).waiting_for_us()
    rows, more = _page(request, _narrowed(waiting, tab, user=user, at=at), at=at)
    next_key = ""
    if more:
        last = rows[-1].conversation
        next_key = pages.write_key(last.queue_class, last.due_at or at, last.spoke_at, last.pk)
    return pages.render(
        request,
        "admin/desk/inbox.html",
        _("Inbox"),
        rows=rows,
        tabs=[(name, label, name == tab) for name, label in tabs.items()],
        tab=tab,
        next_key=next_key,
        is_first=not request.GET.get("after"),
        offers=queue.offers_to(user),
        own_count=queue.own_count(user),
        may_answer=user.has_perm(queue.CAN_ANSWER),
    )


def _narrowed(waiting: ConversationQuerySet, tab: str, *, user: User, at: datetime) -> ConversationQuerySet:
    if tab == "mine":
        return waiting.filter(owner=user)
    if tab == "unowned":
        return waiting.unowned()
    if tab == "overdue":
        return waiting.filter(due_at__lt=at)
    return waiting


def _page(request: HttpRequest, waiting: ConversationQuerySet, *, at: datetime) -> tuple[list[Row], bool]:
    key = pages.read_key(request, int, datetime, datetime, int)
    if key is not None:
        waiting = waiting.filter(pages.beyond(ORDER, key))
    last_said = (
        Interaction.objects.that_stand()
        .filter(conversation=OuterRef("pk"))
        .exclude(direction=Direction.INTERNAL)
        .order_by("-spoke_at", "-id")
        .values(
            said=JSONObject(line=Left("text", LINE), channel="channel", ended_by="ended_by", talked="call_seconds")
        )[:1]
    )
    conversations = list(
        queue.with_work(waiting, at=at)
        .select_related("customer", "owner")
        .annotate(said=Subquery(last_said))
        .in_due_order()[: PAGE_SIZE + 1]
    )
    more = len(conversations) > PAGE_SIZE
    conversations = conversations[:PAGE_SIZE]
    user = pages.colleague(request)
    marks: dict[int, panels.Mark] = {}
    for marker in panels.markers:
        marks.update(marker(user, conversations))
    rows = [
        Row(
            conversation=conversation,
            url=reverse("admin:conversation", args=[conversation.public_id]),
            due=words.due(conversation.due_at or at, at=at),
            line=_line(getattr(conversation, "said", None)),
            mark=marks.get(conversation.pk),
            worker=getattr(conversation, "worker", None) or "",
        )
        for conversation in conversations
    ]
    return rows, more


def _line(said: dict[str, Any] | None) -> str:
    """The first words of what was said last; of a call without words, what it was."""
    if said is None:
        return ""
    if not said["line"] and said["ended_by"]:
        return words.without_words(channel=said["channel"], talked=said["talked"] is not None)
    return words.first_line(said["line"])
