"""Where other parts add what they know: a mark in the inbox, a panel beside a conversation, events of a customer.

crm names nobody. Whoever has something to show registers it when their own admin is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.http import HttpRequest

from crm.models import Conversation, Customer, User


@dataclass(frozen=True, slots=True)
class Mark:
    """A word beside a row of the inbox. tone: "calm", "busy", "late" or "good"."""

    words: str
    tone: str = "calm"
    url: str = ""


@dataclass(frozen=True, slots=True)
class Before:
    """Where a page of a timeline goes on: the place of the last event of the page before."""

    at: datetime
    source: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of a customer's timeline.

    source and number make its place certain among events of the same moment; sources are named so that what
    comes first in the alphabet happened first.
    """

    at: datetime
    source: str
    number: int
    icon: str
    words: str
    text: str = ""
    state: str = ""
    tone: str = "calm"
    url: str = ""
    who: str = ""
    is_quiet: bool = False

    @property
    def place(self) -> tuple[datetime, str, int]:
        return (self.at, self.source, self.number)


Marker = Callable[[User, Sequence[Conversation]], dict[int, Mark]]
"""Gives the mark of each conversation that has one, by primary key, in one statement."""
Side = Callable[[HttpRequest, Conversation], str]
"""Renders a panel beside a conversation; "" for none."""
Source = Callable[[User, Customer, Before | None, int], list[Event]]
"""Reads up to so many events of a customer that lie before a place, newest first, in one statement."""

markers: list[Marker] = []
sides: list[Side] = []
sources: list[Source] = []


def earlier(before: Before | None, *, source: str, field: str) -> Q:
    """The condition that rows of one source come after a place in a timeline that is read newest first."""
    if before is None:
        return Q()
    if source == before.source:
        return Q(**{f"{field}__lt": before.at}) | Q(**{field: before.at, "pk__lt": before.number})
    return Q(**{f"{field}__lte" if source < before.source else f"{field}__lt": before.at})
