"""Looking for messages and customers: found by words, shown through the same `visible_to` as every list (X35, P15)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import BooleanField, F, Func, OuterRef, Q, QuerySet, Subquery, Value
from django.utils.module_loading import import_string

from crm.actions import identity
from crm.channels import Channel
from crm.language import searching
from crm.language.searching import Search
from crm.models import Conversation, Customer, Interaction, SearchedMessage, User
from crm.models.people import ContactKind, CustomerStatus
from crm.models.search import Searched
from crm.models.talk import may_see_every_conversation
from crm.policy import ConversationState

WALKED = 5_000
"""Newest rows that are looked at one by one; about a millisecond, and enough for every word that one message in a hundred has."""
PATIENCE = "1 second"
"""How long the database looks before it says how far it has come."""
OWN_AT_MOST = 2_000
"""Newest messages of one customer that their own search looks at."""
GONE = (CustomerStatus.ERASED, CustomerStatus.TAKEN_BACK)

Place = tuple[datetime, int]


@dataclass(frozen=True, slots=True)
class Hit:
    """One find. pieces: the part of the text around it, True for what was looked for; plain text."""

    kind: str  # "message", "customer" or "case"
    public_id: uuid.UUID
    title: str
    at: datetime
    pieces: list[tuple[str, bool]] = field(default_factory=list)
    customer: str = ""
    customer_id: uuid.UUID | None = None
    channel: str = ""
    direction: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """One page of finds, newest first. next: where the next page begins. looked_to: how far was looked, if not to the end."""

    hits: list[Hit]
    next: Place | None = None
    looked_to: datetime | None = None


def read(text: str) -> Search:
    """Read what somebody typed. Raises searching.UnusableSearch, in words for them."""
    return searching.read(text, media=Channel.values)


def messages(user: User, search: Search, *, place: Place | None = None, most: int = 20) -> Found:
    """Messages in which the words stand, newest first, among those the account may read: a colleague with the right all of them,
    a customer what is shown to them of their own. At most two statements."""
    if not may_see_every_conversation(user) or not user.has_perm("crm.view_interaction"):
        return _own_messages(user, search, place=place, most=most)
    keys, looked_to, _reached = _ladder(
        Searched.MESSAGES,
        search.written(),
        place=_earlier(place, search.before),
        oldest=_start_of(search.after + timedelta(days=1)) if search.after else None,
        only_open=search.is_open,
        most=most + 1,
    )
    rows = Interaction.objects.filter(
        pk__in=[key for key, _at in keys[:most]], conversation__in=Conversation.objects.visible_to(user)
    )
    shown = {row["pk"]: row for row in _shown(rows.exclude(conversation__customer__status__in=GONE))}
    hits = [_message(shown[key], search) for key, _at in keys[:most] if key in shown]
    return _page(hits, keys, most=most, looked_to=looked_to)


def _own_messages(user: User, search: Search, *, place: Place | None, most: int) -> Found:
    """The same for whoever sees only their own matters. Nobody else's rows are touched, so the time it takes tells nothing."""
    if user.customer_id is None:
        return Found([])
    rows: QuerySet[Any] = (
        Interaction.objects.shown_to_customers()
        .filter(conversation__in=Conversation.objects.visible_to(user), conversation__customer=user.customer_id)
        .filter(other_address="", pk__in=_newest_of(user.customer_id))
        .exclude(conversation__customer__status__in=GONE)
        # Looked up row by row: the index of everybody's words has no part in it.
        .filter(
            _Holds(
                Subquery(SearchedMessage.objects.filter(number=OuterRef("pk")).values("words")[:1]), search.written()
            )
        )
    )
    if search.is_open:
        rows = rows.filter(conversation__state=ConversationState.OPEN)
    if search.after:
        rows = rows.filter(spoke_at__gte=_start_of(search.after + timedelta(days=1)))
    place = _earlier(place, search.before)
    if place is not None:
        rows = rows.filter(Q(spoke_at__lt=place[0]) | Q(spoke_at=place[0], pk__lt=place[1]))
    found = list(_shown(rows.order_by("-spoke_at", "-pk"))[: most + 1])
    keys = [(row["pk"], row["spoke_at"]) for row in found]
    return _page([_message(row, search) for row in found[:most]], keys, most=most, looked_to=None)


class _Holds(Func):
    """Whether words that are kept hold what is looked for."""

    template = "%(expressions)s::tsquery"
    arg_joiner = " @@ "
    output_field = BooleanField()

    def __init__(self, words: Subquery, wanted: str) -> None:
        super().__init__(words, Value(wanted))


def _newest_of(customer: int) -> Any:
    own = Interaction.objects.filter(conversation__customer=customer).order_by("-spoke_at", "-pk")
    return own.values("pk")[:OWN_AT_MOST]


def _shown(rows: QuerySet[Any]) -> QuerySet[Any, dict[str, Any]]:
    found: QuerySet[Any, dict[str, Any]] = rows.values(
        "pk", "public_id", "subject", "text", "spoke_at", "channel", "direction",
        about=F("conversation__subject"), matter=F("conversation__public_id"), matter_number=F("conversation"),
        customer=F("conversation__customer__display_name"), customer_id=F("conversation__customer__public_id"),
    )  # fmt: skip
    return found


