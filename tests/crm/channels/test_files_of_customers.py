"""What stands in cells: safe for spreadsheets and the same again; accounts in the form of whoever writes from there (S06, C06)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.channels import handles, rows

CELLS = st.text(
    st.one_of(st.sampled_from("=+-@\t\r\n'\",;| \x00＝＋－＠a1"), st.characters(codec="utf-8")), max_size=12
)


@given(CELLS)
def test_a_cell_made_safe_is_the_same_again_S06(cell):
    assert rows.restored(rows.safe(cell)) == cell


@given(CELLS)
def test_no_spreadsheet_finds_a_formula_whatever_it_takes_for_the_end_of_a_cell_S06(cell):
    for part in re.split(r'[,;|\t\r\n"]', rows.safe(cell)):
        assert not part.startswith(("=", "+", "-", "@", "\x00", "＝", "＋", "－", "＠"))


@pytest.mark.parametrize("cell", ["=1+1", "+49", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1", 'a,"=1', "a;=1", "'=1"])
def test_known_tricks_are_marked_S06(cell):
    assert rows.safe(cell) != cell
    assert rows.restored(rows.safe(cell)) == cell


@pytest.mark.parametrize("cell", ["O'Neill", "'s-Hertogenbosch", "a - b", "kim@home.example", "Bell, Ann", "12-14"])
def test_ordinary_words_are_left_alone_S06(cell):
    assert rows.safe(cell) == rows.restored(cell) == cell


@pytest.mark.parametrize(
    ("provider", "told", "address"),
    [
        ("x", "2244994945", "x:2244994945"),
        ("Twitter", " 2244994945 ", "x:2244994945"),
        ("", "x:2244994945", "x:2244994945"),
        ("mastodon", "@Ann@Mastodon.Example", "mastodon:ann@mastodon.example"),
        ("mastodon", "https://mastodon.example/@ann", "mastodon:ann@mastodon.example"),
        ("instagram", "17841405309211844", "instagram:17841405309211844"),
        ("facebook", "24987654321", "messenger:24987654321"),
        ("telegram", "123456789", "telegram:123456789"),
        ("whatsapp", "DE.abc123", "whatsapp:DE.abc123"),
        ("other", "shop-7", "shop-7"),
        ("", "https://www.blog.example/People/Ann/", "blog.example/people/ann"),
    ],
)
def test_an_account_has_the_address_of_whoever_writes_from_there_C06(provider, told, address):
    assert handles.address_of(provider, told) == address
    again = handles.of_export(address)
    assert handles.address_of("", again) == address


@pytest.mark.parametrize(
    ("provider", "told"),
    [
        ("x", "@ann"), ("x", "https://x.com/ann"), ("", "https://twitter.com/ann"), ("", "instagram.com/ann"), ("", "@ann"),
        ("mastodon", "ann"), ("telegram", "ann_bell"), ("instagram", "ann.bell"), ("myspace", "12"),
    ],
)  # fmt: skip
def test_the_name_of_an_account_is_no_key_C06(provider, told):
    with pytest.raises(handles.OnlyAName):
        handles.address_of(provider, told)


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=60)
    .map(str.strip)
    .filter(bool)
)
def test_every_kept_account_is_read_again_from_our_own_file_S06(address):
    assert handles.address_of("", handles.of_export(address)) == address
