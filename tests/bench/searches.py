"""GOAL9: search, asked through the API by a colleague who may see everything; what counts is the time in the database."""

from __future__ import annotations

import json
import statistics
import time
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from crm.actions import search_index
from crm.models import Conversation, SearchedMessage
from tests.bench import fill
from tests.bench.measure import Ask
from tests.bench.report import Finding, limit

if TYPE_CHECKING:
    from tests.bench.goals import Run

TIMES = 15


def goal_9(run: Run) -> list[Finding]:
    """A rare word, a common one, words in between, an address and the beginnings of a name."""
    began = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
    read = 0
    while done := search_index.read_batch(at=timezone.now(), most=5_000):
        read += done
    took = time.perf_counter() - began
    fill.settle()
    run.people.log_in()
    bearer = run.people.bearer(run.people.agent)
    last = Conversation.objects.filter(pk__lt=fill.PRODUCT).order_by("-pk").values_list("pk", flat=True)[0] - fill.FIRST
    number, customer = last - last // 3, last // fill.A_CUSTOMER // 2
    asked = {
        "rare word": {"q": str(number)},
        "common word": {"q": "ordered"},
        "word of one message in 100": {"q": "wedding"},
        "word of one message in 400": {"q": "anniversary"},
        "rare and common word": {"q": f"ordered {number}"},
        "word that nobody wrote": {"q": "zeppelin"},
        "phrase of common words": {"q": '"two weeks ago"'},
        "address": {"q": f"Customer{customer}@fill.example", "of": "customers"},
        "beginnings of a name": {"q": f"{customer} cust", "of": "customers"},
    }
    rows = f"{SearchedMessage.objects.count():,} messages; {read:,} rows read in {took:.0f} s"
    found = []
    for what, query in asked.items():
        ask = Ask(f"/api/v1/search/?{urlencode(query)}", bearer)
        statements = _statements(run, ask)
        first = _server_ms(statements)
        spent = [_server_ms(statements) for _ in range(TIMES)]
        waits = [run.door.batch(lambda ask=ask: ask, 1).database for _ in range(TIMES)]  # type: ignore[misc]
        told = len(run.door.statements(lambda ask=ask: ask, run.log))  # type: ignore[misc]
        note = f"first time {first:.1f} ms, quickest {min(spent):.1f}; the application waited {statistics.median(waits):.1f} ms"
        found.append(
            limit(
                9, f"search, {what}, database", statistics.median(spent), most=20, aim=5, unit=" ms", statements=told,
                note="; ".join(filter(None, [note, rows])), rounds=[{"server_ms": round(one, 3)} for one in spent],
            )
        )  # fmt: skip
        rows = ""
    return found


def _statements(run: Run, ask: Ask) -> list[str]:
    """What a request asks the database, as text."""
    with CaptureQueriesContext(connection) as captured:
        status, body = run.door.send(ask)
    if status != 200:
        raise RuntimeError(f"{ask.path}: {status} {body[:200]!r}")
    return [query["sql"] for query in captured.captured_queries if query["sql"].lstrip("( ").startswith("SELECT")]


def _server_ms(statements: list[str]) -> float:
    """How long the server plans and works for them, by its own word."""
    spent = 0.0
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}")
            told = cursor.fetchone()[0]
            plan = (json.loads(told) if isinstance(told, str) else told)[0]
            spent += plan["Planning Time"] + plan["Execution Time"]
    return spent
