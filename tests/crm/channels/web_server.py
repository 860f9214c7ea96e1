"""A web server of the tests' own: real sockets, documents that the test lays out, and what it was asked for."""

from __future__ import annotations

import http.server
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Page:
    """What stands at one path. wait: seconds before the first byte; drip: seconds between bytes of the body."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0.0
    drip: float = 0.0


@dataclass
class Site:
    """The pages of a server, by path, and each request that came: path and headers."""

    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    port: int = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, path: str = "/feed") -> str:
        return f"http://{self.host}{path}"


@contextmanager
def serving(*, tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    """Serve a site on a free port of the loopback until the block ends."""
    site = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            site.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            page = site.pages.get(self.path, Page(status=404))
            time.sleep(page.wait)
            known = page.headers.get("ETag")
            is_known = known is not None and self.headers.get("If-None-Match") == known
            self.send_response(304 if is_known else page.status)
            for name, value in page.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if is_known:
                return
            try:
                if not page.drip:
                    self.wfile.write(page.body)
                for byte in page.body if page.drip else b"":
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(page.drip)
            except OSError:
                return  # the other side had enough

        def log_message(self, *_arguments: object) -> None:
            return None

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.port = server.server_address[1]
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()


Entry = Callable[..., str]


def entry(number: int, *, said: str = "The lamp broke.", author: str = "Jane", at: str = "", more: str = "") -> str:
    """One item of an RSS feed. at: as feeds write it."""
    when = f"<pubDate>{at}</pubDate>" if at else ""
    return (
        f"<item><guid isPermaLink='false'>post-{number}</guid><title>Post {number}</title>"
        f"<link>https://blog.example/{number}</link><dc:creator>{author}</dc:creator>{when}"
        f"<description><![CDATA[{said}]]></description>{more}</item>"
    )


def rss(*entries: str, title: str = "A blog") -> bytes:
    """A feed of these items."""
    return (
        '<?xml version="1.0" encoding="utf-8"?><rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<channel><title>{title}</title>{''.join(entries)}</channel></rss>"
    ).encode()
