"""The one HTTP client: where it goes and where not, how much it reads, and that no secret shows (O01, O02, O04, F35)."""

from __future__ import annotations

import socket
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from crm.channels import http
from crm.channels.http import Broken, NotReached
from crm.channels.providers import HttpRequest
from tests.crm.channels.serving import Server, serving


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as found:
        yield found


@pytest.fixture
def allowed(server: Server, settings: Any) -> Server:
    settings.EVENHAND_OUTBOUND_HOSTS = frozenset({server.host})
    return server


def get(url: str, **more: Any) -> Any:
    return http.send(HttpRequest("GET", url, **more))


INSIDE = [
    "127.0.0.1", "127.1", "127.000.000.001", "2130706433", "0x7f000001", "0177.0.0.1",
    "0.0.0.0", "0", "localhost", "LOCALHOST",  # noqa: S104
    "localhost.", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "10.0.0.1",
    "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "[fe80::1]", "[fc00::1]", "[fd00:ec2::254]", "100.64.0.1",
    "192.0.0.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "[ff02::1]", "[2001:db8::1]", "[2001::1]",
    "ip6-localhost",
]  # fmt: skip
"""Forty ways to say "inside", with those of `test_what_is_no_web_address`; none may reach anybody (O01)."""


@pytest.mark.parametrize("host", INSIDE)
def test_no_name_of_the_inside_is_connected_to_O01_H12(host: str, server: Server) -> None:
    with pytest.raises(NotReached):
        get(f"https://{host}:{server.port}/latest/meta-data")
    assert not server.asked


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "ftp://example.org/", "gopher://127.0.0.1/", "https://", "https:///x", "https://user:pass@example.org/",
        "https://example.org:99999/", "https://exa mple.org/", "https://example.org/\r\nX: 1", "//example.org/", "", "https://[::1",
        "http://example.org/", "https://example.org:0/",
    ],
)  # fmt: skip
def test_what_is_no_web_address_or_not_encrypted_is_not_gone_to_O01(url: str) -> None:
    with pytest.raises(NotReached) as refused:
        get(url)
    assert refused.value.code == "forbidden"


@pytest.mark.parametrize(
    ("address", "public"),
    [("1.1.1.1", True), ("2606:4700:4700::1111", True), ("64:ff9b::101:101", True), ("::ffff:1.1.1.1", True), ("127.0.0.1", False),
     ("2002:101:101::1", True), ("192.0.0.8", False), ("192.88.99.1", False), ("64:ff9b::a00:1", False), ("64:ff9b:1::1", False),
     ("2001:0:101:101::1", False), ("2001:20::1", False), ("3fff::1", False), ("5f00::1", False), ("fec0::1", False),
     ("::7f00:1", False), ("fe80::1%eth0", False), ("no address", False)],
)  # fmt: skip
def test_what_is_public(address: str, public: bool) -> None:
    assert http.is_public(address) is public


