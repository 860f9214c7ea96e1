"""GOAL1 and GOAL2 through the hook door: one signed event a request under load, and batches of a hundred, each beside its floor."""

from __future__ import annotations

import base64
import itertools
import json
import os
import time
import uuid
from dataclasses import dataclass
from typing import Any

import psycopg
from django.db import connection
from django.utils import timezone

from crm.actions import channel_accounts
from crm.channels import Channel
from crm.models import ChannelAccount, Interaction, RawItem
from tests.bench import hook_floor, load, servers
from tests.bench.measure import Ask, alternating, median_of, median_ratio
from tests.bench.report import Finding, limit

SECRET = "whsec_" + base64.b64encode(b"a secret of the measurement only").decode()
WORDS = "My lamp does not work any more. I bought it two weeks ago in your shop."
A_BATCH = 100
CONNECTIONS = 8
IN_USE = 500
"""Posts that an account took in before it is measured."""

_numbers = itertools.count()


def account() -> ChannelAccount:
    """The account whose hook is measured; its secret stands in the environment, also for processes started later."""
    os.environ["EVENHAND_CHANNEL_BENCH"] = SECRET
    found = ChannelAccount.objects.filter(provider="standard_webhooks").first()
    draft = channel_accounts.Draft(
        "standard_webhooks", Channel.CHAT, "Shop chat", own_id="bench", secret_from="EVENHAND_CHANNEL_BENCH"
    )
    return found or channel_accounts.add(draft, by=None, at=timezone.now())


def event(key: str, sender: str) -> dict[str, Any]:
    """Somebody says something."""
    about = {"id": key, "to": "bench", "from": {"kind": "handle", "address": sender, "name": "Carla"}, "text": WORDS}
    return {"type": "message.created", "data": about}


def posted(path: str, told: Any) -> Ask:
    """A signed post, as `Door.send` sends it."""
    key = f"delivery-{uuid.uuid4()}"
    lines = load.signed(key, json.dumps(told).encode(), base64.b64decode(SECRET.removeprefix("whsec_"))).splitlines()
    headers = dict(line.split(": ", 1) for line in lines)
    return Ask(path, {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}, told)


def path_of(one: ChannelAccount) -> str:
    return f"/hooks/channel/{one.public_id}/"


def goal_1(run: Any) -> list[Finding]:
    """One event a request, beside the floor; both behind gunicorn with 2 × 4 threads, 8 connections."""
    os.environ["EVENHAND_BENCH_DSN"] = run.places.database_url
    path = path_of(account())
    _used(run, path)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    callers = [{"head": head, "body": json.dumps(event("KEY", "chat:SENDER"))}] * CONNECTIONS

    def loaded(web: servers.Web, seconds: float) -> dict[str, float]:
        before = Interaction.objects.filter(channel=Channel.CHAT).count()
        result = servers.load(web, run.places, callers, seconds=seconds, status=200, secret=SECRET)
        stored = Interaction.objects.filter(channel=Channel.CHAT).count() - before
        if stored != result["answers"]:
            raise RuntimeError(f"{result['answers']:.0f} posts were answered well, {stored} messages are stored")
        return result

    with (
        servers.gunicorn("evenhand.wsgi:application", run.places) as product,
        servers.gunicorn("tests.bench.hook_floor:application", run.places) as floor,
    ):
        loaded(product, 2), loaded(floor, 2)
        rounds = alternating(run.rounds, lambda: loaded(product, run.seconds), lambda: loaded(floor, run.seconds))
    sender = f"chat:{uuid.uuid4()}"
    joins = run.door.statements(lambda: posted(path, event(f"counted-{next(_numbers)}", sender)), run.log)
    opens = run.door.statements(
        lambda: posted(path, event(f"counted-{(number := next(_numbers))}", f"{sender}-{number}")), run.log
    )
    if RawItem.objects.filter(source=account().source).exclude(state="done").exists():
        raise RuntimeError("a post was kept without its effects")
    ratio = median_ratio(rounds, lambda batch: batch["per_second"])
    ours, floors = (
        {name: median_of(rounds, lambda pair, n=n, name=name: pair[n][name]) for name in rounds[0][0]} for n in (0, 1)
    )
    told = [{"product": one, "floor": other} for one, other in rounds]
    statements, commits = max(len(joins), len(opens)), max(joins.commits, opens.commits)
    return [
        limit(
            1, "hook ÷ floor, requests a second", ratio, least=0.5, aim=0.75, unit=" ×", cpu_ms=ours["cpu_ms"], rounds=told,
            note=f"{ours['per_second']:.0f}/s, floor {floors['per_second']:.0f}/s; p99 {ours['p99_ms']:.0f} ms, "
            f"floor {floors['p99_ms']:.0f} ms",
        ),
        limit(
            1, "hook, CPU of the web server", ours["cpu_ms"], most=4.5, aim=3, unit=" ms", cpu_ms=ours["cpu_ms"],
            note=f"floor {floors['cpu_ms']:.2f} ms; PostgreSQL besides {ours['database_cpu_ms']:.2f} ms, "
            f"floor {floors['database_cpu_ms']:.2f} ms",
        ),
        limit(
            1, "hook, SQL", statements, most=12, aim=6, statements=statements,
            note=f"{len(opens)} where it opens a matter, {len(joins)} where it joins one",
            rounds=[{"opens": list(opens.texts), "joins": list(joins.texts)}],
        ),
        limit(1, "hook, commits", commits, most=1, aim=1),
    ]  # fmt: skip


