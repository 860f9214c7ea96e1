"""The process in which a feed is read: what it may cost in time and memory is limited, and it has nothing of ours in it.

`python -m crm.channels.feed_child TYPE` reads a document from its input and writes what stands in it as JSON.
"""

from __future__ import annotations

import calendar
import contextlib
import io
import json
import re
import resource
import sys
from email.utils import parseaddr
from typing import Any, Final

CPU_SECONDS: Final = 5
MEMORY_BYTES: Final = 768 * 1024 * 1024
MOST_ENTRIES: Final = 200  # of one document; what stands further down was there before
LONGEST_TEXT: Final = 200_000

_DOCTYPE: Final = re.compile(rb"<!DOCTYPE[^>\[]{0,500}\[", re.IGNORECASE)


def main() -> int:
    limits = ((resource.RLIMIT_CPU, CPU_SECONDS), (resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_FSIZE, 0))
    for which, limit in limits:
        hard = resource.getrlimit(which)[1]
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(which, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
    content = sys.stdin.buffer.read()
    sys.stdout.write(json.dumps(read(content, content_type=sys.argv[1])))
    return 0


def read(content: bytes, *, content_type: str) -> dict[str, Any]:
    """What a document says: {"is_feed", "title", "entries": [...]}; an entry's times are seconds since 1970 or None.

    A document that declares entities of its own is none that we read: they are how a small document becomes a huge one.
    """
    if _DOCTYPE.search(content[:100_000]):
        return {"is_feed": False, "title": "", "entries": []}
    import feedparser  # here, so that its memory counts and nobody pays for it who reads no feed

    found = feedparser.parse(io.BytesIO(content), response_headers={"content-type": content_type}, sanitize_html=True)
    return {
        "is_feed": bool(found.get("version")),
        "title": _text(found.feed.get("title"), 300),
        "entries": [_entry(one) for one in found.entries[:MOST_ENTRIES]],
    }


def _entry(one: Any) -> dict[str, Any]:
    author = one.get("author_detail") or {}
    bodies = [body for body in one.get("content") or [] if body.get("value")]
    body = max(bodies, key=lambda body: len(body["value"]), default=None) or one.get("summary_detail") or {}
    is_plain = str(body.get("type", "text/html")) == "text/plain"
    return {
        "id": _text(one.get("id"), 4_000),
        "link": _text(one.get("link"), 4_000),
        "title": _text(one.get("title"), 1_000),
        "author": _text(_name_of(str(one.get("author") or ""), author), 300),
        "author_url": _text(author.get("href"), 1_000),
        "body": _text(body.get("value"), LONGEST_TEXT),
        "is_plain": is_plain,
        "language": _text(body.get("language"), 16),
        "published": _seconds(one.get("published_parsed")),
        "updated": _seconds(one.get("updated_parsed")),
    }


def _name_of(stated: str, read: Any) -> str:
    """The name of an author. RSS has it as "address (name)" or "address", which feedparser takes apart in the wrong place where the
    address has a long ending.
    """
    name, address = str(read.get("name") or ""), str(read.get("email") or "")
    if "@" not in stated or stated == f"{name} ({address})":
        return name or stated
    name, address = parseaddr(stated)
    return name or address.partition("@")[0] or stated


def _text(value: Any, most: int) -> str:
    return value.replace("\x00", "\ufffd")[:most] if isinstance(value, str) else ""


def _seconds(parsed: Any) -> int | None:
    try:
        return calendar.timegm(parsed) if parsed else None
    except (ValueError, OverflowError, TypeError):
        return None


if __name__ == "__main__":
    sys.exit(main())
