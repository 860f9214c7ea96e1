"""Asking one address on the web for a feed: bounded in time and size, and never an address inside our own network (O01).

The name is resolved once, every address it stands for is looked at, and the connection goes to that very address, so that a
name which changes its mind between the check and the connection gains nothing. A redirect is a new address and goes through
the same gate.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urljoin, urlsplit

from django.utils.translation import gettext as _
from urllib3 import HTTPResponse, exceptions
from urllib3.connection import HTTPConnection, HTTPSConnection

CONNECTS_WITHIN: Final = 5.0
ANSWERS_WITHIN: Final = 15.0  # from the first redirect to the last byte
LARGEST: Final = 2 * 1024 * 1024
MOST_REDIRECTS: Final = 3
LONGEST_URL: Final = 2_000
AGENT: Final = "Evenhand (reads feeds)"
_WANTED: Final = (
    "application/atom+xml, application/rss+xml, application/rdf+xml, application/xml;q=0.9, text/xml;q=0.8, */*;q=0.1"
)
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
# RFC 6052 and RFC 3056: an IPv4 address in the clothes of an IPv6 one.
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_NOT_OUTSIDE: Final = tuple(
    ipaddress.ip_network(block)
    for block in ("192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "2001::/23", "3fff::/20", "5f00::/16")
)
"""Blocks of the registries of special addresses (RFC 6890) that Python 3.11 does not know as such."""


class FeedTrouble(Exception):
    """A feed could not be had or read. The words are for people; they repeat nothing that the other side sent (O04)."""

    def __init__(self, code: str, words: str, *, again_after: timedelta | None = None) -> None:
        super().__init__(words)
        self.code = code
        self.again_after = again_after


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. content: None when nothing has changed since. etag, last_modified: to be sent next time."""

    content: bytes | None
    content_type: str
    etag: str
    last_modified: str
    url: str


def fetch(url: str, *, etag: str = "", last_modified: str = "", private_hosts: Collection[str] = ()) -> Answer:
    """Ask for one address, at most 15 seconds and 2 MB. Raises FeedTrouble.

    etag, last_modified: as the last answer stated them; then the answer may be that nothing changed. private_hosts: names
    or "name:port" inside our own network that somebody allowed; nothing else there is ever asked.
    """
    ends = time.monotonic() + ANSWERS_WITHIN
    headers = {"User-Agent": AGENT, "Accept": _WANTED, "Accept-Encoding": "gzip, deflate"}
    if etag:
        headers["If-None-Match"] = etag
    if last_modified:
        headers["If-Modified-Since"] = last_modified
    for _hop in range(MOST_REDIRECTS + 1):
        try:
            with _asked(url, headers, ends=ends, private_hosts=private_hosts) as response:
                if response.status not in _MOVED:
                    return _read(response, url=url, ends=ends)
                onward = urljoin(url, response.headers.get("Location", ""))
        except (exceptions.HTTPError, http.client.HTTPException, OSError) as trouble:
            raise _broken(trouble, is_over=time.monotonic() >= ends) from trouble
        if urlsplit(url).scheme == "https" and urlsplit(onward).scheme != "https":
            raise FeedTrouble("redirect_unsafe", _("It sends us on to an address without encryption."))
        url = onward
    raise FeedTrouble("redirects", _("It sends us on from address to address."))


