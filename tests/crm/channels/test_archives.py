"""Packed files told by their directory, without unpacking (M23)."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.channels.email import archives, files


def packed(*members: tuple[str, bytes], comment: bytes = b"") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members:
            made.writestr(name, content)
        made.comment = comment
    return out.getvalue()


def encrypted(content: bytes, *, only_inside: bool = False) -> bytes:
    """Set the flag of encryption in every header, or in the directory alone."""
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        if only_inside and mark == b"PK\x03\x04":
            continue
        at = content.find(mark)
        while at >= 0:
            flags = struct.unpack_from("<H", content, at + place)[0] | 1
            content = content[: at + place] + struct.pack("<H", flags) + content[at + place + 2 :]
            at = content.find(mark, at + 4)
    return content


def judged(name: str, content: bytes, declared: str = "application/zip") -> tuple[str, str]:
    found = files.part(given_name=name, declared=declared, content=content, number=1, kept=0, kept_bytes=0)
    return found.state, found.reason


def test_an_honest_archive_is_kept_M23() -> None:
    assert judged("photos.zip", packed(("a.jpg", b"x" * 900), ("b/notes.txt", b"hello"))) == ("stored", "")
    assert judged("photos.zip", packed(("a.jpg", b"x"), comment=b"made by hand")) == ("stored", "")
    document = packed(("[Content_Types].xml", b"<x/>"), ("word/document.xml", b"<w/>" * 9_000))
    assert judged("letter.docx", document, "application/octet-stream") == ("stored", "")
    assert judged("log.txt.gz", gzip.compress(b"a line\n" * 100_000), "application/gzip")[0] == "stored"


@pytest.mark.parametrize(
    ("name", "content", "because"),
    [
        ("a.zip", encrypted(packed(("a.txt", b"hello"))), "with a password"),
        ("a.zip", encrypted(packed(("a.txt", b"hello")), only_inside=True), "with a password"),
        ("a.zip", packed(("zeros", bytes(60 * 2**20))), "would grow to 60 MB"),
        ("a.zip", packed(("invoice.pdf.js", b"x")), "holds a program"),
        ("a.zip", packed(("INVOICE.EXE", b"x")), "holds a program"),
        ("a.zip", packed(("a.exe. ", b"x")), "holds a program"),
        ("a.zip", packed(("b.zip", packed(("c.txt", b"x")))), "packed files again"),
        ("a.zip", packed(*((f"{n}", b"") for n in range(archives.MAX_MEMBERS))), "10000 files"),
        ("letter.docx", packed(("word/vbaProject.bin", b"x")), "macros"),
        ("letter.docx", encrypted(packed(("word/document.xml", b"x"))), "with a password"),
        ("a.gz", gzip.compress(bytes(60 * 2**20)), "would grow to 60 MB"),
    ],
)
def test_what_hides_acts_or_explodes_is_kept_apart_M23(name: str, content: bytes, because: str) -> None:
    declared = "application/gzip" if name.endswith("gz") else "application/zip"
    state, reason = judged(name, content, declared)
    assert state == "quarantined"
    assert because in reason


def test_a_size_that_needs_more_room_than_a_zip_has_is_too_much_M23() -> None:
    content = packed(("a", b"hello"))
    at = content.find(b"PK\x01\x02") + 24
    assert "would grow" in judged("a.zip", content[:at] + b"\xff\xff\xff\xff" + content[at + 4 :])[1]


def test_something_in_front_of_a_zip_hides_nothing_M23() -> None:
    held = archives.contents(b"junk" * 99 + encrypted(packed(("a.exe", b"x"))))
    assert (held.names, held.is_encrypted) == (("a.exe",), True)


@given(st.binary(max_size=400), st.integers(0, 300), st.binary(max_size=40))
def test_no_bytes_make_it_raise_M23(junk: bytes, at: int, more: bytes) -> None:
    whole = packed(("a.txt", b"hello" * 9))
    for content in (junk, b"PK\x03\x04" + junk, junk + whole, whole[:at] + more + whole[at:], whole[:at]):
        archives.contents(content)
        for found in ("application/zip", "application/gzip", "application/x-7z-compressed"):
            archives.suspicion(content, found=found)


# --- pictures that may be shown -------------------------------------------------------------------------------------------


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">LL", width, height) + b"\x08\x02\x00\x00\x00"


@pytest.mark.parametrize(
    ("start", "may_be_shown"),
    [
        (png(800, 600), True),
        (png(60_000, 60_000), False),
        (b"GIF89a" + struct.pack("<HH", 10, 10), True),
        (b"GIF89a" + struct.pack("<HH", 65_535, 65_535), False),
        (b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x11\x08" + struct.pack(">HH", 600, 800) + bytes(9), True),
        (b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc2\x00\x11\x08" + struct.pack(">HH", 65_000, 65_000) + bytes(9), False),
        (b"\xff\xd8\xff" + bytes(30), True),
        (b"RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff", False),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 \x0a\x00\x00\x00" + bytes(6) + struct.pack("<HH", 64, 64), True),
        (b"RIFF\x00\x00\x00\x00WEBPVP8L\x0a\x00\x00\x00\x2f" + struct.pack("<L", 9 | 9 << 14), True),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", False),
        (b"<html>", False),
        (b"%PDF-1.7", False),
        (b"BM" + bytes(30), False),
        (b"", False),
    ],
)
def test_only_plain_pictures_of_a_sensible_size_are_shown_M21_M23(start: bytes, may_be_shown: bool) -> None:
    assert files.is_picture(start) is may_be_shown
