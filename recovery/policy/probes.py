"""Agreed test pairs: the same facts told twice, each at a moment of its own, so that our answers can be compared (R051)."""

from __future__ import annotations

import math
import random
from collections.abc import Collection
from datetime import datetime, timedelta, tzinfo

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

SHORTEST_WINDOW = timedelta(days=1)
"""In a shorter one colleagues who know that there are pairs could tell which they are."""
LONGEST_WINDOW = timedelta(days=90)


class ProbeState(TextChoices):
    PLANNED = "planned", _("planned")
    ENDED = "ended", _("ended, and both were thanked")
    WITHDRAWN = "withdrawn", _("withdrawn")


DAYTIME = (8, 20)
"""Hours between which something is told, by the clock of the house: people tell it, and at night nobody picks up a phone."""


def moment_within(begins_at: datetime, ends_at: datetime, *, zone: tzinfo, chance: random.Random) -> datetime:
    """A moment of a window by day, each whole minute as likely as any other. Raises ValueError for a window shorter than a day."""
    if ends_at - begins_at < SHORTEST_WINDOW:
        raise ValueError("The window is shorter than a day.")
    minutes = int((ends_at - begins_at) / timedelta(minutes=1))
    while True:
        moment = begins_at + timedelta(minutes=chance.randrange(minutes))
        if DAYTIME[0] <= moment.astimezone(zone).hour < DAYTIME[1]:
            return moment


def is_spoiled(planner: int, *, worked_on_it: Collection[int | None]) -> bool:
    """Say whether a pair cannot be compared, because whoever planned it had a part in our answers."""
    return planner in worked_on_it


def log_ratio(one: float, other: float, *, least: float = 1 / 60) -> float:
    """The logarithm of one waiting time over another, in hours; what took less than a minute counts as one."""
    return math.log(max(one, least) / max(other, least))
