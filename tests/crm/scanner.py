"""A virus scanner for tests: the real clamd on a socket of its own, which knows one harmless test file and nothing else."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

STREAM_LIMIT_BYTES = 1024 * 1024

# The test file of EICAR, put together at run time: written out whole, a scanner would take this repository away.
EICAR = ("X5O!P%@AP[4" + "\\" + "PZX54(P^)7CC)7}$" + "EICAR-STANDARD-" + "ANTIVIRUS-TEST-" + "FILE!$H+H*").encode()


def program() -> str | None:
    """Where clamd is, if it is here."""
    return shutil.which("clamd", path="/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin")


@contextmanager
def running() -> Iterator[str]:
    """Start clamd; gives the path of its socket. Skips where it is not installed."""
    clamd = program()
    if clamd is None:
        pytest.skip("no clamd is installed here (Debian's clamav-daemon)")
    folder = Path(tempfile.mkdtemp(prefix="evenhand-clamd-", dir="/tmp"))
    folder.chmod(0o711)
    (folder / "signatures").mkdir()
    (folder / "signatures/own.ndb").write_text(f"Evenhand.Test.File:0:*:{EICAR.hex()}\n", encoding="ascii")
    place = folder / "clamd.sock"
    (folder / "clamd.conf").write_text(
        f"LocalSocket {place}\nDatabaseDirectory {folder / 'signatures'}\nForeground yes\nLogFile {folder / 'log'}\n"
        f"StreamMaxLength {STREAM_LIMIT_BYTES}\nTemporaryDirectory {folder}\nMaxThreads 2\nSelfCheck 0\n",
        encoding="ascii",
    )
    process = subprocess.Popen(
        [clamd, "--config-file", str(folder / "clamd.conf")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _try in range(300):
            if process.poll() is not None:
                pytest.fail(f"clamd did not start: {(folder / 'log').read_text(errors='replace')[-400:]}")
            if _answers(place):
                break
            time.sleep(0.1)
        yield str(place)
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _answers(place: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.settimeout(5)
            connection.connect(str(place))
            connection.sendall(b"zPING\0")
            return connection.recv(64).startswith(b"PONG")
        except OSError:
            return False
