"""Feeds (RSS, Atom) of blogs, forums, comments and searches: a document in, what people said out."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from django.utils.translation import gettext as _

from crm.channels import Channel, Message
from crm.channels.email.html import to_text
from crm.channels.feed_fetching import FeedTrouble
from crm.language import tags

READ_WITHIN: Final = 20.0
LONGEST_HANDLE: Final = 300
_HERE: Final = Path(__file__).resolve().parent.parent.parent
_CLICK_COUNTERS: Final = ("utm_", "fbclid", "gclid", "mc_cid", "mc_eid")


@dataclass(frozen=True, slots=True)
class Post:
    """One thing that somebody published.

    key: what tells it from all others of its place. url: where it stands, "" when that is not said or no address of the
    web. author: as they call themselves there; handle: what they are recognised by, normalised and never empty.
    published_at: as the place states it, aware; None when it does not. changed_at: the same of its last change.
    """

    key: str
    url: str
    title: str
    author: str
    handle: str
    text: str
    html: str
    language: str
    published_at: datetime | None
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A feed, read: its own title and its posts, oldest first. links_are_own: each post has a link of its own."""

    title: str
    posts: tuple[Post, ...]
    links_are_own: bool


def read(content: bytes, *, content_type: str, url: str) -> Document:
    """Read a document in a process of its own, at most 5 seconds of computing. Raises FeedTrouble.

    url: where it came from; posts without a link of their own are told apart by what they say.
    """
    try:
        done = subprocess.run(  # noqa: S603  our own program; the document is only its input
            [sys.executable, "-m", "crm.channels.feed_child", content_type or "application/xml"],
            input=content,
            capture_output=True,
            timeout=READ_WITHIN,
            check=False,
            cwd=_HERE,
            env={"PATH": "", "LANG": "C.UTF-8"},
        )
    except subprocess.TimeoutExpired as trouble:
        raise FeedTrouble("too_costly", _("Reading it took too long and was stopped.")) from trouble
    if done.returncode != 0:
        raise FeedTrouble("too_costly", _("Reading it took too much time or memory and was stopped."))
    found = json.loads(done.stdout)
    if not found["is_feed"]:
        raise FeedTrouble("no_feed", _("There is no RSS or Atom feed at this address."))
    links = Counter(link_key(entry["link"]) for entry in found["entries"] if entry["link"])
    posts = [_post(entry, place=url) for entry in found["entries"]]
    posts.sort(key=lambda post: post.published_at or datetime.max.replace(tzinfo=UTC))
    return Document(
        title=" ".join(to_text(found["title"]).split()),
        posts=tuple({post.key: post for post in posts if post.text or post.title}.values()),
        links_are_own=all(number == 1 for number in links.values()),
    )


def _post(entry: Mapping[str, Any], *, place: str) -> Post:
    url = web_link(entry["link"])
    html = "" if entry["is_plain"] else entry["body"]
    text = entry["body"] if entry["is_plain"] else to_text(entry["body"])
    author = " ".join(to_text(entry["author"]).split())[:200]
    told = entry["published"] if entry["published"] is not None else entry["updated"]
    named = entry["id"] or url or f"{author}\n{entry['title']}\n{text}"
    return Post(
        key=hashlib.sha256(named.encode("utf-8", "replace")).hexdigest(),
        url=url,
        title=" ".join(to_text(entry["title"]).split())[:300],
        author=author,
        handle=handle_of(author, profile=entry["author_url"], url=url or place, key=named),
        text=text.strip(),
        html=html,
        language=tags.normalised(entry["language"]),
        published_at=_moment(told),
        changed_at=_moment(entry["updated"]) if entry["updated"] != told else None,
    )


def handle_of(author: str, *, profile: str, url: str, key: str) -> str:
    """What an author is recognised by: their own page there, else the place and their name; nobody named is nobody else."""
    host = site_of(url)
    own_page = web_link(profile)
    if own_page and urlsplit(own_page).path.strip("/"):
        return f"{site_of(own_page)}{urlsplit(own_page).path.rstrip('/')}".lower()[:LONGEST_HANDLE]
    if author:
        return f"{host}/{author.casefold()}"[:LONGEST_HANDLE]
    return f"{host}/#{hashlib.sha256(key.encode('utf-8', 'replace')).hexdigest()[:32]}"[:LONGEST_HANDLE]


def site_of(url: str) -> str:
    """The host of an address, without “www.”; "" when it has none."""
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.")[:120]
    except ValueError:
        return ""


def web_link(link: str) -> str:
    """The link when it is a plain address of the web that a person may press; "" for everything else (M20)."""
    link = link.strip()
    try:
        parts = urlsplit(link)
        has_host = bool(parts.hostname)
    except ValueError:
        return ""
    if parts.scheme.lower() not in ("http", "https") or not has_host or len(link) > 2_000 or not link.isprintable():
        return ""
    return "" if any(letter in link for letter in ' "<>\\') else link


def link_key(link: str) -> str:
    """What two links to the same place have in common: without what only counts clicks; sha256, "" for no link.

    The part behind “#” stays: it tells one comment from another.
    """
    link = web_link(link)
    if not link:
        return ""
    parts = urlsplit(link)
    asked = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if not pair[0].startswith(_CLICK_COUNTERS)]
    same = urlunsplit(
        ("", parts.netloc.lower().removeprefix("www."), parts.path.rstrip("/"), urlencode(asked), parts.fragment)
    )
    return hashlib.sha256(same.encode("utf-8", "replace")).hexdigest()


def as_message(post: Post, *, channel: Channel, source: str, language: str, spoke_at: datetime) -> Message:
    """Translate a post. source: the feed it came by; language: the feed's own, where the post says none."""
    return Message(
        channel=channel,
        source=source,
        external_id=post.key,
        sender_kind="handle",
        sender_address=post.handle,
        sender_name=post.author,
        subject=post.title,
        text=post.text or post.title,
        full_text=post.text or post.title,
        html=post.html,
        spoke_at=spoke_at,
        language=post.language or language,
    )


def _moment(seconds: int | None) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds is not None and seconds > 0 else None
    except (ValueError, OverflowError, OSError):
        return None
