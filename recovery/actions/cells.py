"""Days counted into cells: every hour what changed in the newest two, every night in all that may still change. Cells only add up.

A count reads a day's matters as they stand, whatever became of them since the last one (answered, come back, made one with another,
judged anew, removed), and writes the difference. So nothing is counted twice, however often a matter comes back, and a missed hour
is made up for by the next one.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.db.models import Max

from crm.models import Conversation
from recovery.actions import outcomes
from recovery.models import DayCells

if TYPE_CHECKING:
    from recovery.parity.cells import Cells
    from recovery.parity.kernel import Ints

DAY = timedelta(days=1)
FRESH = 2
"""Days, today among them, that are counted every hour; older ones every night."""
CLOSES_AFTER = 56
"""Days after which a day is counted no more: twice the window of the audit, and more than it and the two weeks in which a matter
may come back as the same one."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What is stored of one day, count after count. number, counted_at: of the newest, as of which `parts` add up."""

    day: date
    number: int
    counted_at: datetime
    parts: tuple[Cells, ...]


def beginning(day: date) -> datetime:
    """When a day begins: in UTC, where every day has 24 hours and none moves with the house."""
    return datetime.combine(day, time.min, tzinfo=UTC)


def parity_rollup(at: datetime) -> int:
    """Count every day whose turn it is. Returns how many were counted here. Safe to repeat, and to run twice at once."""
    return sum(_count(day, before=before, at=at) for day, before in _due(at))


def _due(at: datetime) -> Iterator[tuple[date, datetime]]:
    """Days, from the oldest with matters or cells, not counted since this hour began, or older ones since this day began."""
    today = at.astimezone(UTC).date()
    hour = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    opens = beginning(today - CLOSES_AFTER * DAY)
    newest = dict(
        DayCells.objects.filter(day__gte=opens.date(), day__lte=today)
        .values_list("day")
        .annotate(newest=Max("counted_at"))
        .values_list("day", "newest")
    )
    oldest = Conversation.objects.filter(spoke_at__gte=opens, spoke_at__lt=at, imported=False)
    began = oldest.order_by("spoke_at").values_list("spoke_at", flat=True).first() or at
    first = min([began.astimezone(UTC).date(), *newest])
    for back in range((today - first).days, -1, -1):
        day = today - back * DAY
        before = hour if back < FRESH else beginning(today)
        if day not in newest or newest[day] < before:
            yield day, before


def _count(day: date, *, before: datetime, at: datetime) -> int:
    """Write what changed in a day since its last count; 0 where another worker has counted it meanwhile."""
    from recovery.parity import cells

    last = stored([day]).get(day)
    if last is not None and last.counted_at >= before:
        return 0
    began = beginning(day)
    found = cells.counted(outcomes.read(since=began, until=min(began + DAY, at), at=at), began=began)
    changed = cells.change(cells.total(last.parts if last else ()), found)
    number = last.number + 1 if last else 1
    try:
        with transaction.atomic():
            DayCells.objects.create(
                day=day,
                number=number,
                counted_at=at,
                names=changed.names._asdict(),
                **{name: getattr(changed, name).tolist() for name in _LISTS},
            )
    except IntegrityError:
        if not DayCells.objects.filter(day=day, number=number).exists():
            raise
        return 0
    return 1


_LISTS = ("metric", "stratum", "channel", "bin", "d", "q")
_SELECT = """
SELECT day - date '2000-01-01', number, counted_at, names::text, metric, stratum, channel, bin, d, q
FROM recovery_daycells WHERE day = ANY(%(days)s) ORDER BY day, number
"""
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""From which PostgreSQL's binary format counts days and microseconds."""
_COPY_HEADER = 19


def stored(days: Iterable[date]) -> dict[date, Counted]:
    """The cells of those of the days that have been counted."""
    made: dict[date, Counted] = {}
    for day, number, counted_at, part in _rows(list(days)):
        before = made[day].parts if day in made else ()
        made[day] = Counted(day, number, counted_at, (*before, part))
    return made


def _rows(days: list[date]) -> Iterator[tuple[date, int, datetime, Cells]]:
    """Read rows out of a binary COPY (PostgreSQL manual): as objects of Python, a million numbers would take most of the time."""
    from recovery.parity import cells

    told = b"".join(outcomes.copied(_SELECT, {"days": days}))
    place, of_day, of_all = _COPY_HEADER, struct.Struct(">hiiiiiqi"), len(told) - 2  # the end is marked by two bytes
    while place < of_all:
        _, _, day, _, number, _, moment, length = of_day.unpack_from(told, place)
        place += of_day.size
        names = json.loads(told[place : place + length])
        place += length
        lists = []
        for _name in _LISTS:
            values, place = _list(told, place)
            lists.append(values)
        yield (
            (_EPOCH + day * DAY).date(),
            number,
            _EPOCH + timedelta(microseconds=moment),
            cells.Cells(cells.Names(*(tuple(names[axis]) for axis in cells.Names._fields)), *lists),
        )


def _list(told: bytes, place: int) -> tuple[Ints, int]:
    """One list of whole numbers, and where the next field begins."""
    import numpy as np

    (size,) = struct.unpack_from(">i", told, place)
    after = place + 4 + size
    if struct.unpack_from(">i", told, place + 4)[0] == 0:  # no dimension: no elements
        return np.empty(0, dtype=np.int64), after
    (count,) = struct.unpack_from(">i", told, place + 16)
    width = (size - 20) // count - 4
    elements = np.frombuffer(told, dtype=[("length", ">i4"), ("value", f">i{width}")], count=count, offset=place + 24)
    return elements["value"].astype(np.int64), after
