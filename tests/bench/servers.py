"""The servers a measurement runs against: a throw-away PostgreSQL that flushes as a real one does, Valkey, and gunicorn."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenhand.embedded import postgres, processes, valkey
from evenhand.embedded.places import Places, prepare

ROOT = Path(__file__).resolve().parent.parent.parent
WORKERS, THREADS = 2, 4
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Web:
    """One gunicorn that answers on a port of this machine."""

    port: int
    process: subprocess.Popen[bytes]

    def cpu_seconds(self) -> float:
        """CPU time of the master and its workers since they started."""
        return cpu_seconds([self.process.pid, *children(self.process.pid)])


@contextlib.contextmanager
def running(folder_in: Path | None = None) -> Iterator[Places]:
    """Start PostgreSQL (durable, product's settings) and Valkey in a new folder; stop and remove both afterwards.

    folder_in: where the folder is made; the system's place for temporary files when None.
    """
    folder = Path(tempfile.mkdtemp(prefix="evenhand-bench-", dir=folder_in))
    folder.chmod(0o711)
    places = Places.from_environment(folder, {})
    prepare(places)
    broker = database = None
    try:
        broker = valkey.start(places)
        database = postgres.start(places)
        postgres.wait_ready(places, database)
        postgres.create_database(places)
        valkey.wait_ready(places, broker)
        yield places
    finally:
        if broker:
            valkey.stop(broker)
        if database:
            database.send_signal(signal.SIGQUIT)  # nothing in it is worth a checkpoint
            database.wait()
            postgres.repair(places)
        shutil.rmtree(folder)


@contextlib.contextmanager
def gunicorn(application: str, places: Places) -> Iterator[Web]:
    """Serve a WSGI application as the product is served: 2 workers of 4 threads."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        *(sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--worker-class", "gthread"),
        *("--workers", str(WORKERS), "--threads", str(THREADS), "--timeout", "60", "--no-control-socket", application),
    ]
    process = processes.spawn(
        command, log=places.logs / "gunicorn.log", cwd=ROOT, death_signal=signal.SIGTERM, environment=dict(os.environ)
    )
    try:
        _wait_until_it_answers(port, process, places)
        yield Web(port, process)
    finally:
        process.terminate()
        process.wait()


def load(
    web: Web, places: Places, callers: list[dict[str, str]], *, seconds: float, status: int, secret: str = ""
) -> dict[str, float]:
    """Keep connections busy (`tests.bench.load`) and say what that cost: requests a second, and CPU ms of each.

    callers: head and body of each connection's requests. status: what every answer has to be. secret: what requests are signed
    with. Raises RuntimeError when an answer was another one.
    """
    told: dict[str, Any] = {"port": web.port, "connections": callers, "seconds": seconds, "status": status}
    told |= {"run": uuid.uuid4().hex, "workers": children(web.process.pid), "secret": secret}
    database_pids = postgres.backends(places)
    python, sql = web.cpu_seconds(), cpu_seconds(database_pids)
    said = subprocess.run(
        [sys.executable, "-m", "tests.bench.load"],
        input=json.dumps(told), capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    result: dict[str, float] = json.loads(said.stdout)
    if result["errors"] or not result["answers"]:
        wrong, all_of_them = result["errors"], result["answers"] + result["errors"]
        raise RuntimeError(f"{wrong:.0f} of {all_of_them:.0f} answers were not {status}")
    each = 1000 / result["answers"]
    return result | {
        "per_second": result["answers"] / result["seconds"],
        "cpu_ms": (web.cpu_seconds() - python) * each,
        "database_cpu_ms": (cpu_seconds(database_pids) - sql) * each,
    }


def _wait_until_it_answers(port: int, process: subprocess.Popen[bytes], places: Places) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", "/livez")
            answered = connection.getresponse().status < 500
            connection.close()
            if answered:
                return
        time.sleep(0.1)
    raise RuntimeError(f"The web server does not answer: {processes.last_words(places.logs / 'gunicorn.log')}")


def children(pid: int) -> list[int]:
    """The processes that a process started and that still run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(entry.name))
    return found


def command_of(pid: int) -> bytes:
    """How a process was started; nothing when it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def cpu_seconds(pids: list[int], *, with_ended: bool = False) -> float:
    """User and system time of some processes since they started; of those that ended, nothing.

    with_ended: that of their own children which have ended, too.
    """
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(part) for part in parts[11 : 15 if with_ended else 13])
    return total / TICKS
