"""Exports of review sites: CSV rows in, reviews out, by a table of columns that anybody can write for a further site.

The table is a TOML file:

    site = "trustsite.example"     # where the reviews stand
    language = "en"                # of the reviews, when a row does not say it
    zone = "Europe/Berlin"         # of times without one
    delimiter = ","
    dates = ["%d.%m.%Y %H:%M"]     # beside ISO 8601, which is always read
    rated_out_of = 5

    [columns]                      # their names in the file; id or url is needed, and author, date, and text or title
    id = "Review ID"
    url = "Link"
    author = "Reviewer"
    author_id = "Reviewer ID"
    rating = "Stars"
    title = "Headline"
    text = "Review"
    date = "Published"
    language = "Language"
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.utils.translation import gettext as _

from crm.channels import Channel, Message
from crm.channels.feeds import handle_of, link_key, web_link
from crm.channels.rows import NotThisShape, Rejected, Row, read, table_of_columns
from crm.language import tags

COLUMNS: Final = ("id", "url", "author", "author_id", "rating", "title", "text", "date", "language")
_KEYS: Final = frozenset({"site", "language", "zone", "delimiter", "dates", "rated_out_of", "columns"})

REASONS: Final = {
    "wrong_columns": "The row has more cells than the file has columns.",
    "no_id": "The row has neither an id nor a link.",
    "duplicate_id": "An earlier row of the file is the same review.",
    "no_author": "Nobody is named as the author.",
    "no_words": "The review has no words.",
    "unreadable_date": "The date cannot be read.",
    "future": "The date lies in the future.",
    "unreadable_rating": "The rating is no number of the scale.",
    "too_long": "Something in the row is longer than any review.",
}
"""Why a row is not taken in: a stable code and the sentence for people."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """How a site's exports are read. columns: our name of a column to theirs."""

    site: str
    columns: Mapping[str, str]
    language: str = ""
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    delimiter: str = ","
    dates: tuple[str, ...] = ()
    rated_out_of: Decimal = Decimal(5)


@dataclass(frozen=True, slots=True)
class Review:
    """One review. key: what tells it from all others of its site; handle: what its author is recognised by there."""

    key: str
    url: str
    author: str
    handle: str
    title: str
    text: str
    language: str
    rating: Decimal | None
    rated_out_of: Decimal | None
    published_at: datetime


def mapped(text: str) -> Mapped:
    """Read a table of columns. Raises NotThisShape, which says what is wrong."""
    found = table_of_columns(text)
    columns = found.get("columns", {})
    unknown = sorted({*found} - _KEYS) + sorted({*columns} - {*COLUMNS} if isinstance(columns, dict) else ["columns"])
    if unknown:
        raise NotThisShape(
            _("The table of columns names something that we do not know: %(what)s.") % {"what": ", ".join(unknown)}
        )
    site, language = found.get("site", ""), found.get("language", "")
    has_needed = isinstance(columns, dict) and all(isinstance(name, str) and name for name in columns.values())
    needed = (
        has_needed
        and {"author", "date"} <= {*columns}
        and {"id", "url"} & {*columns}
        and {"text", "title"} & {*columns}
    )
    if not needed:
        raise NotThisShape(_("It needs the columns author and date, id or url, and text or title."))
    if not isinstance(site, str) or not site.strip() or len(site) > 100:
        raise NotThisShape(_("It needs the name of the site."))
    try:
        zone, most = ZoneInfo(found.get("zone", "UTC")), Decimal(str(found.get("rated_out_of", 5)))
    except (ZoneInfoNotFoundError, ValueError, TypeError, InvalidOperation) as trouble:
        raise NotThisShape(_("Its time zone or its scale cannot be read.")) from trouble
    dates, delimiter = found.get("dates", []), found.get("delimiter", ",")
    is_fit = isinstance(dates, list) and all(isinstance(one, str) for one in dates) and 0 < most <= 100
    if (
        not is_fit
        or not isinstance(delimiter, str)
        or len(delimiter) != 1
        or (language and not tags.normalised(str(language)))
    ):
        raise NotThisShape(_("Its dates, delimiter, scale or language cannot be read."))
    return Mapped(" ".join(site.split()), columns, tags.normalised(str(language)), zone, delimiter, tuple(dates), most)


