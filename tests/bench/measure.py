"""How a request is measured: through the whole WSGI stack in this process, with statements counted by the server itself."""

from __future__ import annotations

import contextlib
import io
import json
import re
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.core.handlers.wsgi import WSGIHandler
from django.db import connection

CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET", "RESET", "SHOW")
WRITES = re.compile(r"\b(INSERT INTO|UPDATE|DELETE FROM)\b")
LOGGED = re.compile(r"LOG:  (?:statement|execute [^:]*): ")


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, as a server would hand it to the application."""

    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What one request costs; times in ms. database is the part of wall that waits for statements."""

    wall: float
    cpu: float
    database: float


@dataclass(frozen=True, slots=True)
class Statements:
    """What one request sent to the server. commits: transactions that wrote something."""

    texts: tuple[str, ...]
    commits: int

    def __len__(self) -> int:
        return len(self.texts)


class Door:
    """Sends requests through the product's WSGI application in this thread."""

    def __init__(self) -> None:
        self.application = WSGIHandler()

    def send(self, ask: Ask) -> tuple[int, bytes]:
        """Send one request; its status and body."""
        path, _, query = ask.path.partition("?")
        content = json.dumps(ask.body).encode() if ask.body is not None else b""
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "GET" if ask.body is None else "POST",
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": "localhost",
            "HTTP_ACCEPT": "*/*",
            "CONTENT_TYPE": "application/json" if content else "",
            "CONTENT_LENGTH": str(len(content)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(content),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
            **ask.headers,
        }
        statuses: list[str] = []
        answer = self.application(environ, lambda status, _headers, _trouble=None: statuses.append(status))
        try:
            text = b"".join(answer)
        finally:
            answer.close()
        return int(statuses[0][:3]), text

    def ask(self, ask: Ask, *, expect: tuple[int, ...] = (200, 201)) -> bytes:
        """Send one request and insist on its status."""
        status, text = self.send(ask)
        if status not in expect:
            raise RuntimeError(f"{ask.path} answered {status}: {text[:300]!r}")
        return text

    def batch(self, ask: Callable[[], Ask], times: int) -> Cost:
        """Send a request some times; what one of them costs in the median."""
        wall, cpu, database = [], [], []
        for _ in range(times):
            one = ask()
            with _timed_statements() as waited:
                started, used = time.perf_counter(), time.thread_time()
                self.ask(one)
                cpu.append(time.thread_time() - used)
                wall.append(time.perf_counter() - started)
            database.append(sum(waited))
        return Cost(*(statistics.median(found) * 1000 for found in (wall, cpu, database)))

    def statements(self, ask: Callable[[], Ask], log: Path, *, expect: tuple[int, ...] = (200, 201)) -> Statements:
        """What one request sends to the server, by the server's own log; asked before twice, so that caches are warm."""
        for _ in range(2):
            self.ask(ask(), expect=expect)
        one = ask()
        with connection.cursor() as cursor:
            cursor.execute("SET log_statement = 'all'")
        before = log.stat().st_size
        self.ask(one, expect=expect)
        after = log.stat().st_size
        with connection.cursor() as cursor:
            cursor.execute("RESET log_statement")
        with log.open("rb") as file:
            file.seek(before)
            return read_log(file.read(after - before).decode(errors="replace"))


def read_log(text: str) -> Statements:
    """Read statements out of the server's log; those that only steer a transaction are left out."""
    said = [part.strip() for part in LOGGED.split(text)[1:]]
    texts, commits, inside, wrote = [], 0, False, False
    for statement in said:
        if statement.startswith("BEGIN"):
            inside, wrote = True, False
        elif statement.startswith("COMMIT"):
            commits += wrote
            inside = False
        if statement.startswith(CONTROL):
            continue
        texts.append(statement)
        writes = bool(WRITES.search(statement))
        wrote = wrote or writes
        if writes and not inside:
            commits += 1
    return Statements(tuple(texts), commits)


@contextlib.contextmanager
def _timed_statements() -> Iterator[list[float]]:
    waited: list[float] = []

    def timed(execute: Any, statement: Any, parameters: Any, many: Any, context: Any) -> Any:
        started = time.perf_counter()
        try:
            return execute(statement, parameters, many, context)
        finally:
            waited.append(time.perf_counter() - started)

    with connection.execute_wrapper(timed):
        yield waited


@contextlib.contextmanager
def database(name: str) -> Iterator[None]:
    """Let the product work on another database of the same server for a moment."""
    usual = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = name
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = usual


def alternating(rounds: int, *sides: Callable[[], Any]) -> list[tuple[Any, ...]]:
    """Run every side once a round, each round beginning with another one."""
    found = []
    for number in range(rounds):
        order = [(number + step) % len(sides) for step in range(len(sides))]
        got = {side: sides[side]() for side in order}
        found.append(tuple(got[side] for side in range(len(sides))))
    return found


def median_ratio(rounds: list[tuple[Any, ...]], measure: Callable[[Any], float]) -> float:
    """The median over rounds of first ÷ second."""
    return statistics.median(measure(one) / measure(other) for one, other, *_ in rounds)


def median_of(found: Any, measure: Callable[[Any], float]) -> float:
    return statistics.median(measure(one) for one in found)
