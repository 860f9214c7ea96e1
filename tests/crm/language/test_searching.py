"""What somebody types, and what it finds (X35, Y01)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.language.searching import QUERY_AT_MOST, UnusableSearch, cut, fold, kept, read, snippet

MEDIA = ("email", "phone")


def search(text: str):
    return read(text, media=MEDIA)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("broken lamp", "'broken' & 'lamp'"), ('"broken lamp"', "('broken' <-> 'lamp')"), ('"broken lamp', "('broken' <-> 'lamp')"),
        ("lamp -red", "'lamp' & !('red')"), ('lamp -"very red"', "'lamp' & !('very' <-> 'red')"), ("deliv*", "'deliv':*"),
        ("de*", "'de'"), ("AB-1234", "('ab' <-> '1234')"), ("kim@home.example", "('kim' <-> 'home' <-> 'example')"),
        ("lamp channel:Email from:us", "'lamp' & '@email' & '@out'"), ("STRASSE", "'strasse'"), ("Straße", "'strasse'"),
        ("Łódź crème", "'lodz' & 'creme'"), ("e\u0301tude", "'etude'"), ("'; DROP TABLE x; --", "'drop' & 'table' & 'x'"),
        ("東京", "('東' <-> '京')"), ("foo:bar", "('foo' <-> 'bar')"), ("a & b | !c", "'a' & 'b' & 'c'"),
        ("½ lamp", "'12' & 'lamp'"),
    ],
)  # fmt: skip
def test_what_is_typed_is_read_as_words_with_little_syntax_X35(text, written):
    assert search(text).written() == written


@pytest.mark.parametrize(
    "text",
    [
        "", "  ", '""', "!!! ???", "-lamp", "channel:email", "is:open", "lamp channel:pigeon", "lamp before:soon", "lamp is:late",
        "lamp after:0001-01-01", "x" * (QUERY_AT_MOST + 1), "a b c d e f g h i j k l m", "from:nobody lamp", "-", "*", "\x00",
    ],
)  # fmt: skip
def test_what_cannot_be_looked_for_is_refused_kindly_X35(text):
    with pytest.raises(UnusableSearch) as refused:
        search(text)
    assert refused.value.code == "unusable_search"
    assert str(refused.value).endswith(".")


def test_days_and_open_matters_narrow_messages_X35():
    found = search("lamp after:2026-01-31 before:2026-03-01 is:open")
    assert (str(found.after), str(found.before), found.is_open) == ("2026-01-31", "2026-03-01", True)
    assert found.is_about_messages
    assert not search("lamp").is_about_messages


def test_names_are_found_by_the_beginnings_of_their_words_in_any_order_X35():
    assert search('mül "kim A" -x').written_for_names() == "'mul':* & 'kim':* & 'a' & !('x')"


@given(st.text(max_size=60))
def test_a_word_folded_twice_is_folded_once_and_has_nothing_that_is_syntax_Y01(text):
    for word, start, end in cut(text):
        assert word.isalnum()
        assert fold(word) in (word, fold(word))
        assert end > start
    assert "@" not in "".join(word for word, _s, _e in cut(text))
    for piece in kept([text]).split(" "):
        assert not piece or piece.startswith("'")


@given(st.text(max_size=80))
def test_whatever_is_typed_is_read_or_refused_Y01(text):
    try:
        found = search(text)
    except UnusableSearch:
        return
    assert found.written()
    assert "".join(piece for piece, _is_find in snippet(text, found))


def test_finds_are_marked_in_the_text_as_it_was_written_X35():
    pieces = snippet("Die Lämpe <b>fiel</b> vom Tisch, die Lampe!", search("lampe"))
    assert [piece for piece, is_find in pieces if is_find] == ["Lämpe", "Lampe"]
    assert "".join(piece for piece, _f in pieces) == "Die Lämpe <b>fiel</b> vom Tisch, die Lampe!"
    phrase = snippet("lamp a broken lamp", search('"broken lamp"'))
    assert [piece for piece, is_find in phrase if is_find] == ["broken", "lamp"]
    long = snippet("word " * 300 + "needle " + "word " * 300, search("needle"))
    assert [piece for piece, is_find in long if is_find] == ["needle"]
    assert long[0][0] == "… "
    assert sum(len(piece) for piece, _f in long) < 230
    assert snippet("", search("x")) == []


def test_a_long_text_is_found_by_its_first_words_only_and_no_place_is_too_far():
    words = kept(["a " * 20_000, "tail"], ["email"])
    assert words.startswith("'a':1,2,3")
    assert words.endswith("'@email'")
    assert len(words) < 2_000
