"""HTML of mails made safe to show: what stays, what goes, what it costs. A real browser looks at it in tests/e2e/test_shown.py."""

from __future__ import annotations

import base64
import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm.channels.email import parts, showing
from tests.conftest import ROOT

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
WRITTEN_IN = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


def cleaned(source: str, **pictures: str) -> str:
    return showing.clean(source, pictures={"logo@shop": "/inline/1/"} | pictures).fragment


@pytest.mark.parametrize(
    ("source", "right"),
    [
        ("<p>Hello <b>you</b></p>", "<p>Hello <b>you</b></p>"),
        ("<table width=90% bgcolor=#eee><tr><td>x", '<table width="90%" bgcolor="#eee"><tbody><tr><td>x</td></tr></tbody></table>'),
        ('<p style="COLOR: red; Margin:0 auto">x', '<p style="color:red;margin:0 auto">x</p>'),
        ('<font color=red face="Arial">x</font>', '<font><span style="color:red;font-family:Arial">x</span></font>'),
        ('<b style="font-weight:normal" id=docs-1>x</b>y', '<b><span style="font-weight:normal">x</span></b>y'),
        ('<html><body bgcolor="#000" text=white>x', '<div style="background-color:#000;color:white">x</div>'),
        ("<h1 class=a id=b onclick=x data-c=d>x</h1>", "<h1>x</h1>"),
        ("<title>never</title><style>p{}</style><script>1</script>x", "x"),
        ("<!-- [if mso]>never<![endif] -->x", "x"),
        ("<form action=/x>a<input name=b><button>c</button></form>", "ac"),
        ("a\x00b", "ab"),
    ],
)  # fmt: skip
def test_what_a_mail_says_and_how_it_looks_stays_and_nothing_else(source: str, right: str) -> None:
    assert cleaned(source) == right


@pytest.mark.parametrize(
    ("href", "kept"),
    [
        ("https://shop.example/a?b=1&amp;c=2", "https://shop.example/a?b=1&amp;c=2"),
        (" http://shop.example ", "http://shop.example"),
        ("MAILTO:ann@x.example", "MAILTO:ann@x.example"),
        ("javascript:alert(1)", None),
        ("java&#9;script:alert(1)", None),
        ("//shop.example", None),
        ("/admin/", None),
        ("#top", None),
        ("cid:logo@shop", None),
        ("data:text/html,x", None),
        ("ftp://shop.example", None),
        ("tel:+49", None),
        ("written-in:0", None),
    ],
)
def test_a_link_leads_to_the_web_or_to_an_address_and_says_nothing_of_us_M20(href: str, kept: str | None) -> None:
    found = cleaned(f'<a href="{href}" target=_top rel=opener>x</a>')
    assert set(re.findall(r'rel="([^"]*)"', found)) == {"noopener noreferrer nofollow"}
    assert set(re.findall(r'target="([^"]*)"', found)) == {"_blank"}
    assert re.findall(r'href="([^"]*)"', found) == ([kept] if kept else [])


@pytest.mark.parametrize(
    ("src", "kept", "remote", "missing"),
    [
        ("cid:logo@shop", "/inline/1/", 0, 0),
        (" CID:logo%40shop", "/inline/1/", 0, 0),
        ("cid:&lt;logo@shop&gt;", "/inline/1/", 0, 0),
        ("cid:other@shop", None, 0, 1),
        ("cid:", None, 0, 1),
        (WRITTEN_IN, WRITTEN_IN, 0, 0),
        ("data:image/png;base64," + "A" * 40, None, 0, 1),  # no picture
        ("data:image/svg+xml;base64," + "A" * 40, None, 0, 0),
        ("https://t.example/p.gif", None, 1, 0),
        ("//t.example/p.gif", None, 1, 0),
        ("\\\\t.example\\p.gif", None, 1, 0),
        ("/admin/attachment/1/", None, 0, 1),
        ("picture.png", None, 0, 1),
    ],
)
def test_a_picture_is_the_mails_own_or_an_empty_box_that_is_counted_M24(
    src: str, kept: str | None, remote: int, missing: int
) -> None:
    found = showing.clean(f'<img src="{src}" alt=hi>', pictures={"logo@shop": "/inline/1/"})
    assert re.findall(r'src="([^"]*)"', found.fragment) == ([kept] if kept else [])
    assert (found.remote, found.missing) == (remote, missing)
    assert 'alt="hi"' in found.fragment


def test_pictures_written_into_the_mail_have_a_limit_together() -> None:
    many = f'<img src="{WRITTEN_IN}">' * (showing.MAX_PICTURES + 3)
    found = showing.clean(many, pictures={})
    assert found.missing == 3
    assert found.fragment.count("data:image") == showing.MAX_PICTURES


@pytest.mark.parametrize(
    "said",
    [
        "background:url(https://t.example/x)",
        "background:URL('x')",
        "background:u\\72l(x)",
        "background:image-set('x' 1x)",
        "background:/**/url(x)",
        "background:var(--x)",
        "--x:url(y)",
        "width:expression(alert(1))",
        "behavior:url(x)",
        "-moz-binding:url(x)",
        "position:fixed",
        "animation:x 1s",
        "content:'x'",
        "cursor:url(x),auto",
        "color:red}body{color:red",
        "color:@import 'x'",
        "font-family:'https://t.example'",
        "color",
        ":red",
        "color:",
        "color:" + "r" * 3_000,
    ],
)
def test_a_style_can_name_no_address_and_leave_no_box_M24(said: str) -> None:
    assert showing.style(said) == ""
    assert cleaned(f'<p style="{said}">x</p>') == "<p>x</p>"


