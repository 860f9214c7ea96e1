"""Asking the web for a feed: what is never asked, what is given up, what is sent along (O01, O02, O04)."""

from __future__ import annotations

import gzip
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from crm.channels import feed_fetching, http
from crm.channels.feed_fetching import FeedTrouble
from tests.crm.channels.web_server import Page, Site, rss, serving


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as found:
        found.pages["/feed"] = Page(rss(), headers={"Content-Type": "application/rss+xml", "ETag": '"one"'})
        yield found


INSIDE = [
    "http://127.0.0.1:{port}/feed",
    "http://127.1:{port}/feed",
    "http://2130706433:{port}/feed",
    "http://0x7f000001:{port}/feed",
    "http://017700000001:{port}/feed",
    "http://0x7f.1:{port}/feed",
    "http://127.000.000.001:{port}/feed",
    "http://localhost:{port}/feed",
    "http://LOCALHOST.:{port}/feed",
    "http://0.0.0.0:{port}/feed",
    "http://0:{port}/feed",
    "http://127.255.255.254:{port}/feed",
    "http://[::1]:{port}/feed",
    "http://[::]:{port}/feed",
    "http://[::ffff:127.0.0.1]:{port}/feed",
    "http://[::ffff:7f00:1]:{port}/feed",
    "http://[0:0:0:0:0:ffff:7f00:0001]:{port}/feed",
    "http://[64:ff9b::7f00:1]:{port}/feed",
    "http://[2002:7f00:0001::]:{port}/feed",
    "http://[fe80::1]:{port}/feed",
    "http://[fc00::1]:{port}/feed",
    "http://[fd12:3456:789a::1]:{port}/feed",
    "http://[ff02::1]:{port}/feed",
    "http://10.0.0.1:{port}/feed",
    "http://10.255.255.255/feed",
    "http://172.16.0.1/feed",
    "http://172.31.255.255/feed",
    "http://192.168.1.1/feed",
    "http://169.254.169.254/latest/meta-data/",
    "http://100.64.0.1/feed",
    "http://192.0.0.8/feed",
    "http://192.0.2.1/feed",
    "http://198.18.0.1/feed",
    "http://198.51.100.7/feed",
    "http://203.0.113.9/feed",
    "http://224.0.0.1/feed",
    "http://240.0.0.1/feed",
    "http://255.255.255.255/feed",
    "file:///etc/passwd",
    "gopher://127.0.0.1:{port}/feed",
    "ftp://127.0.0.1:{port}/feed",
    "http://user:word@127.0.0.1:{port}/feed",
    "http://127.0.0.1:{port}\\@blog.example/feed",
    "//127.0.0.1:{port}/feed",
    "http://",
    "http://[::1/feed",
    "http://127.0.0.1:0/feed",
    "http://127.0.0.1:{port}/a feed",
    "http://127.0.0.1:{port}/feed\r\nX-More: 1",
]


@pytest.mark.parametrize("url", INSIDE)
def test_nothing_inside_our_own_network_is_ever_asked_O01(site: Site, url: str) -> None:
    with pytest.raises(FeedTrouble) as refusal:
        feed_fetching.fetch(url.format(port=site.port))
    assert refusal.value.code in ("address_inside", "unusable_url", "url_with_password", "no_such_host")
    assert site.asked == []


def test_a_name_that_stands_for_an_inner_address_beside_an_outer_one_is_refused_O01(site: Site, monkeypatch) -> None:
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, site.port)) for ip in ("93.184.215.14", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_more: answers)
    with pytest.raises(FeedTrouble, match="network of our own"):
        feed_fetching.fetch(f"http://both.example:{site.port}/feed")
    assert site.asked == []


