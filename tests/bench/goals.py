"""The goals, one function each; docs/performance.md says what they mean."""

from __future__ import annotations

import itertools
import json
import math
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db import connection
from django.urls import NoReverseMatch, reverse

from crm.api.paging import write_cursor
from crm.models import Conversation
from evenhand.embedded.places import Places
from tests.bench import audits, cards, deliveries, fill, mailing, promises, searches, servers, webhooks
from tests.bench.mailing import SMALL
from tests.bench.measure import Ask, Door, Statements, alternating, database, median_of, median_ratio
from tests.bench.people import People
from tests.bench.report import Finding, limit

CONNECTIONS = 8

_numbers = itertools.count()


@dataclass
class Run:
    """What the goals share."""

    door: Door
    people: People
    places: Places
    rounds: int
    requests: int
    seconds: float
    conversations: int
    """How many the tables are filled with in the end."""
    stages: dict[int, dict[str, Statements | str]] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        return self.places.logs / "postgres.log"


# --- GOAL15: statements ----------------------------------------------------------------------------------------------------------


def asks(run: Run) -> dict[str, Callable[[], Ask]]:
    """Every request whose statements are counted, by what it is."""
    agent, customer = run.people.bearer(run.people.agent), run.people.bearer(run.people.customers[0])
    longest = Conversation.objects.get(pk=fill.FIRST + 1).public_id
    told = uuid.uuid4()
    cookie = run.people.cookie()
    pages = {f"admin {path}": (lambda path=path: Ask(path, cookie)) for path in admin_pages()}
    return {
        "inbox": lambda: Ask("/api/v1/inbox/", agent),
        "detail": lambda: Ask(f"/api/v1/conversations/{longest}/", agent),
        "create": lambda: Ask(
            "/api/v1/messages/", customer, {"text": "My lamp does not work.", "key": f"{told}-{next(_numbers)}"}
        ),
        "reply": lambda: Ask(
            f"/api/v1/conversations/{longest}/answers/",
            agent,
            {
                "text": "We look into it.",
                "key": f"{next(_numbers)}",
                "stays_open": True,
                "out_of_order": "knows_it",
            },
        ),
        **pages,
    }


def admin_pages() -> list[str]:
    """The admin's lists and its own pages that need no argument."""
    names = [f"{model._meta.app_label}_{model._meta.model_name}_changelist" for model in admin.site._registry] + [
        "inbox",
        "crm_inbox",
    ]
    found = []
    for name in names:
        try:
            found.append(reverse(f"admin:{name}"))
        except NoReverseMatch:
            continue
    return sorted(found)


def count_statements(run: Run, stage: int) -> None:
    """Count the statements of every request in the present size of the tables; a page that fails is noted."""
    counted: dict[str, Statements | str] = {}
    for what, ask in asks(run).items():
        try:
            counted[what] = run.door.statements(ask, run.log)
        except Exception as trouble:  # noqa: BLE001  a page in progress must not end the measurement of the others
            counted[what] = f"{type(trouble).__name__}: {trouble}"[:160]
            connection.close()
    run.stages[stage] = counted


LIMITS = {"inbox": (5, 5), "detail": (5, 5), "create": (6, 4), "reply": (12, 8)}


def goal_15(run: Run) -> list[Finding]:
    """SQL per request, the same at 10 and 1,000 rows and at every size of the tables."""
    found = []
    for what in dict.fromkeys(name for stage in run.stages.values() for name in stage):
        most, aim = LIMITS.get(what, (15, 10))
        seen = {stage: counted[what] for stage, counted in run.stages.items() if what in counted}
        broken = [said for said in seen.values() if isinstance(said, str)]
        if broken:
            found.append(
                Finding(15, what, f"≤ {most}, same", f"≤ {aim}", "", None, note=f"the page fails: {broken[0]}")
            )
            continue
        counts = {stage: len(said) for stage, said in seen.items()}
        worst, same = max(counts.values()), len(set(counts.values())) == 1
        found.append(
            Finding(
                goal=15,
                what=what,
                must=f"≤ {most}, same",
                aim=f"≤ {aim}",
                measured=str(worst) if same else "–".join(map(str, sorted(set(counts.values())))),
                passed=worst <= most and same,
                reaches_aim=worst <= aim,
                value=worst,
                statements=worst,
                note=""
                if same
                else "differs: " + ", ".join(f"{count} at {stage:,} rows" for stage, count in counts.items()),
                rounds=[
                    {"rows": stage, "sql": list(said.texts)}
                    for stage, said in seen.items()
                    if isinstance(said, Statements)
                ],
            )
        )
    return found