def test_a_name_that_means_something_else_a_moment_later_reaches_nothing_O01(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address that was checked is the one that is connected to: a second look at the name never happens."""
    asked: list[str] = []
    looks = socket.getaddrinfo

    def changing(host: str, port: int, *rest: Any, **more: Any) -> Any:
        asked.append(host)
        return looks("1.1.1.1" if len(asked) == 1 else "127.0.0.1", port, *rest, **more)

    class Connected(Exception):
        pass

    def connect(_self: socket.socket, address: Any) -> None:
        raise Connected(address[0])

    monkeypatch.setattr(socket, "getaddrinfo", changing)
    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(Connected, match=r"1\.1\.1\.1"):
        get(f"https://rebinding.example:{server.port}/")
    assert asked == ["rebinding.example"]


def test_a_name_with_one_address_inside_is_not_gone_to_O01(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = socket.getaddrinfo
    both = lambda host, port, *rest, **more: [*looks("1.1.1.1", port, **more), *looks("127.0.0.1", port, **more)]  # noqa: E731
    monkeypatch.setattr(socket, "getaddrinfo", both)
    with pytest.raises(NotReached):
        get(f"https://mixed.example:{server.port}/")
    assert not server.asked


def test_a_host_that_the_installation_names_may_be_private_and_plain_O02(allowed: Server) -> None:
    allowed.answers = lambda asked: (201, {"X-Said": "yes"}, asked.body)
    answer = http.send(HttpRequest("POST", f"http://{allowed.host}/path?a=1", {"Authorization": "Bearer x"}, b"words"))
    assert (answer.status, answer.headers["x-said"], answer.body) == (201, "yes", b"words")
    [asked] = allowed.asked
    assert (asked.method, asked.path, asked.headers["authorization"]) == ("POST", "/path?a=1", "Bearer x")


def test_a_redirect_is_not_followed_O01(allowed: Server) -> None:
    allowed.answers = lambda _asked: (302, {"Location": "http://169.254.169.254/"}, b"")
    assert get(f"http://{allowed.host}/").status == 302
    assert len(allowed.asked) == 1


def test_an_answer_is_read_up_to_its_limit_only_O01(allowed: Server) -> None:
    allowed.answers = lambda _asked: (200, {}, b"x" * 1_000_000)
    answer = get(f"http://{allowed.host}/", most=1_000)
    assert (len(answer.body), answer.is_cut) == (1_000, True)
    packed = get(f"http://{allowed.host}/", most=2_000_000)
    assert (len(packed.body), packed.is_cut) == (1_000_000, False)


def test_nobody_there_is_told_from_a_line_that_broke_F35(allowed: Server, settings: Any) -> None:
    allowed.answers = lambda _asked: None
    with pytest.raises(Broken):
        get(f"http://{allowed.host}/")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings.EVENHAND_OUTBOUND_HOSTS = frozenset({f"127.0.0.1:{port}"})
    with pytest.raises(NotReached) as nobody:
        get(f"http://127.0.0.1:{port}/")
    assert nobody.value.code == "unreachable"


def test_a_server_that_drips_or_is_silent_is_left_in_time_F35(allowed: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "READS_WITHIN", 0.2)

    def silent(_asked: Any) -> None:
        time.sleep(1)

    allowed.answers = silent
    with pytest.raises(Broken):
        get(f"http://{allowed.host}/")


@contextmanager
def dripping(first: bytes, then: bytes) -> Iterator[str]:
    """A server that says the first at once, and the other again and again, ten times a second, until it is left; its host."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            with listening.accept()[0] as line, suppress(OSError):
                line.recv(65_536)
                line.sendall(first)
                while True:
                    time.sleep(0.1)
                    line.sendall(then)

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        thread.join(5)
        assert not thread.is_alive(), "the line was not cut"


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", b"x"),
        (b"HTTP/1.0 200 OK\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["status", "headers", "body", "body without a length", "chunks"],
)
def test_the_line_is_cut_when_all_the_time_is_over_whatever_drips_F35(first: bytes, then: bytes) -> None:
    began = time.monotonic()
    with dripping(first, then) as host, pytest.raises(Broken) as trouble:
        http.send(HttpRequest("GET", f"http://{host}/", within=0.5), private_hosts=[host])
    assert trouble.value.kind == "over"
    assert time.monotonic() - began < 2


def test_a_handshake_that_drips_is_cut_and_nothing_has_left_F35() -> None:
    with dripping(b"\x16\x03\x03\x40\x00", b"\x02") as host, pytest.raises(NotReached) as trouble:
        http.send(HttpRequest("GET", f"https://{host}/", within=0.5), private_hosts=[host])
    assert (trouble.value.kind, trouble.value.code) == ("over", "unreachable")


def test_what_is_packed_is_unpacked_up_to_the_limit_only_and_only_where_that_was_asked_for_O01(allowed: Server) -> None:
    packing = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(packing.compress(b"x" * 1_000_000) for _million in range(100)) + packing.flush()
    allowed.answers = lambda _asked: (200, {"Content-Encoding": "gzip"}, packed)
    answer = get(f"http://{allowed.host}/", most=1_000, unpacks=True)
    assert (answer.body, answer.is_cut) == (b"x" * 1_000, True)
    assert get(f"http://{allowed.host}/").body == packed
    assert [asked.headers["accept-encoding"] for asked in allowed.asked] == ["gzip, deflate", "identity"]

    allowed.answers = lambda _asked: (200, {"Content-Encoding": "gzip"}, b"not packed at all")
    with pytest.raises(Broken) as trouble:
        get(f"http://{allowed.host}/", unpacks=True)
    assert trouble.value.kind == "packed"


def test_only_public_addresses_may_be_spoken_to_without_encryption_where_that_is_allowed_O01(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for host in INSIDE:
        with pytest.raises(NotReached):
            http.send(HttpRequest("GET", f"http://{host}:{server.port}/"), may_be_plain=True)
    assert not server.asked
    looks = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _host, port, **more: looks("127.0.0.1", server.port, **more))
    monkeypatch.setattr(http, "is_public", lambda address: address == "127.0.0.1")
    assert http.send(HttpRequest("GET", "http://public.example/"), may_be_plain=True).status == 200
    assert server.asked[-1].headers["host"] == "public.example"


def test_no_secret_shows_in_an_error_O04(allowed: Server) -> None:
    allowed.answers = lambda _asked: None
    request = HttpRequest(
        "POST", f"http://{allowed.host}/token-abc", {"Authorization": "Bearer token-abc"}, b"token-abc"
    )
    with pytest.raises(Broken) as trouble:
        http.send(request)
    assert "token-abc" not in repr(trouble.value) + str(trouble.value) + repr(request)
