"""GOAL11: the audit of a million matters beside the raw statement that reads the same facts, and the live look, out of cells."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import psycopg
from django.conf import settings
from django.db import connection

from recovery import actions
from recovery.actions import audits, live, outcomes
from recovery.models import DayCells
from recovery.parity import cells, own, survival
from recovery.parity.reading import Cases
from tests.bench import matters, servers
from tests.bench.measure import alternating, median_of, median_ratio
from tests.bench.report import Finding, limit

if TYPE_CHECKING:
    from tests.bench.goals import Run

AT = matters.UNTIL - timedelta(minutes=20)
"""Now: twenty minutes of matters have not been counted yet."""
COUNTED = (timedelta(days=1, minutes=-30), *(timedelta(hours=n) for n in range(3, 0, -1)))
"""When days are counted, before UNTIL: in the last night, and at the hours of the last evening."""


class Spent(NamedTuple):
    """Seconds of one time: by the clock, and of the cores for Python and for PostgreSQL's process."""

    wall: float
    python: float
    database: float

    @property
    def cpu(self) -> float:
        return self.python + self.database


def goal_11(run: Run) -> list[Finding]:
    """Fill matters, count days, measure."""
    matters.matters(run.conversations, owners=[one.pk for one in run.people.colleagues])
    return measured(run.rounds)


def measured(rounds: int) -> list[Finding]:
    """Measure on matters that are there."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
    began = counting = time.perf_counter()
    for before in COUNTED:
        counting = time.perf_counter()
        actions.parity_rollup(matters.UNTIL - before)
    counted, last = time.perf_counter() - began, time.perf_counter() - counting
    window: dict[str, Any] = {"since": matters.SINCE, "until": AT, "at": AT}
    text, values = outcomes.statement(**window)
    memory = _megabytes()
    found = outcomes.read(**window)
    audits.compare(found)
    memory = _megabytes() - memory
    now = live.look(**window)
    worst = _farthest(own.cases_of(found), now)
    size = len(found)
    del found
    database = settings.DATABASES["default"]
    plain = psycopg.connect(
        host=database["HOST"], port=database["PORT"], user=database["USER"], dbname=database["NAME"], autocommit=True
    )

    def exact() -> None:
        read = outcomes.read(**window)
        audits.compare(read)
        assert read.content_hash

    def raw() -> None:
        with plain.cursor() as cursor:
            cursor.execute(text, values)
            for _row in cursor:
                pass

    def unread() -> None:
        plain.execute(f"EXPLAIN (ANALYZE, TIMING OFF) {text}", values)

    def look() -> None:
        for _ in range(5):
            live.look(**window)

    connection.ensure_connection()
    ours, theirs = connection.connection.info.backend_pid, plain.info.backend_pid
    got = alternating(
        rounds, lambda: _spent(exact, ours), lambda: _spent(raw, theirs), lambda: _spent(unread, theirs),
        lambda: Spent(*(each / 5 for each in _spent(look, ours))),
    )  # fmt: skip
    plain.close()
    told = [
        {side: one._asdict() for side, one in zip(("exact", "raw", "unread", "live"), each, strict=True)}
        for each in got
    ]
    wall, wall_raw, wall_unread, wall_live = (median_of(got, lambda four, n=n: four[n].wall) for n in range(4))
    cpu, cpu_raw, cpu_unread, cpu_live = (median_of(got, lambda four, n=n: four[n].cpu) for n in range(4))
    by_cpu, strict, strict_cpu = (
        median_ratio(got, lambda one: one.cpu),
        median_ratio([(four[0], four[2]) for four in got], lambda one: one.wall),
        median_ratio([(four[0], four[2]) for four in got], lambda one: one.cpu),
    )
    quicker, quicker_cpu = (
        median_ratio([(four[0], four[3]) for four in got], measure) for measure in (lambda s: s.wall, lambda s: s.cpu)
    )
    return [
        limit(
            11, "exact audit ÷ raw SQL, its rows read by psycopg", median_ratio(got, lambda one: one.wall), most=1.25,
            aim=1.25, unit=" ×", cpu_ms=1000 * median_of(got, lambda four: four[0].python), rounds=told,
            note=f"{size:,} matters: {wall:.1f} s, raw {wall_raw:.1f} s; of the cores {cpu:.1f} and {cpu_raw:.1f} s, "
            f"{by_cpu:.2f} ×; ÷ the statement whose rows nobody reads ({wall_unread:.1f} s, of the cores {cpu_unread:.1f} s) "
            f"{strict:.2f} ×, of the cores {strict_cpu:.2f} ×; memory +{memory:.0f} MB",
        ),
        limit(
            11, "exact audit ÷ how it stands now, out of cells", quicker, least=40, aim=80, unit=" ×",
            cpu_ms=1000 * median_of(got, lambda four: four[3].python),
            note=f"{1000 * wall_live:.0f} ms, of the cores {1000 * cpu_live:.0f} ms, {quicker_cpu:.0f} ×; "
            f"{DayCells.objects.count()} counts in {counted:.0f} s, the newest hour's {last:.1f} s",
        ),
        limit(11, "median and nine in ten out of cells, farthest from exact", worst * 100, most=2, aim=2, unit=" %"),
    ]  # fmt: skip


def _spent(work: Callable[[], None], backend: int) -> Spent:
    wall, python, database = time.perf_counter(), time.process_time(), servers.cpu_seconds([backend])
    work()
    return Spent(time.perf_counter() - wall, time.process_time() - python, servers.cpu_seconds([backend]) - database)


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _farthest(cases: Cases, now: live.Live) -> float:
    """The largest distance, relatively, of a median or of nine in ten, over channels, first responses and resolutions."""
    first = next(each for each in cases.outcomes if each.name == cells.FIRST_RESPONSE)
    farthest = 0.0
    for metric, waits, ended in (
        (cells.FIRST_RESPONSE, first.values if first.waited is None else first.waited, ~np.isnan(first.values)),
        (cells.TIME_TO_RESOLUTION, cases.hours, cases.closed),
    ):
        for code, channel in enumerate(cases.channels):
            rows = (cases.channel == code) & ~np.isnan(waits)
            curve, found = survival.curve(waits[rows], ended[rows]), now.wait(channel, metric)
            for share, seconds in ((0.5, found and found.median_seconds), (0.9, found and found.p90_seconds)):
                hours = survival.quantile(*curve, share)
                if hours is not None and seconds is not None:
                    farthest = max(farthest, abs(seconds / (hours * 3600) - 1))
    return farthest
