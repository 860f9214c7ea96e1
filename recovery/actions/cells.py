"""Days counted into cells: every hour what changed in the newest two, every night in all that may still change. Cells only add up.

A count reads a day's matters as they stand, whatever became of them since the last one (answered, come back, made one with another,
judged anew, removed), and writes the difference. So nothing is counted twice, however often a matter comes back, and a missed hour
is made up for by the next one. Of days that are counted at night, what became of open matters since is noted every hour besides.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.db.models import Max

from crm.models import Conversation
from recovery.actions import outcomes
from recovery.models import DayCells, DaySince

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
    """What is stored of one day. number, counted_at: of the newest count, as of which `parts` add up.

    known_at: as of when they do for open matters; later than the count where what became of them since is among the parts.
    """

    day: date
    number: int
    counted_at: datetime
    known_at: datetime
    parts: tuple[Cells, ...]

    @property
    def until(self) -> datetime:
        """Before when customers spoke whose matters are counted: the end of the day, or the count where that came sooner."""
        return min(beginning(self.day + DAY), self.counted_at)


def beginning(day: date) -> datetime:
    """When a day begins: in UTC, where every day has 24 hours and none moves with the house."""
    return datetime.combine(day, time.min, tzinfo=UTC)


def parity_rollup(at: datetime) -> int:
    """Count every day whose turn it is. Returns how many were counted here. Safe to repeat, and to run twice at once."""
    counted = sum(_count(day, before=before, at=at) for day, before in _due(at))
    _note_since(at)
    return counted


def _due(at: datetime) -> Iterator[tuple[date, datetime]]:
    """Days, from the oldest with matters or cells, not counted since this hour began, or older ones since this day began."""
    today = at.astimezone(UTC).date()
    hour = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    opens = beginning(today - CLOSES_AFTER * DAY)
    newest = _newest([today - back * DAY for back in range(CLOSES_AFTER + 1)])
    oldest = Conversation.objects.filter(spoke_at__gte=opens, spoke_at__lt=at, imported=False)
    began = oldest.order_by("spoke_at").values_list("spoke_at", flat=True).first() or at
    first = min([began.astimezone(UTC).date(), *newest])
    for back in range((today - first).days, -1, -1):
        day = today - back * DAY
        before = hour if back < FRESH else beginning(today)
        if day not in newest or newest[day] < before:
            yield day, before


def _newest(days: Iterable[date]) -> dict[date, datetime]:
    """When those of the days that have been counted were counted last."""
    counts = DayCells.objects.filter(day__in=list(days)).values_list("day")
    return dict(counts.annotate(newest=Max("counted_at")).values_list("day", "newest"))


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
                **_as_lists(changed),
            )
    except IntegrityError:
        if not DayCells.objects.filter(day=day, number=number).exists():
            raise
        return 0
    return 1


def _note_since(at: datetime) -> None:
    """Write what became since of open matters of older days, once an hour; two workers at once write the same."""
    from recovery.parity import cells

    today = at.astimezone(UTC).date()
    hour = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    older = [today - back * DAY for back in range(FRESH, CLOSES_AFTER + 1)]
    noted = dict(DaySince.objects.filter(day__in=older).values_list("day", "at"))
    DaySince.objects.filter(day__lt=older[-1]).delete()
    due = [
        Counted(day, 0, counted_at, counted_at, ())
        for day, counted_at in _newest(older).items()
        if counted_at < at and noted.get(day, counted_at) < max(hour, counted_at)
    ]
    for run in runs(due):
        spans = [(beginning(one.day), one.until) for one in run]
        found = outcomes.changed(since=run[0].counted_at, at=at, spans=spans)
        for one, (then, now) in zip(run, found, strict=True):
            changed = cells.change(*(cells.counted(each, began=beginning(one.day)) for each in (then, now)))
            DaySince.objects.update_or_create(
                day=one.day, defaults={"counted_at": one.counted_at, "at": at, **_as_lists(changed)}
            )


def runs(counts: Iterable[Counted]) -> Iterator[list[Counted]]:
    """Yield counts of days that follow each other without a gap and are known as of one moment."""
    run: list[Counted] = []
    for each in sorted(counts, key=lambda one: one.day):
        if run and (run[-1].until, run[-1].known_at) != (beginning(each.day), each.known_at):
            yield run
            run = []
        run.append(each)
    if run:
        yield run


_LISTS = ("metric", "stratum", "channel", "bin", "d", "q")


def _as_lists(cells: Cells) -> dict[str, object]:
    return {"names": cells.names._asdict(), **{name: getattr(cells, name).tolist() for name in _LISTS}}


_SELECT = """
SELECT day - date '2000-01-01', number, counted_at, counted_at, names::text, metric, stratum, channel, bin, d, q
FROM recovery_daycells WHERE day = ANY(%(days)s) ORDER BY day, number
"""
_SINCE = """
SELECT day - date '2000-01-01', 0, counted_at, at, names::text, metric, stratum, channel, bin, d, q
FROM recovery_daysince WHERE day = ANY(%(days)s) AND at <= %(at)s ORDER BY day
"""
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""From which PostgreSQL's binary format counts days and microseconds."""
_COPY_HEADER = 19


def known(days: Iterable[date], *, at: datetime) -> dict[date, Counted]:
    """The cells of those of the days that have been counted, with what is noted to have become since of their open matters."""
    asked = list(days)
    made = stored(asked)
    for day, _number, counted_at, noted_at, names, lists in _rows(_SINCE, {"days": asked, "at": at}):
        one = made.get(day)
        if one is not None and one.counted_at == counted_at:
            made[day] = replace(one, known_at=noted_at, parts=(*one.parts, _cells(names, [lists])))
    return made


def stored(days: Iterable[date]) -> dict[date, Counted]:
    """The cells of those of the days that have been counted."""
    newest: dict[date, tuple[int, datetime]] = {}
    held: dict[date, dict[str, list[list[Ints]]]] = {}
    for day, number, counted_at, _at, names, lists in _rows(_SELECT, {"days": list(days)}):
        newest[day] = number, counted_at
        held.setdefault(day, {}).setdefault(names, []).append(lists)
    return {
        day: Counted(day, number, at, at, tuple(_cells(names, lists) for names, lists in held[day].items()))
        for day, (number, at) in newest.items()
    }


def _cells(names: str, lists: list[list[Ints]]) -> Cells:
    """Cells out of the lists of rows whose codes mean the same, one after the other."""
    import numpy as np

    from recovery.parity import cells

    told = json.loads(names)
    joined = (np.concatenate(each) for each in zip(*lists, strict=True))
    return cells.Cells(cells.Names(*(tuple(told[axis]) for axis in cells.Names._fields)), *joined)


def _rows(text: str, values: Mapping[str, object]) -> Iterator[tuple[date, int, datetime, datetime, str, list[Ints]]]:
    """Read rows out of a binary COPY (PostgreSQL manual): as objects of Python, a million numbers would take most of the time."""
    told = b"".join(outcomes.copied(text, values))
    place, of_day, of_all = _COPY_HEADER, struct.Struct(">hiiiiiqiqi"), len(told) - 2  # the end is marked by two bytes
    while place < of_all:
        _, _, day, _, number, _, counted_at, _, at, length = of_day.unpack_from(told, place)
        place += of_day.size
        names = told[place : place + length].decode()
        place += length
        lists = []
        for _name in _LISTS:
            values_there, place = _list(told, place)
            lists.append(values_there)
        yield (
            (_EPOCH + day * DAY).date(),
            number,
            *(_EPOCH + timedelta(microseconds=each) for each in (counted_at, at)),
            names,
            lists,
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