def test_a_name_that_changes_its_mind_gains_nothing_for_it_is_resolved_once_O01(site: Site, monkeypatch) -> None:
    """The connection goes to the very address that was looked at; the name is not asked for again."""
    real, asked = socket.getaddrinfo, []

    def resolve(host: str, port: int, *arguments: Any, **more: Any) -> Any:
        if host != "moves.example":
            return real(host, port, *arguments, **more)
        asked.append(host)
        return real("127.0.0.1" if len(asked) == 1 else "10.1.2.3", port, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    answer = feed_fetching.fetch(f"http://moves.example:{site.port}/feed", private_hosts=[f"moves.example:{site.port}"])
    assert (answer.content, asked) == (rss(), ["moves.example"])
    assert site.asked[-1][1]["host"] == f"moves.example:{site.port}"


@pytest.fixture
def safe(tmp_path: Path) -> Iterator[tuple[Site, Path]]:
    """A site over TLS as “localhost”, and its certificate, which nobody vouches for."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    more = ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate]
    subprocess.run([*made, *more], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serving(tls=context) as found:
        found.pages["/feed"] = Page(rss())
        yield found, certificate


def test_a_certificate_is_believed_for_the_name_that_was_asked_and_only_when_vouched_for(safe, monkeypatch) -> None:
    site, certificate = safe
    with pytest.raises(FeedTrouble) as refusal:
        feed_fetching.fetch(f"https://localhost:{site.port}/feed", private_hosts=[f"localhost:{site.port}"])
    assert (refusal.value.code, site.asked) == ("certificate", [])

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    answer = feed_fetching.fetch(f"https://localhost:{site.port}/feed", private_hosts=[f"localhost:{site.port}"])
    assert answer.content == rss()

    with pytest.raises(FeedTrouble) as refusal:  # the same server under another name
        feed_fetching.fetch(f"https://127.0.0.1:{site.port}/feed", private_hosts=[site.host])
    assert refusal.value.code == "certificate"

    site.pages["/down"] = Page(status=302, headers={"Location": f"http://localhost:{site.port}/feed"})
    with pytest.raises(FeedTrouble) as refusal:
        feed_fetching.fetch(f"https://localhost:{site.port}/down", private_hosts=[f"localhost:{site.port}"])
    assert refusal.value.code == "redirect_unsafe"


def test_an_inner_server_that_somebody_allowed_is_asked_O02(site: Site) -> None:
    answer = feed_fetching.fetch(site.url(), private_hosts=[site.host])
    assert (answer.content, answer.etag) == (rss(), '"one"')
    for other in (f"127.0.0.1:{site.port + 1}", "127.0.0.1"):  # a name without its port names no server
        with pytest.raises(FeedTrouble) as refusal:
            feed_fetching.fetch(site.url(), private_hosts=[other])
        assert refusal.value.code == "address_inside"


def test_a_redirect_goes_through_the_same_gate_O01(site: Site) -> None:
    site.pages["/away"] = Page(status=302, headers={"Location": "http://169.254.169.254/latest/"})
    site.pages["/other"] = Page(status=302, headers={"Location": f"http://localhost:{site.port}/feed"})
    site.pages["/file"] = Page(status=302, headers={"Location": "file:///etc/passwd"})
    site.pages["/moved"] = Page(status=301, headers={"Location": "/feed"})
    site.pages["/round"] = Page(status=301, headers={"Location": "/round"})
    codes = {}
    for path in ("/away", "/other", "/file", "/round"):
        with pytest.raises(FeedTrouble) as refusal:
            feed_fetching.fetch(site.url(path), private_hosts=[site.host])
        codes[path] = refusal.value.code
    assert codes == {
        "/away": "address_inside",
        "/other": "address_inside",
        "/file": "unusable_url",
        "/round": "redirects",
    }
    site.pages["/nowhere"] = Page(status=302, headers={"Location": "http://[::1"})
    with pytest.raises(FeedTrouble) as refusal:
        feed_fetching.fetch(site.url("/nowhere"), private_hosts=[site.host])
    assert refusal.value.code == "unusable_url"
    assert feed_fetching.fetch(site.url("/moved"), private_hosts=[site.host]).content == rss()


def test_what_we_know_is_not_sent_again(site: Site) -> None:
    answer = feed_fetching.fetch(site.url(), etag='"one"', last_modified="yesterday", private_hosts=[site.host])
    assert answer.content is None
    assert site.asked[-1][1]["if-none-match"] == '"one"'
    assert site.asked[-1][1]["if-modified-since"] == "yesterday"


def test_what_is_too_large_is_given_up_also_when_it_is_packed(site: Site) -> None:
    large = b"x" * (feed_fetching.LARGEST + 1)
    site.pages["/large"] = Page(large)
    site.pages["/packed"] = Page(gzip.compress(b"\0" * 300_000_000), headers={"Content-Encoding": "gzip"})
    for path in ("/large", "/packed"):
        with pytest.raises(FeedTrouble) as refusal:
            feed_fetching.fetch(site.url(path), private_hosts=[site.host])
        assert refusal.value.code == "too_large"


def test_a_server_that_hangs_or_drips_is_given_up(site: Site, monkeypatch) -> None:
    monkeypatch.setattr(feed_fetching, "ANSWERS_WITHIN", 1.0)
    monkeypatch.setattr(http, "READS_WITHIN", 0.4)
    site.pages["/hangs"] = Page(rss(), wait=3.0)
    site.pages["/drips"] = Page(b"x" * 100, drip=0.05)
    for path, code in (("/hangs", "no_answer"), ("/drips", "too_slow")):
        began = time.monotonic()
        with pytest.raises(FeedTrouble) as refusal:
            feed_fetching.fetch(site.url(path), private_hosts=[site.host])
        assert refusal.value.code == code
        assert time.monotonic() - began < 3


def test_a_refusal_is_told_as_such_whatever_its_page_is_like(site: Site, monkeypatch) -> None:
    monkeypatch.setattr(feed_fetching, "ANSWERS_WITHIN", 1.0)
    site.pages["/gone"] = Page(b"x" * 100, status=404, drip=0.05)
    site.pages["/odd"] = Page(b"not packed", status=500, headers={"Content-Encoding": "gzip"})
    for path, code in (("/gone", "http_404"), ("/odd", "http_500")):
        with pytest.raises(FeedTrouble) as refusal:
            feed_fetching.fetch(site.url(path), private_hosts=[site.host])
        assert refusal.value.code == code


def test_what_came_packed_is_unpacked_or_said_to_be_unreadable(site: Site) -> None:
    site.pages["/packed"] = Page(gzip.compress(rss()), headers={"Content-Encoding": "gzip"})
    site.pages["/odd"] = Page(b"not packed", headers={"Content-Encoding": "gzip"})
    assert feed_fetching.fetch(site.url("/packed"), private_hosts=[site.host]).content == rss()
    with pytest.raises(FeedTrouble) as refusal:
        feed_fetching.fetch(site.url("/odd"), private_hosts=[site.host])
    assert refusal.value.code == "unreadable"


@pytest.mark.parametrize(
    ("status", "headers", "again"),
    [(404, {}, None), (500, {}, None), (429, {"Retry-After": "120"}, 120), (503, {"Retry-After": "soon"}, None)],
)
def test_only_the_kind_of_an_answer_is_told_never_its_words_O04(site: Site, status, headers, again) -> None:
    site.pages["/bad"] = Page(b"secret words of the inner server", status=status, headers=headers)
    with pytest.raises(FeedTrouble) as refusal:
        feed_fetching.fetch(site.url("/bad"), private_hosts=[site.host])
    assert refusal.value.code == f"http_{status}"
    assert "secret" not in str(refusal.value)
    assert refusal.value.again_after == (None if again is None else timedelta(seconds=again))


def test_a_port_where_nobody_listens_is_said_so() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(FeedTrouble) as refusal:
        feed_fetching.fetch(f"http://127.0.0.1:{port}/", private_hosts=[f"127.0.0.1:{port}"])
    assert refusal.value.code == "no_connection"
