"""The HTML of a mail made safe to show: words, tables, colours and the mail's own pictures; nothing that acts or calls out.

Three fences stand one behind the other, and each would do alone: nh3 keeps a short list of tags, attributes and styles;
the page around it forbids everything by its content policy; and the frame it is shown in has no origin and no scripts
(crm/admin/mail_page.py). This is done each time a mail is shown, so that a better fence protects old mails too (M20).

Reading HTML as browsers do can be made very slow or very large by a stranger: deep nesting, one tag with thousands of
attributes, or formatting tags left open, which every following paragraph opens again (1,000 of them and 2,000 paragraphs,
18 KB together, become 14 MB). So length and tags are counted before, and a formatting tag keeps its attributes on a span
inside it: then a browser opens at most three of a kind again (HTML standard, "Noah's Ark clause").
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

import nh3

from crm.channels.email import files, headers

MAX_SHOWN_CHARS: Final = 200_000  # without pictures; webmail of today cuts at about 100 KB
MAX_SHOWN_TAGS: Final = 6_000  # a newsletter of 100 KB has about 3,000
MAX_WRITTEN_IN_BYTES: Final = 4 * 1024 * 1024  # of pictures written into the page itself
MAX_PICTURES: Final = 500

CONTENT_POLICY: Final = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src 'self' data:; "
    "style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
"""What the page may do: show its words, its own pictures and inline styles. A link opens a tab of its own when it is pressed."""

_TAG_NAMES: Final = (
    "a abbr acronym address article aside b bdi bdo big blockquote br caption center cite code col colgroup dd del dfn div "
    "dl dt em figcaption figure font footer h1 h2 h3 h4 h5 h6 header hr i img ins kbd li main mark nav nobr ol p pre q rp rt "
    "ruby s samp section small span strike strong sub sup table tbody td tfoot th thead time tr tt u ul var wbr"
)
_TAGS: Final = frozenset(_TAG_NAMES.split())
# What stands between these is not for reading and goes with them.
_UNREAD_NAMES: Final = (
    "script style title noscript template iframe object embed applet svg math noembed noframes xmp select datalist audio "
    "video canvas map"
)
_UNREAD: Final = frozenset(_UNREAD_NAMES.split())
_EVERYWHERE: Final = frozenset({"style", "dir", "lang", "title", "align"})
_BOXES: Final = frozenset({"width", "height", "bgcolor", "valign"})
_CELLS: Final = _BOXES | {"colspan", "rowspan", "nowrap"}
_ATTRIBUTES: Final[dict[str, frozenset[str]]] = {
    "*": _EVERYWHERE,
    "a": frozenset({"href"}),
    "img": frozenset({"src", "alt", "width", "height", "border", "hspace", "vspace"}),
    "table": _BOXES | {"border", "cellpadding", "cellspacing"},
    "tr": _BOXES,
    "td": _CELLS,
    "th": _CELLS,
    "col": frozenset({"span", "width"}),
    "colgroup": frozenset({"span", "width"}),
    "ol": frozenset({"start", "type", "reversed"}),
    "ul": frozenset({"type"}),
    "li": frozenset({"value", "type"}),
    "hr": frozenset({"size", "width", "color", "noshade"}),
    "bdo": frozenset({"dir"}),
}
_SHORT: Final = frozenset(name for names in _ATTRIBUTES.values() for name in names) - {"style", "src", "href"}
_STYLE_NAMES: Final = (
    "background background-color border border-bottom border-bottom-color border-bottom-style border-bottom-width "
    "border-collapse border-color border-left border-left-color border-left-style border-left-width border-radius "
    "border-right border-right-color border-right-style border-right-width border-spacing border-style border-top "
    "border-top-color border-top-style border-top-width border-width box-sizing caption-side clear color direction display "
    "empty-cells float font font-family font-size font-style font-variant font-weight height letter-spacing line-height "
    "list-style-position list-style-type margin margin-bottom margin-left margin-right margin-top max-height max-width "
    "min-height min-width opacity overflow overflow-wrap padding padding-bottom padding-left padding-right padding-top "
    "table-layout text-align text-decoration text-indent text-transform unicode-bidi vertical-align visibility white-space "
    "width word-break word-spacing word-wrap"
)
_STYLES: Final = frozenset(_STYLE_NAMES.split())
# No colon, backslash, brace or "@": an address, an escape that hides one, or a rule cannot be written without them.
_STYLE_VALUE: Final = re.compile(r"[\w\s#%.,()'\"!/+*-]{1,300}")
_FUNCTION: Final = re.compile(r"([\w-]*)\s*\(")
_FUNCTIONS: Final = frozenset({"rgb", "rgba", "hsl", "hsla", "calc", "min", "max", "clamp"})
MAX_STYLE_CHARS: Final = 2_000

_LINK: Final = re.compile(r"(?:https?://|mailto:)[^\x00-\x20]", re.IGNORECASE)
_CID: Final = re.compile(r"\s*cid:(.{1,600})", re.IGNORECASE | re.DOTALL)
_ELSEWHERE: Final = re.compile(r"\s*(?:[a-z][a-z0-9+.-]*:)?[/\\]{2}", re.IGNORECASE)

_WRITTEN_IN: Final = re.compile(
    r"data:image/(?:png|jpe?g|gif|webp);base64,[A-Za-z0-9+/=\r\n]{20,2000000}", re.IGNORECASE
)
_LOOKED_AT_CHARS: Final = 87_384  # 64 KB before base64
_PLACE: Final = "written-in:"  # stands for one of those while the rest is cleaned
_TAG: Final = re.compile(r"<[a-zA-Z/!?]")
_FORMATTING: Final = re.compile(
    r"<(b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)(?=[\s/])([^>]*)(?:>|$)", re.IGNORECASE
)
_BODY: Final = re.compile(r"<body(?=[\s/])([^>]*)(?:>|$)", re.IGNORECASE)
_ATTRIBUTE: Final = re.compile(
    r"\b(style|color|face|size|bgcolor|text)\s{0,9}=\s{0,9}"
    r"(?:\"([^\"<>]{0,1000})\"|'([^'<>]{0,1000})'|([^\s\"'<>]{1,200}))",
    re.IGNORECASE,
)
_AS_STYLE: Final = {"color": "color", "text": "color", "bgcolor": "background-color", "face": "font-family"}
_SIZES: Final = {
    "1": "x-small",
    "2": "small",
    "3": "medium",
    "4": "large",
    "5": "x-large",
    "6": "xx-large",
    "7": "xxx-large",
    "-2": "x-small",
    "-1": "small",
    "+1": "large",
    "+2": "x-large",
    "+3": "xx-large",
}

_LOOK: Final = """
:root { color-scheme: light; }
body { margin: 0; padding: .75rem; background: #fff; color: #1b1f24; font: 15px/1.45 system-ui, sans-serif;
  overflow-wrap: anywhere; }