# --- GOAL6 and GOAL7: the inbox --------------------------------------------------------------------------------------------------


def goal_6(run: Run) -> list[Finding]:
    """The inbox's first page beside a plain `values()` view over the same rows."""
    bearer = run.people.bearer(run.people.agent)
    product, plain = (lambda: Ask("/api/v1/inbox/", bearer)), (lambda: Ask("/api/v1/plain/inbox/", bearer))
    for ask in (product, plain):
        run.door.batch(ask, 20)
    rounds = alternating(
        run.rounds, lambda: run.door.batch(product, run.requests), lambda: run.door.batch(plain, run.requests)
    )
    told = [{"product": _told(one), "plain": _told(other)} for one, other in rounds]
    counted = len(run.door.statements(product, run.log))
    cpu = median_of(rounds, lambda pair: pair[0].cpu)
    plain_cpu = median_of(rounds, lambda pair: pair[1].cpu)
    waited = median_of(rounds, lambda pair: pair[0].database)
    ratio = median_ratio(rounds, lambda cost: cost.cpu)
    rows = f"{Conversation.objects.count():,} conversations, {Conversation.objects.waiting_for_us().count():,} open"
    return [
        limit(6, "inbox, time in the database", waited, most=3, aim=3, unit=" ms", note=rows),
        limit(
            6,
            "inbox ÷ plain view, CPU",
            ratio,
            most=2,
            aim=1.4,
            unit=" ×",
            cpu_ms=cpu,
            note=f"plain view {plain_cpu:.2f} ms",
            rounds=told,
        ),
        limit(6, "inbox, SQL", counted, most=5, aim=5, statements=counted),
    ]


def goal_7(run: Run) -> list[Finding]:
    """A page far down beside the first one, and the first page's growth with the table."""
    bearer = run.people.bearer(run.people.agent)
    waiting = Conversation.objects.waiting_for_us()
    place = int(waiting.count() * 0.9)
    row = waiting.in_due_order().values_list("queue_class", "due_at", "spoke_at", "pk")[place]
    cursor = write_cursor([row[0], row[1].isoformat(), row[2].isoformat(), row[3]])
    first, deep = (lambda: Ask("/api/v1/inbox/", bearer)), (lambda: Ask(f"/api/v1/inbox/?cursor={cursor}", bearer))

    with database(SMALL):
        token = run.people.token(run.people.agent, device=200)

    def in_small() -> Any:
        ask = lambda: Ask("/api/v1/inbox/", {"HTTP_AUTHORIZATION": f"Bearer {token}"})  # noqa: E731
        with database(SMALL):
            run.door.batch(ask, 10)
            return run.door.batch(ask, run.requests)

    def in_large(ask: Callable[[], Ask]) -> Any:
        run.door.batch(ask, 10)
        return run.door.batch(ask, run.requests)

    rounds = alternating(run.rounds, lambda: in_large(deep), lambda: in_large(first), in_small)
    told = [{"deep": _told(a), "first": _told(b), "first_at_10k": _told(c)} for a, b, c in rounds]
    ratio = median_ratio(rounds, lambda cost: cost.wall)
    waits = median_ratio(rounds, lambda cost: cost.database)
    growth_by = Conversation.objects.count() / 10_000
    grown = median_of(rounds, lambda three: three[1].wall / three[2].wall)
    exponent = math.log(grown) / math.log(growth_by) if growth_by > 1 else 0.0
    cpu = median_of(rounds, lambda three: three[0].cpu)
    return [
        limit(
            7, "page 90 % deep ÷ first page, wall", ratio, most=1.3, aim=1.1, unit=" ×", cpu_ms=cpu,
            note=f"database {waits:.2f} ×, row {place:,}", rounds=told,
        ),
        limit(
            7, "growth of the first page, exponent", exponent, most=0.05, aim=0.03,
            note=f"10,000 → {growth_by * 10_000:,.0f} rows: {grown:.2f} ×",
        ),
    ]  # fmt: skip


