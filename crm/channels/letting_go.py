"""What a post says without some of its messages: so that words which somebody took back do not stay in what we keep of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from crm.channels.events import Edited, Event, Said
from crm.channels.providers import UNREADABLE, Post

READ_AT_MOST: Final = 3_000
"""How often a post is read at most to find out where its messages stand."""


def without(post: Post, gone: Collection[str], *, read: Callable[[Post], Sequence[Event]]) -> bytes | None:
    """The body of a post without what it says in the messages with these ids; b"" when it says nothing else.

    Works for every provider: whatever element of a list of its JSON can be left out so that just these messages are missing, and
    everything else is read as before, is where they stand. None when they cannot be parted from the rest.
    """
    try:
        events = read(post)
    except UNREADABLE:
        return None
    others = [event for event in events if not _is_of(event, gone)]
    left = len(events) - len(others)
    if not left:
        return post.body
    if not others:
        return b""
    try:
        document = json.loads(post.body.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    reads = 0
    while left:
        for some, place in _elements(document):
            if reads == READ_AT_MOST:
                return None
            reads += 1
            taken = some.pop(place)
            found = _read(replace(post, body=json.dumps(document).encode()), read)
            if len(found) < len(others) + left and [one for one in found if not _is_of(one, gone)] == others:
                left = len(found) - len(others)
                break
            some.insert(place, taken)
        else:
            return None
    return json.dumps(document).encode()


def _is_of(event: Event, gone: Collection[str]) -> bool:
    if isinstance(event, Said):
        return event.message.external_id in gone
    return isinstance(event, Edited) and event.external_id in gone


def _read(post: Post, read: Callable[[Post], Sequence[Event]]) -> Sequence[Event]:
    try:
        return read(post)
    except UNREADABLE:
        return ()


def _elements(document: Any) -> Iterator[tuple[list[Any], int]]:
    """Every element of every list, the outer lists first; one that is left out may be put back before the next is asked for."""
    waiting = [document]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, list):
            for place in range(len(one)):
                yield one, place
            waiting += one
        elif isinstance(one, dict):
            waiting += one.values()
