"""The one HTTP client: nowhere but to public addresses, no redirects, little time, little size, no secrets in errors (O01, O04).

The address is checked when it is connected to, and the connection goes to that very address: a name that resolves differently a
moment later reaches nothing.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, Literal
from urllib.parse import SplitResult, quote, urlsplit

from django.conf import settings
from urllib3 import HTTPResponse, exceptions
from urllib3.connection import HTTPConnection, HTTPSConnection

from crm.channels.providers import HttpAnswer, HttpRequest

CONNECTS_WITHIN: Final = 5.0
READS_WITHIN: Final = 10.0
"""Seconds: to connect, and between two pieces of an answer; for all of it see `HttpRequest.within`."""
PIECE: Final = 65_536
_TRANSLATES: Final = ip_network("64:ff9b::/96")  # NAT64 (RFC 6052): an IPv4 address inside
_SPECIAL: Final = tuple(
    ip_network(block)
    for block in (
        "192.0.0.0/24", "192.88.99.0/24", "::/96", "64:ff9b:1::/48", "2001::/23", "3fff::/20", "5f00::/16", "fec0::/10",
    )
)  # fmt: skip
"""Blocks of the registries of special addresses (RFC 6890, 4291, 3879) that Python does not know as such in every version."""

Connect = Callable[[HttpRequest], HttpAnswer]
"""How a request is made; `send` is the one way that goes out."""
Kind = Literal["no_address", "plain", "inside", "no_name", "certificate", "silent", "over", "packed", "broken"]
"""What went wrong: no web address; not encrypted; inside our own network; no such name; the certificate; nothing came in time; all
the time was used up; it could not be unpacked; the line could not be had or broke.
"""


class NotReached(Exception):
    """Nobody was reached: nothing has left. code: "forbidden" for an address that we do not go to, else "unreachable"."""

    def __init__(self, kind: Kind, words: str) -> None:
        super().__init__(words)
        self.kind = kind
        self.code = "forbidden" if kind in ("no_address", "plain", "inside") else "unreachable"


class Broken(Exception):
    """The line broke after the request had begun to leave: nobody knows what came of it."""

    def __init__(self, kind: Kind, words: str) -> None:
        super().__init__(words)
        self.kind = kind


def send(
    request: HttpRequest, *, may_be_plain: bool = False, private_hosts: Collection[str] | None = None
) -> HttpAnswer:
    """Make a request and read its answer, at most `request.most` bytes of it. Raises NotReached, Broken.

    private_hosts: "host:port" that may be private and may be spoken to without encryption, others not; EVENHAND_OUTBOUND_HOSTS
    unless given. may_be_plain: public addresses may be spoken to without encryption, too.
    """
    allowed = settings.EVENHAND_OUTBOUND_HOSTS if private_hosts is None else private_hosts
    parts = _checked(request.url)
    host, port = str(parts.hostname), _port(parts)
    is_private_allowed = _is_allowed(host, port, allowed)
    if parts.scheme == "http" and not may_be_plain and not is_private_allowed:
        raise NotReached("plain", "it is not encrypted")
    clock = _Clock(time.monotonic() + request.within)
    connection = _GuardedTls(host, port, cert_reqs="CERT_REQUIRED") if parts.scheme == "https" else _Guarded(host, port)
    connection.reach = lambda: _line(host, port, clock=clock, may_be_private=is_private_allowed)
    try:
        _connect(connection, clock)
        return _exchange(connection, request, parts, clock)
    finally:
        connection.close()
        clock.stop()


def forbidden(url: str) -> Literal["", "no_address", "plain", "inside"]:
    """Why we would never go to an address that somebody names for us; "" when nothing is known against it (O01, O02).

    Asked when it is named, so that whoever does so is told. `send` looks again when it connects: names change. A name that is not
    found now is left to that.
    """
    try:
        parts = _checked(url)
        host, port = str(parts.hostname), _port(parts)
        if _is_allowed(host, port, settings.EVENHAND_OUTBOUND_HOSTS):
            return ""
        if parts.scheme == "http":
            return "plain"
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except NotReached:
        return "no_address"
    except (OSError, UnicodeError):
        return ""
    return "" if all(is_public(str(address[0])) for *_kind, address in found) else "inside"


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet, also behind the forms that hold another address."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        inside = found.ipv4_mapped or found.sixtofour
        if inside is None and found in _TRANSLATES:
            inside = IPv4Address(int(found) & 0xFFFFFFFF)
        if inside is not None:
            return is_public(str(inside))
    if any(found in block for block in _SPECIAL if block.version == found.version):
        return False
    return found.is_global and not found.is_multicast


def _checked(url: str) -> SplitResult:
    """The parts of an address that we go to at all. Raises NotReached."""
    no_address = NotReached("no_address", "it is no web address")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise no_address from None
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username is not None or port == 0:
        raise no_address
    if any(ord(character) < 33 or ord(character) > 126 for character in url):
        raise no_address
    return parts


def _is_allowed(host: str, port: int, allowed: Collection[str]) -> bool:
    return f"{host.lower()}:{port}" in {name.lower() for name in allowed}


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


# --- a line and its time ----------------------------------------------------------------------------------------------


class _Clock:
    """Cuts a line when its time is over, whatever it does: a server that sends a byte now and then is never silent."""

    def __init__(self, ends: float) -> None:
        self.ends = ends
        self._is_cut = False
        self._line: socket.socket | None = None
        self._timer: threading.Timer | None = None

    @property
    def is_over(self) -> bool:
        """Whether what came may lack its end."""
        return self._is_cut or (self._timer is None and self.left <= 0)

    @property
    def left(self) -> float:
        return self.ends - time.monotonic()

    def watch(self, line: socket.socket) -> None:
        self._line = line.dup()  # another handle of the same line: encryption takes the first one over
        self._timer = threading.Timer(max(0.0, self.left), self._cut)
        self._timer.daemon = True
        self._timer.start()

    def stop(self) -> None:
        if self._timer is not None and self._line is not None:
            self._timer.cancel()
            self._timer.join()
            self._line.close()

    def _cut(self) -> None:
        self._is_cut = True
        with suppress(OSError):
            if self._line is not None:
                self._line.shutdown(socket.SHUT_RDWR)


def _line(host: str, port: int, *, clock: _Clock, may_be_private: bool) -> socket.socket:
    """A line to the first address of a host that answers, all of them being public. Raises NotReached."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as trouble:
        raise NotReached("no_name", f"nobody answered ({type(trouble).__name__})") from None
    if not may_be_private and not all(is_public(str(address[0])) for *_kind, address in found):
        raise NotReached("inside", "it is not an address of the open internet")
    last: OSError | None = None
    for family, kind, protocol, _name, address in found[:4]:
        if clock.left <= 0:
            break
        line = socket.socket(family, kind, protocol)
        try:
            line.settimeout(min(CONNECTS_WITHIN, clock.left))
            line.connect(address)
            clock.watch(line)
            return line
        except OSError as trouble:
            last = trouble
            line.close()
    raise _unreached(last or TimeoutError(), clock)


