"""A virus scanner that speaks clamd's protocol: one file in, one verdict out.

The bytes go over the socket (INSTREAM), so the scanner needs no way to our files and may run on another machine. It
unpacks, we do not. Every wait is bounded; nothing is read back but one short line.
"""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import dataclass
from typing import Final

Address = str | tuple[str, int]
"""The path of a unix socket, or host and port."""

CONNECT_WITHIN: Final = 5.0  # seconds
SCAN_WITHIN: Final = 45.0  # seconds for one file, shorter than the lease of the row it belongs to
MAX_ANSWER_BYTES: Final = 4_096

_CHUNK_BYTES: Final = 64 * 1024
_LENGTH: Final = struct.Struct("!L")


class ScannerAway(Exception):
    """The scanner does not answer at all; no file is to blame."""


class NotChecked(Exception):
    """The scanner answered, but gave no verdict on this file: it took too long, was too large, or could not be read."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the scanner found. signature: its own name for it, at most 100 characters; "" when it found nothing."""

    is_infected: bool
    signature: str


def scan(content: bytes, *, address: Address, within: float = SCAN_WITHIN) -> Verdict:
    """Let the scanner look at one file. within: seconds for all of it. Raises ScannerAway, NotChecked."""
    ends_at = time.monotonic() + within
    try:
        connection = _connected(address, min(CONNECT_WITHIN, within))
    except OSError as trouble:
        raise ScannerAway(f"The virus scanner cannot be reached ({type(trouble).__name__}).") from trouble
    with connection:
        try:
            _send(connection, content, ends_at=ends_at)
        except TimeoutError as trouble:
            raise NotChecked("The virus scanner took too long.") from trouble
        except OSError:
            pass  # it hung up in the middle, as it does when a file is too large for it; its reason may be there to read
        try:
            answer = _answer(connection, ends_at=ends_at)
        except TimeoutError as trouble:
            raise NotChecked("The virus scanner took too long.") from trouble
        except OSError as trouble:
            raise NotChecked(f"The virus scanner hung up ({type(trouble).__name__}).") from trouble
    return _verdict(answer)


def _connected(address: Address, within: float) -> socket.socket:
    if isinstance(address, str):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(within)
        try:
            connection.connect(address)
        except OSError:
            connection.close()
            raise
        return connection
    return socket.create_connection(address, timeout=within)


def _send(connection: socket.socket, content: bytes, *, ends_at: float) -> None:
    connection.settimeout(_left(ends_at))
    connection.sendall(b"zINSTREAM\0")
    for at in range(0, len(content), _CHUNK_BYTES):
        chunk = content[at : at + _CHUNK_BYTES]
        connection.settimeout(_left(ends_at))
        connection.sendall(_LENGTH.pack(len(chunk)) + chunk)
    connection.settimeout(_left(ends_at))
    connection.sendall(_LENGTH.pack(0))


def _answer(connection: socket.socket, *, ends_at: float) -> str:
    heard = b""
    while b"\0" not in heard and len(heard) < MAX_ANSWER_BYTES:
        connection.settimeout(_left(ends_at))
        more = connection.recv(MAX_ANSWER_BYTES)
        if not more:
            break
        heard += more
    return heard.partition(b"\0")[0].decode("utf-8", "replace").strip()


def _left(ends_at: float) -> float:
    left = ends_at - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _verdict(answer: str) -> Verdict:
    said = answer.removeprefix("stream:").strip()
    if said == "OK":
        return Verdict(is_infected=False, signature="")
    if said.endswith(" FOUND"):
        return Verdict(is_infected=True, signature=said.removesuffix(" FOUND")[:100])
    raise NotChecked(f"The virus scanner gave no verdict: {said[:200] or 'it said nothing'}.")
