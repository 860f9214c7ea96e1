"""The process in which mail is read: it may compute and answer, and hardly anything else.

Started by reader.py as a program of its own, so that nothing of the caller's memory and none of its secrets is in it.
It has imported everything once and stays as the nursery: whenever it is asked it forks a reader, which costs a
millisecond where a new interpreter costs a third of a second, and hands the caller that reader's end of a socket. The
nursery itself reads no mail.

A reader opens no file and no connection, starts no process, writes no file, and imports nothing any more. What it may
use of time and memory is set for every mail anew. Where the platform lacks a limit (macOS has no limit on memory) the
others hold.
"""

from __future__ import annotations

import contextlib
import ctypes
import encodings
import gc
import importlib
import os
import pickle
import pkgutil
import resource
import signal
import socket
import struct
import sys
from collections.abc import Callable
from importlib.machinery import BuiltinImporter, FrozenImporter
from typing import Final

CPU_SECONDS: Final = 5  # of computing for one mail; the kernel counts whole seconds, so between 4 and 5
MEMORY_BYTES: Final = 256 * 1024 * 1024  # above what a reader has when it begins

ASK: Final = struct.Struct("!IQ")  # length of the options, length of the mail
ANSWER: Final = struct.Struct("!cQ")  # what it is, length of what follows
NEXT: Final = struct.Struct("!i")  # how the reader before ended, as os.waitpid says it; NOBODY when there was none
NOBODY: Final = -1
READ, TOO_MUCH_MEMORY, RAISED = b"r", b"m", b"x"  # what follows: the result, nothing, the name of the exception

_ORDINARY: Final = (
    b"Received: from a.example by b.example; Mon, 2 Mar 2026 12:00:00 +0000\r\n"
    b"From: =?utf-8?q?Ann_L=C3=A9e?= <ann@x.example>\r\nTo: Shop <support@shop.example>\r\n"
    b"Subject: =?utf-8?b?TGFtcA==?=\r\nDate: Mon, 2 Mar 2026 12:00:00 +0000\r\nMessage-ID: <1@x.example>\r\n"
    b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/html\r\n'
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\n<p>The lamp broke &amp; you said:</p>\r\n--b\r\n"
    b'Content-Type: image/png; name="a.png"\r\nContent-Disposition: attachment; filename="a.png"\r\n'
    b"Content-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n--b--\r\n"
)
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38


def nurse(descriptor: int, path_of_read: str) -> None:
    """Fork a reader whenever the caller asks for one, until the caller is gone.

    descriptor: our end of the caller's socket. path_of_read: "module:function" of what reads; called as
    function(raw, **options).
    """
    control = socket.socket(fileno=descriptor)
    module, _, name = path_of_read.partition(":")
    read = getattr(importlib.import_module(module), name)
    _import_every_charset()
    read(_ORDINARY)  # so that every reader begins with patterns compiled and caches filled
    gc.collect()
    gc.freeze()  # or the first collection of every reader would copy all of it
    with open(os.devnull, "r+b", buffering=0) as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(nothing.fileno(), 1)
        os.dup2(
            nothing.fileno(), 2
        )  # until now a traceback was for the operator; from here on it would be the sender's
    control.sendall(NEXT.pack(NOBODY))
    current = NOBODY
    while control.recv(1):
        status = _end(current)
        ours, theirs = socket.socketpair()
        parent = os.getpid()
        current = os.fork()
        if current == 0:
            control.close()
            ours.close()
            _serve(theirs, read, parent)
            os._exit(0)
        theirs.close()
        socket.send_fds(control, [NEXT.pack(status)], [ours.fileno()])
        ours.close()
    _end(current)


def _end(reader: int) -> int:
    """End the reader if it still runs; how it ended."""
    if reader == NOBODY:
        return NOBODY
    with contextlib.suppress(ProcessLookupError):
        os.kill(reader, signal.SIGKILL)  # one that is dead already keeps the signal it died of
    return os.waitpid(reader, 0)[1]


def _import_every_charset() -> None:
    """A mail names its charset, and Python imports it then: a reader could not."""
    for found in pkgutil.iter_modules(encodings.__path__):
        with contextlib.suppress(ImportError):  # mbcs and oem are for Windows
            importlib.import_module(f"encodings.{found.name}")


def _serve(connection: socket.socket, read: Callable[..., object], parent: int) -> None:
    memory = _address_space()
    _give_up_rights(parent)
    incoming, outgoing = connection.makefile("rb"), connection.makefile("wb", buffering=256 * 1024)

    def say(kind: bytes, answer: bytes) -> None:
        outgoing.write(ANSWER.pack(kind, len(answer)))
        outgoing.write(answer)
        outgoing.flush()

    # Whatever reading raises ends this process; its name is the last that is heard of it.
    sys.excepthook = lambda kind, _trouble, _trace: say(RAISED, kind.__name__.encode()[:60])
    while len(asked := incoming.read(ASK.size)) == ASK.size:
        options_size, size = ASK.unpack(asked)
        options = pickle.loads(incoming.read(options_size))  # noqa: S301  from the caller, who started this process
        _limit(memory)
        try:
            # Nothing of it is given a name here: it would still count when the next mail is read.
            say(READ, pickle.dumps(read(incoming.read(size), **options), 5))
        except MemoryError:
            say(TOO_MUCH_MEMORY, b"")


def _limit(memory: int) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    _at_most("RLIMIT_CPU", int(used.ru_utime + used.ru_stime) + CPU_SECONDS)
    if memory:
        _at_most("RLIMIT_AS", memory + MEMORY_BYTES)


def _give_up_rights(parent: int) -> None:
    sys.meta_path[:] = [BuiltinImporter, FrozenImporter]
    _at_most("RLIMIT_CORE", 0, for_ever=True)  # a core would be a copy of the mail on the disk
    _at_most("RLIMIT_FSIZE", 0, for_ever=True)
    _at_most("RLIMIT_NPROC", 0, for_ever=True)
    _at_most("RLIMIT_NOFILE", 0, for_ever=True)  # what is open stays; no file and no connection can be added
    if sys.platform == "linux":
        kernel = ctypes.CDLL(None)
        kernel.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        kernel.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before it was watched
            os._exit(1)


def _at_most(name: str, limit: int, *, for_ever: bool = False) -> None:
    which = getattr(resource, name, None)
    if which is None:
        return
    hard = limit if for_ever else resource.getrlimit(which)[1]
    with contextlib.suppress(ValueError, OSError):  # the platform does not have it, or the operator set it lower
        resource.setrlimit(which, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _address_space() -> int:
    """Bytes of address space in use; 0 where it is not told (then memory has no limit)."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[0]) * resource.getpagesize()
    except (OSError, ValueError):
        return 0
