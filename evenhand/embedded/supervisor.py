"""Start the parts in order, start again whichever dies, stop them in order."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType

from evenhand.embedded import postgres, processes, valkey
from evenhand.embedded.places import Places, Unusable, prepare

LOOKS_EVERY = 0.2  # seconds between two looks at the children
LOGS_SEEN_EVERY = 60.0
PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0)  # seconds before the first, second, … restart of a child that keeps dying
HEALTHY_AFTER = 60.0  # seconds of life after which a child's earlier deaths are forgotten
ORPHANS_LEAVE_WITHIN = 8.0


class AlreadyUp(Unusable):
    """Another supervisor holds the data folder."""

    code = "already_up"


def nothing_to_mend() -> None:
    """For children that leave nothing behind when they are killed."""


@dataclass(kw_only=True)
class Child:
    """One part to keep running. `level` orders the stop: the highest together first, then the next."""

    name: str
    level: int
    start: Callable[[], subprocess.Popen[bytes]]
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within: float = 8.0  # seconds; then it is killed with everything it started
    last_signal: signal.Signals = signal.SIGKILL  # PostgreSQL must never get the kill its backends would survive
    mend: Callable[[], object] = nothing_to_mend  # run before a restart, to clear what a killed one left
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0  # monotonic
    deaths: int = 0
    start_again_at: float = field(default=0.0)  # monotonic


class Supervisor:
    """Holds one data folder and the children that work on it. A context manager: leaving it stops everything."""

    def __init__(self, places: Places, *, tell: Callable[[str], object]) -> None:
        self.places = places
        self._tell = tell
        self._children: list[Child] = []
        self._lock: int | None = None
        self._former_handlers: dict[int, object] = {}
        self._spawning = self._asked_to_stop = self._stopping = self._hurry = False

    def __enter__(self) -> Supervisor:
        """Take the data folder and end what an earlier supervisor left. Raises AlreadyUp, Unusable."""
        prepare(self.places)
        self._lock = _taken_lock(self.places)
        try:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # started under nohup
                    self._former_handlers[number] = signal.signal(number, self._on_signal)
            if end_orphans(self.places):
                self._tell("An earlier start was cut off; what it left running has been ended.")
        except BaseException:
            self._let_go()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            self._let_go()

    def start(self, child: Child) -> subprocess.Popen[bytes]:
        """Start a child and keep it running from now on. Raises what its `start` raises."""
        if child not in self._children:
            self._children.append(child)
        with self._uninterrupted():
            child.process = child.start()
            child.started_at = time.monotonic()
        return child.process

    def watch(self) -> None:
        """Keep the children running until Ctrl-C or SIGTERM, which arrives as KeyboardInterrupt."""
        logs_seen_at = float("-inf")
        while True:
            self.look()
            if time.monotonic() - logs_seen_at > LOGS_SEEN_EVERY:
                logs_seen_at = time.monotonic()
                for log in self.places.logs.glob("*.log"):
                    processes.keep_small(log)
            time.sleep(LOOKS_EVERY)

    def look(self) -> None:
        """Look once at every child and start again those that died and whose pause is over."""
        for child in self._children:
            self._look_after(child)

    def stop(self) -> None:
        """Stop the children level by level; the ones of a level together. A second Ctrl-C cuts the waiting short."""
        self._stopping = True
        for level in sorted({child.level for child in self._children}, reverse=True):
            leaving = [child for child in self._children if child.level == level and child.process is not None]
            for child in leaving:
                _send(child, child.stop_signal)
            asked_at = time.monotonic()
            for child in leaving:
                while not _has_ended(child) and not self._hurry and time.monotonic() < asked_at + child.stop_within:
                    time.sleep(0.02)
            for child in leaving:
                if not _has_ended(child):
                    self._tell(f"{child.name} did not stop within {child.stop_within:.0f} s and is cut off.")
                    _send(child, child.last_signal)
                if child.process is not None:
                    child.process.wait()
                    processes.signal_group(child.process.pid, signal.SIGKILL)  # what it may have left behind
        self._children.clear()

    def _look_after(self, child: Child) -> None:
        now = time.monotonic()
        if child.process is not None and child.process.poll() is not None:
            code = child.process.returncode
            how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            if now - child.started_at > HEALTHY_AFTER:
                child.deaths = 0
            pause = PAUSES[min(child.deaths, len(PAUSES) - 1)]
            processes.signal_group(child.process.pid, signal.SIGKILL)
            child.process, child.deaths, child.start_again_at = None, child.deaths + 1, now + pause
            when = f"in {pause:.0f} s" if pause else "now"
            self._tell(f"{child.name} {how}; starting it again {when} (log: {self.places.logs / child.name}.log).")
        if child.process is None and now >= child.start_again_at:
            try:
                child.mend()
                self.start(child)
            except (Unusable, OSError) as problem:
                pause = PAUSES[min(child.deaths, len(PAUSES) - 1)]
                child.deaths, child.start_again_at = child.deaths + 1, time.monotonic() + pause
                self._tell(f"{child.name} could not be started again: {problem}")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._stopping:
            self._hurry = True
        elif self._spawning:
            self._asked_to_stop = True
        else:
            self._stopping = True
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def _uninterrupted(self) -> Iterator[None]:
        """Between a fork and the note of it no signal may get away with the child's id."""
        self._spawning = True
        try:
            yield
        finally:
            self._spawning = False
        if self._asked_to_stop:
            self._stopping = True
            raise KeyboardInterrupt

    def _let_go(self) -> None:
        for number, handler in self._former_handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._former_handlers.clear()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def postgres_child(places: Places) -> Child:
    """Our PostgreSQL as a child: stopped last, fast and cleanly."""
    return Child(
        name="postgres",
        level=0,
        start=lambda: postgres.start(places),  # repairs stale locks itself
        stop_signal=postgres.STOP_SIGNAL,
        stop_within=postgres.STOPS_WITHIN,
        last_signal=signal.SIGQUIT,
    )


