"""Watching between looks: every night adds a day to the evidence, and rings where a channel has been treated otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from recovery.actions import audits, outcomes
from recovery.models import ParityAudit, WatchDay
from recovery.policy import FindingOrigin, Rang

if TYPE_CHECKING:
    from recovery.parity.effects import Estimate
    from recovery.parity.own import Matters
    from recovery.parity.sequential import Ties
    from recovery.parity.watched import Measure, Watched

FIRST_DAYS = 28
"""The watch begins so many days before the first night: what is known of them is read as of those days."""
DAYS_AT_ONCE = 40
"""Missed days made up for in one night; the rest in the next."""
SUNDAY = 7
SLICE_DAYS = 7
"""A slice is over when enough like matters came to compare, at latest after a week."""
READ_DAYS = 42
"""How far back one day reads: a slice of a week that ended a week ago, and who was waiting when it began."""
SIZED_DAYS = 28
"""How large a change is, is told from cohorts of so many days."""


@dataclass(frozen=True, slots=True)
class Line:
    """The evidence about one channel, day by day, oldest first; all tuples are of one length. Logarithms are natural.

    channel: empty for all together: the average over channels, which is what rings for EVER. log_e_limit: where this line rings by
    itself. log_r, log_r_limit: of the change detector; None before its first week, and for all together. rang: a value of Rang or
    nothing.
    """

    channel: str
    days: tuple[date, ...]
    log_e: tuple[float, ...]
    log_r: tuple[float | None, ...]
    log_e_limit: float
    log_r_limit: float | None
    rang: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Ring:
    metric: str
    channel: str
    kind: Rang
    effect: Estimate


def parity_sequential(at: datetime) -> int:
    """Add every whole day since the last one that was added, yesterday the last. Returns how many were new.

    Safe to repeat and to run late: a day is read as of its own end, not as of when this runs.
    """
    yesterday = timezone.localdate(at, _zone()) - timedelta(days=1)
    newest = WatchDay.objects.order_by("-day").values_list("day", flat=True).first()
    first = yesterday - timedelta(days=FIRST_DAYS - 1) if newest is None else newest + timedelta(days=1)
    days = [first + timedelta(days=number) for number in range((yesterday - first).days + 1)]
    return sum(add_day(day, at=at) for day in days[:DAYS_AT_ONCE])


def add_day(day: date, *, at: datetime) -> bool:
    """Add one day that is over; says whether it was new. What rings opens or renews a finding, and every lead is told."""
    from recovery.parity import watched

    until = _midnight(day + timedelta(days=1))
    matters = outcomes.read(since=_midnight(day - timedelta(days=READ_DAYS - 1)), until=until, at=until)
    rows: list[WatchDay] = []
    rung: list[_Ring] = []
    for measure in watched.MEASURES.values():
        made, rings = _measured(measure, matters, day)
        rows += made
        rung += rings
    if rung and not ParityAudit.objects.exists():
        audits.parity_nightly(at)
    try:
        with transaction.atomic():
            if rung:
                audits.one_after_another()
            WatchDay.objects.bulk_create(rows)
            for ring in rung:
                audits.rung(
                    ring.metric,
                    ring.channel,
                    ring.effect,
                    origin=FindingOrigin.ALARM,
                    how=ring.kind.value,
                    day=day,
                    at=at,
                )
            if rung:
                audits.keep_gate(at=at)
    except IntegrityError:
        if not WatchDay.objects.filter(day=day).exists():
            raise
        return False
    return bool(rows)


def _measured(measure: Measure, matters: Matters, day: date) -> tuple[list[WatchDay], list[_Ring]]:
    """The rows of one measure after one day, one for each channel that ever had a matter, and what rings."""
    import numpy as np

    from recovery.parity import sequential, watched

    asked = watched.Watched(measure, matters)
    before = _before(measure.name, day)
    here = {matters.channels[code] for code in np.unique(asked.channel)}
    channels = [name for name in matters.channels if name in here or name in before]
    codes = [matters.channels.index(name) for name in channels]
    last = day - timedelta(days=measure.ripe_days)
    through = max((row.through for row in before.values()), default=last - timedelta(days=1))
    anew = any(row.rang == Rang.EVER for row in before.values())
    state = {name: _State(before.get(name), anew=anew) for name in channels}
    begins, ends = (_seconds(each + timedelta(days=1)) for each in (through, last))
    is_over = last > through and ((last - through).days >= SLICE_DAYS or asked.enough(begins, ends))
    rings: dict[str, Rang] = {}
    if is_over:
        added, through = asked.added(begins, ends), last
        for code, each in zip(codes, state.values(), strict=True):
            each.add(*(float(part[code]) for part in added))
    logs = np.array([each.log_e for each in state.values()])
    if is_over:
        rang = sequential.rings(logs, at=sequential.limit(len(watched.MEASURES)))
        rings |= {name: Rang.EVER for name, now in zip(channels, rang, strict=True) if now}
    if day.isoweekday() == SUNDAY and channels:
        ripe = day - timedelta(days=watched.RIPE_DAYS)
        week = asked.cohort(_seconds(ripe - timedelta(days=SLICE_DAYS - 1)), _seconds(ripe + timedelta(days=1)))
        earlier = np.stack([each.log_rs for each in state.values()], axis=1)
        later = sequential.further(earlier, _of(week, codes), ratios=measure.ratios)
        limit = sequential.change_limit(len(channels), len(watched.MEASURES))
        for place, (name, each) in enumerate(state.items()):
            each.log_rs = later[:, place]
            if sequential.averaged(each.log_rs) >= limit:
                rings.setdefault(name, Rang.CHANGE)
    rows = [each.row(measure.name, name, day, through, rings.get(name)) for name, each in state.items()]
    sized = [
        _Ring(measure.name, name, kind, effect)
        for name, kind in rings.items()
        if (effect := _material(asked, matters, day, state[name], name, kind)) is not None
    ]
    return rows, sized


def _before(metric: str, day: date) -> dict[str, WatchDay]:
    """The newest rows of a measure before a day, by channel."""
    newest = WatchDay.objects.filter(metric=metric, day__lt=day).order_by("-day").values("day")[:1]
    return {row.channel: row for row in WatchDay.objects.filter(metric=metric, day=newest).order_by("channel")}


class _State:
    """What a row holds, between two rows. anew: the evidence of all nights begins again, for it has rung."""

    def __init__(self, before: WatchDay | None, *, anew: bool) -> None:
        import numpy as np

        from recovery.parity import sequential

        goes_on = before if not anew else None
        self.n, self.u, self.v, self.overlap = (
            (float(goes_on.n), goes_on.u, goes_on.v, goes_on.overlap) if goes_on else (0.0, 0.0, 0.0, 0.0)
        )
        counted = before is not None and bool(before.log_rs) and not before.rang
        self.log_rs = np.array(before.log_rs) if before and counted else np.full(len(sequential.SLOWER), -np.inf)

    def add(self, n: float, u: float, v: float, overlap: float) -> None:
        self.n, self.u, self.v, self.overlap = self.n + n, self.u + u, self.v + v, self.overlap + overlap

    @property
    def log_e(self) -> float:
        import numpy as np

        from recovery.parity import sequential

        return float(sequential.log_e(np.array([self.u]), np.array([self.v]))[0])

    def row(self, metric: str, channel: str, day: date, through: date, rang: Rang | None) -> WatchDay:
        import numpy as np

        from recovery.parity import sequential

        counted = bool(np.isfinite(self.log_rs).all())
        return WatchDay(
            metric=metric, channel=channel, day=day, through=through, n=int(self.n), u=self.u, v=max(self.v, 0.0),
            overlap=self.overlap, log_e=self.log_e, log_rs=[float(each) for each in self.log_rs] if counted else [],
            log_r=float(sequential.averaged(self.log_rs)) if counted else None, rang=rang or "",
        )  # fmt: skip


def _of(ties: Ties, codes: list[int]) -> Ties:
    """The same ties with the columns of these channels alone, in their order."""
    return type(ties)(ties.d, ties.y, ties.own_d[:, codes], ties.own_y[:, codes])


def _material(asked: Watched, matters: Matters, day: date, state: _State, channel: str, kind: Rang) -> Estimate | None:
    """How large what rang is; None where it is too small to matter. A change is sized by its last four weeks, not by all nights."""
    import numpy as np

    from recovery.parity import watched
    from recovery.parity.sequential import Sums

    code = matters.channels.index(channel)
    last = day - timedelta(days=watched.RIPE_DAYS)
    window = _seconds(last - timedelta(days=SIZED_DAYS - 1)), _seconds(last + timedelta(days=1))
    sums = asked.cohort(*window).sums()
    if kind == Rang.EVER:
        whole = np.zeros((4, len(matters.channels)))
        whole[:, code] = state.n, state.u, state.v, state.overlap
        sums = Sums(*whole)
    effect = watched.size(asked.measure, sums, code)
    gap = float(asked.gap_hours(*window)[code]) if asked.measure.is_time else 0.0
    return effect if watched.matters_enough(asked.measure, effect, gap) else None


def series(metric: str, *, days: int) -> list[Line]:
    """The last so many watched days of one measure: all together first, then each channel.

    metric: a key of recovery.parity.watched.MEASURES. Empty before the first night. Raises KeyError for what is not watched.
    """
    import numpy as np

    from recovery.parity import sequential, watched

    measures = len(watched.MEASURES)
    name = watched.MEASURES[metric].name
    newest = WatchDay.objects.filter(metric=name).order_by("-day").values_list("day", flat=True).first()
    if newest is None:
        return []
    rows = list(WatchDay.objects.filter(metric=name, day__gt=newest - timedelta(days=days)).order_by("channel", "day"))
    by_day: dict[date, list[WatchDay]] = {}
    by_channel: dict[str, list[WatchDay]] = {}
    for row in rows:
        by_day.setdefault(row.day, []).append(row)
        by_channel.setdefault(row.channel, []).append(row)
    limit, channels = sequential.limit(measures), len(by_channel)
    dates = sorted(by_day)
    together = Line(
        channel="",
        days=tuple(dates),
        log_e=tuple(float(sequential.averaged(np.array([row.log_e for row in by_day[each]]))) for each in dates),
        log_r=(None,) * len(dates),
        log_e_limit=limit,
        log_r_limit=None,
        rang=tuple(Rang.EVER.value if any(row.rang == Rang.EVER for row in by_day[each]) else "" for each in dates),
    )
    return [
        together,
        *(
            Line(
                channel=channel,
                days=tuple(row.day for row in own),
                log_e=tuple(row.log_e for row in own),
                log_r=tuple(row.log_r for row in own),
                log_e_limit=limit + float(np.log(channels)),
                log_r_limit=sequential.change_limit(channels, measures),
                rang=tuple(row.rang for row in own),
            )
            for channel, own in by_channel.items()
        ),
    ]


def _zone() -> ZoneInfo:
    return ZoneInfo(settings.EVENHAND_ZONE)


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min), _zone())


def _seconds(day: date) -> float:
    return _midnight(day).timestamp()
