"""The one HTTP client: nowhere but to public addresses, no redirects, little time, little size, no secrets in errors (O01, O04).

The address is checked when it is connected to, and the connection goes to that very address: a name that resolves differently a
moment later reaches nothing.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final
from urllib.parse import urlsplit

import urllib3
from django.conf import settings
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError
from urllib3.util import Timeout

from crm.channels.providers import HttpAnswer, HttpRequest

CONNECTS_WITHIN: Final = 5.0
READS_WITHIN: Final = 10.0
"""Seconds: to connect, and between two pieces of an answer; for all of it see `HttpRequest.within`."""
PIECE: Final = 65_536
_TRANSLATES: Final = ip_network("64:ff9b::/96")  # NAT64 (RFC 6052): an IPv4 address inside
_SIX_TO_FOUR: Final = ip_network("2002::/16")

Connect = Callable[[HttpRequest], HttpAnswer]
"""How a request is made; `send` is the one way that goes out."""


class NotReached(Exception):
    """Nobody was reached: nothing has left. code: "forbidden" for an address that we do not go to, else "unreachable"."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


class Broken(Exception):
    """The line broke after the request had begun to leave: nobody knows what came of it."""


def send(request: HttpRequest) -> HttpAnswer:
    """Make a request and read its answer, at most `request.most` bytes of it. Raises NotReached, Broken.

    Hosts of EVENHAND_OUTBOUND_HOSTS ("host:port") may be private and may be spoken to without encryption; others not.
    """
    parts = _checked(request.url)
    ends = time.monotonic() + request.within
    pool = _pool(parts.scheme, str(parts.hostname), parts.port)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        answer = pool.urlopen(
            request.method,
            target,
            body=request.body or None,
            headers={"User-Agent": "Evenhand", "Accept-Encoding": "identity", **request.headers},
            retries=False,
            redirect=False,
            timeout=Timeout(connect=CONNECTS_WITHIN, read=READS_WITHIN),
            preload_content=False,
            decode_content=False,
        )
        return _read(answer, most=request.most, ends=ends)
    except NotReached:
        raise
    except (NewConnectionError, ConnectTimeoutError, NameResolutionError) as trouble:
        raise NotReached("unreachable", f"nobody answered ({type(trouble).__name__})") from None
    except urllib3.exceptions.SSLError:
        raise NotReached("unreachable", "its certificate could not be checked") from None
    except (HTTPError, OSError, ValueError) as trouble:
        raise Broken(f"the line broke before the answer ({type(trouble).__name__})") from None
    finally:
        pool.close()


def is_allowed(host: str, port: int) -> bool:
    """Whether the installation names this host as one that may be private."""
    return f"{host.lower()}:{port}" in settings.EVENHAND_OUTBOUND_HOSTS


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet, also behind the forms that hold another address."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        inside = found.ipv4_mapped or found.sixtofour
        if inside is None and found in _TRANSLATES:
            inside = IPv4Address(int(found) & 0xFFFFFFFF)
        if inside is not None:
            return is_public(str(inside))
    return found.is_global and not found.is_multicast


def _checked(url: str) -> Any:
    """The parts of an address that we go to at all. Raises NotReached."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise NotReached("forbidden", "it is no web address") from None
    host = parts.hostname or ""
    if parts.scheme not in ("https", "http") or not host or parts.username is not None:
        raise NotReached("forbidden", "it is no web address")
    if any(ord(character) < 33 or ord(character) > 126 for character in url):
        raise NotReached("forbidden", "it is no web address")
    if parts.scheme == "http" and not is_allowed(host, port):
        raise NotReached("forbidden", "it is not encrypted")
    return parts


def _connected(connection: HTTPConnection) -> socket.socket:
    """Connect to the first public address of a host. Raises NotReached, or what urllib3 raises for a host that does not answer."""
    host, port = connection._dns_host.strip("[]"), int(connection.port)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as trouble:
        raise NewConnectionError(connection, type(trouble).__name__) from None
    if not is_allowed(host, port) and not all(is_public(str(address[0])) for *_kind, address in found):
        raise NotReached("forbidden", "it is not an address of the open internet")
    last: OSError | None = None
    for family, kind, protocol, _name, address in found[:4]:
        line = socket.socket(family, kind, protocol)
        try:
            line.settimeout(CONNECTS_WITHIN)
            line.connect(address)
            return line
        except OSError as trouble:
            last = trouble
            line.close()
    raise NewConnectionError(connection, type(last).__name__)


class _Guarded(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connected(self)


class _GuardedTls(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _connected(self)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Guarded


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedTls


def _pool(scheme: str, host: str, port: int | None) -> HTTPConnectionPool:
    if scheme == "https":
        return _TlsPool(host, port, cert_reqs="CERT_REQUIRED")
    return _Pool(host, port)


def _read(answer: Any, *, most: int, ends: float) -> HttpAnswer:
    """Read an answer in pieces, so that neither its size nor a server that drips is without end."""
    content = bytearray()
    for piece in answer.stream(PIECE):
        content += piece
        if len(content) > most:
            break
        if time.monotonic() > ends:
            answer.close()
            raise Broken("the answer took too long")
    headers = {str(name).lower(): str(value) for name, value in answer.headers.items()}
    is_cut = len(content) > most
    answer.close()
    return HttpAnswer(int(answer.status), headers, bytes(content[:most]), is_cut)