def valkey_child(places: Places) -> Child:
    """Our Valkey as a child: stopped when nobody uses it any more."""
    return Child(
        name="valkey",
        level=1,
        start=lambda: valkey.start(places),
        stop_signal=valkey.STOP_SIGNAL,
        stop_within=valkey.STOPS_WITHIN,
        mend=lambda: valkey.set_aside_broken_log(places),
    )


def end_orphans(places: Places) -> bool:
    """End whatever a killed supervisor left running on this data folder, and say whether there was anything.

    Where the kernel ends children with their parent (Linux) this only waits for them. Hold the folder's lock.
    """
    tag = f"evenhand-{places.mark}"

    def left() -> list[int]:
        return [
            pid
            for pid, command in processes.command_lines().items()
            if tag in command and (" -m gunicorn " in command or " -m celery " in command) and processes.is_alive(pid)
        ]

    found = left()
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in left():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        if processes.wait_until(lambda: not left(), within=ORPHANS_LEAVE_WITHIN):
            break
    return any([bool(found), valkey.end_orphan(places), postgres.end_orphan(places)])


def is_up(data: Path) -> bool:
    """Whether a supervisor holds this data folder now."""
    try:
        handle = os.open(data / "up.lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _taken_lock(places: Places) -> int:
    path = places.data / "up.lock"
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as problem:
        raise Unusable(f"{path} cannot be opened ({problem.strerror}); another user started here last.") from problem
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(handle, 20).decode().strip() or "?"
        os.close(handle)
        raise AlreadyUp(
            f"Evenhand already runs on {places.data} (process {holder}); stop it or choose another EVENHAND_DATA."
        ) from None
    except OSError as problem:
        os.close(handle)
        raise Unusable(f"{path} cannot be locked ({problem.strerror}); name a local one in EVENHAND_DATA.") from problem
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle


def _send(child: Child, number: signal.Signals) -> None:
    """To the child alone: a worker ends its own pool when its tasks are done. Only a kill goes to the whole group."""
    if child.process is None or child.process.poll() is not None:
        return
    if number == signal.SIGKILL:
        processes.signal_group(child.process.pid, number)
    else:
        child.process.send_signal(number)


def _has_ended(child: Child) -> bool:
    return child.process is None or child.process.poll() is not None
