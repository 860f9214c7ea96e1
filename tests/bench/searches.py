"""GOAL9: search, asked through the API by a colleague who may see everything; what counts is the time in the database."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.db import connection
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
        first = run.door.batch(lambda ask=ask: ask, 1)  # type: ignore[misc]
        run.door.batch(lambda ask=ask: ask, 3)  # type: ignore[misc]
        spent = [run.door.batch(lambda ask=ask: ask, 1) for _ in range(TIMES)]  # type: ignore[misc]
        waited = statistics.median(cost.database for cost in spent)
        told = len(run.door.statements(lambda ask=ask: ask, run.log))  # type: ignore[misc]
        least = min(cost.database for cost in spent)
        note = "; ".join(filter(None, [f"first time {first.database:.1f} ms, quickest {least:.1f} ms", rows]))
        rounds = [{"database_ms": round(cost.database, 3), "wall_ms": round(cost.wall, 3)} for cost in spent]
        found.append(
            limit(
                9,
                f"search, {what}, database",
                waited,
                most=20,
                aim=5,
                unit=" ms",
                statements=told,
                note=note,
                rounds=rounds,
            )
        )
        rows = ""
    return found
