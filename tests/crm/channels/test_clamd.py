"""The scanner's protocol, with the real clamd and with one that misbehaves (M23)."""

from __future__ import annotations

import io
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator

import pytest

from crm.channels import clamd
from tests.crm import scanner


@pytest.fixture(scope="module")
def place() -> Iterator[str]:
    with scanner.running() as address:
        yield address


def zipped(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("inside.txt", content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "is_infected"),
    [
        (scanner.EICAR, True),
        (b"before " + scanner.EICAR + b" after", True),
        (zipped(scanner.EICAR), True),
        (b"hello", False),
        (b"", False),
        (bytes(range(256)) * 1_000, False),
    ],
    ids=["the test file", "inside a text", "inside a zip", "a text", "nothing", "many bytes"],
)
def test_the_real_scanner_tells_infected_files_from_others_M23(place: str, content: bytes, is_infected: bool) -> None:
    found = clamd.scan(content, address=place)
    assert found.is_infected is is_infected
    assert ("Evenhand.Test.File" in found.signature) is is_infected


def test_a_file_beyond_the_scanners_limit_gets_no_verdict_M23(place: str) -> None:
    with pytest.raises(clamd.NotChecked):
        clamd.scan(bytes(scanner.STREAM_LIMIT_BYTES * 8), address=place)


def test_a_scanner_that_is_not_there_is_away(tmp_path) -> None:
    with pytest.raises(clamd.ScannerAway):
        clamd.scan(b"x", address=str(tmp_path / "nobody"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(clamd.ScannerAway):
        clamd.scan(b"x", address=("127.0.0.1", port))


@pytest.fixture
def misbehaving() -> Iterator[Callable[[Callable[[socket.socket], None]], tuple[str, int]]]:
    """Start a scanner that does what a test says with its one visitor."""
    servers: list[socket.socket] = []

    def start(act: Callable[[socket.socket], None]) -> tuple[str, int]:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def visited() -> None:
            try:
                connection, _where = server.accept()
                with connection:
                    act(connection)
            except OSError:
                pass

        threading.Thread(target=visited, daemon=True).start()
        return "127.0.0.1", server.getsockname()[1]

    yield start
    for server in servers:
        server.close()


def heard(connection: socket.socket) -> bytes:
    got = b""
    while not got.endswith(b"\0\0\0\0"):
        got += connection.recv(65_536)
    return got


@pytest.mark.parametrize(
    "act",
    [
        lambda connection: time.sleep(3),
        lambda connection: connection.close(),
        lambda connection: connection.sendall(b"stream: lstat() failed. ERROR\0"),
        lambda connection: (heard(connection), connection.sendall(b"\0")),
        lambda connection: (heard(connection), connection.sendall(b"A" * 100_000)),
        lambda connection: (heard(connection), [(connection.sendall(b"s"), time.sleep(0.1)) for _ in range(40)]),
    ],
    ids=["says nothing", "hangs up", "an error", "an empty answer", "an endless answer", "one letter at a time"],
)
def test_a_scanner_that_misbehaves_gives_no_verdict_and_holds_nobody_up_F35(misbehaving, act) -> None:
    began = time.monotonic()
    with pytest.raises(clamd.NotChecked):
        clamd.scan(b"x" * 100, address=misbehaving(act), within=1.0)
    assert time.monotonic() - began < 2.5


def test_what_is_sent_is_the_protocol_of_clamd(misbehaving) -> None:
    got: list[bytes] = []

    def act(connection: socket.socket) -> None:
        got.append(heard(connection))
        connection.sendall(b"stream: Some.Name FOUND\0")

    assert clamd.scan(b"hello", address=misbehaving(act)) == clamd.Verdict(is_infected=True, signature="Some.Name")
    assert got == [b"zINSTREAM\0\0\0\0\x05hello\0\0\0\0"]
