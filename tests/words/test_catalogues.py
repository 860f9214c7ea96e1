"""Everything customers read is in every catalogue, translated, and compiled as written (X48)."""

from __future__ import annotations

import re

import polib
import pytest

from tests.conftest import ROOT
from tests.words import catalogues
from tests.words.catalogues import LANGUAGES

PLACES = re.compile(r"%\(\w+\)s")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_that_customers_read_is_translated_and_none_is_stale_X48(language):
    known = catalogues.translations(language)
    assert {(text.msgid, text.context) for text in catalogues.wanted()} == set(known), "run: make words"
    assert not [msgid for (msgid, _context), said in known.items() if not said.strip()]


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_compiled_is_what_is_written(language):
    assert catalogues.compiled(language) == catalogues.translations(language), "run: make words"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_keeps_every_place_and_brings_no_markup(language):
    for (msgid, _context), said in catalogues.translations(language).items():
        assert sorted(PLACES.findall(msgid)) == sorted(PLACES.findall(said)), msgid
        assert not re.search(r"[<>&]", said), msgid
        assert said == said.strip() or msgid != msgid.strip(), msgid


ALIKE = {"Chat", "App", "Blog", "Video", "Messages", "%(hours)s h %(minutes)s min", "%(minutes)s min", "%(hours)s h"}
"""Words and units that some of these languages share with English."""


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_left_in_english(language):
    same = [
        msgid
        for (msgid, context), said in catalogues.translations(language).items()
        if msgid == said and not context and msgid not in ALIKE
    ]
    assert not same


def test_a_catalogue_is_written_again_just_as_it_was(tmp_path, monkeypatch):
    kept = {language: catalogues.file_of(language).read_bytes() for language in LANGUAGES}
    known = {language: catalogues.translations(language) for language in LANGUAGES}
    monkeypatch.setattr(catalogues, "file_of", lambda language: tmp_path / language / "django.po")
    monkeypatch.setattr(catalogues, "translations", lambda language: known[language])
    for language, before in kept.items():
        assert catalogues.write(language) == []
        assert (tmp_path / language / "django.po").read_bytes() == before


def test_a_text_of_a_template_that_nobody_translated_would_be_seen(tmp_path):
    planted = tmp_path / "new.html"
    planted.write_text(
        '{% load i18n %}{% translate "Good news" %}{% blocktranslate %}for {{ name }}{% endblocktranslate %}'
    )
    assert catalogues.template_texts(planted) == ["Good news", "for %(name)s"]


def test_every_catalogue_there_is_belongs_to_the_table():
    assert {path.name for path in (ROOT / "locale").iterdir()} == set(LANGUAGES)
    for language in LANGUAGES:
        assert polib.pofile(str(catalogues.file_of(language))).metadata["Language"] == language
