"""Asking one address on the web for a feed: bounded in time and size, and never an address inside our own network (O01).

Every request goes out by the one client (crm/channels/http.py). A redirect is a new address and goes through the same gate.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urljoin, urlsplit

from django.utils.translation import gettext as _

from crm.channels import http
from crm.channels.providers import HttpAnswer, HttpRequest

ANSWERS_WITHIN: Final = 15.0  # from the first redirect to the last byte
LARGEST: Final = 2 * 1024 * 1024
MOST_REDIRECTS: Final = 3
LONGEST_URL: Final = 2_000
AGENT: Final = "Evenhand (reads feeds)"
_WANTED: Final = (
    "application/atom+xml, application/rss+xml, application/rdf+xml, application/xml;q=0.9, text/xml;q=0.8, */*;q=0.1"
)
_MOVED: Final = frozenset({301, 302, 303, 307, 308})


class FeedTrouble(Exception):
    """A feed could not be had or read. The words are for people; they repeat nothing that the other side sent (O04)."""

    def __init__(self, code: str, words: str, *, again_after: timedelta | None = None) -> None:
        super().__init__(words)
        self.code = code
        self.again_after = again_after


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. content: None when nothing has changed since. etag, last_modified: to be sent next time."""

    content: bytes | None
    content_type: str
    etag: str
    last_modified: str
    url: str


def fetch(url: str, *, etag: str = "", last_modified: str = "", private_hosts: Collection[str] = ()) -> Answer:
    """Ask for one address, at most 15 seconds and 2 MB. Raises FeedTrouble.

    etag, last_modified: as the last answer stated them; then the answer may be that nothing changed. private_hosts: "host:port"
    inside our own network that somebody allowed; nothing else there is ever asked.
    """
    ends = time.monotonic() + ANSWERS_WITHIN
    headers = {"User-Agent": AGENT, "Accept": _WANTED}
    if etag:
        headers["If-None-Match"] = etag
    if last_modified:
        headers["If-Modified-Since"] = last_modified
    for _hop in range(MOST_REDIRECTS + 1):
        answer = _asked(url, headers, ends=ends, private_hosts=private_hosts)
        if answer.status not in _MOVED:
            return _read(answer, url=url)
        onward = _onward(url, answer.headers.get("location", ""))
        if _is_safe(url) and not _is_safe(onward):
            raise FeedTrouble("redirect_unsafe", _("It sends us on to an address without encryption."))
        url = onward
    raise FeedTrouble("redirects", _("It sends us on from address to address."))


def checked(url: str) -> str:
    """The address in the form in which it is kept. Raises FeedTrouble for what is no address of the web; asks nobody."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
    except ValueError as nonsense:
        raise _unusable() from nonsense
    plain = url.isascii() and url.isprintable() and not any(letter in url for letter in ' "<>\\^`{|}')
    if parts.scheme not in ("http", "https") or not host or port == 0 or not plain or len(url) > LONGEST_URL:
        raise _unusable()
    if parts.username is not None or parts.password is not None:
        raise FeedTrouble("url_with_password", _("An address with a name and password in it cannot be kept."))
    return url


def _unusable() -> FeedTrouble:
    return FeedTrouble("unusable_url", _("Please give a whole address that begins with https:// or http://."))


def _is_safe(url: str) -> bool:
    return url.partition(":")[0].lower() == "https"


def _onward(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as nonsense:
        raise _unusable() from nonsense


def _asked(url: str, headers: dict[str, str], *, ends: float, private_hosts: Collection[str]) -> HttpAnswer:
    left = ends - time.monotonic()
    if left <= 0:
        raise _broken("over")
    ask = HttpRequest("GET", checked(url), headers, most=LARGEST, within=left, unpacks=True, body_of=frozenset({200}))
    try:
        return http.send(ask, may_be_plain=True, private_hosts=private_hosts)
    except (http.NotReached, http.Broken) as trouble:
        raise _broken(trouble.kind) from trouble


def _read(answer: HttpAnswer, *, url: str) -> Answer:
    status = answer.status
    told = {name: _line(answer.headers.get(name, "")) for name in ("content-type", "etag", "last-modified")}
    if status == 304:
        return Answer(None, "", told["etag"][:300], told["last-modified"][:100], url)
    if status != 200:
        again = _again_after(answer.headers.get("retry-after", "")) if status in (429, 503) else None
        raise FeedTrouble(f"http_{status}", _refused(status), again_after=again)
    if answer.is_cut:
        raise FeedTrouble("too_large", _("It is larger than 2 MB."))
    # A tag that is too long to keep is not sent back cut in two.
    etag = told["etag"] if len(told["etag"]) <= 300 else ""
    return Answer(answer.body, told["content-type"][:200], etag, told["last-modified"][:100], url)


def _line(value: str) -> str:
    return value if value.isascii() and value.isprintable() else ""


def _refused(status: int) -> str:
    if status in (404, 410):
        return _("There is nothing at this address (any more).")
    if status in (401, 403):
        return _("It may not be read without logging in.")
    if status == 429:
        return _("It asks us to come less often.")
    kinds = {4: _("The server refuses to answer us."), 5: _("The server has trouble of its own.")}
    return kinds.get(status // 100, _("The server answered in a way that we do not understand."))


def _again_after(stated: str) -> timedelta | None:
    """What Retry-After says: seconds or a date (RFC 9110, 10.2.3)."""
    if stated.strip().isdecimal() and len(stated) < 9:
        return timedelta(seconds=int(stated))
    try:
        moment = parsedate_to_datetime(stated)
    except (TypeError, ValueError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(moment - datetime.now(UTC), timedelta(0))


def _broken(kind: http.Kind) -> FeedTrouble:
    match kind:
        case "over":
            return FeedTrouble("too_slow", _("It took longer than 15 seconds to answer."))
        case "silent":
            return FeedTrouble("no_answer", _("The server does not answer in time."))
        case "no_name":
            return FeedTrouble("no_such_host", _("There is no server of this name."))
        case "inside":
            return FeedTrouble("address_inside", _("This address lies in a network of our own, which is never asked."))
        case "certificate":
            return FeedTrouble("certificate", _("The certificate of the server cannot be trusted."))
        case "packed":
            return FeedTrouble("unreadable", _("What it sent cannot be unpacked."))
        case "no_address" | "plain":
            return _unusable()
        case "broken":
            return FeedTrouble("no_connection", _("No connection to the server could be made, or it broke off."))
