"""What somebody said where we only listen: whether it is news, from when it counts, and how often we listen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from crm.policy.lag import TimeFrom, trusted_spoke_at

NEWS_FOR = timedelta(days=7)
"""What was published longer before our last good look is old: it is counted, and nothing is promised for it."""
NEWS_AT_FIRST_FOR = timedelta(days=1)
"""The same on our very first look at a place, where everything that stands there is new to us."""

LISTENED_AT_LEAST_EVERY = timedelta(minutes=15)
LISTENED_AT_MOST_EVERY = timedelta(minutes=1)
SLOWS_BY = 4
"""A place that fails is asked again after a quarter of the time it has failed for, at least as seldom as usual …"""
ASKED_AT_LEAST_EVERY = timedelta(hours=1)
"""… and at least this often."""

SAID_AT_MOST_AGO = timedelta(days=90)
"""What a colleague notes down was said within this time; older things come in by an import of history."""
LETTER_AT_MOST_UNDERWAY = timedelta(days=60)
"""A letter that reaches us longer after its postmark was posted with a wrong date."""


@dataclass(frozen=True, slots=True)
class HeardAs:
    """is_news: it opens a matter and its clocks run; otherwise it is history. spoke_at: from when it counts, aware."""

    is_news: bool
    spoke_at: datetime


def heard_as(published_at: datetime | None, *, first_seen_at: datetime, last_good_at: datetime | None) -> HeardAs:
    """Say whether something published elsewhere is news to us, and from when its clocks count.

    published_at: as the place states it, None where it does not; first_seen_at: now; last_good_at: our last good look
    there before this one. News counts from its stated time, but not from before that look: by then it was not there, as far
    as we can know. All aware. Source: domain C.5 "polled platform API or feed", "import of history".
    """
    if published_at is not None:
        last_look, kept_for = (
            (first_seen_at, NEWS_AT_FIRST_FOR) if last_good_at is None else (min(last_good_at, first_seen_at), NEWS_FOR)
        )
        if published_at < last_look - kept_for:
            return HeardAs(False, published_at)
    counts_from = trusted_spoke_at(
        TimeFrom.POLLED, claimed=published_at, received_at=first_seen_at, last_good_at=last_good_at
    )
    return HeardAs(True, counts_from)


def listens_every(budget: timedelta) -> timedelta:
    """How often a place is asked so that what it says reaches us within its budget: twice as often."""
    return min(max(budget / 2, LISTENED_AT_MOST_EVERY), LISTENED_AT_LEAST_EVERY)


def asked_again_after(every: timedelta, *, failing_for: timedelta | None, wished: timedelta | None) -> timedelta:
    """How long after a look the next one comes. failing_for: how long it has failed, None when all is well.

    wished: how long the other side asks us to wait (Retry-After), believed up to an hour.
    """
    wait = every if failing_for is None else max(every, min(failing_for / SLOWS_BY, ASKED_AT_LEAST_EVERY))
    return max(wait, min(wished, ASKED_AT_LEAST_EVERY)) if wished is not None else wait


def why_not_said_then(said_at: datetime, *, at: datetime) -> str:
    """Say why something cannot have been said at that time: "future", "too_long_ago"; "" when it can. All aware."""
    if said_at > at:
        return "future"
    return "too_long_ago" if said_at < at - SAID_AT_MOST_AGO else ""