class _Guarded(HTTPConnection):
    reach: Callable[[], socket.socket]

    def _new_conn(self) -> socket.socket:
        return self.reach()


class _GuardedTls(HTTPSConnection):
    reach: Callable[[], socket.socket]

    def _new_conn(self) -> socket.socket:
        return self.reach()


def _connect(connection: _Guarded | _GuardedTls, clock: _Clock) -> None:
    """Reach a host and, where the line is encrypted, believe its certificate. Raises NotReached: nothing of ours has left."""
    try:
        connection.connect()
    except (exceptions.HTTPError, OSError, ValueError) as trouble:
        raise _unreached(trouble, clock) from None


def _unreached(trouble: Exception, clock: _Clock) -> NotReached:
    if not clock.is_over and isinstance(trouble, exceptions.SSLError | ssl.SSLError | ssl.CertificateError):
        return NotReached("certificate", "its certificate could not be checked")
    return NotReached(_kind(trouble, clock), f"nobody answered ({type(trouble).__name__})")


def _kind(trouble: Exception, clock: _Clock) -> Kind:
    if clock.is_over:
        return "over"
    if isinstance(trouble, exceptions.DecodeError):
        return "packed"
    return "silent" if isinstance(trouble, exceptions.TimeoutError | TimeoutError) else "broken"


# --- a request and its answer -----------------------------------------------------------------------------------------


def _exchange(
    connection: _Guarded | _GuardedTls, request: HttpRequest, parts: SplitResult, clock: _Clock
) -> HttpAnswer:
    """Ask over a line that is there and read what comes. Raises Broken."""
    connection.timeout = READS_WITHIN
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    packing = "gzip, deflate" if request.unpacks else "identity"
    try:
        connection.request(
            request.method,
            quote(target, safe="%/?:@!$&'()*+,;=~"),
            body=request.body or None,
            headers={"User-Agent": "Evenhand", "Accept-Encoding": packing, **request.headers},
            preload_content=False,
            decode_content=False,
        )
        answer = _read(connection.getresponse(), request)
    except (exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as trouble:
        kind = _kind(trouble, clock)
        words = "the answer took too long" if kind == "over" else "the line broke before the answer"
        raise Broken(kind, f"{words} ({type(trouble).__name__})") from None
    if clock.is_over:  # its end may be missing
        raise Broken("over", "the answer took too long")
    return answer


def _read(answer: HTTPResponse, request: HttpRequest) -> HttpAnswer:
    """Read an answer in pieces, so that its size is not without end, also when it is packed small."""
    content = bytearray()
    if request.body_of is None or answer.status in request.body_of:
        for piece in answer.stream(PIECE, decode_content=request.unpacks):
            content += piece
            if len(content) > request.most:
                break
    headers = {str(name).lower(): str(value) for name, value in answer.headers.items()}
    answer.close()
    return HttpAnswer(int(answer.status), headers, bytes(content[: request.most]), len(content) > request.most)