def _told(cost: Any) -> dict[str, float]:
    return {"wall_ms": round(cost.wall, 3), "cpu_ms": round(cost.cpu, 3), "database_ms": round(cost.database, 3)}


# --- GOAL1: taking a message in --------------------------------------------------------------------------------------------------


def goal_1(run: Run) -> list[Finding]:
    """What the app's create costs under load, beside the floor; both behind gunicorn with 2 × 4 threads, 8 connections."""
    os.environ["EVENHAND_BENCH_DSN"] = run.places.database_url
    os.environ["EVENHAND_BENCH_JWT_KEY"] = settings.HEADLESS_JWT_PRIVATE_KEY
    os.environ["EVENHAND_BENCH_SECRET"] = settings.SECRET_KEY
    bodies = json.dumps(
        {"text": "My lamp does not work any more. I bought it two weeks ago in your shop.", "key": "KEY"}
    )
    customers = [run.people.customers[n % len(run.people.customers)] for n in range(CONNECTIONS)]

    def connections(path: str) -> list[dict[str, str]]:
        return [
            {
                "head": f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                f"Authorization: Bearer {run.people.tokens[user.pk]}\r\n",
                "body": bodies,
            }
            for user in customers
        ]

    def load(web: servers.Web, callers: list[dict[str, str]], seconds: float) -> dict[str, float]:
        return servers.load(web, run.places, callers, seconds=seconds, status=201)

    with (
        servers.gunicorn("evenhand.wsgi:application", run.places) as product,
        servers.gunicorn("tests.bench.floor:application", run.places) as floor,
    ):
        run.people.log_in()
        ours, floors = connections("/api/v1/messages/"), connections("/")
        load(product, ours, 2), load(floor, floors, 2)
        rounds = alternating(
            run.rounds, lambda: load(product, ours, run.seconds), lambda: load(floor, floors, run.seconds)
        )
    counted = run.door.statements(asks(run)["create"], run.log)
    ratio = median_ratio(rounds, lambda batch: batch["per_second"])
    cpu = median_of(rounds, lambda pair: pair[0]["cpu_ms"])
    speed, floor_speed = (median_of(rounds, lambda pair, n=n: pair[n]["per_second"]) for n in (0, 1))
    floor_cpu = median_of(rounds, lambda pair: pair[1]["cpu_ms"])
    database_cpu, floor_database = (median_of(rounds, lambda pair, n=n: pair[n]["database_cpu_ms"]) for n in (0, 1))
    waits, floor_waits = (median_of(rounds, lambda pair, n=n: pair[n]["p99_ms"]) for n in (0, 1))
    told = [{"product": one, "floor": other} for one, other in rounds]
    return [
        limit(
            1, "app message ÷ floor, requests a second", ratio, least=0.5, aim=0.75, unit=" ×", cpu_ms=cpu,
            note=f"{speed:.0f}/s, floor {floor_speed:.0f}/s; p99 {waits:.0f} ms, floor {floor_waits:.0f} ms", rounds=told,
        ),
        limit(
            1, "app message, CPU of the web server", cpu, most=4.5, aim=3, unit=" ms", cpu_ms=cpu,
            note=f"floor {floor_cpu:.2f} ms; PostgreSQL besides {database_cpu:.2f} ms, floor {floor_database:.2f} ms",
        ),
        limit(1, "app message, SQL", len(counted), most=12, aim=6, statements=len(counted)),
        limit(1, "app message, commits", counted.commits, most=1, aim=1),
    ]  # fmt: skip


WRITES = {4: 1, 1: 2, 2: 3, 3: 4, 13: 5, 12: 6, 5: 7, 10: 8, 11: 9}
"""Goals that leave rows behind come last, the one that leaves most at the end."""
MEASURED: dict[int, Callable[[Run], list[Finding]]] = {
    1: lambda run: [*goal_1(run), *webhooks.goal_1(run)], 2: webhooks.goal_2, 3: mailing.goal_3, 4: mailing.goal_4,
    5: deliveries.goal_5, 6: goal_6, 7: goal_7, 9: searches.goal_9, 10: promises.goal_10,
    11: audits.goal_11, 12: cards.goal_12, 13: promises.goal_13, 15: goal_15,
}  # fmt: skip