def parse(lines: Iterable[bytes], mapping: Mapped, *, not_after: datetime) -> Iterator[Review | Rejected]:
    """Read a file row by row, in its order. not_after: aware; no review is younger. Raises NotThisShape before the first row."""
    rows = read(lines, delimiter=mapping.delimiter)
    head = next(rows, None)
    names = head.cells if isinstance(head, Row) else []
    missing = [name for name in mapping.columns.values() if name not in names]
    if missing:
        raise NotThisShape(_("The file lacks columns that the table names: %(what)s.") % {"what": ", ".join(missing)})
    places = {ours: names.index(theirs) for ours, theirs in mapping.columns.items()}
    seen: set[str] = set()
    for row in rows:
        if isinstance(row, Rejected):
            yield row
            continue
        found = _review(row, places, mapping, width=len(names), not_after=not_after)
        if isinstance(found, Review) and found.key in seen:
            found = "duplicate_id"
        if isinstance(found, str):
            yield row.rejected(found, REASONS[found])
        else:
            seen.add(found.key)
            yield found


def _review(row: Row, places: Mapping[str, int], mapping: Mapped, *, width: int, not_after: datetime) -> Review | str:
    """Read one row; a key of REASONS when that cannot be."""
    if len(row.cells) > width:
        return "wrong_columns"
    cell = {ours: row.cells[place] if place < len(row.cells) else "" for ours, place in places.items()}
    url, author = web_link(cell.get("url", "")), " ".join(cell["author"].split())
    text, title = cell.get("text", ""), " ".join(cell.get("title", "").split())
    named = cell.get("id", "") or link_key(url)
    if not named:
        return "no_id"
    if not author and not cell.get("author_id"):
        return "no_author"
    if not text and not title:
        return "no_words"
    if len(text) > 100_000 or len(named) > 300 or len(author) > 300:
        return "too_long"
    published = _moment(cell["date"], mapping, not_after=not_after)
    if published is None:
        return "unreadable_date"
    if published > not_after:
        return "future"
    rating = _rating(cell.get("rating", ""), most=mapping.rated_out_of)
    if isinstance(rating, str):
        return rating
    site = mapping.site.lower()
    by = cell.get("author_id", "")
    return Review(
        key=hashlib.sha256(f"{site}\n{named}".encode("utf-8", "replace")).hexdigest(),
        url=url,
        author=author[:200],
        handle=f"{site}/id/{by}"[:300] if by else handle_of(author, profile="", url=f"https://{site}", key=named),
        title=title[:300],
        text=text or title,
        language=tags.normalised(cell.get("language", "")) or mapping.language,
        rating=rating,
        rated_out_of=mapping.rated_out_of if rating is not None else None,
        published_at=published,
    )


def _moment(written: str, mapping: Mapped, *, not_after: datetime) -> datetime | None:
    """A moment of the file. A mere day is its end, or now: nobody wrote later than that, and no clock starts too early."""
    found: datetime | None = None
    for shape in (None, *mapping.dates):
        try:
            found = datetime.fromisoformat(written) if shape is None else datetime.strptime(written, shape)  # noqa: DTZ007
        except ValueError:
            continue
        break
    if found is None:
        return None
    is_day = ":" not in written and "T" not in written
    try:
        moment = (found if found.tzinfo else found.replace(tzinfo=mapping.zone)).astimezone(UTC)
        if not is_day or moment > not_after:
            return moment
        return min(moment + timedelta(hours=23, minutes=59), not_after)
    except OverflowError:
        return None


def _rating(written: str, *, most: Decimal) -> Decimal | str | None:
    written = written.partition("/")[0].strip().replace(",", ".")
    if not written:
        return None
    if written.strip("★☆") == "":
        return Decimal(written.count("★"))
    try:
        found = Decimal(written)
    except InvalidOperation:
        return "unreadable_rating"
    return found.quantize(Decimal("0.01")) if found.is_finite() and 0 <= found <= most else "unreadable_rating"


def as_message(review: Review, *, source: str, spoke_at: datetime) -> Message:
    """Translate a review."""
    facts: dict[str, Any] = {"channel": Channel.REVIEW, "source": source, "external_id": review.key}
    return Message(
        **facts,
        sender_kind="handle",
        sender_address=review.handle,
        sender_name=review.author,
        subject=review.title,
        text=review.text,
        full_text=review.text,
        spoke_at=spoke_at,
        language=review.language,
    )
