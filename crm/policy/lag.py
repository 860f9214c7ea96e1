"""How late what customers say may reach us, and which stated times can be believed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

LAG_BUDGETS: dict[str, timedelta] = {
    "phone": timedelta(0),
    "chat": timedelta(0),
    "app": timedelta(0),
    "sms": timedelta(minutes=1),
    "email": timedelta(minutes=1),
    "web_form": timedelta(minutes=1),
    "social_public": timedelta(minutes=2),
    "social_direct": timedelta(minutes=2),
    "review": timedelta(minutes=30),
    "blog": timedelta(minutes=30),
    "video": timedelta(minutes=30),
    "store": timedelta(minutes=15),
    "field": timedelta(minutes=15),
    "letter": timedelta(days=1),
}
"""The published budget of each medium (domain C.5; a letter's business day is counted as a day). Held, not judged: it
moves nobody's due time, which counts from when the customer spoke."""

TYPED_IN_WITHIN = timedelta(minutes=15)
"""The budget of what a colleague writes down afterwards, whatever the medium: that of the counter."""

CLOCKS_DIFFER_BY = timedelta(seconds=5)
"""What two clocks and a network differ by; a lag below it is none."""


class TimeFrom(Enum):
    """Where a stated time comes from, which says how far it can be believed (domain C.5)."""

    OUR_SERVER = "our server"  # app, web form, a mail file without a border stamp: what the sender says is a claim
    BORDER_STAMP = "border stamp"  # our own mail server wrote it
    COLLEAGUE = "colleague"  # stated with a reason
    CALL_RECORD = "call record"  # a phone system's own file, brought by somebody who may
    SIGNED = "signed"  # a phone system or webhook that proved who it is
    POLLED = "polled"  # published by a platform that we ask


def trusted_spoke_at(
    time_from: TimeFrom, *, claimed: datetime | None, received_at: datetime, last_good_at: datetime | None
) -> datetime:
    """Say from when a customer's clock counts; never in the future.

    claimed: the stated time, None when there is none. last_good_at: the last good delivery of, or poll at, that source
    before this one; what a source reports can lie no earlier, and before its first good one nothing is believed.
    All aware. Source: domain C.5 "Sources of spoke_at"; E14, E19, H05.
    """
    if claimed is None or time_from is TimeFrom.OUR_SERVER:
        return received_at
    if time_from in (TimeFrom.BORDER_STAMP, TimeFrom.COLLEAGUE, TimeFrom.CALL_RECORD):
        return min(claimed, received_at)
    earliest = received_at if last_good_at is None else min(last_good_at, received_at)
    return min(max(claimed, earliest), received_at)


def gap_began(
    because: str, *, last_good_at: datetime | None, failing_since: datetime | None, at: datetime
) -> datetime | None:
    """Say since when nothing reaches us from a source that is late; None when something does, if slowly.

    because: what `why_late` said. Silence reaches back to the last that was heard, since what was kept back may be as old.
    """
    if because not in ("silent", "failing"):
        return None
    return min((last_good_at if because == "silent" else failing_since) or at, at)


@dataclass(frozen=True, slots=True)
class Lag:
    """How late what came in within the last hour reached us; times are None when nothing came."""

    count: int
    middle: timedelta | None
    slowest_twentieth: timedelta | None


FAILING_AFTER = timedelta(minutes=5)
"""So long everything of a source must have failed before it counts as failing; one bad post is tried three times within it."""


def why_late(
    lag: Lag,
    *,
    budget: timedelta,
    last_good_at: datetime | None,
    expected_every: timedelta | None,
    failing_for: timedelta | None = None,
    at: datetime,
) -> str:
    """Say why a source is late: "failing", "silent", "slow", or "" when all is well.

    last_good_at: when it was last heard of or well asked; expected_every: at least how often; None when it may be quiet.
    failing_for: from the first failure since it was well to the newest; None when nothing failed.
    """
    if failing_for is not None and failing_for >= FAILING_AFTER:
        return "failing"
    if expected_every is not None and (last_good_at is None or at - last_good_at > expected_every):
        return "silent"
    if lag.slowest_twentieth is not None and lag.slowest_twentieth > max(budget, CLOCKS_DIFFER_BY):
        return "slow"
    return ""