def _used(run: Any, path: str) -> None:
    """Let the account be one that has been posted to before. Plans made for a table without a row read all of it later."""
    for number in range(IN_USE):
        run.door.ask(posted(path, event(f"before-{uuid.uuid4()}", f"chat:before-{number}")))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


# --- GOAL2: batches ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Batches:
    """Some batches: how many events, in how long (s), with how much computing of this process (s)."""

    events: int
    wall: float
    cpu: float

    @property
    def per_second(self) -> float:
        return self.events / self.wall


def goal_2(run: Any) -> list[Finding]:
    """A hundred events a request, half of them by somebody known, beside one INSERT a table of the rows that they leave."""
    path, direct = path_of(account()), psycopg.connect(run.places.database_url, autocommit=True)
    batch_numbers = itertools.count()

    def batch() -> Ask:
        number, mark = next(batch_numbers), time.time_ns()
        people = [f"chat:new-{mark}-{n}" for n in range(A_BATCH // 2)] + known[: A_BATCH // 2]
        known[:] = people[: A_BATCH // 2]
        return posted(path, {"events": [event(f"{mark}-{number}-{n}", one) for n, one in enumerate(people)]})

    known = [f"chat:first-{time.time_ns()}-{n}" for n in range(A_BATCH // 2)]
    first = [event(f"first-{uuid.uuid4()}", one) for one in known]
    for start in range(0, len(first), 10):
        run.door.ask(posted(path, {"events": first[start : start + 10]}))

    def ours() -> Batches:
        asks = [batch() for _ in range(max(3, run.requests // 10))]
        return _timed(asks, run.door.ask)

    since = hook_floor.marks(direct)
    run.door.ask(batch())
    written = hook_floor.rows_of(direct, since)
    counts = {each.table: len(each.values) for each in written}
    if counts["interaction"] != A_BATCH or counts["conversation"] != A_BATCH // 2:
        raise RuntimeError(f"a batch left these rows: {counts}")
    floors = [hook_floor.Rows(direct, written, as_values=as_values) for as_values in (False, True)]
    number = itertools.count()

    def by_floor(floor: hook_floor.Rows) -> Batches:
        return _timed([floor.prepared(next(number)) for _ in range(max(3, run.requests // 10))], floor.write)

    sides = (ours, lambda: by_floor(floors[0]), lambda: by_floor(floors[1]))
    for side in sides:
        side()
    rounds = alternating(run.rounds, *sides)
    counted = run.door.statements(batch, run.log)
    direct.close()
    if RawItem.objects.filter(source=account().source).exclude(state="done").exists():
        raise RuntimeError("a batch was kept without its effects")
    speeds = [median_of(rounds, lambda them, n=n: them[n].per_second) for n in range(3)]
    cpu = [median_of(rounds, lambda them, n=n: them[n].cpu / them[n].events * 1000) for n in range(3)]
    ratios = [median_ratio([(them[0], them[n]) for them in rounds], lambda one: one.per_second) for n in (1, 2)]
    rows = sum(counts.values())
    return [
        limit(
            2, f"batch of {A_BATCH} events ÷ multi-row INSERT", ratios[0], least=0.2, aim=0.35, unit=" ×", cpu_ms=cpu[0],
            note=f"{speeds[0]:.0f} events/s, INSERT from arrays {speeds[1]:.0f}/s ({cpu[1]:.2f} ms), with VALUES "
            f"{speeds[2]:.0f}/s: {ratios[1]:.2f} ×; {rows} rows a batch",
            rounds=[{"events": [one.events for one in them], "wall_s": [round(one.wall, 4) for one in them]} for them in rounds],
        ),
        limit(
            2, "batch, commits", counted.commits, most=1, aim=1, note=f"{len(counted)} statements",
            rounds=[{"sql": [text[:200] for text in counted.texts]}],
        ),
    ]  # fmt: skip


def _timed(batches: list[Any], write: Any) -> Batches:
    began, used = time.perf_counter(), time.process_time()
    for one in batches:
        write(one)
    return Batches(A_BATCH * len(batches), time.perf_counter() - began, time.process_time() - used)