def _message(row: dict[str, Any], search: Search) -> Hit:
    pieces = searching.snippet(row["text"], search)
    if not any(is_find for _piece, is_find in pieces) and row["subject"]:
        pieces = [*searching.snippet(row["subject"], search), (" · ", False), *pieces]
    return Hit(
        kind="message",
        public_id=row["matter"],
        title=row["about"] or str(Conversation(pk=row["matter_number"])),
        at=row["spoke_at"],
        pieces=pieces,
        customer=row["customer"],
        customer_id=row["customer_id"],
        channel=row["channel"],
        direction=row["direction"],
    )


def _page(hits: list[Hit], keys: list[tuple[int, datetime]], *, most: int, looked_to: datetime | None) -> Found:
    if len(keys) > most:
        key, at = keys[most - 1]
        return Found(hits, next=(at, key))
    return Found(hits, next=(looked_to, 0) if looked_to else None, looked_to=looked_to)


def customers(user: User, search: Search, *, place: Place | None = None, most: int = 20) -> Found:
    """Customers by the beginnings of their names' words in any order, an address or a number in any notation, or a public id;
    newest first. What was made one with another leads to the kept one. At most two statements."""
    if search.is_about_messages or not (user.is_staff and user.has_perm("crm.view_customer")):
        return Found([])
    keys, looked_to, reached = _ladder(
        Searched.CUSTOMERS,
        search.written_for_names(),
        place=place,
        oldest=None,
        only_open=False,
        most=most + 1,
        points=_addresses(search.text) if place is None else (),
    )
    at_once = Q(pk__in=[*(key for key, _at in keys[:most]), *reached])
    if place is None:
        at_once |= Q(public_id__in=ids_in(search.text))
    rows = (
        Customer.objects.visible_to(user)
        .filter(at_once)
        .exclude(status__in=GONE)
        .select_related("merged_into")
        .order_by("-created_at", "-pk")
    )
    hits: dict[int, Hit] = {}
    for row in rows:
        kept = row.merged_into or row
        if kept.status not in GONE:
            pieces = searching.snippet(row.display_name, search) if row.display_name else []
            hits.setdefault(kept.pk, Hit("customer", kept.public_id, str(kept), kept.created_at, pieces))
    return _page(list(hits.values()), keys, most=most, looked_to=looked_to)


def _addresses(text: str) -> list[str]:
    """What was typed as addresses are kept, each as kind and address: in whichever notation, with or without an @ before a name."""
    found = []
    for kind in (ContactKind.EMAIL, ContactKind.PHONE, ContactKind.HANDLE):
        for typed in dict.fromkeys((text, text.removeprefix("@"), text.strip('"'))):
            try:
                found.append(f"{kind.value}:{identity.normalised(kind, typed)}")
            except identity.UnusableAddress:
                continue
    return found


def ids_in(text: str) -> list[uuid.UUID]:
    """Public ids in what was typed, also as the end of an address of a page."""
    found = re.findall(r"\b[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\b", text.lower())
    return [uuid.UUID(one) for one in found]


def elsewhere(user: User, search: Search, *, place: Place | None = None, most: int = 20) -> Iterable[tuple[str, Found]]:
    """What other apps find, by the table of finders; each looks through its own `visible_to`."""
    for kind, finder in settings.EVENHAND_FINDERS.items():
        yield kind, import_string(finder)(user, search, place=place, most=most)


def _earlier(place: Place | None, before: date | None) -> Place | None:
    """The place behind which to begin: that of the page before, or the day before which to look."""
    if before is None:
        return place
    start = (_start_of(before), 0)
    return min(place, start) if place else start


def _start_of(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


def _ladder(
    of: Searched,
    wanted: str,
    *,
    place: Place | None,
    oldest: datetime | None,
    only_open: bool,
    most: int,
    points: Sequence[str] = (),
) -> tuple[list[tuple[int, datetime]], datetime | None, list[int]]:
    """Keys and times of what is found, newest first; the moment to which was looked where patience ended before; and the customers
    who are reached at one of `points`. One statement."""
    newest, number = place or ("infinity", 0)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT false, number, at FROM crm_search(%s, %s::tsquery, %s, %s, %s, %s, %s, %s, %s) UNION ALL "
            "SELECT true, customer_id, NULL FROM crm_contactpoint, unnest(%s::text[]) AS typed (point) "
            "WHERE unlinked_at IS NULL AND kind = split_part(point, ':', 1) AND address = substr(point, strpos(point, ':') + 1)",
            [
                of.value, wanted, newest, number, oldest or "-infinity", only_open, WALKED, most, PATIENCE,
                [one for one in points if "\x00" not in one],
            ],
        )  # fmt: skip
        rows = cursor.fetchall()
    reached = [key for is_point, key, _at in rows if is_point]
    keys = [(key, at) for is_point, key, at in rows if not is_point]
    looked_to = keys.pop()[1] if keys and keys[-1][0] is None else None
    return keys, looked_to, reached
