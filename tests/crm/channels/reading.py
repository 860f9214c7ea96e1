"""What a reading process is given to do in test_reader.py, instead of reading: each first word is one misdeed."""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import socket
import subprocess
import time
from typing import Any

from crm.channels import email


class Smuggled:
    """A class that no answer may bring into the caller's process."""


def misbehave(raw: bytes, **options: Any) -> Any:
    word = raw[:1_000].split(b" ")[0].split(b":")[0].decode("ascii", "replace")
    if word in DEEDS:
        said = DEEDS[word](raw)
        if isinstance(said, str):
            return email.read(b"From: ann@x.example\nSubject: said\n\n" + said.encode(), **options)
        return said
    return email.read(raw, **options)


def _eat(raw: bytes) -> str:
    kept = bytearray()
    for _ in range(int(raw.split()[1])):
        kept += os.urandom(1_000) * 1_000
    return f"{len(kept)}"


def _compute(_raw: bytes) -> None:
    while True:
        pass


def _work(raw: bytes) -> str:
    until = time.process_time() + float(raw.split()[1])
    while time.process_time() < until:
        pass
    return "worked"


def _sleep(_raw: bytes) -> None:
    time.sleep(600)


def _die(raw: bytes) -> None:
    os.kill(os.getpid(), int(raw.split()[1]))


def _die_once(raw: bytes) -> str:
    """The mark is a process that still runs: a reader cannot write a file."""
    if os.getpid() == int(raw.split()[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    return "read"


def _raise(_raw: bytes) -> None:
    raise RecursionError("ann@x.example")


def _smuggle(_raw: bytes) -> Smuggled:
    return Smuggled()


def _tell(_raw: bytes) -> str:
    return f"{os.getpid()} {os.getppid()} {os.getsid(0)} {os.getcwd()} {sorted(os.environ)}"


def _refused(deed: Any) -> str:
    try:
        deed()
    except (OSError, ImportError) as trouble:
        return type(trouble).__name__
    return "allowed"


def _try_everything(_raw: bytes) -> str:
    return " ".join(
        _refused(deed)
        for deed in (
            lambda: open("/etc/hostname", "rb"),
            lambda: open("written-by-a-mail", "wb"),
            lambda: socket.socket(),
            lambda: socket.create_connection(("127.0.0.1", 9)),
            lambda: subprocess.run(["true"], check=False),
            lambda: importlib.import_module("xmlrpc.server"),
        )
    )


DEEDS = {
    "eat": _eat,
    "compute": _compute,
    "sleep": _sleep,
    "work": _work,
    "die": _die,
    "die-once": _die_once,
    "raise": _raise,
    "smuggle": _smuggle,
    "pickle": lambda _raw: pickle.PickleError,
    "tell": _tell,
    "try": _try_everything,
}
