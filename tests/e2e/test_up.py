"""`manage.py up` as people use it: one command, real processes, kill -9 for each of them, Ctrl-C."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis

from evenhand.embedded import postgres, processes, valkey
from evenhand.embedded.places import Places

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
FIRST_PAGE_WITHIN = 180  # seconds; 51 on two quiet cores, demonstration of two months included
PAGES_AGAIN_WITHIN = 20
STOPPED_WITHIN = 15


@dataclass
class Up:
    """One running `manage.py up` and what it has said so far."""

    process: subprocess.Popen[str]
    places: Places
    said: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        found = re.search(r"ready: http://127\.0\.0\.1:(\d+)/", "".join(self.said))
        assert found, "".join(self.said)
        return int(found.group(1))

    def is_ready(self) -> bool:
        return any("Evenhand is ready" in line for line in self.said)

    def listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.said.append(line)

    def status_of(self, path: str) -> int:
        """The status a page answers with; 0 for no answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=3)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def pages_answer(self) -> bool:
        return [self.status_of(path) for path in ("/livez", "/readyz", "/accounts/login/")] == [200, 200, 200]

    def pid_of(self, part: str) -> int | None:
        """The process of a part that `up` itself started, not one of those it started in turn."""
        words = {
            "web": f"--name evenhand-{self.places.mark}",
            "worker": f"worker --hostname evenhand-{self.places.mark}",
            "beat": f"evenhand-{self.places.mark}.beat",
            "valkey": f"unixsocket:{self.places.valkey_socket}",
            "postgres": f"-D {self.places.postgres_data} ",
        }
        for pid, line in processes.command_lines().items():
            if words[part] in line and parent_of(pid) == self.process.pid and processes.is_alive(pid):
                return pid
        return None

    def left(self) -> list[str]:
        marks = (str(self.places.data), self.places.mark)
        return [line for line in processes.command_lines().values() if any(mark in line for mark in marks)]


def parent_of(pid: int) -> int | None:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    asked = subprocess.run(["ps", "-o", "ppid=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return int(asked.stdout) if asked.stdout.strip() else None


def environment(data: Path, **more: str) -> dict[str, str]:
    configured = ("DATABASE_URL", "CELERY_BROKER_URL", "EMAIL_URL", "DJANGO_SETTINGS_MODULE", "PYTEST_VERSION", "HOME")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("EVENHAND_") and name not in configured  # without HOME, as under cron or systemd
    }
    return {**kept, "EVENHAND_DATA": str(data), **more}


def started(data: Path, port: int) -> Up:
    process = subprocess.Popen(
        [sys.executable, "manage.py", "up", "--port", str(port)],
        cwd=ROOT,
        env=environment(data),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    up = Up(process=process, places=Places.from_environment(ROOT, {"EVENHAND_DATA": str(data)}))
    threading.Thread(target=up.listen, daemon=True).start()
    processes.wait_until(lambda: up.is_ready() or process.poll() is not None, within=FIRST_PAGE_WITHIN)
    assert up.is_ready(), "".join(up.said)
    return up


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="evenhand-test-", dir="/tmp"))
    made.chmod(0o711)
    yield made / "data"
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def busy() -> Iterator[socket.socket]:
    """A program that already listens on the port we ask for."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener


@pytest.fixture(scope="module")
def up(data: Path, busy: socket.socket) -> Iterator[Up]:
    running = started(data, busy.getsockname()[1])
    yield running
    running.process.kill()
    running.process.wait()
    if not processes.wait_until(lambda: not running.left(), within=15):
        raise AssertionError(f"still running: {running.left()}")


def test_one_command_leads_to_pages_on_the_next_free_port(up: Up, busy: socket.socket) -> None:
    asked = busy.getsockname()[1]

    assert up.pages_answer()
    assert up.port > asked
    assert f"Port {asked} is busy; using {up.port}." in "".join(up.said)
    assert re.search(r"First page after [\d.]+ s \(cold start\)", "".join(up.said))
    assert processes.wait_until(lambda: None not in (up.pid_of("worker"), up.pid_of("beat")), within=20)


def test_a_second_up_on_the_same_data_is_refused_in_one_line(up: Up, data: Path) -> None:
    refused = subprocess.run(
        [sys.executable, "manage.py", "up"],
        cwd=ROOT,
        env=environment(data),
        capture_output=True,
        text=True,
        check=False,
    )

    assert refused.returncode != 0
    assert "already runs on" in refused.stderr
    assert len((refused.stdout + refused.stderr).strip().splitlines()) == 1
    assert up.pages_answer()


@pytest.mark.parametrize("part", ["worker", "valkey", "postgres", "web", "beat"])
def test_a_killed_part_comes_back_and_pages_answer_again(up: Up, part: str) -> None:
    before = up.pid_of(part)
    assert before is not None
    os.kill(before, signal.SIGKILL)
    killed_at = time.monotonic()

    assert processes.wait_until(lambda: up.pid_of(part) not in (None, before), within=PAGES_AGAIN_WITHIN)
    assert processes.wait_until(up.pages_answer, within=PAGES_AGAIN_WITHIN - (time.monotonic() - killed_at))
    assert processes.wait_until(lambda: any(line.startswith(f"{part} was killed") for line in up.said), within=2)


def test_the_worker_works_again_after_all_that(up: Up) -> None:
    """Beat rings every few seconds; with a worker that is alive but deaf the rings would pile up."""
    log = up.places.logs / "beat.log"
    so_far = log.stat().st_size
    broker = redis.Redis.from_url(f"unix://{up.places.valkey_socket}")

    assert processes.wait_until(lambda: b"Sending due task" in log.read_bytes()[so_far:], within=90)
    assert processes.wait_until(lambda: broker.llen("evenhand") == 0, within=PAGES_AGAIN_WITHIN)


def test_ctrl_c_stops_everything_the_next_start_is_warm_and_survives_a_kill_of_its_own(up: Up, data: Path) -> None:
    up.process.send_signal(signal.SIGINT)

    assert up.process.wait(timeout=STOPPED_WITHIN) == 0
    assert up.left() == []
    assert not postgres.is_ready(up.places)
    assert not valkey.is_ready(up.places)
    assert "database system is shut down" in (up.places.logs / "postgres.log").read_text().splitlines()[-1]

    again = started(data, up.port)
    assert re.search(r"First page after [\d.]+ s \(warm start\)", "".join(again.said))
    assert again.port == up.port
    assert again.pages_answer()
    again.process.kill()
    again.process.wait()

    at_once = started(data, up.port)  # while the orphans of the killed one may still be leaving
    try:
        assert at_once.pages_answer()
    finally:
        at_once.process.send_signal(signal.SIGTERM)
        assert at_once.process.wait(timeout=STOPPED_WITHIN) == 0
    assert at_once.left() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EVENHAND_PUBLIC_URL", "ftp://x"),
        ("DATABASE_URL", "mysql://x/y"),
        ("DATABASE_URL", "postgres://x@127.0.0.1:1/y"),
    ],
)
def test_a_mistake_in_a_setting_stops_the_start_with_one_sentence_that_names_it(
    data: Path, name: str, value: str
) -> None:
    refused = subprocess.run(
        [sys.executable, "manage.py", "up"],
        cwd=ROOT,
        env=environment(data.with_name("unused"), **{name: value}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    said = (refused.stdout + refused.stderr).strip()
    assert refused.returncode != 0
    assert name in said
    assert "Traceback" not in said
    assert len(said.splitlines()) == 1
