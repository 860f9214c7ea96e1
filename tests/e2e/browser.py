"""A real browser behind a proxy of ours that writes down everything it asks for; nothing reaches the network."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

OUR_PAGES = "/-test/"
HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "content-length", "te", "upgrade"}

Page = tuple[dict[str, str], str]
"""Headers and HTML."""


def chromium() -> str | None:
    """Where the browser is, if it is here."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclass
class Asked:
    """One request the browser made of the product."""

    path: str
    status: int
    has_cookie: bool


@dataclass
class Recorder:
    """The proxy. outside: every address that is not the product's; asked: what the product was asked for."""

    product: str  # host:port of the live server
    session: str
    pages: Callable[[str], Page]  # the test's own pages, under the product's origin
    outside: list[str] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    told: list[dict[str, object]] = field(default_factory=list)
    is_told: threading.Event = field(default_factory=threading.Event)


def _handler(recorder: Recorder) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_args: object) -> None:
            pass

        def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_CONNECT(self) -> None:
            recorder.outside.append(f"https://{self.path}")
            self.answer(502, {}, b"")

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if address.netloc != recorder.product:
                recorder.outside.append(self.path)
                number = [*address.path.split("/"), ""][1]
                script = f"try{{top.postMessage('ran{number}','*')}}catch(e){{}}".encode()
                kind = "text/javascript" if address.path.endswith(".js") else "text/html"
                self.answer(200, {"Content-Type": kind, "Access-Control-Allow-Origin": "*"}, script)
            elif address.path == f"{OUR_PAGES}told":
                recorder.told.append(json.loads(body))
                recorder.is_told.set()
                self.answer(200, {}, b"")
            elif address.path.startswith(OUR_PAGES):
                headers, page = recorder.pages(address.path.removeprefix(OUR_PAGES))
                cookie = {"Set-Cookie": f"sessionid={recorder.session}; Path=/; HttpOnly; SameSite=Lax"}
                self.answer(
                    200, {"Content-Type": "text/html; charset=utf-8", **cookie, **headers}, page.encode("utf-8")
                )
            else:
                self.forward(address.path + (f"?{address.query}" if address.query else ""), body)

        do_POST = do_HEAD = do_OPTIONS = do_GET

        def forward(self, path: str, body: bytes) -> None:
            connection = http.client.HTTPConnection(recorder.product, timeout=30)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
            connection.request(self.command, path, body or None, headers)
            answer = connection.getresponse()
            content = answer.read()
            recorder.asked.append(Asked(path, answer.status, "sessionid" in self.headers.get("Cookie", "")))
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP}
            connection.close()
            self.answer(answer.status, kept, content)

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that is closed hangs up in the middle; that is no error of the test."""


@contextmanager
def recording(live_url: str, *, session: str, pages: Callable[[str], Page]) -> Iterator[tuple[Recorder, Sequence[str]]]:
    """Start the proxy. Gives the recorder and the words that make a browser use it."""
    recorder = Recorder(product=urlsplit(live_url).netloc, session=session, pages=pages)
    server = _Server(("127.0.0.1", 0), _handler(recorder))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield (
            recorder,
            (
                f"--proxy-server=127.0.0.1:{server.server_address[1]}",
                "--proxy-bypass-list=<-loopback>",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            ),
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextmanager
def browsing(url: str, *words: str) -> Iterator[None]:
    """A headless browser that has opened this address; it is stopped at the end."""
    program = chromium()
    assert program
    folder = Path(tempfile.mkdtemp(prefix="evenhand-browser-"))
    process = subprocess.Popen(
        [
            program,
            "--headless",
            *(["--no-sandbox"] if os.geteuid() == 0 else []),  # its own sandbox wants an account of its own
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-popup-blocking",
            "--disable-dev-shm-usage",
            "--remote-debugging-port=0",  # keeps it open; nobody listens
            f"--user-data-dir={folder}",
            *words,
            url,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, 9)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)