def test_every_nasty_page_comes_out_without_anything_that_acts_M20() -> None:
    lines = (ROOT / "tests/crm/nasty/pages.txt").read_text(encoding="utf-8").splitlines()
    pages = [line for line in lines if line and not line.startswith("#")]
    assert len(set(pages)) == len(pages) >= 200
    acts = re.compile(r"\son\w+=|^</?(?:script|style|iframe|svg|math|form|input|meta|base|link|object|embed|video)\b")
    for page in pages:
        tags = re.findall(r"<[a-zA-Z/!?][^>]*>", re.sub(r'="[^"]*"', "=", cleaned(page)))
        assert not [tag for tag in tags if acts.search(tag)], page
        assert not re.search(r'(?:src|href)="(?!http|mailto|data:image/(?:png|gif|jpeg|webp);|/inline/)', cleaned(page))


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="<>/=\"' abpx!-&;:()[]\\\x00\nimgsrcstyleonhref0", max_size=300))
def test_whatever_is_given_cleaning_twice_is_cleaning_once_M20(source: str) -> None:
    once = cleaned(source)
    assert cleaned(once) == once


def test_the_page_around_it_is_ours_and_its_notes_are_text() -> None:
    page = showing.document(
        showing.Cleaned("<p>x</p>", 0, 0, is_cut=False), title="</title><script>", notes=["<b>1</b>"], language='"><x'
    )
    assert "</title><script>" not in page
    assert "&lt;b&gt;1" in page
    assert 'lang="&quot;&gt;&lt;x"' in page
    assert "script-src" not in showing.CONTENT_POLICY
    assert showing.CONTENT_POLICY.startswith("sandbox allow-popups ")
    assert "allow-scripts" not in showing.CONTENT_POLICY
    assert "allow-same-origin" not in showing.CONTENT_POLICY


# --- limits and speed ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bomb",
    [
        "<div>" * 400_000,
        "<ul><li>" * 200_000,
        "<p>" + "".join(f"<b id={n}>" for n in range(3_000)) + "<p>x" * 7_000,
        "<p>" + "".join(f"<font color=#{n:06x}>" for n in range(3_000)) + "<p>x" * 7_000,
        "<table>" + "<b>x" * 90_000,
        "<b/" + "/".join(f"a{n}" for n in range(200_000)) + ">",
        "<a>" + "<div>" * 5_000 + "</a>" * 5_000,
        "<p style='" + "color:red;" * 100_000 + "'>x",
        "<img src='data:image/png;base64," + "A" * 1_900_000 + "'>",
        "data:image/png;base64," * 90_000,
        "<" * 2_000_000,
        "<body " * 300_000,
        "<font " * 300_000,
        "<b style=" * 200_000,
    ],
    ids=lambda bomb: bomb[:24],
)
def test_no_page_takes_long_or_grows_large_M16_M20(bomb: str) -> None:
    began = time.process_time()
    found = showing.clean(bomb, pictures={})
    assert time.process_time() - began < 5
    assert len(found.fragment) < 8_000_000


def test_what_is_too_long_is_cut_and_says_so() -> None:
    assert not showing.clean("<p>" + "x" * (showing.MAX_SHOWN_CHARS - 3), pictures={}).is_cut
    assert showing.clean("<p>" + "x" * showing.MAX_SHOWN_CHARS, pictures={}).is_cut
    assert showing.clean("<br>x" * (showing.MAX_SHOWN_TAGS + 1), pictures={}).is_cut


def test_a_mail_of_18_kilobytes_is_cleaned_in_milliseconds() -> None:
    """Alone on a core 650 (a newsletter, thick with attributes) to 1,500 (a letter) of them a second; here with room for noise."""
    row = (
        '<tr><td style="padding:8px 12px;font-family:Arial,sans-serif;font-size:14px;color:#333" align="left" width="300">'
        '<a href="https://shop.example/orders/%d?source=mail" style="color:#0b5cad">Order %d</a><br><font color="#999" size="2">'
        'Lorem ipsum dolor sit amet, consetetur</font></td><td><img src="https://cdn.example/%d.png" width="60"></td></tr>'
    )
    page = "<table>" + "".join(row % (n, n, n) for n in range(52)) + "</table>"
    assert 17_000 < len(page) < 20_000
    showing.clean(page, pictures={})
    began = time.process_time()
    for _ in range(50):
        showing.clean(page, pictures={})
    assert (time.process_time() - began) / 50 < 0.02


def test_real_mails_keep_their_words(outside_data: Path) -> None:
    looked_at = 0
    for file in sorted((outside_data / "mail").rglob("*.eml")):
        _text, page, _differ = parts.bodies(parts.cut(file.read_bytes()))
        if not page:
            continue
        looked_at += 1
        found = showing.clean(page, pictures={})
        if found.is_cut:
            continue
        bare = re.sub(r"(?is)<(style|script|title|head)\b.*?</\1>|<!--.*?-->|<[^>]*>|&\w+;|&#\w+;", " ", page)
        missing = set(re.findall(r"[A-Za-z]{5,}", bare)) - set(re.findall(r"[A-Za-z]{5,}", found.fragment))
        assert len(missing) <= 3, (file.name, missing)
    assert looked_at >= 20
