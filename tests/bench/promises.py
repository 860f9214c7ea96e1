"""GOAL10 and GOAL13: the tick of promises at a million open ones, and how many Celery tasks a thousand events take."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from unittest import mock

from celery import current_app
from django.conf import settings
from django.db import connection, transaction

from crm import dispatch
from crm.actions import deadlines, intake
from crm.channels import Channel, Message
from crm.models import HistoryEntry, Promise
from tests.bench.measure import alternating, median_of, median_ratio
from tests.bench.report import Finding, limit

OVERDUE = 50_000
EVENTS = 1_000
TICKS = 50
AT = datetime(2025, 7, 1, tzinfo=UTC)
"""Before everything else in the tables is due."""

OPEN = """
INSERT INTO crm_promise (conversation_id, kind, given_by, starts_at, due_at, warn_at, within_seconds, reason, explanation, state)
SELECT id, 'resolution', 'bench', timestamptz '2025-05-01', timestamptz '2099-01-01', timestamptz '2098-01-01', 1, '', '',
       'running'
FROM crm_conversation
"""
LATE = """
INSERT INTO crm_promise (conversation_id, kind, given_by, starts_at, due_at, warn_at, warned_at, within_seconds, reason,
                         explanation, state)
SELECT id, 'ownership', %(given_by)s, timestamptz '2025-05-01', timestamptz '2025-06-01' + id * interval '1 second',
       timestamptz '2025-05-20', timestamptz '2025-05-20', 1, '', '', 'running'
FROM crm_conversation ORDER BY id LIMIT %(number)s
"""
FLOOR = """
UPDATE crm_promise SET state = 'breached', breached_at = %(at)s WHERE id IN (
  SELECT id FROM crm_promise WHERE state = 'running' AND due_at < %(at)s ORDER BY due_at LIMIT %(size)s FOR UPDATE SKIP LOCKED)
"""


def goal_10(run: Any) -> list[Finding]:
    """Nothing due, then 50,000 overdue with state change and history, two sweepers at once, beside a batched UPDATE."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("SET session_replication_role = replica")  # a million references need no checking here
        cursor.execute(OPEN)
        cursor.execute("RESET session_replication_role")
        cursor.execute("VACUUM ANALYZE crm_promise")
    open_ones = Promise.objects.running().count()
    idle = []
    for _number in range(TICKS):
        began = time.perf_counter()
        if deadlines.tick(at=AT):
            raise RuntimeError("something was due that should not be")
        idle.append((time.perf_counter() - began) * 1000)
    number = min(OVERDUE, open_ones)

    def product() -> float:
        return _late_ones(number, lambda: deadlines.miss_batch(at=AT))

    def floor() -> float:
        return _late_ones(number, _floor_batch)

    before = HistoryEntry.objects.filter(verb="promise.missed").count()
    rounds = alternating(run.rounds, product, floor)
    written = HistoryEntry.objects.filter(verb="promise.missed").count() - before
    doubled = written - number * run.rounds
    ratio = median_ratio([(floor, ours) for ours, floor in rounds], lambda seconds: seconds)
    ours, least = (median_of(rounds, lambda pair, n=n: pair[n]) for n in (0, 1))
    return [
        limit(
            10, "tick when nothing is due", statistics.median(idle), most=10, aim=3, unit=" ms",
            note=f"{open_ones:,} open promises; slowest of {TICKS} {max(idle):.1f} ms",
        ),
        limit(
            10, f"{number:,} overdue ÷ batched UPDATE", ratio, least=0.30, aim=0.6, unit=" ×",
            note=f"{number / ours:,.0f}/s with history, floor {number / least:,.0f}/s; two sweepers each",
            rounds=[{"product_s": round(a, 3), "floor_s": round(b, 3)} for a, b in rounds],
        ),
        limit(10, "misses written twice or not at all", abs(doubled), most=0, aim=0, note=f"{written:,} history entries"),
    ]  # fmt: skip


def _floor_batch() -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(FLOOR, {"at": AT, "size": deadlines.AT_ONCE})
        changed: int = cursor.rowcount
        return changed


def _late_ones(number: int, sweep: Callable[[], int]) -> float:
    """Let promises be overdue and two sweepers empty them; the seconds that took."""
    with connection.cursor() as cursor:
        cursor.execute(LATE, {"given_by": f"late:{time.time_ns()}", "number": number})
        cursor.execute("VACUUM ANALYZE crm_promise")
        cursor.execute("CHECKPOINT")
    barrier = threading.Barrier(3)
    swept = [0, 0]

    def sweeper(place: int) -> None:
        connection.ensure_connection()
        barrier.wait()
        while found := sweep():
            swept[place] += found
        connection.close()

    threads = [threading.Thread(target=sweeper, args=(place,)) for place in (0, 1)]
    for thread in threads:
        thread.start()
    barrier.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    if sum(swept) != number:
        raise RuntimeError(f"{sum(swept):,} of {number:,} were swept")
    return seconds


def goal_13(run: Any) -> list[Finding]:
    """Celery tasks for a thousand messages taken in one after the other: the bells that ring, and what beat sends meanwhile."""
    rung = []
    send = current_app.send_task

    def counted(*told: Any, **more: Any) -> Any:
        rung.append(told)
        return send(*told, **more)

    with mock.patch.object(current_app, "send_task", counted):
        began = time.perf_counter()
        for number in range(EVENTS):
            at = datetime.now(UTC)
            words = "My lamp does not work."
            message = Message(
                channel=Channel.EMAIL, source="mail:bench13", external_id=f"{began}:{number}", sender_kind="email",
                sender_address=f"bench{number}@bench.example", subject="Lamp", text=words, full_text=words,
            )  # fmt: skip
            intake.receive(message, at=at, origin="bench")
        seconds = time.perf_counter() - began
        dispatch.wait_until_quiet(5)
    by_beat = sum(seconds / _every(entry["schedule"]) for entry in settings.CELERY_BEAT_SCHEDULE.values())
    return [
        limit(
            13, "Celery tasks for 1,000 events", len(rung) + by_beat, most=50, aim=20,
            note=f"{len(rung)} bells and {by_beat:.0f} by beat in {seconds:.1f} s, {EVENTS / seconds:.0f} events a second",
        )
    ]  # fmt: skip


def _every(schedule: Any) -> float:
    return float(schedule.total_seconds())
