"""Names of languages: read leniently, stored in one form, matched by the nearest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.language import signatures, tags


@pytest.mark.parametrize(
    ("told", "stored"),
    [
        ("de", "de"),
        (" DE_at ", "de-AT"),
        ("zh-hant", "zh-Hant"),
        ("sr-latn-rs", "sr-Latn-RS"),
        ("", ""),
        ("*", ""),
        ("e", ""),
        ("de\r\nX", ""),
    ],
)
def test_a_tag_has_one_form(told, stored):
    assert tags.normalised(told) == stored


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("de-AT,de;q=0.9,en;q=0.8", ("de-AT", "de", "en")),
        ("en;q=0.1, fr", ("fr", "en")),
        ("en;q=0, pl", ("pl",)),
        ("*, ;;, q=1, \x00", ()),
        ("", ()),
    ],
)
def test_a_header_names_languages_most_wanted_first(header, told):
    assert tags.told(header) == told


@given(st.text(max_size=2_000))
def test_no_header_and_no_signature_breaks_anything(text):
    assert len(tags.told(text)) <= 20
    assert tags.closest(tags.told(text), offered=("en", "de")) in ("en", "de")
    for line in signatures.lines(text):
        assert len(line.splitlines()) == 1
        assert "\x00" not in line


@pytest.mark.parametrize(
    ("tag", "side"), [("ar", "rtl"), ("he-IL", "rtl"), ("fa", "rtl"), ("de", "ltr"), ("az-Arab", "rtl"), ("", "ltr")]
)
def test_the_side_a_language_begins_on(tag, side):
    assert tags.direction(tag) == side