def checked(url: str) -> str:
    """The address in the form in which it is kept. Raises FeedTrouble for what is no address of the web; asks nobody."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
    except ValueError as nonsense:
        raise _unusable() from nonsense
    plain = url.isascii() and url.isprintable() and not any(letter in url for letter in ' "<>\\^`{|}')
    if parts.scheme not in ("http", "https") or not host or port == 0 or not plain or len(url) > LONGEST_URL:
        raise _unusable()
    if parts.username is not None or parts.password is not None:
        raise FeedTrouble("url_with_password", _("An address with a name and password in it cannot be kept."))
    return url


def _unusable() -> FeedTrouble:
    return FeedTrouble("unusable_url", _("Please give a whole address that begins with https:// or http://."))


@contextmanager
def _asked(url: str, headers: dict[str, str], *, ends: float, private_hosts: Collection[str]) -> Iterator[HTTPResponse]:
    """Ask one address. The line is cut when the time is over, whatever it does: a server that sends a byte now and then is
    never silent.
    """
    parts = urlsplit(checked(url))
    host = parts.hostname or ""
    is_safe = parts.scheme == "https"
    port = parts.port or (443 if is_safe else 80)
    address = _resolved(host, port, private_hosts=private_hosts)
    within = min(CONNECTS_WITHIN, max(0.5, ends - time.monotonic()))
    connection = (
        HTTPSConnection(address, port, timeout=within, server_hostname=host, cert_reqs="CERT_REQUIRED")
        if is_safe
        else HTTPConnection(address, port, timeout=within)
    )
    with closing(connection):
        connection.connect()
        cut = threading.Timer(max(0.1, ends - time.monotonic()), _cut, args=(connection.sock,))
        cut.daemon = True
        cut.start()
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            sent = {**headers, "Host": parts.netloc}
            connection.request("GET", target, headers=sent, preload_content=False, decode_content=False)
            with closing(connection.getresponse()) as response:
                yield response
        finally:
            cut.cancel()


def _cut(line: socket.socket) -> None:
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)


def _resolved(host: str, port: int, *, private_hosts: Collection[str]) -> str:
    """The address to connect to. Raises FeedTrouble when any that the name stands for lies inside."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as trouble:
        raise FeedTrouble("no_such_host", _("There is no server of this name.")) from trouble
    addresses = [str(one[4][0]) for one in found]
    is_allowed = bool({host.lower(), f"{host.lower()}:{port}"} & {name.lower() for name in private_hosts})
    if not is_allowed and not all(is_outside(one) for one in addresses):
        raise FeedTrouble("address_inside", _("This address lies in a network of our own, which is never asked."))
    return addresses[0]


def is_outside(address: str) -> bool:
    """Whether an IP address belongs to the public internet, also when it wears the clothes of another one."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is None and found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF)
        if inner is not None:
            return is_outside(str(inner))
    if any(found in block for block in _NOT_OUTSIDE if block.version == found.version):
        return False
    return found.is_global and not found.is_multicast


def _read(response: HTTPResponse, *, url: str, ends: float) -> Answer:
    status = int(response.status)
    told = {name: _line(response.headers.get(name, "")) for name in ("Content-Type", "ETag", "Last-Modified")}
    if status == 304:
        return Answer(None, "", told["ETag"][:300], told["Last-Modified"][:100], url)
    if status != 200:
        again = _again_after(response.headers.get("Retry-After", "")) if status in (429, 503) else None
        raise FeedTrouble(f"http_{status}", _refused(status), again_after=again)
    content = bytearray()
    while chunk := response.read(65_536, decode_content=True):
        content += chunk
        if len(content) > LARGEST:
            raise FeedTrouble("too_large", _("It is larger than 2 MB."))
    if time.monotonic() >= ends:  # perhaps the line was cut before its end
        raise _broken(TimeoutError(), is_over=True)
    # A tag that is too long to keep is not sent back cut in two.
    etag = told["ETag"] if len(told["ETag"]) <= 300 else ""
    return Answer(bytes(content), told["Content-Type"][:200], etag, told["Last-Modified"][:100], url)


def _line(value: str) -> str:
    return value if value.isascii() and value.isprintable() else ""


def _refused(status: int) -> str:
    if status in (404, 410):
        return _("There is nothing at this address (any more).")
    if status in (401, 403):
        return _("It may not be read without logging in.")
    if status == 429:
        return _("It asks us to come less often.")
    kinds = {4: _("The server refuses to answer us."), 5: _("The server has trouble of its own.")}
    return kinds.get(status // 100, _("The server answered in a way that we do not understand."))


def _again_after(stated: str) -> timedelta | None:
    """What Retry-After says: seconds or a date (RFC 9110, 10.2.3)."""
    if stated.strip().isdecimal() and len(stated) < 9:
        return timedelta(seconds=int(stated))
    try:
        moment = parsedate_to_datetime(stated)
    except (TypeError, ValueError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(moment - datetime.now(UTC), timedelta(0))


def _broken(trouble: Exception, *, is_over: bool) -> FeedTrouble:
    if is_over:
        return FeedTrouble("too_slow", _("It took longer than 15 seconds to answer."))
    if isinstance(trouble, exceptions.TimeoutError | TimeoutError) and not isinstance(
        trouble, exceptions.NewConnectionError
    ):
        return FeedTrouble("no_answer", _("The server does not answer in time."))
    if isinstance(trouble, exceptions.SSLError | ssl.SSLError):
        return FeedTrouble("certificate", _("The certificate of the server cannot be trusted."))
    if isinstance(trouble, exceptions.DecodeError):
        return FeedTrouble("unreadable", _("What it sent cannot be unpacked."))
    return FeedTrouble("no_connection", _("No connection to the server could be made, or it broke off."))
