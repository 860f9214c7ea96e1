"""Start child processes that cannot outlive us, and recognise our own among the processes of the machine."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from evenhand.embedded.places import Account

PR_SET_PDEATHSIG = 1
LARGEST_LOG = 10_000_000  # bytes; one older file of that size is kept beside it

# Looked up before any fork: between fork and exec only async-safe work is allowed.
_prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    cwd: Path,
    death_signal: signal.Signals,
    account: Account | None = None,
    environment: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a command in its own session, writing to `log`, under `account` when given.

    death_signal: what the kernel sends it when we die without a word (Linux; elsewhere the next start finds orphans).
    Call it from the main thread only: the kernel counts the death of the starting thread as ours.
    Raises OSError when the command cannot be started.
    """
    parent = os.getpid()

    def die_with_parent() -> None:
        if _prctl is not None:
            _prctl(PR_SET_PDEATHSIG, int(death_signal))
            if os.getppid() != parent:  # it died before the request was in place
                os._exit(1)

    with _log_file(log) as output:
        return subprocess.Popen(  # noqa: S603  our own programs and arguments
            [os.fspath(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=dict(os.environ if environment is None else environment),
            start_new_session=True,  # else the terminal's Ctrl-C reaches the servers before their clients are done
            preexec_fn=die_with_parent,  # runs after setuid, which would clear the request
            pass_fds=tuple(pass_fds),
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )


def command_lines() -> dict[int, str]:
    """Return what every process was started as, by process id, ourselves left out."""
    found: dict[int, str] = {}
    if Path("/proc/self/cmdline").exists():
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    arguments = (entry / "cmdline").read_bytes().split(b"\0")
                    found[int(entry.name)] = b" ".join(arguments).decode(errors="replace")
    else:
        listing = subprocess.run(
            ["/bin/ps", "-axww", "-o", "pid=,command="], capture_output=True, text=True, check=True, errors="replace"
        ).stdout
        for line in listing.splitlines():
            pid, _, command = line.strip().partition(" ")
            found[int(pid)] = command
    found.pop(os.getpid(), None)
    return {pid: command for pid, command in found.items() if command.strip()}


def working_folder(pid: int) -> Path | None:
    """Return the folder a process works in; None when the system will not say (another account's, or no /proc)."""
    try:
        return Path(os.readlink(f"/proc/{pid}/cwd"))
    except OSError:
        return None


def is_alive(pid: int) -> bool:
    """Whether a process with this id runs; a zombie that waits to be collected does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return True


def signal_group(pid: int, number: signal.Signals) -> None:
    """Send a signal to a child and everything it started; silent when all of them are gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def wait_until(condition: Callable[[], bool], *, within: float) -> bool:
    """Wait up to `within` seconds for a condition and say whether it came true."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def keep_small(log: Path) -> None:
    """Move what a log says into one older file beside it when it has grown large; its writer notices nothing."""
    if log.stat().st_size > LARGEST_LOG:
        shutil.copyfile(log, log.with_name(log.name + ".1"))
        os.truncate(log, 0)  # whoever has it open appends, and so goes on at the new end


def last_words(log: Path, *, lines: int = 3) -> str:
    """Return the end of a log in one line, for an error that must fit into a sentence."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4000))
            said = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return " / ".join(line.strip() for line in said[-lines:])


def _log_file(log: Path) -> BinaryIO:
    try:
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except PermissionError:  # left behind by a start with sudo, in a folder of ours
        log.unlink()
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    return os.fdopen(handle, "ab")
