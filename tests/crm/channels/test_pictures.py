"""Pictures without where they were taken: the place goes, the picture stays (P14)."""

from __future__ import annotations

import io

import pytest
from django.core.files.base import ContentFile
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, PngImagePlugin

from crm.actions import intake
from crm.channels import Part, pictures
from crm.models import Attachment
from tests.conftest import NOON
from tests.crm.stories import colleague, message

COLOURS = Image.radial_gradient("L").resize((64, 48)).convert("RGB")


def exif(turned: int = 6) -> Image.Exif:
    found = Image.Exif()
    found[ExifTags.Base.Orientation] = turned
    found[ExifTags.Base.Model] = "zqcamerazq"
    place = found.get_ifd(ExifTags.IFD.GPSInfo)
    place[ExifTags.GPS.GPSLatitudeRef], place[ExifTags.GPS.GPSLatitude] = "N", (52.0, 31.0, 12.25)
    place[ExifTags.GPS.GPSLongitudeRef], place[ExifTags.GPS.GPSLongitude] = "E", (13.0, 24.0, 17.75)
    return found


def photo(kind: str, **more: object) -> bytes:
    out = io.BytesIO()
    if kind == "PNG":
        told = PngImagePlugin.PngInfo()
        told.add_text("Comment", "zqcamerazq")
        more["pnginfo"] = told
    COLOURS.save(out, kind, exif=exif(), **more)
    return out.getvalue()


KINDS = [
    ("JPEG", {}),
    ("JPEG", {"progressive": True, "comment": b"zqcamerazq"}),
    ("PNG", {}),
    ("WEBP", {"lossless": True}),
]


@pytest.mark.parametrize(("kind", "more"), KINDS)
def test_the_place_and_the_camera_go_and_the_picture_stays_P14(kind: str, more: dict[str, object]) -> None:
    taken = photo(kind, **more)
    assert Image.open(io.BytesIO(taken)).getexif().get_ifd(ExifTags.IFD.GPSInfo)
    assert b"zqcamerazq" in taken
    found = pictures.plain(taken)
    shown = Image.open(io.BytesIO(found))
    assert not shown.getexif().get_ifd(ExifTags.IFD.GPSInfo)
    assert b"zqcamerazq" not in found
    assert list(shown.convert("RGB").getdata()) == list(Image.open(io.BytesIO(taken)).convert("RGB").getdata())
    assert pictures.may_tell_more(taken[:12])
    assert pictures.plain(found) == found


@pytest.mark.parametrize("turned", range(1, 9))
def test_how_the_camera_was_held_is_kept_P14(turned: int) -> None:
    out = io.BytesIO()
    COLOURS.save(out, "JPEG", exif=exif(turned))
    kept = Image.open(io.BytesIO(pictures.plain(out.getvalue()))).getexif()
    assert dict(kept) == ({ExifTags.Base.Orientation: turned} if turned > 1 else {})


def test_a_second_picture_or_film_behind_a_photo_goes_too_P14() -> None:
    plain = pictures.plain(photo("JPEG"))
    assert pictures.plain(photo("JPEG") + photo("JPEG")) == plain
    assert pictures.plain(photo("JPEG") + b"\0\0\0\x18ftypmp42 where it was") == plain


@given(st.binary(max_size=300), st.sampled_from([b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b""]))
def test_whatever_comes_nothing_breaks_P14(rest: bytes, head: bytes) -> None:
    pictures.plain(head + rest)


@given(st.integers(min_value=2, max_value=600), st.integers(min_value=0, max_value=255))
def test_a_spoilt_photo_breaks_nothing_P14(place: int, value: int) -> None:
    taken = bytearray(photo("JPEG"))
    taken[place] = value
    pictures.plain(bytes(taken))
    pictures.plain(bytes(taken[:place]))


def test_other_files_come_back_as_they_were() -> None:
    for content in (b"", b"hello", b"%PDF-1.7", b"GIF89a\1\0\1\0"):
        assert pictures.plain(content) == content


@pytest.mark.django_db
def test_colleagues_get_a_photo_without_its_place_and_the_original_stays_stored_P14() -> None:
    taken = photo("JPEG")
    part = Part("photo.jpg", "image/jpeg", "image/jpeg", len(taken), taken, "stored", "")
    intake.receive(message(attachments=(part,)), at=NOON, origin="test")
    found = Attachment.objects.get()
    browser = Client()
    browser.force_login(colleague())
    got = b"".join(browser.get(f"/admin/attachment/{found.public_id}/").streaming_content)
    assert not Image.open(io.BytesIO(got)).getexif().get_ifd(ExifTags.IFD.GPSInfo)
    assert got == pictures.plain(taken)
    with found.file.open("rb") as kept:
        assert kept.read() == taken
    found.file.save("text", ContentFile(b"just words"))
    assert b"".join(browser.get(f"/admin/attachment/{found.public_id}/").streaming_content) == b"just words"
