"""Readable text from the HTML of a mail, for search, sentiment and reading aloud; what is shown is sanitised elsewhere.

One pass over the tags with `str.find`. The standard library's parser takes quadratic time on unclosed comments and
tags in Python 3.11, which a stranger could use against us (M16); this loop looks at every character a fixed number of
times.
"""

from __future__ import annotations

import html
import re
from typing import Final

MAX_HTML_CHARS: Final = 2_000_000
MAX_TEXT_CHARS: Final = 400_000
CUT: Final = "[…]"  # stands where text ends because we stop reading, so that nobody takes it for the end of the mail

_HIDDEN: Final = ("style", "script", "head", "title", "noscript", "template", "svg", "math", "object", "xml")
_BLOCKS: Final = frozenset(
    (
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "center",
        "dd",
        "div",
        "dl",
        "dt",
        "fieldset",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "html",
        "li",
        "main",
        "nav",
        "ol",
        "p",
        "pre",
        "section",
        "table",
        "tbody",
        "tfoot",
        "thead",
        "tr",
        "ul",
        "br",
    )
)
_PARAGRAPHS: Final = frozenset(("p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "table", "ul", "ol"))
_TAG: Final = re.compile(r"(/?)([a-zA-Z][a-zA-Z0-9:]{0,30})")
_SPACE: Final = re.compile(r"[ \t\n\r\f\v\u200b\ufeff]+")
_ALT: Final = re.compile(r"\balt\s{0,5}=\s{0,5}(?:\"([^\"<>]{0,200})\"|'([^'<>]{0,200})')", re.IGNORECASE)
_MANY_BREAKS: Final = re.compile(r"\n{3,}")


def to_text(source: str) -> str:
    """The text a reader sees: blocks on their own lines, list items with a dash, quotes with "> ", images by their alt
    text.

    source: at most 2,000,000 characters are read, at most 400,000 returned, with "[…]" at the end when there was more.
    Never raises; linear in the length.
    """
    is_cut = len(source) > MAX_HTML_CHARS
    source = source[:MAX_HTML_CHARS].replace("\x02", "").replace("\x03", "")  # our own marks, see _laid_out
    lowered = source.lower()
    if len(lowered) != len(source):
        lowered = source  # a few characters grow in lower case and would shift every position
    out: list[str] = []
    at, depth, size = 0, 0, 0
    unclosed: set[str] = set()
    while at < len(source) and size < MAX_TEXT_CHARS:
        opening = source.find("<", at)
        if opening < 0:
            opening = len(source)
        if opening > at:
            text = _SPACE.sub(" ", html.unescape(source[at:opening]))
            if text != " " or (out and not out[-1].endswith(("\n", " "))):
                out.append(text)
                size += len(text)
        if opening == len(source):
            at = opening
            break
        if source.startswith("<!--", opening):
            at = _after(source, "-->", opening + 4)
            continue
        match = _TAG.match(source, opening + 1)
        if match is None:
            if source[opening + 1 : opening + 2] in ("!", "?"):
                at = _after(source, ">", opening)
            else:
                out.append("<")
                at, size = opening + 1, size + 1
            continue
        name, closing = match[2].lower(), bool(match[1])
        size += 1
        at = _after(source, ">", match.end())
        if name in _HIDDEN:
            if not closing and name not in unclosed and source[at - 2 : at] != "/>":
                hidden_end = lowered.find(f"</{name}", at)
                if hidden_end < 0:
                    # Never closed: skip the tag only, and do not search the rest for it again.
                    unclosed.add(name)
                else:
                    at = _after(source, ">", hidden_end)
        elif name == "blockquote":
            depth = max(0, min(depth + (-1 if closing else 1), 10))
            out.append(f"\n\n\x02{depth}\x03")
        elif name == "li" and not closing:
            out.append("\n- ")
        elif name in {"td", "th"} and closing:
            out.append(" ")
        elif name == "img" and (alt := _ALT.search(source, match.end(), min(at, match.end() + 2_000))):
            out.append(f"[{html.unescape(alt[1] or alt[2] or '').strip()}]" if (alt[1] or alt[2]) else "")
        elif name in _BLOCKS:
            out.append("\n\n" if name in _PARAGRAPHS else "\n")
    if is_cut or at < len(source):
        out.append(f"\n\n{CUT}")
    return _laid_out("".join(out))


def _after(source: str, mark: str, start: int) -> int:
    found = source.find(mark, start)
    return len(source) if found < 0 else found + len(mark)


def _laid_out(text: str) -> str:
    lines: list[str] = []
    depth = 0
    for each in text.replace("\xa0", " ").split("\n"):
        while "\x02" in each:
            before, _, rest = each.partition("\x02")
            number, _, after = rest.partition("\x03")
            if before.strip():
                lines.append("> " * depth + before.strip())
            depth, each = (int(number) if number.isdigit() else 0), after
        bare = each.strip()
        lines.append(("> " * depth + bare).rstrip() if bare else "")
    return shortened(_MANY_BREAKS.sub("\n\n", "\n".join(lines)).strip(), limit=MAX_TEXT_CHARS)


def shortened(text: str, *, limit: int) -> str:
    """The text, at most `limit` characters of it; "[…]" at its end says that there was more."""
    return text if len(text) <= limit else f"{text[: limit - len(CUT) - 1]}\n{CUT}"