img { max-width: 100%; }
img:not([src]) { display: inline-block; min-width: 1.4em; min-height: 1.4em; box-sizing: border-box; padding: .1em .4em;
  border: 1px dashed #9aa3ad; background: #f3f4f6; color: #59636e; font: 12px/1.4 system-ui, sans-serif; overflow: hidden;
  vertical-align: middle; }
img:not([src]):is([width="0"], [width="1"], [height="0"], [height="1"]) { display: none; }
pre { white-space: pre-wrap; }
blockquote { margin: .5em 0 .5em .4em; padding-left: .8em; border-left: 3px solid #c4cad1; }
body > .note { margin: 0 0 .6rem; padding: .35rem .6rem; border-radius: 6px; background: #f3f4f6; color: #59636e;
  font: 13px/1.4 system-ui, sans-serif; }
"""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What may be shown of a mail's HTML.

    fragment: balanced HTML. remote: pictures left out because they lie elsewhere; missing: pictures the mail names but
    does not bring, or that may not be shown; is_cut: it was too long, and its end is left out.
    """

    fragment: str
    remote: int
    missing: int
    is_cut: bool


def clean(source: str, *, pictures: Mapping[str, str]) -> Cleaned:
    """Clean a mail's HTML. Never raises; bounded in time and in what it returns.

    source: as it was sent. pictures: addresses of ours for the mail's own inline pictures, by their Content-ID.
    """
    written_in: list[str] = []
    room = MAX_WRITTEN_IN_BYTES

    def take_out(found: re.Match[str]) -> str:
        nonlocal room
        room -= len(found[0])
        start = found[0].partition(",")[2][:_LOOKED_AT_CHARS]
        if room < 0 or len(written_in) >= MAX_PICTURES or not files.is_picture(headers.unbase64(start.encode())):
            return "cid:-"
        written_in.append(found[0])
        return f"{_PLACE}{len(written_in) - 1}"

    source = _WRITTEN_IN.sub(take_out, source.replace("\x00", ""))
    source, is_cut = _cut(source)
    source = _FORMATTING.sub(_formatting, source)
    source = _BODY.sub(lambda found: f'<div style="{_style_of(found[1])}">', source, count=1)
    remote = missing = 0

    def attribute(tag: str, name: str, value: str) -> str | None:
        nonlocal remote, missing
        if name == "style":
            return style(value) or None
        if name in _SHORT:
            return value if len(value) <= MAX_STYLE_CHARS else None
        if name == "src":
            address = ""
            if value.startswith(_PLACE):
                number = value.removeprefix(_PLACE)
                address = written_in[int(number)] if number.isdecimal() and int(number) < len(written_in) else ""
            elif named := _CID.match(value):
                address = pictures.get(unquote(named[1]).strip(" <>")) or ""
            elif _ELSEWHERE.match(value):
                remote += 1
                return None
            missing += not address
            return address or None
        if name == "href":
            return value.strip() if _LINK.match(value.strip()) else None
        return value  # "rel" and "target", which are ours

    fragment = nh3.clean(
        source,
        tags=set(_TAGS),
        clean_content_tags=set(_UNREAD),
        attributes={tag: set(names) for tag, names in _ATTRIBUTES.items()},
        attribute_filter=attribute,
        url_schemes={"http", "https", "mailto", "cid", _PLACE.rstrip(":")},
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )
    return Cleaned(fragment, remote, missing, is_cut)


def document(cleaned: Cleaned, *, title: str, notes: Sequence[str], language: str = "") -> str:
    """Write the whole page that is shown in the frame; send it with CONTENT_POLICY.

    title, notes: plain text of ours, the notes to stand above the mail. language: of the mail, BCP 47, "" when unknown.
    """
    above = "".join(f'<p class="note">{html.escape(note)}</p>' for note in notes)
    return (
        f'<!doctype html><html lang="{html.escape(language)}"><head><meta charset="utf-8">'
        f'<meta name="referrer" content="no-referrer"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{_LOOK}</style></head><body>{above}{cleaned.fragment}</body></html>"
    )


def style(value: str) -> str:
    """The declarations of a style attribute that only say how words and boxes look; "" when none does."""
    return _style(value) if len(value) <= MAX_STYLE_CHARS else ""


@lru_cache(maxsize=2048)
def _style(value: str) -> str:
    kept = []
    for declaration in value.split(";"):
        name, _colon, said = declaration.partition(":")
        name, said = name.strip().lower(), said.strip()
        if name not in _STYLES or not _STYLE_VALUE.fullmatch(said):
            continue
        if "(" in said and not {function.lower() for function in _FUNCTION.findall(said)} <= _FUNCTIONS:
            continue
        kept.append(f"{name}:{said}")
    return ";".join(kept)


def _cut(source: str) -> tuple[str, bool]:
    """The beginning of the source that is short enough, and whether something was left out."""
    at = len(source)
    if source.count("<") > MAX_SHOWN_TAGS:
        for number, found in enumerate(_TAG.finditer(source)):
            if number == MAX_SHOWN_TAGS:
                at = found.start()
                break
    at = min(at, MAX_SHOWN_CHARS)
    return source[:at], at < len(source)


def _formatting(found: re.Match[str]) -> str:
    said = _style_of(found[2])
    return f'<{found[1]}><span style="{said}">' if said else f"<{found[1]}>"


def _style_of(attributes: str) -> str:
    """What old attributes say about looks, as a style, escaped for an attribute."""
    return _old_style(attributes[:1_000])


@lru_cache(maxsize=2048)
def _old_style(attributes: str) -> str:
    said = []
    for found in _ATTRIBUTE.finditer(attributes):
        name, value = found[1].lower(), html.unescape(found[2] or found[3] or found[4] or "").strip()
        if name == "style":
            said.append(value)
        elif name == "size":
            said.append(f"font-size:{_SIZES.get(value, 'medium')}")
        else:
            said.append(f"{_AS_STYLE[name]}:{value}")
    return html.escape(style(";".join(said)))
