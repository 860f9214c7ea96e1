"""`manage.py up`: everything Evenhand needs, started in order and kept running until Ctrl-C."""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from argparse import ArgumentParser
from contextlib import closing
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, OperationalError, connection, connections
from django.db.migrations.executor import MigrationExecutor

from crm.actions import journal
from evenhand.embedded import postgres, processes, valkey
from evenhand.embedded.places import Places, Unusable
from evenhand.embedded.supervisor import Child, Supervisor, postgres_child, valkey_child

PORTS_TRIED = 50
FIRST_PAGE_WITHIN = 120.0  # seconds
WEB_WORKERS, WEB_THREADS, TASK_PROCESSES = 2, 4, 2

# Processor time so far is close to the time since the command was typed: starting Python is all work and no waiting.
COMMAND_STARTED_AT = time.time() - time.process_time()


class NoFirstPage(Unusable):
    """The web server did not answer its first request."""

    code = "no_first_page"


class Command(BaseCommand):
    """Starts the embedded servers where no others are configured, then web, worker and beat."""

    help = "Start Evenhand: web, worker, beat, and database and broker where none is configured."
    requires_system_checks = ()  # `make check` runs them; here they would only delay the first page

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="the first free port from here on is taken (8000)")
        parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (127.0.0.1)")

    def handle(self, *args: object, **options: Any) -> None:
        places: Places = settings.PLACES
        try:
            with Supervisor(places, tell=self._tell) as supervisor:
                self._run(supervisor, places, host=options["host"], port=options["port"])
        except KeyboardInterrupt:
            self._tell("Stopped.")
        except Unusable as problem:
            raise CommandError(str(problem)) from problem

    def _run(self, supervisor: Supervisor, places: Places, *, host: str, port: int) -> None:
        cold = start_stores(supervisor, places)
        try:
            cold = apply_migrations(places) or cold
        except OperationalError as problem:
            raise Unusable(f"The database does not answer ({_first_line(problem)}); look at DATABASE_URL.") from problem
        refuse_what_was_erased()
        with closing(listening_socket(host, port)) as listener:
            taken = listener.getsockname()[1]
            if taken != port:
                self._tell(f"Port {port} is busy; using {taken}.")
            url = f"http://{_in_url(host)}:{taken}"
            web = web_child(places, listener, url=url, host=host)
            supervisor.start(web)
            # The web server needs seconds of one core to import the code; the demonstration data fills the other.
            if demo_is_wanted():
                call_command("demo", if_empty=True, verbosity=0, stdout=self.stdout)
            connections.close_all()  # from here on this process only watches
            wait_for_first_page(web, places, address=_reachable(host), port=taken)
            self._greet(places, url, cold=cold)
            for child in (worker_child(places), beat_child(places)):
                supervisor.start(child)
            supervisor.watch()

    def _greet(self, places: Places, url: str, *, cold: bool) -> None:
        now = time.time()
        typed_at = os.environ.get("EVENHAND_STARTED_AT", "")
        total = f", {now - float(typed_at):.1f} s with installation" if typed_at.replace(".", "", 1).isdigit() else ""
        start = "cold" if cold else "warm"
        self._tell(f"\n  Evenhand is ready: {url}/")
        self._tell(f"  First page after {now - COMMAND_STARTED_AT:.1f} s ({start} start{total}).")
        logins = places.data / "demo-logins.txt"
        if logins.exists():
            self._tell("".join(f"\n  {line}" for line in logins.read_text().strip().splitlines()))
        self._tell(f"\n  Logs: {places.logs}\n  Stop with Ctrl-C.\n")

    def _tell(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def demo_is_wanted() -> bool:
    """Whether an empty database is filled with the demo: our own always, somebody's own only on request.

    The demo's passwords are printed in the documentation, so they never come into a real database unasked.
    """
    configured = os.environ.get("DATABASE_URL", "").strip()
    return not configured or os.environ.get("EVENHAND_DEMO", "").strip().lower() == "yes"


def start_stores(supervisor: Supervisor, places: Places) -> bool:
    """Start PostgreSQL and Valkey where none is configured, and say whether the database is a new one."""
    own_database = not os.environ.get("DATABASE_URL", "").strip()
    own_broker = not os.environ.get("CELERY_BROKER_URL", "").strip()
    # Both are on their way before either is waited for.
    database = supervisor.start(postgres_child(places)) if own_database else None
    broker = _started_valkey(supervisor, places) if own_broker else None
    created = False
    if database is not None:
        postgres.wait_ready(places, database)
        created = postgres.create_database(places)
    if broker is not None:
        valkey.wait_ready(places, broker)
    return created


def apply_migrations(places: Places) -> bool:
    """Bring the database up to date and say whether anything was to do; looking costs a tenth of running `migrate`."""
    executor = MigrationExecutor(connection)
    newest = executor.loader.graph.leaf_nodes()
    to_do = bool(executor.migration_plan(newest))
    # What follows the last migration (permissions, roles) leaves no trace in Django's table, so that a start cut off
    # there would never be completed; this note is written when all of it is done.
    note = places.data / "migrated"
    database = connection.settings_dict
    state = repr([database["HOST"], database["NAME"], database["OPTIONS"], sorted(newest)])
    done = hashlib.sha256(state.encode()).hexdigest()  # the options may hold a password
    if not to_do and note.exists() and note.read_text() == done:
        return False
    call_command("migrate", interactive=False, verbosity=0, skip_checks=True)
    note.write_text(done)
    return to_do


def refuse_what_was_erased() -> None:
    """Do not open while people are in the database who were erased after the backup was made that it comes from (P08)."""
    shut = journal.shut_because()
    if shut == "erasures_to_replay":
        raise Unusable(
            "The database is a restored backup in which people are who were erased since. "
            "Run `manage.py replay_erasures`, then start again."
        )
    if shut:
        raise Unusable(f"The erasure journal {journal.path()} was changed or cut off; see docs/runbook.md.")


def listening_socket(host: str, port: int) -> socket.socket:
    """Listen on the first free port from `port` on. Raises Unusable when there is none or the address is not ours.

    We hold the socket and the web server inherits it, so no other program can take the port between looking and using,
    and callers wait instead of being refused while a killed web server starts again.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in range(port, min(port + PORTS_TRIED, 65536)):
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
            listener.listen(256)
        except OSError as problem:
            listener.close()
            if problem.errno != errno.EADDRINUSE:
                raise Unusable(f"Cannot listen on {host} port {candidate}: {problem.strerror or problem}.") from problem
        else:
            return listener
    raise Unusable(f"No free port from {port} on; choose another with --port.")


def web_child(places: Places, listener: socket.socket, *, url: str, host: str) -> Child:
    """The web server on an inherited socket: TCP, because rate limits need the caller's address."""
    names = ["localhost", "127.0.0.1", "[::1]", _in_url(host)]
    environment = {"EVENHAND_PUBLIC_URL": url, "EVENHAND_HOSTS": ",".join(dict.fromkeys(names))}
    descriptor = listener.fileno()
    command = [
        *(sys.executable, "-m", "gunicorn", "--name", f"evenhand-{places.mark}", "--bind", f"fd://{descriptor}"),
        *("--worker-class", "gthread", "--workers", str(WEB_WORKERS), "--threads", str(WEB_THREADS)),
        *("--timeout", "60", "--graceful-timeout", "5", "--no-control-socket", "evenhand.wsgi:application"),
    ]
    return _our_child(places, "web", command, defaults=environment, pass_fds=(descriptor,))


def worker_child(places: Places) -> Child:
    """The Celery worker."""
    command = [
        *(sys.executable, "-m", "celery", "-A", "evenhand", "worker", "--hostname", f"evenhand-{places.mark}@%h"),
        *("--pool", "prefork", "--concurrency", str(TASK_PROCESSES), "--without-gossip", "--without-mingle"),
        *("--loglevel", "INFO"),
    ]
    # When we die without a word it must not finish its tasks against a database that is going away.
    return _our_child(places, "worker", command, death_signal=signal.SIGQUIT)


def beat_child(places: Places) -> Child:
    """The Celery beat that rings for periodic duties."""
    command = [
        *(sys.executable, "-m", "celery", "-A", "evenhand", "beat", "--loglevel", "INFO"),
        *("--schedule", str(places.run / f"evenhand-{places.mark}.beat"), "--pidfile="),
    ]
    return _our_child(places, "beat", command)


def wait_for_first_page(web: Child, places: Places, *, address: str, port: int) -> None:
    """Ask for /livez until it answers. Raises NoFirstPage when the web server ends, stays silent or answers ill."""
    deadline = time.monotonic() + FIRST_PAGE_WITHIN
    said = "no answer"
    while time.monotonic() < deadline and web.process is not None and web.process.poll() is None:
        try:
            with closing(http.client.HTTPConnection(address, port, timeout=5)) as connection_to_web:
                connection_to_web.request("GET", "/livez")
                status = connection_to_web.getresponse().status
            if status == http.client.OK:
                return
            said = f"status {status}"
            time.sleep(0.5)
        except OSError:  # it listens already, but nobody has come to take the call
            time.sleep(0.05)
        except http.client.HTTPException as problem:
            said = repr(problem)
    words = processes.last_words(places.logs / "web.log")
    raise NoFirstPage(f"The web server did not answer its first page ({said}): {words}")


def _our_child(
    places: Places,
    name: str,
    command: list[str],
    *,
    defaults: dict[str, str] | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
    pass_fds: tuple[int, ...] = (),
) -> Child:
    base = Path(settings.BASE_DIR)
    environment = {**(defaults or {}), **os.environ, "PYTHONUNBUFFERED": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(base), os.environ.get("PYTHONPATH")]))

    def start() -> subprocess.Popen[bytes]:
        return processes.spawn(
            command,
            log=places.logs / f"{name}.log",
            cwd=base,
            environment=environment,
            death_signal=death_signal,
            pass_fds=pass_fds,
        )

    return Child(name=name, level=2, start=start)


def _started_valkey(supervisor: Supervisor, places: Places) -> subprocess.Popen[bytes]:
    child = valkey_child(places)
    broker = supervisor.start(child)
    if not processes.wait_until(lambda: broker.poll() is not None or valkey.is_ready(places), within=5):
        return broker
    if broker.poll() is not None and valkey.set_aside_broken_log(places):
        broker = supervisor.start(child)
    return broker


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104  compared, not bound


def _in_url(host: str) -> str:
    reachable = _reachable(host)
    return f"[{reachable}]" if ":" in reachable else reachable


def _first_line(problem: DatabaseError) -> str:
    return str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
