"""How it stands now: the figures and verdicts of the last days, out of counts, where an audit reads every matter.

What the newest counts know comes from recovery/actions/cells.py. Who waited then waits until now, but for those who were answered,
settled, came back or whose promise fell due since: these matters are read row by row, like what customers said since, by the
statement and the code of the exact audit. Days that have not been counted are read so too: the answers are the same, later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from recovery.actions import outcomes
from recovery.actions.cells import DAY, Counted, beginning, known, runs

if TYPE_CHECKING:
    from recovery.parity.cells import Cells, Table
    from recovery.parity.contrasts import Contrast


@dataclass(frozen=True, slots=True)
class Wait:
    """How long customers of a channel waited for one thing. n: matters; ended: of them, those that waited no longer.

    median_seconds, p90_seconds: by when half and nine in ten had it (Kaplan and Meier 1958: who still waits counts until now);
    None where so many have not had it yet.
    """

    channel: str
    metric: str
    n: int
    ended: int
    median_seconds: float | None
    p90_seconds: float | None


@dataclass(frozen=True, slots=True)
class Share:
    """How many of a channel's matters went one way. n: matters of which it can be said; yes: of them."""

    channel: str
    metric: str
    n: int
    yes: int


@dataclass(frozen=True, slots=True)
class Line:
    """One channel against the others, like for like; effect as in recovery/parity/effects.py."""

    metric: str
    channel: str
    versus: str
    verdict: str
    effect: str
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Live:
    """What is known now about matters of whole days (UTC). counted_at: the oldest count in it; None where none was used."""

    since: datetime
    until: datetime
    at: datetime
    counted_at: datetime | None
    waits: tuple[Wait, ...]
    shares: tuple[Share, ...]
    lines: tuple[Line, ...]

    def wait(self, channel: str, metric: str) -> Wait | None:
        return next((each for each in self.waits if (each.channel, each.metric) == (channel, metric)), None)

    def share(self, channel: str, metric: str) -> Share | None:
        return next((each for each in self.shares if (each.channel, each.metric) == (channel, metric)), None)


def look(*, since: datetime, until: datetime, at: datetime) -> Live:
    """Figures and verdicts over the days (UTC) that a window touches, as of now.

    since, until, at: aware. A day counts as a whole, as far as it has come.
    """
    from recovery.parity import cells

    told, counted_at, first, last = _told(since, until, at)
    return Live(
        since=beginning(first),
        until=beginning(last + DAY),
        at=at,
        counted_at=counted_at,
        waits=tuple(_waits(told)),
        shares=tuple(_shares(told)),
        lines=tuple(_line(each) for each in cells.contrasts(told)),
    )


def _told(since: datetime, until: datetime, at: datetime) -> tuple[Table, datetime | None, date, date]:
    from recovery.parity import cells

    until = min(until, at)
    first, last = since.astimezone(UTC).date(), (until - timedelta(microseconds=1)).astimezone(UTC).date()
    days = [first + place * DAY for place in range((last - first).days + 1)]
    counts = known(days, at=at)
    parts = [
        cells.aged(part, began=beginning(day), at=at) for day, found in counts.items() for part in found.parts
    ] + list(_since(counts.values(), at))
    left = [
        (
            max(beginning(day), counts[day].counted_at) if day in counts else beginning(day),
            min(beginning(day + DAY), at),
        )
        for day in days
    ]
    parts += [_read(start, stop, at) for start, stop in _joined(left)]
    oldest = min((found.counted_at for found in counts.values()), default=None)
    return cells.table(parts), oldest, first, last


def _since(counts: Iterable[Counted], at: datetime) -> Iterator[Cells]:
    """Yield what became since of matters that were counted; days known as of one moment are read together."""
    from recovery.parity import cells

    for run in runs(counts):
        began = beginning(run[0].day)
        if run[0].known_at < at:
            for found in outcomes.changed(since=run[0].known_at, at=at, spans=[(began, run[-1].until)]):
                then, now = (cells.counted(each, began=began) for each in found)
                yield cells.aged(cells.change(then, now), began=began, at=at)


def _joined(spans: list[tuple[datetime, datetime]]) -> Iterator[tuple[datetime, datetime]]:
    """Yield spans of time that are not empty, those that follow each other as one."""
    start = stop = None
    for begins, ends in spans:
        if begins >= ends:
            continue
        if stop == begins and start is not None:
            stop = ends
            continue
        if start is not None and stop is not None:
            yield start, stop
        start, stop = begins, ends
    if start is not None and stop is not None:
        yield start, stop


def _read(since: datetime, until: datetime, at: datetime) -> Cells:
    from recovery.parity import cells

    matters = outcomes.read(since=since, until=until, at=at)
    return cells.aged(cells.counted(matters, began=since), began=since, at=at)


def _waits(told: Table) -> Iterator[Wait]:
    from recovery.parity import cells

    for metric in cells.TIMES:
        for place, channel in _used(told, metric):
            d, q = (each[told.names.metrics.index(metric), :, place].sum(axis=0) for each in (told.d, told.q))
            ended = int(d.sum())
            yield Wait(
                channel=channel,
                metric=metric,
                n=ended + int(q.sum()),
                ended=ended,
                median_seconds=cells.quantile(d, q, 0.5),
                p90_seconds=cells.quantile(d, q, 0.9),
            )


def _shares(told: Table) -> Iterator[Share]:
    from recovery.parity import cells

    for metric in told.names.metrics:
        if metric not in cells.TIMES:
            for place, channel in _used(told, metric):
                d = told.d[told.names.metrics.index(metric), :, place].sum(axis=0)
                yield Share(channel=channel, metric=metric, n=int(d.sum()), yes=int(d[0]))


def _used(told: Table, metric: str) -> Iterator[tuple[int, str]]:
    if metric in told.names.metrics:
        place = told.names.metrics.index(metric)
        sizes = (told.d[place] + told.q[place]).sum(axis=(0, 2))
        yield from ((code, channel) for code, channel in enumerate(told.names.channels) if sizes[code] > 0)


def _line(found: Contrast) -> Line:
    effect = found.tested.effects[0]
    return Line(
        metric=found.metric, channel=found.channel, versus=found.versus, verdict=found.verdict, effect=effect.kind,
        value=effect.value, low=effect.low, high=effect.high,
    )  # fmt: skip
